#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fault/test_audit_gateway.h"

static void read_only_store(void **state)
{
    (void)state;
    struct gateway gateway;
    gateway_open(&gateway);
    run_until(&gateway, is_writable);
    postgres_sql(postgres, "ALTER ROLE auditor SET default_transaction_read_only = on");
    postgres_sql(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE usename = 'auditor'");
    start_work(&gateway, 400, 100);
    run_until(&gateway, not_writable);
    wait_until_us = clock_monotonic_us() + 250 * 1000;
    run_until(&gateway, time_over);
    assert_int_equal(resolved(&gateway), 0);
    postgres_sql(postgres, "ALTER ROLE auditor RESET default_transaction_read_only");
    int64_t before_us = clock_monotonic_us();
    postgres_sql(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE usename = 'auditor'");
    run_until(&gateway, work_over);
    assert_true(clock_monotonic_us() - before_us < 5 * 1000 * 1000);
    assert_int_equal(resolved(&gateway), 400);
    assert_int_equal(check_log(&gateway), 400);
    assert_true(gateway.writable);
    gateway_close(&gateway);
}

/* A store that was rolled back or rewritten behind a signed checkpoint is not appended to. */
static void rewritten_store(void **state)
{
    (void)state;
    static const char *const damage[] = {
        "UPDATE audit.head SET size = 0, frontier = '\\x0000000000000000', root = sha256('')",
        "UPDATE audit.head SET root = sha256('x')",
        "UPDATE audit.head SET size = size + 1",
        "UPDATE audit.head SET origin = 'another.example'",
    };
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        (void)empty_log(NULL);
        struct gateway gateway;
        gateway_open(&gateway);
        start_work(&gateway, 100, 25);
        run_until(&gateway, work_over);
        gateway_close(&gateway);
        postgres_sql(postgres, "CREATE TABLE IF NOT EXISTS public.kept AS SELECT * FROM audit.head;"
                               "ALTER TABLE audit.head DISABLE TRIGGER USER");
        postgres_sql(postgres, damage[i]);
        gateway_open(&gateway);
        start_work(&gateway, 100, 25);
        wait_until_us = clock_monotonic_us() + 400 * 1000;
        run_until(&gateway, time_over);
        assert_false(gateway.writable);
        assert_int_equal(resolved(&gateway), 0);
        const char *reason;
        assert_false(audit_appender_writable(gateway.appender, &reason));
        assert_true(strlen(reason) > 0);
        /* Mended, it goes on by itself. */
        postgres_sql(postgres,
                     "UPDATE audit.head SET (origin, size, frontier, root) = (SELECT origin, "
                     "size, frontier, root FROM public.kept); DROP TABLE public.kept");
        run_until(&gateway, work_over);
        assert_int_equal(check_log(&gateway), 200);
        gateway_close(&gateway);
    }
}

static void append_only(void **state)
{
    (void)state;
    static const struct {
        const char *role;
        const char *sql;
    } cases[] = {
        { "postgres", "UPDATE audit.entry SET subject = 'x'" },
        { "postgres", "DELETE FROM audit.entry" },
        { "postgres", "TRUNCATE audit.entry" },
        { "postgres", "TRUNCATE audit.entry_000000" },
        { "postgres", "DELETE FROM audit.entry_000000" },
        { "postgres", "DELETE FROM audit.entry_id" },
        { "postgres", "DELETE FROM audit.head" },
        { "postgres", "UPDATE audit.head SET size = size - 1" },
        { "auditor", "UPDATE audit.entry SET subject = 'x'" },
        { "auditor", "DELETE FROM audit.entry" },
        { "auditor", "SELECT leaf FROM audit.entry" },
        { "auditor", "SELECT * FROM audit.salt" },
        { "auditor", "DELETE FROM audit.salt" },
        { "auditor", "UPDATE audit.head SET epoch = epoch + 1" },
        { "auditor", "CREATE TABLE audit.x (i int)" },
        { "worker", "INSERT INTO audit.batch (id, first, count) VALUES (gen_random_uuid(), 0, 1)" },
        { "worker", "UPDATE audit.head SET size = size + 1" },
        { "worker", "SELECT * FROM audit.salt" },
        { "worker", "SELECT * FROM audit.person" },
        { "worker", "SELECT audit.ensure_partition(99999999)" },
    };
    struct gateway gateway;
    gateway_open(&gateway);
    start_work(&gateway, 40, 10);
    run_until(&gateway, work_over);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char conninfo[256];
        (void)snprintf(conninfo, sizeof conninfo, "host=%s port=%d user=%s dbname=postgres",
                       postgres_socket_dir(postgres), postgres_port(postgres), cases[i].role);
        PGconn *conn = PQconnectdb(conninfo);
        assert_int_equal(PQstatus(conn), CONNECTION_OK);
        PGresult *rows = PQexec(conn, cases[i].sql);
        const char *sqlstate = PQresultErrorField(rows, PG_DIAG_SQLSTATE);
        if (sqlstate == NULL || strcmp(sqlstate, "42501") != 0)
            fail_msg("%s: %s", cases[i].sql, PQresultErrorMessage(rows));
        PQclear(rows);
        PQfinish(conn);
    }
    char *seen = postgres_value(postgres, "SET ROLE worker; SELECT count(*) FROM audit.entry");
    assert_string_equal(seen, "40");
    free(seen);
    assert_int_equal(check_log(&gateway), 40);
    gateway_close(&gateway);
}

static void partitions_ahead(void **state)
{
    (void)state;
    postgres_sql(postgres, "SELECT audit.ensure_partition(25000000); "
                           "SELECT audit.ensure_partition(5)");
    char *count = postgres_value(postgres, "SELECT count(*) FROM pg_inherits "
                                           "WHERE inhparent = 'audit.entry'::regclass");
    assert_string_equal(count, "3");
    free(count);
    /* Moving the oldest away does not confuse what comes next. */
    postgres_sql(postgres, "ALTER TABLE audit.entry DETACH PARTITION audit.entry_000000; "
                           "SELECT audit.ensure_partition(30000000)");
    count = postgres_value(postgres, "SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY 1) "
                                     "FROM pg_inherits WHERE inhparent = 'audit.entry'::regclass "
                                     "AND inhrelid::regclass::text LIKE '%entry_000003'");
    assert_string_equal(count, "audit.entry_000003");
    free(count);
}

static void state_file_damaged(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "x", "sluice audit head 1\n",
                                         "sluice audit head 1\nAAAAAAAAAAA=\n\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *file = fopen(state_path, "w");
        (void)fputs(texts[i], file);
        (void)fclose(file);
        struct loop *loop = loop_new();
        struct audit_appender_options options = {
            .origin = ORIGIN, .signer = signer, .salt_key = salt_key, .state_path = state_path
        };
        struct err err = ERR_INIT;
        assert_null(audit_appender_new(loop, NULL, &options, &err));
        assert_string_equal(err.reason, "AUDIT_STATE_FILE_INVALID");
        loop_free(&loop);
    }
    (void)unlink(state_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(read_only_store, empty_log),
        cmocka_unit_test_setup(rewritten_store, empty_log),
        cmocka_unit_test_setup(append_only, empty_log),
        cmocka_unit_test_setup(partitions_ahead, empty_log),
        cmocka_unit_test_setup(state_file_damaged, empty_log),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
