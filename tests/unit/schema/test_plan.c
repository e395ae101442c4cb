/* Plans: statements by key, rows of the published datasets, keys, cursors, persons. */
#include "schema_support.h"

/* --- statements ---------------------------------------------------------------------------------
 */

static void keys_reach_the_index(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    struct schema_plan *plan = full_plan(schema_bundle_find(bundle, "civil-affairs/towns"));
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    assert_int_equal(schema_plan_lookup(plan, "110105020", &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, " WHERE \"code\" = $1 AND \"town\" = $2"));
    assert_int_equal(sql.param_count, 2);
    assert_string_equal(sql.params[0], "110105");
    assert_string_equal(sql.params[1], "020000");
    static const char *const keys[] = { "110105020", "110101001" };
    assert_int_equal(schema_plan_batch(plan, keys, 2, &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, " WHERE (\"code\", \"town\") IN (SELECT * FROM "
                                     "unnest($1::text[], $2::text[]))"));
    assert_string_equal(sql.params[0], "{\"110105\",\"110101\"}");
    assert_string_equal(sql.params[1], "{\"020000\",\"001000\"}");
    assert_int_equal(schema_plan_query(plan, NULL, "110105020", 50, &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, " WHERE (\"code\", \"town\") > ($1, $2) ORDER BY \"code\", "
                                     "\"town\" LIMIT $3"));
    assert_string_equal(sql.params[2], "50");
    schema_plan_free(&plan);
    plan = full_plan(schema_bundle_find(bundle, "statistics/streets"));
    assert_int_equal(schema_plan_lookup(plan, "110105020", &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, " FROM \"public\".\"street\" WHERE \"code\" = $1"));
    assert_int_equal(schema_plan_batch(plan, keys, 2, &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, " WHERE \"code\" = ANY($1)"));
    schema_plan_free(&plan);
    arena_fini(&arena);
    schema_bundle_free(&bundle);
}

static void resident_keys_try_every_stored_form(void **state)
{
    (void)state;
    static const char *const forms[] = { "\"11010519491231002X\"", "\"11010519491231002x\"",
                                         "\"110105491231002\"",
                                         "\"１１０１０５１９４９１２３１００２Ｘ\"",
                                         "\" 11010519491231002x\"" };
    struct schema_bundle *bundle = published();
    struct schema_plan *plan = full_plan(schema_bundle_find(bundle, "civil-affairs/residents"));
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    static const char *const keys[] = { "11010519491231002X", "11010519491231002x",
                                        "110105491231002" };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(schema_plan_lookup(plan, keys[i], &arena, &sql, &err), 0);
        assert_non_null(strstr(sql.text, " WHERE \"sfzh\" = ANY($1)"));
        for (size_t j = 0; j < sizeof forms / sizeof forms[0]; j++)
            assert_non_null(strstr(sql.params[0], forms[j]));
    }
    /* Behind a key text, rows may come again but none is left out. */
    assert_int_equal(schema_plan_query(plan, NULL, keys[0], 0, &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, "WHERE \"sfzh\" > COALESCE((SELECT min(k.\"sfzh\") FROM "));
    assert_int_equal(sql.param_count, 2);
    schema_plan_free(&plan);
    arena_fini(&arena);
    schema_bundle_free(&bundle);
}

static void texts_that_are_no_keys_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *dataset;
        const char *key;
    } table[] = {
        { "civil-affairs/towns", "" },
        { "civil-affairs/towns", "110105" },
        { "civil-affairs/towns", "1101050200" },
        { "civil-affairs/towns", "11010502x" },
        { "civil-affairs/towns", "110105\n20" },
        { "civil-affairs/towns", "\xff" },
        { "statistics/streets", "110105" },
        { "civil-affairs/residents", "1" },
        { "civil-affairs/residents", "110105194912310021" },
    };
    struct schema_bundle *bundle = published();
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct schema_plan *plan = full_plan(schema_bundle_find(bundle, table[i].dataset));
        struct err err = ERR_INIT;
        struct arena arena;
        struct db_sql sql;
        arena_init(&arena);
        const char *keys[] = { table[i].key };
        assert_int_equal(schema_plan_lookup(plan, table[i].key, &arena, &sql, &err), -1);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        assert_string_equal(err.reason, "KEY_INVALID");
        assert_int_equal(schema_plan_batch(plan, keys, 1, &arena, &sql, &err), -1);
        assert_int_equal(schema_plan_query(plan, NULL, table[i].key, 0, &arena, &sql, &err), -1);
        arena_fini(&arena);
        schema_plan_free(&plan);
    }
    schema_bundle_free(&bundle);
}

static void only_needed_columns_are_selected(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_dataset *dataset = schema_bundle_find(bundle, "civil-affairs/residents");
    struct err err = ERR_INIT;
    uint8_t fields[PLAN_BITMAP_BYTES] = { 0 };
    plan_set_bit(fields, schema_message_field(dataset->type, "name", 4)->position);
    struct schema_filter *row_filter =
        schema_filter_parse(dataset, "division_code = 110105", NULL, &err);
    assert_non_null(row_filter);
    struct schema_plan *plan = schema_plan_new(dataset, fields, row_filter, &err);
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    assert_int_equal(schema_plan_lookup(plan, "11010519491231002X", &arena, &sql, &err), 0);
    assert_int_equal(strncmp(sql.text, "SELECT \"sfzh\", \"xm\" FROM ", 25), 0);
    assert_non_null(strstr(sql.text, " AND (translate(btrim(\"xzqh\", "));
    assert_null(strstr(sql.text, "lxdh"));
    assert_string_equal(sql.params[1], "{\"110105\"}");
    arena_fini(&arena);
    schema_plan_free(&plan);
    const struct schema_dataset *towns = schema_bundle_find(bundle, "civil-affairs/towns");
    assert_null(schema_plan_new(towns, fields, row_filter, &err));
    assert_string_equal(err.reason, "ROW_FILTER_FOREIGN");
    schema_filter_free(&row_filter);
    schema_bundle_free(&bundle);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static void towns_of_both_departments_have_one_code(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    struct outcome statistics, civil;
    struct cell street[] = { CELL("110105020"), CELL("三间房地区"), CELL("11"), CELL("1101"),
                             CELL("110105") };
    struct cell town[] = { CELL("110105"), CELL("020000"), CELL("三间房地区"), CELL("11"),
                           CELL("01") };
    run_row(schema_bundle_find(bundle, "statistics/streets"), schema_bundle_types(bundle), street,
            5, &statistics);
    run_row(schema_bundle_find(bundle, "civil-affairs/towns"), schema_bundle_types(bundle), town, 5,
            &civil);
    assert_string_equal(
        statistics.json,
        "{\"code\":\"110105020\",\"name\":\"三间房地区\",\"level\":\"TOWN\","
        "\"province_code\":\"11\",\"city_code\":\"1101\",\"county_code\":\"110105\","
        "\"town_code\":\"110105020\"}");
    assert_string_equal(civil.json, statistics.json);
    assert_string_equal(civil.key, "110105020");
    assert_string_equal(statistics.key, "110105020");
    town[1] = CELL("020001");
    run_row(schema_bundle_find(bundle, "civil-affairs/towns"), schema_bundle_types(bundle), town, 5,
            &civil);
    assert_int_equal(civil.report.state, ROW_QUARANTINED);
    assert_string_equal(civil.report.field->name, "code");
    assert_string_equal(civil.report.code, "PART_REST");
    assert_false(civil.has_key);
    schema_bundle_free(&bundle);
}

static void dirty_residents_are_cleaned_or_quarantined(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_dataset *dataset = schema_bundle_find(bundle, "civil-affairs/residents");
    struct outcome outcome;
    struct cell row[] = { CELL(" 11010519491231002x"),
                          CELL("（张）三"),
                          CELL("男"),
                          CELL("汉族"),
                          CELL("１９４９年１２月３１日"),
                          CELL("某街１号"),
                          CELL("110105 "),
                          CELL("+86 138-0013-8000"),
                          CELL("已婚"),
                          BYTES("\0\0\0\0\0\0\0\0") };
    run_row(dataset, schema_bundle_types(bundle), row, 10, &outcome);
    assert_string_equal(
        outcome.json,
        "{\"id_number\":\"11010519491231002X\",\"name\":\"（张）三\",\"sex\":\"MALE\","
        "\"ethnic_group\":\"01\",\"birth_date\":\"1949-12-31\",\"address\":\"某街１号\","
        "\"division_code\":\"110105\",\"mobile\":\"13800138000\",\"marital_status\":\"MARRIED\","
        "\"updated_at\":\"2000-01-01T00:00:00Z\"}");
    assert_string_equal(outcome.key, "11010519491231002X");
    row[7] = CELL("无");
    row[2] = NULL_CELL;
    row[4] = CELL("99991231");
    run_row(dataset, schema_bundle_types(bundle), row, 10, &outcome);
    assert_int_equal(outcome.report.state, ROW_DELIVERED);
    assert_int_equal(outcome.report.warning_count, 1);
    assert_string_equal(outcome.report.warnings[0].code, "DATE_OPEN_END");
    assert_string_equal(outcome.report.warnings[0].field->name, "birth_date");
    row[4] = CELL("9/2/2024");
    run_row(dataset, schema_bundle_types(bundle), row, 10, &outcome);
    assert_int_equal(outcome.report.state, ROW_QUARANTINED);
    assert_string_equal(outcome.report.field->name, "birth_date");
    assert_string_equal(outcome.report.rule, "cn_date");
    assert_string_equal(outcome.report.code, "DATE_AMBIGUOUS");
    assert_true(outcome.has_key);
    row[0] = CELL("110105194912310021");
    run_row(dataset, schema_bundle_types(bundle), row, 10, &outcome);
    assert_string_equal(outcome.report.code, "CN_ID_CHECKSUM");
    assert_false(outcome.has_key);
    schema_bundle_free(&bundle);
}

/* A row's cursor continues behind exactly this row, whatever form its key is stored in. */
static void cursors_continue_exactly(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    struct schema_plan *plan = full_plan(schema_bundle_find(bundle, "civil-affairs/residents"));
    struct cell row[] = { CELL("11010519491231002x"),
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL };
    char cursor[PLAN_KEY_TEXT_BYTES_MAX];
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    PGresult *rows = new_rows(row, 10);
    assert_true(schema_plan_row_cursor(plan, as_rows(rows), 0, cursor));
    PQclear(rows);
    assert_string_equal(cursor, "\x1e"
                                "11010519491231002x");
    assert_int_equal(schema_plan_query(plan, NULL, cursor, 0, &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, " WHERE \"sfzh\" > $1 ORDER BY \"sfzh\""));
    assert_string_equal(sql.params[0], "11010519491231002x");
    assert_int_equal(schema_plan_query(plan, NULL,
                                       "\x1e"
                                       "a\x1f"
                                       "b",
                                       0, &arena, &sql, &err),
                     -1);
    row[0] = NULL_CELL;
    rows = new_rows(row, 10);
    assert_false(schema_plan_row_cursor(plan, as_rows(rows), 0, cursor));
    PQclear(rows);
    schema_plan_free(&plan);
    arena_fini(&arena);
    schema_bundle_free(&bundle);
}

static void composite_keys_escape_their_separator(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    static const char text[] = "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\n"
                               "source: s\ntable: t\nsharing: open\nkey: [id, count]\n"
                               "columns: {n: bigint}\nfields:\n  id: i\n  count: n\n";
    struct file_text file = { "departments/d/x.yaml", text };
    struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    struct outcome outcome;
    struct cell cells[] = { CELL("a/b~c"), BYTES("\0\0\0\0\0\0\0\7") };
    run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, 2, &outcome);
    assert_string_equal(outcome.key, "a~1b~0c/7");
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    assert_int_equal(schema_plan_lookup(plan, outcome.key, &arena, &sql, &err), 0);
    assert_string_equal(sql.params[0], "a/b~c");
    assert_string_equal(sql.params[1], "7");
    const char *keys[] = { outcome.key };
    assert_int_equal(schema_plan_batch(plan, keys, 1, &arena, &sql, &err), 0);
    assert_non_null(strstr(sql.text, "unnest($1::text[], $2::int8[])"));
    static const char *const wrong[] = { "a", "a/b/7", "a/x", "a~2/7", "a/7/", "a/07" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(schema_plan_lookup(plan, wrong[i], &arena, &sql, &err), -1);
    schema_plan_free(&plan);
    arena_fini(&arena);
    schema_bundle_free(&bundle);
}

static void persons_are_found_in_records(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    struct schema_plan *plan = full_plan(schema_bundle_find(bundle, "civil-affairs/residents"));
    struct cell row[] = { CELL("11010519491231002X"),
                          CELL("x"),
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL,
                          NULL_CELL };
    struct schema_row_report report;
    struct err err = ERR_INIT;
    struct buf record;
    struct slice persons[2];
    buf_init(&record, PLAN_RECORD_BYTES_MAX);
    PGresult *rows = new_rows(row, 10);
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &record, &report, &err), 0);
    assert_int_equal(schema_plan_persons(plan, record.data, record.len, persons, 2), 1);
    assert_int_equal(persons[0].len, 18);
    assert_memory_equal(persons[0].data, "11010519491231002X", 18);
    assert_int_equal(schema_plan_persons(plan, record.data, record.len, persons, 0), 1);
    for (size_t len = 0; len < record.len; len++) /* cut records are harmless */
        (void)schema_plan_persons(plan, record.data, len, persons, 2);
    PQclear(rows);
    buf_fini(&record);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_reach_the_index),
        cmocka_unit_test(resident_keys_try_every_stored_form),
        cmocka_unit_test(texts_that_are_no_keys_are_refused),
        cmocka_unit_test(only_needed_columns_are_selected),
        cmocka_unit_test(towns_of_both_departments_have_one_code),
        cmocka_unit_test(dirty_residents_are_cleaned_or_quarantined),
        cmocka_unit_test(cursors_continue_exactly),
        cmocka_unit_test(composite_keys_escape_their_separator),
        cmocka_unit_test(persons_are_found_in_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
