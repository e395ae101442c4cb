/* A server that goes in the middle of a row, and one that ends a statement by its own time-out. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "support/postgres.h"
#include "unit/pg/harness.h"

enum { CUT_BYTES = 200003 }; /* of what the server says on one connection */

static struct postgres *server;
static struct loop *loop;
static pid_t relay;
static int relay_port;

/* --- a relay that cuts each connection after CUT_BYTES ------------------------------------------ */

static bool copy(int from, int to, size_t *left)
{
    char bytes[4096];
    ssize_t len = read(from, bytes, left != NULL && *left < sizeof bytes ? *left : sizeof bytes);
    if (len <= 0 || write(to, bytes, (size_t)len) != len)
        return false;
    if (left != NULL)
        *left -= (size_t)len;
    return left == NULL || *left > 0;
}

static int connect_server(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)postgres_port(server)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static void relay_one(int client)
{
    struct pollfd ends[2] = { { .fd = client, .events = POLLIN },
                              { .fd = connect_server(), .events = POLLIN } };
    size_t left = CUT_BYTES;
    while (ends[1].fd >= 0 && poll(ends, 2, -1) > 0) {
        if (ends[0].revents != 0 && !copy(ends[0].fd, ends[1].fd, NULL))
            break;
        if (ends[1].revents != 0 && !copy(ends[1].fd, ends[0].fd, &left))
            break;
    }
    _exit(0);
}

static void relay_all(int listener)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client >= 0 && fork() == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            relay_one(client);
        }
        (void)close(client);
    }
}

static void start_relay(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    relay_port = ntohs(address.sin_port);
    relay = fork();
    assert_true(relay >= 0);
    if (relay == 0)
        relay_all(listener);
    (void)close(listener);
}

static int set_up_server(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_LOGFMT, "test");
    server = postgres_new();
    start_relay();
    return 0;
}

static int tear_down_server(void **state)
{
    (void)state;
    (void)kill(relay, SIGKILL);
    (void)waitpid(relay, NULL, 0);
    postgres_free(&server);
    return 0;
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

static struct db_source *open_source(int port)
{
    char *conninfo = mem_format("host=127.0.0.1 port=%d user=postgres dbname=postgres", port);
    struct db_source *source =
        db_source_new(loop, &(struct db_source_options){ .name = "test",
                                                         .conninfo = conninfo,
                                                         .shared_connections = 1,
                                                         .leased_connections_max = 2,
                                                         .connect_timeout_ms = 2000,
                                                         .shared_statement_timeout_ms = 250,
                                                         .shared_in_flight_max = 100 });
    free(conninfo);
    run_until(loop, source_is_up, source);
    return source;
}

/* --- in the middle of a row --------------------------------------------------------------------- */

struct stream {
    struct answer answer;
    int rows;
    bool wrong;
};

static void on_row(void *arg, const struct db_rows *rows)
{
    struct stream *stream = arg;
    stream->rows++;
    stream->wrong |= db_value(rows, 0, 0).len != 1000; /* never a part of one */
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

static void a_stream_cut_in_a_row_gives_whole_rows_and_one_error(void **state)
{
    (void)state;
    struct db_source *source = open_source(relay_port);
    for (int i = 0; i < 3; i++) {
        struct stream stream = { 0 };
        struct db_lease *lease = get_lease(loop, source);
        db_lease_query(lease,
                       &(struct db_sql){ .text = "SELECT repeat('x', 1000) FROM "
                                                 "generate_series(1, 1000)" },
                       in_ms(10000), on_row, on_done, &stream);
        run_until(loop, stream_over, &stream);
        assert_int_equal(stream.answer.code, ERR_UNAVAILABLE);
        assert_true(stream.rows > 150 && stream.rows < 200);
        assert_false(stream.wrong);
        struct answer answer = execute(loop, lease, "SELECT 1::int8");
        assert_int_equal(answer.code, ERR_UNAVAILABLE);
        db_lease_release(&lease);
        run_for(loop, 5);
        assert_int_equal(stream.answer.fired, 1);
    }
    db_source_free(&source);
}

static void a_shared_connection_cut_in_a_row_comes_back(void **state)
{
    (void)state;
    struct db_source *source = open_source(relay_port);
    struct answer before = { 0 }, cut = { 0 }, behind = { 0 };
    (void)db_call_start(source, &(struct db_sql){ .text = "SELECT 7::int8" }, in_ms(5000),
                        take_answer, &before);
    (void)db_call_start(source, &(struct db_sql){ .text = "SELECT repeat('x', 500000)" },
                        in_ms(5000), take_answer, &cut);
    (void)db_call_start(source, &(struct db_sql){ .text = "SELECT 8::int8" }, in_ms(5000),
                        take_answer, &behind);
    run_until(loop, answered, &before);
    run_until(loop, answered, &cut);
    run_until(loop, answered, &behind);
    assert_int_equal(before.first, 7);
    assert_int_equal(cut.code, ERR_UNAVAILABLE);
    assert_int_equal(cut.rows, 0);
    assert_int_equal(behind.code, ERR_UNAVAILABLE);
    run_until(loop, source_is_up, source);
    assert_int_equal(call(loop, source, "SELECT 9::int8", NULL).first, 9);
    assert_int_equal(before.fired + cut.fired + behind.fired, 3);
    db_source_free(&source);
}

/* --- statement_timeout --------------------------------------------------------------------------- */

static void the_server_ends_a_shared_statement_and_spares_its_neighbours(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_port(server));
    struct answer slow = { 0 }, next = { 0 };
    (void)db_call_start(source, &(struct db_sql){ .text = "SELECT 1::int8 FROM pg_sleep(5)" },
                        in_ms(10000), take_answer, &slow);
    (void)db_call_start(source, &(struct db_sql){ .text = "SELECT 2::int8" }, in_ms(10000),
                        take_answer, &next);
    int64_t started_us = clock_monotonic_us();
    run_until(loop, answered, &slow);
    run_until(loop, answered, &next);
    assert_int_equal(slow.code, ERR_DEADLINE_EXCEEDED);
    assert_null(strstr(slow.text, "statement"));
    assert_int_equal(next.first, 2);
    assert_true(clock_monotonic_us() - started_us < 2000000);
    struct db_stats stats;
    db_source_stats(source, &stats);
    assert_int_equal(stats.reconnects, 0);
    db_source_free(&source);
}

static void the_server_ends_a_leased_statement_at_its_deadline(void **state)
{
    (void)state;
    struct db_source *source = open_source(postgres_port(server));
    struct db_lease *lease = get_lease(loop, source);
    struct answer slow = { 0 };
    db_lease_execute(lease, &(struct db_sql){ .text = "SELECT 1::int8 FROM pg_sleep(5)" },
                     in_ms(300), take_answer, &slow);
    run_until(loop, answered, &slow);
    assert_int_equal(slow.code, ERR_DEADLINE_EXCEEDED);
    db_lease_release(&lease);
    /* The connection, or another one, serves the next. */
    lease = get_lease(loop, source);
    assert_int_equal(execute(loop, lease, "SELECT 3::int8").first, 3);
    char *asleep = postgres_value(server, "SELECT count(*) FROM pg_stat_activity WHERE state = "
                                          "'active' AND query LIKE '%pg_sleep(5)%' AND pid <> "
                                          "pg_backend_pid()");
    assert_string_equal(asleep, "0");
    free(asleep);
    db_lease_release(&lease);
    db_source_free(&source);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_stream_cut_in_a_row_gives_whole_rows_and_one_error),
        CASE(a_shared_connection_cut_in_a_row_comes_back),
        CASE(the_server_ends_a_shared_statement_and_spares_its_neighbours),
        CASE(the_server_ends_a_leased_statement_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, set_up_server, tear_down_server);
}
