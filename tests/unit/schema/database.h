/* Mappings run against a real PostgreSQL: statements of plans, rows as one text a test can compare.
 * Ownership: database_open starts a private server and a connection, database_close ends both;
 *   texts are the caller's to free.
 * Never calls back; a statement that fails fails the test, unless the name says otherwise.
 * Limits: ANSWER_BYTES_MAX of JSON an answer. Works on libpq's results directly: a db_rows is one.
 * Does not test the room pg. */
#ifndef SLUICE_TESTS_SCHEMA_DATABASE_H
#define SLUICE_TESTS_SCHEMA_DATABASE_H

#include "schema_support.h"

#include "support/postgres.h"

enum { ANSWER_BYTES_MAX = 1 << 20 };

static struct postgres *server;
static PGconn *conn;

static inline int database_open(void **state)
{
    (void)state;
    server = postgres_new();
    conn = PQconnectdb(postgres_conninfo(server));
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    PQclear(PQexec(conn, "SET client_min_messages = warning; SET search_path = ''"));
    return 0;
}

static inline int database_close(void **state)
{
    (void)state;
    PQfinish(conn);
    postgres_free(&server);
    return 0;
}

static inline void run_sql(const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    PQclear(result);
}

static inline struct schema_bundle *one_mapping(const char *text)
{
    struct err err = ERR_INIT;
    struct file_text file = { "departments/d/x.yaml", text };
    struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    return bundle;
}

static inline PGresult *ask(const struct db_sql *sql)
{
    PGresult *result =
        PQexecParams(conn, sql->text, sql->param_count, NULL, sql->params, NULL, NULL, 1);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql->text, PQresultErrorMessage(result));
    return result;
}

/* What the check of a new connection sees; the statement's own error where it has one. */
static inline int probe(const struct schema_dataset *dataset, struct err *err)
{
    run_sql("BEGIN READ ONLY");
    PGresult *result = PQprepare(conn, "", schema_dataset_probe_sql(dataset), 0, NULL);
    int checked = -1;
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        PGresult *described = PQdescribePrepared(conn, "");
        checked =
            schema_dataset_check_probe(dataset, (const struct db_rows *)(void *)described, err);
        PQclear(described);
    } else {
        (void)err_set(err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT", "%s",
                      PQresultErrorMessage(result));
    }
    PQclear(result);
    run_sql("ROLLBACK");
    return checked;
}

static inline void add_row_text(struct buf *text, const struct schema_bundle *bundle,
                                const struct schema_plan *plan, const PGresult *rows, int row)
{
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct buf record;
    buf_init(&record, PLAN_RECORD_BYTES_MAX);
    if (schema_plan_row(plan, as_rows(rows), row, &record, &report, &err) != 0) {
        (void)buf_append_format(text, "!! %s\n", err.reason);
    } else if (report.state == ROW_DUPLICATE) {
        (void)buf_append_str(text, "=\n");
    } else if (report.state == ROW_QUARANTINED) {
        assert_int_equal(record.len, 0);
        (void)buf_append_format(text, "! %s %s %s\n",
                                report.field == NULL ? "-" : report.field->name, report.rule,
                                report.code);
    } else {
        const struct schema_set *sets[] = { schema_bundle_types(bundle) };
        struct schema_json_options options = { .sets = sets,
                                               .set_count = 1,
                                               .proto_field_names = true };
        const struct schema_message *type = schema_bundle_at(bundle, 0)->type;
        if (schema_json_encode(&options, type, record.data, record.len, text, &err) != 0)
            fail_msg("%s %s", err.text, err.detail);
        for (size_t i = 0; i < report.warning_count && i < 8; i++)
            (void)buf_append_format(text, " ~%s:%s", report.warnings[i].field->name,
                                    report.warnings[i].code);
        (void)buf_append_byte(text, '\n');
    }
    buf_fini(&record);
}

static inline char *row_texts(const struct schema_bundle *bundle, const struct schema_plan *plan,
                              const PGresult *rows)
{
    struct buf text;
    buf_init(&text, ANSWER_BYTES_MAX);
    for (int i = 0; i < PQntuples(rows); i++)
        add_row_text(&text, bundle, plan, rows, i);
    char *copy = mem_strdup(buf_cstr(&text));
    buf_fini(&text);
    return copy;
}

/* Every row of the bundle's first dataset, in order, through a filter (NULL: none). */
static inline char *query_texts(const struct schema_bundle *bundle, const char *filter_text)
{
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    struct schema_plan *plan = full_plan(dataset);
    struct schema_filter *filter = NULL;
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    if (filter_text != NULL) {
        filter = schema_filter_parse(dataset, filter_text, NULL, &err);
        if (filter == NULL)
            fail_msg("%s: %s", filter_text, err.text);
    }
    assert_int_equal(schema_plan_query(plan, filter, NULL, 0, &arena, &sql, &err), 0);
    PGresult *rows = ask(&sql);
    char *text = row_texts(bundle, plan, rows);
    PQclear(rows);
    schema_filter_free(&filter);
    schema_plan_free(&plan);
    arena_fini(&arena);
    return text;
}

static inline char *lookup_texts(const struct schema_bundle *bundle, const char *key)
{
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    if (schema_plan_lookup(plan, key, &arena, &sql, &err) != 0)
        fail_msg("%s: %s", key, err.text);
    PGresult *rows = ask(&sql);
    char *text = row_texts(bundle, plan, rows);
    PQclear(rows);
    schema_plan_free(&plan);
    arena_fini(&arena);
    return text;
}

static inline char *batch_texts(const struct schema_bundle *bundle, const char *const *keys,
                                size_t count)
{
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    if (schema_plan_batch(plan, keys, count, &arena, &sql, &err) != 0)
        fail_msg("%s", err.text);
    PGresult *rows = ask(&sql);
    char *text = row_texts(bundle, plan, rows);
    PQclear(rows);
    schema_plan_free(&plan);
    arena_fini(&arena);
    return text;
}

static inline void expect_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    free(text);
}

#endif
