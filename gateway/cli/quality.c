/* sluice quality assess|report|compare|quarantine|view|replay */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/drift_notices.h"
#include "cli/remote.h"
#include "cli/text.h"

enum {
    RATE_MAX = 1000000, /* as AssessRequest.rows_per_second */
    RUNS_MAX = 100,     /* as GetQualityReportRequest.runs */
    CONFLICTS_MAX = 1000,
    PROGRESS_EVERY_US = 200 * 1000,
};

static const char *const field_columns[] = { "field",   "completeness",      "validity",
                                             "present", "rejected",          "missing",
                                             "warned",  "completenessTrend", "validityTrend" };
static const char *const conflict_columns[] = { "key",    "field",    "valueA",
                                                "valueB", "vintageA", "vintageB" };
static const char *const item_columns[] = { "id",    "field",     "rule",     "code",
                                            "state", "firstSeen", "lastSeen", "count" };
static const char *const stored_columns[] = { "column", "text", "null", "part" };
static const char *const replay_columns[] = { "judged", "open", "vanished", "changed", "mended" };
#define COUNT(names_) (sizeof(names_) / sizeof(names_)[0])

/* A stream that says how far it is and ends with one thing. */
struct watch {
    const char *member; /* of the last message */
    json_t *last;       /* the message that has it */
    int64_t shown_us;
    bool progress;
    bool shown;
};

/* Columns are for tables and CSV; JSON formats show the whole answer. */
static bool whole(const struct cli *cli)
{
    return cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL;
}

/* --- streams ------------------------------------------------------------------------------------ */

static void show_progress(struct watch *watch, const json_t *message)
{
    int64_t now = clock_monotonic_us();
    char rows[TEXT_COUNT_BYTES], rate[TEXT_COUNT_BYTES];
    long long count = remote_integer(message, "rows") + remote_integer(message, "rowsA") +
                      remote_integer(message, "rowsB") + remote_integer(message, "judged");

    if (!watch->progress || (watch->shown && now - watch->shown_us < PROGRESS_EVERY_US))
        return;
    watch->shown_us = now;
    watch->shown = true;
    text_count((uint64_t)count, rows);
    text_count((uint64_t)remote_integer(message, "rowsPerSecond"), rate);
    char *line =
        message_fill(remote_integer(message, "rowsPerSecond") > 0 ? MSG_PROGRESS : MSG_QUALITY_ROWS,
                     (const char *const[]){ rows, rate }, 2);
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
    free(line);
}

static int take_message(void *context, json_t *message)
{
    struct watch *watch = context;

    show_progress(watch, message);
    if (remote_member(message, watch->member) != NULL) {
        json_decref(watch->last);
        watch->last = json_incref(message);
    }
    return 0;
}

/* Takes `request`. EXIT_OK and the last message, or an exit status after a report. */
static int run_stream(struct cli *cli, const char *method, json_t *request, const char *member,
                      json_t **last_r)
{
    struct watch watch = { .member = member, .progress = isatty(STDERR_FILENO) };
    struct problem problem = { 0 };
    int status, failed;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL) {
        json_decref(request);
        return status;
    }
    failed = connect_stream(client, method, request, take_message, &watch, &problem);
    connect_client_close(&client);
    if (watch.shown)
        fputc('\n', stderr);
    if (failed != 0 || watch.last == NULL) {
        json_decref(watch.last);
        if (failed != 0)
            return problem_report(&problem);
        COMPLAIN(MSG_ANSWER_MALFORMED, member);
        return EXIT_FAILED;
    }
    *last_r = watch.last;
    return EXIT_OK;
}

/* --- figures ------------------------------------------------------------------------------------ */

static void note_count(const json_t *object, const char *name, char text_r[TEXT_COUNT_BYTES])
{
    text_count((uint64_t)remote_integer(object, name), text_r);
}

static char *percent(const json_t *object, const char *name)
{
    return mem_format("%.3f %%", 100 * json_number_value(remote_member(object, name)));
}

static void show_accounts(const json_t *run)
{
    const json_t *accounts = remote_member(run, "accounts");
    char read[TEXT_COUNT_BYTES], delivered[TEXT_COUNT_BYTES], quarantined[TEXT_COUNT_BYTES],
        filtered[TEXT_COUNT_BYTES], duplicates[TEXT_COUNT_BYTES];

    note_count(accounts, "read", read);
    note_count(accounts, "delivered", delivered);
    note_count(accounts, "quarantined", quarantined);
    note_count(accounts, "filtered", filtered);
    note_count(accounts, "duplicates", duplicates);
    NOTE(MSG_QUALITY_ACCOUNTS, read, delivered, quarantined, filtered, duplicates);
    if (remote_text(run, "thresholdExceeded")[0] != '\0')
        NOTE(MSG_QUALITY_THRESHOLD, remote_text(run, "thresholdExceeded"));
}

static void show_key_and_age(const json_t *run)
{
    const json_t *key = remote_member(run, "key"), *age = remote_member(run, "age");
    char rows[TEXT_COUNT_BYTES], keys[TEXT_COUNT_BYTES], repeated[TEXT_COUNT_BYTES];

    note_count(key, "rows", rows);
    note_count(key, "keys", keys);
    note_count(key, "repeated", repeated);
    NOTE(MSG_QUALITY_KEY, keys, rows, repeated);
    if (remote_integer(key, "sampledOneIn") > 1) {
        text_count((uint64_t)remote_integer(key, "sampledOneIn"), rows);
        NOTE(MSG_QUALITY_SAMPLED, rows);
    }
    if (age != NULL) {
        char *week = percent(age, "within7Days"), *month = percent(age, "within30Days"),
             *year = percent(age, "within365Days");
        NOTE(MSG_QUALITY_AGE, remote_text(age, "newest"), week, month, year,
             remote_text(age, "median"));
        free(week);
        free(month);
        free(year);
    }
}

static void show_freshness(const json_t *item)
{
    char age[TEXT_DURATION_BYTES], bound[TEXT_DURATION_BYTES];
    const char *field = remote_text(item, "field");

    text_duration((uint64_t)remote_integer(item, "ageSeconds"), age);
    text_duration((uint64_t)remote_integer(item, "maxAgeSeconds"), bound);
    if (json_is_true(remote_member(item, "nothingFound")))
        NOTE(MSG_QUALITY_UNDATED, field);
    else if (json_is_true(remote_member(item, "met")))
        NOTE(MSG_QUALITY_FRESH, field, age, bound);
    else
        NOTE(MSG_QUALITY_STALE, field, age, bound);
}

static void show_presence(const json_t *item)
{
    char *found = percent(item, "present"), *bound = percent(item, "presentMin");
    const char *field = remote_text(item, "field");

    if (json_is_true(remote_member(item, "nothingFound")))
        NOTE(MSG_QUALITY_NO_RECORD, field);
    else if (json_is_true(remote_member(item, "met")))
        NOTE(MSG_QUALITY_PRESENT, field, found, bound);
    else
        NOTE(MSG_QUALITY_SPARSE, field, found, bound);
    free(found);
    free(bound);
}

static void show_expectations(const json_t *run)
{
    const json_t *items = remote_member(run, "expectations");

    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        if (strcmp(remote_text(item, "kind"), "FRESHNESS") == 0)
            show_freshness(item);
        else
            show_presence(item);
    }
}

static void show_reasons(const json_t *run)
{
    const json_t *reasons = remote_member(run, "reasons");

    for (size_t i = 0; i < json_array_size(reasons) && i < 10; i++) {
        const json_t *reason = json_array_get(reasons, i);
        char count[TEXT_COUNT_BYTES];
        note_count(reason, "count", count);
        NOTE(MSG_QUALITY_REASON, count, remote_text(reason, "field"), remote_text(reason, "code"));
    }
}

/* proto3 JSON leaves zeros out; a table of figures shows them. */
static json_t *field_row(const json_t *field)
{
    json_t *row = json_object();

    for (size_t i = 0; i < COUNT(field_columns); i++) {
        json_t *member = remote_member(field, field_columns[i]);
        if (member != NULL)
            json_object_set(row, field_columns[i], member);
        else if (strstr(field_columns[i], "Trend") == NULL)
            json_object_set_new(row, field_columns[i], json_integer(0));
    }
    return row;
}

static int show_run(struct cli *cli, const json_t *run, json_t *answer)
{
    struct output *output = cli_output(cli);
    const json_t *fields = remote_member(run, "fields");
    int failed = 0;

    if (whole(cli)) {
        failed = output_object(output, answer);
    } else {
        output_set_columns(output, field_columns, COUNT(field_columns));
        for (size_t i = 0; failed == 0 && i < json_array_size(fields); i++) {
            json_t *row = field_row(json_array_get(fields, i));
            failed = output_row(output, row);
            json_decref(row);
        }
    }
    int status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    if (cli->format == OUTPUT_TABLE && run != NULL) {
        show_accounts(run);
        show_key_and_age(run);
        show_expectations(run);
        show_reasons(run);
    }
    return status;
}

/* --- assess and report -------------------------------------------------------------------------- */

int quality_assess(struct cli *cli)
{
    long rate;
    json_t *last, *request;

    if (!cli_option_number(cli, OPT_ROWS_PER_SECOND, 1, RATE_MAX, 0, &rate))
        return EXIT_USAGE;
    request = json_pack("{s:s}", "dataset", cli->operands[0]);
    remote_add_request_id(request);
    if (rate > 0)
        json_object_set_new(request, "rowsPerSecond", json_integer(rate));
    int status = run_stream(cli, "sluice.v1.QualityService/Assess", request, "run", &last);
    if (status != EXIT_OK)
        return status;
    json_t *run = remote_member(last, "run");
    status = show_run(cli, run, run);
    if (status == EXIT_OK && cli_option_set(cli, OPT_STRICT) &&
        remote_integer(remote_member(run, "accounts"), "quarantined") > 0)
        status = EXIT_QUARANTINED;
    json_decref(last);
    return status;
}

static void show_history(const json_t *answer)
{
    const json_t *runs = remote_member(answer, "runs");
    const json_t *quarantine = remote_member(answer, "quarantine");

    for (size_t i = 0; i < json_array_size(runs); i++) {
        const json_t *run = json_array_get(runs, i);
        const json_t *accounts = remote_member(run, "accounts");
        char read[TEXT_COUNT_BYTES], bad[TEXT_COUNT_BYTES];
        note_count(accounts, "read", read);
        note_count(accounts, "quarantined", bad);
        NOTE(MSG_QUALITY_RUN, remote_text(run, "startedAt"), remote_text(run, "state"), read, bad,
             remote_text(run, "trend"));
    }
    for (size_t i = 0; i < json_array_size(quarantine); i++) {
        const json_t *item = json_array_get(quarantine, i);
        char rows[TEXT_COUNT_BYTES];
        note_count(item, "rows", rows);
        NOTE(MSG_QUALITY_QUARANTINE, rows, remote_text(item, "state"));
    }
}

int quality_report(struct cli *cli)
{
    long runs;
    int status;
    json_t *answer, *request;

    if (!cli_option_number(cli, OPT_RUNS, 1, RUNS_MAX, 0, &runs))
        return EXIT_USAGE;
    struct connect_client *client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    request = json_pack("{s:s}", "dataset", cli->operands[0]);
    if (runs > 0)
        json_object_set_new(request, "runs", json_integer(runs));
    status = remote_call(client, "sluice.v1.QualityService/GetReport", request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    status = show_run(cli, remote_member(answer, "run"), answer);
    if (cli->format == OUTPUT_TABLE) {
        show_history(answer);
        if (remote_text(answer, "closed")[0] != '\0')
            NOTE(MSG_DRIFT_CLOSED, remote_text(answer, "closed"));
        drift_notices_show(answer);
    }
    json_decref(answer);
    return status;
}

/* --- compare ------------------------------------------------------------------------------------ */

static int show_conflict(struct output *output, const json_t *conflict)
{
    const json_t *fields = remote_member(conflict, "fields");
    int failed = 0;

    for (size_t i = 0; failed == 0 && i < json_array_size(fields); i++) {
        json_t *row = remote_project(conflict, conflict_columns, COUNT(conflict_columns));
        json_t *field = json_array_get(fields, i);
        json_object_set(row, "field", remote_member(field, "field"));
        json_object_set_new(row, "valueA", json_string(remote_text(field, "valueA")));
        json_object_set_new(row, "valueB", json_string(remote_text(field, "valueB")));
        failed = output_row(output, row);
        json_decref(row);
    }
    return failed;
}

static void show_counts(const json_t *comparison)
{
    const json_t *fields = remote_member(comparison, "fields");
    char only_a[TEXT_COUNT_BYTES], only_b[TEXT_COUNT_BYTES], equal[TEXT_COUNT_BYTES],
        different[TEXT_COUNT_BYTES];

    note_count(comparison, "onlyA", only_a);
    note_count(comparison, "onlyB", only_b);
    note_count(comparison, "equal", equal);
    note_count(comparison, "different", different);
    NOTE(MSG_QUALITY_COMPARED, only_a, only_b, equal, different);
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        note_count(field, "different", different);
        NOTE(MSG_QUALITY_FIELD_DIFFERS, different, remote_text(field, "field"));
    }
}

static json_t *compare_request(struct cli *cli)
{
    const char *fields = cli_option_text(cli, OPT_FIELDS, NULL);
    json_t *names = fields != NULL ? text_split(fields) : json_array(), *request;
    long limit, rate;

    if (names == NULL) {
        (void)cli_usage(cli, MSG_USAGE_LIST, "--fields");
        return NULL;
    }
    if (!cli_option_number(cli, OPT_LIMIT, 1, CONFLICTS_MAX, 0, &limit) ||
        !cli_option_number(cli, OPT_ROWS_PER_SECOND, 1, RATE_MAX, 0, &rate)) {
        json_decref(names);
        return NULL;
    }
    request = json_pack("{s:s, s:s}", "datasetA", cli->operands[0], "datasetB", cli->operands[1]);
    remote_add_text(request, "purpose", cli_option_text(cli, OPT_PURPOSE, NULL));
    remote_add_text(request, "agreement", cli_option_text(cli, OPT_AGREEMENT, NULL));
    remote_add_request_id(request);
    if (limit > 0)
        json_object_set_new(request, "conflicts", json_integer(limit));
    if (rate > 0)
        json_object_set_new(request, "rowsPerSecond", json_integer(rate));
    if (fields != NULL) {
        char *mask = text_field_mask(names);
        remote_add_text(request, "fields", mask);
        free(mask);
    }
    json_decref(names);
    return request;
}

int quality_compare(struct cli *cli)
{
    json_t *request = compare_request(cli), *last;
    int failed = 0;

    if (request == NULL)
        return EXIT_USAGE;
    int status =
        run_stream(cli, "sluice.v1.QualityService/CompareDatasets", request, "comparison", &last);
    if (status != EXIT_OK)
        return status;
    json_t *comparison = remote_member(last, "comparison");
    const json_t *conflicts = remote_member(comparison, "conflicts");
    struct output *output = cli_output(cli);
    if (whole(cli)) {
        failed = output_object(output, comparison);
    } else {
        output_set_columns(output, conflict_columns, COUNT(conflict_columns));
        for (size_t i = 0; failed == 0 && i < json_array_size(conflicts); i++)
            failed = show_conflict(output, json_array_get(conflicts, i));
    }
    status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    if (cli->format == OUTPUT_TABLE)
        show_counts(comparison);
    json_decref(last);
    return status;
}

/* --- quarantine --------------------------------------------------------------------------------- */

/* The filters of list and replay; NULL after a usage complaint. */
static json_t *quarantine_request(struct cli *cli)
{
    static const char *const states[] = { "open", "vanished", "changed", "mended" };
    static const char *const names[] = { "OPEN", "VANISHED", "CHANGED", "MENDED" };
    const char *state = cli_option_text(cli, OPT_STATE, NULL);
    json_t *request = json_pack("{s:s}", "dataset", cli->operands[0]);
    size_t i = 0;

    remote_add_text(request, "code", cli_option_text(cli, OPT_CODE, NULL));
    remote_add_text(request, "field", cli_option_text(cli, OPT_FIELD, NULL));
    while (state != NULL && i < COUNT(states) && strcmp(states[i], state) != 0)
        i++;
    if (i == COUNT(states)) {
        (void)cli_usage(cli, MSG_USAGE_STATE, state);
        json_decref(request);
        return NULL;
    }
    if (state != NULL)
        remote_add_text(request, "state", names[i]);
    return request;
}

struct listing {
    const struct cli *cli;
    struct output *output;
};

static int list_item(void *context, json_t *item)
{
    const struct listing *listing = context;
    json_t *row = whole(listing->cli) ? json_incref(item)
                                      : remote_project(item, item_columns, COUNT(item_columns));
    int failed = output_row(listing->output, row);

    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

int quality_quarantine(struct cli *cli)
{
    struct listing listing = { .cli = cli };
    json_t *request = quarantine_request(cli);
    int status;

    if (request == NULL)
        return EXIT_USAGE;
    struct connect_client *client = remote_open(cli, &status);
    if (client == NULL) {
        json_decref(request);
        return status;
    }
    json_object_set_new(request, "pageSize", json_integer(1000));
    listing.output = cli_output(cli);
    output_set_columns(listing.output, item_columns, COUNT(item_columns));
    status = remote_pages(client, "sluice.v1.QualityService/ListQuarantine", request, "items",
                          list_item, &listing);
    connect_client_close(&client);
    return cli_output_end(&listing.output, status);
}

static int show_values(struct output *output, const json_t *answer, const char *list)
{
    const json_t *values = remote_member(answer, list);
    int failed = 0;

    for (size_t i = 0; failed == 0 && i < json_array_size(values); i++) {
        json_t *row =
            remote_project(json_array_get(values, i), stored_columns, COUNT(stored_columns));
        json_object_set_new(row, "part", json_string(list));
        failed = output_row(output, row);
        json_decref(row);
    }
    return failed;
}

int quality_view(struct cli *cli)
{
    json_t *answer, *request;
    int status, failed;

    if (!text_is_number(cli->operands[1]))
        return cli_usage(cli, MSG_USAGE_ITEM, cli->operands[1]);
    struct connect_client *client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    request = json_pack("{s:s, s:s}", "dataset", cli->operands[0], "id", cli->operands[1]);
    remote_add_text(request, "reason", cli_option_text(cli, OPT_REASON, NULL));
    remote_add_request_id(request);
    status = remote_call(client, "sluice.v1.QualityService/ViewQuarantined", request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    struct output *output = cli_output(cli);
    if (whole(cli)) {
        failed = output_object(output, answer);
    } else {
        output_set_columns(output, stored_columns, COUNT(stored_columns));
        failed = show_values(output, answer, "key");
        if (failed == 0)
            failed = show_values(output, answer, "values");
    }
    status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    if (cli->format == OUTPUT_TABLE) {
        bool chinese = messages_language() == LANGUAGE_ZH;
        NOTE(MSG_QUALITY_VIEW, remote_text(answer, "state"),
             remote_text(remote_member(answer, "item"), "field"), remote_text(answer, "code"),
             remote_text(answer, chinese ? "expectedZh" : "expected"));
        if (json_is_true(remote_member(answer, "masked")))
            NOTE(MSG_QUALITY_MASKED, "--reason");
    }
    json_decref(answer);
    return status;
}

int quality_replay(struct cli *cli)
{
    json_t *request = quarantine_request(cli), *last, *row;
    int failed;

    if (request == NULL)
        return EXIT_USAGE;
    remote_add_request_id(request);
    int status = run_stream(cli, "sluice.v1.QualityService/Replay", request, "done", &last);
    if (status != EXIT_OK)
        return status;
    row = json_object();
    for (size_t i = 0; i < COUNT(replay_columns); i++)
        json_object_set_new(row, replay_columns[i],
                            json_integer(remote_integer(last, replay_columns[i])));
    struct output *output = cli_output(cli);
    output_set_columns(output, replay_columns, COUNT(replay_columns));
    failed = whole(cli) ? output_object(output, row) : output_row(output, row);
    json_decref(row);
    json_decref(last);
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}
