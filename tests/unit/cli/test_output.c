#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/messages.h"
#include "cli/output.h"

struct writer {
    struct output *output;
    FILE *file;
    char *text;
    size_t len;
};

static void writer_open(struct writer *w, enum output_format format)
{
    w->file = open_memstream(&w->text, &w->len);
    w->output = output_new(w->file, format);
}

static int writer_row(struct writer *w, const char *json)
{
    json_t *row = json_loads(json, 0, NULL);
    int failed;

    assert_non_null(row);
    failed = output_row(w->output, row);
    json_decref(row);
    return failed;
}

static void writer_close(struct writer *w, const char *expected)
{
    assert_int_equal(output_finish(w->output), 0);
    fclose(w->file);
    assert_string_equal(w->text, expected);
    free(w->text);
    output_free(&w->output);
}

static void test_table_aligns_by_display_columns(void **state)
{
    struct writer w;

    (void)state;
    writer_open(&w, OUTPUT_TABLE);
    writer_row(&w, "{\"name\":\"朝阳\",\"code\":\"110105\"}");
    writer_row(&w, "{\"name\":\"a\",\"code\":null,\"more\":{\"x\":[1]}}");
    writer_close(&w, "name  code    more\n"
                     "----  ------  ----------\n"
                     "朝阳  110105  \n"
                     "a             {\"x\": [1]}\n");
}

/* Programs read the names: only the heading of a table is for people. */
static void test_headings_are_in_the_readers_language(void **state)
{
    static const char *const names[] = { "name", "dataset", "x" };
    static const char *const row = "{\"name\":\"a\",\"dataset\":\"b\",\"x\":1}";
    struct writer w;

    (void)state;
    messages_set_language(LANGUAGE_ZH);
    writer_open(&w, OUTPUT_TABLE);
    output_set_columns(w.output, names, 3);
    writer_row(&w, row);
    writer_close(&w, "名称  数据集  x\n----  ------  -\na     b       1\n");
    writer_open(&w, OUTPUT_CSV);
    output_set_columns(w.output, names, 3);
    writer_row(&w, row);
    writer_close(&w, "name,dataset,x\r\na,b,1\r\n");
    writer_open(&w, OUTPUT_TABLE); /* fields of a record keep their names */
    output_set_fields(w.output, names, 3);
    writer_row(&w, row);
    writer_close(&w, "name  dataset  x\n----  -------  -\na     b        1\n");
    messages_set_language(LANGUAGE_EN);
}

static void test_table_escapes_what_a_terminal_would_obey(void **state)
{
    struct writer w;

    (void)state;
    writer_open(&w, OUTPUT_TABLE);
    writer_row(&w, "{\"v\":\"\\u001b[2J\\nx\"}");
    writer_close(&w, "v\n------------\n\\x1b[2J\\x0ax\n");
}

static void test_csv_quotes_and_guards_formulas(void **state)
{
    static const char *const columns[] = { "a", "b" };
    struct writer w;

    (void)state;
    writer_open(&w, OUTPUT_CSV);
    output_set_columns(w.output, columns, 2);
    writer_row(&w, "{\"a\":\"x,\\\"y\\\"\",\"b\":\"line\\nbreak\"}");
    writer_row(&w, "{\"a\":\"=1+1\",\"b\":\"@SUM(A1)\"}");
    writer_row(&w, "{\"a\":\"+8613800138000\",\"b\":\"-a\"}");
    writer_row(&w, "{\"a\":\"-5\",\"b\":-5}"); /* numbers are no formulas */
    writer_row(&w, "{\"b\":{\"k\":\"=x\"}}");
    writer_close(&w, "a,b\r\n"
                     "\"x,\"\"y\"\"\",\"line\nbreak\"\r\n"
                     "'=1+1,'@SUM(A1)\r\n"
                     "'+8613800138000,'-a\r\n"
                     "-5,-5\r\n"
                     ",\"{\"\"k\"\": \"\"=x\"\"}\"\r\n");
}

static void test_csv_raw_without_header(void **state)
{
    struct writer w;

    (void)state;
    writer_open(&w, OUTPUT_CSV);
    output_set_csv(w.output, true, false);
    writer_row(&w, "{\"a\":\"=1+1\"}");
    writer_close(&w, "=1+1\r\n");
}

static void test_json_formats(void **state)
{
    struct writer w;
    json_t *object = json_loads("{\"a\":1}", 0, NULL);

    (void)state;
    writer_open(&w, OUTPUT_JSON);
    writer_row(&w, "{\"a\":1}");
    writer_row(&w, "{\"b\":2}");
    writer_close(&w, "[\n{\"a\": 1},\n{\"b\": 2}\n]\n");
    writer_open(&w, OUTPUT_JSON);
    writer_close(&w, "[]\n");
    writer_open(&w, OUTPUT_JSONL);
    writer_row(&w, "{\"a\":1}");
    writer_row(&w, "{\"b\":2}");
    writer_close(&w, "{\"a\": 1}\n{\"b\": 2}\n");
    writer_open(&w, OUTPUT_JSON);
    assert_int_equal(output_object(w.output, object), 0);
    writer_close(&w, "{\n  \"a\": 1\n}\n");
    writer_open(&w, OUTPUT_TABLE);
    assert_int_equal(output_object(w.output, object), 0);
    writer_close(&w, "field  value\n-----  -----\na      1\n");
    json_decref(object);
}

/* A member without a column must not vanish. */
static void test_unknown_member_is_refused(void **state)
{
    static const char *const columns[] = { "a" };
    struct writer w;

    (void)state;
    writer_open(&w, OUTPUT_CSV);
    output_set_columns(w.output, columns, 1);
    assert_int_equal(writer_row(&w, "{\"a\":1}"), 0);
    assert_null(output_unknown(w.output));
    assert_int_equal(writer_row(&w, "{\"a\":1,\"b\":2}"), -1);
    assert_string_equal(output_unknown(w.output), "b");
    writer_close(&w, "a\r\n1\r\n");
}

/* Columns are settled by the sample; a wide cell later pushes, a new member is refused. */
static void test_long_table_streams(void **state)
{
    struct writer w;

    (void)state;
    writer_open(&w, OUTPUT_TABLE);
    for (int i = 0; i < OUTPUT_SAMPLE_ROWS; i++)
        assert_int_equal(writer_row(&w, "{\"a\":\"x\",\"b\":\"y\"}"), 0);
    fflush(w.file);
    assert_true(w.len > OUTPUT_SAMPLE_ROWS); /* written, not held */
    assert_int_equal(writer_row(&w, "{\"a\":\"wider than all\",\"b\":\"y\"}"), 0);
    assert_int_equal(writer_row(&w, "{\"c\":1}"), -1);
    assert_int_equal(output_finish(w.output), 0);
    fclose(w.file);
    assert_non_null(strstr(w.text, "wider than all  y\n"));
    free(w.text);
    output_free(&w.output);
}

static void test_a_failed_answer_is_left_open(void **state)
{
    struct writer w;

    (void)state;
    writer_open(&w, OUTPUT_JSON);
    writer_row(&w, "{\"a\":1}");
    assert_int_equal(output_flush(w.output), 0);
    fclose(w.file);
    assert_string_equal(w.text, "[\n{\"a\": 1}");
    free(w.text);
    output_free(&w.output);
}

static void test_a_full_disk_is_noticed(void **state)
{
    FILE *full = fopen("/dev/full", "w");
    struct output *output;
    json_t *row = json_loads("{\"a\":1}", 0, NULL);

    (void)state;
    assert_non_null(full);
    output = output_new(full, OUTPUT_JSONL);
    (void)output_row(output, row);
    assert_int_equal(output_finish(output), -1);
    output_free(&output);
    json_decref(row);
    fclose(full);
}

static void test_format_names(void **state)
{
    enum output_format format;

    (void)state;
    assert_true(output_format_parse("csv", &format));
    assert_int_equal(format, OUTPUT_CSV);
    assert_false(output_format_parse("xml", &format));
    assert_false(output_format_parse("", &format));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_aligns_by_display_columns),
        cmocka_unit_test(test_headings_are_in_the_readers_language),
        cmocka_unit_test(test_table_escapes_what_a_terminal_would_obey),
        cmocka_unit_test(test_csv_quotes_and_guards_formulas),
        cmocka_unit_test(test_csv_raw_without_header),
        cmocka_unit_test(test_json_formats),
        cmocka_unit_test(test_unknown_member_is_refused),
        cmocka_unit_test(test_long_table_streams),
        cmocka_unit_test(test_a_failed_answer_is_left_open),
        cmocka_unit_test(test_a_full_disk_is_noticed),
        cmocka_unit_test(test_format_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
