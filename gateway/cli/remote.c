#include "cli/remote.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "cli/text.h"

struct connect_client *remote_open(const struct cli *cli, int *status_r)
{
    struct connect_target target;
    struct connect_client *client;
    struct problem problem = { 0 };

    if (connect_target_get(cli, &target) != 0) {
        *status_r = EXIT_USAGE;
        return NULL;
    }
    client = connect_client_open(&target, &problem);
    *status_r = client != NULL ? EXIT_OK : problem_report(&problem);
    return client;
}

int remote_call(struct connect_client *client, const char *method, json_t *request,
                json_t **answer_r)
{
    struct problem problem = { 0 };

    if (connect_unary(client, method, request, answer_r, &problem) == 0)
        return EXIT_OK;
    return problem_report(&problem);
}

int remote_pages(struct connect_client *client, const char *method, json_t *request,
                 const char *list, remote_item_fn item, void *context)
{
    int status = EXIT_OK;

    for (int page = 0; page < REMOTE_PAGES_MAX; page++) {
        json_t *answer, *items, *next;

        status = remote_call(client, method, json_incref(request), &answer);
        if (status != EXIT_OK)
            break;
        items = remote_member(answer, list);
        for (size_t i = 0; i < json_array_size(items) && status == EXIT_OK; i++)
            status = item(context, json_array_get(items, i));
        next = json_incref(remote_member(answer, "nextPageToken"));
        json_decref(answer);
        if (status != EXIT_OK || json_string_length(next) == 0) {
            json_decref(next);
            break;
        }
        json_object_set_new(request, "pageToken", next);
    }
    json_decref(request);
    return status;
}

/* "titleZh" -> "title_zh" */
static char *snake_case(const char *camel)
{
    char *snake = mem_zero(2 * strlen(camel) + 1);
    size_t len = 0;

    for (const char *at = camel; *at != '\0'; at++) {
        if (isupper((unsigned char)*at))
            snake[len++] = '_';
        snake[len++] = (char)tolower((unsigned char)*at);
    }
    return snake;
}

json_t *remote_member(const json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);

    if (member == NULL) {
        char *snake = snake_case(name);
        member = json_object_get(object, snake);
        free(snake);
    }
    return member;
}

const char *remote_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(remote_member(object, name));

    return text != NULL ? text : "";
}

long long remote_integer(const json_t *object, const char *name)
{
    const json_t *member = remote_member(object, name);

    if (json_is_integer(member))
        return (long long)json_integer_value(member);
    if (json_is_string(member) && text_is_number(json_string_value(member)))
        return strtoll(json_string_value(member), NULL, 10);
    return 0;
}

json_t *remote_project(const json_t *object, const char *const *names, size_t count)
{
    json_t *row = json_object();

    for (size_t i = 0; i < count; i++) {
        json_t *member = remote_member(object, names[i]);
        if (member != NULL)
            json_object_set(row, names[i], member);
    }
    return row;
}

int remote_show(const struct cli *cli, json_t *object, const char *const *columns, size_t count)
{
    struct output *output = cli_output(cli);
    int failed;

    if (cli->format == OUTPUT_CSV) {
        json_t *row = remote_project(object, columns, count);
        output_set_columns(output, columns, count);
        failed = output_row(output, row);
        json_decref(row);
    } else {
        failed = output_object(output, object);
    }
    json_decref(object);
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

void remote_add_text(json_t *request, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_object_set_new(request, name, json_string(text));
}

void remote_add_request_id(json_t *request)
{
    uint8_t id[UUID_BYTES];
    char text[UUID_TEXT_BYTES];

    uuid7_make(id);
    uuid_format(id, text);
    json_object_set_new(request, "requestId", json_string(text));
}
