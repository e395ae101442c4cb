/* Catalogue entries in files: what is written is read back, and a fault is told with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/catalogue_csv.h"
#include "cli/catalogue_file.h"
#include "cli/json_place.h"

enum { TEXT_BYTES = 1024 * 1024 };

static json_t *read_text(const char *text, struct buf *complaint)
{
    buf_init(complaint, TEXT_BYTES);
    return catalogue_csv_read("f.csv", text, strlen(text), complaint);
}

static json_t *json_of(const char *text)
{
    json_error_t where;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    if (value == NULL)
        fail_msg("%d:%d: %s", where.line, where.column, where.text);
    return value;
}

static void assert_reads(const char *text, const char *expected)
{
    struct buf complaint;
    json_t *entries = read_text(text, &complaint), *want = json_of(expected);
    assert_string_equal(buf_cstr(&complaint), "");
    assert_non_null(entries);
    assert_true(json_equal(entries, want));
    json_decref(want);
    json_decref(entries);
    buf_fini(&complaint);
}

static void rows_become_entries(void **state)
{
    (void)state;
    assert_reads("数据集,信息项名称\nd/a,x\n",
                 "[{\"dataset\": \"d/a\", \"items\": [{\"name\": \"x\"}]}]");
    /* Columns in any order, either end of line, an empty line, no last line end. */
    assert_reads(
        "信息项名称,共享类型,数据集\r\nx,无条件共享,d/a\r\n\r\ny,OPEN,d/a\r\nz,不予共享,d/b",
        "[{\"dataset\": \"d/a\", \"sharing\": \"OPEN\", \"items\": [{\"name\": \"x\"},"
        " {\"name\": \"y\"}]}, {\"dataset\": \"d/b\", \"sharing\": \"DENIED\","
        " \"items\": [{\"name\": \"z\"}]}]");
    /* Merged cells: an entry's own columns are said once. */
    assert_reads("数据集,信息资源名称,信息项名称\nd/a,甲,x\n,,y\nd/a,,z\n",
                 "[{\"dataset\": \"d/a\", \"title\": \"甲\", \"items\": [{\"name\": \"x\"},"
                 " {\"name\": \"y\"}, {\"name\": \"z\"}]}]");
    assert_reads(
        "数据集,信息项名称,共享方式,是否向社会开放,关联资源代码\n"
        "d/a,x,服务接口；FILE ; 批量交换,是,307001/1;307001/2\nd/b,x,,否,\n",
        "[{\"dataset\": \"d/a\", \"modes\": [\"API\", \"FILE\", \"BATCH\"], \"public\": true,"
        " \"relatedCodes\": [\"307001/1\", \"307001/2\"], \"items\": [{\"name\": \"x\"}]},"
        " {\"dataset\": \"d/b\", \"items\": [{\"name\": \"x\"}]}]");
    /* Quotes, line ends, and text that a spreadsheet would run. */
    assert_reads("数据集,信息项名称,信息资源摘要\nd/a,\"a \"\"b\"\", c\",\"'=1\n+2\"\n",
                 "[{\"dataset\": \"d/a\", \"summary\": \"=1\\n+2\","
                 " \"items\": [{\"name\": \"a \\\"b\\\", c\"}]}]");
    assert_reads("数据集,信息项名称\n", "[]");
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    static const char content[] =
        "{\"dataset\": \"d/a\", \"category\": \"基础\", \"title\": \"=SUM(A1)\", \"code\": "
        "\"307001/1\","
        " \"provider\": \"'=x\", \"providerCode\": \"p\", \"summary\": "
        "\"两行\\r\\n\\\"引\\\"，,\\t\","
        " \"format\": \"-1\", \"sharing\": \"CONDITIONAL\", \"conditions\": \"''@\", \"modes\": "
        "[\"API\","
        " \"FILE\"], \"public\": true, \"publicConditions\": \"+\", \"cycle\": \"HALF_YEARLY\","
        " \"releasedOn\": \"2026-01-01\", \"relatedCodes\": [\"307001/2\", \"307001/3\"],"
        " \"legalBasis\": \"'\", \"grade\": \"IMPORTANT\", \"items\": [{\"name\": \"x\", \"type\": "
        "\"t\","
        " \"field\": \"f\", \"sensitivity\": \"GENERAL_1\", \"personal\": \"SENSITIVE\","
        " \"sourceDepartment\": \"s\"}, {\"name\": \" y \", \"type\": \"t\", \"sensitivity\": "
        "\"CORE\","
        " \"personal\": \"NONE\", \"sourceDepartment\": \"s\"}]}";
    json_t *one = json_of(content), *other = json_of(content);
    json_object_set_new(other, "dataset", json_string("d/b"));
    struct buf out, complaint;
    buf_init(&out, TEXT_BYTES);
    assert_int_equal(catalogue_csv_write_header(&out), 0);
    assert_int_equal(catalogue_csv_write(one, &out), 0);
    assert_int_equal(catalogue_csv_write(other, &out), 0);
    assert_non_null(strstr(buf_cstr(&out), ",'=SUM(A1),"));
    json_t *entries = read_text(buf_cstr(&out), &complaint);
    assert_string_equal(buf_cstr(&complaint), "");
    assert_int_equal(json_array_size(entries), 2);
    assert_true(json_equal(json_array_get(entries, 0), one));
    assert_true(json_equal(json_array_get(entries, 1), other));
    json_decref(entries);
    json_decref(one);
    json_decref(other);
    buf_fini(&complaint);
    buf_fini(&out);
}

static void a_fault_is_told_with_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *starts;
    } cases[] = {
        { "", "f.csv:1:1: there is no column \"\"" },
        { "数据集,信息项名称,什么\n", "f.csv:1:11: there is no column \"什么\"" },
        { "数据集,数据集\n", "f.csv:1:5: the column \"数据集\" stands there twice" },
        { "数据集\nd/a\n", "f.csv:1:1: the column \"信息项名称\" is missing" },
        { "信息项名称\nx\n", "f.csv:1:1: the column \"数据集\" is missing" },
        { "数据集,信息项名称\nd/a,x\nd/b\n", "f.csv:3:1: the row has not as many values" },
        { "数据集,信息项名称\nd/a,x,\n", "f.csv:2:7: the row has not as many values" },
        { "数据集,信息项名称\n,x\n", "f.csv:2:1: the first row of an entry names" },
        { "数据集,信息项名称\nd/a,x\nd/b,x\nd/a,y\n", "f.csv:4:1: the rows of d/a do not stand" },
        { "数据集,信息项名称,共享类型\nd/a,x,公开\n", "f.csv:2:7: \"公开\" is none of the words" },
        { "数据集,信息项名称,共享方式\nd/a,x,API;\n", "f.csv:2:7: \"API;\" is none of the words" },
        { "数据集,信息项名称,是否向社会开放\nd/a,x,也许\n", "f.csv:2:7: \"也许\" is none" },
        { "数据集,信息资源名称,信息项名称\nd/a,甲,x\nd/a,乙,y\n",
          "f.csv:3:5: 信息资源名称 is not as in the first row" },
        { "数据集,信息资源名称,信息项名称\nd/a,,x\nd/a,乙,y\n", "f.csv:3:5: 信息资源名称 is not" },
        { "数据集,信息项名称\nd/a,\"x\ny\n", "f.csv:2:5: a quoted value does not end" },
        { "数据集,信息项名称\nd/a,\"x\"y\n", "f.csv:2:5: only a comma" },
        { "数据集,信息项名称\nd/a,\"x\ny\"\nd/b,x,z\n", "f.csv:4:7: the row has not" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf complaint;
        assert_null(read_text(cases[i].text, &complaint));
        if (strncmp(buf_cstr(&complaint), cases[i].starts, strlen(cases[i].starts)) != 0)
            fail_msg("%s instead of %s", buf_cstr(&complaint), cases[i].starts);
        buf_fini(&complaint);
    }
    char *text = test_malloc(CATALOGUE_CSV_CELL_BYTES + 100);
    struct buf complaint;
    static const char begins[] = "数据集,信息项名称\nd/a,";
    size_t head = sizeof begins - 1;
    memcpy(text, begins, head);
    memset(text + head, 'x', CATALOGUE_CSV_CELL_BYTES);
    text[head + CATALOGUE_CSV_CELL_BYTES] = '\0';
    assert_null(read_text(text, &complaint));
    assert_non_null(strstr(buf_cstr(&complaint), "f.csv:2:5: a value is too long"));
    buf_fini(&complaint);
    test_free(text);
}

static void utf8_and_gb18030_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *text; /* NULL: `bad` is where it ends to be text */
        size_t bad;
    } cases[] = {
        { "abc", 3, "abc", 0 },
        { "", 0, "", 0 },
        { "数据", 6, "数据", 0 },
        { "\xef\xbb\xbf数据", 9, "数据", 0 },
        { "\xca\xfd\xbe\xdd,x", 6, "数据,x", 0 },     /* GB 2312's part of it */
        { "\x84\x31\x95\x33\xca\xfd", 6, "数", 0 },   /* its own byte order mark */
        { "\x82\x35\x8f\x33", 4, "\xe9\xbe\xa6", 0 }, /* four bytes */
        { "ab\xca", 3, NULL, 2 },
        { "ab\xca\xfd\xff\xff", 6, NULL, 4 },
        { "数\0", 4, NULL, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf text;
        size_t bad = 99;
        buf_init(&text, TEXT_BYTES);
        (void)buf_append(&text, cases[i].bytes, cases[i].len);
        assert_int_equal(catalogue_file_decode(&text, &bad), cases[i].text != NULL);
        if (cases[i].text != NULL)
            assert_string_equal(buf_cstr(&text), cases[i].text);
        else
            assert_int_equal(bad, cases[i].bad);
        buf_fini(&text);
    }
}

static void a_dataset_is_found_where_it_stands_first(void **state)
{
    (void)state;
    struct catalogue_file file = { .entries = NULL };
    int line = 0, column = 0;
    buf_init(&file.text, TEXT_BYTES);
    (void)buf_append_str(&file.text, "数据集,信息项名称\nd/ab,x\nd/a,y");
    assert_true(catalogue_file_place(&file, "d/a", &line, &column));
    assert_int_equal(line, 3);
    assert_int_equal(column, 1);
    assert_true(catalogue_file_place(&file, "d/ab", &line, &column));
    assert_int_equal(line, 2);
    assert_false(catalogue_file_place(&file, "d/c", &line, &column));
    assert_false(catalogue_file_place(&file, "", &line, &column));
    catalogue_file_fini(&file);
}

static void a_path_leads_to_its_value(void **state)
{
    (void)state;
    static const char text[] =
        "[ {\"a\": [1, {\"x]\": \"}\\\"\"}, 22], \"source_department\": \"s\"},\n {}, -5 , null]";
    static const struct {
        const char *path;
        const char *at; /* NULL: nowhere */
    } cases[] = {
        { "", "[ {" },
        { "[0].a", "[1," },
        { "[0].a[0]", "1, {" },
        { "[0].a[2]", "22]" },
        { "[0].a[1].x]", "\"}\\\"\"}" },
        { "[0].sourceDepartment", "\"s\"}" },
        { "[1]", "{}, -5" },
        { "[2]", "-5 ," },
        { "[3]", "null]" },
        { "[4]", NULL },
        { "[0].a[3]", NULL },
        { "[0].b", NULL },
        { "[2].b", NULL },
        { "a", NULL },
        { "..", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t at = json_place_find(text, sizeof text - 1, 0, cases[i].path);
        if (cases[i].at == NULL)
            assert_int_equal(at, sizeof text - 1);
        else if (strncmp(text + at, cases[i].at, strlen(cases[i].at)) != 0)
            fail_msg("%s: %s", cases[i].path, text + at);
    }
    /* Texts that end anywhere lead nowhere, and nothing is read behind them. */
    for (size_t len = 0; len < sizeof text - 1; len++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char *cut = test_malloc(len + 1);
            memcpy(cut, text, len);
            assert_true(json_place_find(cut, len, 0, cases[i].path) <= len);
            test_free(cut);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_entries),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_fault_is_told_with_line_and_column),
        cmocka_unit_test(utf8_and_gb18030_are_read),
        cmocka_unit_test(a_dataset_is_found_where_it_stands_first),
        cmocka_unit_test(a_path_leads_to_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
