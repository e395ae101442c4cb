/* COPY into a real server: rows, back-pressure, errors before, during and after, release, loss. */
#include <stdio.h>
#include <stdlib.h>

#include "unit/pg/harness.h"

#include "support/postgres.h"

enum { BULK_ROWS = 400000, ROW_BYTES = 2 + 4 + 8 + 4 + 40 };

static struct postgres *server;
static struct loop *loop;
static struct db_source *source;

static const char copy_sql[] = "COPY a.t (id, name) FROM STDIN (FORMAT binary)";

static int set_up(void **state)
{
    (void)state;
    server = postgres_new();
    postgres_sql(server, "CREATE SCHEMA a; CREATE TABLE a.t (id int8 PRIMARY KEY, name text)");
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

/* --- a copy that feeds itself ---------------------------------------------------------------- */

struct feed {
    struct db_lease *lease;
    int64_t next;   /* id of the next row */
    int64_t rows;   /* to put */
    int64_t repeat; /* this row is put twice: a constraint is violated */
    bool stall;     /* puts nothing more once it was told to wait */
    int writables;
    int refusals; /* times a put said wait */
    bool begun;
    struct answer end;
};

static void put_be(uint8_t *out, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
}

static size_t make_row(uint8_t row[ROW_BYTES], int64_t id)
{
    put_be(row, 2, 2);
    put_be(row + 2, 8, 4);
    put_be(row + 6, (uint64_t)id, 8);
    put_be(row + 14, 40, 4);
    memset(row + 18, 'x', 40);
    return ROW_BYTES;
}

static void feed_more(void *arg)
{
    static const uint8_t header[19] = "PGCOPY\n\xff\r\n";
    struct feed *feed = arg;
    uint8_t row[ROW_BYTES];
    bool more = true;
    feed->writables++;
    if (!feed->begun)
        more = db_lease_copy_put(feed->lease, header, sizeof header);
    feed->begun = true;
    if (feed->stall && feed->refusals > 0)
        return;
    while (more && feed->next < feed->rows) {
        more = db_lease_copy_put(feed->lease, row, make_row(row, feed->next));
        if (feed->next++ == feed->repeat && feed->repeat > 0)
            (void)db_lease_copy_put(feed->lease, row, make_row(row, feed->repeat));
    }
    feed->refusals += !more;
    if (feed->next < feed->rows)
        return;
    put_be(row, 0xffff, 2);
    (void)db_lease_copy_put(feed->lease, row, 2);
    db_lease_copy_end(feed->lease);
}

static void take_end(void *arg, const struct db_rows *rows, const struct err *err)
{
    take_answer(&((struct feed *)arg)->end, rows, err);
}

static bool feed_ended(void *arg)
{
    return ((struct feed *)arg)->end.fired > 0;
}

static bool feed_waits(void *arg)
{
    return ((struct feed *)arg)->refusals > 0;
}

static void start_feed(struct feed *feed, const char *sql, int64_t deadline_us)
{
    db_lease_copy(feed->lease, sql, deadline_us, feed_more, take_end, feed);
    assert_int_equal(feed->writables, 0);
    assert_int_equal(feed->end.fired, 0);
}

static int64_t table_count(void)
{
    char *text = postgres_value(server, "SELECT count(*) FROM a.t");
    int64_t count = strtoll(text, NULL, 10);
    free(text);
    return count;
}

/* --- rows ------------------------------------------------------------------------------------ */

static void test_rows_and_statements_around(void **state)
{
    (void)state;
    struct feed feed = { .lease = get_lease(loop, source), .rows = BULK_ROWS };
    assert_int_equal(execute(loop, feed.lease, "BEGIN").code, ERR_OK);
    start_feed(&feed, copy_sql, in_ms(20000));
    run_until(loop, feed_ended, &feed);
    assert_int_equal(feed.end.code, ERR_OK);
    assert_string_equal(feed.end.tag, "COPY 400000");
    assert_true(feed.refusals > 0); /* 23 MB do not fit a socket */
    assert_int_equal(execute(loop, feed.lease, "SELECT count(*) FROM a.t").first, BULK_ROWS);
    assert_int_equal(table_count(), 0);
    assert_int_equal(execute(loop, feed.lease, "COMMIT").code, ERR_OK);
    assert_int_equal(table_count(), BULK_ROWS);
    db_lease_release(&feed.lease);
}

static void test_two_copies_in_one_transaction(void **state)
{
    (void)state;
    struct feed first = { .lease = get_lease(loop, source), .rows = 10 };
    struct feed second = { .lease = first.lease, .next = 10, .rows = 25 };
    struct feed none = { .lease = first.lease };
    assert_int_equal(execute(loop, first.lease, "BEGIN").code, ERR_OK);
    start_feed(&first, copy_sql, in_ms(10000));
    run_until(loop, feed_ended, &first);
    start_feed(&second, copy_sql, in_ms(5000)); /* another time-out is set before it */
    run_until(loop, feed_ended, &second);
    assert_string_equal(second.end.tag, "COPY 15");
    start_feed(&none, copy_sql, in_ms(5000));
    run_until(loop, feed_ended, &none);
    assert_string_equal(none.end.tag, "COPY 0");
    assert_int_equal(execute(loop, first.lease, "COMMIT").code, ERR_OK);
    assert_int_equal(table_count(), 25);
    db_lease_release(&first.lease);
}

/* --- errors ---------------------------------------------------------------------------------- */

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        int64_t repeat;
        enum err_code code;
        const char *reason;
        bool opened;
    } cases[] = {
        { "COPY a.nowhere FROM STDIN (FORMAT binary)", 0, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT",
          false },
        { "COPY a.t (id, naam) FROM STDIN (FORMAT binary)", 0, ERR_FAILED_PRECONDITION,
          "SCHEMA_DRIFT", false },
        { "SELECT 1", 0, ERR_INTERNAL, "SOURCE_ERROR", false },
        { "COPY a.t (id) FROM STDIN (FORMAT binary)", 0, ERR_INVALID_ARGUMENT, "VALUE_INVALID",
          true }, /* two columns come */
        { copy_sql, 5, ERR_ALREADY_EXISTS, "DUPLICATE_KEY", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct feed feed = { .lease = get_lease(loop, source),
                             .rows = BULK_ROWS / 4, /* much is under way when the error comes */
                             .repeat = cases[i].repeat };
        assert_int_equal(execute(loop, feed.lease, "BEGIN").code, ERR_OK);
        start_feed(&feed, cases[i].sql, in_ms(10000));
        run_until(loop, feed_ended, &feed);
        assert_int_equal(feed.end.code, cases[i].code);
        assert_string_equal(feed.end.reason, cases[i].reason);
        assert_int_equal(feed.begun, cases[i].opened);
        /* The connection is as good as before. */
        assert_int_equal(execute(loop, feed.lease, "ROLLBACK").code, ERR_OK);
        assert_int_equal(execute(loop, feed.lease, "SELECT 7").first, 7);
        db_lease_release(&feed.lease);
        assert_int_equal(table_count(), 0);
    }
}

/* --- release, deadline, loss ----------------------------------------------------------------- */

static void test_release_in_mid_copy(void **state)
{
    (void)state;
    struct feed feed = { .lease = get_lease(loop, source), .rows = INT64_MAX, .stall = true };
    assert_int_equal(execute(loop, feed.lease, "BEGIN").code, ERR_OK);
    start_feed(&feed, copy_sql, in_ms(10000));
    run_until(loop, feed_waits, &feed);
    db_lease_release(&feed.lease);
    struct db_lease *next = get_lease(loop, source);
    assert_int_equal(execute(loop, next, "SELECT count(*) FROM a.t").first, 0);
    assert_int_equal(feed.end.fired, 0);
    db_lease_release(&next);
    assert_int_equal(table_count(), 0);
}

static void test_release_before_it_is_open(void **state)
{
    (void)state;
    struct feed feed = { .lease = get_lease(loop, source), .rows = 5 };
    assert_int_equal(execute(loop, feed.lease, "BEGIN").code, ERR_OK);
    start_feed(&feed, copy_sql, in_ms(10000));
    db_lease_release(&feed.lease);
    struct db_lease *next = get_lease(loop, source);
    assert_int_equal(execute(loop, next, "SELECT 4").first, 4);
    db_lease_release(&next);
    assert_int_equal(feed.writables, 0);
}

static void test_deadline(void **state)
{
    (void)state;
    struct feed feed = { .lease = get_lease(loop, source), .rows = INT64_MAX, .stall = true };
    assert_int_equal(execute(loop, feed.lease, "BEGIN").code, ERR_OK);
    start_feed(&feed, copy_sql, in_ms(300));
    run_until(loop, feed_ended, &feed);
    assert_int_equal(feed.end.code, ERR_DEADLINE_EXCEEDED);
    assert_int_equal(execute(loop, feed.lease, "SELECT 1").code, ERR_UNAVAILABLE);
    db_lease_release(&feed.lease);
    struct feed late = { .lease = get_lease(loop, source), .rows = 5 };
    start_feed(&late, copy_sql, in_ms(-1));
    run_until(loop, feed_ended, &late);
    assert_int_equal(late.end.code, ERR_DEADLINE_EXCEEDED);
    assert_int_equal(execute(loop, late.lease, "SELECT 1").code, ERR_OK); /* nothing was sent */
    db_lease_release(&late.lease);
    assert_int_equal(table_count(), 0);
}

static void test_backend_dies(void **state)
{
    (void)state;
    struct feed feed = { .lease = get_lease(loop, source), .rows = INT64_MAX, .stall = true };
    assert_int_equal(execute(loop, feed.lease, "BEGIN").code, ERR_OK);
    start_feed(&feed, copy_sql, in_ms(10000));
    run_until(loop, feed_waits, &feed);
    postgres_sql(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE "
                         "'COPY a.t%'");
    run_until(loop, feed_ended, &feed);
    assert_int_equal(feed.end.code, ERR_UNAVAILABLE);
    assert_int_equal(execute(loop, feed.lease, "COMMIT").code, ERR_UNAVAILABLE);
    db_lease_release(&feed.lease);
    struct db_lease *next = get_lease(loop, source);
    assert_int_equal(execute(loop, next, "SELECT count(*) FROM a.t").first, 0);
    db_lease_release(&next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows_and_statements_around, empty_table),
        cmocka_unit_test_setup(test_two_copies_in_one_transaction, empty_table),
        cmocka_unit_test_setup(test_errors, empty_table),
        cmocka_unit_test_setup(test_release_in_mid_copy, empty_table),
        cmocka_unit_test_setup(test_release_before_it_is_open, empty_table),
        cmocka_unit_test_setup(test_deadline, empty_table),
        cmocka_unit_test_setup(test_backend_dies, empty_table),
    };
    return cmocka_run_group_tests_name("pg/copy", tests, set_up, tear_down);
}
