#include "cli/schema_sample.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/yaml.h"
#include "schema/json.h"

enum { COLUMNS_MAX = DICTIONARY_COLUMNS_MAX, NATIVE_BYTES_MAX = 16 * 1024 * 1024 };

/* A top-level field with a plan that reads it alone, so that it has a verdict of its own. */
struct probe {
    const struct schema_field *field;
    struct schema_plan *plan;
    int *columns; /* of the sample's rows that the plan expects, in its order */
    int column_count;
    const char **native; /* names of the columns the mapping names for it */
    size_t native_count;
};

struct schema_sample {
    struct arena arena;
    PGconn *conn;
    const struct schema_bundle *bundle;
    const struct schema_dataset *dataset;
    struct schema_plan *plan; /* all fields */
    struct probe *probes;
    size_t probe_count;
    struct buf record, json, native;
    struct schema_sample_field *fields; /* of the row in hand */
    struct arena row;
    PGresult *described; /* the sample's own columns */
};

/* --- plans --------------------------------------------------------------------------------------
 */

/* Describes a statement without running it; NULL after a complaint. */
static PGresult *describe(PGconn *conn, const char *sql)
{
    PGresult *result = PQprepare(conn, "", sql, 0, NULL);

    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        PQclear(result);
        result = PQdescribePrepared(conn, "");
    }
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        return result;
    (void)schema_place_refused(conn, result);
    PQclear(result);
    return NULL;
}

static bool add_probe(struct schema_sample *sample, const struct schema_field *field)
{
    struct probe *probe = &sample->probes[sample->probe_count];
    uint8_t wanted[PLAN_BITMAP_BYTES] = { 0 };
    struct err err = ERR_INIT;
    struct db_sql sql;

    plan_set_bit(wanted, field->position);
    probe->field = field;
    probe->plan = schema_plan_new(sample->dataset, wanted, NULL, &err);
    if (probe->plan == NULL ||
        schema_plan_query(probe->plan, NULL, NULL, 0, &sample->arena, &sql, &err) != 0) {
        schema_plan_free(&probe->plan);
        (void)schema_place_report(&err);
        return false;
    }
    sample->probe_count++;
    PGresult *described = describe(sample->conn, sql.text);
    if (described == NULL)
        return false;
    probe->column_count = PQnfields(described);
    probe->columns =
        arena_array(&sample->arena, (size_t)probe->column_count + 1, sizeof *probe->columns);
    probe->native = arena_array(&sample->arena, COLUMNS_MAX, sizeof *probe->native);
    const char **names =
        arena_array(&sample->arena, (size_t)probe->column_count + 1, sizeof *names);
    for (int i = 0; i < probe->column_count; i++)
        names[i] = arena_strdup(&sample->arena, PQfname(described, i));
    PQclear(described);
    for (int i = 0; i < probe->column_count; i++) {
        probe->columns[i] = -1;
        for (int j = 0; j < PQnfields(sample->described) && probe->columns[i] < 0; j++)
            if (strcmp(PQfname(sample->described, j), names[i]) == 0)
                probe->columns[i] = j;
        assert(probe->columns[i] >=
               0); /* a part of the fields needs no column the whole does not */
    }
    return true;
}

static struct probe *probe_of(struct schema_sample *sample, const struct schema_field *field)
{
    for (size_t i = 0; i < sample->probe_count; i++)
        if (sample->probes[i].field == field)
            return &sample->probes[i];
    return NULL;
}

static void add_native(struct probe *probe, const struct yaml_node *value)
{
    const char *names[64];
    size_t count = dictionary_columns(value, names, 64);

    for (size_t i = 0; i < count && i < 64; i++) {
        size_t at = 0;
        while (at < probe->native_count && strcmp(probe->native[at], names[i]) != 0)
            at++;
        if (at == probe->native_count && at < COLUMNS_MAX)
            probe->native[probe->native_count++] = names[i];
    }
}

struct schema_sample *schema_sample_new(PGconn *conn, const struct schema_bundle *bundle,
                                        const struct schema_dataset *dataset,
                                        const struct yaml_node *fields)
{
    struct schema_sample *sample = mem_zero(sizeof *sample);
    uint8_t all[PLAN_BITMAP_BYTES];
    struct err err = ERR_INIT;
    struct db_sql sql;
    bool fine;

    memset(all, 0xff, sizeof all);
    arena_init(&sample->arena);
    arena_init(&sample->row);
    buf_init(&sample->record, 2 * PLAN_RECORD_BYTES_MAX);
    buf_init(&sample->json, NATIVE_BYTES_MAX);
    buf_init(&sample->native, NATIVE_BYTES_MAX);
    sample->conn = conn;
    sample->bundle = bundle;
    sample->dataset = dataset;
    sample->probes = arena_array(&sample->arena, yaml_count(fields) + 1, sizeof *sample->probes);
    sample->fields = arena_array(&sample->arena, yaml_count(fields) + 1, sizeof *sample->fields);
    sample->plan = schema_plan_new(dataset, all, NULL, &err);
    if (sample->plan == NULL ||
        schema_plan_query(sample->plan, NULL, NULL, 0, &sample->arena, &sql, &err) != 0) {
        (void)schema_place_report(&err);
        fine = false;
    } else {
        sample->described = describe(conn, sql.text);
        fine = sample->described != NULL;
    }
    for (size_t i = 0; fine && i < yaml_count(fields); i++) {
        const char *name = yaml_text(yaml_key(fields, i));
        const struct schema_field *field =
            schema_message_field(dataset->type, name, strcspn(name, "."));
        if (field != NULL && probe_of(sample, field) == NULL)
            fine = add_probe(sample, field);
        if (fine && field != NULL)
            add_native(probe_of(sample, field), yaml_value(fields, i));
    }
    if (!fine)
        schema_sample_free(&sample);
    return sample;
}

void schema_sample_free(struct schema_sample **sample)
{
    struct schema_sample *old = *sample;

    if (old == NULL)
        return;
    for (size_t i = 0; i < old->probe_count; i++)
        schema_plan_free(&old->probes[i].plan);
    schema_plan_free(&old->plan);
    PQclear(old->described);
    buf_fini(&old->record);
    buf_fini(&old->json);
    buf_fini(&old->native);
    arena_fini(&old->row);
    arena_fini(&old->arena);
    free(old);
    *sample = NULL;
}

/* --- one field of one row -----------------------------------------------------------------------
 */

static const struct db_rows *as_rows(const PGresult *result)
{
    return (const struct db_rows *)(const void *)result;
}

/* The row as the probe's own statement would have brought it. */
static PGresult *narrow(const struct schema_sample *sample, const struct probe *probe,
                        const PGresult *row)
{
    PGresAttDesc *columns = mem_array((size_t)probe->column_count + 1, sizeof *columns);
    PGresult *result = PQmakeEmptyPGresult(sample->conn, PGRES_TUPLES_OK);
    bool fine = result != NULL;

    for (int i = 0; i < probe->column_count; i++)
        columns[i] = (PGresAttDesc){
            .name = PQfname(row, probe->columns[i]),
            .typid = PQftype(row, probe->columns[i]),
            .typlen = PQfsize(row, probe->columns[i]),
            .atttypmod = PQfmod(row, probe->columns[i]),
            .format = 1,
        };
    fine = fine && PQsetResultAttrs(result, probe->column_count, columns) != 0;
    for (int i = 0; fine && i < probe->column_count; i++) {
        int at = probe->columns[i];
        bool null = PQgetisnull(row, 0, at) != 0;
        fine = PQsetvalue(result, 0, i, PQgetvalue(row, 0, at),
                          null ? -1 : PQgetlength(row, 0, at)) != 0;
    }
    free(columns);
    if (!fine) {
        PQclear(result);
        result = NULL;
    }
    return result;
}

/* Texts stand behind the plan's own columns, in the same order. */
static const char *native_text(struct schema_sample *sample, const struct probe *probe,
                               const PGresult *row)
{
    int width = PQnfields(row) / 2;
    bool any = false;

    buf_reset(&sample->native);
    for (size_t n = 0; n < probe->native_count; n++)
        for (int i = 0; i < width; i++) {
            if (strcmp(PQfname(row, i), probe->native[n]) != 0)
                continue;
            bool null = PQgetisnull(row, 0, width + i) != 0;
            (void)buf_append_str(&sample->native, n > 0 ? " | " : "");
            (void)buf_append_str(&sample->native, null ? "" : PQgetvalue(row, 0, width + i));
            any = any || !null;
        }
    return any ? arena_strdup(&sample->row, buf_cstr(&sample->native)) : NULL;
}

/* Text of the field in a record that has nothing else; NULL when it is absent. */
static const char *canonical_text(struct schema_sample *sample, const struct schema_field *field)
{
    const struct schema_set *sets[] = { schema_bundle_types(sample->bundle) };
    struct schema_json_options options = { .sets = sets,
                                           .set_count = 1,
                                           .proto_field_names = true };
    const char *text = NULL;
    struct err err = ERR_INIT;

    buf_reset(&sample->json);
    if (sample->record.len == 0 ||
        schema_json_encode(&options, sample->dataset->type, sample->record.data, sample->record.len,
                           &sample->json, &err) != 0)
        return NULL;
    json_t *record = json_loadb((const char *)sample->json.data, sample->json.len, 0, NULL);
    json_t *value = json_object_get(record, field->name);
    if (json_is_string(value)) {
        text = arena_strdup(&sample->row, json_string_value(value));
    } else if (value != NULL) {
        char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        text = arena_strdup(&sample->row, dumped != NULL ? dumped : "");
        free(dumped);
    }
    json_decref(record);
    return text;
}

static void judge(struct schema_sample *sample, const struct probe *probe, const PGresult *row,
                  struct schema_sample_field *out)
{
    struct schema_row_report report = { .state = ROW_QUARANTINED };
    struct err err = ERR_INIT;
    PGresult *narrowed = narrow(sample, probe, row);

    *out = (struct schema_sample_field){ .field = probe->field,
                                         .native = native_text(sample, probe, row),
                                         .verdict = "OK",
                                         .code = "",
                                         .rule = "" };
    buf_reset(&sample->record);
    int result = narrowed == NULL ? -1
                                  : schema_plan_row(probe->plan, as_rows(narrowed), 0,
                                                    &sample->record, &report, &err);
    PQclear(narrowed);
    if (result != 0 || report.state == ROW_QUARANTINED) {
        out->verdict = "ERROR";
        out->code = report.code != NULL ? report.code : err.reason;
        out->rule = report.rule != NULL ? report.rule : "";
        return;
    }
    out->canonical = canonical_text(sample, probe->field);
    if (report.warning_count > 0) {
        out->verdict = "WARN";
        out->code = report.warnings[0].code;
    } else if (out->canonical == NULL && out->native != NULL && out->native[0] != '\0') {
        out->verdict = "ABSENT";
    } else if (out->canonical != NULL && probe->native_count > 0 &&
               (out->native == NULL || strcmp(out->native, out->canonical) != 0)) {
        out->verdict = "CHANGED";
    }
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static int take_row(struct schema_sample *sample, const PGresult *row, size_t index, bool detail,
                    schema_sample_fn tell, void *arg)
{
    struct schema_sample_row told = { .index = index };
    struct schema_row_report report = { .state = ROW_DELIVERED };
    struct schema_sample_field rejected = { .verdict = "ERROR", .code = "", .rule = "" };
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    struct err err = ERR_INIT;

    arena_fini(&sample->row);
    arena_init(&sample->row);
    buf_reset(&sample->record);
    if (schema_plan_row(sample->plan, as_rows(row), 0, &sample->record, &report, &err) != 0) {
        report.state = ROW_QUARANTINED;
        report.code = err.reason;
        report.rule = "record";
    }
    told.delivered = report.state == ROW_DELIVERED;
    told.key = schema_plan_row_key(sample->plan, as_rows(row), 0, key) ? key : NULL;
    if (!told.delivered) {
        const struct probe *probe = report.field != NULL ? probe_of(sample, report.field) : NULL;
        rejected.field = report.field;
        rejected.code = report.code != NULL ? report.code : "";
        rejected.rule = report.rule != NULL ? report.rule : "";
        rejected.native = probe != NULL ? native_text(sample, probe, row) : NULL;
        told.rejected = &rejected;
    }
    for (size_t i = 0; detail && i < sample->probe_count; i++)
        judge(sample, &sample->probes[i], row, &sample->fields[i]);
    told.fields = detail ? sample->fields : NULL;
    told.field_count = detail ? sample->probe_count : 0;
    tell(arg, &told);
    return EXIT_OK;
}

/* The plan's own statement, with the text of each column behind it. */
static char *with_texts(const struct schema_sample *sample, const struct db_sql *sql)
{
    struct buf text;
    char *copy;

    buf_init(&text, NATIVE_BYTES_MAX);
    (void)buf_append_str(&text, "SELECT q.*");
    for (int i = 0; i < PQnfields(sample->described); i++) {
        (void)buf_append_str(&text, ", q.");
        schema_place_quote(&text, PQfname(sample->described, i));
        (void)buf_append_str(&text, "::pg_catalog.text");
    }
    (void)buf_append_format(&text, " FROM (%s) AS q", sql->text);
    copy = mem_strndup((const char *)text.data, text.len);
    buf_fini(&text);
    return copy;
}

static int read_rows(struct schema_sample *sample, size_t detail, schema_sample_fn tell, void *arg)
{
    size_t index = 0;
    int status = EXIT_OK;

    for (PGresult *row; (row = PQgetResult(sample->conn)) != NULL; PQclear(row)) {
        ExecStatusType outcome = PQresultStatus(row);
        if (outcome == PGRES_SINGLE_TUPLE && status == EXIT_OK) {
            status = take_row(sample, row, index, index < detail, tell, arg);
            index++;
        } else if (outcome != PGRES_SINGLE_TUPLE && outcome != PGRES_TUPLES_OK) {
            status = schema_place_refused(sample->conn, row);
        }
    }
    return status;
}

int schema_sample_run(struct schema_sample *sample, const char *key, long rows, size_t detail,
                      schema_sample_fn tell, void *arg)
{
    struct err err = ERR_INIT;
    struct db_sql sql;
    int result =
        key != NULL ? schema_plan_lookup(sample->plan, key, &sample->arena, &sql, &err)
                    : schema_plan_query(sample->plan, NULL, NULL, rows, &sample->arena, &sql, &err);

    if (result != 0)
        return schema_place_report(&err);
    char *text = with_texts(sample, &sql);
    int sent =
        PQsendQueryParams(sample->conn, text, sql.param_count, NULL, sql.params, NULL, NULL, 1);
    free(text);
    if (sent != 1 || PQsetSingleRowMode(sample->conn) != 1)
        return schema_place_refused(sample->conn, NULL);
    return read_rows(sample, detail, tell, arg);
}
