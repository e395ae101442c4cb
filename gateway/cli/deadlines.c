/* sluice application due|scorecard: what waits for a department, and how it kept its deadlines. */
#include <stdio.h>

#include "cli/case_cells.h"
#include "cli/remote.h"

enum { WITHIN_DAYS_MAX = 366 };

/* Takes `request`; an answer, or NULL with the exit status after a report. */
static json_t *call(const struct cli *cli, const char *method, json_t *request, int *status_r)
{
    json_t *answer = NULL;
    struct connect_client *client = remote_open(cli, status_r);

    if (client == NULL) {
        json_decref(request);
        return NULL;
    }
    *status_r = remote_call(client, method, request, &answer);
    connect_client_close(&client);
    return *status_r == EXIT_OK ? answer : NULL;
}

static json_t *due_row(const json_t *due)
{
    const json_t *deadline = remote_member(due, "deadline");
    const char *id = remote_text(due, "application");
    long long missing = remote_integer(deadline, "calendarMissing");

    case_note_missing(missing);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:b}", "id", id[0] != '\0' ? id : remote_text(due, "entry"),
        "dataset", remote_text(due, "dataset"), "state", remote_text(due, "state"), "kind",
        remote_text(deadline, "kind"), "due", remote_text(deadline, "due"), "workingDaysLeft",
        missing == 0 ? json_integer(remote_integer(deadline, "workingDaysLeft")) : json_string(""),
        "overdue", json_is_true(remote_member(deadline, "overdue")));
}

static json_t *scorecard_row(const json_t *line)
{
    static const char *const counts[] = { "ended", "late", "untold", "overdue" };
    json_t *row = json_pack("{s:s, s:s}", "department", remote_text(line, "department"), "kind",
                            remote_text(line, "kind"));

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(row, counts[i], json_integer(remote_integer(line, counts[i])));
    return row;
}

/* A row for each member of `list`; JSON shows the answer as it is. Takes `answer`. */
static int show(const struct cli *cli, json_t *answer, const char *list,
                json_t *(*make)(const json_t *item), const char *const *columns, size_t count)
{
    struct output *output = cli_output(cli);
    const json_t *items = remote_member(answer, list);
    int failed = 0;

    if (cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL) {
        failed = output_object(output, answer);
    } else {
        output_set_columns(output, columns, count);
        for (size_t i = 0; failed == 0 && i < json_array_size(items); i++) {
            json_t *row = make(json_array_get(items, i));
            failed = output_row(output, row);
            json_decref(row);
        }
    }
    json_decref(answer);
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

int application_due(struct cli *cli)
{
    static const char *const columns[] = { "id",  "dataset",         "state",  "kind",
                                           "due", "workingDaysLeft", "overdue" };
    long within = 0;
    int status;

    if (!cli_option_number(cli, OPT_WORKING_DAYS, 1, WITHIN_DAYS_MAX, 0, &within))
        return EXIT_USAGE;
    json_t *answer = call(cli, "sluice.v1.AgreementService/ListDue",
                          json_pack("{s:i}", "within", (int)within), &status);
    if (answer == NULL)
        return status;
    return show(cli, answer, "due", due_row, columns, sizeof columns / sizeof columns[0]);
}

int application_scorecard(struct cli *cli)
{
    static const char *const columns[] = { "department", "kind",   "ended",
                                           "late",       "untold", "overdue" };
    json_t *request = json_object();
    int status;

    if (cli->operand_count > 0)
        remote_add_text(request, "month", cli->operands[0]);
    json_t *answer = call(cli, "sluice.v1.AgreementService/GetScorecard", request, &status);
    if (answer == NULL)
        return status;
    case_note_missing(remote_integer(answer, "calendarMissing"));
    return show(cli, answer, "lines", scorecard_row, columns, sizeof columns / sizeof columns[0]);
}
