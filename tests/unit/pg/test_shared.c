/* Shared connections against a real server: order, isolation, detaching, time-outs, limits. */
#include <stdio.h>
#include <stdlib.h>

#include "unit/pg/harness.h"

#include "support/postgres.h"

static struct postgres *server;
static struct loop *loop;
static struct db_source *source;

static struct db_source *open_source(const char *conninfo, int connections, int in_flight_max)
{
    return db_source_new(loop, &(struct db_source_options){ .name = "test",
                                                            .conninfo = conninfo,
                                                            .shared_connections = connections,
                                                            .connect_timeout_ms = 3000,
                                                            .shared_statement_timeout_ms = 250,
                                                            .shared_in_flight_max = in_flight_max,
                                                            .read_only = true });
}

static int set_up_server(void **state)
{
    (void)state;
    server = postgres_new();
    postgres_sql(server,
                 "CREATE SCHEMA a; CREATE TABLE a.person (id int PRIMARY KEY, name text);"
                 "INSERT INTO a.person SELECT n, 'name ' || n FROM generate_series(0, 999) n;"
                 "CREATE FUNCTION a.fail(code text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
                 "RAISE EXCEPTION 'secret words' USING ERRCODE = code; END $$;"
                 "CREATE ROLE nobody_much LOGIN; GRANT USAGE ON SCHEMA a TO nobody_much");
    return 0;
}

static int tear_down_server(void **state)
{
    (void)state;
    postgres_free(&server);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    source = open_source(postgres_conninfo(server), 2, 2000);
    assert_false(db_source_up(source));
    run_until(loop, source_is_up, source);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_source_free(&source);
    loop_free(&loop);
    return 0;
}

/* --- order ----------------------------------------------------------------------------------- */

enum { LOOKUPS = 1000 };

struct lookup {
    int id;
    int rows;
    int64_t answer;
    int64_t order;
};

static int64_t answers;

static void take_lookup(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct lookup *lookup = arg;
    assert_null(err);
    lookup->rows = db_row_count(rows);
    lookup->answer = db_int4(db_value(rows, 0, 0));
    lookup->order = answers++;
}

static bool all_answered(void *arg)
{
    return answers == *(int *)arg;
}

static void thousand_lookups(bool brief)
{
    static struct lookup lookups[LOOKUPS];
    memset(lookups, 0, sizeof lookups);
    answers = 0;
    for (int i = 0; i < LOOKUPS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i);
        const char *params[] = { id };
        lookups[i].id = i;
        struct db_sql sql = { "SELECT id, name FROM a.person WHERE id = $1", 1, params, brief };
        assert_non_null(db_call_start(source, &sql, in_ms(10000), take_lookup, &lookups[i]));
        memset(id, 'x', sizeof id); /* parameters were copied */
    }
    assert_int_equal(answers, 0);
    run_until(loop, all_answered, &(int){ LOOKUPS });
    for (int i = 0; i < LOOKUPS; i++) {
        assert_int_equal(lookups[i].rows, 1);
        assert_int_equal(lookups[i].answer, i);
    }
    /* Each connection answers in the order it was asked; both come up at about the same time. */
    struct db_stats stats;
    db_source_stats(source, &stats);
    assert_true(stats.statements >= LOOKUPS);
    assert_int_equal(stats.failures, 0);
}

static void test_thousand_pipelined_lookups(void **state)
{
    (void)state;
    thousand_lookups(false);
}

static void test_brief_lookups_of_a_turn_share_a_sync(void **state)
{
    (void)state;
    struct db_stats before, after;
    thousand_lookups(true); /* the statement is prepared on both connections */
    db_source_stats(source, &before);
    thousand_lookups(true);
    db_source_stats(source, &after);
    assert_int_equal(after.statements - before.statements, LOOKUPS);
    assert_in_range(after.syncs - before.syncs, LOOKUPS / 32, LOOKUPS / 32 + 4);
}

static void test_each_statement_is_prepared_once(void **state)
{
    (void)state;
    struct db_source *single = open_source(postgres_conninfo(server), 1, 100);
    run_until(loop, source_is_up, single);
    for (int i = 0; i < 5; i++)
        assert_int_equal(call(loop, single, "SELECT id FROM a.person WHERE id = $1", "7").first, 7);
    struct answer count = call(
        loop, single,
        "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT id FROM%'", NULL);
    assert_int_equal(count.first, 1);
    db_source_free(&single);
}

/* Bug guarded against: past the cap the cache must neither grow nor refuse. */
static void test_cache_is_capped(void **state)
{
    (void)state;
    struct db_source *single = open_source(postgres_conninfo(server), 1, 2000);
    run_until(loop, source_is_up, single);
    static struct answer results[600];
    memset(results, 0, sizeof results);
    for (int i = 0; i < 600; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "SELECT %d", i);
        (void)db_call_start(single, &(struct db_sql){ .text = text }, in_ms(10000), take_answer,
                            &results[i]);
    }
    run_until(loop, answered, &results[599]);
    for (int i = 0; i < 600; i++)
        assert_int_equal(results[i].first, i);
    assert_int_equal(call(loop, single, "SELECT count(*) FROM pg_prepared_statements", NULL).first,
                     512);
    db_source_free(&single);
}

/* --- isolation ------------------------------------------------------------------------------- */

static void fail_among_neighbours(bool brief)
{
    static struct answer results[300];
    memset(results, 0, sizeof results);
    static const char *const texts[] = { "SELECT id FROM a.person WHERE id = $1::int",
                                         "SELECT 10 / ($1::int - 5)",
                                         "SELECT nothing FROM a.person" };
    for (int i = 0; i < 300; i++) {
        const char *params[] = { "5" };
        (void)db_call_start(source,
                            &(struct db_sql){ .text = texts[i % 3],
                                              .param_count = i % 3 == 2 ? 0 : 1,
                                              .params = params,
                                              .brief = brief },
                            in_ms(10000), take_answer, &results[i]);
    }
    for (int i = 0; i < 300; i++)
        run_until(loop, answered, &results[i]);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(results[i].fired, 1);
        static const enum err_code codes[] = { ERR_OK, ERR_INVALID_ARGUMENT,
                                               ERR_FAILED_PRECONDITION };
        assert_int_equal(results[i].code, codes[i % 3]);
        if (i % 3 == 0)
            assert_int_equal(results[i].first, 5);
        if (i % 3 == 2)
            assert_string_equal(results[i].reason, "SCHEMA_DRIFT");
    }
}

static void test_a_failing_statement_hurts_no_neighbour(void **state)
{
    (void)state;
    fail_among_neighbours(false);
}

/* The second time the good and the dividing statement are prepared, so they share Syncs. */
static void test_a_failing_statement_of_a_shared_sync_hurts_no_neighbour(void **state)
{
    (void)state;
    fail_among_neighbours(true);
    fail_among_neighbours(true);
    struct db_stats stats;
    db_source_stats(source, &stats);
    assert_int_equal(stats.failures, 400); /* what was run again for a neighbour is none */
}

static void count_fired(void *arg, const struct db_rows *rows, const struct err *err)
{
    (void)rows;
    (void)err;
    ++*(int *)arg;
}

static bool both_fired(void *arg)
{
    return *(int *)arg == 2;
}

/* A call that nobody waits for any more is not sent a second time, and never fires. */
static void test_cancelled_calls_of_a_failed_sync_end(void **state)
{
    (void)state;
    fail_among_neighbours(true);
    const char *params[] = { "5" };
    struct db_sql good = { "SELECT id FROM a.person WHERE id = $1::int", 1, params, true };
    struct db_sql bad = { "SELECT 10 / ($1::int - 5)", 1, params, true };
    int bad_fired = 0, good_fired = 0;
    struct db_call *cancelled[20];
    (void)db_call_start(source, &bad, in_ms(10000), count_fired, &bad_fired);
    (void)db_call_start(source, &bad, in_ms(10000), count_fired, &bad_fired);
    for (int i = 0; i < 20; i++)
        cancelled[i] = db_call_start(source, &good, in_ms(10000), count_fired, &good_fired);
    for (int i = 0; i < 20; i++)
        db_call_cancel(&cancelled[i]);
    struct answer last = call(loop, source, "SELECT id FROM a.person WHERE id = $1", "7");
    assert_int_equal(last.first, 7);
    run_until(loop, both_fired, &bad_fired);
    assert_int_equal(good_fired, 0);
}

static void test_errors_by_sqlstate(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *reason;
    } cases[] = {
        { "SELECT pg_sleep(5)", ERR_DEADLINE_EXCEEDED, "SOURCE_TIMEOUT" },
        { "SELECT 1 FROM a.missing", ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT" },
        { "SELECT 1 FROM person", ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT" }, /* search_path */
        { "SELECT 'x'::int", ERR_INVALID_ARGUMENT, "VALUE_INVALID" },
        { "INSERT INTO a.person VALUES (-1)", ERR_UNAVAILABLE, "SOURCE_READ_ONLY" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer answer = call(loop, source, cases[i].text, NULL);
        assert_int_equal(answer.code, cases[i].code);
        assert_string_equal(answer.reason, cases[i].reason);
        assert_null(strstr(answer.text, "SELECT"));
        assert_null(strstr(answer.text, "missing"));
        assert_non_null(strstr(answer.detail, "sqlstate"));
    }
    /* values stay out of the log */
    struct answer answer = call(loop, source, "SELECT $1::text::int", "110101199001011234x");
    assert_int_equal(answer.code, ERR_INVALID_ARGUMENT);
    assert_null(strstr(answer.detail, "110101"));
}

static void test_every_mapped_sqlstate(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum err_code code;
    } cases[] = {
        { "57014", ERR_DEADLINE_EXCEEDED },
        { "57P01", ERR_UNAVAILABLE },
        { "57P02", ERR_UNAVAILABLE },
        { "57P03", ERR_UNAVAILABLE },
        { "08006", ERR_UNAVAILABLE },
        { "53300", ERR_UNAVAILABLE },
        { "53100", ERR_RESOURCE_EXHAUSTED },
        { "53200", ERR_RESOURCE_EXHAUSTED },
        { "42501", ERR_FAILED_PRECONDITION },
        { "42P01", ERR_FAILED_PRECONDITION },
        { "3F000", ERR_FAILED_PRECONDITION },
        { "25006", ERR_UNAVAILABLE },
        { "22003", ERR_INVALID_ARGUMENT },
        { "23505", ERR_ALREADY_EXISTS },
        { "23503", ERR_FAILED_PRECONDITION },
        { "40001", ERR_ABORTED },
        { "40P01", ERR_ABORTED },
        { "40003", ERR_WRITE_UNCERTAIN },
        { "55P03", ERR_ABORTED },
        { "XX000", ERR_INTERNAL },
        { "P0001", ERR_INTERNAL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer answer = call(loop, source, "SELECT a.fail($1)", cases[i].sqlstate);
        assert_int_equal(answer.code, cases[i].code);
        assert_null(strstr(answer.text, "secret words"));
        assert_non_null(strstr(answer.detail, cases[i].sqlstate));
        assert_true((strstr(answer.detail, "secret words") == NULL) ==
                    (strncmp(cases[i].sqlstate, "22", 2) == 0));
    }
}

static void test_missing_permission(void **state)
{
    (void)state;
    char conninfo[300];
    (void)snprintf(conninfo, sizeof conninfo, "host=%s port=%d user=nobody_much dbname=postgres",
                   postgres_socket_dir(server), postgres_port(server));
    struct db_source *other = open_source(conninfo, 1, 10);
    run_until(loop, source_is_up, other);
    struct answer answer = call(loop, other, "SELECT id FROM a.person", NULL);
    assert_int_equal(answer.code, ERR_FAILED_PRECONDITION);
    assert_string_equal(answer.reason, "SOURCE_PERMISSION");
    db_source_free(&other);
}

static void test_altered_table_is_prepared_again(void **state)
{
    (void)state;
    struct db_source *single = open_source(postgres_conninfo(server), 1, 10);
    run_until(loop, source_is_up, single);
    postgres_sql(server, "CREATE TABLE a.changing (id int)");
    postgres_sql(server, "INSERT INTO a.changing VALUES (3)");
    assert_int_equal(call(loop, single, "SELECT * FROM a.changing", NULL).first, 3);
    postgres_sql(server, "ALTER TABLE a.changing ALTER id TYPE bigint");
    /* The caller hears nothing of the old plan; whether the new type will do is the caller's to say. */
    struct answer answer = call(loop, single, "SELECT * FROM a.changing", NULL);
    assert_int_equal(answer.code, ERR_OK);
    assert_int_equal(answer.first, 3);
    assert_int_equal(answer.type, 20);
    assert_int_equal(call(loop, single,
                          "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE "
                          "'SELECT * FROM a.changing'",
                          NULL)
                         .first,
                     1);
    postgres_sql(server, "DROP TABLE a.changing");
    db_source_free(&single);
}

/* All of one turn meet the old plan at once: those behind the first are not run, or fail in turn. */
static void test_lookups_go_on_when_a_column_widens(void **state)
{
    (void)state;
    enum { MANY = 20 };
    struct answer got[MANY];
    const char *params[] = { "3" };
    struct db_sql sql = { "SELECT name FROM a.widening WHERE id = $1", 1, params, true };
    postgres_sql(server, "CREATE TABLE a.widening (id int, name varchar(10));"
                         "INSERT INTO a.widening VALUES (3, 'three')");
    for (int round = 0; round < 3; round++) {
        memset(got, 0, sizeof got);
        for (int i = 0; i < MANY; i++)
            assert_non_null(db_call_start(source, &sql, in_ms(10000), take_answer, &got[i]));
        for (int i = 0; i < MANY; i++) {
            run_until(loop, answered, &got[i]);
            assert_int_equal(got[i].fired, 1);
            assert_int_equal(got[i].code, ERR_OK);
            assert_string_equal(got[i].value, "three");
        }
        char widen[80];
        (void)snprintf(widen, sizeof widen, "ALTER TABLE a.widening ALTER name TYPE varchar(%d)",
                       20 + round);
        postgres_sql(server, widen);
    }
    postgres_sql(server, "ALTER TABLE a.widening DROP name");
    struct answer gone = { 0 };
    (void)db_call_start(source, &sql, in_ms(10000), take_answer, &gone);
    run_until(loop, answered, &gone);
    assert_string_equal(gone.reason, "SCHEMA_DRIFT");
    postgres_sql(server, "DROP TABLE a.widening");
}

static void test_connection_settings(void **state)
{
    (void)state;
    static const char *const settings[][2] = {
        { "search_path", "pg_catalog" },  { "statement_timeout", "250ms" },
        { "client_encoding", "UTF8" },    { "TimeZone", "UTC" },
        { "DateStyle", "ISO, MDY" },      { "standard_conforming_strings", "on" },
        { "application_name", "sluice" }, { "default_transaction_read_only", "on" },
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        assert_string_equal(call(loop, source, "SELECT current_setting($1)", settings[i][0]).value,
                            settings[i][1]);
}

/* --- detaching and deadlines ----------------------------------------------------------------- */

static void test_cancelled_call_never_fires(void **state)
{
    (void)state;
    struct db_source *single = open_source(postgres_conninfo(server), 1, 10);
    run_until(loop, source_is_up, single);
    struct answer cancelled = { 0 }, next = { 0 };
    struct db_call *c = db_call_start(single, &(struct db_sql){ .text = "SELECT pg_sleep(0.1)" },
                                      in_ms(5000), take_answer, &cancelled);
    (void)db_call_start(single, &(struct db_sql){ .text = "SELECT 2" }, in_ms(5000), take_answer,
                        &next);
    db_call_cancel(&c);
    assert_null(c);
    run_until(loop, answered, &next);
    assert_int_equal(next.first, 2);
    assert_int_equal(cancelled.fired, 0);
    db_call_cancel(&c); /* NULL is fine */
    db_source_free(&single);
}

static void test_late_call_is_detached(void **state)
{
    (void)state;
    struct db_source *single = open_source(postgres_conninfo(server), 1, 10);
    run_until(loop, source_is_up, single);
    struct answer late = { 0 }, next = { 0 }, past = { 0 };
    (void)db_call_start(single, &(struct db_sql){ .text = "SELECT pg_sleep(0.2)" }, in_ms(30),
                        take_answer, &late);
    (void)db_call_start(single, &(struct db_sql){ .text = "SELECT 2" }, in_ms(5000), take_answer,
                        &next);
    (void)db_call_start(single, &(struct db_sql){ .text = "SELECT 3" }, in_ms(-1), take_answer,
                        &past);
    run_until(loop, answered, &late);
    assert_int_equal(late.code, ERR_DEADLINE_EXCEEDED);
    assert_int_equal(next.fired, 0);
    assert_int_equal(past.code, ERR_DEADLINE_EXCEEDED);
    run_until(loop, answered, &next);
    assert_int_equal(next.code, ERR_OK);
    assert_int_equal(late.fired, 1);
    db_source_free(&single);
}

static void test_in_flight_is_bounded(void **state)
{
    (void)state;
    struct db_source *single = open_source(postgres_conninfo(server), 1, 3);
    run_until(loop, source_is_up, single);
    struct answer results[4];
    memset(results, 0, sizeof results);
    for (int i = 0; i < 4; i++)
        (void)db_call_start(single, &(struct db_sql){ .text = "SELECT 1" }, in_ms(5000),
                            take_answer, &results[i]);
    run_until(loop, answered, &results[2]);
    run_until(loop, answered, &results[3]);
    assert_int_equal(results[2].code, ERR_OK);
    assert_int_equal(results[3].code, ERR_RESOURCE_EXHAUSTED);
    assert_string_equal(results[3].reason, "SOURCE_BUSY");
    db_source_free(&single);
}

/* --- lifetimes ------------------------------------------------------------------------------- */

static struct db_source *doomed;

static void free_source(void *arg, const struct db_rows *rows, const struct err *err)
{
    (void)rows;
    (void)err;
    ++*(int *)arg;
    db_source_free(&doomed);
}

static bool positive(void *arg)
{
    return *(int *)arg > 0;
}

static void test_source_freed_in_a_callback(void **state)
{
    (void)state;
    doomed = open_source(postgres_conninfo(server), 1, 100);
    run_until(loop, source_is_up, doomed);
    int fired = 0;
    for (int i = 0; i < 50; i++)
        (void)db_call_start(doomed, &(struct db_sql){ .text = "SELECT 1" }, in_ms(5000),
                            free_source, &fired);
    run_until(loop, positive, &fired);
    run_for(loop, 20);
    assert_int_equal(fired, 1);
}

static void test_source_freed_at_every_stage(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct db_source *brief = open_source(postgres_conninfo_tcp(server), 2, 100);
        run_for(loop, turns);
        struct answer answer = { 0 };
        (void)db_call_start(brief, &(struct db_sql){ .text = "SELECT 1" }, in_ms(5000), take_answer,
                            &answer);
        db_source_free(&brief);
        run_for(loop, 2);
        assert_int_equal(answer.fired, 0);
    }
}

static void test_drain_keeps_serving(void **state)
{
    (void)state;
    db_source_drain(source);
    struct db_stats stats;
    db_source_stats(source, &stats);
    assert_int_equal(stats.shared_up, 1);
    assert_int_equal(call(loop, source, "SELECT 4", NULL).first, 4);
}

/* --- the check of fresh connections ---------------------------------------------------------- */

struct examiner {
    struct db_check *check;
    int started;
    int fail_first; /* so many connections are turned away */
    uint32_t type;
    int64_t value;
};

static void examined(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct examiner *examiner = arg;
    assert_null(err);
    examiner->value = db_int4(db_value(rows, 0, 0));
    if (examiner->started > examiner->fail_first) {
        db_check_end(examiner->check, NULL);
        return;
    }
    struct err drift;
    (void)err_set(&drift, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT", "column gone");
    db_check_end(examiner->check, &drift);
}

static void described(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct examiner *examiner = arg;
    assert_null(err);
    assert_int_equal(db_row_count(rows), 0);
    assert_int_equal(db_column_count(rows), 2);
    assert_string_equal(db_column_name(rows, 1), "name");
    examiner->type = db_column_type(rows, 1);
    db_check_query(examiner->check, &(struct db_sql){ .text = "SELECT 5" }, examined, examiner);
}

static void examine(void *arg, struct db_check *check)
{
    struct examiner *examiner = arg;
    examiner->check = check;
    examiner->started++;
    db_check_describe(check, "SELECT id, name FROM a.person WHERE id = $1", described, examiner);
}

static void test_check_decides(void **state)
{
    (void)state;
    struct examiner examiner = { .fail_first = 2 };
    struct db_source *checked = open_source(postgres_conninfo(server), 1, 10);
    db_source_on_connected(checked, examine, &examiner);
    run_until(loop, positive, &examiner.started);
    assert_false(db_source_up(checked));
    assert_int_equal(call(loop, checked, "SELECT 1", NULL).code, ERR_UNAVAILABLE);
    run_until(loop, source_is_up, checked);
    assert_int_equal(examiner.started, 3);
    assert_int_equal(examiner.type, 25);
    assert_int_equal(examiner.value, 5);
    struct err last;
    db_source_last_error(checked, &last);
    assert_string_equal(last.reason, "SCHEMA_DRIFT");
    assert_string_equal(last.text, "column gone");
    db_source_free(&checked);
}

static void failed_describe(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct examiner *examiner = arg;
    assert_null(rows);
    struct err copy = *err;
    db_check_end(examiner->check, &copy);
}

static void examine_missing(void *arg, struct db_check *check)
{
    struct examiner *examiner = arg;
    examiner->check = check;
    examiner->started++;
    db_check_describe(check, "SELECT gone FROM a.person", failed_describe, examiner);
}

static void test_drift_closes_the_source(void **state)
{
    (void)state;
    struct examiner examiner = { 0 };
    struct db_source *checked = open_source(postgres_conninfo(server), 1, 10);
    db_source_on_connected(checked, examine_missing, &examiner);
    run_until(loop, positive, &examiner.started);
    run_for(loop, 50);
    assert_false(db_source_up(checked));
    struct err last;
    db_source_last_error(checked, &last);
    assert_string_equal(last.reason, "SCHEMA_DRIFT");
    db_source_free(&checked);
}

static void test_host_names_are_resolved(void **state)
{
    (void)state;
    char conninfo[200];
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=localhost port=%d user=postgres dbname=postgres", postgres_port(server));
    struct db_source *named = open_source(conninfo, 1, 10);
    run_until(loop, source_is_up, named);
    assert_int_equal(call(loop, named, "SELECT 1", NULL).first, 1);
    db_source_free(&named);
}

static void test_second_host_takes_over(void **state)
{
    (void)state;
    char conninfo[200];
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=/nonexistent,127.0.0.1 port=1,%d user=postgres dbname=postgres",
                   postgres_port(server));
    struct db_source *listed = open_source(conninfo, 1, 10);
    run_until(loop, source_is_up, listed);
    db_source_free(&listed);
}

static void test_invalid_conninfo_stays_closed(void **state)
{
    (void)state;
    struct db_source *wrong = open_source("not a conninfo", 1, 10);
    run_for(loop, 30);
    assert_false(db_source_up(wrong));
    struct err last;
    db_source_last_error(wrong, &last);
    assert_string_equal(last.reason, "CONFIG_INVALID");
    db_source_free(&wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_thousand_pipelined_lookups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_brief_lookups_of_a_turn_share_a_sync, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_failing_statement_of_a_shared_sync_hurts_no_neighbour, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_calls_of_a_failed_sync_end, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_each_statement_is_prepared_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cache_is_capped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_statement_hurts_no_neighbour, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_errors_by_sqlstate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_mapped_sqlstate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_permission, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_altered_table_is_prepared_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookups_go_on_when_a_column_widens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connection_settings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_call_never_fires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_late_call_is_detached, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_flight_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source_freed_in_a_callback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source_freed_at_every_stage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drain_keeps_serving, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_drift_closes_the_source, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_host_names_are_resolved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_second_host_takes_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_invalid_conninfo_stays_closed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
