/* Query through net/h2, rpc/ and services/: batches, a reader that stops, callers that go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loopback/loopback.h"
#include "net/h2.h"
#include "sluice/v1/record.pb-c.h"

static const char grpc[] = "application/grpc";
static const struct wire_options triage = { .uri = LOOPBACK_SUBJECT, .window_bytes = 65535 };

static void expect(struct loopback *world, const struct wire_call *call, int status,
                   const char *reason, const char *entries)
{
    assert_string_equal(loopback_reason(call), reason);
    assert_int_equal(loopback_status(call), status);
    assert_string_equal(loopback_entries(world), entries);
    assert_string_equal(loopback_entries(world), "");
}

static void start_query(struct loopback *world, const char *filter, const char *const *headers)
{
    struct loopback_ask ask = { .filter = filter };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 4096);
    loopback_query_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    world->call = wire_request(world->wire, LOOPBACK_QUERY, grpc, headers);
    wire_send(world->call, body.data, body.len, true);
    buf_fini(&message);
    buf_fini(&body);
}

/* Counts the records of all whole messages; the last batch's totals must agree. */
static size_t count_records(const struct wire_call *call, int64_t *quarantined_r)
{
    const uint8_t *p = call->body.data;
    size_t left = call->body.len;
    size_t records = 0;
    int64_t delivered = -1;
    while (left > 0) {
        assert_true(left >= 5);
        size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        assert_true(left - 5 >= len);
        Sluice__V1__RecordBatch *batch = sluice__v1__record_batch__unpack(NULL, len, p + 5);
        assert_non_null(batch);
        assert_string_equal(batch->type_name, "gov.division.v1.Division");
        records += batch->n_records;
        if (batch->totals != NULL) {
            delivered = batch->totals->delivered;
            *quarantined_r = batch->totals->quarantined;
        }
        sluice__v1__record_batch__free_unpacked(batch, NULL);
        p += 5 + len;
        left -= 5 + len;
    }
    assert_int_equal(delivered, records);
    return records;
}

static void every_row_comes_once(void **state)
{
    struct loopback *world = *state;
    int64_t quarantined = -1;
    start_query(world, NULL, NULL);
    loopback_settle(world);
    assert_int_equal(count_records(world->call, &quarantined), LOOPBACK_TOWN_COUNT - 1);
    assert_int_equal(quarantined, 1);
    expect(world, world->call, 0, "", "DECISION ALLOWED, DELIVERY ALLOWED");
    start_query(world, "code = \"110101007\"", NULL);
    loopback_settle(world);
    assert_int_equal(count_records(world->call, &quarantined), 1);
    expect(world, world->call, 0, "", "DECISION ALLOWED, DELIVERY ALLOWED");
}

static void refusals_have_one_entry(void **state)
{
    struct loopback *world = *state;
    start_query(world, "code = ", NULL);
    loopback_settle(world);
    expect(world, world->call, 3, "FILTER_SYNTAX", "DECISION REFUSED FILTER_SYNTAX");
    assert_int_equal(world->call->body.len, 0);
}

/* --- a reader that stops ----------------------------------------------------------------------- */

/* Ours is full, and PostgreSQL waits; a backend of the case before may wait a moment longer. */
static bool backend_waits(struct loopback *world)
{
    if (h2_bytes_held() < CALL_UNSENT_HIGH_BYTES)
        return false;
    char *waiting = postgres_value(world->postgres,
                                   "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' "
                                   "AND wait_event = 'ClientWrite'");
    bool yes = strcmp(waiting, "1") == 0;
    free(waiting);
    return yes;
}

static void a_stalled_reader_stops_the_backend_and_nothing_grows(void **state)
{
    struct loopback *world = *state;
    int64_t quarantined = -1;
    loopback_rewire(world, &(struct wire_options){ .uri = LOOPBACK_SUBJECT });
    start_query(world, NULL, NULL);
    loopback_until(world, backend_waits);
    assert_true(h2_bytes_held() <= 1024 * 1024); /* design promise 5 */
    assert_int_equal(world->call->body.len, 0);
    /* The window opens far enough for all that is left. */
    wire_allow(world->call, 16 * 1024 * 1024);
    loopback_settle(world);
    assert_int_equal(count_records(world->call, &quarantined), LOOPBACK_TOWN_COUNT - 1);
    assert_int_equal(loopback_status(world->call), 0);
}

static bool nothing_leased(struct loopback *world)
{
    struct db_stats stats;
    db_source_stats(world->gateway.sources[0].db, &stats);
    return stats.leased_busy == 0 && world->gateway.sources[0].streams == 0;
}

static bool backend_is_free(struct loopback *world)
{
    struct db_stats stats;
    db_source_stats(world->gateway.sources[0].db, &stats);
    return stats.leased_busy == 0 && h2_bytes_held() == 0;
}

/* Records are gone at once; the status waits a while for a reader that comes back. */
static void a_deadline_ends_a_stream_that_nobody_reads(void **state)
{
    struct loopback *world = *state;
    /* long enough for a busy machine to see the backend wait before it passes */
    static const char *const headers[] = { "grpc-timeout", "8S", NULL };
    loopback_rewire(world, &(struct wire_options){ .uri = LOOPBACK_SUBJECT });
    start_query(world, NULL, headers);
    loopback_until(world, backend_waits);
    loopback_until(world, backend_is_free);
    wire_allow(world->call, 65535);
    loopback_settle(world);
    expect(world, world->call, 4, "DEADLINE_EXCEEDED",
           "DECISION ALLOWED, DELIVERY FAILED DEADLINE_EXCEEDED");
    assert_int_equal(world->call->body.len, 0);
}

static void a_revocation_ends_a_stream_that_waits(void **state)
{
    struct loopback *world = *state;
    loopback_rewire(world, &(struct wire_options){ .uri = LOOPBACK_SUBJECT });
    start_query(world, NULL, NULL);
    loopback_until(world, backend_waits);
    loopback_revoke(world);
    loopback_until(world, backend_is_free);
    assert_int_equal(h2_bytes_held(), 0);
    wire_allow(world->call, 65535);
    loopback_settle(world);
    assert_int_equal(world->call->body.len, 0);
    expect(world, world->call, 7, "AGREEMENT_REVOKED",
           "DECISION ALLOWED, DELIVERY REFUSED AGREEMENT_REVOKED");
}

/* The connection itself is blocked, with frames begun: what was discarded must not be sent, nor what
 * lies behind it in memory. */
static bool connection_is_blocked(struct loopback *world)
{
    return wire_received(world->wire)->len >= WIRE_SNDBUF_BYTES;
}

static void a_revocation_while_the_connection_is_blocked_sends_nothing_stale(void **state)
{
    struct loopback *world = *state;
    loopback_rewire(world, &(struct wire_options){ .uri = LOOPBACK_SUBJECT });
    start_query(world, NULL, NULL);
    loopback_until(world, backend_waits);
    wire_stall(world->wire, true);
    wire_allow(world->call, 16 * 1024 * 1024);
    loopback_until(world, connection_is_blocked);
    loopback_revoke(world);
    loopback_until(world, backend_is_free);
    wire_stall(world->wire, false);
    loopback_settle(world);
    assert_true(world->call->body.len > 0 && world->call->body.len < 256 * 1024);
    expect(world, world->call, 7, "AGREEMENT_REVOKED",
           "DECISION ALLOWED, DELIVERY REFUSED AGREEMENT_REVOKED");
}

/* --- callers that go --------------------------------------------------------------------------- */

static void cut_reset(struct loopback *world, struct call *call)
{
    (void)call;
    wire_reset(world->call, 8 /* CANCEL */);
}

static void cut_drop(struct loopback *world, struct call *call)
{
    (void)call;
    wire_drop(world->wire);
}

static void a_caller_may_go_at_every_step(void **state)
{
    struct loopback *world = *state;
    static const char allowed_cancelled[] = "DECISION ALLOWED, DELIVERY CANCELLED CALLER_CANCELLED";
    static const struct {
        const char *step;
        bool resumed;
        const char *entries;
    } cases[] = {
        /* The decision is on its way in the same turn, so the client of the log marks it. */
        { "authorise", false, "DECISION ALLOWED, DELIVERY CANCELLED NOT_RELEASED" },
        { "decide", false, "DECISION ALLOWED, DELIVERY CANCELLED NOT_RELEASED" },
        { "decide", true, allowed_cancelled },
        { "lease", false, allowed_cancelled },
        { "lease", true, allowed_cancelled },
        { "read", false, allowed_cancelled },
        /* All rows were read and sent; the entry that says so is on its way. */
        { "read", true, "DECISION ALLOWED, DELIVERY ALLOWED, DELIVERY CANCELLED CALLER_CANCELLED" },
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        bool drop = i % 2 == 1;
        world->cut = (struct loopback_cut){ cases[i / 2].step, cases[i / 2].resumed,
                                            drop ? cut_drop : cut_reset };
        world->cuts = 0;
        start_query(world, NULL, NULL);
        loopback_settle(world);
        assert_int_equal(world->cuts, 1);
        const char *entries = loopback_entries(world);
        if (strcmp(entries, cases[i / 2].entries) != 0)
            fail_msg("%s %s %s: %s", drop ? "drop" : "reset", cases[i / 2].step,
                     cases[i / 2].resumed ? "resumed" : "run", entries);
        loopback_until(world, nothing_leased);
        loopback_rewire(world, &triage);
    }
    start_query(world, "code = \"110101007\"", NULL);
    loopback_settle(world);
    expect(world, world->call, 0, "", "DECISION ALLOWED, DELIVERY ALLOWED");
}

static bool some_came(struct loopback *world)
{
    return world->call->body.len > 100000;
}

static void a_caller_that_goes_in_the_middle_frees_the_source(void **state)
{
    struct loopback *world = *state;
    for (int drop = 0; drop < 2; drop++) {
        loopback_rewire(world, &(struct wire_options){ .uri = LOOPBACK_SUBJECT });
        start_query(world, NULL, NULL);
        loopback_until(world, backend_waits);
        wire_allow(world->call, 200000);
        loopback_until(world, some_came);
        if (drop)
            wire_drop(world->wire);
        else
            wire_reset(world->call, 8);
        loopback_settle(world);
        loopback_until(world, nothing_leased);
        assert_string_equal(loopback_entries(world),
                            "DECISION ALLOWED, DELIVERY CANCELLED CALLER_CANCELLED");
        assert_int_equal(h2_bytes_held(), 0);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, loopback_open, loopback_close)
    const struct CMUnitTest tests[] = {
        CASE(every_row_comes_once),
        CASE(refusals_have_one_entry),
        CASE(a_stalled_reader_stops_the_backend_and_nothing_grows),
        CASE(a_deadline_ends_a_stream_that_nobody_reads),
        CASE(a_revocation_ends_a_stream_that_waits),
        CASE(a_revocation_while_the_connection_is_blocked_sends_nothing_stale),
        CASE(a_caller_may_go_at_every_step),
        CASE(a_caller_that_goes_in_the_middle_frees_the_source),
    };
    return cmocka_run_group_tests(tests, loopback_start, loopback_stop);
}
