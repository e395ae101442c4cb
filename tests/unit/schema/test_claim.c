/* Claims about a record: canonical forms, one verdict for all, what cannot be said, keys in one form. */
#include "schema_support.h"

#include "schema/claim.h"

static const char mapping_fields[] =
    "  id: {from: i}\n"
    "  text: {from: t, null_values: ['-']}\n"
    "  small: s\n"
    "  flag: f\n"
    "  real: r\n"
    "  colour: c\n"
    "  at: a\n"
    "  person: {from: p, normalise: [cn_id]}\n"
    "  day: {from: d, normalise: [cn_date]}\n"
    "  maybe: m\n"
    "  amount: {from: n, normalise: [trim, {regex: '[0-9]{2}'}]}\n";

#define STORED(text_)                                                                              \
    {                                                                                              \
        (text_), sizeof(text_) - 1                                                                 \
    }
/* In the order of the fields above. */
static const struct cell full_row[] = {
    STORED("k"),
    STORED("Ein Satz"),
    STORED("42"),
    STORED("true"),
    STORED("1.5"),
    STORED("RED"),
    STORED("2020-01-01T08:00:00+08:00"),
    STORED("110105491231002"),
    STORED("2020年1月2日"),
    STORED(""),
    STORED("07"),
};
enum { CELLS = sizeof full_row / sizeof full_row[0] };

struct claimed {
    const char *field;
    const char *value;
};

static const struct schema_field *field_of(const struct schema_dataset *dataset, const char *name)
{
    const struct schema_field *field = schema_message_field(dataset->type, name, strlen(name));
    assert_non_null(field);
    return field;
}

static struct schema_bundle *mapped(void)
{
    struct err err = ERR_INIT;
    struct schema_bundle *bundle = everything("", mapping_fields, &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    return bundle;
}

/* -1: the row was no record. */
static int verdict_of(const struct schema_dataset *dataset, const struct cell *cells,
                      const struct claimed *claimed, size_t count)
{
    struct err err = ERR_INIT;
    struct arena arena;
    struct schema_claim claims[CLAIMS_MAX];
    struct schema_row_report report;
    enum schema_claims_verdict verdict = CLAIMS_MATCH;
    struct buf record;
    arena_init(&arena);
    buf_init(&record, PLAN_RECORD_BYTES_MAX);
    struct schema_plan *plan = full_plan(dataset);
    PGresult *rows = new_rows(cells, CELLS);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(schema_claim_init(&claims[i], dataset, field_of(dataset, claimed[i].field),
                                           claimed[i].value, &arena, &err),
                         0);
    assert_int_equal(schema_plan_row(plan, as_rows(rows), 0, &record, &report, &err), 0);
    if (report.state == ROW_DELIVERED)
        assert_int_equal(schema_claims_compare(plan, dataset, claims, count, as_rows(rows), 0,
                                               buf_slice(&record), &arena, &verdict, &err),
                         0);
    PQclear(rows);
    schema_plan_free(&plan);
    buf_fini(&record);
    arena_fini(&arena);
    return report.state == ROW_DELIVERED ? (int)verdict : -1;
}

static void each_kind_of_value_matches_in_its_canonical_form_only(void **state)
{
    (void)state;
    static const struct {
        struct claimed claimed;
        enum schema_claims_verdict verdict;
    } cases[] = {
        { { "text", "Ein Satz" }, CLAIMS_MATCH },
        { { "text", "ein satz" }, CLAIMS_MISMATCH },
        { { "text", "" }, CLAIMS_MISMATCH },
        { { "text", "Ein Satz " }, CLAIMS_MISMATCH },
        { { "small", "42" }, CLAIMS_MATCH },
        { { "small", "0042" }, CLAIMS_MATCH },
        { { "small", "43" }, CLAIMS_MISMATCH },
        { { "small", "0" }, CLAIMS_MISMATCH },
        { { "small", "4x" }, CLAIMS_INCONCLUSIVE },
        { { "small", "99999999999" }, CLAIMS_INCONCLUSIVE },
        { { "small", "" }, CLAIMS_INCONCLUSIVE },
        { { "flag", "true" }, CLAIMS_MATCH },
        { { "flag", "false" }, CLAIMS_MISMATCH },
        { { "flag", "yes" }, CLAIMS_INCONCLUSIVE },
        { { "real", "1.50" }, CLAIMS_MATCH },
        { { "real", "1.25" }, CLAIMS_MISMATCH },
        { { "colour", "RED" }, CLAIMS_MATCH },
        { { "colour", "1" }, CLAIMS_MATCH },
        { { "colour", "BLUE" }, CLAIMS_MISMATCH },
        { { "colour", "red" }, CLAIMS_INCONCLUSIVE },
        { { "at", "2020-01-01T00:00:00Z" }, CLAIMS_MATCH },
        { { "at", "2020-01-01T00:00:01Z" }, CLAIMS_MISMATCH },
        { { "at", "yesterday" }, CLAIMS_INCONCLUSIVE },
        { { "person", "11010519491231002X" }, CLAIMS_MATCH },
        { { "person", "11010519491231002x" }, CLAIMS_MATCH },
        { { "person", "110101199003070038" }, CLAIMS_MISMATCH },
        { { "person", "110105194912310021" }, CLAIMS_INCONCLUSIVE },
        { { "day", "2020-01-02" }, CLAIMS_MATCH },
        { { "day", "2020-01-03" }, CLAIMS_MISMATCH },
        { { "day", "2020-1-2" }, CLAIMS_INCONCLUSIVE },
        { { "day", "2020-02-30" }, CLAIMS_INCONCLUSIVE },
        { { "maybe", "" }, CLAIMS_MATCH },
        { { "maybe", "x" }, CLAIMS_MISMATCH },
        { { "amount", "07" }, CLAIMS_MATCH },
        { { "amount", "08" }, CLAIMS_MISMATCH },
        { { "amount", "7" }, CLAIMS_INCONCLUSIVE },
        { { "text", "\xff" }, CLAIMS_INCONCLUSIVE },
    };
    struct schema_bundle *bundle = mapped();
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (verdict_of(dataset, full_row, &cases[i].claimed, 1) != (int)cases[i].verdict)
            fail_msg("%s = \"%s\"", cases[i].claimed.field, cases[i].claimed.value);
    schema_bundle_free(&bundle);
}

static void one_verdict_stands_for_all_claims_in_any_order(void **state)
{
    (void)state;
    static const struct claimed right = { "small", "42" }, right_too = { "colour", "RED" },
                                wrong = { "text", "no" }, impossible = { "flag", "no" };
    struct schema_bundle *bundle = mapped();
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    const struct {
        struct claimed claimed[3];
        enum schema_claims_verdict verdict;
    } cases[] = {
        { { right, right_too, right }, CLAIMS_MATCH },
        { { wrong, right, right_too }, CLAIMS_MISMATCH },
        { { right, right_too, wrong }, CLAIMS_MISMATCH },
        { { right, impossible, right_too }, CLAIMS_INCONCLUSIVE },
        { { wrong, impossible, right }, CLAIMS_INCONCLUSIVE },
        { { impossible, right, wrong }, CLAIMS_INCONCLUSIVE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(verdict_of(dataset, full_row, cases[i].claimed, 3), cases[i].verdict);
    schema_bundle_free(&bundle);
}

static void a_field_without_value_is_no_mismatch_and_a_zero_is_a_value(void **state)
{
    (void)state;
    struct cell cells[CELLS];
    struct schema_bundle *bundle = mapped();
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    memcpy(cells, full_row, sizeof cells);
    cells[1] = CELL("-");
    cells[2] = CELL("0");
    cells[3] = NULL_CELL;
    cells[9] = NULL_CELL;
    const struct {
        struct claimed claimed;
        enum schema_claims_verdict verdict;
    } cases[] = {
        { { "text", "" }, CLAIMS_INCONCLUSIVE },      { { "text", "-" }, CLAIMS_INCONCLUSIVE },
        { { "small", "0" }, CLAIMS_MATCH },           { { "small", "1" }, CLAIMS_MISMATCH },
        { { "flag", "false" }, CLAIMS_INCONCLUSIVE }, { { "maybe", "" }, CLAIMS_INCONCLUSIVE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(verdict_of(dataset, cells, &cases[i].claimed, 1), cases[i].verdict);
    schema_bundle_free(&bundle);
}

static void only_single_mapped_values_are_verifiable(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        bool verifiable;
    } cases[] = {
        { "id", true },     { "text", true },
        { "at", true },     { "colour", true },
        { "tags", false },  { "extra", false },
        { "blob", false },  { "address", false },
        { "inner", false }, { "narrow", false /* not mapped */ },
    };
    struct err err = ERR_INIT;
    struct arena arena;
    struct schema_claim claim;
    char longest[CLAIM_VALUE_BYTES_MAX + 2];
    char *fields = mem_format("%s  tags: g\n  blob: b\n  address.street: x\n", mapping_fields);
    struct schema_bundle *bundle = everything("{g: 'text[]', b: bytea}", fields, &err);
    if (bundle == NULL)
        fail_msg("%s", err.text);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct schema_field *field = field_of(dataset, cases[i].field);
        assert_int_equal(schema_dataset_verifiable(dataset, field), cases[i].verifiable);
        err_clear(&err);
        int result = schema_claim_init(&claim, dataset, field, "1", &arena, &err);
        assert_int_equal(result, cases[i].verifiable ? 0 : -1);
        assert_string_equal(err.reason, cases[i].verifiable ? "" : "FIELD_NOT_VERIFIABLE");
    }
    memset(longest, 'x', sizeof longest);
    longest[CLAIM_VALUE_BYTES_MAX] = '\0';
    const struct schema_field *text = field_of(dataset, "text");
    assert_int_equal(schema_claim_init(&claim, dataset, text, longest, &arena, &err), 0);
    assert_true(claim.canonical);
    longest[CLAIM_VALUE_BYTES_MAX] = 'x';
    longest[CLAIM_VALUE_BYTES_MAX + 1] = '\0';
    assert_int_equal(schema_claim_init(&claim, dataset, text, longest, &arena, &err), -1);
    assert_string_equal(err.reason, "CLAIM_TOO_LONG");
    arena_fini(&arena);
    schema_bundle_free(&bundle);
    free(fields);
}

static void a_quarantined_row_is_no_record_to_compare(void **state)
{
    (void)state;
    struct cell cells[CELLS];
    struct schema_bundle *bundle = mapped();
    memcpy(cells, full_row, sizeof cells);
    cells[7] = CELL("110105194912310021");
    const struct claimed claimed = { "small", "42" };
    assert_int_equal(verdict_of(schema_bundle_at(bundle, 0), cells, &claimed, 1), -1);
    schema_bundle_free(&bundle);
}

static void texts_of_one_key_have_one_canonical_form(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *canonical;
    } cases[] = {
        { "11010519491231002X", "11010519491231002X" },
        { "11010519491231002x", "11010519491231002X" },
        { "１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X" },
        { "110105194912310021", NULL },
        { "", NULL },
    };
    struct arena arena;
    struct schema_bundle *bundle = published();
    struct schema_plan *plan = full_plan(schema_bundle_find(bundle, "civil-affairs/residents"));
    arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *key = schema_plan_canonical_key(plan, cases[i].key, &arena);
        if (cases[i].canonical == NULL)
            assert_null(key);
        else
            assert_string_equal(key, cases[i].canonical);
    }
    arena_fini(&arena);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_value_matches_in_its_canonical_form_only),
        cmocka_unit_test(one_verdict_stands_for_all_claims_in_any_order),
        cmocka_unit_test(a_field_without_value_is_no_mismatch_and_a_zero_is_a_value),
        cmocka_unit_test(only_single_mapped_values_are_verifiable),
        cmocka_unit_test(a_quarantined_row_is_no_record_to_compare),
        cmocka_unit_test(texts_of_one_key_have_one_canonical_form),
    };
    return cmocka_run_group_tests_name("schema/claim", tests, NULL, NULL);
}
