/* What the commands that call the gateway share: opening, calling, paging, reading answers.
 * Ownership: answers are the caller's to json_decref; members are borrowed from them.
 * Page callbacks fire inside remote_pages.
 * Limits: REMOTE_PAGES_MAX pages, so that a gateway that repeats a token cannot hold us for ever.
 * Does not interpret what the gateway says beyond its shape. */
#ifndef SLUICE_CLI_REMOTE_H
#define SLUICE_CLI_REMOTE_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/connect.h"

enum { REMOTE_PAGES_MAX = 100000 };

/* A client, or NULL after a report with the exit status in `status_r`. */
struct connect_client *remote_open(const struct cli *cli, int *status_r);

/* Takes `request`; EXIT_OK and an answer, or an exit status after a report. */
int remote_call(struct connect_client *client, const char *method, json_t *request,
                json_t **answer_r);

/* Calls a List method until there is no next page; `item` gets each member of the array `list`,
 * borrowed, and answers an exit status. */
typedef int (*remote_item_fn)(void *context, json_t *item);
int remote_pages(struct connect_client *client, const char *method, json_t *request,
                 const char *list, remote_item_fn item, void *context);

/* A member by its proto3 JSON name, which may also stand as in the .proto ("titleZh", "title_zh").
 */
json_t *remote_member(const json_t *object, const char *name);
/* Its text, "" when absent; 64-bit integers are text in proto3 JSON. */
const char *remote_text(const json_t *object, const char *name);
long long remote_integer(const json_t *object, const char *name);

/* A row of the given members, for a table or CSV. */
json_t *remote_project(const json_t *object, const char *const *names, size_t count);

/* One answer: its columns in CSV, the whole of it otherwise. Takes `object`; answers an exit status. */
int remote_show(const struct cli *cli, json_t *object, const char *const *columns, size_t count);

/* Adds a member unless the text is NULL or "". */
void remote_add_text(json_t *request, const char *name, const char *text);
/* Adds a new UUIDv7 as "requestId". */
void remote_add_request_id(json_t *request);

#endif
