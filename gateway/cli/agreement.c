/* sluice agreement grant|list|show|revoke */
#include <stdlib.h>
#include <string.h>

#include "cli/agreement.h"
#include "cli/dates.h"
#include "cli/remote.h"
#include "cli/text.h"

enum { DAYS_MAX = 36500, BURST_MAX = 1000000000 };
#define QUOTA_MAX 1000000000000L /* records a day, as AgreementService takes */

static const char *const columns[] = { "id",    "consumer",   "dataset",    "modes",  "purposes",
                                       "state", "validUntil", "dailyQuota", "fields", "masks" };
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

static const char *const mode_names[] = { "lookup", "query", "verify", "transfer" };
static const char *const mode_values[] = { "LOOKUP", "QUERY", "VERIFY", "TRANSFER" };
enum { MODE_COUNT = sizeof mode_names / sizeof mode_names[0] };

struct listing {
    const struct cli *cli;
    struct output *output;
    enum output_format format;
};

/* --- grant -------------------------------------------------------------------------------------
 */
/* --modes lookup,query -> ["LOOKUP", "QUERY"]; NULL after a usage complaint. */
static json_t *grant_modes(struct cli *cli)
{
    json_t *words = text_split(cli_option_text(cli, OPT_MODES, ""));
    json_t *modes = json_array();

    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        size_t m = 0;

        while (m < MODE_COUNT && strcmp(word, mode_names[m]) != 0)
            m++;
        if (m == MODE_COUNT) {
            (void)cli_usage(cli, MSG_USAGE_MODE, word);
            json_decref(modes);
            modes = NULL;
            break;
        }
        json_array_append_new(modes, json_string(mode_values[m]));
    }
    json_decref(words);
    return modes;
}

/* Every field of the dataset by name; an exit status after a report. */
static int all_fields(struct connect_client *client, const char *dataset, json_t *names)
{
    json_t *answer;
    int status = remote_call(client, "sluice.v1.CatalogService/GetDataset",
                             json_pack("{s:s}", "name", dataset), &answer);

    if (status != EXIT_OK)
        return status;
    const json_t *fields = remote_member(answer, "fields");
    for (size_t i = 0; i < json_array_size(fields); i++)
        json_array_append(names, remote_member(json_array_get(fields, i), "name"));
    json_decref(answer);
    return EXIT_OK;
}

static int grant_validity(struct cli *cli, json_t *agreement)
{
    const char *until = cli_option_text(cli, OPT_VALID_UNTIL, NULL);
    const char *from = cli_option_text(cli, OPT_VALID_FROM, NULL);
    char text[DATES_TEXT_BYTES];
    long days;

    if (!cli_option_number(cli, OPT_DAYS, 1, DAYS_MAX, 0, &days))
        return -1;
    if ((until == NULL) == (days == 0)) {
        (void)cli_usage(cli, MSG_USAGE_VALIDITY, NULL);
        return -1;
    }
    if (days > 0) {
        dates_after_days(days, text);
    } else if (!dates_parse(until, DATES_END_OF_DAY, text)) {
        (void)cli_usage(cli, MSG_USAGE_DATE, until);
        return -1;
    }
    remote_add_text(agreement, "validUntil", text);
    if (from != NULL && !dates_parse(from, DATES_START_OF_DAY, text)) {
        (void)cli_usage(cli, MSG_USAGE_DATE, from);
        return -1;
    }
    if (from != NULL)
        remote_add_text(agreement, "validFrom", text);
    return 0;
}

static int grant_limits(struct cli *cli, json_t *agreement)
{
    double rate;
    long burst, quota;

    if (!cli_option_decimal(cli, OPT_RATE, 0, &rate) ||
        !cli_option_number(cli, OPT_BURST, 0, BURST_MAX, 0, &burst) ||
        !cli_option_number(cli, OPT_DAILY_QUOTA, 1, QUOTA_MAX, 0, &quota))
        return -1;
    if (rate > 0)
        json_object_set_new(agreement, "ratePerSecond", json_real(rate));
    if (burst > 0)
        json_object_set_new(agreement, "rateBurst", json_integer(burst));
    if (quota > 0)
        json_object_set_new(agreement, "dailyQuota", json_integer(quota));
    return 0;
}

/* Where from, when, to whom. */
static int grant_bounds(struct cli *cli, json_t *agreement)
{
    static const struct {
        enum cli_option option;
        const char *name, *member;
    } lists[] = { { OPT_NETWORKS, "--networks", "networks" },
                  { OPT_WINDOWS, "--windows", "windows" } };

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const char *text = cli_option_text(cli, lists[i].option, NULL);
        json_t *words = text != NULL ? text_split(text) : NULL;
        if (text != NULL && words == NULL) {
            (void)cli_usage(cli, MSG_USAGE_LIST, lists[i].name);
            return -1;
        }
        if (words != NULL)
            json_object_set_new(agreement, lists[i].member, words);
    }
    remote_add_text(agreement, "onwardRecipient", cli_option_text(cli, OPT_ONWARD, NULL));
    return 0;
}

json_t *agreement_terms(struct cli *cli)
{
    static const enum cli_option required[] = { OPT_CONSUMER, OPT_DATASET, OPT_FIELDS, OPT_PURPOSES,
                                                OPT_MODES };
    json_t *agreement = json_object(), *purposes, *modes;

    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (!cli_option_required(cli, required[i])) {
            json_decref(agreement);
            return NULL;
        }
    }
    purposes = text_split(cli_option_text(cli, OPT_PURPOSES, ""));
    if (purposes == NULL)
        (void)cli_usage(cli, MSG_USAGE_LIST, "--purposes");
    modes = purposes != NULL ? grant_modes(cli) : NULL;
    if (modes == NULL || grant_validity(cli, agreement) != 0 || grant_limits(cli, agreement) != 0 ||
        grant_bounds(cli, agreement) != 0 || agreement_add_masks(cli, agreement) != 0) {
        json_decref(purposes);
        json_decref(modes);
        json_decref(agreement);
        return NULL;
    }
    json_object_set_new(agreement, "purposes", purposes);
    json_object_set_new(agreement, "modes", modes);
    remote_add_text(agreement, "id", cli_option_text(cli, OPT_ID, NULL));
    remote_add_text(agreement, "consumer", cli_option_text(cli, OPT_CONSUMER, NULL));
    remote_add_text(agreement, "dataset", cli_option_text(cli, OPT_DATASET, NULL));
    remote_add_text(agreement, "rowFilter", cli_option_text(cli, OPT_ROW_FILTER, NULL));
    remote_add_text(agreement, "legalBasis", cli_option_text(cli, OPT_LEGAL_BASIS, NULL));
    return agreement;
}

/* Takes `request`; calls and shows the agreement that is answered. */
static int call_and_show(struct cli *cli, struct connect_client *client, const char *method,
                         json_t *request)
{
    json_t *answer;
    int status = remote_call(client, method, request, &answer);

    if (status != EXIT_OK)
        return status;
    agreement_show_masks(cli, answer);
    return remote_show(cli, answer, columns, COLUMN_COUNT);
}

int agreement_grant(struct cli *cli)
{
    json_t *agreement = agreement_terms(cli), *fields, *request;
    const char *wanted = cli_option_text(cli, OPT_FIELDS, "");
    struct connect_client *client = NULL;
    int status = EXIT_USAGE;

    if (agreement == NULL)
        return EXIT_USAGE;
    fields = strcmp(wanted, "all") == 0 ? json_array() : text_split(wanted);
    if (fields == NULL)
        (void)cli_usage(cli, MSG_USAGE_LIST, "--fields");
    else
        client = remote_open(cli, &status);
    if (client != NULL && json_array_size(fields) == 0)
        status = all_fields(client, cli_option_text(cli, OPT_DATASET, ""), fields);
    if (client == NULL || status != EXIT_OK) {
        connect_client_close(&client);
        json_decref(fields);
        json_decref(agreement);
        return status;
    }
    json_object_set_new(agreement, "fields", fields);
    request = json_pack("{s:o}", "agreement", agreement);
    remote_add_request_id(request);
    status = call_and_show(cli, client, "sluice.v1.AgreementService/GrantAgreement", request);
    connect_client_close(&client);
    return status;
}

/* --- list, show, revoke ------------------------------------------------------------------------
 */
static int list_item(void *context, json_t *item)
{
    const struct listing *listing = context;
    bool whole = listing->format == OUTPUT_JSON || listing->format == OUTPUT_JSONL;

    agreement_show_masks(listing->cli, item);
    json_t *row = whole ? json_incref(item) : remote_project(item, columns, COLUMN_COUNT);
    int failed = output_row(listing->output, row);

    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

int agreement_list(struct cli *cli)
{
    struct listing listing = { .cli = cli, .format = cli->format };
    json_t *request = json_pack("{s:i}", "pageSize", 1000);
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL) {
        json_decref(request);
        return status;
    }
    remote_add_text(request, "dataset", cli_option_text(cli, OPT_DATASET, NULL));
    remote_add_text(request, "consumer", cli_option_text(cli, OPT_CONSUMER, NULL));
    listing.output = cli_output(cli);
    output_set_columns(listing.output, columns, COLUMN_COUNT);
    status = remote_pages(client, "sluice.v1.AgreementService/ListAgreements", request,
                          "agreements", list_item, &listing);
    connect_client_close(&client);
    return cli_output_end(&listing.output, status);
}

int agreement_show(struct cli *cli)
{
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    status = call_and_show(cli, client, "sluice.v1.AgreementService/GetAgreement",
                           json_pack("{s:s}", "id", cli->operands[0]));
    connect_client_close(&client);
    return status;
}

int agreement_revoke(struct cli *cli)
{
    json_t *request;
    int status;
    struct connect_client *client;

    if (!cli_option_required(cli, OPT_REASON))
        return EXIT_USAGE;
    client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    request = json_pack("{s:s, s:s}", "id", cli->operands[0], "reason",
                        cli_option_text(cli, OPT_REASON, ""));
    remote_add_request_id(request);
    status = call_and_show(cli, client, "sluice.v1.AgreementService/RevokeAgreement", request);
    connect_client_close(&client);
    return status;
}
