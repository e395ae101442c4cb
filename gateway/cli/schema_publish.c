/* sluice schema publish|approve|status */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/places.h"
#include "cli/remote.h"
#include "schema/bundle.h"

enum { DIGEST_TEXT = 2 * SCHEMA_DIGEST_BYTES, PREFIX_MIN = 8, LIST_PAGE = 200 };

/* --- publish ------------------------------------------------------------------------------------ */

static void add_file(void *arg, const struct schema_file *file)
{
    json_t *files = arg;
    char *content = mem_zero(base64_size(file->len));
    size_t len = base64_encode(file->data, file->len, content);

    json_array_append_new(
        files, json_pack("{s:s, s:s#}", "path", file->path, "content", content, (int)len));
    free(content);
}

/* The files of the folder; NULL after a report. */
static json_t *read_files(const struct cli *cli)
{
    char *dir = cli->operand_count > 0 ? mem_strdup(cli->operands[0]) : places_schemas();
    char *descriptors = places_descriptors(cli_option_text(cli, OPT_DESCRIPTORS, NULL), dir);
    struct err err = ERR_INIT;
    json_t *files = json_array();

    if (schema_bundle_read(dir, descriptors, add_file, files, &err) != 0) {
        COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
        json_decref(files);
        files = NULL;
    }
    free(descriptors);
    free(dir);
    return files;
}

static int show(struct cli *cli, json_t *object)
{
    struct output *output = cli_output(cli);
    int failed = output_object(output, object);

    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

/* What the reader should do next. */
static void say_next(const json_t *bundle)
{
    const char *digest = remote_text(bundle, "digest");
    const json_t *missing = remote_member(bundle, "missingDepartments");
    char *names = mem_strdup("");

    if (strcmp(remote_text(bundle, "state"), "SCHEMA_CURRENT") == 0)
        NOTE(MSG_BUNDLE_CURRENT, digest);
    for (size_t i = 0; i < json_array_size(missing); i++) {
        const char *name = json_string_value(json_array_get(missing, i));
        char *longer;
        if (name == NULL)
            continue;
        if (strcmp(name, "*") == 0)
            name = message(MSG_BUNDLE_ANY);
        longer = mem_format("%s%s%s", names, names[0] != '\0' ? ", " : "", name);
        free(names);
        names = longer;
    }
    if (names[0] != '\0') {
        NOTE(MSG_BUNDLE_MISSING, names);
        NOTE(MSG_BUNDLE_NEXT, digest);
    }
    free(names);
}

static int check_remotely(struct cli *cli, struct connect_client *client, json_t *files)
{
    json_t *answer;
    int status = remote_call(client, "sluice.v1.SchemaService/Check",
                             json_pack("{s:O}", "files", files), &answer);

    if (status != EXIT_OK)
        return status;
    const json_t *warnings = remote_member(answer, "warnings");
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *warning = json_string_value(json_array_get(warnings, i));
        NOTE(MSG_BUNDLE_WARNING, warning != NULL ? warning : "");
    }
    status = show(cli, answer);
    if (json_is_true(remote_member(answer, "valid"))) {
        NOTE(MSG_BUNDLE_VALID, remote_text(answer, "digest"));
    } else if (status == EXIT_OK) {
        COMPLAIN(MSG_CHECK_FAILED, remote_text(answer, "problem"), "BUNDLE_REFUSED");
        status = EXIT_FAILED;
    }
    json_decref(answer);
    return status;
}

static int publish(struct cli *cli, struct connect_client *client, json_t *files)
{
    json_t *request = json_pack("{s:O}", "files", files), *answer;
    int status;

    remote_add_request_id(request);
    status = remote_call(client, "sluice.v1.SchemaService/Publish", request, &answer);
    if (status != EXIT_OK)
        return status;
    status = show(cli, answer);
    NOTE(MSG_BUNDLE_PUBLISHED, remote_text(answer, "digest"));
    say_next(answer);
    json_decref(answer);
    return status;
}

int schema_publish(struct cli *cli)
{
    json_t *files = read_files(cli);
    int status = EXIT_FAILED;
    struct connect_client *client;

    if (files == NULL)
        return EXIT_FAILED;
    client = remote_open(cli, &status);
    if (client != NULL)
        status = cli_option_set(cli, OPT_DRY_RUN) ? check_remotely(cli, client, files)
                                                  : publish(cli, client, files);
    connect_client_close(&client);
    json_decref(files);
    return status;
}

/* --- approve ------------------------------------------------------------------------------------ */

/* The whole digest of a shortened one. */
static int resolve(struct connect_client *client, const char *given, char digest_r[DIGEST_TEXT + 1])
{
    size_t len = strlen(given), found = 0;
    json_t *answer;
    int status;

    if (len >= DIGEST_TEXT) {
        snprintf(digest_r, DIGEST_TEXT + 1, "%s", len == DIGEST_TEXT ? given : "");
        return EXIT_OK; /* the gateway says what is wrong with it */
    }
    status = remote_call(client, "sluice.v1.SchemaService/List",
                         json_pack("{s:i}", "pageSize", LIST_PAGE), &answer);
    if (status != EXIT_OK)
        return status;
    const json_t *bundles = remote_member(answer, "bundles");
    for (size_t i = 0; i < json_array_size(bundles); i++) {
        const char *digest = remote_text(json_array_get(bundles, i), "digest");
        if (strncmp(digest, given, len) != 0 || strlen(digest) != DIGEST_TEXT)
            continue;
        found++;
        snprintf(digest_r, DIGEST_TEXT + 1, "%s", digest);
    }
    json_decref(answer);
    if (found == 1 && len >= PREFIX_MIN)
        return EXIT_OK;
    COMPLAIN(MSG_BUNDLE_PREFIX, given);
    return EXIT_NOT_FOUND;
}

int schema_approve(struct cli *cli)
{
    char digest[DIGEST_TEXT + 1] = "";
    struct connect_client *client;
    json_t *request, *answer;
    int status;

    if (!cli_option_required(cli, OPT_REASON))
        return EXIT_USAGE;
    client = remote_open(cli, &status);
    if (client == NULL)
        return status;
    status = resolve(client, cli->operands[0], digest);
    if (status == EXIT_OK) {
        request = json_pack("{s:s, s:s}", "digest", digest, "reason",
                            cli_option_text(cli, OPT_REASON, ""));
        remote_add_request_id(request);
        status = remote_call(client, "sluice.v1.SchemaService/Approve", request, &answer);
        if (status == EXIT_OK) {
            status = show(cli, answer);
            say_next(answer);
            json_decref(answer);
        }
    }
    connect_client_close(&client);
    return status;
}

/* --- status ------------------------------------------------------------------------------------- */

static int show_rows(struct cli *cli, const json_t *items, const char *const *columns, size_t count)
{
    struct output *output = cli_output(cli);
    int failed = 0;

    output_set_columns(output, columns, count);
    for (size_t i = 0; i < json_array_size(items) && failed == 0; i++) {
        json_t *row = remote_project(json_array_get(items, i), columns, count);
        failed = output_row(output, row);
        json_decref(row);
    }
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

int schema_status(struct cli *cli)
{
    static const char *const bundles[] = { "digest", "state", "publishedBy", "publishedAt",
                                           "missingDepartments" };
    static const char *const gateways[] = { "instance", "serving",     "servingAt",
                                            "refused",  "refusedText", "refusedAt" };
    json_t *answer;
    int status;
    struct connect_client *client = remote_open(cli, &status);

    if (client == NULL)
        return status;
    status = remote_call(client, "sluice.v1.SchemaService/List", json_object(), &answer);
    connect_client_close(&client);
    if (status != EXIT_OK)
        return status;
    if (cli->format == OUTPUT_JSON || cli->format == OUTPUT_JSONL) {
        status = show(cli, answer);
    } else {
        status = show_rows(cli, remote_member(answer, "bundles"), bundles,
                           sizeof bundles / sizeof bundles[0]);
        /* CSV is one table: the bundles. */
        if (status == EXIT_OK && cli->format == OUTPUT_TABLE) {
            putchar('\n');
            status = show_rows(cli, remote_member(answer, "gateways"), gateways,
                               sizeof gateways / sizeof gateways[0]);
        }
    }
    json_decref(answer);
    return status;
}
