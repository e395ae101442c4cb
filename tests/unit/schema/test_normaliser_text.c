/* Normalisers that change text by Unicode's tables or by the mapping's own rules. */
#include "normaliser_support.h"

static const struct vector vectors[] = {
    { "nfkc", "北京市朝阳区", "北京市朝阳区", NULL },
    { "nfkc", "plain text", "plain text", NULL },
    { "nfkc", "①", "1", "NFKC_CHANGED" },
    { "nfkc", "㎡", "m2", "NFKC_CHANGED" },
    { "nfkc", "\uF900", "\u8C48", "NFKC_CHANGED" },
    { "nfkc", "…", "...", "NFKC_CHANGED" },
    { "nfkc", "（北京）", "(北京)", "NFKC_CHANGED" },
    { "nfkc", "①①", "11", "NFKC_CHANGED" },
    { "nfkc", "", "", NULL },

    { "unaccent", "Café Ångström", "Cafe Angstrom", NULL },
    { "unaccent", "nǚ lǜ Lǚshùn", "nu lu Lushun", NULL },
    { "unaccent", "e\u0301\u0323x", "ex", NULL },
    { "unaccent", "\u212B\u212A", "AK", NULL },
    { "unaccent", "Đặng", "Đang", NULL },
    { "unaccent", "łø", "łø", NULL },
    { "unaccent", "が か\u3099 ガ 한국 ё й 朝阳", "が か\u3099 ガ 한국 ё й 朝阳", NULL },
    { "unaccent", "\u0301x", "\u0301x", NULL },
    { "unaccent", "", "", NULL },

    { "pua_fold", "\uE78D\uE81E\uE7C7", "\uFE10\u9FB4\u1E3F", NULL },
    { "pua_fold", "a\uE816中", "a\U00020087中", NULL },
    { "pua_fold", "\uE000\uE815\uF8FF", "\uE000\uE815\uF8FF", NULL },
    { "pua_fold", "中国", "中国", NULL },

    { "strip: {classes: [blank]}", " 张\u3000三 ", "张三", NULL },
    { "strip: {classes: [blank, punctuation]}", "A-1 （2）。", "A12", NULL },
    { "strip: {classes: [control]}", "a\x01\tb\u200d", "ab", NULL },
    { "strip: {classes: [digit]}", "a1２b①", "ab①", NULL },
    { "strip: {classes: [letter]}", "a中1-", "1-", NULL },
    { "strip: {classes: [symbol]}", "a+b￥", "ab", NULL },
    { "strip: {classes: [mark]}", "e\u0301", "e", NULL },
    { "strip: {characters: \"-—·\"}", "阿·里—a-b", "阿里ab", NULL },
    { "strip: {characters: \"-\"}", "中文", "中文", NULL },
    { "strip: {characters: \"-\", classes: [blank]}", "- -", "", NULL },

    { "replace: {words: {Rd: Road, St: Street}}", "1 St Rd.", "1 Street Road.", NULL },
    { "replace: {words: {Rd: Road}}", "Rde aRd Rd_ 1Rd", "Rde aRd Rd_ 1Rd", NULL },
    { "replace: {words: {Rd: Road}}", "中山Rd东", "中山Road东", NULL },
    { "replace: {words: {自治县: 县}}", "某自治县公安局", "某县公安局", NULL },
    { "replace: {words: {自治: x, 自治县: 县}}", "自治县", "县", NULL },
    { "replace: {words: {'№': No.}}", "№5", "No.5", NULL },
    { "replace: {words: {'№': No.}}", "a№", "aNo.", NULL },
    { "replace: {words: {foo: ''}}", "foo", "", NULL },
    { "replace: {words: {улица: ул}}", "улица улицаx", "ул улицаx", NULL },
    { "replace: {words: {乙: '', 甲丙: 丁}}", "甲乙丙", "丁", NULL },
    { "replace: {words: {甲乙: 乙甲}}", "甲甲甲甲甲甲甲甲甲甲甲甲乙", NULL, "REPLACE_UNSTABLE" },
    { "replace: {words: {a: b}}", "", "", NULL },

    { "split: {separator: /, item: 1}", "a/b/c", "a", NULL },
    { "split: {separator: /, item: 2}", "a/b/c", "b", NULL },
    { "split: {separator: /, item: 3}", "a/b/c", "c", NULL },
    { "split: {separator: /, item: 4}", "a/b/c", NULL, "SPLIT_MISSING" },
    { "split: {separator: /, item: -1}", "a/b/c", "c", NULL },
    { "split: {separator: /, item: -1}", "abc", "abc", NULL },
    { "split: {separator: /, item: 1}", "", "", NULL },
    { "split: {separator: '、', item: 2}", "张三、李四", "李四", NULL },
    { "split: {separator: /, item: 2}", "a//c", "", NULL },

    { "concat: {prefix: G}", "123", "G123", NULL },
    { "concat: {suffix: 号}", "", "号", NULL },
    { "concat: {prefix: 京, suffix: 号}", "1", "京1号", NULL },

    { "regex: {match: '([0-9]{3})([0-9]{4})', replace: '$1-$2'}", "1234567", "123-4567", NULL },
    { "regex: {match: '(a)|(b)', replace: 'x${2}$$'}", "a", "x$", NULL },
    { "regex: {match: '(.+)', replace: '$1'}", "中", "中", NULL },
    { "regex: {match: 'a+', replace: ''}", "aa", "", NULL },
    { "regex: {match: 'a+', replace: ''}", "ab", NULL, "REGEX_MISMATCH" },
    { "regex: {match: '(a+)+[bd]', replace: ''}", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", NULL,
      "REGEX_LIMIT" },
};

static void vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++)
        run_vector(i, &vectors[i]);
}

static bool idempotent(const char *step)
{
    return strncmp(step, "split", 5) != 0 && strncmp(step, "concat", 6) != 0 &&
           strncmp(step, "regex", 5) != 0;
}

static void results_are_fixed_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++) {
        struct vector again = vectors[i];
        again.in = again.out;
        again.code = NULL;
        if (again.out != NULL && idempotent(again.step))
            run_vector(i, &again);
    }
}

/* What was delivered is its own native text, unless the step says that there is no way back. */
static void results_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(vectors); i++) {
        if (vectors[i].out == NULL)
            continue;
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(vectors[i].step, &err);
        struct buf value;
        buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
        buf_append_str(&value, vectors[i].out);
        bool one_way = normaliser_loss(&step) == LOSS_ONE_WAY;
        assert_int_equal(normaliser_write(&step, &value), one_way ? -1 : 0);
        if (normaliser_loss(&step) == LOSS_NONE)
            assert_string_equal(buf_cstr(&value), vectors[i].in);
        buf_fini(&value);
        drop_step(&step);
    }
}

static void one_way_steps_say_so(void **state)
{
    (void)state;
    static const char *const steps[] = { "split: {separator: /, item: 1}",
                                         "regex: {match: a, replace: b}" };
    for (size_t i = 0; i < ROWS(steps); i++) {
        struct err err = ERR_INIT;
        struct normaliser_step step = read_step(steps[i], &err);
        assert_int_equal(normaliser_loss(&step), LOSS_ONE_WAY);
        assert_int_equal(step.kind->back, BACK_NONE);
        drop_step(&step);
    }
}

static void filters_find_through_concat(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct normaliser_step step = read_step("concat: {prefix: G, suffix: x}", &err);
    struct text_list forms = { .arena = &fixture.arena };
    assert_int_equal(step.kind->reverse(step.config, "G12x", &forms), 0);
    assert_int_equal(forms.count, 1);
    assert_string_equal(forms.items[0], "12");
    assert_int_equal(step.kind->reverse(step.config, "12x", &forms), -1);
    assert_int_equal(step.kind->reverse(step.config, "G", &forms), -1);
}

/* glibc is the oracle: the old point has no bytes in GB 18030-2022, the standard one has. */
static void folded_points_are_those_glibc_moved(void **state)
{
    (void)state;
    struct normaliser_step bytes = { .kind = &normaliser_gb18030 };
    struct normaliser_step fold = { .kind = &normaliser_pua_fold };
    size_t folded = 0;
    struct buf value;
    buf_init(&value, 64);
    for (uint32_t cp = 0xE000; cp <= 0xF8FF; cp++) {
        uint8_t text[4];
        buf_reset(&value);
        buf_append(&value, text, utf8_encode(cp, text));
        bool writable = normaliser_write(&bytes, &value) == 0;
        buf_reset(&value);
        buf_append(&value, text, utf8_encode(cp, text));
        bool changed = normaliser_run(&fold, &value).verdict == NORMALISER_CHANGED;
        folded += changed;
        if (!changed)
            assert_true(writable);
        else
            assert_int_equal(normaliser_write(&bytes, &value), 0);
    }
    assert_int_equal(folded, 25);
    buf_fini(&value);
}

static void wrong_parameters_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *step;
        const char *says;
    } table[] = {
        { "strip", "strip needs" },
        { "strip: {classes: [blanks]}", "a class is blank, control" },
        { "strip: {classes: blank}", "classes must be a list" },
        { "replace", "replace needs" },
        { "replace: {words: {}}", "replace needs" },
        { "replace: {words: {a: b, b: c}}", "holds a listed word itself" },
        { "replace: {words: {a: [b]}}", "the replacement must be" },
        { "replace: {words: {'': b}}", "a word has 1 to 256 bytes" },
        { "split: {separator: /}", "split needs" },
        { "split: {separator: '', item: 1}", "split needs" },
        { "split: {separator: /, item: 0}", "items count from 1" },
        { "concat", "concat needs" },
        { "concat: {prefix: '', suffix: ''}", "concat needs" },
        { "concat: {praefix: a, suffix: b}", "did you mean \"prefix\"?" },
        { "regex: {match: '(a)', replace: '$2'}", "the pattern has 1 groups, no group 2" },
        { "regex: {match: '(a)', replace: '$x'}", "behind $ stands" },
        { "regex: {match: '(a)'}", "regex needs a pattern" },
        { "regex: {match: '[', replace: ''}", "the pattern is wrong at character" },
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
        cmocka_unit_test(results_are_written),
        cmocka_unit_test(one_way_steps_say_so),
        cmocka_unit_test(filters_find_through_concat),
        cmocka_unit_test(folded_points_are_those_glibc_moved),
        cmocka_unit_test(wrong_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
