/* sluice audit opening: opening an entry's salt takes two officers. */
#include <stdlib.h>
#include <string.h>

#include "cli/remote.h"
#include "cli/text.h"

static const char *const columns[] = { "id",          "index",      "state",
                                       "dataset",     "reason",     "requestedBy",
                                       "requestTime", "approvedBy", "approverDepartment",
                                       "expireTime" };
enum { COLUMNS = sizeof columns / sizeof *columns };

static int show_row(void *output, json_t *opening)
{
    json_t *row = remote_project(opening, columns, COLUMNS);
    int failed = output_row(output, row);

    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

static int list(struct cli *cli, struct connect_client *client)
{
    struct output *output = cli_output(cli);
    int status;

    output_set_columns(output, columns, COLUMNS);
    status = remote_pages(client, "sluice.v1.AuditService/ListOpenings", json_object(), "openings",
                          show_row, output);
    return cli_output_end(&output, status);
}

/* Takes `request`; shows the opening that is answered. */
static int change(struct cli *cli, struct connect_client *client, const char *method,
                  json_t *request)
{
    json_t *answer;
    struct output *output;
    int status = remote_call(client, method, request, &answer);

    if (status != EXIT_OK)
        return status;
    output = cli_output(cli);
    status = output_object(output, answer) == 0 ? EXIT_OK : EXIT_FAILED;
    if (strcmp(remote_text(answer, "state"), "REQUESTED") == 0)
        NOTE(MSG_OPENING_NEXT, remote_text(answer, "approverDepartment"),
             remote_text(answer, "id"));
    json_decref(answer);
    return cli_output_end(&output, status);
}

int audit_opening(struct cli *cli)
{
    const char *verb = cli->operands[0], *which = cli->operands[1];
    bool asks = strcmp(verb, "request") == 0, lists = strcmp(verb, "list") == 0;
    struct connect_client *client;
    int status;

    if ((!asks && !lists && strcmp(verb, "approve") != 0) || lists != (cli->operand_count == 1))
        return cli_usage(cli, MSG_USAGE_OPENING, NULL);
    if (asks && !cli_option_required(cli, OPT_REASON))
        return EXIT_USAGE;
    client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    if (lists) {
        status = list(cli, client);
    } else if (asks) {
        bool number = which[strspn(which, "0123456789")] == '\0' && strlen(which) <= 18;
        status = change(cli, client, "sluice.v1.AuditService/RequestOpening",
                        json_pack("{s:s, s:s}", number ? "index" : "entryId", which, "reason",
                                  cli_option_text(cli, OPT_REASON, "")));
    } else {
        status = change(cli, client, "sluice.v1.AuditService/ApproveOpening",
                        json_pack("{s:s}", "id", which));
    }
    connect_client_close(&client);
    return status;
}
