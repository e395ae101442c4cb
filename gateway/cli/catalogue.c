/* sluice catalog entries|entry|import and the steps: what departments say of their data, and its life. */
#include <stdlib.h>
#include <string.h>

#include "cli/case_cells.h"
#include "cli/catalogue_csv.h"
#include "cli/catalogue_file.h"
#include "cli/remote.h"

/* One command, one step. */
static const struct step {
    const char *command;
    const char *kind;
    enum cli_option required[2];
} steps[] = {
    { "assess", "ASSESS", { OPT_SECRECY } },
    { "approve", "APPROVE", { OPT_NONE } },
    { "submit", "SUBMIT", { OPT_NONE } },
    { "publish", "PUBLISH", { OPT_NONE } },
    { "return", "RETURN", { OPT_REASON } },
    { "change", "CHANGE", { OPT_REASON } },
    { "extend", "ASK_EXTENSION", { OPT_WORKING_DAYS, OPT_REASON } },
    { "consent", "EXTEND", { OPT_NONE } },
    { "retire", "RETIRE", { OPT_REASON } },
};

enum {
    EXTENSION_DAYS_MAX = 5,
    CATALOGUE_NAME_BYTES = 256,          /* of a dataset, two names of 63 */
    EXPORT_ROWS_BYTES = 64 * 1024 * 1024 /* of one entry, 500 items at their longest */
};

static const char *const columns[] = { "dataset", "title", "sharing",         "state",
                                       "edition", "due",   "workingDaysLeft", "overdue" };
#define COLUMN_COUNT (sizeof columns / sizeof columns[0])

/* --- showing -------------------------------------------------------------------------------------
 */
static json_t *list_row(const json_t *entry)
{
    const json_t *content = remote_member(entry, "content");
    json_t *row = json_object();

    case_copy(row, "dataset", content, "dataset");
    case_copy(row, "title", content, "title");
    case_copy(row, "sharing", content, "sharing");
    case_copy(row, "state", entry, "state");
    case_copy(row, "edition", entry, "edition");
    case_add_deadline(row, entry);
    return row;
}

/* "name type GENERAL_1 NONE statistics (gov.division.v1.Division.name)" */
static void add_items(json_t *row, const json_t *content)
{
    const json_t *list = remote_member(content, "items");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        char name[40];

        (void)snprintf(name, sizeof name, "item %zu", i + 1);
        json_object_set_new(
            row, name,
            json_sprintf("%s %s %s %s %s (%s)", remote_text(item, "name"),
                         remote_text(item, "type"), remote_text(item, "sensitivity"),
                         remote_text(item, "personal"), remote_text(item, "sourceDepartment"),
                         remote_text(item, "element")));
    }
}

static json_t *whole_row(const json_t *entry)
{
    static const char *const of_content[] = {
        "category", "code",   "provider",         "providerCode", "summary",
        "format",   "grade",  "conditions",       "legalBasis",   "modes",
        "cycle",    "public", "publicConditions", "releasedOn",   "relatedCodes"
    };
    static const char *const own[] = { "author",       "secrecyRef",  "impactRef",
                                       "assessedBy",   "approvedBy",  "submittedBy",
                                       "publishedBy",  "publishedAt", "publishedEdition",
                                       "extensionDays" };
    const json_t *content = remote_member(entry, "content");
    json_t *row = list_row(entry);

    for (size_t i = 0; i < sizeof of_content / sizeof of_content[0]; i++)
        if (remote_member(content, of_content[i]) != NULL)
            case_copy(row, of_content[i], content, of_content[i]);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (remote_member(entry, own[i]) != NULL)
            case_copy(row, own[i], entry, own[i]);
    add_items(row, content);
    case_add_steps(row, entry);
    return row;
}

/* Takes `request`; calls and shows the entry that is answered. */
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
    (void)snprintf(path, sizeof path, "sluice.v1.CatalogService/%s", method);
    status = remote_call(client, path, request, &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    struct output *output = cli_output(cli);
    bool whole = cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL;
    json_t *row = whole ? json_incref(answer) : whole_row(answer);
    failed = output_object(output, row);
    json_decref(row);
    json_decref(answer);
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

int catalogue_entry(struct cli *cli)
{
    return call_and_show(cli, "GetCatalogueEntry", json_pack("{s:s}", "dataset", cli->operands[0]));
}

/* --- steps ---------------------------------------------------------------------------------------
 */
int catalogue_step(struct cli *cli)
{
    const struct step *step = steps;
    json_t *request;
    long days = 0;

    while (strcmp(step->command, cli->command->name) != 0)
        step++;
    for (size_t i = 0; i < 2 && step->required[i] != OPT_NONE; i++)
        if (!cli_option_required(cli, step->required[i]))
            return EXIT_USAGE;
    if (!cli_option_number(cli, OPT_WORKING_DAYS, 1, EXTENSION_DAYS_MAX, 0, &days))
        return EXIT_USAGE;
    request = json_pack("{s:s, s:s}", "dataset", cli->operands[0], "kind", step->kind);
    remote_add_text(request, "note", cli_option_text(cli, OPT_REASON, NULL));
    remote_add_text(request, "secrecyRef", cli_option_text(cli, OPT_SECRECY, NULL));
    remote_add_text(request, "impactRef", cli_option_text(cli, OPT_IMPACT, NULL));
    if (days > 0)
        json_object_set_new(request, "days", json_integer(days));
    remote_add_request_id(request);
    return call_and_show(cli, "TakeCatalogueStep", request);
}

/* --- import --------------------------------------------------------------------------------------
 */
static void say(enum message_id id, const json_t *answer)
{
    char written[24], unchanged[24];

    (void)snprintf(written, sizeof written, "%zu",
                   json_array_size(remote_member(answer, "written")));
    (void)snprintf(unchanged, sizeof unchanged, "%zu",
                   json_array_size(remote_member(answer, "unchanged")));
    NOTE(id, written, unchanged);
}

/* The gateway names what it refuses by dataset, or by its path: `In "entries[0].sharing": …`. */
static bool find_place(const struct problem *problem, const struct catalogue_file *file,
                       int *line_r, int *column_r)
{
    static const char in[] = "In \"";
    bool by_path = strncmp(problem->text, in, strlen(in)) == 0;
    const char *begin = problem->text + (by_path ? strlen(in) : 0);
    char name[CATALOGUE_NAME_BYTES];
    size_t len = strcspn(begin, by_path ? "\"" : ":");

    if (len >= sizeof name || begin[len] == '\0')
        return false;
    memcpy(name, begin, len);
    name[len] = '\0';
    return by_path ? catalogue_file_path(file, name, line_r, column_r)
                   : catalogue_file_place(file, name, line_r, column_r);
}

/* The reader is told where in the file it stands. */
static int report(const struct problem *problem, const struct catalogue_file *file,
                  const char *path)
{
    char line_text[16], column_text[16];
    int line, column;

    if (!find_place(problem, file, &line, &column))
        return problem_report(problem);
    (void)snprintf(line_text, sizeof line_text, "%d", line);
    (void)snprintf(column_text, sizeof column_text, "%d", column);
    char *sentence = message_fill(MSG_CATALOGUE_REFUSED,
                                  (const char *const[]){ problem->text, problem->reason }, 2);
    COMPLAIN(MSG_CATALOGUE_FILE, path, line_text, column_text, sentence);
    free(sentence);
    return problem->exit_status;
}

static int send_import(struct cli *cli, const struct catalogue_file *file)
{
    bool dry = cli_option_set(cli, OPT_DRY_RUN);
    struct problem problem = { 0 };
    json_t *answer = NULL;
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    json_t *request = json_pack("{s:O, s:b}", "entries", file->entries, "dryRun", dry);
    remote_add_request_id(request);
    if (connect_unary(client, "sluice.v1.CatalogService/ImportCatalogue", request, &answer,
                      &problem) == 0)
        say(dry ? MSG_CATALOGUE_WOULD : MSG_CATALOGUE_WRITTEN, answer);
    else
        status = report(&problem, file, cli->operands[0]);
    connect_client_close(&client);
    json_decref(answer);
    return status;
}

int catalogue_import(struct cli *cli)
{
    struct catalogue_file file;
    int status =
        catalogue_file_read(&file, cli->operands[0]) == 0 ? send_import(cli, &file) : EXIT_FAILED;

    catalogue_file_fini(&file);
    return status;
}

/* --- entries -------------------------------------------------------------------------------------
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

/* change-due -> CHANGE_DUE; the gateway knows which there are. */
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

static json_t *list_request(const struct cli *cli)
{
    json_t *request = json_object();

    remote_add_text(request, "department", cli_option_text(cli, OPT_DEPARTMENT, NULL));
    add_state(request, cli_option_text(cli, OPT_ENTRY_STATE, NULL));
    if (cli_option_set(cli, OPT_OVERDUE))
        json_object_set_new(request, "overdue", json_true());
    return request;
}

int catalogue_entries(struct cli *cli)
{
    struct listing listing = { .whole = cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL };
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    listing.output = cli_output(cli);
    output_set_columns(listing.output, columns, COLUMN_COUNT);
    status = remote_pages(client, "sluice.v1.CatalogService/ListCatalogueEntries",
                          list_request(cli), "entries", list_item, &listing);
    connect_client_close(&client);
    return cli_output_end(&listing.output, status);
}

/* --- export --------------------------------------------------------------------------------------
 */
/* `element` is the gateway's own and no column. */
static void drop_elements(const json_t *content)
{
    const json_t *items = remote_member(content, "items");

    for (size_t i = 0; i < json_array_size(items); i++)
        json_object_del(json_array_get(items, i), "element");
}

static int export_csv(void *context, json_t *item)
{
    struct buf *rows = context;
    bool whole;

    buf_reset(rows);
    if (catalogue_csv_write(remote_member(item, "content"), rows) != 0)
        return EXIT_FAILED;
    whole = fwrite(rows->data, 1, rows->len, stdout) == rows->len;
    return whole ? EXIT_OK : EXIT_FAILED;
}

static int export_json(void *context, json_t *item)
{
    json_t *content = remote_member(item, "content");

    drop_elements(content);
    return output_row(context, content) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int list_csv(const struct cli *cli, struct connect_client *client)
{
    struct buf rows;
    int status = EXIT_OK;

    buf_init(&rows, EXPORT_ROWS_BYTES);
    if (cli_option_set(cli, OPT_BOM))
        (void)buf_append_str(&rows, "\xef\xbb\xbf");
    if (catalogue_csv_write_header(&rows) != 0 ||
        fwrite(rows.data, 1, rows.len, stdout) != rows.len)
        status = EXIT_FAILED;
    if (status == EXIT_OK)
        status = remote_pages(client, "sluice.v1.CatalogService/ListCatalogueEntries",
                              list_request(cli), "entries", export_csv, &rows);
    if (fflush(stdout) != 0)
        status = EXIT_FAILED;
    buf_fini(&rows);
    return status;
}

int catalogue_export(struct cli *cli)
{
    int status;
    bool json = cli->format == OUTPUT_JSON;
    struct connect_client *client;

    if (cli->format == OUTPUT_JSONL)
        return cli_usage(cli, MSG_CATALOGUE_EXPORT_FORMAT, "");
    client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    if (json) {
        struct output *output = cli_output(cli);
        status = remote_pages(client, "sluice.v1.CatalogService/ListCatalogueEntries",
                              list_request(cli), "entries", export_json, output);
        status = cli_output_end(&output, status);
    } else {
        status = list_csv(cli, client);
    }
    connect_client_close(&client);
    return status;
}

/* --- overlaps ------------------------------------------------------------------------------------
 */
/* A line an offer; JSON keeps an element with its offers. */
static int overlap_item(void *context, json_t *item)
{
    const struct listing *listing = context;
    const json_t *offers = remote_member(item, "offers");
    int failed = listing->whole ? output_row(listing->output, item) : 0;

    for (size_t i = 0; !listing->whole && failed == 0 && i < json_array_size(offers); i++) {
        const json_t *offer = json_array_get(offers, i);
        json_t *row = json_object();
        case_copy(row, "element", item, "element");
        case_copy(row, "sourceDepartment", item, "sourceDepartment");
        case_copy(row, "dataset", offer, "dataset");
        case_copy(row, "item", offer, "item");
        json_object_set_new(row, "catalogued",
                            json_boolean(json_is_true(remote_member(offer, "catalogued"))));
        failed = output_row(listing->output, row);
        json_decref(row);
    }
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

int catalogue_overlaps(struct cli *cli)
{
    static const char *const names[] = { "element", "sourceDepartment", "dataset", "item",
                                         "catalogued" };
    struct listing listing = { .whole = cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL };
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    json_t *request = json_object();
    if (cli->operand_count > 0)
        remote_add_text(request, "dataset", cli->operands[0]);
    listing.output = cli_output(cli);
    output_set_columns(listing.output, names, sizeof names / sizeof names[0]);
    status = remote_pages(client, "sluice.v1.CatalogService/ListOverlaps", request, "overlaps",
                          overlap_item, &listing);
    connect_client_close(&client);
    return cli_output_end(&listing.output, status);
}
