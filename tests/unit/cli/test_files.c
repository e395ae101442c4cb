/* Dates and migrations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/dates.h"
#include "cli/migrations.h"

static void test_dates(void **state)
{
    static const char *const bad[] = {
        "",
        "2027",
        "2027-1-1",
        "2027-02-29",
        "2027-13-01",
        "2027-00-10",
        "2027-01-32",
        "1969-12-31",
        "2027-01-01x",
        "2027-01-01 10:00",
        "2027-01-01T10:00:00",
        "2027-01-01T24:00:00Z",
        "2027-01-01T10:60:00Z",
        "2027-01-01T10:00:00+8",
        "2027-01-01T10:00:00.Z",
        "tomorrow",
    };
    char text[DATES_TEXT_BYTES];

    (void)state;
    setenv("TZ", "Asia/Shanghai", 1);
    tzset();
    assert_true(dates_parse("2027-12-31", DATES_END_OF_DAY, text));
    assert_string_equal(text, "2027-12-31T15:59:59Z");
    assert_true(dates_parse("2028-02-29", DATES_START_OF_DAY, text));
    assert_string_equal(text, "2028-02-28T16:00:00Z");
    assert_true(dates_parse("2027-01-01T10:00:00.5+08:00", DATES_END_OF_DAY, text));
    assert_string_equal(text, "2027-01-01T10:00:00.5+08:00");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (dates_parse(bad[i], DATES_END_OF_DAY, text))
            fail_msg("\"%s\" is no date", bad[i]);
    dates_after_days(1, text);
    assert_int_equal(strlen(text), 20);
    char next[DATES_TEXT_BYTES];
    assert_true(dates_parse("2027-12-31", DATES_NEXT_DAY, next));
    assert_true(dates_parse("2028-01-01", DATES_START_OF_DAY, text));
    assert_string_equal(next, text);
}

static void test_migration_names(void **state)
{
    static const char *const bad[] = { "",          "1_a.sql",    "01_a.sql",   "000_a.sql",
                                       "001a.sql",  "001_.sql",   "001_A.sql",  "001_a.sql~",
                                       "001_a.txt", "0010_a.sql", ".001_a.sql", "001_a b.sql" };

    (void)state;
    assert_int_equal(migration_number("001_control.sql"), 1);
    assert_int_equal(migration_number("120_a_b2.sql"), 120);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(migration_number(bad[i]), 0);
}

static void test_migration_lines(void **state)
{
    (void)state;
    assert_int_equal(migration_line("a\nb\nc", 1), 1);
    assert_int_equal(migration_line("a\nb\nc", 3), 2);
    assert_int_equal(migration_line("a\nb\nc", 5), 3);
    assert_int_equal(migration_line("-- 中文\nx", 7), 2); /* characters, not bytes */
    assert_int_equal(migration_line("", 9), 1);
}

static void put(const char *dir, const char *name, const char *text)
{
    char *path = mem_format("%s/%s", dir, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

static void drop(const char *dir, const char *name)
{
    char *path = mem_format("%s/%s", dir, name);

    assert_int_equal(unlink(path), 0);
    free(path);
}

static void test_migration_folder(void **state)
{
    char dir[] = "/tmp/sluice-migrations-XXXXXX";
    struct migrations m;
    struct err err = ERR_INIT;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(migrations_load(dir, &m, &err), -1);
    assert_string_equal(err.reason, "MIGRATIONS_ABSENT");
    put(dir, "010_later.sql", "SELECT 10;\n");
    put(dir, "002_first.sql", "");
    put(dir, "README", "not one of them");
    assert_int_equal(migrations_load(dir, &m, &err), 0);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.items[0].name, "002_first.sql");
    assert_string_equal(m.items[0].digest, /* SHA-256 of nothing */
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(m.items[1].sql, "SELECT 10;\n");
    migrations_fini(&m);
    put(dir, "010_again.sql", "");
    assert_int_equal(migrations_load(dir, &m, &err), -1);
    assert_string_equal(err.reason, "MIGRATION_NUMBER_TWICE");
    drop(dir, "010_again.sql");
    put(dir, "011_bytes.sql", "\377");
    assert_int_equal(migrations_load(dir, &m, &err), -1);
    assert_string_equal(err.reason, "MIGRATION_NOT_UTF8");
    drop(dir, "011_bytes.sql");
    drop(dir, "010_later.sql");
    drop(dir, "002_first.sql");
    drop(dir, "README");
    rmdir(dir);
    assert_int_equal(migrations_load(dir, &m, &err), -1);
    assert_string_equal(err.reason, "MIGRATIONS_ABSENT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_migration_names),
        cmocka_unit_test(test_migration_lines),
        cmocka_unit_test(test_migration_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
