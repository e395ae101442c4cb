/* services: notices of drift as they come, stay and go, over a real PostgreSQL. */
#include "unit/schema/database.h"

#include "base/utf8.h"
#include "services/drift_watch.h"

static const char yaml[] =
    "version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\ntable: t\n"
    "sharing: open\ncolumns: {n: int4, e: enum}\nfields:\n"
    "  id: k\n  text: {from: v, required: true}\n  big: n\n  part: e\n";

static struct schema_bundle *bundle;
static struct drift_watch *watch;

static int make_watch(void **state)
{
    (void)state;
    run_sql("SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public; "
            "SET search_path = public; CREATE TYPE colour AS ENUM ('red'); "
            "CREATE TABLE t (k varchar(18) PRIMARY KEY, v varchar(10) NOT NULL, n int, e colour)");
    bundle = one_mapping(yaml);
    watch = drift_watch_new(schema_bundle_at(bundle, 0));
    return 0;
}

static int free_watch(void **state)
{
    (void)state;
    drift_watch_free(&watch);
    schema_bundle_free(&bundle);
    return 0;
}

static void look(bool ready, int64_t now_us)
{
    const struct db_sql *sql = drift_watch_due(watch, now_us);
    assert_non_null(sql);
    PGresult *rows = ask(sql);
    drift_watch_take(watch, as_rows(rows), NULL, ready, now_us);
    PQclear(rows);
}

/* The only notice. */
static const struct drift_notice *notice(void)
{
    size_t count;
    const struct drift_notice *notices = drift_watch_notices(watch, &count);
    assert_int_equal(count, 1);
    return notices;
}

static void expect_none(void)
{
    size_t count;
    assert_null(drift_watch_notices(watch, &count));
    assert_int_equal(count, 0);
}

static const int64_t LOOK_US = (int64_t)DRIFT_LOOK_MS * 1000;

static void a_look_is_due_at_a_bounded_frequency(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    look(true, 1000);
    assert_null(drift_watch_due(watch, 1000 + LOOK_US - 1));
    assert_non_null(drift_watch_due(watch, 1000 + LOOK_US));
    drift_watch_soon(watch);
    assert_non_null(drift_watch_due(watch, 1001));
    (void)err_set(&err, ERR_DEADLINE_EXCEEDED, "SOURCE_TIMEOUT", "late");
    drift_watch_take(watch, NULL, &err, true, 1001);
    assert_null(drift_watch_due(watch, 1001 + LOOK_US)); /* who could not answer is left in peace */
    assert_non_null(drift_watch_due(watch, 1001 + (int64_t)DRIFT_RETRY_MS * 1000));
}

static void notices_come_stay_and_go(void **state)
{
    (void)state;
    look(true, 0);
    expect_none();
    run_sql("ALTER TABLE t ADD extra int");
    look(true, LOOK_US);
    assert_int_equal(notice()->notice.kind, DRIFT_COLUMN_ADDED);
    assert_string_equal(notice()->notice.table, "\"public\".\"t\"");
    assert_string_equal(notice()->notice.column, "extra");
    assert_string_equal(notice()->notice.found, "integer");
    assert_int_equal(drift_watch_count(watch, DRIFT_COLUMN_ADDED), 1);
    int64_t found_us = notice()->found_us;
    look(true, 2 * LOOK_US);
    assert_int_equal(notice()->found_us, found_us);
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_UNAVAILABLE, "SOURCE_UNAVAILABLE", "away");
    drift_watch_take(watch, NULL, &err, true, 3 * LOOK_US);
    assert_int_equal(notice()->found_us, found_us); /* not knowing is no news */
    drift_watch_soon(watch);
    run_sql("ALTER TABLE t ALTER extra TYPE bigint");
    look(true, 4 * LOOK_US);
    assert_string_equal(notice()->notice.found, "bigint");
    run_sql("ALTER TABLE t DROP extra");
    look(true, 5 * LOOK_US);
    expect_none();
    assert_int_equal(drift_watch_count(watch, DRIFT_COLUMN_ADDED), 0);
}

/* Before the dataset was ever served there is no state to compare with, only the mapping. */
static void the_first_state_is_the_first_good_one(void **state)
{
    (void)state;
    run_sql("ALTER TABLE t RENAME v TO w");
    look(false, 0);
    assert_int_equal(notice()->notice.kind, DRIFT_COLUMN_MISSING);
    run_sql("ALTER TABLE t RENAME w TO v; ALTER TABLE t ADD extra int");
    look(true, LOOK_US);
    expect_none();
    run_sql("ALTER TABLE t RENAME v TO w");
    look(false, 2 * LOOK_US);
    assert_int_equal(notice()->notice.kind, DRIFT_COLUMN_RENAMED);
    assert_string_equal(notice()->notice.found, "w");
    /* What the mapping says stays true however often it is looked at. */
    run_sql("ALTER TABLE t RENAME w TO v; ALTER TABLE t ALTER v DROP NOT NULL");
    look(true, 3 * LOOK_US);
    assert_int_equal(notice()->notice.kind, DRIFT_NOW_NULLABLE);
}

static const struct {
    const char *sql;
    const char *text; /* of the error, to the owner; NULL: as it was */
    Sluice__V1__DriftNotice__Kind kind;
} causes[] = {
    { "ALTER TABLE t RENAME v TO w",
      "d/x is paused: column \"v\" of \"public\".\"t\" is now called \"w\"; mend the table or "
      "update the mapping",
      SLUICE__V1__DRIFT_NOTICE__KIND__COLUMN_RENAMED },
    { "ALTER TABLE t DROP v",
      "d/x is paused: column \"v\" of \"public\".\"t\" is gone (it was character varying(10)); "
      "mend the table or update the mapping",
      SLUICE__V1__DRIFT_NOTICE__KIND__COLUMN_MISSING },
    { "ALTER TABLE t ALTER n TYPE text",
      "d/x is paused: column \"n\" of \"public\".\"t\" is text instead of integer; mend the table "
      "or update the mapping",
      SLUICE__V1__DRIFT_NOTICE__KIND__TYPE_CHANGED },
    { "DROP TABLE t",
      "d/x is paused: the table \"public\".\"t\" is not there or its schema is hidden from the "
      "gateway's role; mend the table or update the mapping",
      SLUICE__V1__DRIFT_NOTICE__KIND__TABLE_MISSING },
    { "ALTER TABLE t ADD extra int", NULL, SLUICE__V1__DRIFT_NOTICE__KIND__COLUMN_ADDED },
    { "ALTER TABLE t ALTER v DROP NOT NULL", NULL, SLUICE__V1__DRIFT_NOTICE__KIND__NOW_NULLABLE },
    { "ALTER TABLE t ALTER n SET NOT NULL", NULL, SLUICE__V1__DRIFT_NOTICE__KIND__NOW_NOT_NULL },
    { "ALTER TYPE colour ADD VALUE 'blue'", NULL, SLUICE__V1__DRIFT_NOTICE__KIND__LABELS_CHANGED },
};

static void the_owner_reads_which_column_of_which_table(void **state)
{
    (void)free_watch(state);
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        struct err err = ERR_INIT;
        struct arena arena;
        size_t count;
        arena_init(&arena);
        (void)make_watch(state);
        look(true, 0);
        run_sql(causes[i].sql);
        look(causes[i].text == NULL, LOOK_US);
        (void)err_set(&err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT", "as it was");
        drift_watch_explain(watch, &err);
        assert_string_equal(err.text, causes[i].text != NULL ? causes[i].text : "as it was");
        (void)err_set(&err, ERR_FAILED_PRECONDITION, "POOL_LIMIT", "another reason");
        drift_watch_explain(watch, &err);
        assert_string_equal(err.text, "another reason");
        Sluice__V1__DriftNotice **messages = drift_watch_messages(watch, &arena, &count);
        assert_int_equal(count, 1);
        assert_int_equal(messages[0]->kind, causes[i].kind);
        assert_int_equal(messages[0]->compatible, causes[i].text == NULL);
        assert_true(messages[0]->found_at->seconds > 0);
        arena_fini(&arena);
        (void)free_watch(state);
    }
    (void)make_watch(state);
}

static void what_closes_stands_before_what_does_not_fit(void **state)
{
    (void)state;
    size_t count;
    look(true, 0);
    for (int i = 0; i < DRIFT_NOTICES_MAX + 20; i++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "ALTER TABLE t ADD c%d int", i);
        run_sql(sql);
    }
    run_sql("ALTER TABLE t DROP n");
    look(false, LOOK_US);
    const struct drift_notice *notices = drift_watch_notices(watch, &count);
    assert_int_equal(count, DRIFT_NOTICES_MAX);
    assert_int_equal(notices[0].notice.kind, DRIFT_COLUMN_MISSING);
    assert_false(notices[0].notice.compatible);
    assert_true(notices[1].notice.compatible);
    assert_int_equal(drift_watch_count(watch, DRIFT_COLUMN_ADDED), DRIFT_NOTICES_MAX + 20);
}

static void long_texts_end_between_characters(void **state)
{
    (void)state;
    look(true, 0);
    for (int i = 0; i < 20; i++) { /* 3-byte characters, and one byte that shifts them */
        char sql[160];
        (void)snprintf(sql, sizeof sql, "ALTER TYPE colour ADD VALUE '红红红红红红红红红红%d'", i);
        run_sql(sql);
    }
    look(true, LOOK_US);
    const char *found = notice()->notice.found;
    assert_in_range(strlen(found), DRIFT_TEXT_BYTES_MAX - 3, DRIFT_TEXT_BYTES_MAX);
    assert_true(utf8_valid(found, strlen(found)));
    int64_t found_us = notice()->found_us;
    look(true, 2 * LOOK_US);
    assert_int_equal(notice()->found_us, found_us);
}

static void a_query_without_tables_is_never_looked_at(void **state)
{
    (void)state;
    struct schema_bundle *other =
        one_mapping("version: 1\ntitle: {en: E, zh: 全}\ntype: test.v1.Everything\nsource: s\n"
                    "query: SELECT '1' AS k\nsharing: open\nfields:\n  id: k\n");
    struct drift_watch *blind = drift_watch_new(schema_bundle_at(other, 0));
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT", "as it was");
    assert_null(drift_watch_due(blind, INT64_MAX));
    drift_watch_explain(blind, &err);
    assert_string_equal(err.text, "as it was");
    drift_watch_free(&blind);
    assert_null(blind);
    drift_watch_free(&blind);
    schema_bundle_free(&other);
}

int main(void)
{
#define WITH_WATCH(test_) cmocka_unit_test_setup_teardown(test_, make_watch, free_watch)
    const struct CMUnitTest tests[] = {
        WITH_WATCH(a_look_is_due_at_a_bounded_frequency),
        WITH_WATCH(notices_come_stay_and_go),
        WITH_WATCH(the_first_state_is_the_first_good_one),
        WITH_WATCH(the_owner_reads_which_column_of_which_table),
        WITH_WATCH(what_closes_stands_before_what_does_not_fit),
        WITH_WATCH(long_texts_end_between_characters),
        cmocka_unit_test(a_query_without_tables_is_never_looked_at),
    };
    return cmocka_run_group_tests(tests, database_open, database_close);
}
