/* Judging: each field by itself, places that lead back to a row, what is stored, records walked. */
#include "schema_support.h"

#include "schema/record.h"

enum { FIELDS = 31, TEXT = 2, BIG = 3, ADDRESS = 15, PHONE = 19, MAIL = 20, MAYBE = 24 };

struct judged {
    struct schema_verdict verdicts[FIELDS];
    int result;
};

static struct judged judge(const char *columns, const char *fields, const struct cell *cells,
                           size_t count)
{
    struct err err = ERR_INIT;
    struct judged out;
    struct schema_bundle *bundle = everything(columns, fields, &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    assert_int_equal(dataset->type->field_count, FIELDS);
    struct schema_plan *plan = full_plan(dataset);
    PGresult *rows = new_rows(cells, count);
    out.result = schema_plan_row_judge(plan, as_rows(rows), 0, out.verdicts, &err);
    PQclear(rows);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
    return out;
}

static void check(const struct schema_verdict *verdict, enum schema_verdict_state state,
                  bool absent, const char *code)
{
    assert_int_equal(verdict->state, state);
    assert_int_equal(verdict->absent, absent);
    assert_string_equal(verdict->code, code);
}

static void every_field_is_judged_though_one_is_rejected(void **state)
{
    (void)state;
    const struct cell cells[] = { CELL("k"), CELL("\xff"), CELL("12x") };
    struct judged out =
        judge("", "  id: i\n  text: t\n  big: b\n  amount: {constant: '7'}\n", cells, 3);
    assert_int_equal(out.result, 0);
    check(&out.verdicts[0], VERDICT_PASSED, false, "");
    check(&out.verdicts[TEXT], VERDICT_REJECTED, false, "NOT_UTF8");
    check(&out.verdicts[BIG], VERDICT_REJECTED, false, "INTEGER_SYNTAX");
    check(&out.verdicts[23], VERDICT_PASSED, false, "");
    check(&out.verdicts[MAYBE], VERDICT_UNMAPPED, true, "");
}

static void absence_is_told_from_defaults_and_from_empty_values(void **state)
{
    (void)state;
    const struct cell cells[] = { CELL("k"), NULL_CELL, CELL(""), CELL(" - ") };
    struct judged out = judge("",
                              "  id: i\n  text: {from: t, default: d}\n  maybe: m\n"
                              "  amount: {from: a, null_values: ['-'], required: true}\n",
                              cells, 4);
    assert_int_equal(out.result, 0);
    check(&out.verdicts[TEXT], VERDICT_PASSED, true, "");
    check(&out.verdicts[MAYBE], VERDICT_PASSED, false, "");
    check(&out.verdicts[23], VERDICT_REJECTED, true, "REQUIRED_MISSING");
}

static void parts_of_a_message_make_one_verdict(void **state)
{
    (void)state;
    const struct cell some[] = { CELL("k"), NULL_CELL, CELL("t") };
    const struct cell bad[] = { CELL("k"), CELL("\xff"), CELL("t") };
    const struct cell none[] = { CELL("k"), NULL_CELL, NULL_CELL };
    static const char fields[] = "  id: i\n  address.street: s\n  address.town: t\n";
    struct judged out = judge("", fields, some, 3);
    check(&out.verdicts[ADDRESS], VERDICT_PASSED, false, "");
    out = judge("", fields, bad, 3);
    check(&out.verdicts[ADDRESS], VERDICT_REJECTED, false, "NOT_UTF8");
    out = judge("", fields, none, 3);
    check(&out.verdicts[ADDRESS], VERDICT_PASSED, true, "");
}

static void a_warning_is_kept_and_malformed_bytes_are_an_error(void **state)
{
    (void)state;
    const struct cell warned[] = { CELL("k"), CELL("2020-01-01"), CELL("110105010101001") };
    struct judged out = judge("",
                              "  id: i\n  day: {from: d, normalise: [cn_date]}\n"
                              "  person: {from: p, normalise: [cn_id]}\n",
                              warned, 3);
    assert_int_equal(out.result, 0);
    check(&out.verdicts[22], VERDICT_PASSED, false, "");
    assert_null(out.verdicts[22].warning);
    const struct cell cut[] = { CELL("k"), CELL("abc") };
    assert_int_equal(judge("{b: bigint}", "  id: i\n  big: b\n", cut, 2).result, -1);
}

/* --- places ------------------------------------------------------------------------------------- */

static void a_place_leads_back_whatever_the_key_is_worth(void **state)
{
    (void)state;
    const struct {
        struct cell cells[2];
        const char *place;
        const char *where;
        int params;
    } cases[] = {
        { { CELL("a"), CELL("7") },
          "a\x1f"
          "7",
          " WHERE \"i\" = $1 AND \"p\" = $2 LIMIT 32",
          2 },
        { { NULL_CELL, CELL("7") },
          "\x1d\x1f"
          "7",
          " WHERE \"i\" IS NULL AND \"p\" = $1 LIMIT 32",
          1 },
        { { NULL_CELL, NULL_CELL },
          "\x1d\x1f\x1d",
          " WHERE \"i\" IS NULL AND \"p\" IS NULL LIMIT 32",
          0 },
        { { CELL(""), CELL("x") },
          "\x1f"
          "x",
          " WHERE \"i\" = $1 AND \"p\" = $2 LIMIT 32",
          2 },
    };
    struct err err = ERR_INIT;
    struct file_text file = { "departments/d/x.yaml",
                              "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\n"
                              "source: s\ntable: t\nsharing: open\nkey: [id, part]\n"
                              "fields: {id: i, part: p}\n" };
    struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
    assert_non_null(bundle);
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char place[PLAN_KEY_TEXT_BYTES_MAX];
        struct arena arena;
        struct db_sql sql;
        arena_init(&arena);
        PGresult *rows = new_rows(cases[i].cells, 2);
        assert_true(schema_plan_row_place(plan, as_rows(rows), 0, place));
        assert_string_equal(place, cases[i].place);
        assert_int_equal(schema_plan_place(plan, place, &arena, &sql, &err), 0);
        assert_non_null(strstr(sql.text, cases[i].where));
        assert_int_equal(sql.param_count, cases[i].params);
        PQclear(rows);
        arena_fini(&arena);
    }
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

static void what_is_no_place_is_refused(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    struct schema_plan *plan = full_plan(schema_bundle_find(bundle, "civil-affairs/towns"));
    static const char *const bad[] = { "110105", "110105\x1f"
                                                 "020000\x1f"
                                                 "x" };
    struct arena arena;
    arena_init(&arena);
    for (size_t i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        struct db_sql sql;
        assert_int_equal(schema_plan_place(plan, bad[i], &arena, &sql, &err), -1);
        assert_string_equal(err.reason, "PLACE_INVALID");
    }
    /* Text of the database's own that could be read as two values, or as SQL NULL, has no place. */
    static const char *const odd[] = { "a\x1f", "\x1d", "\xff" };
    for (size_t i = 0; i < 3; i++) {
        char place[PLAN_KEY_TEXT_BYTES_MAX];
        struct cell cells[8];
        for (size_t j = 0; j < 8; j++)
            cells[j] = CELL(odd[i]);
        PGresult *rows = new_rows(cells, 8);
        assert_false(schema_plan_row_place(plan, as_rows(rows), 0, place));
        PQclear(rows);
    }
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

static void the_stored_columns_of_a_field_are_told(void **state)
{
    (void)state;
    const struct cell cells[] = { CELL("k"), CELL("朝阳"), NULL_CELL };
    struct err err = ERR_INIT;
    struct arena arena;
    struct schema_stored stored[4];
    struct schema_bundle *bundle =
        everything("", "  id: i\n  text: {from: [a, b], separator: '/'}\n", &err);
    assert_non_null(bundle);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    struct schema_plan *plan = full_plan(dataset);
    PGresult *rows = new_rows(cells, 3);
    arena_init(&arena);
    assert_int_equal(schema_plan_row_stored(plan, as_rows(rows), 0, &dataset->type->fields[TEXT],
                                            &arena, stored, 4),
                     2);
    assert_string_equal(stored[0].column, "a");
    assert_string_equal(stored[0].text, "朝阳");
    assert_true(stored[1].null && stored[1].text == NULL);
    assert_int_equal(schema_plan_row_stored(plan, as_rows(rows), 0, &dataset->type->fields[TEXT],
                                            &arena, stored, 1),
                     1);
    assert_true(schema_dataset_maps(dataset, &dataset->type->fields[TEXT]));
    assert_false(schema_dataset_maps(dataset, &dataset->type->fields[BIG]));
    arena_fini(&arena);
    PQclear(rows);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

/* --- records ------------------------------------------------------------------------------------ */

static void a_record_is_walked_field_by_field(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_message *type = schema_bundle_find(bundle, "civil-affairs/residents")->type;
    /* name = "张", an unknown field 99, updated_at { seconds: 5 }, cut bytes */
    static const uint8_t bytes[] = "\x12\x03张\x9a\x06\x01x\x52\x02\x08\x05\x12\x09";
    struct slice rest = slice_of(bytes, sizeof bytes - 1);
    struct schema_record_field item;
    int64_t seconds = 0;
    assert_string_equal(schema_record_vintage(type)->name, "updated_at");
    assert_true(schema_record_seconds(type, schema_record_vintage(type), rest, &seconds));
    assert_int_equal(seconds, 5);
    assert_true(schema_record_next(type, &rest, &item));
    assert_string_equal(item.field->name, "name");
    assert_int_equal(item.value.len, 3);
    assert_int_equal(item.bytes.len, 5);
    assert_true(schema_record_next(type, &rest, &item));
    assert_string_equal(item.field->name, "updated_at");
    assert_false(schema_record_next(type, &rest, &item));
    assert_null(schema_record_vintage(schema_bundle_find(bundle, "statistics/streets")->type));
    schema_bundle_free(&bundle);
}

/* A date is its first moment in China, eight hours before UTC's. */
static void a_date_says_how_old_a_record_is(void **state)
{
    static const struct {
        const char *date;
        int64_t seconds; /* -1: no date */
    } rows[] = { { "1970-01-02", 57600 },        { "2024-02-29", 1709136000 },
                 { "2023-02-29", -1 },           { "2024-2-29", -1 },
                 { "2024-02-2x", -1 },           { "", -1 },
                 { "2024-02-29T00:00:00Z", -1 }, { "2024/02/29", -1 } };
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_message *type = schema_bundle_find(bundle, "civil-affairs/residents")->type;
    const struct schema_field *field = schema_message_field(type, "birth_date", 10);
    assert_non_null(field);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t record[64] = { (uint8_t)(field->number << 3 | 2), (uint8_t)strlen(rows[i].date) };
        int64_t seconds = -1;
        memcpy(record + 2, rows[i].date, strlen(rows[i].date));
        assert_int_equal(schema_record_seconds(
                             type, field, slice_of(record, 2 + strlen(rows[i].date)), &seconds),
                         rows[i].seconds != -1);
        assert_int_equal(seconds, rows[i].seconds);
    }
    schema_bundle_free(&bundle);
}

static void test_where_a_field_is_stored(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    const char *table, *column;
    struct schema_bundle *bundle = everything("", "  id: i\n  text: {from: [a, b]}\n", &err);
    assert_non_null(bundle);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    assert_true(schema_dataset_column(dataset, "id", &table, &column));
    assert_string_equal(table, "\"public\".\"t\"");
    assert_string_equal(column, "i");
    assert_false(schema_dataset_column(dataset, "text", &table, &column)); /* two columns */
    assert_false(schema_dataset_column(dataset, "mail", &table, &column)); /* not mapped */
    assert_false(schema_dataset_column(dataset, "no_such", &table, &column));
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_judged_though_one_is_rejected),
        cmocka_unit_test(absence_is_told_from_defaults_and_from_empty_values),
        cmocka_unit_test(parts_of_a_message_make_one_verdict),
        cmocka_unit_test(a_warning_is_kept_and_malformed_bytes_are_an_error),
        cmocka_unit_test(a_place_leads_back_whatever_the_key_is_worth),
        cmocka_unit_test(what_is_no_place_is_refused),
        cmocka_unit_test(the_stored_columns_of_a_field_are_told),
        cmocka_unit_test(a_record_is_walked_field_by_field),
        cmocka_unit_test(a_date_says_how_old_a_record_is),
        cmocka_unit_test(test_where_a_field_is_stored),
    };
    return cmocka_run_group_tests_name("schema/judge", tests, NULL, NULL);
}
