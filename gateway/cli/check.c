/* sluice schema check · sluice config check: offline, with the gateway's own loaders. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/places.h"
#include "conf/conf.h"
#include "schema/bundle.h"

static const char *sharing_name(enum schema_sharing sharing)
{
    switch (sharing) {
    case SHARING_OPEN:
        return "OPEN";
    case SHARING_CONDITIONAL:
        return "CONDITIONAL";
    case SHARING_DENIED:
        return "DENIED";
    }
    return "";
}

static int report(const struct err *err)
{
    COMPLAIN(MSG_CHECK_FAILED, err->text, err->reason);
    if (err->detail[0] != '\0')
        NOTE(MSG_DETAIL, err->detail);
    return EXIT_FAILED;
}

/* The descriptor set as installed, or as `make` leaves it. */
static char *descriptor_file(const struct cli *cli, const char *dir)
{
    const char *given = cli_option_text(cli, OPT_DESCRIPTORS, NULL);
    char *file;

    if (given != NULL)
        return mem_strdup(given);
    file = mem_format("%s/canonical.pb", dir);
    if (access(file, R_OK) != 0 && access("build/schemas/canonical.pb", R_OK) == 0) {
        free(file);
        file = mem_strdup("build/schemas/canonical.pb");
    }
    return file;
}

static int list_datasets(const struct cli *cli, const struct schema_bundle *bundle)
{
    static const char *const columns[] = { "name", "type", "source", "sharing", "key", "fields" };
    struct output *output = cli_output(cli);
    int failed = 0;

    output_set_columns(output, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < schema_bundle_count(bundle) && failed == 0; i++) {
        const struct schema_dataset *dataset = schema_bundle_at(bundle, i);
        json_t *key = json_array(), *row;

        for (size_t k = 0; k < dataset->key_count; k++)
            json_array_append_new(key, json_string(dataset->key[k]->name));
        row = json_pack("{s:s, s:s, s:s, s:s, s:o, s:I}", "name", dataset->name, "type",
                        dataset->type->full_name, "source", dataset->source, "sharing",
                        sharing_name(dataset->sharing), "key", key, "fields",
                        (json_int_t)dataset->type->field_count);
        failed = output_row(output, row);
        json_decref(row);
    }
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

int check_schema(struct cli *cli)
{
    char *dir = cli->operand_count > 0 ? mem_strdup(cli->operands[0]) : places_schemas();
    char *descriptors = descriptor_file(cli, dir);
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = schema_bundle_load(dir, descriptors, &err);
    char digest[2 * SCHEMA_DIGEST_BYTES + 1], count[24];
    int status;

    free(descriptors);
    free(dir);
    if (bundle == NULL)
        return report(&err);
    status = list_datasets(cli, bundle);
    hex_encode(schema_bundle_digest(bundle), SCHEMA_DIGEST_BYTES, digest);
    snprintf(count, sizeof count, "%zu", schema_bundle_count(bundle));
    if (status == EXIT_OK)
        NOTE(MSG_SCHEMA_OK, count, digest);
    schema_bundle_free(&bundle);
    return status;
}

int check_config(struct cli *cli)
{
    struct err err = ERR_INIT;
    struct conf *conf = conf_load(cli->operands[0], &err);

    if (conf == NULL)
        return report(&err);
    conf_free(&conf);
    NOTE(MSG_CONFIG_OK, cli->operands[0]);
    return EXIT_OK;
}
