/* sluice agreement explain: who can read a field, and why a call would be refused. */
#include <string.h>

#include "cli/agreement.h"
#include "cli/remote.h"
#include "cli/text.h"

static const char *const columns[] = { "id",        "consumer", "modes",   "purposes",  "mask",
                                       "rowFilter", "networks", "windows", "validUntil" };
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

/* The call to be explained; NULL: none was named. */
static json_t *explained_call(struct cli *cli)
{
    static const char *const modes[] = { "lookup", "query", "verify", "transfer" };
    static const char *const values[] = { "LOOKUP", "QUERY", "VERIFY", "TRANSFER" };
    const char *consumer = cli_option_text(cli, OPT_CONSUMER, NULL);
    const char *mode = cli_option_text(cli, OPT_MODES, "lookup"), *value = NULL;

    if (consumer == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(modes[i], mode) == 0)
            value = values[i];
    /* The gateway refuses what is no mode, and says which there are. */
    json_t *call = json_pack("{s:s, s:s}", "consumer", consumer, "mode",
                             value != NULL ? value : "AGREEMENT_MODE_UNSPECIFIED");
    remote_add_text(call, "purpose", cli_option_text(cli, OPT_PURPOSE, NULL));
    remote_add_text(call, "agreement", cli_option_text(cli, OPT_AGREEMENT, NULL));
    return call;
}

static int show_readers(struct cli *cli, const json_t *answer)
{
    const json_t *readers = remote_member(answer, "readers");
    struct output *output = cli_output(cli);
    int failed = 0;

    output_set_columns(output, columns, COLUMN_COUNT);
    for (size_t i = 0; failed == 0 && i < json_array_size(readers); i++) {
        const json_t *reader = json_array_get(readers, i);
        json_t *row = remote_project(remote_member(reader, "agreement"), columns, COLUMN_COUNT);
        json_t *mask = remote_member(reader, "mask");
        if (mask != NULL) {
            json_t *masks = json_pack("{s:[O]}", "masks", mask);
            agreement_show_masks(cli, masks);
            json_object_set(row, "mask", json_array_get(remote_member(masks, "masks"), 0));
            json_decref(masks);
        }
        failed = output_row(output, row);
        json_decref(row);
    }
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

static void show_explanation(const json_t *explanation)
{
    if (explanation == NULL)
        return;
    if (json_is_true(remote_member(explanation, "allowed")))
        NOTE(MSG_EXPLAIN_ALLOWED, remote_text(explanation, "agreement"),
             remote_text(explanation, "rule"));
    else
        NOTE(MSG_EXPLAIN_REFUSED, remote_text(explanation, "rule"),
             remote_text(explanation, "text"), remote_text(explanation, "reason"),
             remote_text(explanation, "wouldAllow"));
}

int agreement_explain(struct cli *cli)
{
    json_t *request, *answer, *call = explained_call(cli);
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL) {
        json_decref(call);
        return status;
    }
    request = json_pack("{s:s}", "dataset", cli->operands[0]);
    if (cli->operand_count > 1)
        remote_add_text(request, "field", cli->operands[1]);
    if (call != NULL)
        json_object_set_new(request, "call", call);
    status = remote_call(client, "sluice.v1.AgreementService/ExplainAccess", request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    if (cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL)
        return remote_show(cli, answer, columns, COLUMN_COUNT);
    status = show_readers(cli, answer);
    show_explanation(remote_member(answer, "explanation"));
    json_decref(answer);
    return status;
}
