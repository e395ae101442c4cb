/* YAML reader: positions, limits, refusals, typed readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/yaml.h"

static struct yaml *parse(const char *text, struct err *err)
{
    return yaml_parse("t.yaml", text, strlen(text), err);
}

static void tree_keeps_order_texts_and_positions(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct yaml *yaml = parse("a: 1\n数: [x, \"y\"]\nc:\n  d: |\n    two\n    lines\n", &err);
    assert_non_null(yaml);
    const struct yaml_node *root = yaml_root(yaml);
    assert_int_equal(yaml_kind(root), YAML_MAPPING);
    assert_int_equal(yaml_count(root), 3);
    assert_string_equal(yaml_text(yaml_key(root, 1)), "数");
    const struct yaml_node *list = yaml_value(root, 1);
    assert_int_equal(yaml_count(list), 2);
    assert_false(yaml_is_quoted(yaml_item(list, 0)));
    assert_true(yaml_is_quoted(yaml_item(list, 1)));
    assert_int_equal(yaml_line(yaml_item(list, 1)), 2);
    assert_int_equal(yaml_column(yaml_item(list, 1)), 8);
    assert_string_equal(yaml_text(yaml_get(yaml_get(root, "c"), "d")), "two\nlines\n");
    assert_null(yaml_get(root, "zz"));
    assert_null(yaml_get(list, "zz"));
    assert_string_equal(yaml_file(list), "t.yaml");
    yaml_free(&yaml);
    assert_null(yaml);
    yaml_free(&yaml);
}

static void nulls_and_empty_files(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "# only a comment\n", "~", "null", "---\n...\n" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct err err = ERR_INIT;
        struct yaml *yaml = parse(texts[i], &err);
        assert_non_null(yaml);
        assert_true(yaml_is_null(yaml_root(yaml)));
        yaml_free(&yaml);
    }
    struct err err = ERR_INIT;
    struct yaml *yaml = parse("a: ''\nb: 'null'\nc:\n", &err);
    assert_false(yaml_is_null(yaml_get(yaml_root(yaml), "a")));
    assert_false(yaml_is_null(yaml_get(yaml_root(yaml), "b")));
    assert_true(yaml_is_null(yaml_get(yaml_root(yaml), "c")));
    yaml_free(&yaml);
}

struct refused {
    const char *text;
    const char *starts; /* of err.text */
};

static void bad_files_are_refused_with_position(void **state)
{
    (void)state;
    static const struct refused table[] = {
        { "a: 1\na: 2\n", "t.yaml:2:1: the key \"a\" is given twice" },
        { "a: &x 1\n", "t.yaml:1:" },
        { "a: *x\n", "t.yaml:1:" },
        { "a: !!int 1\n", "t.yaml:1:" },
        { "a: 1\n---\nb: 2\n", "t.yaml:2:1: the file has more than one document" },
        { "a: [1, 2\n", "t.yaml:" },
        { "a: 1\n b: 2\n", "t.yaml:" },
        { "a: \"\\0\"\n", "t.yaml:1:4: a value may not contain a NUL" },
        { "a: 1\nb: \xff\n", "t.yaml:2:4: the file is not UTF-8" },
        { "? [a]\n: 1\n", "t.yaml:1:3: a key must be plain text" },
        { "\t- a\n", "t.yaml:1:" },
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err err = ERR_INIT;
        struct yaml *yaml = parse(table[i].text, &err);
        if (yaml != NULL)
            fail_msg("accepted: %s", table[i].text);
        assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
        if (strncmp(err.text, table[i].starts, strlen(table[i].starts)) != 0)
            fail_msg("row %zu: %s", i, err.text);
    }
    struct err err = ERR_INIT;
    assert_null(yaml_parse("t.yaml", "a\0b", 3, &err));
}

static char *repeat(const char *piece, size_t count)
{
    size_t len = strlen(piece);
    char *text = mem_zero(len * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * len, piece, len);
    return text;
}

static void limits_hold(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char *deep = repeat("[", YAML_DEPTH_MAX + 1);
    assert_null(parse(deep, &err));
    assert_non_null(strstr(err.text, "nested too deeply"));
    free(deep);
    deep = repeat("[", 100000);
    assert_null(parse(deep, &err));
    free(deep);
    deep = repeat("- ", YAML_DEPTH_MAX + 1);
    assert_null(parse(deep, &err));
    assert_non_null(strstr(err.text, "nested too deeply"));
    free(deep);
    char *wide = repeat("- a\n", YAML_NODES_MAX);
    assert_null(parse(wide, &err));
    assert_non_null(strstr(err.text, "too many values"));
    wide[4 * (YAML_NODES_MAX - 1)] = '\0';
    struct yaml *yaml = parse(wide, &err);
    assert_non_null(yaml);
    assert_int_equal(yaml_count(yaml_root(yaml)), YAML_NODES_MAX - 1);
    yaml_free(&yaml);
    free(wide);
    char *large = repeat("#", YAML_BYTES_MAX + 1);
    assert_null(parse(large, &err));
    assert_non_null(strstr(err.text, "larger than"));
    free(large);
}

static void typed_readers(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct yaml *yaml =
        parse("t: true\nf: false\nq: \"true\"\nn: 12\nm: -5\nx: 12a\nbig: 99999999999999999999\n"
              "list: [1]\nempty: \n",
              &err);
    const struct yaml_node *root = yaml_root(yaml);
    bool flag = false;
    int64_t number = 0;
    assert_int_equal(yaml_read_bool(yaml_get(root, "t"), &flag, &err), 0);
    assert_true(flag);
    assert_int_equal(yaml_read_bool(yaml_get(root, "f"), &flag, &err), 0);
    assert_false(flag);
    assert_int_equal(yaml_read_bool(yaml_get(root, "q"), &flag, &err), -1);
    assert_string_equal(err.text, "t.yaml:3:4: expected true or false");
    assert_int_equal(yaml_read_int(yaml_get(root, "n"), 0, 20, &number, &err), 0);
    assert_int_equal(number, 12);
    assert_int_equal(yaml_read_int(yaml_get(root, "m"), -10, 20, &number, &err), 0);
    assert_int_equal(number, -5);
    assert_int_equal(yaml_read_int(yaml_get(root, "n"), 0, 11, &number, &err), -1);
    assert_string_equal(err.text, "t.yaml:4:4: the number must be from 0 to 11");
    static const char *const not_numbers[] = { "x", "big", "list", "empty", "t" };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(yaml_read_int(yaml_get(root, not_numbers[i]), 0, INT64_MAX, &number, &err),
                         -1);
    assert_int_equal(yaml_expect(root, YAML_MAPPING, "the file", &err), 0);
    assert_int_equal(yaml_expect(root, YAML_SEQUENCE, "the file", &err), -1);
    assert_string_equal(err.text,
                        "t.yaml:1:1: the file must be a list, not a mapping of keys to values");
    yaml_free(&yaml);
}

static void unknown_keys_get_a_suggestion(void **state)
{
    (void)state;
    static const char *const allowed[] = { "listen", "source", "title", NULL };
    struct err err = ERR_INIT;
    struct yaml *yaml = parse("title: x\nsorce: y\n", &err);
    assert_int_equal(yaml_check_keys(yaml_root(yaml), allowed, &err), -1);
    assert_string_equal(err.text, "t.yaml:2:1: unknown key \"sorce\"; did you mean \"source\"?");
    yaml_free(&yaml);
    yaml = parse("zzzzzz: x\n", &err);
    assert_int_equal(yaml_check_keys(yaml_root(yaml), allowed, &err), -1);
    assert_string_equal(err.text, "t.yaml:1:1: unknown key \"zzzzzz\"; remove it");
    yaml_free(&yaml);
    yaml = parse("title: x\nsource: y\n", &err);
    assert_int_equal(yaml_check_keys(yaml_root(yaml), allowed, &err), 0);
    yaml_free(&yaml);
    assert_null(yaml_nearest("", 0, allowed, 3));
}

static void files_are_read_and_missing_ones_named(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char path[] = "/tmp/yaml-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "a: b\n", 5), 5);
    close(fd);
    struct yaml *yaml = yaml_load(path, &err);
    assert_non_null(yaml);
    assert_string_equal(yaml_text(yaml_get(yaml_root(yaml), "a")), "b");
    yaml_free(&yaml);
    unlink(path);
    assert_null(yaml_load(path, &err));
    assert_string_equal(err.reason, "FILE_UNREADABLE");
    assert_null(yaml_load("/", &err));
    assert_string_equal(err.reason, "FILE_UNREADABLE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_keeps_order_texts_and_positions),
        cmocka_unit_test(nulls_and_empty_files),
        cmocka_unit_test(bad_files_are_refused_with_position),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(typed_readers),
        cmocka_unit_test(unknown_keys_get_a_suggestion),
        cmocka_unit_test(files_are_read_and_missing_ones_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
