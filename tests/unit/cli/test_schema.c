/* What the schema commands share: masks, identifiers, pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/schema_page.h"
#include "cli/schema_place.h"

static void test_masks(void **state)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "x", "*" },
        { "张三", "张*" },
        { "王小明", "王**" },
        { "110105194912310021", "110105********0021" },
        { "13800138000", "138******00" },
        { "a\xff"
          "b",
          "***" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *masked = schema_place_mask(cases[i][0]);
        assert_string_equal(masked, cases[i][1]);
        free(masked);
    }
}

/* However long a text is, at most ten characters of it are shown, and never more than seven in twelve. */
static void test_a_mask_hides_enough(void **state)
{
    char text[200];

    (void)state;
    for (size_t len = 1; len < sizeof text; len++) {
        size_t shown = 0;
        memset(text, 'x', len);
        text[len] = '\0';
        char *masked = schema_place_mask(text);
        assert_int_equal(strlen(masked), len);
        for (size_t i = 0; i < len; i++)
            shown += masked[i] == 'x';
        assert_true(shown <= 10 && shown * 12 <= len * 7);
        free(masked);
    }
}

static void test_identifiers_are_quoted(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 256);
    schema_place_quote(&out, "a\"b; DROP TABLE x; --年 $");
    assert_string_equal(buf_cstr(&out), "\"a\"\"b; DROP TABLE x; --年 $\"");
    buf_fini(&out);
}

static char *page_of(bool html, const char *text)
{
    struct schema_page *page = schema_page_new(html, "en", text);
    char *copy;

    schema_page_heading(page, 2, text);
    schema_page_paragraph(page, text);
    schema_page_table(page, &text, 1);
    schema_page_row(page, &text, 1);
    schema_page_table_end(page);
    struct slice whole = schema_page_end(page);
    assert_false(schema_page_full(page));
    copy = mem_strndup((const char *)whole.data, whole.len);
    schema_page_free(&page);
    assert_null(page);
    return copy;
}

static void test_pages_escape_data(void **state)
{
    char *html = page_of(true, "<b a='1'>&\"\n|x");
    char *markdown = page_of(false, "<b>&|*x*_y_[z](u)`c`\n# d");

    (void)state;
    assert_null(strstr(html, "<b "));
    assert_non_null(strstr(html, "<h2>&lt;b a=&#39;1&#39;&gt;&amp;&quot;\\x0a|x</h2>"));
    assert_non_null(strstr(html, "<td><code>&lt;b"));
    assert_null(strstr(markdown, "<b>"));
    /* One row stays one row: no line feed and no bare bar inside a cell. */
    assert_non_null(
        strstr(markdown, "| &lt;b&gt;&amp;\\|\\*x\\*\\_y\\_\\[z\\](u)\\`c\\`\\\\x0a\\# d |\n"));
    free(html);
    free(markdown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_a_mask_hides_enough),
        cmocka_unit_test(test_identifiers_are_quoted),
        cmocka_unit_test(test_pages_escape_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
