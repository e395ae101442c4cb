/* Row programs: every column type, every refusal, malformed bytes, limits. */
#include "schema_support.h"

struct row_case {
    const char *columns;
    const char *field; /* one line under `id: i`; the second column is what it reads */
    struct cell cell;
    const char *json; /* NULL: quarantined */
    const char *rule;
    const char *code;
};

static const struct row_case row_cases[] = {
    { "", "text: x", { "中a", 4 }, "{\"id\":\"k\",\"text\":\"中a\"}", NULL, NULL },
    { "", "text: x", { "", 0 }, "{\"id\":\"k\"}", NULL, NULL },
    { "", "text: x", { NULL, 0 }, "{\"id\":\"k\"}", NULL, NULL },
    { "", "text: x", { "\xff", 1 }, NULL, "type", "NOT_UTF8" },
    { "", "text: {from: x, required: true}", { NULL, 0 }, NULL, "required", "REQUIRED_MISSING" },
    { "", "text: {from: x, default: d}", { NULL, 0 }, "{\"id\":\"k\",\"text\":\"d\"}", NULL, NULL },
    { "", "text: {from: x, null_values: ['-']}", { " - ", 3 }, "{\"id\":\"k\"}", NULL, NULL },
    { "", "maybe: x", { "", 0 }, "{\"id\":\"k\",\"maybe\":\"\"}", NULL, NULL },
    { "", "text: {constant: c}", { NULL, 0 }, "{\"id\":\"k\",\"text\":\"c\"}", NULL, NULL },
    { "{x: char}", "text: x", { "ab  ", 4 }, "{\"id\":\"k\",\"text\":\"ab\"}", NULL, NULL },
    { "{x: int2}", "small: x", { "\xff\xfe", 2 }, "{\"id\":\"k\",\"small\":-2}", NULL, NULL },
    { "{x: int4}",
      "big: x",
      { "\x00\x00\x01\x00", 4 },
      "{\"id\":\"k\",\"big\":\"256\"}",
      NULL,
      NULL },
    { "{x: bigint}",
      "big: x",
      { "\x80\x00\x00\x00\x00\x00\x00\x00", 8 },
      "{\"id\":\"k\",\"big\":\"-9223372036854775808\"}",
      NULL,
      NULL },
    { "{x: bigint}",
      "small: x",
      { "\x00\x00\x00\x01\x00\x00\x00\x00", 8 },
      NULL,
      "type",
      "INTEGER_RANGE" },
    { "{x: bigint}",
      "natural: x",
      { "\xff\xff\xff\xff\xff\xff\xff\xff", 8 },
      NULL,
      "type",
      "INTEGER_RANGE" },
    { "{x: int4}",
      "zigzag: x",
      { "\xff\xff\xff\xff", 4 },
      "{\"id\":\"k\",\"zigzag\":\"-1\"}",
      NULL,
      NULL },
    { "{x: int4}",
      "fixed: x",
      { "\x00\x00\x00\x07", 4 },
      "{\"id\":\"k\",\"fixed\":7}",
      NULL,
      NULL },
    { "{x: int4}",
      "wide: x",
      { "\xff\xff\xff\xff", 4 },
      "{\"id\":\"k\",\"wide\":\"-1\"}",
      NULL,
      NULL },
    { "{x: int4}",
      "text: x",
      { "\x00\x00\x00\x07", 4 },
      "{\"id\":\"k\",\"text\":\"7\"}",
      NULL,
      NULL },
    { "", "big: x", { "12", 2 }, "{\"id\":\"k\",\"big\":\"12\"}", NULL, NULL },
    { "", "big: x", { "12.0", 4 }, NULL, "type", "INTEGER_SYNTAX" },
    { "", "big: x", { "", 0 }, NULL, "type", "INTEGER_SYNTAX" },
    { "{x: bool}", "flag: x", { "\x01", 1 }, "{\"id\":\"k\",\"flag\":true}", NULL, NULL },
    { "{x: bool}", "flag: x", { "\x00", 1 }, "{\"id\":\"k\"}", NULL, NULL },
    { "",
      "flag: {from: x, normalise: bool}",
      { "是", 3 },
      "{\"id\":\"k\",\"flag\":true}",
      NULL,
      NULL },
    { "", "flag: x", { "yes", 3 }, NULL, "type", "BOOL_SYNTAX" },
    { "{x: float8}",
      "real: x",
      { "\x3f\xf8\0\0\0\0\0\0", 8 },
      "{\"id\":\"k\",\"real\":1.5}",
      NULL,
      NULL },
    { "{x: float8}",
      "text: x",
      { "\x3f\xb9\x99\x99\x99\x99\x99\x9a", 8 },
      "{\"id\":\"k\",\"text\":\"0.1\"}",
      NULL,
      NULL },
    { "{x: float8}", "text: x", { "\x7f\xf8\0\0\0\0\0\0", 8 }, NULL, "type", "NUMBER_NOT_FINITE" },
    { "{x: float4}",
      "text: x",
      { "\x3d\xcc\xcc\xcd", 4 },
      "{\"id\":\"k\",\"text\":\"0.1\"}",
      NULL,
      NULL },
    { "{x: numeric}",
      "amount: x",
      { "\0\2\0\0\0\0\0\2\x04\xd2\x15\x7c", 12 },
      "{\"id\":\"k\",\"amount\":\"1234.55\"}",
      NULL,
      NULL },
    { "{x: numeric}",
      "amount: x",
      { "\0\1\xff\xff\x40\0\0\4\0\1", 10 },
      "{\"id\":\"k\",\"amount\":\"-0.0001\"}",
      NULL,
      NULL },
    { "{x: numeric}",
      "amount: x",
      { "\0\1\0\2\0\0\0\0\0\7", 10 },
      "{\"id\":\"k\",\"amount\":\"700000000\"}",
      NULL,
      NULL },
    { "{x: numeric}",
      "amount: x",
      { "\0\0\0\0\0\0\0\2", 8 },
      "{\"id\":\"k\",\"amount\":\"0.00\"}",
      NULL,
      NULL },
    { "{x: numeric}", "amount: x", { "\0\0\0\0\xc0\0\0\0", 8 }, NULL, "type", "NUMBER_NOT_FINITE" },
    { "{x: numeric}",
      "amount: {from: x, normalise: [{unit: {power: 4}}]}",
      { "\0\2\0\0\0\0\0\2\x04\xd2\x15\x7c", 12 },
      "{\"id\":\"k\",\"amount\":\"12345500\"}",
      NULL,
      NULL },
    { "{x: date}",
      "day: x",
      { "\x00\x00\x00\x00", 4 },
      "{\"id\":\"k\",\"day\":\"2000-01-01\"}",
      NULL,
      NULL },
    { "{x: date}",
      "day: x",
      { "\xff\xff\xff\xff", 4 },
      "{\"id\":\"k\",\"day\":\"1999-12-31\"}",
      NULL,
      NULL },
    { "{x: date}", "day: x", { "\x7f\xff\xff\xff", 4 }, NULL, "type", "DATE_INFINITE" },
    { "{x: date}", "day: x", { "\x7f\xff\xff\xfe", 4 }, NULL, "type", "DATE_RANGE" },
    { "{x: timestamptz}",
      "at: x",
      { "\0\0\0\0\0\0\0\1", 8 },
      "{\"id\":\"k\",\"at\":\"2000-01-01T00:00:00.000001Z\"}",
      NULL,
      NULL },
    { "{x: timestamptz}",
      "at: x",
      { "\xff\xff\xff\xff\xff\xff\xff\xff", 8 },
      "{\"id\":\"k\",\"at\":\"1999-12-31T23:59:59.999999Z\"}",
      NULL,
      NULL },
    { "{x: timestamptz}",
      "at: x",
      { "\x7f\xff\xff\xff\xff\xff\xff\xff", 8 },
      NULL,
      "type",
      "TIMESTAMP_INFINITE" },
    { "{x: timestamp}",
      "at: {from: x, utc_offset: '+08:00'}",
      { "\0\0\0\0\0\0\0\0", 8 },
      "{\"id\":\"k\",\"at\":\"1999-12-31T16:00:00Z\"}",
      NULL,
      NULL },
    { "{x: timestamptz}",
      "text: x",
      { "\0\0\0\0\0\0\0\0", 8 },
      "{\"id\":\"k\",\"text\":\"2000-01-01T00:00:00Z\"}",
      NULL,
      NULL },
    { "",
      "at: x",
      { "2026-11-23T08:00:00+08:00", 25 },
      "{\"id\":\"k\",\"at\":\"2026-11-23T00:00:00Z\"}",
      NULL,
      NULL },
    { "", "at: x", { "2026-11-23", 10 }, NULL, "type", "TIMESTAMP_SYNTAX" },
    { "{x: uuid}",
      "text: x",
      { "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16 },
      "{\"id\":\"k\",\"text\":\"01234567-89ab-cdef-0123-456789abcdef\"}",
      NULL,
      NULL },
    { "{x: bytea}", "blob: x", { "\xff\x00", 2 }, "{\"id\":\"k\",\"blob\":\"/wA=\"}", NULL, NULL },
    { "{x: bytea}",
      "text: {from: x, normalise: [gb18030]}",
      { "\xd6\xd0\xb9\xfa", 4 },
      "{\"id\":\"k\",\"text\":\"中国\"}",
      NULL,
      NULL },
    { "{x: bytea}",
      "text: {from: x, normalise: [gb18030]}",
      { "\x80", 1 },
      NULL,
      "gb18030",
      "GB18030_INVALID" },
    { "", "colour: x", { "RED", 3 }, "{\"id\":\"k\",\"colour\":\"RED\"}", NULL, NULL },
    { "", "colour: x", { "-3", 2 }, "{\"id\":\"k\",\"colour\":\"BLUE\"}", NULL, NULL },
    { "", "colour: x", { "9", 1 }, NULL, "type", "ENUM_UNKNOWN" },
    { "",
      "colour: {from: x, codes: {红: RED}}",
      { "红", 3 },
      "{\"id\":\"k\",\"colour\":\"RED\"}",
      NULL,
      NULL },
    { "", "colour: {from: x, codes: {红: RED}}", { "绿", 3 }, NULL, "codes", "CODE_UNKNOWN" },
    { "{x: int4}",
      "colour: x",
      { "\0\0\0\2", 4 },
      "{\"id\":\"k\",\"colour\":\"GREEN\"}",
      NULL,
      NULL },
    { "",
      "address.street: x",
      { "s", 1 },
      "{\"id\":\"k\",\"address\":{\"street\":\"s\"}}",
      NULL,
      NULL },
    { "", "address.street: x", { NULL, 0 }, "{\"id\":\"k\"}", NULL, NULL },
    { "{x: float8}",
      "address.geo.latitude: x",
      { "\x3f\xf8\0\0\0\0\0\0", 8 },
      "{\"id\":\"k\",\"address\":{\"geo\":{\"latitude\":1.5}}}",
      NULL,
      NULL },
    { "",
      "inner.inner.text: x",
      { "t", 1 },
      "{\"id\":\"k\",\"inner\":{\"inner\":{\"text\":\"t\"}}}",
      NULL,
      NULL },
    { "{x: 'text[]'}",
      "tags: x",
      { "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\1a\0\0\0\0", 29 },
      "{\"id\":\"k\",\"tags\":[\"a\",\"\"]}",
      NULL,
      NULL },
    { "{x: 'text[]'}",
      "numbers: x",
      { "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\1"
        "7\0\0\0\2-1",
        31 },
      "{\"id\":\"k\",\"numbers\":[7,-1]}",
      NULL,
      NULL },
    { "{x: 'text[]'}",
      "tags: x",
      { "\0\0\0\0\0\0\0\0\0\0\0\x19", 12 },
      "{\"id\":\"k\"}",
      NULL,
      NULL },
    { "{x: 'text[]'}",
      "tags: x",
      { "\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\1\0\0\0\1\xff\xff\xff\xff", 24 },
      NULL,
      "array",
      "ARRAY_NULL_ELEMENT" },
    { "{x: 'text[]'}",
      "tags: x",
      { "\0\0\0\2\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 28 },
      NULL,
      "array",
      "ARRAY_DIMENSIONS" },
    { "{x: jsonb}",
      "extra: x",
      { "\1{\"a\": \"b\\u4e2d\", \"n\": 1.50, \"t\": true}", 39 },
      "{\"id\":\"k\",\"extra\":{\"a\":\"b中\",\"n\":\"1.50\",\"t\":\"true\"}}",
      NULL,
      NULL },
    { "{x: json}", "extra: x", { "{ }", 3 }, "{\"id\":\"k\"}", NULL, NULL },
    { "{x: json}", "extra: x", { "{\"a\":{}}", 8 }, NULL, "type", "JSON_NOT_FLAT" },
    { "{x: json}", "extra: x", { "{} x", 4 }, NULL, "type", "JSON_NOT_FLAT" },
    { "{x: json}", "extra: x", { "[1]", 3 }, NULL, "type", "JSON_NOT_OBJECT" },
    { "{x: json}", "extra: x", { "{\"a\":null}", 10 }, NULL, "type", "JSON_NOT_FLAT" },
    { "{x: jsonb}", "text: x", { "\1{}", 3 }, "{\"id\":\"k\",\"text\":\"{}\"}", NULL, NULL },
    { "",
      "person: x",
      { "11010519491231002x", 18 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\"}",
      NULL,
      NULL },
    { "", "person: x", { "1", 1 }, NULL, "cn_id", "CN_ID_LENGTH" },
    { "",
      "person: {from: x, normalise: []}",
      { "1", 1 },
      "{\"id\":\"k\",\"person\":\"1\"}",
      NULL,
      NULL },
    { "",
      "text: {from: {column: x, length: 2, rest: '00'}}",
      { "中文00", 8 },
      "{\"id\":\"k\",\"text\":\"中文\"}",
      NULL,
      NULL },
    { "",
      "text: {from: {column: x, length: 2, rest: '00'}}",
      { "ab01", 4 },
      NULL,
      "from",
      "PART_REST" },
    { "", "text: {from: {column: x, length: 2}}", { "a", 1 }, NULL, "from", "PART_LENGTH" },
    { "",
      "text: {from: {column: x, substr: [2, 2]}}",
      { "a中文b", 8 },
      "{\"id\":\"k\",\"text\":\"中文\"}",
      NULL,
      NULL },
    { "", "text: {from: {column: x, substr: [2, 2]}}", { "ab", 2 }, NULL, "from", "PART_LENGTH" },
    { "",
      "text: {from: {column: x, split: {separator: '-', item: 2}}}",
      { "a-b-c", 5 },
      "{\"id\":\"k\",\"text\":\"b\"}",
      NULL,
      NULL },
    { "",
      "text: {from: {column: x, split: {separator: '-', item: 4}}}",
      { "a-b-c", 5 },
      NULL,
      "from",
      "PART_MISSING" },
    { "",
      "text: {from: [x, x], separator: '/'}",
      { "a", 1 },
      "{\"id\":\"k\",\"text\":\"a/a\"}",
      NULL,
      NULL },
};

static void every_column_type_becomes_its_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof row_cases / sizeof row_cases[0]; i++) {
        const struct row_case *row = &row_cases[i];
        struct err err = ERR_INIT;
        char *fields = mem_format("  id: i\n  %s\n", row->field);
        struct schema_bundle *bundle = everything(row->columns, fields, &err);
        free(fields);
        if (bundle == NULL)
            fail_msg("row %zu: %s", i, err.text);
        struct outcome outcome;
        struct cell cells[] = { CELL("k"), row->cell };
        size_t count = strstr(row->field, "constant") != NULL ? 1 : 2;
        run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, count, &outcome);
        if (outcome.result != 0)
            fail_msg("row %zu is malformed", i);
        if (row->json != NULL) {
            if (outcome.report.state != ROW_DELIVERED)
                fail_msg("row %zu: %s %s", i, outcome.report.rule, outcome.report.code);
            assert_string_equal(outcome.json, row->json);
        } else {
            assert_int_equal(outcome.report.state, ROW_QUARANTINED);
            if (strcmp(outcome.report.rule, row->rule) != 0 ||
                strcmp(outcome.report.code, row->code) != 0)
                fail_msg("row %zu: %s %s", i, outcome.report.rule, outcome.report.code);
            assert_non_null(outcome.report.field);
        }
        assert_true(outcome.has_key);
        assert_string_equal(outcome.key, "k");
        schema_bundle_free(&bundle);
    }
}

/* The first value of a plan was cut before its scratch buffer had memory. */
static void an_empty_first_value_can_be_cut(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle =
        everything("", "  id: i\n  text: {from: {column: x, length: 1}}\n", &err);
    assert_non_null(bundle);
    struct outcome outcome;
    struct cell cells[] = { CELL("k"), CELL("") };
    run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, 2, &outcome);
    assert_string_equal(outcome.report.code, "PART_LENGTH");
    schema_bundle_free(&bundle);
}

static void malformed_binary_values_are_an_error(void **state)
{
    (void)state;
    static const struct row_case table[] = {
        { "{x: int4}", "big: x", { "\0", 1 }, NULL, NULL, NULL },
        { "{x: bigint}", "big: x", { "", 0 }, NULL, NULL, NULL },
        { "{x: bool}", "flag: x", { "\1\1", 2 }, NULL, NULL, NULL },
        { "{x: float8}", "real: x", { "abc", 3 }, NULL, NULL, NULL },
        { "{x: numeric}", "amount: x", { "\0\1\0\0\0\0\0\0", 8 }, NULL, NULL, NULL },
        { "{x: numeric}", "amount: x", { "\0\1\0\0\0\0\0\0\xff\xff", 10 }, NULL, NULL, NULL },
        { "{x: date}", "day: x", { "\0", 1 }, NULL, NULL, NULL },
        { "{x: timestamptz}", "at: x", { "\0", 1 }, NULL, NULL, NULL },
        { "{x: uuid}", "text: x", { "\0", 1 }, NULL, NULL, NULL },
        { "{x: jsonb}", "extra: x", { "{}", 2 }, NULL, NULL, NULL },
        { "{x: 'text[]'}", "tags: x", { "\0\0\0\1", 4 }, NULL, NULL, NULL },
        { "{x: 'text[]'}",
          "tags: x",
          { "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1", 20 },
          NULL,
          NULL,
          NULL },
        { "{x: 'text[]'}",
          "tags: x",
          { "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\7a", 25 },
          NULL,
          NULL,
          NULL },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        char *fields = mem_format("  id: i\n  %s\n", table[i].field);
        struct schema_bundle *bundle = everything(table[i].columns, fields, &err);
        free(fields);
        assert_non_null(bundle);
        struct outcome outcome;
        struct cell cells[] = { CELL("k"), table[i].cell };
        run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, 2, &outcome);
        if (outcome.result != -1)
            fail_msg("row %zu was accepted", i);
        schema_bundle_free(&bundle);
    }
}

static void oneofs_and_nesting(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything(
        "", "  id: i\n  phone: p\n  mail: m\n  address.town: t\n  address.street: s\n  count: n\n",
        &err);
    assert_non_null(bundle);
    struct outcome outcome;
    struct cell cells[] = { CELL("k"), CELL("1"), NULL_CELL, CELL("t"), CELL("s"), CELL("9") };
    run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, 6, &outcome);
    assert_string_equal(outcome.json, "{\"id\":\"k\",\"address\":{\"street\":\"s\",\"town\":\"t\"},"
                                      "\"phone\":\"1\",\"count\":9}");
    cells[2] = CELL("m");
    run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, 6, &outcome);
    assert_int_equal(outcome.report.state, ROW_QUARANTINED);
    assert_string_equal(outcome.report.code, "ONEOF_CONFLICT");
    schema_bundle_free(&bundle);
}

static void full_output_is_an_error_and_large_records_are_quarantined(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything("", "  id: i\n  text: x\n  amount: y\n", &err);
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    size_t len = PLAN_RECORD_BYTES_MAX - 100;
    char *large = mem_zero(len + 1);
    memset(large, 'a', len);
    struct cell cells[] = { CELL("k"), { large, len }, { large, 200 } };
    PGresult *rows = new_rows(cells, 3);
    struct schema_row_report report;
    struct buf out;
    buf_init(&out, 4 * PLAN_RECORD_BYTES_MAX);
    buf_append_str(&out, "before");
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &out, &report, &err), 0);
    assert_int_equal(report.state, ROW_QUARANTINED);
    assert_string_equal(report.code, "RECORD_TOO_LARGE");
    assert_int_equal(out.len, 6);
    buf_fini(&out);
    buf_init(&out, 1000);
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &out, &report, &err), -1);
    assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    PQclear(rows);
    free(large);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_column_type_becomes_its_field),
        cmocka_unit_test(an_empty_first_value_can_be_cut),
        cmocka_unit_test(malformed_binary_values_are_an_error),
        cmocka_unit_test(oneofs_and_nesting),
        cmocka_unit_test(full_output_is_an_error_and_large_records_are_quarantined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
