/* sluice schema check: with the gateway's own loader; every fault of every file. Offline, unless
 * --database asks whether the tables fit. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cli/schema_changes.h"
#include "cli/schema_drift.h"
#include "cli/schema_place.h"

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

static void tell_fault(void *arg, const struct err *err)
{
    size_t *count = arg;

    (*count)++;
    (void)schema_place_report(err);
}

/* The old version's descriptor set: a file, or canonical.pb of a schemas folder. */
static char *old_descriptors(const char *against)
{
    struct stat status;

    if (stat(against, &status) == 0 && S_ISDIR(status.st_mode))
        return mem_format("%s/canonical.pb", against);
    return mem_strdup(against);
}

static int compare(const struct cli *cli, const char *dir, const char *descriptors)
{
    char *old_file = old_descriptors(cli->options[OPT_AGAINST]);
    struct dictionary *dictionary = schema_place_dictionary(dir);
    struct schema_changes changes = { .rows = json_array(), .dictionary = dictionary };
    struct buf before, after;
    bool read = schema_place_read(old_file, &before);
    int status;

    read = schema_place_read(descriptors, &after) && read && dictionary != NULL;
    status =
        read ? schema_changes_types(&changes, buf_slice(&before), buf_slice(&after)) : EXIT_FAILED;
    if (status == EXIT_OK)
        status = schema_changes_print(cli, &changes);
    if (status == EXIT_OK && changes.breaking > 0) {
        COMPLAIN(MSG_SCHEMA_BREAKING);
        status = EXIT_FAILED;
    }
    buf_fini(&before);
    buf_fini(&after);
    json_decref(changes.rows);
    dictionary_free(&dictionary);
    free(old_file);
    return status;
}

int schema_check(struct cli *cli)
{
    if (cli_option_set(cli, OPT_AGAINST) && cli_option_set(cli, OPT_DATABASE))
        return cli_usage(cli, MSG_USAGE_CHECK_EITHER, "--database");
    char *dir = schema_place_dir(cli, 0);
    char *descriptors = schema_place_descriptors(cli, dir);
    bool against = cli_option_set(cli, OPT_AGAINST);
    size_t faults = 0;
    struct schema_bundle *bundle = schema_bundle_check(dir, descriptors, tell_fault, &faults);
    int status = EXIT_OK;
    char digest[2 * SCHEMA_DIGEST_BYTES + 1], count[24];

    /* A mapping of a field that is gone is a fault of its own: both are worth telling. */
    if (against)
        status = compare(cli, dir, descriptors);
    else if (bundle != NULL && cli_option_set(cli, OPT_DATABASE))
        status = schema_drift_check(cli, bundle);
    else if (bundle != NULL)
        status = list_datasets(cli, bundle);
    if (bundle == NULL) {
        snprintf(count, sizeof count, "%zu", faults);
        NOTE(MSG_SCHEMA_FAULTS, count);
        status = EXIT_FAILED;
    } else {
        hex_encode(schema_bundle_digest(bundle), SCHEMA_DIGEST_BYTES, digest);
        snprintf(count, sizeof count, "%zu", schema_bundle_count(bundle));
        if (status == EXIT_OK)
            NOTE(MSG_SCHEMA_OK, count, digest);
    }
    schema_bundle_free(&bundle);
    free(descriptors);
    free(dir);
    return status;
}
