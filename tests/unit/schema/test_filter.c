/* Filters: grammar, types, refusals, and the SQL they become. */
#include "schema_support.h"

#include "pg/db.h"

enum { PARAMS_MAX = 8 };

struct compiled {
    const char *filter;
    const char *where; /* behind WHERE and before ORDER BY */
    const char *params[PARAMS_MAX];
};

static const char select_towns[] =
    "SELECT \"code\", \"town\", \"name\", \"province\", \"city\" FROM \"public\".\"town\"";

/* Compares the WHERE of a query of all fields. */
static void check_compiled(const struct schema_dataset *dataset, const char *select,
                           const char *order, const struct compiled *row)
{
    struct err err = ERR_INIT;
    uint8_t fields[PLAN_BITMAP_BYTES];
    struct arena arena;
    struct db_sql sql;
    all_fields(fields);
    arena_init(&arena);
    struct schema_filter *filter = schema_filter_parse(dataset, row->filter, NULL, &err);
    if (filter == NULL)
        fail_msg("%s: %s", row->filter, err.text);
    struct schema_plan *plan = schema_plan_new(dataset, fields, NULL, &err);
    assert_int_equal(schema_plan_query(plan, filter, NULL, 0, &arena, &sql, &err), 0);
    const char *wanted = arena_format(&arena, "%s%s%s ORDER BY %s", select,
                                      row->where[0] != '\0' ? " WHERE " : "", row->where, order);
    assert_string_equal(sql.text, wanted);
    int count = 0;
    while (count < PARAMS_MAX && row->params[count] != NULL)
        count++;
    assert_int_equal(sql.param_count, count);
    for (int i = 0; i < count; i++)
        assert_string_equal(sql.params[i], row->params[i]);
    schema_plan_free(&plan);
    schema_filter_free(&filter);
    arena_fini(&arena);
}

static void towns_filters_reach_the_owners_columns(void **state)
{
    (void)state;
    static const struct compiled rows[] = {
        { "", "", { NULL } },
        { "  ", "", { NULL } },
        { "code = \"110105020\"", "((\"code\" = $1 AND \"town\" = $2))", { "110105", "020000" } },
        { "code=110105020", "((\"code\" = $1 AND \"town\" = $2))", { "110105", "020000" } },
        { "code = 1101", "(FALSE)", { NULL } },
        { "code >= 1101", "(((\"code\", \"town\") >= ($1, $2)))", { "1101", "" } },
        { "code > 11010502", "(((\"code\", \"town\") > ($1, $2)))", { "110105", "02" } },
        { "code <= 110105020", "(((\"code\", \"town\") <= ($1, $2)))", { "110105", "020000" } },
        { "code != 110105020",
          "(((\"code\" = $1 AND \"town\" = $2)) IS NOT TRUE)",
          { "110105", "020000" } },
        { "city_code = 1101", "((\"province\" = $1 AND \"city\" = $2))", { "11", "01" } },
        { "level = TOWN", "(TRUE)", { NULL } },
        { "level = 4", "(TRUE)", { NULL } },
        { "level = \"COUNTY\"", "(FALSE)", { NULL } },
        { "level != TOWN", "((TRUE) IS NOT TRUE)", { NULL } },
        { "name:\"满族\"", "(strpos(\"name\", $1) > 0)", { "满族" } },
        { "name:*", "(NOT (\"name\" IS NULL))", { NULL } },
        { "county_code < 12", "(\"code\" < $1)", { "12" } },
        { "NOT name = x", "((\"name\" = $1) IS NOT TRUE)", { "x" } },
        { "-name = x", "((\"name\" = $1) IS NOT TRUE)", { "x" } },
    };
    struct schema_bundle *bundle = published();
    const struct schema_dataset *towns = schema_bundle_find(bundle, "civil-affairs/towns");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_compiled(towns, select_towns, "\"code\", \"town\"", &rows[i]);
    schema_bundle_free(&bundle);
}

/* AIP-160: OR binds tighter than AND. */
static void or_binds_tighter_than_and(void **state)
{
    (void)state;
    static const struct compiled rows[] = {
        { "name = a AND name = b OR name = c AND name = d",
          "(((\"name\" = $1) AND ((\"name\" = $2) OR (\"name\" = $3))) AND (\"name\" = $4))",
          { "a", "b", "c", "d" } },
        { "(name = a AND name = b) OR name = c",
          "(((\"name\" = $1) AND (\"name\" = $2)) OR (\"name\" = $3))",
          { "a", "b", "c" } },
        { "NOT name = a OR name = b",
          "(((\"name\" = $1) IS NOT TRUE) OR (\"name\" = $2))",
          { "a", "b" } },
        { "NOT (name = a OR name = b)",
          "(((\"name\" = $1) OR (\"name\" = $2)) IS NOT TRUE)",
          { "a", "b" } },
    };
    struct schema_bundle *bundle = published();
    const struct schema_dataset *towns = schema_bundle_find(bundle, "civil-affairs/towns");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_compiled(towns, select_towns, "\"code\", \"town\"", &rows[i]);
    schema_bundle_free(&bundle);
}

static void typed_columns_get_typed_values(void **state)
{
    (void)state;
    static const struct compiled rows[] = {
        { "big >= -5", "(\"n\" >= $1)", { "-5" } },
        { "big = 99999999999", "(\"n\" = $1)", { "99999999999" } },
        { "small = 70000", "(FALSE)", { NULL } },
        { "at > 2026-11-23T08:00:00Z", "(\"z\" > $1)", { "2026-11-23 08:00:00.000000+00" } },
        { "at <= \"2026-11-23T08:00:00.5+08:00\"",
          "(\"z\" <= $1)",
          { "2026-11-23 00:00:00.500000+00" } },
        { "at:*", "(NOT (\"z\" IS NULL))", { NULL } },
        { "flag = true", "(\"f\" = $1)", { "true" } },
        { "flag = false", "(\"f\" = $1 OR (\"f\" IS NULL))", { "false" } },
        { "day >= 2026-01-01", "(\"d\" >= $1)", { "2026-01-01" } },
        { "text < b", "(\"x\" COLLATE \"C\" < $1)", { "b" } },
        { "text = \"\"", "(\"x\" = $1 OR (\"x\" IS NULL))", { "" } },
        { "text:*", "((\"x\" = $1 OR (\"x\" IS NULL)) IS NOT TRUE)", { "" } },
        { "colour = GREEN", "(\"c\" = ANY($1))", { "{\"2\",\"zwei\"}" } },
        { "colour = -3", "(FALSE)", { NULL } },
        { "tags:\"a\\\"b\"", "($1 = ANY(\"g\"))", { "a\"b" } },
        { "tags:*", "(cardinality(\"g\") > 0)", { NULL } },
        { "mail = x", "(substr(\"m\", 2, 3) = $1)", { "x" } },
        { "maybe:*", "(NOT (\"y\" IS NULL))", { NULL } },
        { "amount = \"7\"", "(\"n\" = $1)", { "7" } },
        { "amount = \"07\"", "(FALSE)", { NULL } },
        { "phone = A",
          "(\"p\" = $1 AND NOT (\"p\" IS NULL OR btrim(\"p\"::text, ' "
          "\t\n\v\f\r\xc2\x85\u00a0\u1680"
          "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u2028\u2029"
          "\u202f\u205f\u3000\ufeff') = ANY($2)))",
          { "A", "{\"-\",\"\\\"\"}" } },
    };
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything(
        "{n: bigint, s: int2, z: timestamptz, f: bool, d: date, g: 'text[]'}",
        "  id: i\n  big: n\n  small: s\n  at: z\n  flag: f\n  day: {from: d, normalise: []}\n"
        "  text: x\n  colour: {from: c, codes: {'1': RED, '2': GREEN, zwei: '2'}}\n  tags: g\n"
        "  mail: {from: {column: m, substr: [2, 3]}}\n  maybe: y\n  amount: n\n"
        "  phone: {from: p, null_values: ['-', '\"']}\n",
        &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    static const char select[] =
        "SELECT \"i\", \"n\", \"s\", \"z\", \"f\", \"d\", \"x\", \"c\", \"g\", \"m\", \"y\", \"p\" "
        "FROM \"public\".\"t\"";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_compiled(schema_bundle_at(bundle, 0), select, "\"i\"", &rows[i]);
    schema_bundle_free(&bundle);
}

static void dirty_identifiers_are_found_exactly(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = published();
    const struct schema_dataset *residents = schema_bundle_find(bundle, "civil-affairs/residents");
    struct schema_filter *filter = schema_filter_parse(
        residents, "id_number = '11010519491231002x' AND sex = MALE", NULL, &err);
    assert_non_null(filter);
    uint8_t fields[PLAN_BITMAP_BYTES] = { 0 };
    struct schema_plan *plan = schema_plan_new(residents, fields, NULL, &err);
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    assert_int_equal(schema_plan_query(plan, filter, NULL, 0, &arena, &sql, &err), 0);
    /* Only the key column is selected: no other field is wanted. */
    assert_int_equal(strncmp(sql.text, "SELECT \"sfzh\" FROM \"public\".\"resident\" WHERE ", 45),
                     0);
    assert_non_null(strstr(sql.text, "translate(\"sfzh\", "));
    assert_string_equal(sql.params[0], "{\"11010519491231002X\",\"110105491231002\"}");
    assert_string_equal(sql.params[1], "{\"1\",\"男\",\"男性\",\"M\",\"MALE\"}");
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_filter_free(&filter);
    schema_bundle_free(&bundle);
}

struct refused {
    const char *filter;
    const char *reason;
    const char *says;
};

static const struct refused refused[] = {
    { "name", "FILTER_SYNTAX", "position 5: expected one of = != < <= > >= :" },
    { "name =", "FILTER_SYNTAX", "position 7: expected a value" },
    { "= x", "FILTER_SYNTAX", "position 1: expected a field name" },
    { "name = \"abc", "FILTER_SYNTAX", "position 8: expected a closing quote" },
    { "name = a name = b", "FILTER_SYNTAX", "position 10: expected AND, OR or the end" },
    { "名 = a", "FILTER_SYNTAX", "position 1: expected a field name" },
    { "name = 中文 ) ", "FILTER_SYNTAX", "position 11: expected AND, OR or the end" },
    { "(name = a", "FILTER_SYNTAX", "position 1: expected a closing bracket" },
    { "(name = a name = b)", "FILTER_SYNTAX",
      "position 11: expected AND, OR or a closing bracket" },
    { "()", "FILTER_SYNTAX", "position 2: expected a field name" },
    { "NOT", "FILTER_SYNTAX", "position 4: expected a field name" },
    { "name = a AND", "FILTER_SYNTAX", "position 13: expected a field name" },
    { "nmae = a", "FILTER_FIELD", "position 1; did you mean \"name\"?" },
    { "zzzzzzzz = a", "FILTER_FIELD", "unknown field at position 1." },
    { "level > TOWN", "FILTER_TYPE", "position 7: this field can only be compared with = and !=" },
    { "level = VILAGE", "FILTER_TYPE", "position 9: this is no value of the field" },
    { "level:TOWN", "FILTER_TYPE", "works on plain text fields only" },
    { "code:110", "FILTER_TYPE", "works on plain text fields only" },
    { "code > 1101050201", "FILTER_TYPE", "longer than the field's values" },
    { "name = \"a*\"", "FILTER_TYPE", "wildcards are not supported" },
    { "name = *", "FILTER_TYPE", "wildcards are not supported" },
    { "name:\"*\"", "FILTER_TYPE", "wildcards are not supported" },
    { "name = a; DROP TABLE town", "FILTER_SYNTAX", "expected AND, OR or the end" },
};

static void wrong_filters_are_refused_with_position(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_dataset *towns = schema_bundle_find(bundle, "civil-affairs/towns");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct err err = ERR_INIT;
        if (schema_filter_parse(towns, refused[i].filter, NULL, &err) != NULL)
            fail_msg("accepted: %s", refused[i].filter);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        if (strcmp(err.reason, refused[i].reason) != 0 || strstr(err.text, refused[i].says) == NULL)
            fail_msg("%s: %s %s", refused[i].filter, err.reason, err.text);
    }
    struct err err = ERR_INIT;
    const struct schema_dataset *residents = schema_bundle_find(bundle, "civil-affairs/residents");
    assert_null(schema_filter_parse(residents, "birth_date = 1990-01-01", NULL, &err));
    assert_string_equal(err.reason, "FILTER_FIELD");
    assert_non_null(strstr(err.text, "cannot be filtered"));
    assert_null(schema_filter_parse(residents, "id_number = 110105194912310021", NULL, &err));
    assert_non_null(strstr(err.text, "no valid citizen number"));
    assert_null(schema_filter_parse(residents, "updated_at > yesterday", NULL, &err));
    assert_non_null(strstr(err.text, "expected a time like"));
    assert_null(schema_filter_parse(residents, "name = \xff", NULL, &err));
    assert_string_equal(err.reason, "FILTER_SYNTAX");
    schema_bundle_free(&bundle);
}

/* A list of native codes that is cut short would miss rows: the filter is refused instead. */
static void codes_too_many_to_list_are_not_filtered(void **state)
{
    (void)state;
    for (size_t count = 1024; count <= 1025; count++) {
        struct err err = ERR_INIT;
        struct buf fields;
        buf_init(&fields, 64 * 1024);
        assert_int_equal(buf_append_str(&fields, "  id: i\n  text: {from: t, codes: {a: X"), 0);
        for (size_t i = 1; i < count; i++)
            assert_int_equal(buf_append_format(&fields, ", a%zu: X", i), 0);
        assert_int_equal(buf_append_str(&fields, "}}\n"), 0);
        struct schema_bundle *bundle = everything("", buf_cstr(&fields), &err);
        if (bundle == NULL)
            fail_msg("%s", err.text);
        struct schema_filter *filter =
            schema_filter_parse(schema_bundle_at(bundle, 0), "text = X", NULL, &err);
        assert_int_equal(filter != NULL, count == 1024);
        if (filter == NULL)
            assert_non_null(strstr(err.text, "cannot be filtered"));
        schema_filter_free(&filter);
        schema_bundle_free(&bundle);
        buf_fini(&fields);
    }
}

/* A field one may not use answers exactly like one that does not exist. */
static void forbidden_fields_look_unknown(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_dataset *residents = schema_bundle_find(bundle, "civil-affairs/residents");
    uint8_t allowed[PLAN_BITMAP_BYTES] = { 0 };
    plan_set_bit(allowed, schema_message_field(residents->type, "name", 4)->position);
    struct err forbidden = ERR_INIT, unknown = ERR_INIT;
    assert_null(schema_filter_parse(residents, "mobile = 1", allowed, &forbidden));
    assert_null(schema_filter_parse(residents, "mobilx = 1", allowed, &unknown));
    assert_string_equal(forbidden.text, unknown.text);
    assert_string_equal(forbidden.reason, unknown.reason);
    struct schema_filter *filter = schema_filter_parse(residents, "name = x", allowed, &forbidden);
    assert_non_null(filter);
    schema_filter_free(&filter);
    schema_bundle_free(&bundle);
}

static char *repeat(const char *piece, size_t count, const char *end)
{
    size_t len = strlen(piece);
    char *text = mem_zero(len * count + strlen(end) + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * len, piece, len);
    memcpy(text + len * count, end, strlen(end));
    return text;
}

static void limits_hold(void **state)
{
    (void)state;
    static const struct {
        const char *piece;
        size_t count;
        const char *end;
        bool fine;
    } table[] = {
        { "(", FILTER_DEPTH_MAX, "name=a", false },
        { "name=a AND ", FILTER_TERMS_MAX - 1, "name=a", true },
        { "name=a AND ", FILTER_TERMS_MAX, "name=a", false },
        { " ", FILTER_BYTES_MAX, "name=a", false },
        { "(", 5000, "", false },
    };
    struct schema_bundle *bundle = published();
    const struct schema_dataset *towns = schema_bundle_find(bundle, "civil-affairs/towns");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        char *text = repeat(table[i].piece, table[i].count, table[i].end);
        struct schema_filter *filter = schema_filter_parse(towns, text, NULL, &err);
        assert_int_equal(filter != NULL, table[i].fine);
        if (filter == NULL)
            assert_string_equal(err.reason, "FILTER_TOO_LARGE");
        schema_filter_free(&filter);
        free(text);
    }
    schema_bundle_free(&bundle);
}

/* 200 conditions of two parameters each are more than a statement takes. */
static void too_many_parameters_are_an_error(void **state)
{
    (void)state;
    struct schema_bundle *bundle = published();
    const struct schema_dataset *towns = schema_bundle_find(bundle, "civil-affairs/towns");
    struct err err = ERR_INIT;
    char *text = repeat("code=110105020 OR ", FILTER_TERMS_MAX - 1, "name=a");
    struct schema_filter *filter = schema_filter_parse(towns, text, NULL, &err);
    assert_non_null(filter);
    uint8_t fields[PLAN_BITMAP_BYTES] = { 0 };
    struct schema_plan *plan = schema_plan_new(towns, fields, NULL, &err);
    struct arena arena;
    struct db_sql sql;
    arena_init(&arena);
    assert_int_equal(schema_plan_query(plan, filter, NULL, 0, &arena, &sql, &err), -1);
    assert_string_equal(err.reason, "FILTER_TOO_LARGE");
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_filter_free(&filter);
    free(text);
    schema_bundle_free(&bundle);
}

/* Whatever a value holds, the statement's text does not change. */
static void values_never_reach_the_text(void **state)
{
    (void)state;
    static const char *const values[] = {
        "x", "'; DROP TABLE town; --", "$1", "\"", "\\'", "中'文"
    };
    struct schema_bundle *bundle = published();
    const struct schema_dataset *towns = schema_bundle_find(bundle, "civil-affairs/towns");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char filter[128], escaped[64];
        size_t len = 0;
        for (const char *p = values[i]; *p != '\0'; p++) {
            if (*p == '"' || *p == '\\')
                escaped[len++] = '\\';
            escaped[len++] = *p;
        }
        escaped[len] = '\0';
        (void)snprintf(filter, sizeof filter, "name = \"%s\"", escaped);
        struct compiled row = { filter, "(\"name\" = $1)", { values[i] } };
        check_compiled(towns, select_towns, "\"code\", \"town\"", &row);
    }
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(towns_filters_reach_the_owners_columns),
        cmocka_unit_test(or_binds_tighter_than_and),
        cmocka_unit_test(typed_columns_get_typed_values),
        cmocka_unit_test(dirty_identifiers_are_found_exactly),
        cmocka_unit_test(wrong_filters_are_refused_with_position),
        cmocka_unit_test(codes_too_many_to_list_are_not_filtered),
        cmocka_unit_test(forbidden_fields_look_unknown),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(too_many_parameters_are_an_error),
        cmocka_unit_test(values_never_reach_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
