/* sluice audit tail|checkpoint */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cli/audit_record.h"
#include "cli/identity.h"
#include "cli/remote.h"
#include "cli/text.h"

enum {
    LINES_DEFAULT = 20,
    LINES_MAX = 10000,
    SEARCH_PAGE_MAX = 500, /* as SearchAuditRequest.page_size */
    FOLLOW_EVERY_SECONDS = 2,
};

static const char search_method[] = "sluice.v1.AuditService/Search";

struct tail {
    struct cli *cli;
    struct connect_client *client;
    struct output *output;
    json_t *found; /* records, newest first */
    size_t wanted;
    long long last; /* index of the newest entry written, -1: none */
    char *own_uri;  /* --follow leaves out its own searches, which are entries themselves */
};

static bool own_search(const struct tail *tail, const json_t *record)
{
    const json_t *entry = remote_member(record, "entry");

    return tail->own_uri != NULL && strcmp(remote_text(entry, "kind"), "OFFICER_QUERY") == 0 &&
           strcmp(remote_text(remote_member(entry, "what"), "method"),
                  "/sluice.v1.AuditService/Search") == 0 &&
           strcmp(remote_text(remote_member(entry, "who"), "subject"), tail->own_uri) == 0;
}

/* Writes what is newer than what was written, and remembers it. */
static int write_record(struct tail *tail, json_t *record)
{
    long long index = remote_integer(record, "index");
    bool whole = tail->cli->format == OUTPUT_JSON || tail->cli->format == OUTPUT_JSONL;
    json_t *row;
    int failed;

    if (index <= tail->last)
        return EXIT_OK;
    tail->last = index;
    if (own_search(tail, record))
        return EXIT_OK;
    row = whole ? json_incref(record) : audit_record_row(record, false);
    failed = output_row(tail->output, row);
    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

/* --- searching ---------------------------------------------------------------------------------
 */
static json_t *search_request(const struct tail *tail, size_t page_size)
{
    json_t *request = json_pack("{s:I}", "pageSize", (json_int_t)page_size);

    remote_add_text(request, "dataset", cli_option_text(tail->cli, OPT_DATASET, NULL));
    remote_add_text(request, "agreement", cli_option_text(tail->cli, OPT_AGREEMENT, NULL));
    return request;
}

/* The newest records, newest first, until there are enough or they are already written. */
static int search_newest(struct tail *tail)
{
    json_t *token = NULL;
    int status = EXIT_OK;
    bool more = true;

    while (more && status == EXIT_OK && json_array_size(tail->found) < tail->wanted) {
        size_t left = tail->wanted - json_array_size(tail->found);
        json_t *request = search_request(tail, left < SEARCH_PAGE_MAX ? left : SEARCH_PAGE_MAX);
        json_t *answer, *records;

        if (token != NULL)
            json_object_set(request, "pageToken", token);
        status = remote_call(tail->client, search_method, request, &answer);
        if (status != EXIT_OK)
            break;
        records = remote_member(answer, "records");
        more = json_array_size(records) > 0;
        for (size_t i = 0; i < json_array_size(records) && more; i++) {
            json_t *record = json_array_get(records, i);
            more = remote_integer(record, "index") > tail->last;
            if (more && json_array_size(tail->found) < tail->wanted)
                json_array_append(tail->found, record);
        }
        json_decref(token);
        token = json_incref(remote_member(answer, "nextPageToken"));
        more = more && json_string_length(token) > 0;
        json_decref(answer);
    }
    json_decref(token);
    return status;
}

static int show_newest(struct tail *tail)
{
    int status;

    tail->found = json_array();
    status = search_newest(tail);
    for (size_t i = json_array_size(tail->found); i > 0 && status == EXIT_OK; i--)
        status = write_record(tail, json_array_get(tail->found, i - 1));
    json_decref(tail->found);
    tail->found = NULL;
    return status;
}

static int follow_item(void *context, json_t *record)
{
    return write_record(context, record);
}

/* `after_index` counts from 1 (0 means: not given), so entry 0 alone is asked for as "the newest".
 */
static int follow_once(struct tail *tail)
{
    json_t *request;

    if (tail->last < 1) {
        tail->wanted = LINES_MAX;
        return show_newest(tail);
    }
    request = search_request(tail, SEARCH_PAGE_MAX);
    json_object_set_new(request, "afterIndex", json_integer((json_int_t)tail->last));
    return remote_pages(tail->client, search_method, request, "records", follow_item, tail);
}

static int follow(struct tail *tail)
{
    const struct timespec pause = { .tv_sec = FOLLOW_EVERY_SECONDS };
    int status = EXIT_OK;

    while (status == EXIT_OK) {
        if (output_flush(tail->output) != 0)
            return EXIT_FAILED;
        nanosleep(&pause, NULL);
        status = follow_once(tail);
    }
    return status;
}

/* The subject under which the gateway records our searches. */
static char *own_uri(const struct cli *cli)
{
    struct connect_target target;
    struct identity identity;

    if (connect_target_get(cli, &target) != 0 || !identity_from_file(target.cert, &identity))
        return NULL;
    return mem_strdup(identity.uri);
}

int audit_tail(struct cli *cli)
{
    struct tail tail = { .cli = cli, .last = -1 };
    bool following = cli_option_set(cli, OPT_FOLLOW);
    long lines;
    int status;

    if (!cli_option_number(cli, OPT_LINES, 1, LINES_MAX, LINES_DEFAULT, &lines))
        return EXIT_USAGE;
    if (following && cli->format == OUTPUT_JSON)
        return cli_usage(cli, MSG_USAGE_FOLLOW_JSON, NULL);
    tail.wanted = (size_t)lines;
    tail.client = remote_open(cli, &status);
    if (tail.client == NULL)
        return status;
    tail.output = cli_output(cli);
    audit_record_columns(tail.output, false);
    tail.own_uri = following ? own_uri(cli) : NULL;
    status = show_newest(&tail);
    if (following && status == EXIT_OK)
        status = follow(&tail);
    connect_client_close(&tail.client);
    free(tail.own_uri);
    return cli_output_end(&tail.output, status);
}

/* The note's own text, line by line, so that nothing in it acts on a terminal. */
static void print_note(const char *note)
{
    while (*note != '\0') {
        size_t len = strcspn(note, "\n");
        char *line = mem_strndup(note, len);
        char *safe = text_safe(line);

        puts(safe);
        free(safe);
        free(line);
        note += len + (note[len] == '\n' ? 1 : 0);
    }
}

/* A table would break the note, a text format of its own (C2SP signed note) that is made to be
 * kept. */
int audit_checkpoint(struct cli *cli)
{
    json_t *answer;
    int status;
    struct connect_client *client = remote_open(cli, &status);
    struct output *output;

    if (client == NULL)
        return status;
    status = remote_call(client, "sluice.v1.AuditService/GetCheckpoint", json_object(), &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    output = cli_output(cli);
    if (cli->format == OUTPUT_TABLE)
        print_note(remote_text(answer, "note"));
    else if (output_object(output, answer) != 0)
        status = EXIT_FAILED;
    json_decref(answer);
    return cli_output_end(&output, status);
}
