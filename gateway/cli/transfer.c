/* sluice transfer create|list|show|watch|pause|resume|cancel|verify */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/remote.h"
#include "cli/text.h"

#define SERVICE "sluice.v1.TransferService/"
enum { RATE_MAX = 1000000 }; /* as CreateTransferRequest.rows_per_second */

static const char *const columns[] = { "id",    "dataset",   "target", "mode",
                                       "state", "createdAt", "counts", "failure" };
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

struct watch {
    json_t *last; /* the transfer as it was shown last */
    long long from_rows;
    int64_t from_us; /* when rows were first seen; 0: none yet */
    bool progress;
};

/* --- one transfer -------------------------------------------------------------------------------------
 */
static int call_and_show(struct cli *cli, const char *method)
{
    json_t *answer;
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    status = remote_call(client, method, json_pack("{s:s}", "id", cli->operands[0]), &answer);
    connect_client_close(&client);
    return status == EXIT_OK ? remote_show(cli, answer, columns, COLUMN_COUNT) : status;
}

int transfer_show(struct cli *cli)
{
    return call_and_show(cli, SERVICE "GetTransfer");
}

int transfer_pause(struct cli *cli)
{
    return call_and_show(cli, SERVICE "PauseTransfer");
}

int transfer_resume(struct cli *cli)
{
    return call_and_show(cli, SERVICE "ResumeTransfer");
}

int transfer_cancel(struct cli *cli)
{
    return call_and_show(cli, SERVICE "CancelTransfer");
}

/* --- watch --------------------------------------------------------------------------------------------
 */
static void show_progress(struct watch *watch, const json_t *transfer)
{
    char rows[TEXT_COUNT_BYTES], rate[TEXT_COUNT_BYTES];
    const json_t *counts = remote_member(transfer, "counts");
    long long read = counts != NULL ? remote_integer(counts, "read") : 0;
    int64_t now = clock_monotonic_us();

    if (read < watch->from_rows || watch->from_us == 0) { /* it began, or began anew */
        watch->from_rows = read;
        watch->from_us = now;
    }
    double seconds = (double)(now - watch->from_us) / 1e6;
    double each = seconds > 0 ? (double)(read - watch->from_rows) / seconds : 0;
    text_count((uint64_t)read, rows);
    text_count((uint64_t)each, rate);
    char *line =
        message_fill(MSG_TRANSFER_PROGRESS,
                     (const char *const[]){ remote_text(transfer, "state"), rows, rate }, 3);
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
    free(line);
}

static int watch_message(void *context, json_t *transfer)
{
    struct watch *watch = context;

    json_decref(watch->last);
    watch->last = json_incref(transfer);
    if (watch->progress)
        show_progress(watch, transfer);
    return 0;
}

static bool has_ended(const json_t *transfer)
{
    const char *state = remote_text(transfer, "state");

    return strcmp(state, "TRANSFER_SUCCEEDED") == 0 || strcmp(state, "TRANSFER_FAILED") == 0 ||
           strcmp(state, "TRANSFER_CANCELLED") == 0;
}

/* Exit status: 0 only when the rows are in the target table. */
static int follow(struct cli *cli, struct connect_client *client, const char *id)
{
    struct watch watch = { .progress = isatty(STDERR_FILENO) };
    struct problem problem = { 0 };
    int status = EXIT_OK;

    /* A stream lasts no longer than the gateway lets it. */
    while (status == EXIT_OK && (watch.last == NULL || !has_ended(watch.last))) {
        bool seen = watch.last != NULL;
        json_decref(watch.last);
        watch.last = NULL;
        if (connect_stream(client, SERVICE "WatchTransfer", json_pack("{s:s}", "id", id),
                           watch_message, &watch, &problem) == 0)
            continue;
        if (watch.last == NULL || seen)
            status = problem_report(&problem);
    }
    if (watch.progress)
        fputc('\n', stderr);
    if (status != EXIT_OK || watch.last == NULL) {
        json_decref(watch.last);
        return status != EXIT_OK ? status : EXIT_FAILED;
    }
    bool moved = strcmp(remote_text(watch.last, "state"), "TRANSFER_SUCCEEDED") == 0;
    status = remote_show(cli, watch.last, columns, COLUMN_COUNT);
    return status == EXIT_OK && !moved ? EXIT_FAILED : status;
}

int transfer_watch(struct cli *cli)
{
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    status = follow(cli, client, cli->operands[0]);
    connect_client_close(&client);
    return status;
}

/* --- create -------------------------------------------------------------------------------------------
 */
/* NULL after a usage complaint. */
static const char *mode_asked(struct cli *cli)
{
    static const struct {
        enum cli_option option;
        const char *name;
    } modes[] = { { OPT_APPEND, "APPEND" }, { OPT_UPSERT, "UPSERT" }, { OPT_CURSOR, "CURSOR" } };
    const char *mode = NULL;

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (!cli_option_set(cli, modes[i].option))
            continue;
        if (mode != NULL) {
            (void)cli_usage(cli, MSG_TRANSFER_MODES, NULL);
            return NULL;
        }
        mode = modes[i].name;
    }
    return mode != NULL ? mode : "REPLACE";
}

/* NULL after a usage complaint. */
static json_t *create_request(struct cli *cli)
{
    const char *fields = cli_option_text(cli, OPT_FIELDS, NULL);
    const char *mode = mode_asked(cli);
    json_t *request, *names = NULL;
    long rate;

    if (mode == NULL || !cli_option_required(cli, OPT_PURPOSE) ||
        !cli_option_number(cli, OPT_ROWS_PER_SECOND, 1, RATE_MAX, 0, &rate))
        return NULL;
    if (fields != NULL && (names = text_split(fields)) == NULL) {
        (void)cli_usage(cli, MSG_USAGE_LIST, "--fields");
        return NULL;
    }
    request = json_pack("{s:s, s:s, s:s}", "dataset", cli->operands[0], "target", cli->operands[1],
                        "mode", mode);
    remote_add_text(request, "purpose", cli_option_text(cli, OPT_PURPOSE, NULL));
    remote_add_text(request, "cursor", cli_option_text(cli, OPT_CURSOR, NULL));
    remote_add_text(request, "agreement", cli_option_text(cli, OPT_AGREEMENT, NULL));
    remote_add_text(request, "filter", cli_option_text(cli, OPT_FILTER, NULL));
    remote_add_request_id(request);
    if (cli_option_set(cli, OPT_ACCEPT_LOSSY))
        json_object_set_new(request, "acceptLossy", json_true());
    if (rate > 0)
        json_object_set_new(request, "rowsPerSecond", json_integer(rate));
    if (names != NULL) {
        char *mask = text_field_mask(names);
        remote_add_text(request, "fields", mask);
        free(mask);
        json_decref(names);
    }
    return request;
}

/* What the table will not keep, before the first row leaves. */
static void show_losses(const json_t *transfer)
{
    const json_t *loss;
    size_t i;
    const char *sentence = messages_language() == LANGUAGE_ZH ? "sentenceZh" : "sentence";

    json_array_foreach(remote_member(transfer, "losses"), i, loss)
    {
        if (strcmp(remote_text(loss, "kind"), "CANONICAL_LOSSLESS") != 0)
            NOTE(MSG_TRANSFER_LOSS, remote_text(loss, "field"), remote_text(loss, sentence));
    }
}

int transfer_create(struct cli *cli)
{
    json_t *request = create_request(cli), *answer;
    struct connect_client *client;
    int status;

    if (request == NULL)
        return EXIT_USAGE;
    client = remote_open(cli, &status);
    if (client == NULL) {
        json_decref(request);
        return status;
    }
    status = remote_call(client, SERVICE "CreateTransfer", request, &answer);
    if (status == EXIT_OK)
        show_losses(answer);
    if (status == EXIT_OK && cli_option_set(cli, OPT_FOLLOW)) {
        status = follow(cli, client, remote_text(answer, "id"));
        json_decref(answer);
    } else if (status == EXIT_OK) {
        status = remote_show(cli, answer, columns, COLUMN_COUNT);
    }
    connect_client_close(&client);
    return status;
}

/* --- list and verify ----------------------------------------------------------------------------------
 */
struct listing {
    struct output *output;
    enum output_format format;
};

static int list_item(void *context, json_t *item)
{
    const struct listing *listing = context;
    bool whole = listing->format == OUTPUT_JSON || listing->format == OUTPUT_JSONL;
    json_t *row = whole ? json_incref(item) : remote_project(item, columns, COLUMN_COUNT);
    int failed = output_row(listing->output, row);

    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

int transfer_list(struct cli *cli)
{
    struct listing listing = { .format = cli->format };
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    listing.output = cli_output(cli);
    output_set_columns(listing.output, columns, COLUMN_COUNT);
    status = remote_pages(client, SERVICE "ListTransfers", json_pack("{s:i}", "pageSize", 1000),
                          "transfers", list_item, &listing);
    connect_client_close(&client);
    return cli_output_end(&listing.output, status);
}

int transfer_verify(struct cli *cli)
{
    json_t *answer;
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    status = remote_call(client, SERVICE "VerifyTransfer",
                         json_pack("{s:s}", "id", cli->operands[0]), &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    bool equal = json_is_true(remote_member(answer, "equal"));
    struct output *output = cli_output(cli);
    int failed =
        cli->format == OUTPUT_CSV ? output_row(output, answer) : output_object(output, answer);
    json_decref(answer);
    status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    if (status != EXIT_OK)
        return status;
    if (cli->format == OUTPUT_TABLE)
        NOTE(equal ? MSG_TRANSFER_EQUAL : MSG_TRANSFER_DIFFERS);
    return equal ? EXIT_OK : EXIT_FAILED;
}
