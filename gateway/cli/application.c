/* sluice application …: drafting, moving and reading applications for access. */
#include <string.h>

#include "cli/agreement.h"
#include "cli/case_cells.h"
#include "cli/remote.h"
#include "cli/text.h"

enum { WORKING_DAYS_MAX = 366, AVAILABLE_BYTES_MAX = 65536 };

/* One command, one step. */
static const struct step {
    const char *command;
    const char *method;
    enum cli_option required[3];
} steps[] = {
    { "sign-off", "SignOff", { OPT_NONE } },
    { "submit", "SubmitApplication", { OPT_NONE } },
    { "supplement", "AskSupplement", { OPT_REASON } },
    { "answer", "AnswerSupplement", { OPT_REASON } },
    { "extend", "AskExtension", { OPT_WORKING_DAYS, OPT_REASON } },
    { "consent", "Extend", { OPT_NONE } },
    { "decide", "Decide", { OPT_NONE } },
    { "provision", "Provision", { OPT_NONE } },
    { "activate", "Activate", { OPT_NONE } },
    { "suspend", "Suspend", { OPT_REASON } },
    { "resume", "Resume", { OPT_REASON } },
    { "terminate", "Terminate", { OPT_REASON, OPT_NEGOTIATION, OPT_FILING } },
    { "dispose", "RequireDisposal", { OPT_WORKING_DAYS } },
    { "confirm-disposal", "ConfirmDisposal", { OPT_CERTIFICATE } },
};

static const char *const columns[] = { "id",    "dataset", "consumer",        "state",
                                       "since", "due",     "workingDaysLeft", "overdue" };
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

/* --- showing -------------------------------------------------------------------------------------
 */
static json_t *list_row(const json_t *application)
{
    const json_t *terms = remote_member(application, "terms");
    json_t *row = json_object();

    case_copy(row, "id", application, "id");
    case_copy(row, "dataset", terms, "dataset");
    case_copy(row, "consumer", terms, "consumer");
    case_copy(row, "state", application, "state");
    case_copy(row, "since", application, "stateSince");
    case_add_deadline(row, application);
    return row;
}

static json_t *whole_row(const struct cli *cli, json_t *application)
{
    static const char *const of_terms[] = { "fields",          "rowFilter", "purposes",
                                            "modes",           "validFrom", "validUntil",
                                            "ratePerSecond",   "rateBurst", "dailyQuota",
                                            "masks",           "networks",  "windows",
                                            "onwardRecipient", "legalBasis" };
    static const char *const own[] = { "scenario",    "scope",           "applicant",
                                       "createdAt",   "signedOffBy",     "receivedAt",
                                       "completedAt", "decidedBy",       "decisionReason",
                                       "agreement",   "agreementRevoked" };
    json_t *terms = remote_member(application, "terms");
    json_t *row = list_row(application);

    agreement_show_masks(cli, terms);
    for (size_t i = 0; i < sizeof of_terms / sizeof of_terms[0]; i++)
        if (remote_member(terms, of_terms[i]) != NULL)
            case_copy(row, of_terms[i], terms, of_terms[i]);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (remote_member(application, own[i]) != NULL)
            case_copy(row, own[i], application, own[i]);
    case_add_steps(row, application);
    return row;
}

/* "already available from civil-affairs/towns: code, name" */
static void say_available(const json_t *application)
{
    const json_t *list = remote_member(application, "alreadyAvailable");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i), *fields = remote_member(one, "fields");
        bool granted = json_is_true(remote_member(one, "granted"));
        struct buf names;
        buf_init(&names, AVAILABLE_BYTES_MAX);
        for (size_t j = 0; j < json_array_size(fields); j++) {
            (void)buf_append_str(&names, j > 0 ? ", " : "");
            (void)buf_append_str(&names, json_string_value(json_array_get(fields, j)));
        }
        NOTE(MSG_ALREADY_AVAILABLE, remote_text(one, "dataset"), buf_cstr(&names),
             granted ? message(MSG_ALREADY_GRANTED) : "");
        buf_fini(&names);
    }
}

/* Takes `request`; calls and shows the application that is answered. */
static int call_and_show(struct cli *cli, const char *method, json_t *request)
{
    int status, failed;
    struct connect_client *client = remote_open(cli, &status);
    json_t *answer;
    char path[80];

    if (client == NULL) {
        json_decref(request);
        return status;
    }
    (void)snprintf(path, sizeof path, "sluice.v1.AgreementService/%s", method);
    status = remote_call(client, path, request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    struct output *output = cli_output(cli);
    bool whole = cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL;
    json_t *row = whole ? json_incref(answer) : whole_row(cli, answer);
    failed = output_object(output, row);
    say_available(answer);
    json_decref(row);
    json_decref(answer);
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

/* --- request -------------------------------------------------------------------------------------
 */
int application_request(struct cli *cli)
{
    static const enum cli_option required[] = { OPT_LEGAL_BASIS, OPT_SCENARIO, OPT_SCOPE };
    json_t *fields, *terms, *request;

    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (!cli_option_required(cli, required[i]))
            return EXIT_USAGE;
    terms = agreement_terms(cli);
    if (terms == NULL)
        return EXIT_USAGE;
    fields = text_split(cli_option_text(cli, OPT_FIELDS, ""));
    if (fields == NULL) {
        json_decref(terms);
        return cli_usage(cli, MSG_USAGE_LIST, "--fields");
    }
    json_object_set_new(terms, "fields", fields);
    request = json_pack("{s:{s:o, s:s, s:s}}", "application", "terms", terms, "scenario",
                        cli_option_text(cli, OPT_SCENARIO, ""), "scope",
                        cli_option_text(cli, OPT_SCOPE, ""));
    remote_add_request_id(request);
    return call_and_show(cli, "RequestAccess", request);
}

/* --- steps ---------------------------------------------------------------------------------------
 */
/* agree or refuse -> the enum's word; false after a usage complaint. */
static bool add_decision(struct cli *cli, json_t *request)
{
    const char *word = cli->operands[1];
    bool refuses = strcmp(word, "refuse") == 0;

    if (!refuses && strcmp(word, "agree") != 0) {
        (void)cli_usage(cli, MSG_USAGE_DECISION, word);
        return false;
    }
    json_object_set_new(request, "decision", json_string(refuses ? "REFUSE" : "AGREE"));
    return !refuses || cli_option_required(cli, OPT_REASON);
}

int application_step(struct cli *cli)
{
    const struct step *step = steps;
    json_t *request;
    long days = 0;

    while (strcmp(step->command, cli->command->name) != 0)
        step++;
    for (size_t i = 0; i < 3 && step->required[i] != OPT_NONE; i++)
        if (!cli_option_required(cli, step->required[i]))
            return EXIT_USAGE;
    if (!cli_option_number(cli, OPT_WORKING_DAYS, 1, WORKING_DAYS_MAX, 0, &days))
        return EXIT_USAGE;
    request = json_pack("{s:s}", "id", cli->operands[0]);
    if (strcmp(step->method, "Decide") == 0 && !add_decision(cli, request)) {
        json_decref(request);
        return EXIT_USAGE;
    }
    remote_add_text(request, "note", cli_option_text(cli, OPT_REASON, NULL));
    remote_add_text(request, "note", cli_option_text(cli, OPT_CERTIFICATE, NULL));
    remote_add_text(request, "negotiationRef", cli_option_text(cli, OPT_NEGOTIATION, NULL));
    remote_add_text(request, "filingRef", cli_option_text(cli, OPT_FILING, NULL));
    if (days > 0)
        json_object_set_new(request, "days", json_integer(days));
    remote_add_request_id(request);
    return call_and_show(cli, step->method, request);
}

/* --- list, show ----------------------------------------------------------------------------------
 */
struct listing {
    struct output *output;
    bool whole;
};

static int list_item(void *context, json_t *item)
{
    const struct listing *listing = context;
    json_t *row = listing->whole ? json_incref(item) : list_row(item);
    int failed = output_row(listing->output, row);

    json_decref(row);
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

/* disposal-due -> DISPOSAL_DUE; the gateway knows which there are. */
static void add_state(json_t *request, const char *state)
{
    char word[64];

    if (state == NULL)
        return;
    (void)snprintf(word, sizeof word, "%s", state);
    for (char *p = word; *p != '\0'; p++)
        *p = *p == '-' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    remote_add_text(request, "state", word);
}

int application_list(struct cli *cli)
{
    struct listing listing = { .whole = cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL };
    json_t *request;
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    request = json_pack("{s:i}", "pageSize", 1000);
    remote_add_text(request, "dataset", cli_option_text(cli, OPT_DATASET, NULL));
    add_state(request, cli_option_text(cli, OPT_APPLICATION_STATE, NULL));
    if (cli_option_set(cli, OPT_OVERDUE))
        json_object_set_new(request, "overdue", json_true());
    listing.output = cli_output(cli);
    output_set_columns(listing.output, columns, COLUMN_COUNT);
    status = remote_pages(client, "sluice.v1.AgreementService/ListApplications", request,
                          "applications", list_item, &listing);
    connect_client_close(&client);
    return cli_output_end(&listing.output, status);
}

int application_show(struct cli *cli)
{
    return call_and_show(cli, "GetApplication", json_pack("{s:s}", "id", cli->operands[0]));
}
