/* Drafts: what a column means, and what becomes of it. */
#include "unit/schema/schema_support.h"

#include "schema/infer.h"
#include "sluice/options/field.pb-c.h"

#define SEMANTIC(name_) SLUICE__OPTIONS__SEMANTIC_TYPE__##name_

enum { TEXT_OID = 25, INT4_OID = 23, TIMESTAMPTZ_OID = 1184, POINT_OID = 600, VALUES = 40 };

/* Forty values: `texts` over and over. */
static struct infer_column column_of(const char *name, const char *comment, uint32_t oid,
                                     const char *const *texts, size_t count, const char **values)
{
    for (size_t i = 0; i < VALUES; i++)
        values[i] = texts[i % count];
    return (struct infer_column){ .name = name,
                                  .comment = comment,
                                  .oid = oid,
                                  .type_name = "text",
                                  .values = values,
                                  .value_count = VALUES };
}

static void test_what_columns_mean(void **state)
{
    static const struct {
        const char *name, *comment;
        const char *texts[5];
        size_t count;
        int semantic;
        const char *chain; /* NULL: none */
    } cases[] = {
        { "c1",
          "",
          { "11010519491231002X", "110105194912310011", "440524188001010014" },
          3,
          SEMANTIC(CITIZEN_ID),
          "[cn_id]" },
        { "c2", "", { "91350100M000100Y43" }, 1, SEMANTIC(CREDIT_CODE), "[cn_uscc]" },
        { "c3", "", { "13800138000", "13912345678" }, 2, SEMANTIC(MOBILE_NUMBER), "[cn_mobile]" },
        { "xb", "", { "1", "2" }, 2, SEMANTIC(SEX), "[cn_sex]" },
        { "c4", "", { "1", "2" }, 2, 0, "[{decimal: {scale: 0}}]" }, /* bare digits say nothing */
        { "c5", "", { "男", "女" }, 2, SEMANTIC(SEX), "[cn_sex]" },
        { "c6", "", { "汉族", "回", "满族" }, 3, SEMANTIC(ETHNIC_GROUP), "[cn_ethnic]" },
        { "c7", "", { "是", "否" }, 2, 0, "[bool]" },
        { "c8", "", { "2024-01-31", "20240131", "2024年1月31日" }, 3, SEMANTIC(DATE), "[cn_date]" },
        { "d1",
          "",
          { "31/01/2024", "01/02/2024", "5/6/2024", "20240131", "2024-02-29" },
          5,
          SEMANTIC(DATE),
          "[{cn_date: {formats: [D/M/YYYY, YYYYMMDD]}}]" },
        { "d2",
          "",
          { "01.31.2024", "02.01.2024", "2024年1月31日" },
          3,
          SEMANTIC(DATE),
          "[{cn_date: {formats: [M.D.YYYY, YYYY年M月D日]}}]" },
        { "d3", "", { "01/02/2024", "03/04/2024" }, 2, 0, NULL }, /* nobody can tell */
        { "c9",
          "",
          { "12万元", "3.5万", "￥100" },
          3,
          SEMANTIC(MONEY),
          "[{cn_money: {minor: true}}]" },
        { "注册资本(万元)",
          "",
          { "100", "2.5" },
          2,
          SEMANTIC(MONEY),
          "[{unit: {power: 6, scale: 0}}]" },
        { "xzqh",
          "",
          { "110105", "110101" },
          2,
          SEMANTIC(DIVISION_CODE),
          "[{cn_division: {length: 6}}]" },
        { "yzbm", "", { "100020", "100021" }, 2, 0, NULL },  /* a post code is no division */
        { "code", "", { "001", "002", "117" }, 3, 0, NULL }, /* zeros in front stay */
        { "单元号", "", { "3", "12" }, 2, 0, "[{decimal: {scale: 0}}]" }, /* no amount of 元 */
        { "zz", "", { "a", "b" }, 2, SEMANTIC(ADDRESS), NULL },
        { "n", "", { "1.5", "-2", "1e3x" }, 3, 0, NULL },
    };
    const char *values[VALUES];
    struct infer_guess guess;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct infer_column column = column_of(cases[i].name, cases[i].comment, TEXT_OID,
                                               cases[i].texts, cases[i].count, values);
        infer_guess(&column, &arena, &guess);
        bool same = (guess.chain == NULL) == (cases[i].chain == NULL) &&
                    (guess.chain == NULL || strcmp(guess.chain, cases[i].chain) == 0);
        if (guess.semantic != cases[i].semantic || !same)
            fail_msg("%s: semantic %d chain %s", cases[i].name, guess.semantic,
                     guess.chain != NULL ? guess.chain : "none");
    }
    arena_fini(&arena);
}

/* A date's order is a person's to confirm, also where the sample speaks for one. */
static void test_the_order_of_dates_is_to_be_decided(void **state)
{
    static const char *const clear[] = { "31/01/2024", "01/02/2024" };
    static const char *const open[] = { "01/02/2024", "03/04/2024" };
    const char *values[VALUES];
    struct infer_guess guess;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    struct infer_column column = column_of("c", "", TEXT_OID, clear, 2, values);
    infer_guess(&column, &arena, &guess);
    assert_non_null(guess.decide);
    assert_non_null(strstr(guess.decide, "the day is read as standing first"));
    assert_int_equal(guess.passed, VALUES);
    column = column_of("c", "", TEXT_OID, open, 2, values);
    infer_guess(&column, &arena, &guess);
    assert_non_null(guess.decide);
    assert_non_null(strstr(guess.decide, "cannot be told from the sample"));
    arena_fini(&arena);
}

static void test_spellings_of_nothing(void **state)
{
    static const char *const texts[] = { "13800138000", " NA ", "-", "\\N", "无" };
    static const char *const answers[] = { "有", "无" };
    const char *values[VALUES];
    struct infer_column column = column_of("lxdh", "", TEXT_OID, texts, 5, values);
    struct infer_guess guess;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    infer_guess(&column, &arena, &guess);
    assert_int_equal(guess.null_count, 4);
    assert_string_equal(guess.nulls[0], "NA");
    assert_int_equal(guess.present, VALUES / 5);
    assert_int_equal(guess.passed, VALUES / 5);
    /* 无 is an answer where 有 is one. */
    column = column_of("c", "", TEXT_OID, answers, 2, values);
    infer_guess(&column, &arena, &guess);
    assert_int_equal(guess.null_count, 0);
    assert_string_equal(guess.chain, "[bool]");
    arena_fini(&arena);
}

static void test_a_poor_column_is_believed_by_its_name_only(void **state)
{
    static const char *const texts[] = { "11010519491231002X", "nobody", "knows" };
    const char *values[VALUES];
    struct infer_guess guess;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    struct infer_column column = column_of("c", "", TEXT_OID, texts, 3, values);
    infer_guess(&column, &arena, &guess);
    assert_int_equal(guess.semantic, 0);
    column.name = "sfzh";
    infer_guess(&column, &arena, &guess);
    assert_int_equal(guess.semantic, SEMANTIC(CITIZEN_ID));
    assert_true(guess.passed * 3 <= guess.present + 2);
    assert_non_null(strstr(guess.evidence[0], "35.0 %")); /* 14 of 40 */
    arena_fini(&arena);
}

static void test_columns_that_cannot_be_read(void **state)
{
    struct infer_column column = {
        .name = "p", .comment = "", .oid = POINT_OID, .type_name = "point"
    };
    struct infer_guess guess;
    struct arena arena;

    (void)state;
    arena_init(&arena);
    infer_guess(&column, &arena, &guess);
    assert_null(guess.mapping_type);
    column.oid = INT4_OID; /* and one without any value */
    infer_guess(&column, &arena, &guess);
    assert_string_equal(guess.mapping_type, "integer");
    assert_int_equal(guess.semantic, 0);
    arena_fini(&arena);
}

static void test_names(void **state)
{
    static const struct {
        const char *name, *comment, *concept;
    } cases[] = {
        { "sfzh", "", "id_number" },
        { "ID_CARD", "", "id_number" },
        { "信用 代码", "", "credit_code" },
        { "法人\"代表", "", "legal_person" },
        { "valid", "", "" },
        { "c", "出生日期", "birth_date" },
        { "code", "统一社会信用代码", "credit_code" },
        { "create_time", "", "created_at" },
    };
    struct arena arena;
    int semantic;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(infer_concept(cases[i].name, cases[i].comment, &semantic),
                            cases[i].concept);
    arena_init(&arena);
    assert_string_equal(infer_snake(&arena, "Annual Report$2023"), "annual_report_2023");
    assert_string_equal(infer_snake(&arena, "provinceCode"), "province_code");
    assert_string_equal(infer_snake(&arena, "2023"), "n2023");
    assert_string_equal(infer_snake(&arena, "省"), "");
    assert_string_equal(infer_legend("婚姻：1 未婚 2 已婚", "2", &arena), "已婚");
    assert_string_equal(infer_legend("1:男,2:女", "1", &arena), "男");
    assert_string_equal(infer_legend("（1-未婚、2-已婚）", "2", &arena), "已婚");
    assert_null(infer_legend("11 未婚", "1", &arena));
    assert_null(infer_legend("", "1", &arena));
    assert_null(infer_legend("x", "", &arena));
    arena_fini(&arena);
}

/* --- drafts -------------------------------------------------------------------------------------
 */

static const struct infer_names names = { .department = "d", .dataset = "people", .source = "d" };

static void draft_of(const struct infer_table *table, const struct schema_message *type,
                     struct arena *arena, struct infer_draft *draft)
{
    struct infer_guess *guesses = arena_array(arena, table->column_count, sizeof *guesses);

    for (size_t i = 0; i < table->column_count; i++)
        infer_guess(&table->columns[i], arena, &guesses[i]);
    infer_draft(table, guesses, &names, type, arena, draft);
    (void)buf_cstr(&draft->mapping);
    (void)buf_cstr(&draft->proto);
}

/* Names that would break out of YAML, comments or .proto text, had they not been quoted. */
static void test_hostile_names_stay_text(void **state)
{
    static const char *const ids[] = { "11010519491231002X" };
    static const char *const kinds[] = { "a: {b", "\"c\"\n- d", "#e" };
    const char *first[VALUES], *second[VALUES];
    struct infer_column columns[] = {
        column_of("x\": y\n# z", "公民身份\n号码 */ */", TEXT_OID, ids, 1, first),
        column_of("'; DROP", "", TEXT_OID, kinds, 3, second),
    };
    struct infer_table table = { .schema = "a\nb",
                                 .table = "\"t\"\nversion: 2",
                                 .comment = "x\"\ny",
                                 .columns = columns,
                                 .column_count = 2,
                                 .key_kind = "",
                                 .row_count = VALUES };
    struct schema_bundle *bundle = published();
    const struct schema_message *type =
        schema_set_message(schema_bundle_types(bundle), "gov.person.v1.Resident");
    struct infer_draft draft;
    struct arena arena;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&arena);
    draft_of(&table, type, &arena, &draft);
    if (infer_draft_check(&draft, &names, schema_bundle_types(bundle), &err) != 0)
        fail_msg("%s\n%s", err.text, (const char *)draft.mapping.data);
    assert_int_equal(draft.proto.len, 0);
    buf_fini(&draft.mapping);
    buf_fini(&draft.proto);
    draft_of(&table, NULL, &arena, &draft);
    assert_string_equal(draft.proto_file, "d/people/v1/people.proto");
    assert_null(strstr((const char *)draft.proto.data, "\nversion: 2"));
    assert_non_null(strstr((const char *)draft.proto.data, "message People {"));
    buf_fini(&draft.mapping);
    buf_fini(&draft.proto);
    schema_bundle_free(&bundle);
    arena_fini(&arena);
}

static bool decided(const struct infer_draft *draft, const char *piece)
{
    for (size_t i = 0; i < draft->decision_count; i++)
        if (strstr(draft->decisions[i], piece) != NULL)
            return true;
    return false;
}

static void test_what_is_left_to_a_person(void **state)
{
    static const char *const names_[] = { "张三", "李四" };
    const char *values[VALUES];
    struct infer_column columns[] = {
        column_of("xm", "姓名", TEXT_OID, names_, 2, values),
        { .name = "p", .comment = "", .oid = POINT_OID, .type_name = "point" },
    };
    struct infer_table table = { .schema = "public",
                                 .table = "t",
                                 .comment = "",
                                 .columns = columns,
                                 .column_count = 2,
                                 .key_kind = "" };
    struct schema_bundle *bundle = published();
    struct infer_draft draft;
    struct arena arena;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&arena);
    draft_of(&table, schema_set_message(schema_bundle_types(bundle), "gov.person.v1.Resident"),
             &arena, &draft);
    assert_true(decided(&draft, "no column was found for id_number, which is the key"));
    assert_true(decided(&draft, "\"p\" is point"));
    assert_int_equal(infer_draft_check(&draft, &names, schema_bundle_types(bundle), &err), -1);
    assert_non_null(strstr(err.text, "key field"));
    buf_fini(&draft.mapping);
    buf_fini(&draft.proto);
    draft_of(&table, NULL, &arena, &draft);
    assert_true(decided(&draft, "no column can be the key"));
    buf_fini(&draft.mapping);
    buf_fini(&draft.proto);
    schema_bundle_free(&bundle);
    arena_fini(&arena);
}

static void test_codes_of_a_house_by_their_legend(void **state)
{
    static const char *const ids[] = { "11010519491231002X" };
    static const char *const codes[] = { "1", "2", "7" };
    const char *first[VALUES], *second[VALUES];
    struct infer_column columns[] = {
        column_of("sfzh", "", TEXT_OID, ids, 1, first),
        column_of("hyzk", "1 未婚 2 已婚", TEXT_OID, codes, 3, second),
    };
    struct infer_table table = { .schema = "public",
                                 .table = "t",
                                 .comment = "",
                                 .columns = columns,
                                 .column_count = 2,
                                 .key_kind = "" };
    struct schema_bundle *bundle = published();
    struct infer_draft draft;
    struct arena arena;
    struct err err = ERR_INIT;

    (void)state;
    arena_init(&arena);
    draft_of(&table, schema_set_message(schema_bundle_types(bundle), "gov.person.v1.Resident"),
             &arena, &draft);
    const char *text = (const char *)draft.mapping.data;
    assert_non_null(strstr(text, "\"1\": NEVER_MARRIED"));
    assert_non_null(strstr(text, "\"2\": MARRIED"));
    assert_non_null(strstr(text, "# \"7\": ?"));
    assert_true(decided(&draft, "which value is \"7\" (13 rows)?"));
    assert_int_equal(infer_draft_check(&draft, &names, schema_bundle_types(bundle), &err), 0);
    buf_fini(&draft.mapping);
    buf_fini(&draft.proto);
    schema_bundle_free(&bundle);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_columns_mean),
        cmocka_unit_test(test_the_order_of_dates_is_to_be_decided),
        cmocka_unit_test(test_spellings_of_nothing),
        cmocka_unit_test(test_a_poor_column_is_believed_by_its_name_only),
        cmocka_unit_test(test_columns_that_cannot_be_read),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_hostile_names_stay_text),
        cmocka_unit_test(test_what_is_left_to_a_person),
        cmocka_unit_test(test_codes_of_a_house_by_their_legend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
