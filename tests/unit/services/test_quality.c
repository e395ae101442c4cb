/* services: accounts that balance, thresholds, keys, ages; and two sides compared in any memory. */
#include "unit/schema/schema_support.h"

#include "services/compare_table.h"
#include "services/quality_account.h"

/* --- rows --------------------------------------------------------------------------------------- */

static void accounts_balance_row_by_row(void **state)
{
    (void)state;
    struct quality_rows rows = { 0 };
    assert_true(quality_rows_balance(&rows));
    for (int i = 0; i < 10; i++) {
        quality_rows_add(&rows, i % 3 == 0 ? ROW_QUARANTINED : ROW_DELIVERED);
        assert_true(quality_rows_balance(&rows));
    }
    assert_int_equal(rows.read, 10);
    assert_int_equal(rows.quarantined, 4);
    rows.read++;
    assert_false(quality_rows_balance(&rows));
}

static void thresholds_stop_at_their_limit_and_not_before(void **state)
{
    (void)state;
    static const struct {
        struct schema_thresholds thresholds; /* share in a million, rows, rows_min */
        uint64_t read;
        uint64_t quarantined;
        bool whole;
        bool exceeded;
    } cases[] = {
        { { 0, 0, 0 }, 100, 100, true, false }, /* no limit */
        { { 0, 5, 0 }, 100, 5, true, false },
        { { 0, 5, 0 }, 100, 6, false, true },        /* rows: at once */
        { { 10000, 0, 100 }, 99, 99, false, false }, /* too few rows yet */
        { { 10000, 0, 100 }, 99, 99, true, false },
        { { 10000, 0, 100 }, 100, 1, false, false }, /* exactly 1 % */
        { { 10000, 0, 100 }, 100, 2, false, true },
        { { 10000, 0, 0 }, 1, 1, false, false }, /* a share only of all rows */
        { { 10000, 0, 0 }, 1, 1, true, true },
        { { 10000, 0, 0 }, 0, 0, true, false },
        { { 1000000, 0, 0 }, 5, 5, true, false },
        { { 1, 0, 0 }, UINT64_MAX, UINT64_MAX / 2, true, true }, /* nothing wraps */
        { { 999999, 0, 0 }, UINT64_MAX, UINT64_MAX / 2, true, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[QUALITY_SENTENCE_BYTES] = "old";
        struct quality_rows rows = { .read = cases[i].read, .quarantined = cases[i].quarantined };
        assert_int_equal(
            quality_thresholds_exceeded(&cases[i].thresholds, &rows, cases[i].whole, text),
            cases[i].exceeded);
        assert_int_equal(strlen(text) > 0, cases[i].exceeded);
    }
}

/* --- keys --------------------------------------------------------------------------------------- */

static const uint8_t hash_key[HASH_BYTES] = { 7 };

static void keys_side_by_side_are_counted_without_memory(void **state)
{
    (void)state;
    struct quality_keys keys;
    quality_keys_init(&keys, true);
    quality_keys_add(&keys, hash_key, "a", 1);
    quality_keys_add(&keys, hash_key, "a", 1); /* the same record */
    quality_keys_add(&keys, hash_key, "a", 2); /* another one */
    quality_keys_add(&keys, hash_key, NULL, 3);
    quality_keys_add(&keys, hash_key, "b", 0); /* quarantined: no record */
    quality_keys_add(&keys, hash_key, "b", 0);
    assert_int_equal(keys.rows, 5);
    assert_int_equal(keys.keys, 2);
    assert_int_equal(keys.repeated, 1);
    assert_null(keys.slots);
    quality_keys_fini(&keys);
}

static void keys_in_any_order_are_counted_exactly(void **state)
{
    (void)state;
    struct quality_keys keys;
    char key[24];
    quality_keys_init(&keys, false);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 50000; i++) {
            (void)snprintf(key, sizeof key, "key-%d", i);
            quality_keys_add(&keys, hash_key, key, (uint32_t)(i % 2 == 0 ? 9 : 9 + round));
        }
    }
    assert_int_equal(keys.rows, 100000);
    assert_int_equal(keys.keys, 50000);
    assert_int_equal(keys.repeated, 25000);
    assert_int_equal(keys.sampled, 1);
    quality_keys_fini(&keys);
}

static void more_keys_than_fit_are_sampled_and_it_is_said(void **state)
{
    (void)state;
    enum { KEYS = 1000000 };
    struct quality_keys keys;
    char key[24];
    quality_keys_init(&keys, false);
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        quality_keys_add(&keys, hash_key, key, 5);
        if (i % 4 == 0) /* every fourth key has two equal rows */
            quality_keys_add(&keys, hash_key, key, 5);
    }
    assert_int_equal(keys.sampled, 4);
    assert_true(keys.slot_count <= QUALITY_KEYS_SLOTS_MAX);
    /* All rows of a sampled key are in: the ratios are those of the whole, but for chance. */
    double share = (double)keys.keys * keys.sampled / KEYS;
    double repeated = (double)keys.repeated / (double)keys.keys;
    assert_true(share > 0.98 && share < 1.02);
    assert_true(repeated > 0.24 && repeated < 0.26);
    assert_int_equal(keys.rows, keys.keys + keys.repeated);
    quality_keys_fini(&keys);
}

/* --- ages --------------------------------------------------------------------------------------- */

static void expectations_are_judged_at_their_edges(void **state)
{
    enum { NOW = 1000000, FUTURE = NOW + 1 };
    static const struct {
        int64_t seconds; /* of the only dated row; INT64_MIN: none */
        uint64_t delivered, present;
        int64_t age, share;
        bool fresh, enough;
    } cases[] = {
        { NOW, 100, 95, 0, 950000, true, true },
        { NOW - 600, 1000, 949, 600, 949000, true, false },
        { NOW - 601, 3, 3, 601, 1000000, false, true },
        { INT64_MIN, 0, 0, QUALITY_NOTHING_FOUND, QUALITY_NOTHING_FOUND, false, false },
        { FUTURE, 3000000, 2849999, QUALITY_NOTHING_FOUND, 949999, false, false },
        { NOW, UINT64_MAX, UINT64_MAX, 0, 1000000, true, true }, /* nothing wraps */
    };
    const struct schema_field updated = { .name = "updated", .position = 0 };
    const struct schema_field mobile = { .name = "mobile", .position = 1 };
    const struct schema_expectation expected = { &mobile, 950000 };
    const struct schema_dataset dataset = { .freshness = { &updated, 600 },
                                            .expectations = &expected,
                                            .expectation_count = 1 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct quality_field fields[2] = { { 0 }, { .delivered = cases[i].present } };
        struct quality_account account = { .dataset = &dataset,
                                           .now_s = NOW,
                                           .newest_s = INT64_MIN,
                                           .newest_past_s = INT64_MIN,
                                           .rows = { .delivered = cases[i].delivered },
                                           .fields = fields };
        struct quality_expectation out[2];
        if (cases[i].seconds != INT64_MIN)
            quality_ages_add(&account, cases[i].seconds);
        assert_int_equal(quality_account_expectations(&account, out), 2);
        assert_int_equal(out[0].kind, QUALITY_FRESHNESS);
        assert_int_equal(out[0].found, cases[i].age);
        assert_int_equal(out[0].met, cases[i].fresh);
        assert_int_equal(out[1].kind, QUALITY_PRESENCE);
        assert_int_equal(out[1].found, cases[i].share);
        assert_int_equal(out[1].met, cases[i].enough);
    }
}

static void ages_fall_into_their_buckets(void **state)
{
    (void)state;
    enum { DAY = 86400 };
    static const struct {
        int64_t age_s;
        size_t bucket;
    } cases[] = {
        { -1, 0 },
        { 0, 1 },
        { DAY, 1 },
        { DAY + 1, 2 },
        { 7 * DAY, 2 },
        { 7 * DAY + 1, 3 },
        { 30 * DAY, 3 },
        { 31 * DAY, 4 },
        { 365 * DAY, 5 },
        { 366 * DAY, 6 },
        { 1097 * DAY, 7 },
        { (int64_t)4000 * DAY, 8 },
        { (int64_t)2000 * 366 * DAY, 8 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct quality_account account = { .now_s = 1800000000, .newest_s = INT64_MIN };
        quality_ages_add(&account, account.now_s - cases[i].age_s);
        assert_int_equal(account.ages[cases[i].bucket], 1);
        assert_int_equal(quality_age_median(account.ages), cases[i].bucket);
    }
    const uint64_t none[QUALITY_AGE_BUCKETS] = { 0 };
    assert_int_equal(quality_age_median(none), QUALITY_AGE_BUCKETS);
    assert_string_equal(quality_age_label(QUALITY_AGE_BUCKETS), "");
    const uint64_t ages[QUALITY_AGE_BUCKETS] = { 1, 2, 3, 4, 0, 0, 0, 0, 10 };
    assert_true(quality_age_within(ages, 7) == 0.25);
    assert_true(quality_age_within(ages, 30) == 0.45);
    assert_true(quality_age_within(ages, 365) == 0.45);
}

/* --- a row -------------------------------------------------------------------------------------- */

static void a_row_is_counted_in_every_figure(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct quality_account account;
    struct schema_bundle *bundle =
        everything("", "  id: i\n  big: b\n  text: {from: t, required: true}\n", &err);
    assert_non_null(bundle);
    const struct schema_dataset *dataset = schema_bundle_at(bundle, 0);
    struct schema_plan *plan = full_plan(dataset);
    const struct cell rows[][3] = {
        { CELL("a"), CELL("1"), CELL("x") },
        { CELL("b"), CELL("y"), CELL("x") }, /* rejected */
        { CELL("c"), NULL_CELL, NULL_CELL }, /* required and missing */
        { CELL("c"), CELL("z"), NULL_CELL }, /* both, and a repeated key */
    };
    quality_account_init(&account, dataset, 0);
    for (size_t i = 0; i < 4; i++) {
        struct schema_row_report report;
        struct buf record;
        PGresult *result = new_rows(rows[i], 3);
        buf_init(&record, PLAN_RECORD_BYTES_MAX);
        assert_int_equal(schema_plan_row(plan, as_rows(result), 0, &record, &report, &err), 0);
        assert_int_equal(quality_account_row(&account, plan, as_rows(result), 0, &report,
                                             buf_slice(&record), &err),
                         0);
        buf_fini(&record);
        PQclear(result);
    }
    assert_true(quality_rows_balance(&account.rows));
    assert_int_equal(account.rows.delivered, 1);
    assert_int_equal(account.rows.quarantined, 3);
    const struct quality_field *big = &account.fields[3], *text = &account.fields[2];
    assert_int_equal(big->present, 3);
    assert_int_equal(big->rejected, 2);
    assert_int_equal(text->present, 2);
    assert_int_equal(text->missing, 2);
    assert_int_equal(text->rejected, 0);
    assert_false(account.fields[10].mapped);
    assert_int_equal(account.reason_count, 2);
    assert_int_equal(account.reasons[0].count + account.reasons[1].count, 4);
    assert_int_equal(account.keys.rows, 4);
    assert_int_equal(account.keys.keys, 3);
    quality_account_fini(&account);
    schema_plan_free(&plan);
    schema_bundle_free(&bundle);
}

/* --- two sides ---------------------------------------------------------------------------------- */

enum { KEYS = 6000 };

/* What side A and B hold of key i: 0 nothing, else a value; 99: a row that cannot be read. */
static unsigned value_of(enum compare_side side, unsigned i)
{
    if (i % 7 == 0)
        return side == COMPARE_A ? 1 : 0;
    if (i % 7 == 1)
        return side == COMPARE_B ? 1 : 0;
    if (i % 7 == 2)
        return side == COMPARE_A ? 1 : 2;
    if (i % 7 == 3)
        return side == COMPARE_A ? 99 : 1;
    return 1;
}

static void feed(struct compare_table *table, enum compare_side side)
{
    for (unsigned i = 0; i < KEYS; i++) {
        unsigned value = value_of(side, i);
        uint64_t fields[2] = { value, 5 };
        uint64_t key = compare_digest(table, &i, sizeof i);
        if (value == 0)
            continue;
        (void)compare_table_add(table, side, key, value == 99 ? NULL : fields);
        if (i % 7 == 4 && side == COMPARE_B) /* comes again, with another value: the first counts */
            (void)compare_table_add(table, side, key, (uint64_t[]){ 8, 8 });
    }
}

/* One part after the other, as CompareDatasets does; answers the number of passes. */
static int compare_all(size_t bytes_max, struct compare_counts *counts)
{
    struct {
        uint32_t parts;
        uint32_t part;
    } later[256] = { { 1, 0 } };
    size_t waiting = 1;
    int passes = 0;
    struct compare_table table;
    compare_table_init(&table, 2, bytes_max);
    while (waiting > 0) {
        uint32_t parts = later[--waiting].parts;
        compare_table_start(&table, parts, later[waiting].part);
        feed(&table, COMPARE_A);
        feed(&table, COMPARE_B);
        for (; parts < table.parts; parts *= 2) {
            later[waiting].parts = 2 * parts;
            later[waiting++].part = table.part + parts;
        }
        compare_table_count(&table, counts);
        passes++;
    }
    compare_table_fini(&table);
    return passes;
}

static void the_same_is_counted_in_any_memory(void **state)
{
    (void)state;
    static const size_t memories[] = { 1 << 20, 200000, 100000 };
    int passes_before = 0;
    for (size_t i = 0; i < 3; i++) {
        struct compare_counts counts = { 0 };
        int passes = compare_all(memories[i], &counts);
        assert_true(passes > passes_before);
        passes_before = passes;
        assert_int_equal(counts.only_a, 858);
        assert_int_equal(counts.only_b, 857);
        assert_int_equal(counts.different, 857);
        assert_int_equal(counts.unreadable, 857);
        assert_int_equal(counts.equal, KEYS - 858 - 3 * 857);
        assert_int_equal(counts.repeated_a, 0);
        assert_int_equal(counts.repeated_b, 857);
        assert_int_equal(counts.fields[0], 857);
        assert_int_equal(counts.fields[1], 0);
    }
    assert_true(passes_before > 2);
}

static void a_difference_is_told_when_the_second_side_comes(void **state)
{
    (void)state;
    struct compare_table table;
    compare_table_init(&table, 3, 1 << 20);
    assert_int_equal(compare_table_add(&table, COMPARE_A, 5, (uint64_t[]){ 1, 2, 3 }), 0);
    assert_int_equal(compare_table_add(&table, COMPARE_B, 5, (uint64_t[]){ 1, 0, 4 }), 6);
    assert_int_equal(compare_table_add(&table, COMPARE_B, 5, (uint64_t[]){ 9, 9, 9 }), 0);
    assert_int_equal(compare_table_add(&table, COMPARE_B, 6, (uint64_t[]){ 1, 1, 1 }), 0);
    compare_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_balance_row_by_row),
        cmocka_unit_test(thresholds_stop_at_their_limit_and_not_before),
        cmocka_unit_test(keys_side_by_side_are_counted_without_memory),
        cmocka_unit_test(keys_in_any_order_are_counted_exactly),
        cmocka_unit_test(more_keys_than_fit_are_sampled_and_it_is_said),
        cmocka_unit_test(ages_fall_into_their_buckets),
        cmocka_unit_test(expectations_are_judged_at_their_edges),
        cmocka_unit_test(a_row_is_counted_in_every_figure),
        cmocka_unit_test(the_same_is_counted_in_any_memory),
        cmocka_unit_test(a_difference_is_told_when_the_second_side_comes),
    };
    return cmocka_run_group_tests_name("services/quality", tests, NULL, NULL);
}
