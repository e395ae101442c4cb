/* sluice audit search · sluice audit filter */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/audit_record.h"
#include "cli/remote.h"
#include "cli/text.h"

enum {
    PAGE_MAX = 500, /* as SearchAuditRequest.page_size */
    TABLE_ROWS = 200,
    LIMIT_MAX = 2000000000,
    PERSON_BYTES = 64,
};

static const char *const filter_columns[] = { "name",      "saveTime", "dataset",  "agreement",
                                              "purpose",   "kind",     "outcome",  "department",
                                              "owner",     "subject",  "timeFrom", "timeTo",
                                              "exchangeId" };
enum { FILTER_COLUMNS = sizeof filter_columns / sizeof *filter_columns };

struct search {
    struct cli *cli;
    struct output *output;
    long left;
    bool more;
};

/* --- saved filters ------------------------------------------------------------------------------ */

static int list_filters(struct connect_client *client, json_t **filters_r)
{
    json_t *answer;
    int status = remote_call(client, "sluice.v1.AuditService/ListFilters", json_object(), &answer);

    if (status != EXIT_OK)
        return status;
    *filters_r = json_incref(remote_member(answer, "filters"));
    json_decref(answer);
    return EXIT_OK;
}

/* The search of the filter that --filter names, or an empty one. */
static int start_request(struct cli *cli, struct connect_client *client, json_t **request_r)
{
    const char *name = cli_option_text(cli, OPT_FILTER, NULL);
    json_t *filters = NULL;
    int status;

    *request_r = NULL;
    if (name == NULL) {
        *request_r = json_object();
        return EXIT_OK;
    }
    status = list_filters(client, &filters);
    for (size_t i = 0; i < json_array_size(filters) && *request_r == NULL; i++) {
        const json_t *filter = json_array_get(filters, i);
        if (strcmp(remote_text(filter, "name"), name) == 0)
            *request_r = json_deep_copy(remote_member(filter, "search"));
    }
    json_decref(filters);
    if (status == EXIT_OK && *request_r == NULL) {
        COMPLAIN(MSG_FILTER_ABSENT, name);
        status = EXIT_NOT_FOUND;
    }
    return status;
}

static int show_filters(struct cli *cli, struct connect_client *client)
{
    json_t *filters = NULL;
    int status = list_filters(client, &filters);
    struct output *output;

    if (status != EXIT_OK)
        return status;
    output = cli_output(cli);
    output_set_columns(output, filter_columns, FILTER_COLUMNS);
    for (size_t i = 0; i < json_array_size(filters) && status == EXIT_OK; i++) {
        const json_t *filter = json_array_get(filters, i);
        json_t *row =
            remote_project(remote_member(filter, "search"), filter_columns, FILTER_COLUMNS);
        json_object_set(row, "name", remote_member(filter, "name"));
        json_object_set(row, "saveTime", remote_member(filter, "saveTime"));
        status = output_row(output, row) == 0 ? EXIT_OK : EXIT_FAILED;
        json_decref(row);
    }
    json_decref(filters);
    return cli_output_end(&output, status);
}

static int save_filter(struct cli *cli, struct connect_client *client, const char *name)
{
    json_t *search = json_object(), *answer;
    int status = audit_record_search(cli, search);

    if (status != EXIT_OK) {
        json_decref(search);
        return status;
    }
    status = remote_call(client, "sluice.v1.AuditService/SaveFilter",
                         json_pack("{s:s, s:o}", "name", name, "search", search), &answer);
    if (status == EXIT_OK) {
        json_decref(answer);
        NOTE(MSG_FILTER_SAVED, name);
    }
    return status;
}

static int delete_filter(struct connect_client *client, const char *name)
{
    json_t *answer;
    int status = remote_call(client, "sluice.v1.AuditService/DeleteFilter",
                             json_pack("{s:s}", "name", name), &answer);

    if (status == EXIT_OK) {
        json_decref(answer);
        NOTE(MSG_FILTER_DELETED, name);
    }
    return status;
}

int audit_filter(struct cli *cli)
{
    const char *verb = cli->operands[0], *name = cli->operands[1];
    bool save = strcmp(verb, "save") == 0, list = strcmp(verb, "list") == 0;
    struct connect_client *client;
    int status;

    if ((!save && !list && strcmp(verb, "delete") != 0) || list != (cli->operand_count == 1))
        return cli_usage(cli, MSG_USAGE_FILTER, NULL);
    client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    if (list)
        status = show_filters(cli, client);
    else
        status = save ? save_filter(cli, client, name) : delete_filter(client, name);
    connect_client_close(&client);
    return status;
}

/* --- search ------------------------------------------------------------------------------------- */

static int search_record(void *context, json_t *record)
{
    struct search *search = context;
    bool whole = search->cli->format == OUTPUT_JSON || search->cli->format == OUTPUT_JSONL;
    json_t *row;
    int failed;

    search->more = search->left == 0;
    if (search->more)
        return EXIT_FAILED; /* ends the paging */
    search->left--;
    row = whole ? json_incref(record) : audit_record_row(record, search->cli->format == OUTPUT_CSV);
    failed = output_row(search->output, row);
    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

/* One line of standard input, so that the number stands in no process list and no history. */
static int read_person(json_t *request)
{
    char line[PERSON_BYTES];
    size_t len = 0;

    if (fgets(line, sizeof line, stdin) != NULL)
        len = strcspn(line, "\r\n");
    line[len] = '\0';
    if (len == 0) {
        COMPLAIN(MSG_USAGE_PERSON);
        return EXIT_USAGE;
    }
    json_object_set_new(request, "person", json_string(line));
    explicit_bzero(line, sizeof line);
    return EXIT_OK;
}

static int run_search(struct search *search, struct connect_client *client, json_t *request)
{
    size_t page = search->left < PAGE_MAX ? (size_t)search->left + 1 : PAGE_MAX;
    int status;

    json_object_set_new(request, "pageSize", json_integer((json_int_t)page));
    search->output = cli_output(search->cli);
    audit_record_columns(search->output, search->cli->format == OUTPUT_CSV);
    status = remote_pages(client, "sluice.v1.AuditService/Search", request, "records",
                          search_record, search);
    if (search->more)
        status = EXIT_OK;
    status = cli_output_end(&search->output, status);
    if (search->more && !cli_option_set(search->cli, OPT_LIMIT))
        NOTE(MSG_SEARCH_MORE);
    return status;
}

int audit_search(struct cli *cli)
{
    struct search search = { .cli = cli };
    const char *person = cli_option_text(cli, OPT_PERSON, "");
    struct connect_client *client;
    json_t *request = NULL;
    int status;

    if (!cli_option_number(cli, OPT_LIMIT, 1, LIMIT_MAX,
                           cli->format == OUTPUT_TABLE ? TABLE_ROWS : LIMIT_MAX, &search.left))
        return EXIT_USAGE;
    client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    status = start_request(cli, client, &request);
    if (status == EXIT_OK)
        status = audit_record_search(cli, request);
    if (status == EXIT_OK && strcmp(person, "-") == 0)
        status = read_person(request);
    else if (status == EXIT_OK)
        remote_add_text(request, "person", person);
    if (status == EXIT_OK)
        status = run_search(&search, client, json_incref(request));
    json_decref(request);
    connect_client_close(&client);
    return status;
}
