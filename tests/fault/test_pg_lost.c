/* The database is lost, comes back, was never there, or falls silent. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/pg/harness.h"

#include "support/postgres.h"

enum { RECOVERY_MS = 5000 };

static struct postgres *server;
static struct loop *loop;

static struct db_source *open_source(const char *conninfo, int shared, int leased)
{
    return db_source_new(loop, &(struct db_source_options){ .name = "test",
                                                            .conninfo = conninfo,
                                                            .shared_connections = shared,
                                                            .leased_connections_max = leased,
                                                            .connect_timeout_ms = 1000,
                                                            .shared_statement_timeout_ms = 250,
                                                            .shared_in_flight_max = 5000 });
}

static int set_up_server(void **state)
{
    (void)state;
    server = postgres_new();
    postgres_sql(server, "CREATE SCHEMA a; CREATE TABLE a.t (id int PRIMARY KEY)");
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
    postgres_start(server);
    loop = loop_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(&loop);
    return 0;
}

static bool source_is_down(void *arg)
{
    return !db_source_up(arg);
}

static bool all_shared_up(void *arg)
{
    struct db_stats stats;
    db_source_stats(arg, &stats);
    return stats.shared_up == 2;
}

static bool pool_is_idle(void *arg)
{
    struct db_stats stats;
    db_source_stats(arg, &stats);
    return stats.leased_busy == 0;
}

static void terminate_backends(void)
{
    postgres_sql(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                         "WHERE application_name = 'sluice'");
}

/* --- load through a restart ------------------------------------------------------------------ */

struct load {
    struct db_source *source;
    struct loop_timer next;
    int64_t asked;
    int64_t good;
    int64_t unavailable;
    int64_t other;
    int64_t recovered_us; /* the first good answer after an outage */
    bool down;
};

static void take_load(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct load *load = arg;
    if (err == NULL) {
        assert_int_equal(db_int4(db_value(rows, 0, 0)), 1);
        load->good++;
        if (load->down && load->recovered_us == 0)
            load->recovered_us = clock_monotonic_us();
    } else if (err->code == ERR_UNAVAILABLE) {
        assert_string_equal(err->reason, "SOURCE_UNAVAILABLE");
        load->unavailable++;
    } else {
        load->other++;
    }
}

static void ask(void *arg)
{
    struct load *load = arg;
    for (int i = 0; i < 20; i++, load->asked++)
        (void)db_call_start(load->source, &(struct db_sql){ .text = "SELECT 1" }, in_ms(3000),
                            take_load, load);
    loop_timer_start(&load->next, 1);
}

static bool some_load(void *arg)
{
    return ((struct load *)arg)->good > 500;
}

static bool recovered(void *arg)
{
    return ((struct load *)arg)->recovered_us != 0;
}

static bool settled(void *arg)
{
    struct load *load = arg;
    return load->good + load->unavailable + load->other == load->asked;
}

static void restart_under_load(enum postgres_stop how)
{
    struct load load = { .source = open_source(postgres_conninfo(server), 2, 0) };
    loop_timer_init(&load.next, loop, ask, &load);
    run_until(loop, all_shared_up, load.source);
    loop_timer_start(&load.next, 0);
    run_until(loop, some_load, &load);
    postgres_stop(server, how);
    run_until(loop, source_is_down, load.source);
    run_for(loop, 300);
    assert_true(load.unavailable > 0);
    load.down = true;
    postgres_start(server);
    int64_t back_us = clock_monotonic_us();
    run_until(loop, recovered, &load);
    assert_true(load.recovered_us - back_us < RECOVERY_MS * INT64_C(1000));
    loop_timer_cancel(&load.next);
    run_until(loop, settled, &load); /* every call was answered exactly once */
    assert_int_equal(load.other, 0);
    struct db_stats stats;
    db_source_stats(load.source, &stats);
    assert_true(stats.reconnects > 0);
    loop_timer_fini(&load.next);
    db_source_free(&load.source);
}

static void test_immediate_stop_under_load(void **state)
{
    (void)state;
    restart_under_load(POSTGRES_IMMEDIATE);
}

static void test_fast_stop_under_load(void **state)
{
    (void)state;
    restart_under_load(POSTGRES_FAST);
}

static void test_killed_postmaster_under_load(void **state)
{
    (void)state;
    restart_under_load(POSTGRES_KILL);
}

static void test_absent_at_start(void **state)
{
    (void)state;
    postgres_stop(server, POSTGRES_FAST);
    struct db_source *source = open_source(postgres_conninfo_tcp(server), 1, 1);
    run_for(loop, 500);
    assert_false(db_source_up(source));
    assert_int_equal(call(loop, source, "SELECT 1", NULL).code, ERR_UNAVAILABLE);
    struct holder holder = { 0 };
    int64_t asked_us = clock_monotonic_us();
    holder.lease = db_lease_start(source, in_ms(10000), take_lease, &holder);
    run_until(loop, held, &holder);
    assert_int_equal(holder.code, ERR_UNAVAILABLE);
    assert_true(clock_monotonic_us() - asked_us < 1500000); /* not at its deadline */
    struct err last;
    db_source_last_error(source, &last);
    assert_int_equal(last.code, ERR_UNAVAILABLE);
    postgres_start(server);
    assert_true(run_until_ms(loop, source_is_up, source, RECOVERY_MS));
    assert_int_equal(call(loop, source, "SELECT 1", NULL).first, 1);
    run_for(loop, 2100); /* the leased connections' own back-off */
    struct db_lease *lease = get_lease(loop, source);
    db_lease_release(&lease);
    db_source_free(&source);
}

/* --- leases ---------------------------------------------------------------------------------- */

static void ignore_row(void *arg, const struct db_rows *row)
{
    (void)arg;
    (void)row;
}

static void test_stream_loses_its_server(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_conninfo(server), 0, 2);
    struct db_lease *lease = get_lease(loop, source);
    struct answer answer = { 0 };
    db_lease_query(lease, &(struct db_sql){ .text = "SELECT generate_series(1, 100000000)" },
                   in_ms(10000), ignore_row, take_answer, &answer);
    run_for(loop, 50);
    postgres_stop(server, POSTGRES_IMMEDIATE);
    run_until(loop, answered, &answer);
    assert_int_equal(answer.code, ERR_UNAVAILABLE);
    assert_int_equal(execute(loop, lease, "SELECT 1").code, ERR_UNAVAILABLE);
    db_lease_release(&lease);
    postgres_start(server);
    assert_true(run_until_ms(loop, source_is_up, source, RECOVERY_MS));
    lease = get_lease(loop, source);
    assert_int_equal(execute(loop, lease, "SELECT 1").first, 1);
    db_lease_release(&lease);
    db_source_free(&source);
}

static void test_waiters_learn_of_the_loss(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_conninfo(server), 0, 1);
    struct db_lease *lease = get_lease(loop, source);
    struct holder holders[3];
    memset(holders, 0, sizeof holders);
    for (int i = 0; i < 3; i++)
        holders[i].lease = db_lease_start(source, in_ms(15000), take_lease, &holders[i]);
    postgres_stop(server, POSTGRES_IMMEDIATE);
    for (int i = 0; i < 3; i++) {
        run_until(loop, held, &holders[i]);
        assert_int_equal(holders[i].code, ERR_UNAVAILABLE);
    }
    db_lease_release(&lease);
    db_source_free(&source);
}

static bool one_other_backend(void *arg)
{
    char text[128];
    (void)snprintf(text, sizeof text,
                   "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice' AND "
                   "pid <> %d",
                   *(int *)arg);
    char *count = postgres_value(server, text);
    bool one = strcmp(count, "1") == 0;
    free(count);
    return one;
}

static void test_idle_connection_is_replaced(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_conninfo(server), 0, 1);
    struct db_lease *first = get_lease(loop, source);
    int pid = (int)execute(loop, first, "SELECT pg_backend_pid()").first;
    db_lease_release(&first);
    terminate_backends();
    run_until(loop, one_other_backend, &pid);
    run_until(loop, source_is_up, source);
    struct db_lease *lease = get_lease(loop, source);
    assert_int_equal(execute(loop, lease, "SELECT 1").first, 1);
    db_lease_release(&lease);
    db_source_free(&source);
}

/* --- commits --------------------------------------------------------------------------------- */

/* The connection ends between the COMMIT's sending and its answer. */
static void test_commit_without_answer_is_uncertain(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_conninfo(server), 0, 1);
    struct db_lease *lease = get_lease(loop, source);
    assert_int_equal(execute(loop, lease, "BEGIN").code, ERR_OK);
    assert_int_equal(execute(loop, lease, "INSERT INTO a.t VALUES (1)").code, ERR_OK);
    terminate_backends(); /* not read yet: we still believe in the connection */
    struct answer answer = { 0 };
    db_lease_execute(lease, &(struct db_sql){ .text = "COMMIT" }, in_ms(5000), take_answer,
                     &answer);
    run_until(loop, answered, &answer);
    assert_int_equal(answer.code, ERR_WRITE_UNCERTAIN);
    assert_string_equal(answer.reason, "WRITE_UNCERTAIN");
    db_lease_release(&lease);
    db_source_free(&source);
}

static void test_commit_past_its_deadline_is_uncertain(void **state)
{
    (void)state;
    postgres_sql(server, "CREATE FUNCTION a.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                         "PERFORM pg_sleep(30); RETURN NULL; END $$;"
                         "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON a.t DEFERRABLE INITIALLY "
                         "DEFERRED FOR EACH ROW EXECUTE FUNCTION a.wait()");
    struct db_source *source = open_source(postgres_conninfo(server), 0, 1);
    struct db_lease *lease = get_lease(loop, source);
    assert_int_equal(execute(loop, lease, "BEGIN").code, ERR_OK);
    assert_int_equal(execute(loop, lease, "INSERT INTO a.t VALUES (2)").code, ERR_OK);
    struct answer answer = { 0 };
    db_lease_execute(lease, &(struct db_sql){ .text = "COMMIT" }, in_ms(200), take_answer, &answer);
    run_until(loop, answered, &answer);
    assert_int_equal(answer.code, ERR_WRITE_UNCERTAIN);
    /* statement_timeout does not cover what COMMIT itself runs: the cancel of the release ends it
     */
    db_lease_release(&lease);
    run_until(loop, pool_is_idle, source);
    db_source_free(&source);
    postgres_sql(server, "DROP TRIGGER slow ON a.t");
}

static void test_lost_write_outside_a_transaction_is_uncertain(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_conninfo(server), 0, 2);
    struct db_lease *lease = get_lease(loop, source);
    struct db_lease *reader = get_lease(loop, source);
    terminate_backends();
    struct answer write = { 0 }, read = { 0 };
    db_lease_execute(lease, &(struct db_sql){ .text = "INSERT INTO a.t VALUES (3)" }, in_ms(5000),
                     take_answer, &write);
    db_lease_execute(reader, &(struct db_sql){ .text = "SELECT 1" }, in_ms(5000), take_answer,
                     &read);
    run_until(loop, answered, &write);
    run_until(loop, answered, &read);
    assert_int_equal(write.code, ERR_WRITE_UNCERTAIN);
    assert_int_equal(read.code, ERR_UNAVAILABLE);
    db_lease_release(&lease);
    db_lease_release(&reader);
    db_source_free(&source);
}

/* --- the control connection ------------------------------------------------------------------ */

/* No further connection is allowed, so the cancel cannot be sent; the slot must come back all the
 * same. */
static void test_cancel_without_control_connection(void **state)
{
    (void)state;
    postgres_sql(server, "DROP ROLE IF EXISTS single; CREATE ROLE single LOGIN CONNECTION LIMIT 1");
    char conninfo[300];
    (void)snprintf(conninfo, sizeof conninfo, "host=%s port=%d user=single dbname=postgres",
                   postgres_socket_dir(server), postgres_port(server));
    struct db_source *source = open_source(conninfo, 0, 1);
    struct db_lease *lease = get_lease(loop, source);
    struct answer answer = { 0 };
    db_lease_execute(lease, &(struct db_sql){ .text = "SELECT 1 FROM pg_sleep(2)" }, in_ms(2000),
                     take_answer, &answer);
    run_for(loop, 50);
    db_lease_release(&lease);
    run_until(loop, pool_is_idle, source);
    run_until(loop, source_is_up, source);
    assert_int_equal(answer.fired, 0);
    lease = get_lease(loop, source);
    assert_int_equal(execute(loop, lease, "SELECT 1").first, 1);
    db_lease_release(&lease);
    db_source_free(&source);
}

/* --- silence --------------------------------------------------------------------------------- */

/* Listens but never answers: what a hung host or a wrong port looks like. */
static void test_silent_host_times_out(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    char conninfo[200];
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres dbname=postgres",
                   ntohs(address.sin_port), postgres_port(server));
    struct db_source *source = open_source(conninfo, 1, 0);
    run_for(loop, 500);
    assert_false(db_source_up(source));
    /* the second host gets its turn although the first one never fails by itself */
    assert_true(run_until_ms(loop, source_is_up, source, RECOVERY_MS));
    struct err last;
    db_source_last_error(source, &last);
    assert_non_null(strstr(last.detail, "in time"));
    db_source_free(&source);
    (void)close(fd);
}

static void test_stopped_backend_is_given_up(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_conninfo(server), 1, 0);
    run_until(loop, source_is_up, source);
    int64_t pid = call(loop, source, "SELECT pg_backend_pid()", NULL).first;
    assert_true(pid > 1);
    assert_int_equal(kill((pid_t)pid, SIGSTOP), 0); /* our own server's process */
    struct answer answer = { 0 };
    (void)db_call_start(source, &(struct db_sql){ .text = "SELECT 1" }, in_ms(10000), take_answer,
                        &answer);
    run_until(loop, answered, &answer);
    assert_int_equal(answer.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(answer.detail, "stopped answering"));
    run_until(loop, source_is_up, source);
    assert_int_equal(call(loop, source, "SELECT 1", NULL).first, 1);
    assert_int_equal(kill((pid_t)pid, SIGCONT), 0);
    db_source_free(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_immediate_stop_under_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fast_stop_under_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_postmaster_under_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absent_at_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stream_loses_its_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiters_learn_of_the_loss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_idle_connection_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commit_without_answer_is_uncertain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commit_past_its_deadline_is_uncertain, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_lost_write_outside_a_transaction_is_uncertain, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_without_control_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silent_host_times_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stopped_backend_is_given_up, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
