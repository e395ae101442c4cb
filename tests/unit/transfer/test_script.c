/* Statements in a row on a real server: order, checks, hooks, rows, COPY, the first error. */
#include <stdio.h>
#include <stdlib.h>

#include "unit/pg/harness.h"

#include "support/postgres.h"
#include "transfer/script.h"

static struct postgres *server;
static struct loop *loop;
static struct db_source *source;

static int set_up(void **state)
{
    (void)state;
    server = postgres_new();
    postgres_sql(server, "CREATE SCHEMA a; CREATE TABLE a.t (id int4 PRIMARY KEY)");
    loop = loop_new();
    source = target_up(loop, postgres_conninfo(server));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_source_free(&source);
    loop_free(&loop);
    postgres_free(&server);
    return 0;
}

static int empty_table(void **state)
{
    (void)state;
    postgres_sql(server, "TRUNCATE a.t");
    return 0;
}

/* What the hooks saw, in their order. */
struct run {
    struct script script;
    struct db_lease *lease;
    char seen[64];
    int64_t sum;
    bool stop; /* `before` says no */
    int fired;
    enum err_code code;
    const char *reason;
};

static void note(struct run *run, char what)
{
    size_t len = strlen(run->seen);
    run->seen[len] = what;
    run->seen[len + 1] = '\0';
}

static int see_check(void *arg, const struct db_rows *rows, struct err *err)
{
    (void)rows;
    (void)err;
    note(arg, 'c');
    return 0;
}

static int see_before(void *arg, struct err *err)
{
    struct run *run = arg;
    note(run, 'b');
    return run->stop ? err_set(err, ERR_PERMISSION_DENIED, "STOPPED", "no") : 0;
}

static void see_row(void *arg, const struct db_rows *rows)
{
    struct run *run = arg;
    note(run, 'r');
    run->sum += db_int4(db_value(rows, 0, 0));
}

static int expect_copy(void *arg, const struct db_rows *rows, struct err *err)
{
    note(arg, 'c');
    return script_expect(rows, "COPY 2", "OTHER", err);
}

static int expect_wrong(void *arg, const struct db_rows *rows, struct err *err)
{
    (void)arg;
    return script_expect(rows, "COPY 3", "OTHER", err);
}

static void on_done(void *arg, const struct err *err)
{
    struct run *run = arg;
    run->fired++;
    run->code = err != NULL ? err->code : ERR_OK;
    run->reason = err != NULL ? err->reason : "";
}

static bool is_done(void *arg)
{
    return ((struct run *)arg)->fired > 0;
}

static const uint8_t header[19] = "PGCOPY\n\xff\r\n";
static const uint8_t rows[] = { 0, 1, 0, 0, 0, 4, 0, 0, 0, 7, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9 };
static const uint8_t trailer[] = { 0xff, 0xff };

static struct script_step *add_copy(struct run *run, script_check_fn check)
{
    struct script_step *step = script_add(&run->script, "COPY a.t (id) FROM STDIN (FORMAT binary)");
    step->is_copy = true;
    step->copy[0] = slice_of(header, sizeof header);
    step->copy[1] = slice_of(rows, sizeof rows);
    step->copy[2] = slice_of(trailer, sizeof trailer);
    step->check = check;
    return step;
}

static void finish(struct run *run)
{
    script_run(&run->script, run->lease, in_ms(5000), on_done);
    assert_int_equal(run->fired, 0);
    run_until(loop, is_done, run);
    db_lease_release(&run->lease);
    assert_int_equal(run->fired, 1);
}

static struct run *new_run(struct run *run)
{
    *run = (struct run){ .lease = get_lease(loop, source) };
    script_init(&run->script, run);
    (void)script_add(&run->script, "BEGIN");
    return run;
}

static char *count(void)
{
    return postgres_value(server, "SELECT count(*) FROM a.t");
}

static void assert_count(const char *expected)
{
    char *text = count();
    assert_string_equal(text, expected);
    free(text);
}

static void test_everything_in_order(void **state)
{
    (void)state;
    struct run run;
    (void)new_run(&run);
    (void)add_copy(&run, expect_copy);
    struct script_step *step =
        script_add(&run.script, "SELECT id FROM a.t WHERE id > $1::integer ORDER BY id");
    script_param(step, "1");
    step->row = see_row;
    step->check = see_check;
    step = script_add(&run.script, "COMMIT");
    step->before = see_before;
    finish(&run);
    assert_int_equal(run.code, ERR_OK);
    assert_string_equal(run.seen, "crrcb");
    assert_int_equal(run.sum, 16);
    assert_count("2");
}

static void test_a_check_that_fails_ends_it(void **state)
{
    (void)state;
    struct run run;
    (void)new_run(&run);
    (void)add_copy(&run, expect_wrong);
    (void)script_add(&run.script, "COMMIT");
    finish(&run);
    assert_int_equal(run.code, ERR_ABORTED);
    assert_string_equal(run.reason, "OTHER");
    assert_count("0");
}

static void test_a_hook_that_says_no_comes_before_the_statement(void **state)
{
    (void)state;
    struct run run;
    (void)new_run(&run);
    (void)add_copy(&run, expect_copy);
    struct script_step *step = script_add(&run.script, "COMMIT");
    step->before = see_before;
    run.stop = true;
    finish(&run);
    assert_string_equal(run.reason, "STOPPED");
    assert_string_equal(run.seen, "cb");
    assert_count("0");
}

static void test_the_servers_error_ends_it(void **state)
{
    (void)state;
    struct run run;
    (void)new_run(&run);
    (void)script_add(&run.script, "INSERT INTO a.t VALUES (7)");
    (void)add_copy(&run, see_check); /* 7 again */
    (void)script_add(&run.script, "COMMIT");
    finish(&run);
    assert_string_equal(run.reason, "DUPLICATE_KEY");
    assert_string_equal(run.seen, "");
    assert_count("0");
}

static void test_released_it_says_nothing(void **state)
{
    (void)state;
    struct run run;
    (void)new_run(&run);
    (void)script_add(&run.script, "SELECT pg_sleep(5)");
    script_run(&run.script, run.lease, in_ms(8000), on_done);
    db_lease_release(&run.lease);
    struct db_lease *next = get_lease(loop, source);
    assert_int_equal(execute(loop, next, "SELECT 1").code, ERR_OK);
    db_lease_release(&next);
    assert_int_equal(run.fired, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_everything_in_order, empty_table),
        cmocka_unit_test_setup(test_a_check_that_fails_ends_it, empty_table),
        cmocka_unit_test_setup(test_a_hook_that_says_no_comes_before_the_statement, empty_table),
        cmocka_unit_test_setup(test_the_servers_error_ends_it, empty_table),
        cmocka_unit_test_setup(test_released_it_says_nothing, empty_table),
    };
    return cmocka_run_group_tests_name("transfer/script", tests, set_up, tear_down);
}
