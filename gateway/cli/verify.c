/* sluice verify */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/text.h"

static const struct {
    const char *outcome;
    int exit_status;
    enum message_id text;
} outcomes[] = {
    { "MATCH", EXIT_OK, MSG_VERIFY_MATCH },
    { "MISMATCH", EXIT_MISMATCH, MSG_VERIFY_MISMATCH },
    { "NO_RECORD", EXIT_NOT_FOUND, MSG_VERIFY_NO_RECORD },
    { "INCONCLUSIVE", EXIT_QUARANTINED, MSG_VERIFY_INCONCLUSIVE },
};

/* field=value words as claims; NULL after a usage complaint. */
static json_t *claims_of(struct cli *cli)
{
    json_t *claims = json_array();

    for (size_t i = 2; i < cli->operand_count; i++) {
        const char *word = cli->operands[i];
        const char *equals = strchr(word, '=');
        json_t *claim = equals == NULL || equals == word
                            ? NULL
                            : json_pack("{s:s%, s:s}", "field", word, (size_t)(equals - word),
                                        "value", equals + 1);
        if (claim == NULL) { /* or a value that is not UTF-8 */
            (void)cli_usage(cli, MSG_USAGE_CLAIM, word);
            json_decref(claims);
            return NULL;
        }
        json_array_append_new(claims, claim);
    }
    return claims;
}

static int show_outcome(struct cli *cli, json_t *answer)
{
    const char *outcome = remote_text(answer, "outcome");
    size_t i = 0, count = sizeof outcomes / sizeof outcomes[0];

    while (i < count && strcmp(outcomes[i].outcome, outcome) != 0)
        i++;
    if (i == count) {
        COMPLAIN(MSG_ANSWER_MALFORMED, "outcome");
        return EXIT_TROUBLE;
    }
    json_object_del(answer, "padding");
    struct output *output = cli_output(cli);
    int failed =
        cli->format == OUTPUT_CSV ? output_row(output, answer) : output_object(output, answer);
    int status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_TROUBLE);
    if (status != EXIT_OK)
        return EXIT_TROUBLE;
    if (cli->format == OUTPUT_TABLE)
        NOTE(outcomes[i].text);
    return outcomes[i].exit_status;
}

int verify_run(struct cli *cli)
{
    json_t *claims, *answer, *request;
    struct connect_client *client;
    int status;

    if (!cli_option_required(cli, OPT_PURPOSE) || (claims = claims_of(cli)) == NULL)
        return EXIT_USAGE;
    client = remote_open(cli, &status);
    if (client == NULL) {
        json_decref(claims);
        return status == EXIT_FAILED ? EXIT_TROUBLE : status;
    }
    request = json_pack("{s:s, s:s, s:o}", "dataset", cli->operands[0], "key", cli->operands[1],
                        "claims", claims);
    remote_add_text(request, "purpose", cli_option_text(cli, OPT_PURPOSE, NULL));
    remote_add_text(request, "agreement", cli_option_text(cli, OPT_AGREEMENT, NULL));
    remote_add_request_id(request);
    status = remote_call(client, "sluice.v1.ExchangeService/Verify", request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK) /* 1 says that the claims are wrong, nothing else */
        return status == EXIT_FAILED ? EXIT_TROUBLE : status;
    status = show_outcome(cli, answer);
    json_decref(answer);
    return status;
}
