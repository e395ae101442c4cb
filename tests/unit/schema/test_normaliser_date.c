/* Dates in a mapping's own formats: what is read, what is refused, what is written. */
#include "normaliser_support.h"

#define DMY   "cn_date: {formats: [DD/MM/YYYY]}"
#define SHORT "cn_date: {formats: [YYMMDD, YY-M-D], century: {pivot: 30}}"
#define TWO   "cn_date: {formats: [D/M/YYYY, M/D/YYYY]}"
#define ZH    "cn_date: {formats: [YYYY年M月D日]}"

static const struct vector vectors[] = {
    { DMY, "09/02/2024", "2024-02-09", NULL },
    { DMY, "０９／０２／２０２４", "2024-02-09", NULL },
    { DMY, " 09/02/2024 ", "2024-02-09", NULL },
    { DMY, "2024-02-09", "2024-02-09", NULL },
    { DMY, "31/12/9999", "9999-12-31", "DATE_OPEN_END" },
    { DMY, "30/02/2024", NULL, "DATE_INVALID" },
    { DMY, "9/2/2024", NULL, "DATE_SYNTAX" },
    { DMY, "20240209", NULL, "DATE_SYNTAX" },
    { DMY, "09/02/2024x", NULL, "DATE_SYNTAX" },
    { DMY, "", NULL, "DATE_EMPTY" },
    { SHORT, "240209", "2024-02-09", NULL },
    { SHORT, "490101", "1949-01-01", NULL },
    { SHORT, "300101", "1930-01-01", NULL },
    { SHORT, "291231", "2029-12-31", NULL },
    { SHORT, "24-2-9", "2024-02-09", NULL },
    { SHORT, "24-12-31", "2024-12-31", NULL },
    { SHORT, "24-13-31", NULL, "DATE_INVALID" },
    { TWO, "13/2/2024", "2024-02-13", NULL },
    { TWO, "2/13/2024", "2024-02-13", NULL },
    { TWO, "2/2/2024", "2024-02-02", NULL },
    { TWO, "9/2/2024", NULL, "DATE_AMBIGUOUS" },
    { ZH, "2024年2月9日", "2024-02-09", NULL },
    { ZH, "2024年12月31日", "2024-12-31", NULL },
    { ZH, "2024/2/9", NULL, "DATE_SYNTAX" },
    { "cn_date: {formats: [YYYYMMDD], excel: true}", "45331", "2024-02-09", NULL },
    { "cn_date: {formats: [YYYYMMDD]}", "20240209", "2024-02-09", NULL },
    { "cn_date: {formats: [YYYYMMDD]}", "45331", NULL, "DATE_SYNTAX" },
    { "cn_date: {formats: [D.M.YYYY]}", "9.2.2024", "2024-02-09", NULL },
};

static void vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++)
        run_vector(i, &vectors[i]);
}

static void results_are_fixed_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++) {
        struct vector again = vectors[i];
        again.in = again.out;
        if (again.out != NULL)
            run_vector(i, &again);
    }
}

static void dates_are_written_in_the_first_format(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        const char *canonical;
        const char *native; /* NULL: cannot be written */
    } table[] = {
        { DMY, "2024-02-09", "09/02/2024" },
        { DMY, "2024-02-30", NULL },
        { DMY, "20240209", NULL },
        { SHORT, "2024-02-09", "240209" },
        { SHORT, "1930-01-01", "300101" },
        { SHORT, "1929-12-31", NULL },
        { SHORT, "2030-01-01", NULL },
        { TWO, "2024-02-13", "13/2/2024" },
        { TWO, "2024-02-09", NULL },
        { ZH, "2024-02-09", "2024年2月9日" },
        { "cn_date", "2024-02-09", "2024-02-09" },
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(table[i].step, &err);
        struct buf value;
        buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
        buf_append_str(&value, table[i].canonical);
        const char *left = table[i].native == NULL ? table[i].canonical : table[i].native;
        assert_int_equal(normaliser_write(&step, &value), table[i].native == NULL ? -1 : 0);
        assert_string_equal(buf_cstr(&value), left);
        buf_fini(&value);
    }
}

/* Every day of four centuries goes out and comes back, where the step says so. */
static void every_day_comes_back(void **state)
{
    (void)state;
    static const char *const steps[] = { DMY, ZH, "cn_date" };
    for (size_t i = 0; i < ROWS(steps); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(steps[i], &err);
        assert_int_equal(normaliser_loss(&step), LOSS_NATIVE);
        struct buf value;
        buf_init(&value, 64);
        for (int64_t days = -146097; days < 0; days += 13) {
            int year = 0, month = 0, day = 0;
            char text[16];
            normaliser_date_of(days, &year, &month, &day);
            (void)snprintf(text, sizeof text, "%04d-%02d-%02d", year % 10000, month % 100,
                           day % 100);
            buf_reset(&value);
            buf_append_str(&value, text);
            assert_int_equal(normaliser_write(&step, &value), 0);
        }
        buf_fini(&value);
    }
}

static void loss_is_known(void **state)
{
    (void)state;
    static const char *const steps[] = { SHORT, TWO };
    for (size_t i = 0; i < ROWS(steps); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(steps[i], &err);
        assert_int_equal(normaliser_loss(&step), LOSS_SOME_VALUES);
    }
}

static void wrong_formats_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        const char *says;
    } table[] = {
        { "cn_date: {formats: YYYY}", "formats must be a list" },
        { "cn_date: {formats: [YYYY]}", "the year, the month and the day, each once" },
        { "cn_date: {formats: [YYYYMMDDDD]}", "a format is made of" },
        { "cn_date: {formats: [YYYMMDD]}", "a format is made of" },
        { "cn_date: {formats: [YYYYMDD]}", "a separator must follow" },
        { "cn_date: {formats: [YYYY-DD-MM]}", "would be read in two ways" },
        { "cn_date: {formats: [YYYY-D-M]}", "would be read in two ways" },
        { "cn_date: {formats: [YYYY1MM1DD]}", "no digits of its own" },
        { "cn_date: {formats: [YYMMDD]}", "needs its century" },
        { "cn_date: {formats: [YYMMDD], century: {}}", "century needs a pivot" },
        { "cn_date: {formats: [YYMMDD], century: {pivot: 101}}", "from 0 to 100" },
        { "cn_date: {formats: [DD/MM/YYYY], century: {pivot: 30}}", "century is for formats" },
        { "cn_date: {century: {pivot: 30}}", "century is for formats" },
        { "cn_date: {format: [YYYYMMDD]}", "did you mean \"formats\"?" },
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(table[i].step, &err);
        assert_null(step.kind);
        if (strstr(err.text, table[i].says) == NULL)
            fail_msg("row %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_hold),
        cmocka_unit_test(results_are_fixed_points),
        cmocka_unit_test(dates_are_written_in_the_first_format),
        cmocka_unit_test(every_day_comes_back),
        cmocka_unit_test(loss_is_known),
        cmocka_unit_test(wrong_formats_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
