/* Values, SQLSTATE mapping, connection strings and statement kinds: what needs no server. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "unit/pg/harness.h"

#include "pg/internal.h"

static struct db_value bytes(const void *data, uint32_t len)
{
    return (struct db_value){ data, len };
}

static void test_fixed_width_values(void **state)
{
    (void)state;
    assert_int_equal(db_int8(bytes("\x00\x00\x00\x00\x00\x00\x01\x02", 8)), 258);
    assert_int_equal(db_int8(bytes("\xff\xff\xff\xff\xff\xff\xff\xfe", 8)), -2);
    assert_true(db_int8(bytes("\x80\0\0\0\0\0\0\0", 8)) == INT64_MIN);
    assert_int_equal(db_int4(bytes("\xff\xff\xff\xff", 4)), -1);
    assert_int_equal(db_int4(bytes("\x7f\xff\xff\xff", 4)), INT32_MAX);
    assert_true(db_bool(bytes("\x01", 1)));
    assert_false(db_bool(bytes("\x00", 1)));
    /* NULL and other widths */
    assert_int_equal(db_int8(bytes(NULL, 0)), 0);
    assert_int_equal(db_int8(bytes("\x01\x02\x03\x04", 4)), 0);
    assert_int_equal(db_int4(bytes("\x01", 1)), 0);
    assert_int_equal(db_int4(bytes("", 0)), 0);
    assert_false(db_bool(bytes("\x01\x01", 2)));
    assert_false(db_bool(bytes(NULL, 0)));
}

static void test_rows_are_results(void **state)
{
    (void)state;
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc column = {
        .name = (char *)"n", .typid = 23, .typlen = 4, .atttypmod = -1, .format = 1
    };
    assert_int_equal(PQsetResultAttrs(result, 1, &column), 1);
    assert_int_equal(PQsetvalue(result, 0, 0, (char *)"\0\0\0\7", 4), 1);
    assert_int_equal(PQsetvalue(result, 1, 0, NULL, -1), 1);
    const struct db_rows *rows = rows_of(result);
    assert_int_equal(db_row_count(rows), 2);
    assert_int_equal(db_column_count(rows), 1);
    assert_int_equal(db_int4(db_value(rows, 0, 0)), 7);
    assert_null(db_value(rows, 1, 0).data);
    assert_int_equal(db_column_type(rows, 0), 23);
    assert_int_equal(db_column_modifier(rows, 0), -1);
    assert_string_equal(db_column_name(rows, 0), "n");
    /* outside of it */
    assert_null(db_value(rows, 2, 0).data);
    assert_null(db_value(rows, -1, 0).data);
    assert_null(db_value(rows, 0, 1).data);
    assert_string_equal(db_column_name(rows, 9), "");
    PQclear(result);
}

static void test_write_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool in_transaction;
        enum write_kind kind;
    } cases[] = {
        { "COMMIT", true, WRITE_COMMIT },
        { "  commit ", false, WRITE_COMMIT },
        { "END", true, WRITE_COMMIT },
        { "COMMITTED", false, WRITE_AUTOCOMMIT },
        { "SELECT 1", false, WRITE_NONE },
        { "\n select 1", false, WRITE_NONE },
        { "SELECT(1)", false, WRITE_NONE },
        { "BEGIN", false, WRITE_NONE },
        { "ROLLBACK", true, WRITE_NONE },
        { "INSERT INTO a.t VALUES (1)", false, WRITE_AUTOCOMMIT },
        { "INSERT INTO a.t VALUES (1)", true, WRITE_NONE },
        { "WITH x AS (DELETE FROM a.t) SELECT 1", false, WRITE_AUTOCOMMIT },
        { "", false, WRITE_AUTOCOMMIT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(sql_write_kind(cases[i].text, cases[i].in_transaction), cases[i].kind);
}

static void test_refused_commits(void **state)
{
    (void)state;
    assert_true(sqlstate_commit_refused("23505"));
    assert_true(sqlstate_commit_refused("40001"));
    assert_true(sqlstate_commit_refused("40P01"));
    assert_false(sqlstate_commit_refused("40003")); /* completion unknown */
    assert_false(sqlstate_commit_refused("57P01"));
    assert_false(sqlstate_commit_refused("57014"));
    assert_false(sqlstate_commit_refused(""));
}

static void test_conninfo(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int targets; /* -1: refused */
        int lookups;
    } cases[] = {
        { "host=/run/postgresql dbname=x", 1, 0 },
        { "host=@abstract", 1, 0 },
        { "host=127.0.0.1", 1, 0 },
        { "host=::1", 1, 0 },
        { "host=db.example port=5433", 1, 1 },
        { "host=db.example hostaddr=10.0.0.1", 1, 0 },
        { "hostaddr=10.0.0.1", 1, 0 },
        { "host=a,b,10.0.0.1 port=1,2,3", 3, 2 },
        { "host=a,b port=5432", 2, 2 },
        { "postgresql://u@a:1,b:2/db?target_session_attrs=read-write", 2, 2 },
        { "host=a,b port=1,2,3", -1, 0 },
        { "host=a,b hostaddr=10.0.0.1", -1, 0 },
        { "host=a,b,c,d,e,f,g,h,i", -1, 0 },
        { "service=x", -1, 0 },
        { "nonsense", -1, 0 },
        { "unknown_key=1", -1, 0 },
        { "password='open", -1, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct conninfo info;
        struct err err = ERR_INIT;
        int status = conninfo_parse(&info, cases[i].text, &err);
        assert_int_equal(status, cases[i].targets < 0 ? -1 : 0);
        if (status == 0) {
            int lookups = 0;
            for (int k = 0; k < info.target_count; k++)
                lookups += info.targets[k].lookup;
            assert_int_equal(info.target_count, cases[i].targets);
            assert_int_equal(lookups, cases[i].lookups);
        }
        conninfo_fini(&info);
    }
}

static void test_conninfo_error_keeps_the_secret(void **state)
{
    (void)state;
    struct conninfo info;
    struct err err = ERR_INIT;
    assert_int_equal(conninfo_parse(&info, "user=u hunter2secret", &err), -1);
    assert_null(strstr(err.text, "hunter2"));
    assert_null(strstr(err.detail, "hunter2"));
    conninfo_fini(&info);
}

static void test_backoff_grows_to_its_limit(void **state)
{
    (void)state;
    static const int64_t limits[] = { 100, 200, 400, 800, 1600, 2000, 2000 };
    for (unsigned i = 0; i < sizeof limits / sizeof limits[0]; i++)
        for (int k = 0; k < 100; k++)
            assert_in_range(backoff_ms(i), limits[i] / 2, limits[i]);
    assert_in_range(backoff_ms(1000000), 1000, 2000);
}

/* array_to_string(a, E'\x1f') of no items is the empty text. */
static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *items[3];
    } cases[] = {
        { "", 0, { NULL } },
        { "code", 1, { "code" } },
        { "code\x1fname\x1f\xe5\xb8\x82", 3, { "code", "name", "\xe5\xb8\x82" } },
        { "\x1f", 2, { "", "" } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena;
        size_t count = 99;
        arena_init(&arena);
        struct db_value value = { .data = (const uint8_t *)cases[i].text,
                                  .len = (uint32_t)strlen(cases[i].text) };
        char **items = db_texts(&arena, value, &count);
        assert_int_equal(count, cases[i].count);
        for (size_t n = 0; n < count; n++)
            assert_string_equal(items[n], cases[i].items[n]);
        assert_string_equal(db_text(&arena, value), cases[i].text);
        arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_fixed_width_values),
        cmocka_unit_test(test_rows_are_results),
        cmocka_unit_test(test_write_kinds),
        cmocka_unit_test(test_refused_commits),
        cmocka_unit_test(test_conninfo),
        cmocka_unit_test(test_conninfo_error_keeps_the_secret),
        cmocka_unit_test(test_backoff_grows_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
