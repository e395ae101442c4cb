#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

static void test_hostile_bytes_are_escaped(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        { "plain 朝阳区", "plain 朝阳区" },
        { "\033[31mred", "\\x1b[31mred" },
        { "bell\a tab\t line\n cr\r", "bell\\x07 tab\\x09 line\\x0a cr\\x0d" },
        { "del\177", "del\\x7f" },
        { "csi\302\233", "csi\\u{9b}" },                 /* U+009B, an 8-bit CSI */
        { "over\342\200\256ride", "over\\u{202e}ride" }, /* U+202E */
        { "iso\342\201\246late", "iso\\u{2066}late" },
        { "bad\377utf", "bad\\xffutf" },
        { "cut\344\270", "cut\\xe4\\xb8" },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *safe = text_safe(rows[i].text);
        assert_string_equal(safe, rows[i].expected);
        free(safe);
    }
}

static void check_json(const char *text, int indent, const char *expected)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    struct buf out;

    buf_init(&out, 4096);
    assert_non_null(value);
    assert_int_equal(text_append_json(&out, value, indent), 0);
    assert_string_equal(buf_cstr(&out), expected);
    json_decref(value);
    buf_fini(&out);
}

static void test_json(void **state)
{
    (void)state;
    check_json("{\"a\":1,\"b\":[true,false,null],\"c\":{}}", 0,
               "{\"a\": 1, \"b\": [true, false, null], \"c\": {}}");
    check_json("{\"a\":[1]}", 2, "{\n  \"a\": [\n    1\n  ]\n}");
    check_json("[0.1, 1e300, -2.5]", 0, "[0.1, 1e+300, -2.5]");
    check_json("0.30000000000000004", 0, "0.30000000000000004");
    check_json("\"q\\\" b\\\\ n\\n t\\t e\\u001b c\\u009b\"", 0,
               "\"q\\\" b\\\\ n\\n t\\t e\\u001b c\\u009b\"");
    check_json("\"\\u4e2d\\ud83d\\ude00\"", 0, "\"中😀\"");
    check_json("9007199254740993", 0, "9007199254740993");
}

static void test_json_stops_at_the_buffer(void **state)
{
    json_t *value = json_loads("[\"0123456789\",\"0123456789\"]", 0, NULL);
    struct buf out;

    (void)state;
    buf_init(&out, 12);
    assert_int_not_equal(text_append_json(&out, value, 0), 0);
    assert_true(out.len <= 12);
    json_decref(value);
    buf_fini(&out);
}

static void test_numbers(void **state)
{
    static const char *const good[] = {
        "0", "-5", "12.50", "1e9", "-1.5E-3", "9223372036854775807"
    };
    static const char *const bad[] = { "",   "-",   "+5", "1.", ".5",    "1e", "5-",
                                       "=1", "1 2", "@",  "-a", "1.2.3", "0x1" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(text_is_number(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_is_number(bad[i]));
}

static void test_counts(void **state)
{
    static const struct {
        uint64_t count;
        const char *text;
    } rows[] = { { 0, "0" },
                 { 999, "999" },
                 { 1000, "1,000" },
                 { 41352, "41,352" },
                 { UINT64_MAX, "18,446,744,073,709,551,615" } };
    char text[TEXT_COUNT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        text_count(rows[i].count, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_durations(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } rows[] = { { 0, "0 s" },
                 { 59, "59 s" },
                 { 60, "1 min" },
                 { 61, "1 min 1 s" },
                 { 3600, "1 h" },
                 { 3659, "1 h" },
                 { 7320, "2 h 2 min" },
                 { 604800, "7 d" },
                 { 86400 + 3 * 3600 + 5, "1 d 3 h" },
                 { UINT64_MAX, "213503982334601 d 7 h" } };
    char text[TEXT_DURATION_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        text_duration(rows[i].seconds, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_lower_camel(void **state)
{
    static const char *const rows[][2] = {
        { "county_code", "countyCode" }, { "name", "name" }, { "a_b_c", "aBC" },
        { "line_2", "line_2" },          { "_x", "_x" },     { "", "" }
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *camel = text_lower_camel(rows[i][0]);
        assert_string_equal(camel, rows[i][1]);
        free(camel);
    }
}

static void test_split(void **state)
{
    static const char *const bad[] = { "", ",", "a,", ",a", "a,,b", " ", "a, ,b" };
    json_t *parts = text_split("a, b ,c");

    (void)state;
    assert_int_equal(json_array_size(parts), 3);
    assert_string_equal(json_string_value(json_array_get(parts, 1)), "b");
    json_decref(parts);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(text_split(bad[i]));
}

static void test_nearest(void **state)
{
    static const char *const names[] = { "lookup", "query", "catalog", "doctor" };

    (void)state;
    assert_string_equal(text_nearest("qeury", names, 4), "query");
    assert_string_equal(text_nearest("catalogue", names, 4), "catalog");
    assert_string_equal(text_nearest("lokup", names, 4), "lookup");
    assert_null(text_nearest("frobnicate", names, 4));
    assert_null(text_nearest("", names, 4));
    assert_null(text_nearest("a-word-that-is-longer-than-any-name-of-ours", names, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_bytes_are_escaped),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_stops_at_the_buffer),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_lower_camel),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
