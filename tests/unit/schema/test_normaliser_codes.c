/* Code tables: CSV, validity, successors, preferred native codes. */
#include "normaliser_support.h"

static const char divisions_csv[] =
    "native,canonical,name,valid_from,valid_until,successor,preferred\n"
    "330103,330103,下城区,,2020,330105,\n"
    "330104,330104,江干区,,2020-12-31,330102|330113,\n"
    "330105,330105,拱墅区,,,,\n"
    "330102,330102,上城区,,,,\n"
    "330113,330113,临平区,2021-01-01,,,\n"
    "330199,330199,旧区,,1990,330103,\n"
    "330198,330198,没有去处,,1999,,\n"
    "330197,330197,无日期,,,330105,\n";

static const struct vector vectors[] = {
    { "codes: history", "330105", "330105", NULL },
    { "codes: history", "330103", NULL, "CODE_RETIRED" },
    { "codes: history", "330104", NULL, "CODE_RETIRED" },
    { "codes: history", "330113", "330113", NULL },
    { "codes: history", "110105", NULL, "CODE_UNKNOWN" },
    { "codes: {table: history, retired: successor}", "330103", "330105", "CODE_RETIRED_MAPPED" },
    { "codes: {table: history, retired: successor}", "330199", "330105", "CODE_RETIRED_MAPPED" },
    { "codes: {table: history, retired: successor}", "330197", "330105", "CODE_RETIRED_MAPPED" },
    { "codes: {table: history, retired: successor}", "330104", NULL, "CODE_SPLIT" },
    { "codes: {table: history, retired: successor}", "330198", NULL, "CODE_RETIRED" },
    { "codes: {table: history, retired: refuse}", "330103", NULL, "CODE_RETIRED" },
    { "codes: {table: history, as_of: 2020-12-31}", "330103", "330103", NULL },
    { "codes: {table: history, as_of: 2021-01-01}", "330103", NULL, "CODE_RETIRED" },
    { "codes: {table: history, as_of: 2020-12-31}", "330113", NULL, "CODE_NOT_YET_VALID" },
    { "codes: {table: history, as_of: 2021-01-01}", "330113", "330113", NULL },
    { "codes: {table: history, as_of: 2020-06-01, retired: successor}", "330199", "330103",
      "CODE_RETIRED_MAPPED" },
    { "codes: {table: history, as_of: 2020-06-01, retired: successor}", "330104", "330104", NULL },
    { "codes: {table: history, others: keep}", "110105", "110105", NULL },
    { "codes: {table: history, others: keep}", "330103", NULL, "CODE_RETIRED" },
    { "codes: {table: history, retired: successor, others: keep}", "330103", "330105",
      "CODE_RETIRED_MAPPED" },
};

static int set_up_history(void **state)
{
    (void)set_up(state);
    add_table("history", divisions_csv);
    add_table("sex", "native,canonical,preferred\n1,MALE,\n男,MALE,yes\nM,MALE,no\n2,FEMALE,\n");
    return 0;
}

static void codes_are_read_as_of_a_day(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++)
        run_vector(i, &vectors[i]);
}

static bool lists(const char *step_text, const char *canonical, const char *natives)
{
    struct err err = ERR_INIT;
    struct normaliser_step step = read_step(step_text, &err);
    struct text_list forms = { .arena = &fixture.arena };
    char joined[256] = "";
    (void)step.kind->reverse(step.config, canonical, &forms);
    for (size_t i = 0; i < forms.count; i++)
        (void)snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s ",
                       forms.items[i]);
    drop_step(&step);
    return strcmp(joined, natives) == 0;
}

/* A filter must find what reading delivers, not more and not less. */
static void filters_follow_the_history(void **state)
{
    (void)state;
    assert_true(lists("codes: history", "330105", "330105 "));
    assert_true(lists("codes: history", "330103", ""));
    assert_true(lists("codes: {table: history, retired: successor}", "330105",
                      "330103 330105 330199 330197 "));
    assert_true(lists("codes: {table: history, retired: successor, as_of: 2020}", "330103",
                      "330103 330199 "));
    assert_true(lists("codes: {table: history, others: keep}", "110105", "110105 "));
    assert_true(lists("codes: {table: history, others: keep}", "330103", ""));
    assert_true(lists("codes: sex", "MALE", "男 1 M "));
}

/* A filter that lists 1024 of 1025 codes would miss rows: then there is no way back. */
static void too_many_codes_have_no_way_back(void **state)
{
    (void)state;
    for (int rows = TEXT_LIST_MAX; rows <= TEXT_LIST_MAX + 1; rows++) {
        struct buf csv;
        struct err err = ERR_INIT;
        buf_init(&csv, CODE_TABLE_BYTES_MAX);
        buf_append_str(&csv, "native,canonical\n");
        for (int i = 0; i < rows; i++)
            buf_append_format(&csv, "%d,one\n", i);
        char name[16], text[32];
        (void)snprintf(name, sizeof name, "many%d", rows);
        (void)snprintf(text, sizeof text, "codes: %s", name);
        add_table(name, buf_cstr(&csv));
        struct normaliser_step step = read_step(text, &err);
        assert_int_equal(step.kind->back, rows > TEXT_LIST_MAX ? BACK_NONE : BACK_FINITE);
        struct buf value;
        buf_init(&value, 64);
        buf_append_str(&value, "one");
        assert_int_equal(normaliser_write(&step, &value), 0);
        assert_string_equal(buf_cstr(&value), "0");
        buf_fini(&value);
        buf_fini(&csv);
    }
}

static void written(const char *step_text, const char *canonical, const char *native)
{
    struct err err = ERR_INIT;
    struct normaliser_step step = read_step(step_text, &err);
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    buf_append_str(&value, canonical);
    int result = normaliser_write(&step, &value);
    assert_int_equal(result, native == NULL ? -1 : 0);
    assert_string_equal(buf_cstr(&value), native == NULL ? canonical : native);
    buf_fini(&value);
    drop_step(&step);
}

static void valid_codes_are_written(void **state)
{
    (void)state;
    written("codes: sex", "MALE", "男");
    written("codes: sex", "FEMALE", "2");
    written("codes: {table: history, retired: successor}", "330105", "330105");
    written("codes: {table: history, retired: successor}", "330103", NULL);
    written("codes: {table: history, as_of: 2020}", "330103", "330103");
    written("codes: {table: history, as_of: 2020}", "330113", NULL);
    written("codes: {table: history, others: keep}", "110105", "110105");
    written("codes: {table: history, others: keep}", "330103", NULL);
}

static void days_are_read(void **state)
{
    (void)state;
    int32_t day = 0;
    assert_true(code_table_day("1970-01-02", false, &day));
    assert_int_equal(day, 1);
    assert_true(code_table_day("1970", false, &day));
    assert_int_equal(day, 0);
    assert_true(code_table_day("1970", true, &day));
    assert_int_equal(day, 364);
    static const char *const wrong[] = {
        "", "197", "1970-1-1", "1970/01/01", "1970-02-29", "197O"
    };
    for (size_t i = 0; i < ROWS(wrong); i++)
        assert_false(code_table_day(wrong[i], false, &day));
}

static void wrong_views_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        const char *says;
    } table[] = {
        { "codes: {table: histroy}", "step.yaml:1:16: there is no code table \"histroy\"; did you "
                                     "mean \"history\"?" },
        { "codes: {table: history, as_of: soon}", "step.yaml:1:32: expected a day" },
        { "codes: {table: history, retired: keep}", "expected refuse or successor" },
        { "codes: {table: history, others: x}", "expected refuse or keep" },
        { "codes: {table: history, retierd: x}", "did you mean \"retired\"?" },
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(table[i].step, &err);
        assert_null(step.kind);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

static void tables_are_checked(void **state)
{
    (void)state;
#define HEAD "native,canonical,valid_from,valid_until,successor\n"
    static const struct {
        const char *text;
        const char *says; /* NULL: fine */
    } table[] = {
        { "native,canonical\n1,A\n\"2, or so\",\"B \"\"q\"\"\",note\r\n\n3,C", NULL },
        { "\xef\xbb\xbfnative,canonical\n1,A\n", NULL },
        { HEAD "1,A,2000,2010-06-30,2\n2,B,2010-07-01,,\n", NULL },
        { "native,canonical\n1,A\n1,B\n", "t.csv:3:1: this native code is given twice" },
        { "code,name\n", "t.csv:1:1: the first line must begin with native,canonical" },
        { "native,name\n", "t.csv:1:8: the first line must begin" },
        { "native\n", "t.csv:1:1: the first line" },
        { "", "t.csv:1:1: the first line" },
        { "native,canonical,note,successor,successor\n", "t.csv:1:33: this column is named twice" },
        { "native,canonical\nx\n", "t.csv:2:1: a row needs a native and a canonical code" },
        { "native,canonical\n\"x,1\n", "t.csv:2:1: a quoted value does not end" },
        { "native,canonical\n\"x\"y,1\n", "only a comma or the line's end" },
        { "native,canonical\nx,\xff\n", "t.csv:2:3: the file is not UTF-8" },
        { "native,canonical,preferred\n男,1,maybe\n", "t.csv:2:5: preferred is yes, no or empty" },
        { HEAD "1,A,soon,,\n", "t.csv:2:5: a day is written" },
        { HEAD "1,A,2000-02-30,,\n", "t.csv:2:5: a day is written" },
        { HEAD "1,A,2001,2000,\n", "t.csv:2:10: this code ends before it begins" },
        { HEAD "朝阳,A,,2000,9\n", "t.csv:2:12: a successor must be a native code of this table" },
        { HEAD "1,A,,2000,1\n", "t.csv:2:11: the successors of this code run in a circle" },
        { HEAD "1,A,,2000,2\n2,B,,2000,3\n3,C,,2000,2\n", "t.csv:2:11: the successors" },
        { HEAD "1,A,,2000,2|\n2,B,,,\n", "t.csv:2:11: a successor must be" },
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct err err = ERR_INIT;
        struct code_table *codes = code_table_parse(&fixture.arena, "t.csv", "t", table[i].text,
                                                    strlen(table[i].text), &err);
        if (table[i].says != NULL) {
            assert_null(codes);
            if (strstr(err.text, table[i].says) == NULL)
                fail_msg("row %zu: %s", i, err.text);
            continue;
        }
        if (codes == NULL)
            fail_msg("row %zu: %s", i, err.text);
        assert_string_equal(codes->rows[0].canonical, "A");
        if (i == 0) {
            assert_int_equal(codes->row_count, 3);
            assert_string_equal(codes->rows[1].native, "2, or so");
            assert_string_equal(codes->rows[1].canonical, "B \"q\"");
        }
        code_table_fini(codes);
    }
#undef HEAD
}

/* Each ended code of the shipped list leads to a code that is valid, or is marked as split. */
static void shipped_list_leads_to_valid_codes(void **state)
{
    (void)state;
    static const char path[] = "schemas/codes/divisions-retired.csv";
    const struct code_view view = { .as_of = CODE_DAY_LAST, .successors = true };
    struct err err = ERR_INIT;
    struct buf content;
    buf_init(&content, CODE_TABLE_BYTES_MAX);
    assert_int_equal(yaml_read_file(path, &content, &err), 0);
    struct code_table *table = code_table_parse(&fixture.arena, path, "retired",
                                                (const char *)content.data, content.len, &err);
    if (table == NULL)
        fail_msg("%s", err.text);
    size_t ended = 0;
    for (size_t i = 0; i < table->row_count; i++) {
        const struct code_row *row = &table->rows[i];
        const char *canonical = NULL;
        enum code_state state_of = code_table_resolve(table, &view, row->native, 6, &canonical);
        assert_string_equal(row->native, row->canonical);
        assert_int_equal(state_of, row->split                          ? CODE_STATE_SPLIT
                                   : row->valid_until == CODE_DAY_LAST ? CODE_STATE_FOUND
                                                                       : CODE_STATE_MAPPED);
        ended += row->valid_until != CODE_DAY_LAST;
    }
    assert_true(ended > 20);
    code_table_fini(table);
    buf_fini(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_read_as_of_a_day),
        cmocka_unit_test(filters_follow_the_history),
        cmocka_unit_test(too_many_codes_have_no_way_back),
        cmocka_unit_test(valid_codes_are_written),
        cmocka_unit_test(days_are_read),
        cmocka_unit_test(wrong_views_are_refused),
        cmocka_unit_test(tables_are_checked),
        cmocka_unit_test(shipped_list_leads_to_valid_codes),
    };
    return cmocka_run_group_tests(tests, set_up_history, tear_down);
}
