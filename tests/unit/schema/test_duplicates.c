/* Several rows of one key: which is the record, who says so, and what is counted. */
#include "database.h"

#define MAPPING_HEAD                                                                               \
    "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\ntable: t\n"         \
    "sharing: open\ncolumns: {gx: timestamp, n: int4, j: json}\n"
#define FIELDS                                                                                     \
    "fields:\n  id: k\n  text: v\n  big: n\n  at: {from: gx, utc_offset: '+00:00'}\n  amount: j\n"

static void make_table(void)
{
    run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
            "CREATE TABLE public.t (k text, v text, n int, gx timestamp, j json); "
            "INSERT INTO public.t VALUES "
            "('a', 'a2', 2, '2002-01-01', '{}'), ('a', 'a1', 1, '2001-01-01', '{}'), "
            "('a', 'a3', 3, NULL, '{}'), ('b', 'b', 5, '2005-01-01', NULL), "
            "('c', 'y', 7, '2007-01-01', '{}'), ('c', 'x', 7, '2007-01-01', '{}'), "
            "(NULL, 'none', 1, NULL, NULL), (NULL, 'none', 1, NULL, NULL)");
}

/* Keys and texts of the delivered rows; a mark for all others. */
static char *short_texts(char *text)
{
    struct buf out;
    buf_init(&out, 10000);
    for (char *line = text, *end; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        char *value = memmem(line, (size_t)(end - line), "\"text\":\"", 8);
        if (value != NULL)
            (void)buf_append(&out, value + 8, strcspn(value + 8, "\""));
        else
            (void)buf_append(&out, line, (size_t)(end - line));
        (void)buf_append_byte(&out, ' ');
    }
    free(text);
    char *copy = mem_strdup(buf_cstr(&out));
    buf_fini(&out);
    return copy;
}

static const struct {
    const char *rule;
    const char *query;  /* in the order of keys; rows without a key last */
    const char *lookup; /* of "a" */
    const char *tie;    /* of "c" */
    const char *batch;
    const char *filtered; /* big = 2: only a2 */
} rules[] = {
    { "duplicates: {keep: first, by: gx}\n", "a1 = = b x = ! id required REQUIRED_MISSING ", "a1 ",
      "x ", "a1 x ", "= " },
    { "duplicates: {keep: last, by: n}\n", "a3 = = b x = ! id required REQUIRED_MISSING ", "a3 ",
      "x ", "a3 x ", "= " },
    { "duplicates: {keep: newest, by: gx}\n", "a2 = = b x = ! id required REQUIRED_MISSING ", "a2 ",
      "x ", "a2 x ", "a2 " },
    { "duplicates: {keep: first, by: v}\n", "a1 = = b x = ! id required REQUIRED_MISSING ", "a1 ",
      "x ", "a1 x ", "= " },
    { "duplicates: reject\n",
      "! id duplicates KEY_DUPLICATE b ! id duplicates KEY_DUPLICATE ! id required "
      "REQUIRED_MISSING ",
      "! id duplicates KEY_DUPLICATE ", "! id duplicates KEY_DUPLICATE ",
      "! id duplicates KEY_DUPLICATE ! id duplicates KEY_DUPLICATE ",
      "! id duplicates KEY_DUPLICATE " },
};

/* Neighbours that say the same become one: their number is what accounts check. */
static char *merged(char *text)
{
    static const char *const many[] = { "! id duplicates KEY_DUPLICATE ",
                                        "! id required REQUIRED_MISSING " };
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(many[i]);
        for (char *at = strstr(text, many[i]); at != NULL; at = strstr(at + 1, many[i]))
            while (strncmp(at + len, many[i], len) == 0)
                memmove(at, at + len, strlen(at + len) + 1);
    }
    return text;
}

static struct schema_bundle *with_rule(const char *rule)
{
    char *yaml = mem_format(MAPPING_HEAD "%s" FIELDS, rule);
    struct schema_bundle *bundle = one_mapping(yaml);
    free(yaml);
    return bundle;
}

static void the_rule_decides_everywhere_alike(void **state)
{
    (void)state;
    make_table();
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = with_rule(rules[i].rule);
        static const char *const keys[] = { "a", "c", "zz" };
        if (probe(schema_bundle_at(bundle, 0), &err) != 0)
            fail_msg("%s", err.text);
        expect_text(merged(short_texts(query_texts(bundle, NULL))), rules[i].query);
        expect_text(short_texts(lookup_texts(bundle, "a")), rules[i].lookup);
        expect_text(short_texts(lookup_texts(bundle, "c")), rules[i].tie);
        expect_text(short_texts(lookup_texts(bundle, "zz")), "");
        expect_text(short_texts(batch_texts(bundle, keys, 3)), rules[i].batch);
        expect_text(short_texts(query_texts(bundle, "big = 2")), rules[i].filtered);
        schema_bundle_free(&bundle);
    }
}

/* Every row read is in one state. */
static void accounts_add_up(void **state)
{
    (void)state;
    static const int counts[][3] = {
        { 3, 2, 3 }, { 3, 2, 3 }, { 3, 2, 3 }, { 3, 2, 3 }, { 1, 7, 0 }
    };
    make_table();
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct schema_bundle *bundle = with_rule(rules[i].rule);
        struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
        struct err err = ERR_INIT;
        struct schema_row_report report;
        struct arena arena;
        struct db_sql sql;
        struct buf out;
        int states[3] = { 0 };
        arena_init(&arena);
        buf_init(&out, PLAN_RECORD_BYTES_MAX);
        assert_int_equal(schema_plan_query(plan, NULL, NULL, 0, &arena, &sql, &err), 0);
        PGresult *rows = ask(&sql);
        for (int row = 0; row < PQntuples(rows); row++) {
            size_t before = out.len;
            assert_int_equal(schema_plan_row(plan, as_rows(rows), row, &out, &report, &err), 0);
            states[report.state]++;
            assert_true(report.state == ROW_DELIVERED || out.len == before);
        }
        assert_int_equal(PQntuples(rows), 8);
        assert_memory_equal(states, counts[i], sizeof states);
        PQclear(rows);
        buf_fini(&out);
        arena_fini(&arena);
        schema_plan_free(&plan);
        schema_bundle_free(&bundle);
    }
}

/* What a consumer may see does not decide which row is the record. */
static void a_grant_does_not_choose_the_record(void **state)
{
    (void)state;
    uint8_t fields[PLAN_BITMAP_BYTES] = { 0 };
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    make_table();
    struct schema_bundle *bundle = with_rule("duplicates: {keep: last, by: n}\n");
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    plan_set_bit(fields, schema_message_field(dataset->type, "at", 2)->position);
    struct schema_plan *plan = schema_plan_new(dataset, fields, NULL, &err);
    arena_init(&arena);
    assert_int_equal(schema_plan_lookup(plan, "a", &arena, &sql, &err), 0);
    static const char selected[] = "SELECT \"k\", \"gx\", \"sluice rank\" FROM ";
    assert_int_equal(strncmp(sql.text, selected, sizeof selected - 1), 0);
    PGresult *rows = ask(&sql);
    assert_int_equal(PQntuples(rows), 1);
    assert_true(PQgetisnull(rows, 0, 1)); /* a3 has no time */
    PQclear(rows);
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

/* Pages continue behind a key; its duplicates come with it or not at all. */
static void pages_continue(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    make_table();
    struct schema_bundle *bundle = with_rule("duplicates: {keep: newest, by: gx}\n");
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    arena_init(&arena);
    assert_int_equal(schema_plan_query(plan, NULL, "a", 2, &arena, &sql, &err), 0);
    PGresult *rows = ask(&sql);
    expect_text(short_texts(row_texts(bundle, plan, rows)), "b x ");
    PQclear(rows);
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

/* Stored forms of one canonical key: a look-up follows the rule across them. */
static void a_lookup_follows_the_rule_across_forms(void **state)
{
    (void)state;
    run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
            "CREATE TABLE public.t (k text, v text, n int, gx timestamp, j json); "
            "INSERT INTO public.t VALUES ('11010519491231002x', 'small', 1), "
            "('11010519491231002X', 'large', 2), ('110105491231002', 'old', 0)");
    struct schema_bundle *bundle =
        one_mapping(MAPPING_HEAD "duplicates: {keep: last, by: n}\nkey: [person]\nfields:\n"
                                 "  person: k\n  text: v\n  at: {from: gx, utc_offset: '+00:00'}\n"
                                 "  amount: j\n");
    expect_text(short_texts(lookup_texts(bundle, "11010519491231002X")), "large ");
    schema_bundle_free(&bundle);
}

/* A dataset with children, a query as its source and duplicates at once. */
static void all_sources_at_once(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    make_table();
    run_sql("CREATE TABLE public.c (k text, n int, tag text); "
            "INSERT INTO public.c VALUES ('a', 2, 't2'), ('a', 3, 't3')");
    struct schema_bundle *bundle = one_mapping(
        "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\n"
        "query: SELECT k, v, n FROM public.t WHERE k IS NOT NULL\nsharing: open\n"
        "columns: {n: int4}\nduplicates: {keep: last, by: n}\nfields:\n  id: k\n  text: v\n"
        "  tags: {child: {table: c, join: {k: k, n: n}, order: [tag]}, from: tag}\n");
    if (probe(schema_bundle_at(bundle, 0), &err) != 0)
        fail_msg("%s", err.text);
    expect_text(query_texts(bundle, "id < b"),
                "{\"id\":\"a\",\"text\":\"a3\",\"tags\":[\"t3\"]}\n=\n=\n");
    expect_text(lookup_texts(bundle, "a"), "{\"id\":\"a\",\"text\":\"a3\",\"tags\":[\"t3\"]}\n");
    static const char *const keys[] = { "a" };
    expect_text(batch_texts(bundle, keys, 1), "{\"id\":\"a\",\"text\":\"a3\",\"tags\":[\"t3\"]}\n");
    schema_bundle_free(&bundle);
}

static void rules_of_a_dataset_are_read(void **state)
{
    (void)state;
    make_table();
    struct schema_bundle *bundle = with_rule(
        "quality: {quarantined_max: \"0.25%\", quarantined_rows_max: 100, rows_min: 1000}\n"
        "freshness: {field: at, max_age: 7d}\n"
        "expect: [{field: text, present_min: 95%}, {field: big, present_min: 100%}]\n");
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    assert_int_equal(dataset->thresholds.quarantined_per_million_max, 2500);
    assert_int_equal(dataset->thresholds.quarantined_rows_max, 100);
    assert_int_equal(dataset->thresholds.rows_min, 1000);
    assert_string_equal(dataset->freshness.field->name, "at");
    assert_int_equal(dataset->freshness.max_age_s, 7 * 86400);
    assert_int_equal(dataset->expectation_count, 2);
    assert_string_equal(dataset->expectations[0].field->name, "text");
    assert_int_equal(dataset->expectations[0].present_per_million_min, 950000);
    assert_int_equal(dataset->expectations[1].present_per_million_min, 1000000);
    schema_bundle_free(&bundle);
    bundle = with_rule("");
    dataset = schema_bundle_at(bundle, 0);
    assert_null(dataset->freshness.field);
    assert_int_equal(dataset->thresholds.quarantined_per_million_max, 0);
    schema_bundle_free(&bundle);
}

static void wrong_rules_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *rule; /* line 8 */
        const char *says;
    } table[] = {
        { "duplicates: drop\n", ":8:13: duplicates must be reject or" },
        { "duplicates: {keep: some, by: n}\n", "keep must be first, last or newest" },
        { "duplicates: {by: n}\n", "keep must be first, last or newest" },
        { "duplicates: {keep: first}\n", "rows have no order of their own" },
        { "duplicates: {keep: newest, by: n}\n", "newest needs a date or timestamp column" },
        { "duplicates: {keep: last, by: j}\n", "a column of this type does not order rows" },
        { "duplicates: {keep: last, bye: j}\n", "did you mean \"by\"?" },
        { "quality: {quarantined_max: 1}\n", "expected a share from 0% to 100%" },
        { "quality: {quarantined_max: 101%}\n", "expected a share from 0% to 100%" },
        { "quality: {quarantined_max: 0.00001%}\n", "at most four decimals" },
        { "quality: {quarantined_max: .5%}\n", "expected a share" },
        { "quality: {quarantined_max: 1.%}\n", "expected a share" },
        { "quality: {quarantined_max: 99999999999999999999%}\n", "expected a share" },
        { "quality: {quarantined_max: 0%}\n", "a limit must be above 0" },
        { "quality: {quarantined_rows_max: 0}\n", "a limit must be above 0" },
        { "quality: {quarantined_rows_max: -1}\n", "the number must be from 0" },
        { "freshness: {field: at}\n", "freshness needs {field: ..., max_age: ...}" },
        { "freshness: {field: at, max_age: 7}\n", "max_age needs a number and a unit" },
        { "freshness: {field: at, max_age: 0d}\n", "max_age needs a number and a unit" },
        { "freshness: {field: at, max_age: 7y}\n", "max_age needs a number and a unit" },
        { "freshness: {field: text, max_age: 7d}\n", "freshness needs a time or a date field" },
        { "freshness: {field: day, max_age: 7d}\n", "day is not mapped" },
        { "freshness: {field: txt, max_age: 7d}\n", "did you mean \"text\"?" },
        { "expect: {field: text}\n", "expect needs a list" },
        { "expect: [{field: text}]\n", "an expectation needs" },
        { "expect: [{field: text, present_min: 5}]\n", "expected a share" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *yaml = mem_format(MAPPING_HEAD "%s" FIELDS, table[i].rule);
        struct file_text file = { "departments/d/x.yaml", yaml };
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
        if (bundle != NULL)
            fail_msg("row %zu is accepted", i);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
        free(yaml);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_decides_everywhere_alike),
        cmocka_unit_test(accounts_add_up),
        cmocka_unit_test(a_grant_does_not_choose_the_record),
        cmocka_unit_test(pages_continue),
        cmocka_unit_test(a_lookup_follows_the_rule_across_forms),
        cmocka_unit_test(all_sources_at_once),
        cmocka_unit_test(rules_of_a_dataset_are_read),
        cmocka_unit_test(wrong_rules_are_refused_with_their_place),
    };
    return cmocka_run_group_tests(tests, database_open, database_close);
}
