/* Lookup through net/h2, rpc/ and services/: what the caller hears, and what the audit log has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpq-fe.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loopback/loopback.h"
#include "sluice/v1/exchange.pb-c.h"

static const char grpc[] = "application/grpc";

static void expect(struct loopback *world, const struct wire_call *call, int status,
                   const char *reason, const char *entries)
{
    assert_string_equal(loopback_reason(call), reason);
    assert_int_equal(loopback_status(call), status);
    assert_string_equal(loopback_entries(world), entries);
    assert_string_equal(loopback_entries(world), ""); /* and nothing afterwards */
}

static void answers_and_refusals_have_one_entry_each(void **state)
{
    struct loopback *world = *state;
    static const struct {
        struct loopback_ask ask;
        int status;
        const char *reason;
        const char *entries;
    } cases[] = {
        { { .key = "110101000" }, 0, "", "DECISION ALLOWED" },
        { { .key = "119100000" }, 5, "RECORD_NOT_FOUND", "DECISION REFUSED RECORD_NOT_FOUND" },
        { { .key = "110101001" }, 15, "RECORD_QUARANTINED", "DECISION FAILED RECORD_QUARANTINED" },
        { { .purpose = "curiosity" },
          7,
          "PURPOSE_NOT_GRANTED",
          "DECISION REFUSED PURPOSE_NOT_GRANTED" },
        { { .dataset = "registry/none" },
          5,
          "DATASET_NOT_FOUND",
          "DECISION REFUSED DATASET_NOT_FOUND" },
        { { .request_id = "two words" },
          3,
          "REQUEST_ID_INVALID",
          "DECISION REFUSED REQUEST_ID_INVALID" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf message, body;
        buf_init(&message, 4096);
        buf_init(&body, 4096);
        loopback_lookup_bytes(&cases[i].ask, &message);
        loopback_envelope(&message, &body);
        struct wire_call *call =
            loopback_call(world, LOOPBACK_LOOKUP, grpc, NULL, body.data, body.len);
        expect(world, call, cases[i].status, cases[i].reason, cases[i].entries);
        assert_int_equal(call->body.len > 0, cases[i].status == 0);
        buf_fini(&message);
        buf_fini(&body);
    }
}

static void callers_without_a_place_here_are_refused(void **state)
{
    struct loopback *world = *state;
    static const struct {
        const char *uri;
        int status;
        const char *reason;
        const char *entries;
    } cases[] = {
        { "spiffe://test.example/dept/elsewhere/system/x", 7, "DEPARTMENT_UNKNOWN",
          "DECISION REFUSED DEPARTMENT_UNKNOWN" },
        { "spiffe://test.example/dept/registry/system/x", 5, "DATASET_NOT_FOUND",
          "DECISION REFUSED DATASET_NOT_FOUND" },
        { "spiffe://test.example/dept/health/officer/x", 7, "WRONG_PORT",
          "DECISION REFUSED WRONG_PORT" },
        { "spiffe://other.example/dept/health/system/x", 16, "IDENTITY_TRUST_DOMAIN",
          "DECISION REFUSED IDENTITY_TRUST_DOMAIN" },
        { "", 16, "IDENTITY_MISSING", "DECISION REFUSED IDENTITY_MISSING" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        loopback_rewire(world,
                        &(struct wire_options){ .uri = cases[i].uri, .window_bytes = 65535 });
        struct wire_call *call = loopback_lookup(world, "110101000");
        expect(world, call, cases[i].status, cases[i].reason, cases[i].entries);
    }
}

/* --- bytes that are no request ----------------------------------------------------------------- */

static void malformed_bodies_name_their_reason(void **state)
{
    struct loopback *world = *state;
    static const struct {
        const char *body;
        size_t len;
        int status;
        const char *reason;
    } cases[] = {
        { "", 0, 3, "MESSAGE_MISSING" },
        { "\0\0\0", 3, 3, "MESSAGE_TRUNCATED" },
        { "\0\0\0\0\5\12\3ab", 9, 3, "MESSAGE_TRUNCATED" },
        { "\1\0\0\0\0", 5, 12, "ENCODING_UNSUPPORTED" },
        { "\2\0\0\0\0", 5, 3, "MESSAGE_FLAGS" },
        { "\0\0\x20\0\0", 5, 8, "MESSAGE_TOO_LARGE" },
        { "\0\0\0\0\1\xFF", 6, 3, "MESSAGE_MALFORMED" },
        { "\0\0\0\0\4\12\2\xFF\xFE", 9, 3, "MESSAGE_NOT_UTF8" },
        { "\0\0\0\0\2\13\14", 7, 3, "MESSAGE_MALFORMED" },
        { "\0\0\0\0\0\0\0\0\0\0", 10, 3, "MESSAGE_TRAILING" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char entries[96];
        struct wire_call *call =
            loopback_call(world, LOOPBACK_LOOKUP, grpc, NULL, cases[i].body, cases[i].len);
        (void)snprintf(entries, sizeof entries, "DECISION %s %s",
                       cases[i].status == 12 ? "FAILED" : "REFUSED", cases[i].reason);
        expect(world, call, cases[i].status, cases[i].reason, entries);
    }
}

/* Well-nested messages that no type of the API knows. */
static void a_deep_message_is_refused_or_skipped_but_harms_nothing(void **state)
{
    struct loopback *world = *state;
    struct buf message, outer, body;
    buf_init(&message, 1 << 20);
    buf_init(&outer, 1 << 20);
    buf_init(&body, 1 << 20);
    for (int depth = 0; depth < 2000; depth++) {
        buf_reset(&outer);
        (void)buf_append_byte(&outer, 6 << 3 | 2); /* the field mask */
        (void)buf_append_varint(&outer, message.len);
        (void)buf_append(&outer, message.data, message.len);
        struct buf swap = message;
        message = outer;
        outer = swap;
    }
    loopback_envelope(&message, &body);
    struct wire_call *call = loopback_call(world, LOOPBACK_LOOKUP, grpc, NULL, body.data, body.len);
    assert_true(loopback_status(call) == 3 || loopback_status(call) == 5);
    (void)loopback_entries(world);
    call = loopback_lookup(world, "110101000");
    expect(world, call, 0, "", "DECISION ALLOWED");
    buf_fini(&message);
    buf_fini(&outer);
    buf_fini(&body);
}

static void what_is_no_call_leaves_no_entry(void **state)
{
    struct loopback *world = *state;
    char status[16];
    struct wire_call *call =
        loopback_call(world, "/sluice.v1.ExchangeService/Nothing", grpc, NULL, "", 0);
    expect(world, call, 12, "METHOD_UNKNOWN", "");
    static const char *const types[] = { "text/plain", "application/grpc-web", "", NULL };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        call = loopback_call(world, LOOPBACK_LOOKUP, types[i], NULL, "", 0);
        assert_string_equal(wire_header(call, ":status", status, sizeof status), "415");
        assert_string_equal(loopback_entries(world), "");
    }
    static const char *const encodings[] = { "grpc-encoding", "br", NULL };
    call = loopback_call(world, LOOPBACK_LOOKUP, grpc, encodings, "", 0);
    expect(world, call, 12, "ENCODING_UNSUPPORTED", "DECISION FAILED ENCODING_UNSUPPORTED");
    static const char *const timeouts[] = { "grpc-timeout", "1x", NULL };
    call = loopback_call(world, LOOPBACK_LOOKUP, grpc, timeouts, "", 0);
    expect(world, call, 3, "TIMEOUT_INVALID", "DECISION REFUSED TIMEOUT_INVALID");
}

/* --- framing ----------------------------------------------------------------------------------- */

static void one_call_in_four_framings(void **state)
{
    struct loopback *world = *state;
    static const char json[] = "{\"dataset\":\"" LOOPBACK_TOWNS
                               "\",\"key\":\"110101000\",\"purpose\":\"" LOOPBACK_PURPOSE "\"}";
    struct loopback_ask ask = { 0 };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 4096);
    loopback_lookup_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    struct wire_call *call = loopback_call(world, LOOPBACK_LOOKUP, grpc, NULL, body.data, body.len);
    expect(world, call, 0, "", "DECISION ALLOWED");
    assert_non_null(memmem(call->body.data, call->body.len, "town 0", 6));
    call =
        loopback_call(world, LOOPBACK_LOOKUP, "application/grpc+proto", NULL, body.data, body.len);
    expect(world, call, 0, "", "DECISION ALLOWED");
    call =
        loopback_call(world, LOOPBACK_LOOKUP, "application/proto", NULL, message.data, message.len);
    expect(world, call, 0, "", "DECISION ALLOWED");
    Sluice__V1__LookupResponse *answer =
        sluice__v1__lookup_response__unpack(NULL, call->body.len, call->body.data);
    assert_non_null(answer);
    assert_string_equal(answer->record->type_url, "type.googleapis.com/gov.division.v1.Division");
    sluice__v1__lookup_response__free_unpacked(answer, NULL);
    call = loopback_call(world, LOOPBACK_LOOKUP, "application/json", NULL, json, sizeof json - 1);
    expect(world, call, 0, "", "DECISION ALLOWED");
    assert_non_null(memmem(call->body.data, call->body.len, "\"name\":\"town 0", 14));
    char receipt[32];
    assert_true(wire_header(call, "trailer-sluice-audit-index", receipt, sizeof receipt)[0] != 0);
    static const char wrong[] = "{\"dataset\":3}";
    call = loopback_call(world, LOOPBACK_LOOKUP, "application/json", NULL, wrong, sizeof wrong - 1);
    assert_int_equal(loopback_status(call), 3);
    assert_non_null(strstr(loopback_entries(world), "DECISION REFUSED"));
    call = loopback_call(world, LOOPBACK_LOOKUP, "application/connect+json", NULL, json,
                         sizeof json - 1);
    expect(world, call, 3, "CONTENT_TYPE", "DECISION REFUSED CONTENT_TYPE");
    buf_fini(&message);
    buf_fini(&body);
}

static void one_byte_at_a_time(void **state)
{
    struct loopback *world = *state;
    struct loopback_ask ask = { 0 };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 4096);
    loopback_lookup_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    for (int pass = 0; pass < 2; pass++) {
        world->call = wire_request(world->wire, LOOPBACK_LOOKUP,
                                   pass == 0 ? grpc : "application/proto", NULL);
        world->call->piece = 1;
        if (pass == 0)
            wire_send(world->call, body.data, body.len, true);
        else
            wire_send(world->call, message.data, message.len, true);
        loopback_settle(world);
        expect(world, world->call, 0, "", "DECISION ALLOWED");
    }
    buf_fini(&message);
    buf_fini(&body);
}

static void two_messages_are_one_too_many(void **state)
{
    struct loopback *world = *state;
    struct loopback_ask ask = { 0 };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 8192);
    loopback_lookup_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    loopback_envelope(&message, &body);
    struct wire_call *call = loopback_call(world, LOOPBACK_LOOKUP, grpc, NULL, body.data, body.len);
    expect(world, call, 3, "MESSAGE_TRAILING", "DECISION REFUSED MESSAGE_TRAILING");
    buf_fini(&message);
    buf_fini(&body);
}

/* --- ends in the middle ------------------------------------------------------------------------ */

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

static void start_lookup(struct loopback *world, const char *const *headers)
{
    struct loopback_ask ask = { 0 };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 4096);
    loopback_lookup_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    world->call = wire_request(world->wire, LOOPBACK_LOOKUP, grpc, headers);
    wire_send(world->call, body.data, body.len, true);
    buf_fini(&message);
    buf_fini(&body);
}

static const struct wire_options triage = { .uri = LOOPBACK_SUBJECT, .window_bytes = 65535 };

static void a_caller_may_go_at_every_step(void **state)
{
    struct loopback *world = *state;
    static const struct {
        const char *step;
        bool resumed;
        const char *entries;
    } cases[] = {
        /* The decision was not made yet: the entry is the decision. */
        { "authorise", false, "DECISION CANCELLED CALLER_CANCELLED" },
        { "fetch", false, "DECISION CANCELLED CALLER_CANCELLED" },
        /* Its entry is on the way, and so will be the one that says that nothing left. */
        { "fetch", true, "DECISION ALLOWED, DELIVERY CANCELLED NOT_RELEASED" },
        { "judge", false, "DECISION ALLOWED, DELIVERY CANCELLED NOT_RELEASED" },
        { "record", false, "DECISION ALLOWED, DELIVERY CANCELLED NOT_RELEASED" },
        { "record", true, "DECISION ALLOWED, DELIVERY CANCELLED NOT_DELIVERED" },
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        bool drop = i % 2 == 1;
        world->cut = (struct loopback_cut){ cases[i / 2].step, cases[i / 2].resumed,
                                            drop ? cut_drop : cut_reset };
        world->cuts = 0;
        start_lookup(world, NULL);
        loopback_settle(world);
        assert_int_equal(world->cuts, 1);
        const char *entries = loopback_entries(world);
        /* Handed over before the reset was read: it left. */
        if (strcmp(cases[i / 2].step, "record") == 0 && cases[i / 2].resumed && !drop)
            assert_string_equal(entries, "DECISION ALLOWED");
        else if (strcmp(entries, cases[i / 2].entries) != 0)
            fail_msg("%s %s %s: %s", drop ? "drop" : "reset", cases[i / 2].step,
                     cases[i / 2].resumed ? "resumed" : "run", entries);
        loopback_rewire(world, &triage);
        struct wire_call *call = loopback_lookup(world, "110101000");
        expect(world, call, 0, "", "DECISION ALLOWED");
    }
}

/* --- deadlines --------------------------------------------------------------------------------- */

/* Another connection keeps what the gateway needs until the test lets go. */
static PGconn *hold(struct loopback *world, const char *sql)
{
    PGconn *conn = PQconnectdb(postgres_conninfo(world->postgres));
    PGresult *result = PQexec(conn, sql);
    assert_true(PQresultStatus(result) == PGRES_COMMAND_OK ||
                PQresultStatus(result) == PGRES_TUPLES_OK);
    PQclear(result);
    return conn;
}

#define HOLD_TOWNS "BEGIN; LOCK TABLE towns IN ACCESS EXCLUSIVE MODE"
#define HOLD_LOG   "BEGIN; SELECT size FROM audit.head FOR UPDATE"

static void a_deadline_ends_a_call_that_waits_for_its_row(void **state)
{
    struct loopback *world = *state;
    static const char *const headers[] = { "grpc-timeout", "150m", NULL };
    PGconn *conn = hold(world, HOLD_TOWNS);
    start_lookup(world, headers);
    loopback_settle(world);
    PQfinish(conn);
    expect(world, world->call, 4, "DEADLINE_EXCEEDED", "DECISION FAILED DEADLINE_EXCEEDED");
}

static void a_deadline_ends_a_request_that_never_ends(void **state)
{
    struct loopback *world = *state;
    static const char *const headers[] = { "grpc-timeout", "100m", NULL };
    world->call = wire_request(world->wire, LOOPBACK_LOOKUP, grpc, headers);
    wire_send(world->call, "\0\0\0", 3, false);
    loopback_settle(world);
    expect(world, world->call, 4, "DEADLINE_EXCEEDED", "DECISION FAILED DEADLINE_EXCEEDED");
}

static bool call_over(struct loopback *world)
{
    return world->call->closed;
}

/* The decision was sent to the log and no answer came in time: no record leaves, and once the log
 * goes on it says both. */
static void a_log_that_hangs_releases_nothing(void **state)
{
    struct loopback *world = *state;
    static const char *const headers[] = { "grpc-timeout", "300m", NULL };
    PGconn *conn = hold(world, HOLD_LOG);
    start_lookup(world, headers);
    loopback_until(world, call_over);
    assert_int_equal(world->call->body.len, 0);
    int status = loopback_status(world->call);
    assert_true(status == 4 || status == 14);
    PQfinish(conn);
    loopback_settle(world);
    assert_string_equal(loopback_entries(world), "DECISION ALLOWED, DELIVERY FAILED NOT_RELEASED");
}

static bool log_closed(struct loopback *world)
{
    return !audit_client_writable(world->gateway.audit, NULL);
}

static void a_log_that_takes_nothing_refuses_calls_and_recovers(void **state)
{
    struct loopback *world = *state;
    static const char end_auditor[] =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'auditor'";
    loopback_sql(world, "ALTER ROLE auditor SET default_transaction_read_only = on");
    loopback_sql(world, end_auditor);
    loopback_until(world, log_closed);
    start_lookup(world, NULL);
    loopback_until(world, call_over);
    assert_int_equal(loopback_status(world->call), 14);
    assert_string_equal(loopback_reason(world->call), "AUDIT_UNAVAILABLE");
    assert_string_equal(loopback_entries(world), "");
    loopback_sql(world, "ALTER ROLE auditor RESET default_transaction_read_only");
    loopback_sql(world, end_auditor);
    loopback_settle(world);
    assert_string_equal(loopback_entries(world), "DECISION FAILED AUDIT_UNAVAILABLE");
    struct wire_call *call = loopback_lookup(world, "110101000");
    expect(world, call, 0, "", "DECISION ALLOWED");
}

/* --- between the entry and the bytes ----------------------------------------------------------- */

static void cut_stand_still(struct loopback *world, struct call *call)
{
    (void)world;
    (void)call;
    int64_t until_us = clock_monotonic_us() + (AUTHZ_LEASE_MS + 100) * 1000LL;
    while (clock_monotonic_us() < until_us)
        ;
}

/* The process stood still for longer than its lease: it cannot know what was revoked meanwhile. */
static void an_expired_lease_holds_a_recorded_answer(void **state)
{
    struct loopback *world = *state;
    world->cut = (struct loopback_cut){ "record", true, cut_stand_still };
    start_lookup(world, NULL);
    loopback_settle(world);
    assert_int_equal(world->cuts, 1);
    assert_int_equal(world->call->body.len, 0);
    assert_true(world->call->closed && world->call->error_code == 8);
    assert_string_equal(loopback_entries(world),
                        "DECISION ALLOWED, DELIVERY CANCELLED LEASE_EXPIRED");
}

static bool answer_waits(struct loopback *world)
{
    char text[16];
    return wire_header(world->call, ":status", text, sizeof text)[0] != '\0';
}

/* The caller's window is shut, so the answer waits; the agreement is revoked; the window opens. */
static void a_revocation_recalls_an_answer_that_waits(void **state)
{
    struct loopback *world = *state;
    loopback_rewire(world, &(struct wire_options){ .uri = LOOPBACK_SUBJECT });
    start_lookup(world, NULL);
    loopback_until(world, answer_waits);
    loopback_revoke(world);
    loopback_until(world, call_over);
    assert_int_equal(world->call->error_code, 8);
    loopback_settle(world);
    assert_int_equal(world->call->body.len, 0);
    assert_string_equal(loopback_entries(world),
                        "DECISION ALLOWED, DELIVERY CANCELLED AGREEMENT_REVOKED");
}

static void an_answer_that_waits_is_delivered_when_its_window_opens(void **state)
{
    struct loopback *world = *state;
    loopback_rewire(world, &(struct wire_options){ .uri = LOOPBACK_SUBJECT });
    start_lookup(world, NULL);
    loopback_until(world, answer_waits);
    wire_allow(world->call, 65535);
    loopback_settle(world);
    expect(world, world->call, 0, "", "DECISION ALLOWED");
}

static void cut_count(struct loopback *world, struct call *call)
{
    (void)world;
    (void)call;
}

static bool recording(struct loopback *world)
{
    return world->cuts == 1;
}

static void a_revocation_while_the_entry_is_written_releases_nothing(void **state)
{
    struct loopback *world = *state;
    PGconn *conn = hold(world, HOLD_LOG);
    world->cut = (struct loopback_cut){ "record", false, cut_count };
    start_lookup(world, NULL);
    loopback_until(world, recording);
    loopback_revoke(world);
    loopback_until(world, call_over);
    PQfinish(conn);
    loopback_settle(world);
    assert_int_equal(world->call->body.len, 0);
    expect(world, world->call, 7, "AGREEMENT_REVOKED",
           "DECISION ALLOWED, DELIVERY CANCELLED NOT_RELEASED");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, loopback_open, loopback_close)
    const struct CMUnitTest tests[] = {
        CASE(answers_and_refusals_have_one_entry_each),
        CASE(callers_without_a_place_here_are_refused),
        CASE(malformed_bodies_name_their_reason),
        CASE(a_deep_message_is_refused_or_skipped_but_harms_nothing),
        CASE(what_is_no_call_leaves_no_entry),
        CASE(one_call_in_four_framings),
        CASE(one_byte_at_a_time),
        CASE(two_messages_are_one_too_many),
        CASE(a_caller_may_go_at_every_step),
        CASE(a_deadline_ends_a_call_that_waits_for_its_row),
        CASE(a_deadline_ends_a_request_that_never_ends),
        CASE(a_log_that_hangs_releases_nothing),
        CASE(a_log_that_takes_nothing_refuses_calls_and_recovers),
        CASE(an_expired_lease_holds_a_recorded_answer),
        CASE(a_revocation_recalls_an_answer_that_waits),
        CASE(an_answer_that_waits_is_delivered_when_its_window_opens),
        CASE(a_revocation_while_the_entry_is_written_releases_nothing),
    };
    return cmocka_run_group_tests(tests, loopback_start, loopback_stop);
}
