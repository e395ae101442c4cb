/* sluice schema preview: before and after on real rows, with the gateway's own row program. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "cli/schema_sample.h"
#include "cli/text.h"
#include "conf/yaml.h"
#include "sluice/options/field.pb-c.h"

enum {
    REASONS_MAX = 1000,
    LIMIT_DEFAULT = 20,
    LIMIT_MAX = 1000,
    SAMPLE_DEFAULT = 10000,
    SAMPLE_MAX = 10000000,
    COLUMN_NAMES_MAX = DICTIONARY_COLUMNS_MAX,
};

struct reason {
    const char *field; /* lives as long as the bundle */
    const char *rule;
    const char *code;
    long count;
    char *example; /* first native value, masked as the field asks */
};

struct preview {
    const struct cli *cli;
    bool unmasked;
    json_t *cells;
    json_t *drift;
    struct reason reasons[REASONS_MAX];
    size_t reason_count;
    long read, delivered, repeated;
    struct arena arena; /* of the keys seen */
    struct strmap keys;
};

/* --- drift --------------------------------------------------------------------------------------
 */

/* A domain's values travel as those of its base type. */
static const char columns_sql[] =
    "SELECT a.attname, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END,"
    " pg_catalog.format_type(a.atttypid, a.atttypmod)"
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped"
    " ORDER BY a.attnum";

static void add_drift(struct preview *preview, const char *column, const char *expected,
                      const char *found, enum message_id fix, const char *const *args, size_t count)
{
    char *text = message_fill(fix, args, count);

    json_array_append_new(preview->drift,
                          json_pack("{s:s, s:s, s:s, s:s}", "column", column, "expected", expected,
                                    "found", found, "fix", text));
    free(text);
}

static int row_named(const PGresult *columns, const char *name)
{
    for (int row = 0; row < PQntuples(columns); row++)
        if (strcmp(PQgetvalue(columns, row, 0), name) == 0)
            return row;
    return -1;
}

static void check_column(struct preview *preview, const PGresult *columns,
                         const struct dictionary_column *column)
{
    int row = row_named(columns, column->name);

    if (row < 0) {
        const char *names[COLUMN_NAMES_MAX], *near;
        size_t count = 0;
        for (int i = 0; i < PQntuples(columns) && count < COLUMN_NAMES_MAX; i++)
            names[count++] = PQgetvalue(columns, i, 0);
        near = text_nearest(column->name, names, count);
        add_drift(preview, column->name, column->type, "",
                  near != NULL ? MSG_SCHEMA_DRIFT_RENAMED : MSG_SCHEMA_DRIFT_MISSING,
                  (const char *const[]){ near != NULL ? near : column->name }, 1);
        return;
    }
    uint32_t oid = (uint32_t)strtoul(PQgetvalue(columns, row, 1), NULL, 10);
    if (dictionary_column_fits(column->type, oid))
        return;
    const char *now = dictionary_column_type(oid);
    add_drift(preview, column->name, column->type, PQgetvalue(columns, row, 2),
              now != NULL ? MSG_SCHEMA_DRIFT_RETYPED : MSG_SCHEMA_DRIFT_UNREADABLE,
              (const char *const[]){ column->name, now != NULL ? now : "" }, 2);
}

/* Fills preview->drift; what a query brings is checked when it is described. */
static int find_drift(struct preview *preview, PGconn *conn, const struct schema_dataset *dataset,
                      const struct yaml_node *root)
{
    const struct yaml_node *table = yaml_get(root, "table"), *schema = yaml_get(root, "schema");
    struct dictionary_column *columns = mem_array(COLUMN_NAMES_MAX, sizeof *columns);
    size_t count = dictionary_dataset_columns(dataset, columns, COLUMN_NAMES_MAX);
    struct buf name;
    int status = EXIT_OK;

    buf_init(&name, 1024);
    if (table != NULL && yaml_kind(table) == YAML_SCALAR) {
        schema_place_quote(&name, schema != NULL ? yaml_text(schema) : "public");
        (void)buf_append_byte(&name, '.');
        schema_place_quote(&name, yaml_text(table));
        const char *params[1] = { buf_cstr(&name) };
        PGresult *found = schema_place_query(conn, columns_sql, params, 1, &status);
        if (found != NULL && PQntuples(found) == 0) {
            COMPLAIN(MSG_SCHEMA_NO_TABLE, params[0]);
            status = EXIT_NOT_FOUND;
        }
        for (size_t i = 0; status == EXIT_OK && i < count && i < COLUMN_NAMES_MAX; i++)
            check_column(preview, found, &columns[i]);
        PQclear(found);
    }
    buf_fini(&name);
    free(columns);
    return status;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

/* Levels 1 and 2 may be shown at a screen; an unspecified level counts as 4 (field.proto). */
static bool may_show(const struct preview *preview, const struct schema_field *field)
{
    return preview->unmasked ||
           (field != NULL && (field->sensitivity == SLUICE__OPTIONS__SENSITIVITY__GENERAL_1 ||
                              field->sensitivity == SLUICE__OPTIONS__SENSITIVITY__GENERAL_2));
}

static json_t *printable(const char *text)
{
    json_t *value = json_string(text);

    if (value != NULL)
        return value;
    char *safe = text_safe(text); /* no UTF-8 */
    value = json_string(safe);
    free(safe);
    return value;
}

/* JSON null for NULL. */
static json_t *shown(const struct preview *preview, const struct schema_field *field,
                     const char *text)
{
    if (text == NULL)
        return json_null();
    if (may_show(preview, field))
        return printable(text);
    char *masked = schema_place_mask(text);
    json_t *value = json_string(masked);
    free(masked);
    return value;
}

static struct reason *reason_of(struct preview *preview, const struct schema_sample_field *rejected)
{
    const char *field = rejected->field != NULL ? rejected->field->name : "";

    for (size_t i = 0; i < preview->reason_count; i++) {
        struct reason *reason = &preview->reasons[i];
        if (strcmp(reason->field, field) == 0 && strcmp(reason->code, rejected->code) == 0 &&
            strcmp(reason->rule, rejected->rule) == 0)
            return reason;
    }
    if (preview->reason_count == REASONS_MAX)
        return &preview->reasons[REASONS_MAX - 1];
    struct reason *reason = &preview->reasons[preview->reason_count++];
    *reason = (struct reason){ .field = field, .rule = rejected->rule, .code = rejected->code };
    if (rejected->native != NULL)
        reason->example = may_show(preview, rejected->field) ? text_safe(rejected->native)
                                                             : schema_place_mask(rejected->native);
    return reason;
}

static void take_row(void *arg, const struct schema_sample_row *row)
{
    struct preview *preview = arg;

    preview->read++;
    preview->delivered += row->delivered;
    if (row->delivered && row->key != NULL) {
        const char *key = arena_strdup(&preview->arena, row->key);
        preview->repeated += !strmap_set(&preview->keys, key, preview);
    }
    if (!row->delivered)
        reason_of(preview, row->rejected)->count++;
    for (size_t i = 0; i < row->field_count; i++) {
        const struct schema_sample_field *field = &row->fields[i];
        json_array_append_new(preview->cells,
                              json_pack("{s:I, s:s, s:o, s:o, s:s, s:s}", "row",
                                        (json_int_t)row->index + 1, "field", field->field->name,
                                        "native", shown(preview, field->field, field->native),
                                        "canonical", shown(preview, field->field, field->canonical),
                                        "verdict", field->verdict, "code", field->code));
    }
}

/* --- answers ------------------------------------------------------------------------------------
 */

static int by_count(const void *a, const void *b)
{
    const struct reason *left = a, *right = b;

    if (left->count != right->count)
        return left->count < right->count ? 1 : -1;
    int field = strcmp(left->field, right->field);
    return field != 0 ? field : strcmp(left->code, right->code);
}

static json_t *reject_rows(struct preview *preview)
{
    json_t *rows = json_array();

    if (preview->reason_count > 1)
        qsort(preview->reasons, preview->reason_count, sizeof *preview->reasons, by_count);
    for (size_t i = 0; i < preview->reason_count; i++) {
        const struct reason *reason = &preview->reasons[i];
        json_array_append_new(rows, json_pack("{s:I, s:s, s:s, s:s, s:s}", "rows",
                                              (json_int_t)reason->count, "field", reason->field,
                                              "rule", reason->rule, "code", reason->code, "example",
                                              reason->example != NULL ? reason->example : ""));
    }
    return rows;
}

static int print_rows(const struct cli *cli, const json_t *rows, const char *const *columns,
                      size_t count)
{
    struct output *output = cli_output(cli);
    int failed = 0;

    output_set_columns(output, columns, count);
    for (size_t i = 0; i < json_array_size(rows) && failed == 0; i++)
        failed = output_row(output, json_array_get(rows, i));
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}

static int print(struct preview *preview, const char *dataset)
{
    static const char *const cells[] = { "row", "field", "native", "canonical", "verdict", "code" };
    static const char *const rejects[] = { "rows", "field", "rule", "code", "example" };
    const struct cli *cli = preview->cli;
    json_t *rejected = reject_rows(preview);
    long quarantined = preview->read - preview->delivered;
    char counts[4][24];
    int status;

    snprintf(counts[0], sizeof counts[0], "%ld", preview->read);
    snprintf(counts[1], sizeof counts[1], "%ld", preview->delivered);
    snprintf(counts[2], sizeof counts[2], "%ld", quarantined);
    snprintf(counts[3], sizeof counts[3], "%ld", preview->repeated);
    if (cli->format == OUTPUT_JSON) {
        struct output *output = cli_output(cli);
        json_t *all = json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:O, s:O, s:O}", "dataset", dataset, "read",
            (json_int_t)preview->read, "delivered", (json_int_t)preview->delivered, "quarantined",
            (json_int_t)quarantined, "repeated_keys", (json_int_t)preview->repeated, "drift",
            preview->drift, "cells", preview->cells, "rejects", rejected);
        int failed = output_object(output, all);
        json_decref(all);
        status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    } else {
        status = print_rows(cli, preview->cells, cells, sizeof cells / sizeof cells[0]);
        if (status == EXIT_OK && cli->format == OUTPUT_TABLE && json_array_size(rejected) > 0) {
            puts("");
            status = print_rows(cli, rejected, rejects, sizeof rejects / sizeof rejects[0]);
        }
    }
    json_decref(rejected);
    if (status == EXIT_OK)
        NOTE(MSG_SCHEMA_PREVIEWED, counts[0], counts[1], counts[2]);
    if (status == EXIT_OK && preview->repeated > 0)
        NOTE(MSG_SCHEMA_REPEATED, counts[3]);
    return status;
}

static int print_drift(const struct preview *preview, const char *dataset)
{
    static const char *const columns[] = { "column", "expected", "found", "fix" };
    const struct cli *cli = preview->cli;
    int status;

    if (cli->format == OUTPUT_JSON) {
        struct output *output = cli_output(cli);
        json_t *all = json_pack("{s:s, s:O}", "dataset", dataset, "drift", preview->drift);
        int failed = output_object(output, all);
        json_decref(all);
        status = cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
    } else {
        status = print_rows(cli, preview->drift, columns, sizeof columns / sizeof columns[0]);
    }
    COMPLAIN(MSG_SCHEMA_DRIFTED, dataset);
    return status == EXIT_OK ? EXIT_FAILED : status;
}

/* --- the command --------------------------------------------------------------------------------
 */

static int run(struct preview *preview, PGconn *conn, const struct schema_bundle *bundle,
               const struct schema_dataset *dataset, const struct yaml_node *root, long limit,
               long sample)
{
    /* --key is a file for the commands that call the gateway; here it can only be the record's. */
    const char *key =
        cli_option_text(preview->cli, OPT_RECORD, cli_option_text(preview->cli, OPT_KEY, NULL));
    int status = find_drift(preview, conn, dataset, root);

    if (status != EXIT_OK)
        return status;
    if (json_array_size(preview->drift) > 0)
        return print_drift(preview, dataset->name);
    struct schema_sample *rows = schema_sample_new(conn, bundle, dataset, yaml_get(root, "fields"));
    if (rows == NULL)
        return EXIT_FAILED;
    status = schema_sample_run(rows, key, sample > limit ? sample : limit, (size_t)limit, take_row,
                               preview);
    if (status == EXIT_OK && key != NULL && preview->read == 0) {
        COMPLAIN(MSG_SCHEMA_NO_RECORD);
        status = EXIT_NOT_FOUND;
    }
    if (status == EXIT_OK)
        status = print(preview, dataset->name);
    schema_sample_free(&rows);
    return status;
}

int schema_preview(struct cli *cli)
{
    struct preview *preview;
    long limit, sample;
    int status = EXIT_FAILED;

    if (!cli_option_number(cli, OPT_LIMIT, 0, LIMIT_MAX, LIMIT_DEFAULT, &limit) ||
        !cli_option_number(cli, OPT_SAMPLE, 1, SAMPLE_MAX, SAMPLE_DEFAULT, &sample))
        return EXIT_USAGE;
    preview = mem_zero(sizeof *preview);
    preview->cli = cli;
    preview->unmasked = cli_option_set(cli, OPT_UNMASKED);
    arena_init(&preview->arena);
    strmap_init(&preview->keys);
    preview->cells = json_array();
    preview->drift = json_array();
    char *dir = schema_place_dir(cli, 1);
    struct schema_bundle *bundle = schema_place_bundle(cli, dir);
    struct dictionary *dictionary = bundle != NULL ? schema_place_dictionary(dir) : NULL;
    const struct schema_dataset *dataset =
        dictionary != NULL ? schema_place_dataset(bundle, cli->operands[0]) : NULL;
    if (dictionary != NULL && dataset == NULL)
        status = EXIT_NOT_FOUND;
    PGconn *conn = dataset != NULL ? schema_place_connect(cli, &status) : NULL;
    if (conn != NULL)
        status = run(preview, conn, bundle, dataset,
                     dictionary_find(dictionary, dataset->name)->root, limit, sample);
    PQfinish(conn);
    for (size_t i = 0; i < preview->reason_count; i++)
        free(preview->reasons[i].example);
    json_decref(preview->cells);
    json_decref(preview->drift);
    strmap_fini(&preview->keys);
    arena_fini(&preview->arena);
    free(preview);
    dictionary_free(&dictionary);
    schema_bundle_free(&bundle);
    free(dir);
    return status;
}
