#include "cli/schema_changes.h"

#include <string.h>

#include "base/err.h"
#include "cli/schema_place.h"
#include "conf/yaml.h"
#include "schema/descriptor.h"

static void add_row(struct schema_changes *changes, const struct compare_change *change,
                    const char *dataset, const char *subject)
{
    json_array_append_new(changes->rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "effect",
                                                   change->breaking ? "breaking" : "compatible",
                                                   "dataset", dataset, "type", subject, "item",
                                                   change->item, "change", change->what, "before",
                                                   change->before, "after", change->after));
}

void schema_changes_add(void *arg, const struct compare_change *change)
{
    struct schema_changes *changes = arg;
    size_t named = 0;

    changes->breaking += change->breaking;
    if (changes->types == NULL) {
        add_row(changes, change, change->subject, "");
        return;
    }
    for (size_t i = 0; i < dictionary_count(changes->dictionary); i++) {
        const struct dictionary_dataset *dataset = dictionary_at(changes->dictionary, i);
        const struct yaml_node *type = yaml_get(dataset->root, "type");

        if (type == NULL || !compare_type_holds(changes->types, yaml_text(type), change->subject))
            continue;
        add_row(changes, change, dataset->name, change->subject);
        named++;
    }
    if (named == 0)
        add_row(changes, change, "", change->subject);
}

int schema_changes_types(struct schema_changes *changes, struct slice before, struct slice after)
{
    struct err err = ERR_INIT;
    struct schema_set *types = schema_set_load(before.data, before.len, &err);
    int result = -1;

    if (types != NULL) {
        changes->types = types;
        result = compare_types(before, after, schema_changes_add, changes, &err);
        changes->types = NULL;
        schema_set_free(&types);
    }
    return result == 0 ? EXIT_OK : schema_place_report(&err);
}

int schema_changes_print(const struct cli *cli, const struct schema_changes *changes)
{
    static const char *const columns[] = { "effect", "dataset", "type", "item",
                                           "change", "before",  "after" };
    struct output *output = cli_output(cli);
    char total[24], breaking[24];
    int failed = 0, status;

    output_set_columns(output, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < json_array_size(changes->rows) && failed == 0; i++)
        failed = output_row(output, json_array_get(changes->rows, i));
    status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    snprintf(total, sizeof total, "%zu", json_array_size(changes->rows));
    snprintf(breaking, sizeof breaking, "%zu", changes->breaking);
    if (status == EXIT_OK)
        NOTE(MSG_SCHEMA_CHANGES, total, breaking);
    return status;
}
