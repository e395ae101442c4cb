/* Values with several origins: coalesce, another field, bad values left out, warnings that reject. */
#include "schema_support.h"

struct value_case {
    const char *head;   /* before `fields`, "" for none */
    const char *fields; /* under `id: i`; columns i, x, y in this order */
    struct cell x;
    struct cell y;
    const char *json; /* NULL: quarantined */
    const char *code; /* of the rejection, or of the only warning; NULL: none */
};

#define COALESCE "  text: {coalesce: [x, y], null_values: ['-', '']}\n"
#define DATED    "  person: x\n  day: {from_field: {field: person, take: birth_date}}\n"
#define BOTH(who_)                                                                                 \
    "  person: x\n  day: {from: y, normalise: [cn_date], null_values: ['-'],\n"                    \
    "        from_field: {field: person, take: birth_date, decides: " who_ "}}\n"
#define ID_TEXT                                                                                    \
    {                                                                                              \
        "11010519491231002x", 18                                                                   \
    }

static const struct value_case cases[] = {
    { "", "  text: x\n", { "a\0b", 3 }, { NULL, 0 }, NULL, "TEXT_HAS_NUL" },
    { "",
      "  text: {from: x, normalise: [trim]}\n",
      { "a\0b", 3 },
      { NULL, 0 },
      NULL,
      "TEXT_HAS_NUL" },
    { "columns: {x: bytea}\n",
      "  text: {from: x, normalise: [gb18030]}\n",
      { "a\0b", 3 },
      { NULL, 0 },
      NULL,
      "TEXT_HAS_NUL" },
    { "columns: {x: json}\n",
      "  extra: x\n",
      { "{\"a\":\"\0\"}", 9 },
      { NULL, 0 },
      NULL,
      "TEXT_HAS_NUL" },
    { "",
      COALESCE,
      { "a", sizeof("a") - 1 },
      { "b", sizeof("b") - 1 },
      "{\"id\":\"k\",\"text\":\"a\"}",
      NULL },
    { "", COALESCE, { NULL, 0 }, { "b", sizeof("b") - 1 }, "{\"id\":\"k\",\"text\":\"b\"}", NULL },
    { "",
      COALESCE,
      { " - ", sizeof(" - ") - 1 },
      { "b", sizeof("b") - 1 },
      "{\"id\":\"k\",\"text\":\"b\"}",
      NULL },
    { "", COALESCE, { "", sizeof("") - 1 }, { "-", sizeof("-") - 1 }, "{\"id\":\"k\"}", NULL },
    { "",
      COALESCE,
      { "\xff", sizeof("\xff") - 1 },
      { "b", sizeof("b") - 1 },
      NULL,
      "NOT_UTF8" }, /* bad is not absent */
    { "",
      "  text: {coalesce: [{column: x, length: 2}, y]}\n",
      { "abc", sizeof("abc") - 1 },
      { "b", sizeof("b") - 1 },
      NULL,
      "PART_REST" },
    { "columns: {x: int4}\n",
      "  big: {coalesce: [x, y]}\n",
      { NULL, 0 },
      { "7", sizeof("7") - 1 },
      "{\"id\":\"k\",\"big\":\"7\"}",
      NULL },
    { "columns: {x: int4}\n",
      "  big: {coalesce: [x, y], default: 5}\n",
      { NULL, 0 },
      { NULL, 0 },
      "{\"id\":\"k\",\"big\":\"5\"}",
      NULL },
    { "columns: {x: int4}\n",
      "  big: {coalesce: [x, y]}\n",
      { "\0\0\1", sizeof("\0\0\1") - 1 },
      { "7", sizeof("7") - 1 },
      NULL,
      "SOURCE_MALFORMED" },
    { "",
      "  text: {coalesce: [x, y], required: true}\n",
      { NULL, 0 },
      { NULL, 0 },
      NULL,
      "REQUIRED_MISSING" },

    { "",
      DATED,
      ID_TEXT,
      { NULL, 0 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\",\"day\":\"1949-12-31\"}",
      NULL },
    { "",
      DATED,
      { "110105491231002", sizeof("110105491231002") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\",\"day\":\"1949-12-31\"}",
      NULL },
    { "", DATED, { NULL, 0 }, { NULL, 0 }, "{\"id\":\"k\"}", NULL },
    { "", DATED, { "123", sizeof("123") - 1 }, { NULL, 0 }, NULL, "CN_ID_LENGTH" },
    { "",
      "  person: {from: x, normalise: []}\n  day: {from_field: {field: person, take: "
      "birth_date}}\n",
      { "123", sizeof("123") - 1 },
      { NULL, 0 },
      NULL,
      "FROM_FIELD_INVALID" },
    { "",
      "  person: {from: x, on_error: absent}\n  day: {from_field: {field: person, take: "
      "birth_date}}\n",
      { "123", sizeof("123") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      "CN_ID_LENGTH" },
    { "",
      "  day: {from_field: {field: person, take: birth_date}, required: true}\n  person: x\n",
      { NULL, 0 },
      { NULL, 0 },
      NULL,
      "REQUIRED_MISSING" },
    { "",
      "  colour: {from_field: {field: person, take: sex}}\n  person: x\n",
      ID_TEXT,
      { NULL, 0 },
      "{\"id\":\"k\",\"colour\":\"GREEN\",\"person\":\"11010519491231002X\"}",
      NULL },
    { "",
      "  part: {from_field: {field: person, take: division}}\n  person: x\n",
      ID_TEXT,
      { NULL, 0 },
      "{\"id\":\"k\",\"part\":\"110105\",\"person\":\"11010519491231002X\"}",
      NULL },
    { "",
      "  mail: {from_field: {field: person, take: division}}\n  phone: y\n  person: x\n",
      ID_TEXT,
      { "1", sizeof("1") - 1 },
      NULL,
      "ONEOF_CONFLICT" },

    { "",
      BOTH("field"),
      ID_TEXT,
      { "1949.12.31", sizeof("1949.12.31") - 1 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\",\"day\":\"1949-12-31\"}",
      NULL },
    { "",
      BOTH("field"),
      ID_TEXT,
      { "1949.12.30", sizeof("1949.12.30") - 1 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\",\"day\":\"1949-12-31\"}",
      "FROM_FIELD_DISAGREES" },
    { "",
      BOTH("column"),
      ID_TEXT,
      { "1949.12.30", sizeof("1949.12.30") - 1 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\",\"day\":\"1949-12-30\"}",
      "FROM_FIELD_DISAGREES" },
    { "",
      BOTH("column"),
      ID_TEXT,
      { "-", sizeof("-") - 1 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\",\"day\":\"1949-12-31\"}",
      NULL },
    { "",
      BOTH("field"),
      { NULL, 0 },
      { "1949.12.30", sizeof("1949.12.30") - 1 },
      "{\"id\":\"k\",\"day\":\"1949-12-30\"}",
      NULL },
    { "", BOTH("field"), { NULL, 0 }, { NULL, 0 }, "{\"id\":\"k\"}", NULL },
    { "", BOTH("field"), ID_TEXT, { "x", sizeof("x") - 1 }, NULL, "DATE_SYNTAX" },
    { "escalate: [CN_ID_CENTURY, FROM_FIELD_DISAGREES]\n",
      BOTH("column"),
      ID_TEXT,
      { "1949.12.30", sizeof("1949.12.30") - 1 },
      NULL,
      "FROM_FIELD_DISAGREES" },
    { "escalate: [FROM_FIELD_DISAGREES]\n",
      BOTH("column"),
      ID_TEXT,
      { "1949.12.31", sizeof("1949.12.31") - 1 },
      "{\"id\":\"k\",\"person\":\"11010519491231002X\",\"day\":\"1949-12-31\"}",
      NULL },

    { "",
      "  big: {from: x, on_error: absent}\n",
      { "7x", sizeof("7x") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      "INTEGER_SYNTAX" },
    { "",
      "  big: {from: x, on_error: absent}\n",
      { "7", sizeof("7") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\",\"big\":\"7\"}",
      NULL },
    { "",
      "  big: {from: x, on_error: absent, default: 5}\n",
      { "7x", sizeof("7x") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      "INTEGER_SYNTAX" }, /* the default is for absent values */
    { "",
      "  big: {from: x, on_error: quarantine}\n",
      { "7x", sizeof("7x") - 1 },
      { NULL, 0 },
      NULL,
      "INTEGER_SYNTAX" },
    { "",
      "  text: {from: x, on_error: absent}\n",
      { "\xff", sizeof("\xff") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      "NOT_UTF8" },
    { "",
      "  text: {from: x, normalise: [{regex: '[a-z]+'}], on_error: absent}\n",
      { "7", sizeof("7") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      "REGEX_MISMATCH" },
    { "",
      "  address.street: {from: x, normalise: [{regex: '[a-z]+'}], on_error: absent}\n",
      { "7", sizeof("7") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      "REGEX_MISMATCH" },
    { "escalate: [REGEX_MISMATCH]\n",
      "  text: {from: x, normalise: [{regex: '[a-z]+'}], on_error: absent}\n",
      { "7", sizeof("7") - 1 },
      { NULL, 0 },
      NULL,
      "REGEX_MISMATCH" },
    { "columns: {x: int4}\n",
      "  small: {from: x, on_error: absent}\n",
      { "\0", sizeof("\0") - 1 },
      { NULL, 0 },
      NULL,
      "SOURCE_MALFORMED" }, /* not a value at all */
    { "columns: {x: 'int4[]'}\n",
      "  numbers: {from: x, on_error: absent}\n",
      { "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\7\xff\xff\xff\xff",
        sizeof("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\7\xff\xff\xff\xff") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      "ARRAY_NULL_ELEMENT" },
    { "",
      "  person: {from: x, on_error: absent}\n",
      { "110105491231999", sizeof("110105491231999") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\",\"person\":\"110105194912319999\"}",
      "CN_ID_CENTURY" },
    { "escalate: [CN_ID_CENTURY]\n",
      "  person: x\n",
      { "110105491231999", sizeof("110105491231999") - 1 },
      { NULL, 0 },
      NULL,
      "CN_ID_CENTURY" },
    { "columns: {x: timestamptz}\n",
      "  at: {from: x, null_values: ['2000-01-01T00:00:00Z']}\n",
      { "\0\0\0\0\0\0\0\0", sizeof("\0\0\0\0\0\0\0\0") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\"}",
      NULL },
    { "columns: {x: timestamptz}\n",
      "  at: {from: x, null_values: ['2000-01-01T00:00:00Z']}\n",
      { "\0\0\0\0\0\0\0\1", sizeof("\0\0\0\0\0\0\0\1") - 1 },
      { NULL, 0 },
      "{\"id\":\"k\",\"at\":\"2000-01-01T00:00:00.000001Z\"}",
      NULL },
};

static struct schema_bundle *mapping_of(const char *head, const char *fields, struct err *err)
{
    /* y is always read, so that every case has three columns. */
    char *text = mem_format("version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\n"
                            "source: s\ntable: t\nsharing: open\n%sfields:\n  id: i\n%s",
                            head, fields);
    struct file_text file = { "departments/d/x.yaml", text };
    struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, err);
    free(text);
    return bundle;
}

static void values_come_from_where_they_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct value_case *c = &cases[i];
        struct err err = ERR_INIT;
        struct outcome outcome;
        struct schema_bundle *bundle = mapping_of(c->head, c->fields, &err);
        if (bundle == NULL)
            fail_msg("row %zu: %s", i, err.text);
        bool y_first = strstr(c->fields, "phone: y") != NULL;
        struct cell cells[] = { CELL("k"), y_first ? c->y : c->x, y_first ? c->x : c->y };
        const char *probe = schema_dataset_probe_sql(schema_bundle_at(bundle, 0));
        size_t count = strstr(probe, "\"y\"") != NULL ? 3 : 2;
        run_row(schema_bundle_at(bundle, 0), schema_bundle_types(bundle), cells, count, &outcome);
        const char *code = outcome.result != 0                       ? "SOURCE_MALFORMED"
                           : outcome.report.state == ROW_QUARANTINED ? outcome.report.code
                           : outcome.report.warning_count > 0 ? outcome.report.warnings[0].code
                                                              : NULL;
        bool delivered = outcome.result == 0 && outcome.report.state == ROW_DELIVERED;
        if (delivered != (c->json != NULL) || (code == NULL) != (c->code == NULL) ||
            (code != NULL && strcmp(code, c->code) != 0) ||
            (delivered && strcmp(outcome.json, c->json) != 0) || outcome.report.warning_count > 1)
            fail_msg("row %zu: %s %s", i, outcome.json, code == NULL ? "-" : code);
        schema_bundle_free(&bundle);
    }
}

/* The value leaves with its own grant; the field it is taken from does not leave with it. */
static void a_taken_field_needs_no_grant_for_its_origin(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    uint8_t fields[PLAN_BITMAP_BYTES] = { 0 };
    struct schema_row_report report;
    struct buf out;
    struct schema_bundle *bundle = mapping_of("", DATED, &err);
    assert_non_null(bundle);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    plan_set_bit(fields, schema_message_field(dataset->type, "day", 3)->position);
    struct schema_plan *plan = schema_plan_new(dataset, fields, NULL, &err);
    struct cell cells[] = { CELL("k"), CELL("11010519491231002x") };
    PGresult *rows = new_rows(cells, 2);
    buf_init(&out, 1000);
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &out, &report, &err), 0);
    assert_int_equal(out.len, 13); /* two bytes of tag, one of length, ten of the date */
    assert_memory_equal(out.data + 3, "1949-12-31", 10);
    PQclear(rows);
    cells[1] = CELL("1");
    rows = new_rows(cells, 2);
    buf_reset(&out);
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &out, &report, &err), 0);
    assert_int_equal(report.state, ROW_QUARANTINED);
    assert_string_equal(report.path, "person");
    assert_string_equal(report.rule, "cn_id");
    PQclear(rows);
    buf_fini(&out);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

static void wrong_origins_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *fields;
        const char *says;
    } table[] = {
        { "", "  text: {coalesce: x}\n", ":9:20: coalesce needs a list of two columns" },
        { "", "  text: {coalesce: [x]}\n", "coalesce needs a list of two columns" },
        { "", "  text: {coalesce: [x, y], separator: ','}\n", "and no separator" },
        { "", "  text: {coalesce: [x, y], from: z}\n", "from and coalesce exclude each other" },
        { "columns: {x: 'text[]'}\n", "  tags: {coalesce: [x, y]}\n", "cannot stand in coalesce" },
        { "columns: {y: bytea}\n", "  text: {coalesce: [x, y]}\n", "a bytea column feeds" },
        { "columns: {x: timestamp}\n", "  at: {coalesce: [x, y], utc_offset: '+08:00'}\n",
          "feeds one time field alone" },
        { "", "  day: {from_field: {field: persn, take: birth_date}}\n  person: x\n",
          "this mapping has no field \"persn\"; did you mean \"person\"?" },
        { "", "  day: {from_field: {field: text, take: birth_date}}\n  text: x\n",
          "\"text\" is no citizen number read from a column" },
        { "", "  day: {from_field: {field: person, take: birth_date}}\n  person: {constant: x}\n",
          "\"person\" is no citizen number read from a column" },
        { "", "  day: {from_field: {field: person, take: age}}\n  person: x\n",
          ":9:43: take must be birth_date, sex or division" },
        { "", "  day: {from_field: {field: person}}\n  person: x\n", "from_field needs" },
        { "", "  flag: {from_field: {field: person, take: sex}}\n  person: x\n",
          "flag (bool) cannot hold a sex, such as 1" },
        { "", "  day: {from: y, from_field: {field: person, take: birth_date}}\n  person: x\n",
          "say which decides" },
        { "",
          "  day: {from_field: {field: person, take: birth_date, decides: field}}\n  person: x\n",
          "decides needs a column beside it" },
        { "",
          "  day: {from_field: {field: person, take: birth_date}, normalise: [trim]}\n"
          "  person: x\n",
          "a chain is for a column" },
        { "", "  text: {from: x, on_error: drop}\n", "on_error must be quarantine or absent" },
        { "", "  text: {from: x, on_error: absent, required: true}\n",
          "a required field cannot be left out" },
        { "key: [part]\n", "  part: {from: x, on_error: absent}\n",
          "a key field cannot be looked up" },
        { "key: [part]\n", "  part: {coalesce: [x, y]}\n", "a key field cannot be looked up" },
        { "escalate: CN_ID_CENTURY\n", "", ":7:11: escalate needs a list" },
        { "escalate: [cn_id]\n", "", "a code looks like CN_ID_CENTURY" },
        { "columns: {x: 'text[]'}\n", "  tags: {from: x, null_values: ['-']}\n",
          "null_values do not reach into an array" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = mapping_of(table[i].head, table[i].fields, &err);
        if (bundle != NULL)
            fail_msg("row %zu is accepted", i);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_from_where_they_should),
        cmocka_unit_test(a_taken_field_needs_no_grant_for_its_origin),
        cmocka_unit_test(wrong_origins_are_refused_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
