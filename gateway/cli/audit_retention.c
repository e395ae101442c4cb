/* sluice audit erasure, hold: erasing an entry's salt, and legal holds; both take two officers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/dates.h"
#include "cli/remote.h"
#include "cli/text.h"

static const char *const erasure_columns[] = { "id",          "index",      "state",
                                               "dataset",     "reason",     "requestedBy",
                                               "requestTime", "approvedBy", "expireTime" };
static const char *const hold_columns[] = {
    "id",        "state",           "scope",      "reason",  "placedBy",
    "placeTime", "liftRequestedBy", "liftReason", "liftedBy"
};
#define COUNT(names_) (sizeof(names_) / sizeof(names_)[0])

/* --- rows --------------------------------------------------------------------------------------- */

static int show_erasure(void *output, json_t *erasure)
{
    json_t *row = remote_project(erasure, erasure_columns, COUNT(erasure_columns));
    int failed = output_row(output, row);

    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

/* In a table a scope is one cell: "dataset=statistics/streets timeFrom=...". */
static char *scope_text(const json_t *scope)
{
    char *text = mem_strdup("");
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)scope, name, value)
    {
        const char *shown = remote_text(scope, name);
        if (shown[0] == '\0' || strcmp(shown, "0") == 0)
            continue;
        char *longer = mem_format("%s%s%s=%s", text, text[0] != '\0' ? " " : "", name, shown);
        free(text);
        text = longer;
    }
    return text;
}

static int show_hold(void *output, json_t *hold)
{
    json_t *row = remote_project(hold, hold_columns, COUNT(hold_columns));
    char *scope = scope_text(remote_member(hold, "scope"));
    int failed;

    json_object_set_new(row, "scope", json_string(scope));
    failed = output_row(output, row);
    free(scope);
    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

/* --- calls -------------------------------------------------------------------------------------- */

/* Takes `request`; shows what is answered, and what comes next while `waiting` is its state. */
static int change(struct cli *cli, const char *method, json_t *request, const char *waiting,
                  enum message_id next)
{
    json_t *answer;
    struct output *output;
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL) {
        json_decref(request);
        return status;
    }
    status = remote_call(client, method, request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    output = cli_output(cli);
    status = output_object(output, answer) == 0 ? EXIT_OK : EXIT_FAILED;
    if (waiting != NULL && strcmp(remote_text(answer, "state"), waiting) == 0)
        NOTE(next, remote_text(answer, "department"), remote_text(answer, "id"));
    json_decref(answer);
    return cli_output_end(&output, status);
}

static int list(struct cli *cli, const char *method, json_t *request, const char *member,
                remote_item_fn show, const char *const *columns, size_t count)
{
    int status;
    struct connect_client *client = remote_open(cli, &status);
    struct output *output;

    if (client == NULL) {
        json_decref(request);
        return status;
    }
    output = cli_output(cli);
    output_set_columns(output, columns, count);
    status = remote_pages(client, method, request, member, show, output);
    connect_client_close(&client);
    return cli_output_end(&output, status);
}

static const char *reason(const struct cli *cli)
{
    return cli_option_text(cli, OPT_REASON, "");
}

/* --- sluice audit erasure ----------------------------------------------------------------------- */

int audit_erasure(struct cli *cli)
{
    const char *verb = cli->operands[0], *which = cli->operands[1];
    bool asks = strcmp(verb, "request") == 0, lists = strcmp(verb, "list") == 0;

    if ((!asks && !lists && strcmp(verb, "approve") != 0) || lists != (cli->operand_count == 1))
        return cli_usage(cli, MSG_USAGE_ERASURE, NULL);
    if (asks && !cli_option_required(cli, OPT_REASON))
        return EXIT_USAGE;
    if (lists)
        return list(cli, "sluice.v1.AuditService/ListErasures", json_object(), "erasures",
                    show_erasure, erasure_columns, COUNT(erasure_columns));
    if (!asks)
        return change(cli, "sluice.v1.AuditService/ApproveErasure", json_pack("{s:s}", "id", which),
                      NULL, MSG_ERASURE_NEXT);
    bool number = which[strspn(which, "0123456789")] == '\0' && strlen(which) <= 18;
    return change(
        cli, "sluice.v1.AuditService/RequestErasure",
        json_pack("{s:s, s:s}", number ? "index" : "entryId", which, "reason", reason(cli)),
        "REQUESTED", MSG_ERASURE_NEXT);
}

/* --- sluice audit hold -------------------------------------------------------------------------- */

static bool add_time(struct cli *cli, enum cli_option option, enum dates_side side, json_t *scope,
                     const char *member)
{
    const char *text = cli_option_text(cli, option, NULL);
    char time[DATES_TEXT_BYTES];

    if (text == NULL)
        return true;
    if (!dates_parse(text, side, time)) {
        (void)cli_usage(cli, MSG_USAGE_DATE, text);
        return false;
    }
    json_object_set_new(scope, member, json_string(time));
    return true;
}

/* "5120-6000": both included, as people count; the second may be left out. */
static bool add_indexes(struct cli *cli, json_t *scope)
{
    const char *text = cli_option_text(cli, OPT_INDEXES, NULL);
    size_t first = text != NULL ? strspn(text, "0123456789") : 0;

    if (text == NULL)
        return true;
    const char *rest = text + first + (text[first] == '-' ? 1 : 0);
    size_t second = strspn(rest, "0123456789");
    if (first == 0 || first > 18 || second > 18 || rest[second] != '\0' || rest == text + first) {
        (void)cli_usage(cli, MSG_USAGE_INDEXES, text);
        return false;
    }
    json_object_set_new(scope, "indexFrom", json_integer(strtoll(text, NULL, 10)));
    if (second > 0)
        json_object_set_new(scope, "indexTo", json_integer(strtoll(rest, NULL, 10) + 1));
    return true;
}

static int place(struct cli *cli)
{
    json_t *scope = json_object();

    remote_add_text(scope, "department", cli_option_text(cli, OPT_DEPARTMENT, NULL));
    remote_add_text(scope, "dataset", cli_option_text(cli, OPT_DATASET, NULL));
    remote_add_text(scope, "agreement", cli_option_text(cli, OPT_AGREEMENT, NULL));
    remote_add_text(scope, "exchangeId", cli_option_text(cli, OPT_EXCHANGE, NULL));
    if (!add_time(cli, OPT_FROM, DATES_START_OF_DAY, scope, "timeFrom") ||
        !add_time(cli, OPT_TO, DATES_NEXT_DAY, scope, "timeTo") || !add_indexes(cli, scope)) {
        json_decref(scope);
        return EXIT_USAGE;
    }
    return change(cli, "sluice.v1.AuditService/PlaceHold",
                  json_pack("{s:o, s:s}", "scope", scope, "reason", reason(cli)), NULL,
                  MSG_HOLD_NEXT);
}

int audit_hold(struct cli *cli)
{
    const char *verb = cli->operands[0], *which = cli->operands[1];
    bool places = strcmp(verb, "place") == 0, lists = strcmp(verb, "list") == 0;
    bool lifts = strcmp(verb, "lift") == 0;

    if ((!places && !lists && !lifts && strcmp(verb, "approve") != 0) ||
        (places || lists) != (cli->operand_count == 1))
        return cli_usage(cli, MSG_USAGE_HOLD, NULL);
    if ((places || lifts) && !cli_option_required(cli, OPT_REASON))
        return EXIT_USAGE;
    if (places)
        return place(cli);
    if (lists)
        return list(cli, "sluice.v1.AuditService/ListHolds", json_object(), "holds", show_hold,
                    hold_columns, COUNT(hold_columns));
    if (lifts)
        return change(cli, "sluice.v1.AuditService/RequestLift",
                      json_pack("{s:s, s:s}", "id", which, "reason", reason(cli)), "LIFT_REQUESTED",
                      MSG_HOLD_NEXT);
    return change(cli, "sluice.v1.AuditService/ApproveLift", json_pack("{s:s}", "id", which), NULL,
                  MSG_HOLD_NEXT);
}
