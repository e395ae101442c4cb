/* The way back: what is written reads back as the canonical value, or is refused. */
#include "normaliser_support.h"

struct way_back {
    const char *step;
    const char *canonical;
    const char *native; /* NULL: cannot be written */
};

static const struct way_back ways[] = {
    { "trim", "张三", "张三" },
    { "trim", " 张三", NULL },
    { "width_fold", "A（", NULL },
    { "upper", "AB1", "AB1" },
    { "upper", "Ab1", NULL },
    { "nfc", "é", "é" },
    { "cn_id", "11010519491231002X", "11010519491231002X" },
    { "cn_id", "11010519491231002x", NULL },
    { "cn_id", "110105194912310021", NULL },
    { "cn_uscc", "91350100M000100Y43", "91350100M000100Y43" },
    { "cn_division", "110105", "110105" },
    { "cn_division", "11010", NULL },
    { "cn_date", "2024-02-09", "2024-02-09" },
    { "cn_date", "9999-12-31", "9999-12-31" },
    { "cn_date", "2024-2-9", NULL },
    { "cn_sex", "1", "1" },
    { "cn_sex", "男", NULL },
    { "cn_ethnic", "05", "05" },
    { "cn_ethnic", "5", NULL },
    { "cn_marital", "40", "40" },
    { "bool", "true", "true" },
    { "bool", "yes", NULL },
    { "decimal", "12.50", "12.50" },
    { "decimal: {scale: 2}", "7.00", "7.00" },
    { "decimal: {scale: 2}", "7", NULL },
    { "cn_money", "12.50", "12.50" },
    { "cn_money", "12.5", NULL },
    { "cn_money: {minor: true}", "1250", "12.50" },
    { "cn_money: {minor: true}", "-7", "-0.07" },
    { "cn_money: {minor: true}", "7.5", NULL },
    { "unit: {power: 4}", "15000", "1.5" },
    { "unit: {power: 4}", "1", "0.0001" },
    { "unit: {power: 4}", "0.5", "0.00005" },
    { "unit: {power: 4}", "万", NULL },
    { "unit: {power: -2}", "0.0150", "1.50" },
    { "unit: {power: 1}", "15.0", "1.50" },
    { "codes: divisions", "朝阳区", "110105" },
    { "codes: divisions", "上海市", NULL },
    { "codes: {1: 男, 2: 女, M: 男}", "男", "1" },
    { "codes: {1: 男, 2: 女, M: 男}", "", NULL },
    { "enum: {MALE: [男, '1'], FEMALE: 女}", "MALE", "男" },
    { "enum: {MALE: [男, '1'], FEMALE: 女}", "FEMALE", "女" },
    { "regex: '[A-Z]{2}[0-9]+'", "AB12", "AB12" },
    { "regex: '[A-Z]{2}[0-9]+'", "12", NULL },
};

static void check_way(size_t index, const struct way_back *way)
{
    struct err err = ERR_INIT;
    struct normaliser_step step = read_step(way->step, &err);
    if (step.kind == NULL)
        fail_msg("%s: %s", way->step, err.text);
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    buf_append_str(&value, way->canonical);
    int result = normaliser_write(&step, &value);
    const char *left = way->native == NULL ? way->canonical : way->native;
    if (result != (way->native == NULL ? -1 : 0) || strcmp(buf_cstr(&value), left) != 0)
        fail_msg("row %zu %s(%s): %d %s", index, way->step, way->canonical, result,
                 buf_cstr(&value));
    if (result == 0) {
        assert_int_not_equal(normaliser_run(&step, &value).verdict, NORMALISER_ERROR);
        assert_string_equal(buf_cstr(&value), way->canonical);
    }
    buf_fini(&value);
    drop_step(&step);
}

static void values_are_written_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(ways); i++)
        check_way(i, &ways[i]);
}

static void loss_is_known_at_load(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        enum normaliser_loss loss;
    } table[] = {
        { "trim", LOSS_NATIVE },
        { "cn_id", LOSS_NATIVE },
        { "cn_sex", LOSS_NATIVE },
        { "gb18030", LOSS_NATIVE },
        { "cn_division", LOSS_NONE },
        { "regex: 'a'", LOSS_NONE },
        { "codes: divisions", LOSS_NONE },
        { "codes: {a: x, b: x}", LOSS_NATIVE },
        { "enum: {X: a}", LOSS_NONE },
        { "enum: {X: [a, b]}", LOSS_NATIVE },
        { "unit: {power: 4}", LOSS_NATIVE },
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(table[i].step, &err);
        if (step.kind == NULL)
            fail_msg("%s: %s", table[i].step, err.text);
        if (normaliser_loss(&step) != table[i].loss)
            fail_msg("%s: %s", table[i].step, normaliser_loss_name(normaliser_loss(&step)));
        drop_step(&step);
    }
}

/* Every character but the private-use points that GB 18030-2022 gave up, which no text that was read
 * contains. */
static void gb18030_writes_all_of_unicode(void **state)
{
    (void)state;
    struct normaliser_step step = { .kind = &normaliser_gb18030 };
    size_t refused = 0;
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    for (uint32_t cp = 1; cp < 0x110000; cp += cp >= 0x20000 ? 211 : 1) {
        if (cp == 0xD800)
            cp = 0xE000;
        uint8_t text[4];
        size_t len = utf8_encode(cp, text);
        buf_reset(&value);
        buf_append(&value, text, len);
        if (normaliser_write(&step, &value) != 0)
            refused++;
    }
    assert_int_equal(refused, 24);
    buf_reset(&value);
    buf_append_str(&value, "中国");
    assert_int_equal(normaliser_write(&step, &value), 0);
    assert_string_equal(buf_cstr(&value), "\xD6\xD0\xB9\xFA");
    buf_fini(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_or_refused),
        cmocka_unit_test(loss_is_known_at_load),
        cmocka_unit_test(gb18030_writes_all_of_unicode),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
