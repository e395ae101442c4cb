/* sluice lookup · sluice query */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/remote.h"
#include "cli/text.h"

enum {
    PAGE_SIZE_MAX = 10000, /* as QueryRequest.page_size */
    LIMIT_MAX = 2000000000,
    PROGRESS_EVERY_US = 200 * 1000,
    RESUME_TOKEN_BYTES = 4096,
};

struct query {
    const struct cli *cli;
    struct output *output;
    json_t *page_token; /* of the next page, or NULL */
    char *resume_token; /* of the newest batch, or NULL */
    json_t *totals;
    uint64_t rows;
    long long quarantined;
    int64_t started_us;
    int64_t shown_us;
    bool progress;
};

/* --- the request -------------------------------------------------------------------------------
 */
/* The members that both calls have. NULL after a usage complaint; `fields_r` is NULL without
 * --fields. */
static json_t *exchange_request(struct cli *cli, json_t **fields_r)
{
    const char *fields = cli_option_text(cli, OPT_FIELDS, NULL);
    json_t *request;

    *fields_r = NULL;
    if (!cli_option_required(cli, OPT_PURPOSE))
        return NULL;
    if (fields != NULL && (*fields_r = text_split(fields)) == NULL) {
        (void)cli_usage(cli, MSG_USAGE_LIST, "--fields");
        return NULL;
    }
    request = json_pack("{s:s}", "dataset", cli->operands[0]);
    remote_add_text(request, "purpose", cli_option_text(cli, OPT_PURPOSE, NULL));
    remote_add_text(request, "agreement", cli_option_text(cli, OPT_AGREEMENT, NULL));
    remote_add_request_id(request);
    if (*fields_r != NULL) {
        char *mask = text_field_mask(*fields_r);
        remote_add_text(request, "fields", mask);
        free(mask);
    }
    return request;
}

/* --- lookup ------------------------------------------------------------------------------------
 */
static int show_record(struct cli *cli, const json_t *answer)
{
    json_t *record = remote_member(answer, "record");
    const json_t *warnings = remote_member(answer, "warnings");
    struct output *output;
    int status = EXIT_OK;

    if (!json_is_object(record)) {
        COMPLAIN(MSG_ANSWER_MALFORMED, "record");
        return EXIT_FAILED;
    }
    if (cli->format == OUTPUT_TABLE || cli->format == OUTPUT_CSV)
        json_object_del(record, "@type");
    output = cli_output(cli);
    int failed =
        cli->format == OUTPUT_CSV ? output_row(output, record) : output_object(output, record);
    status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        if (text != NULL)
            NOTE(MSG_RECORD_WARNING, text);
    }
    if (cli->format == OUTPUT_TABLE && remote_text(answer, "exchangeId")[0] != '\0')
        NOTE(MSG_EXCHANGE_ID, remote_text(answer, "exchangeId"));
    return status;
}

int exchange_lookup(struct cli *cli)
{
    json_t *fields, *answer, *request = exchange_request(cli, &fields);
    struct connect_client *client;
    int status;

    if (request == NULL)
        return EXIT_USAGE;
    json_decref(fields);
    remote_add_text(request, "key", cli->operands[1]);
    client = remote_open(cli, &status);
    if (client == NULL) {
        json_decref(request);
        return status;
    }
    status = remote_call(client, "sluice.v1.ExchangeService/Lookup", request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    status = show_record(cli, answer);
    json_decref(answer);
    return status;
}

/* --- query -------------------------------------------------------------------------------------
 */
static void show_progress(struct query *query, bool last)
{
    int64_t now = clock_monotonic_us();
    char rows[TEXT_COUNT_BYTES], rate[TEXT_COUNT_BYTES];
    double seconds = (double)(now - query->started_us) / 1e6;

    if (!query->progress || (!last && now - query->shown_us < PROGRESS_EVERY_US))
        return;
    query->shown_us = now;
    text_count(query->rows, rows);
    text_count(seconds > 0 ? (uint64_t)((double)query->rows / seconds) : 0, rate);
    char *line = message_fill(MSG_PROGRESS, (const char *const[]){ rows, rate }, 2);
    fprintf(stderr, "\r\033[K%s%s", line, last ? "\n" : "");
    fflush(stderr);
    free(line);
}

static int query_batch(void *context, json_t *batch)
{
    struct query *query = context;
    const json_t *records = remote_member(batch, "records");
    const char *resume = remote_text(batch, "resumeToken");
    const char *next = remote_text(batch, "nextPageToken");
    json_t *totals = remote_member(batch, "totals");

    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);

        if (!json_is_object(record)) {
            COMPLAIN(MSG_ANSWER_MALFORMED, "records");
            return EXIT_FAILED;
        }
        if (output_row(query->output, record) != 0)
            return EXIT_FAILED; /* cli_output_end says why */
        query->rows++;
    }
    if (resume[0] != '\0' && strlen(resume) < RESUME_TOKEN_BYTES) {
        free(query->resume_token);
        query->resume_token = mem_strdup(resume);
    }
    if (next[0] != '\0') {
        json_decref(query->page_token);
        query->page_token = json_string(next);
    }
    if (totals != NULL)
        query->quarantined += remote_integer(totals, "quarantined");
    show_progress(query, false);
    return 0;
}

/* Column names of a table or CSV: what the caller named, else what the catalogue says is granted,
 * else (NULL) whatever the first rows hold. */
static json_t *query_columns(struct query *query, struct connect_client *client, json_t *fields)
{
    json_t *answer = NULL, *names = json_array(), *every = json_array();
    struct problem ignored = { 0 };

    if (fields != NULL || query->cli->format == OUTPUT_JSON || query->cli->format == OUTPUT_JSONL) {
        json_decref(names);
        json_decref(every);
        return json_incref(fields);
    }
    /* Without the catalogue the rows themselves must do: its refusal is no reason to fail here. */
    (void)connect_unary(client, "sluice.v1.CatalogService/GetDataset",
                        json_pack("{s:s}", "name", query->cli->operands[0]), &answer, &ignored);
    const json_t *list = remote_member(answer, "fields");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *field = json_array_get(list, i);
        if (json_is_true(remote_member(field, "granted")))
            json_array_append(names, remote_member(field, "name"));
        json_array_append(every, remote_member(field, "name"));
    }
    json_t *chosen = json_array_size(names) > 0 ? names : every;
    chosen = json_array_size(chosen) > 0 ? json_incref(chosen) : NULL;
    json_decref(answer);
    json_decref(names);
    json_decref(every);
    return chosen;
}

static void set_columns(struct query *query, json_t *names)
{
    size_t count = json_array_size(names);
    const char **columns = mem_array(count + 1, sizeof *columns);
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name != NULL)
            columns[used++] = name;
    }
    output_set_fields(query->output, columns, used);
    free(columns);
}

/* One stream, or page after page. */
static int query_pages(struct query *query, struct connect_client *client, json_t *request,
                       long limit)
{
    struct problem problem = { 0 };

    for (;;) {
        json_t *token;

        if (connect_stream(client, "sluice.v1.ExchangeService/Query", json_incref(request),
                           query_batch, query, &problem) != 0)
            break;
        token = query->page_token;
        query->page_token = NULL;
        if (token == NULL || (limit > 0 && query->rows >= (uint64_t)limit)) {
            json_decref(token);
            return EXIT_OK;
        }
        json_object_set_new(request, "pageToken", token);
        json_object_del(request, "resumeToken"); /* a page goes on from its own token alone */
        if (limit > 0)
            json_object_set_new(request, "limit", json_integer(limit - (long)query->rows));
    }
    if (problem.text[0] == '\0' && problem.code[0] == '\0')
        return problem.exit_status; /* our own side stopped and has said why */
    if (query->progress)
        fputc('\n', stderr);
    int status = problem_report(&problem);
    if (query->resume_token != NULL)
        NOTE(MSG_RESUME_HINT, query->resume_token);
    return status;
}

static int query_end(struct query *query, int status)
{
    status = cli_output_end(&query->output, status);
    if (status == EXIT_OK)
        show_progress(query, true);
    if (query->quarantined > 0) {
        char count[TEXT_COUNT_BYTES];
        text_count((uint64_t)query->quarantined, count);
        NOTE(MSG_QUERY_QUARANTINED, count);
        if (status == EXIT_OK && cli_option_set(query->cli, OPT_STRICT))
            status = EXIT_QUARANTINED;
    }
    free(query->resume_token);
    json_decref(query->page_token);
    return status;
}

int exchange_query(struct cli *cli)
{
    struct query query = { .cli = cli,
                           .progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) };
    struct connect_client *client = NULL;
    long limit, page_size;
    json_t *fields = NULL, *request, *columns;
    int status = EXIT_USAGE;

    if (!cli_option_number(cli, OPT_LIMIT, 0, LIMIT_MAX, 0, &limit) ||
        !cli_option_number(cli, OPT_PAGE_SIZE, 1, PAGE_SIZE_MAX, 0, &page_size))
        return EXIT_USAGE;
    request = exchange_request(cli, &fields);
    if (request != NULL)
        client = remote_open(cli, &status);
    if (client == NULL) {
        json_decref(request);
        json_decref(fields);
        return status;
    }
    remote_add_text(request, "filter", cli_option_text(cli, OPT_FILTER, NULL));
    remote_add_text(request, "resumeToken", cli_option_text(cli, OPT_RESUME, NULL));
    if (limit > 0)
        json_object_set_new(request, "limit", json_integer(limit));
    if (page_size > 0)
        json_object_set_new(request, "pageSize", json_integer(page_size));
    query.output = cli_output(cli);
    columns = query_columns(&query, client, fields);
    if (columns != NULL)
        set_columns(&query, columns);
    query.started_us = query.shown_us = clock_monotonic_us();
    status = query_pages(&query, client, request, limit);
    connect_client_close(&client);
    json_decref(columns);
    json_decref(fields);
    json_decref(request);
    return query_end(&query, status);
}
