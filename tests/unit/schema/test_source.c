/* Where rows come from: tables, views and queries under the names departments give them. */
#include "database.h"

#define MAPPING_HEAD "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\n"

static const struct {
    const char *table;  /* as SQL writes it */
    const char *column; /* the same */
    const char *yaml_table;
    const char *yaml_column;
} names[] = {
    { "\"two words\"", "\"a b \"", "two words", "'a b '" },
    { "\"quo\"\"te\"", "\"c\"\"\"\"d\"", "'quo\"te'", "'c\"\"d'" },
    { "\"it's\"", "\"o'clock\"", "\"it's\"", "\"o'clock\"" },
    { "\"pay$1\"", "\"$1\"", "pay$1", "$1" },
    { "\"居民 表\"", "\"身份证号（旧）\"", "居民 表", "身份证号（旧）" },
    { "\"Upper\"", "\"select\"", "Upper", "select" },
    { "\"back\\slash\"", "\"per%s%n\"", "'back\\slash'", "'per%s%n'" },
    { "\"-- x\"", "\"a;b\"", "'-- x'", "a;b" },
};

static void names_may_hold_anything(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *sql = mem_format("DROP SCHEMA IF EXISTS \"sch\"\"ema 1\" CASCADE; "
                               "CREATE SCHEMA \"sch\"\"ema 1\"; "
                               "CREATE TABLE \"sch\"\"ema 1\".%s (%s text PRIMARY KEY, v text); "
                               "INSERT INTO \"sch\"\"ema 1\".%s VALUES ('k1', 'a'), ('k2', 'b')",
                               names[i].table, names[i].column, names[i].table);
        char *yaml = mem_format(MAPPING_HEAD "schema: 'sch\"ema 1'\ntable: %s\nsharing: open\n"
                                             "fields:\n  id: %s\n  text: v\n",
                                names[i].yaml_table, names[i].yaml_column);
        struct err err = ERR_INIT;
        run_sql(sql);
        struct schema_bundle *bundle = one_mapping(yaml);
        if (probe(schema_bundle_at(bundle, 0), &err) != 0)
            fail_msg("row %zu: %s", i, err.text);
        expect_text(query_texts(bundle, NULL),
                    "{\"id\":\"k1\",\"text\":\"a\"}\n{\"id\":\"k2\",\"text\":\"b\"}\n");
        expect_text(query_texts(bundle, "id > k1"), "{\"id\":\"k2\",\"text\":\"b\"}\n");
        expect_text(lookup_texts(bundle, "k2"), "{\"id\":\"k2\",\"text\":\"b\"}\n");
        static const char *const keys[] = { "k1", "zz" };
        expect_text(batch_texts(bundle, keys, 2), "{\"id\":\"k1\",\"text\":\"a\"}\n");
        schema_bundle_free(&bundle);
        free(sql);
        free(yaml);
    }
}

static void make_people(void)
{
    run_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
            "CREATE TABLE public.people (no text PRIMARY KEY, xm text, dead boolean); "
            "INSERT INTO public.people SELECT 'p' || n, 'n' || n, n % 2 = 0 "
            "FROM generate_series(1, 4) AS n; "
            "CREATE VIEW public.living AS SELECT no, xm FROM public.people WHERE NOT dead; "
            "CREATE TABLE public.ids (no text PRIMARY KEY, sfzh text); "
            "INSERT INTO public.ids VALUES ('p1', '11010519491231002x')");
}

static void a_view_is_a_table(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    make_people();
    struct schema_bundle *bundle =
        one_mapping(MAPPING_HEAD "table: living\nsharing: open\nfields:\n  id: no\n  text: xm\n");
    assert_int_equal(probe(schema_bundle_at(bundle, 0), &err), 0);
    expect_text(query_texts(bundle, NULL),
                "{\"id\":\"p1\",\"text\":\"n1\"}\n{\"id\":\"p3\",\"text\":\"n3\"}\n");
    expect_text(lookup_texts(bundle, "p2"), "");
    schema_bundle_free(&bundle);
}

static void a_query_is_a_source(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    make_people();
    struct schema_bundle *bundle = one_mapping(
        MAPPING_HEAD "query: |\n"
                     "  WITH l AS (SELECT * FROM public.living) -- the living (only)\n"
                     "  SELECT l.no, upper(l.xm) AS \"姓 名\", i.sfzh, 'it''s; $1' AS c,\n"
                     "         $tag$ ) ; $1 $tag$ AS d, E'\\'(' AS e /* ) /* ( */ ; */\n"
                     "  FROM l LEFT JOIN public.ids AS i USING (no) -- ) the end\n"
                     "sharing: open\nfields:\n  id: no\n  text: 姓 名\n  person: sfzh\n"
                     "  part: c\n  amount: d\n  maybe: e\n");
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    if (probe(dataset, &err) != 0)
        fail_msg("%s", err.text);
    expect_text(query_texts(bundle, "text = N1"),
                "{\"id\":\"p1\",\"part\":\"it's; $1\",\"text\":\"N1\","
                "\"person\":\"11010519491231002X\",\"amount\":\" ) ; $1 \",\"maybe\":\"'(\"}\n");
    expect_text(query_texts(bundle, "person = 11010519491231002X AND id > p1"), "");
    expect_text(lookup_texts(bundle, "p3"),
                "{\"id\":\"p3\",\"part\":\"it's; $1\",\"text\":\"N3\",\"amount\":\" ) ; $1 \","
                "\"maybe\":\"'(\"}\n");
    schema_bundle_free(&bundle);
}

/* Behind a key text of a key with several forms, a query is asked where the smallest form stands. */
static void a_query_continues_behind_a_key(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct arena arena;
    struct db_sql sql;
    make_people();
    struct schema_bundle *bundle =
        one_mapping(MAPPING_HEAD "query: SELECT sfzh FROM public.ids\nsharing: open\n"
                                 "key: [person]\nfields:\n  person: sfzh\n");
    struct schema_plan *plan = full_plan(schema_bundle_at(bundle, 0));
    arena_init(&arena);
    assert_int_equal(schema_plan_query(plan, NULL, "11010519491231002X", 10, &arena, &sql, &err),
                     0);
    PGresult *rows = ask(&sql);
    assert_int_equal(PQntuples(rows), 0);
    PQclear(rows);
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

/* What the reader lets through and PostgreSQL refuses as the source of a SELECT. */
static void postgresql_refuses_what_is_no_select(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "SELECT no INTO public.copy FROM public.people",
        "WITH d AS (DELETE FROM public.people RETURNING no) SELECT no FROM d",
        "WITH d AS (SELECT 1) DELETE FROM public.people RETURNING no",
        "SELECT no FROM public.nowhere",
        "SELECT no",
        "SELECT no FROM public.people) AS a, (SELECT 1",
    };
    make_people();
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        char *yaml =
            mem_format(MAPPING_HEAD "query: %s\nsharing: open\nfields:\n  id: no\n", queries[i]);
        struct file_text file = { "departments/d/x.yaml", yaml };
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
        if (bundle != NULL && probe(schema_bundle_at(bundle, 0), &err) == 0)
            fail_msg("accepted: %s", queries[i]);
        schema_bundle_free(&bundle);
        free(yaml);
    }
    char *left = postgres_value(server, "SELECT count(*) FROM public.people");
    expect_text(left, "4");
}

static void queries_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *rest; /* behind the head: line 5 on */
        const char *says;
    } table[] = {
        { "query: DELETE FROM t\n", ":5:8: the query must begin with SELECT or WITH" },
        { "query: (SELECT a FROM t)\n", "the query must begin with SELECT or WITH" },
        { "query: 1\n", NULL },
        { "query: ''\n", "the query is empty" },
        { "query: '-- nothing'\n", "the query is empty" },
        { "query: SELECT a FROM t; SELECT 1\n", "one statement without a semicolon" },
        { "query: SELECT a FROM t WHERE b = $1\n", "the query takes no parameters" },
        { "query: SELECT a FROM t WHERE b = 1$1\n", "the query takes no parameters" },
        { "query: SELECT a FROM t) AS x, (SELECT b FROM t\n", "a closing bracket has no opening" },
        { "query: SELECT (a FROM t\n", "an opening bracket has no closing one" },
        { "query: SELECT a FROM t FOR UPDATE\n", "the query may not lock rows" },
        { "query: SELECT a FROM t for  /* x */ no key update\n", "the query may not lock rows" },
        { "query: SELECT 'a FROM t\n", "a quoted text or name does not end" },
        { "query: SELECT \"a FROM t\n", "a quoted text or name does not end" },
        { "query: SELECT $x$a$y$ FROM t\n", "a quoted text or name does not end" },
        { "query: SELECT a /* /* */ FROM t\n", "a comment does not end" },
        { "query: SELECT 'a\\' FROM t\n", "write a backslash inside a text as" },
        { "query: [a]\n", ":5:8: " },
        { "query: SELECT 1\ntable: t\n", ":5:8: table (with schema) and query exclude each other" },
        { "query: SELECT 1\nschema: t\n", "table (with schema) and query exclude each other" },
        { "", "\"table\" is missing; add it, or a \"query\"" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *yaml = mem_format(MAPPING_HEAD "%ssharing: open\nfields:\n  id: a\n", table[i].rest);
        struct file_text file = { "departments/d/x.yaml", yaml };
        struct err err = ERR_INIT;
        struct schema_bundle *bundle = bundle_from(&file, 1, EVERYTHING_PB, &err);
        assert_null(bundle);
        if (table[i].says != NULL && strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
        free(yaml);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_may_hold_anything),
        cmocka_unit_test(a_view_is_a_table),
        cmocka_unit_test(a_query_is_a_source),
        cmocka_unit_test(a_query_continues_behind_a_key),
        cmocka_unit_test(postgresql_refuses_what_is_no_select),
        cmocka_unit_test(queries_are_refused_with_their_place),
    };
    return cmocka_run_group_tests(tests, database_open, database_close);
}
