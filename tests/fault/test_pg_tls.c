/* TLS to PostgreSQL as conninfo asks for it: who is believed, who is not, and what is said then. The
 * certificates are made for this run. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "support/postgres.h"
#include "unit/pg/harness.h"

static struct postgres *server;
static struct loop *loop;
static char folder[64];

static void openssl(const char *arguments)
{
    char *command = mem_format("cd %s && openssl %s >log 2>&1", folder, arguments);
    if (system(command) != 0)
        fail_msg("openssl %s", arguments);
    free(command);
}

static void make_certificates(void)
{
    static const char ca[] = "req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=%s -keyout %s.key "
                             "-out %s.pem -addext basicConstraints=critical,CA:TRUE";
    static const char *const names[] = { "ca", "stranger" };
    for (size_t i = 0; i < 2; i++) {
        char *arguments = mem_format(ca, names[i], names[i], names[i]);
        openssl(arguments);
        free(arguments);
    }
    openssl("req -newkey ed25519 -nodes -subj /CN=database -addext "
            "subjectAltName=DNS:localhost -keyout server.key -out server.csr");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -copy_extensions copyall "
            "-out server.pem");
}

static void give(const char *from, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, from);
    postgres_give_file(server, path, name);
}

static int set_up_server(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/sluice-pg-tls-XXXXXX");
    log_configure(LOG_ERROR, LOG_LOGFMT, "test");
    assert_non_null(mkdtemp(folder));
    make_certificates();
    server = postgres_new_stopped();
    give("server.pem", "server.crt");
    give("server.key", "server.key");
    postgres_configure(server, "ssl = on\n");
    postgres_start(server);
    return 0;
}

static int tear_down_server(void **state)
{
    (void)state;
    postgres_free(&server);
    char *command = mem_format("rm -r %s", folder);
    int status = system(command);
    free(command);
    return status;
}

static int set_up(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(&loop);
    return 0;
}

static struct db_source *open_source(const char *host, const char *mode, const char *root)
{
    char *conninfo = mem_format("host=%s port=%d user=postgres dbname=postgres sslmode=%s "
                                "sslrootcert=%s/%s",
                                host, postgres_port(server), mode, folder, root);
    struct db_source *source =
        db_source_new(loop, &(struct db_source_options){ .name = "test",
                                                         .conninfo = conninfo,
                                                         .shared_connections = 1,
                                                         .leased_connections_max = 1,
                                                         .connect_timeout_ms = 2000,
                                                         .shared_statement_timeout_ms = 250,
                                                         .shared_in_flight_max = 100 });
    free(conninfo);
    return source;
}

static const char encrypted[] = "SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() "
                                "AND ssl AND version = 'TLSv1.3'";

static void a_server_of_our_authority_is_believed(void **state)
{
    (void)state;
    struct db_source *source = open_source("localhost", "verify-full", "ca.pem");
    run_until(loop, source_is_up, source);
    struct answer answer = call(loop, source, encrypted, NULL);
    assert_int_equal(answer.code, ERR_OK);
    assert_int_equal(answer.first, 1);
    struct db_lease *lease = get_lease(loop, source);
    answer = execute(loop, lease, encrypted);
    assert_int_equal(answer.first, 1);
    db_lease_release(&lease);
    db_source_free(&source);
}

struct stream {
    struct db_lease *lease;
    struct answer answer;
    int rows;
    struct loop_timer resume;
};

static void on_resume(void *arg)
{
    struct stream *stream = arg;
    db_lease_resume(stream->lease);
}

static void on_row(void *arg, const struct db_rows *rows)
{
    struct stream *stream = arg;
    (void)rows;
    if (++stream->rows % 1000 == 0) {
        db_lease_pause(stream->lease);
        loop_timer_start(&stream->resume, 1);
    }
}

static void on_done(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct stream *stream = arg;
    take_answer(&stream->answer, rows, err);
}

static bool stream_over(void *arg)
{
    return ((struct stream *)arg)->answer.fired > 0;
}

/* What OpenSSL has decrypted and nobody announces must not be forgotten by a pause. */
static void a_paused_stream_over_tls_goes_on(void **state)
{
    (void)state;
    struct db_source *source = open_source("localhost", "verify-full", "ca.pem");
    struct stream stream = { 0 };
    loop_timer_init(&stream.resume, loop, on_resume, &stream);
    stream.lease = get_lease(loop, source);
    db_lease_query(stream.lease,
                   &(struct db_sql){ .text = "SELECT n, repeat('x', 300) FROM "
                                             "generate_series(1, 20000) n" },
                   in_ms(15000), on_row, on_done, &stream);
    run_until(loop, stream_over, &stream);
    assert_int_equal(stream.answer.code, ERR_OK);
    assert_int_equal(stream.rows, 20000);
    loop_timer_fini(&stream.resume);
    db_lease_release(&stream.lease);
    db_source_free(&source);
}

static bool has_failed(void *arg)
{
    struct err err = ERR_INIT;
    db_source_last_error(arg, &err);
    return err.code != ERR_OK;
}

static void others_are_not_believed_and_the_log_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *host, *mode, *root, *says;
    } cases[] = {
        { "localhost", "verify-full", "stranger.pem", "certificate verify failed" },
        { "localhost", "verify-full", "none.pem", "none.pem" },
        { "127.0.0.1", "verify-full", "ca.pem", "does not match host name" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        struct db_source *source = open_source(cases[i].host, cases[i].mode, cases[i].root);
        run_until(loop, has_failed, source);
        db_source_last_error(source, &err);
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        if (strstr(err.detail, cases[i].says) == NULL)
            fail_msg("%s %s: %s; %s", cases[i].host, cases[i].root, err.text, err.detail);
        /* A peer reads neither paths nor names of the owner's database. */
        assert_null(strstr(err.text, "/"));
        assert_false(db_source_up(source));
        struct answer answer = call(loop, source, "SELECT 1::int8", NULL);
        assert_int_equal(answer.code, ERR_UNAVAILABLE);
        db_source_free(&source);
    }
}

static void a_server_without_tls_is_refused(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    postgres_sql(server, "ALTER SYSTEM SET ssl = off");
    postgres_sql(server, "SELECT pg_reload_conf()");
    struct db_source *source = open_source("localhost", "verify-full", "ca.pem");
    run_until(loop, has_failed, source);
    db_source_last_error(source, &err);
    assert_non_null(strstr(err.detail, "does not support SSL"));
    postgres_sql(server, "ALTER SYSTEM SET ssl = on");
    postgres_sql(server, "SELECT pg_reload_conf()");
    run_until(loop, source_is_up, source); /* by itself, once the server can */
    db_source_free(&source);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_server_of_our_authority_is_believed),
        CASE(a_paused_stream_over_tls_goes_on),
        CASE(others_are_not_believed_and_the_log_says_why),
        CASE(a_server_without_tls_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
