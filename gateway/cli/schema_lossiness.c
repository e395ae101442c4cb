/* sluice schema lossiness: what each dataset's table keeps of a record, offline. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/places.h"
#include "cli/schema_place.h"
#include "schema/writer.h"

/* A folder of schemas can be named alone: no dataset has a folder of this name below it. */
static bool is_schemas(const char *operand)
{
    char *path = mem_format("%s/departments", operand);
    bool found = access(path, R_OK) == 0;

    free(path);
    return found;
}

static int add_row(struct output *output, const char *dataset, const char *name, const char *kind,
                   const char *sentence)
{
    json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "dataset", dataset, "name", name, "kind", kind,
                            "sentence", sentence);
    int result = output_row(output, row);

    json_decref(row);
    return result;
}

/* -1 when writing failed. *one_way_r: the mapping has no way back; the row says why. */
static int report(struct output *output, const struct schema_dataset *dataset, bool *one_way_r)
{
    struct err err = ERR_INIT;
    struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
    size_t count = 0;
    int result = 0;

    *one_way_r = writer == NULL;
    if (writer == NULL)
        return add_row(output, dataset->name, "", "ONE_WAY", err.text);
    const struct schema_lossiness *losses = schema_writer_lossiness(writer, &count);
    for (size_t i = 0; i < count && result == 0; i++)
        result = add_row(
            output, dataset->name, losses[i].name, schema_lossiness_name(losses[i].kind),
            messages_language() == LANGUAGE_ZH ? losses[i].sentence_zh : losses[i].sentence);
    schema_writer_free(&writer);
    return result;
}

static int report_all(const struct cli *cli, const struct schema_bundle *bundle, const char *name)
{
    static const char *const columns[] = { "dataset", "name", "kind", "sentence" };
    struct output *output = cli_output(cli);
    int failed = 0;
    bool one_way = false;

    output_set_columns(output, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < schema_bundle_count(bundle) && failed == 0; i++) {
        const struct schema_dataset *dataset = schema_bundle_at(bundle, i);
        if (name == NULL || strcmp(dataset->name, name) == 0)
            failed = report(output, dataset, &one_way);
    }
    /* Asked for by name, a dataset without a way back is a fault; in a list it is a line. */
    return cli_output_end(&output,
                          failed != 0 || (name != NULL && one_way) ? EXIT_FAILED : EXIT_OK);
}

int schema_lossiness(struct cli *cli)
{
    bool folder_only = cli->operand_count == 1 && is_schemas(cli->operands[0]);
    const char *name = cli->operand_count > 0 && !folder_only ? cli->operands[0] : NULL;
    char *dir = folder_only              ? mem_strdup(cli->operands[0])
                : cli->operand_count > 1 ? mem_strdup(cli->operands[1])
                                         : places_schemas();
    struct schema_bundle *bundle = schema_place_bundle(cli, dir);
    int status;

    free(dir);
    if (bundle == NULL)
        return EXIT_FAILED;
    if (name != NULL && schema_place_dataset(bundle, name) == NULL)
        status = EXIT_NOT_FOUND;
    else
        status = report_all(cli, bundle, name);
    schema_bundle_free(&bundle);
    return status;
}
