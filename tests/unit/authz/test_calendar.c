/* Working days: the vectors of 2026, limits, tables that are refused with their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "authz/calendar.h"
#include "base/err.h"
#include "base/mem.h"

/* For tests only: taken from the public data set chinese-days 1.5.7, not from the official notice. */
static const char table_2026[] = "year: 2026\n"
                                 "source: public data set, for tests\n"
                                 "off:\n"
                                 "  - 2026-01-01..2026-01-03\n"
                                 "  - 2026-02-15..2026-02-23\n"
                                 "  - 2026-04-04..2026-04-06\n"
                                 "  - 2026-05-01..2026-05-05\n"
                                 "  - 2026-06-19..2026-06-21\n"
                                 "  - 2026-09-25..2026-09-27\n"
                                 "  - 2026-10-01..2026-10-07\n"
                                 "work: [2026-01-04, 2026-02-14, 2026-02-28, 2026-05-09,\n"
                                 "       2026-09-20, 2026-10-10]\n";

static int32_t day(const char *text)
{
    int32_t out;
    assert_true(calendar_date_parse(text, strlen(text), &out));
    return out;
}

/* Noon in Shanghai. */
static int64_t noon_us(const char *date)
{
    return ((int64_t)day(date) * 86400 + 4 * 3600) * 1000000;
}

static struct calendar *loaded(const char *text)
{
    struct err err = ERR_INIT;
    struct calendar *calendar = calendar_new();
    struct calendar_table *table = calendar_table_parse("t.yaml", text, strlen(text), &err);
    if (table == NULL)
        print_error("%s\n", err.text);
    assert_non_null(table);
    calendar_add_table(calendar, table);
    calendar_table_free(&table);
    assert_null(table);
    return calendar;
}

static void the_vectors_of_2026(void **state)
{
    (void)state;
    static const struct {
        const char *received;
        int days;
        const char *due;
    } vectors[] = {
        { "2026-02-06", 10, "2026-02-27" }, { "2026-04-27", 10, "2026-05-13" },
        { "2026-09-21", 10, "2026-10-12" }, { "2026-09-30", 1, "2026-10-08" },
        { "2026-10-09", 1, "2026-10-10" }, /* a Saturday on which people work */
        { "2026-11-23", 10, "2026-12-07" }, { "2026-11-23", 20, "2026-12-21" },
        { "2026-01-01", 1, "2026-01-04" }, /* received on a holiday */
    };
    struct calendar *calendar = loaded(table_2026);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct err err = ERR_INIT;
        char text[CALENDAR_DATE_BYTES];
        int32_t due;
        int left;
        assert_int_equal(
            calendar_due(calendar, noon_us(vectors[i].received), vectors[i].days, &due, NULL, &err),
            0);
        calendar_date_format(due, text);
        assert_string_equal(text, vectors[i].due);
        assert_int_equal(calendar_left(calendar, day(vectors[i].received), due, &left, &err), 0);
        assert_int_equal(left, vectors[i].days);
        assert_int_equal(calendar_left(calendar, due, day(vectors[i].received), &left, &err), 0);
        assert_int_equal(left, -vectors[i].days);
    }
    calendar_free(&calendar);
    assert_null(calendar);
}

static void the_day_is_that_of_shanghai(void **state)
{
    (void)state;
    struct calendar *calendar = loaded(table_2026);
    int64_t midnight_us = noon_us("2026-11-24") - 12LL * 3600 * 1000000;
    struct err err = ERR_INIT;
    int32_t due;
    assert_int_equal(calendar_day(midnight_us), day("2026-11-24"));
    assert_int_equal(calendar_day(midnight_us - 1), day("2026-11-23"));
    assert_int_equal(calendar_due(calendar, midnight_us - 1, 1, &due, NULL, &err), 0);
    assert_int_equal(due, day("2026-11-24"));
    assert_int_equal(calendar_due(calendar, midnight_us, 1, &due, NULL, &err), 0);
    assert_int_equal(due, day("2026-11-25"));
    assert_int_equal(calendar_day(-1), 0); /* still 1970-01-01 in Shanghai */
    assert_int_equal(calendar_day(-8LL * 3600 * 1000000 - 1), -1);
    calendar_free(&calendar);
}

static void a_year_that_is_not_loaded_is_told_and_never_guessed(void **state)
{
    (void)state;
    struct calendar *calendar = loaded(table_2026);
    struct err err = ERR_INIT;
    int32_t due = 7;
    int missing = 0, left;
    assert_true(calendar_has_year(calendar, 2026));
    assert_false(calendar_has_year(calendar, 2027));
    assert_int_equal(calendar_due(calendar, noon_us("2026-12-30"), 1, &due, &missing, &err), 0);
    assert_int_equal(calendar_due(calendar, noon_us("2026-12-31"), 1, &due, &missing, &err), -1);
    assert_int_equal(missing, 2027);
    assert_string_equal(err.reason, "CALENDAR_MISSING");
    assert_non_null(strstr(err.text, "2027"));
    assert_int_equal(calendar_left(calendar, day("2026-12-31"), day("2027-01-05"), &left, &err),
                     -1);
    assert_string_equal(err.reason, "CALENDAR_MISSING");
    /* Only days that are counted need their year: the day of receipt does not. */
    assert_int_equal(calendar_due(calendar, noon_us("2025-12-31"), 1, &due, &missing, &err), 0);
    assert_int_equal(due, day("2026-01-04"));
    assert_int_equal(calendar_due(calendar, INT64_MAX, 1, &due, &missing, &err), -1);
    assert_int_equal(calendar_due(calendar, INT64_MIN, 1, &due, &missing, &err), -1);
    calendar_free(&calendar);
}

static void deadlines_have_limits(void **state)
{
    (void)state;
    struct calendar *calendar = loaded(table_2026);
    static const int wrong[] = { 0, -1, CALENDAR_DAYS_MAX + 1, INT32_MAX };
    int32_t due;
    int left;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct err err = ERR_INIT;
        assert_int_equal(calendar_due(calendar, noon_us("2026-03-02"), wrong[i], &due, NULL, &err),
                         -1);
        assert_string_equal(err.reason, "CALENDAR_DAYS");
    }
    struct err err = ERR_INIT;
    assert_int_equal(calendar_left(calendar, INT32_MIN, INT32_MAX, &left, &err), -1);
    assert_string_equal(err.reason, "CALENDAR_FAR");
    assert_int_equal(calendar_left(calendar, day("2026-03-02"), day("2026-03-02"), &left, &err), 0);
    assert_int_equal(left, 0);
    assert_int_equal(calendar_add_year(calendar, CALENDAR_YEAR_MIN - 1, &err), -1);
    assert_int_equal(calendar_add_year(calendar, CALENDAR_YEAR_MAX + 1, &err), -1);
    assert_int_equal(calendar_set(calendar, day("2027-01-01"), false, &err), -1);
    assert_int_equal(calendar_set(calendar, INT32_MIN, false, &err), -1);
    assert_int_equal(calendar_set(calendar, INT32_MAX, false, &err), -1);
    calendar_free(&calendar);
}

static void a_year_added_again_is_replaced(void **state)
{
    (void)state;
    struct calendar *calendar = loaded(table_2026);
    struct err err = ERR_INIT;
    int32_t due;
    assert_int_equal(calendar_add_year(calendar, 2026, &err), 0);
    assert_int_equal(calendar_due(calendar, noon_us("2026-09-30"), 1, &due, NULL, &err), 0);
    assert_int_equal(due, day("2026-10-01"));
    assert_int_equal(calendar_set(calendar, day("2026-10-01"), false, &err), 0);
    assert_int_equal(calendar_due(calendar, noon_us("2026-09-30"), 1, &due, NULL, &err), 0);
    assert_int_equal(due, day("2026-10-02"));
    calendar_free(&calendar);
}

static void every_day_of_two_centuries_has_its_date(void **state)
{
    (void)state;
    int32_t previous = day("2000-01-01") - 1, at;
    for (int32_t i = day("2000-01-01"); i <= day("2199-12-31"); i++) {
        char text[CALENDAR_DATE_BYTES];
        calendar_date_format(i, text);
        assert_true(calendar_date_parse(text, 10, &at));
        assert_int_equal(at, i);
        assert_int_equal(at, previous + 1);
        previous = at;
    }
    assert_int_equal(day("2000-01-01"), 10957); /* as `date -u -d 2000-01-01 +%s` / 86400 */
    assert_int_equal(calendar_year(day("2024-02-29")), 2024);
    assert_true(calendar_is_weekend(day("2026-11-28")));
    assert_true(calendar_is_weekend(day("2026-11-29")));
    assert_false(calendar_is_weekend(day("2026-11-30")));
    static const char *const wrong[] = { "2026-02-29", "2026-13-01", "2026-00-01", "2026-01-00",
                                         "2026-04-31", "1999-12-31", "2200-01-01", "2026-1-01",
                                         "2026/01/01", "2026-01-0x", "+026-01-01", "" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(calendar_date_parse(wrong[i], strlen(wrong[i]), &at));
}

static void a_bad_table_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *place;
        const char *says;
    } cases[] = {
        { "", "t.yaml:1:1: ", "" },
        { "[]", "t.yaml:1:1: ", "" },
        { "year: 2026\nsource: s\n", "t.yaml:1:1: ", "off" },
        { "year: 2026\nsource: s\noff: []\n", "t.yaml:1:1: ", "off" },
        { "source: s\noff: [2026-01-01]\n", "t.yaml:1:1: ", "year" },
        { "year: 2026\noff: [2026-01-01]\n", "t.yaml:1:1: ", "source" },
        { "year: 2026\nsource: ''\noff: [2026-01-01]\n", "t.yaml:2:9: ", "source" },
        { "year: 1999\nsource: s\noff: [1999-01-01]\n", "t.yaml:1:7: ", "2000" },
        { "year: 2200\nsource: s\noff: [2200-01-01]\n", "t.yaml:1:7: ", "2199" },
        { "year: 2026\nsource: s\noff: [2025-12-31]\n", "t.yaml:3:7: ", "not in 2026" },
        { "year: 2026\nsource: s\noff: [2026-02-29]\n", "t.yaml:3:7: ", "date" },
        { "year: 2026\nsource: s\noff: [2026-01-01, 2026-01-01]\n", "t.yaml:3:19: ", "twice" },
        { "year: 2026\nsource: s\noff: [2026-01-03..2026-01-01]\n", "t.yaml:3:7: ", "after" },
        { "year: 2026\nsource: s\noff: [2026-01-01..2026-01-03..2026-01-05]\n",
          "t.yaml:3:7: ", "date" },
        { "year: 2026\nsource: s\noff: [2026-12-31..2027-01-02]\n", "t.yaml:3:7: ", "not in 2026" },
        { "year: 2026\nsource: s\noff: [{a: b}]\n", "t.yaml:3:7: ", "" },
        { "year: 2026\nsource: s\noff: 2026-01-01\n", "t.yaml:3:6: ", "" },
        { "year: 2026\nsource: s\noff: [2026-01-01]\nwork: [2026-03-02]\n",
          "t.yaml:4:8: ", "no weekend day" },
        { "year: 2026\nsource: s\noff: [2026-01-03]\nwork: [2026-01-03]\n",
          "t.yaml:4:8: ", "twice" },
        { "year: 2026\nsource: s\noff: [2026-01-01]\nwrok: [2026-01-04]\n",
          "t.yaml:4:1: ", "work" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        struct calendar_table *table =
            calendar_table_parse("t.yaml", cases[i].text, strlen(cases[i].text), &err);
        assert_null(table);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        if (strncmp(err.text, cases[i].place, strlen(cases[i].place)) != 0 ||
            strstr(err.text, cases[i].says) == NULL) {
            print_error("case %zu: %s\n", i, err.text);
            fail();
        }
    }
}

static void a_table_may_take_the_whole_year_and_no_more_bytes_than_its_limit(void **state)
{
    (void)state;
    static const char whole[] = "year: 2028\nsource: s\noff: [2028-01-01..2028-12-31]\n";
    struct calendar *calendar = loaded(whole);
    struct err err = ERR_INIT;
    int32_t due;
    int missing = 0;
    assert_int_equal(calendar_due(calendar, noon_us("2028-01-01"), 1, &due, &missing, &err), -1);
    assert_int_equal(missing, 2029);
    calendar_free(&calendar);

    size_t len = CALENDAR_TABLE_BYTES_MAX;
    char *text = mem_zero(len + 2);
    memset(text, '\n', len + 1);
    memcpy(text, whole, sizeof whole - 1);
    struct calendar_table *table = calendar_table_parse("t.yaml", text, len, &err);
    assert_non_null(table);
    assert_int_equal(table->day_count, 366);
    calendar_table_free(&table);
    assert_null(calendar_table_parse("t.yaml", text, len + 1, &err));
    assert_string_equal(err.reason, "CALENDAR_INVALID");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_2026),
        cmocka_unit_test(the_day_is_that_of_shanghai),
        cmocka_unit_test(a_year_that_is_not_loaded_is_told_and_never_guessed),
        cmocka_unit_test(deadlines_have_limits),
        cmocka_unit_test(a_year_added_again_is_replaced),
        cmocka_unit_test(every_day_of_two_centuries_has_its_date),
        cmocka_unit_test(a_bad_table_is_refused_with_its_place),
        cmocka_unit_test(a_table_may_take_the_whole_year_and_no_more_bytes_than_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
