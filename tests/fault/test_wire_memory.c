/* The n-th peer-sized allocation fails, for n = 1, 2, ... until a call runs through without reaching
 * it: each such call ends RESOURCE_EXHAUSTED with its entries in order, and the next one is fine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loopback/alloc.h"
#include "loopback/loopback.h"
#include "net/h2.h"

enum { ROUNDS_MAX = 200, ROOM = 8 * 1024 * 1024, ENHANCE_YOUR_CALM = 11 };

static const struct wire_options roomy = { .uri = LOOPBACK_SUBJECT,
                                           .window_bytes = 1024 * 1024,
                                           .room = ROOM };

/* Takes nothing until much waits for it. */
static const struct wire_options slow_reader = { .uri = LOOPBACK_SUBJECT, .room = ROOM };

static bool much_waits(struct loopback *world)
{
    (void)world;
    return alloc_hit() || h2_bytes_held() > (size_t)H2_STREAM_OUT_HIGH_BYTES * 3 / 4;
}

static bool settled_or_gone(struct loopback *world)
{
    return world->call->closed || wire_ended(world->wire);
}

static bool accepted(struct loopback *world)
{
    return wire_accepted(world->wire);
}

/* Answers how many allocations the call made that a peer's wish can make large. */
static unsigned refuse_each(struct loopback *world, const char *path, const char *type,
                            const struct buf *body, int status)
{
    bool slow = strcmp(path, LOOPBACK_QUERY) == 0;
    for (unsigned nth = 1; nth < ROUNDS_MAX; nth++) {
        loopback_rewire(world, slow ? &slow_reader : &roomy);
        loopback_until(world, accepted);
        world->call = wire_request(world->wire, path, type, NULL);
        alloc_fail(BUF_SMALL_BYTES + 1, nth);
        wire_send(world->call, body->data, body->len, true);
        if (slow) {
            loopback_until(world, much_waits);
            wire_allow(world->call, ROOM);
        }
        loopback_until(world, settled_or_gone);
        bool refused = alloc_refused();
        loopback_settle(world);
        const char *entries = loopback_entries(world);
        if (!refused) {
            assert_int_equal(loopback_status(world->call), status);
            return nth - 1;
        }
        assert_false(wire_ended(world->wire));
        if (loopback_status(world->call) != 8 && world->call->error_code != ENHANCE_YOUR_CALM)
            fail_msg("%s, allocation %u: status %d %s, code %u", path, nth,
                     loopback_status(world->call), loopback_reason(world->call),
                     world->call->error_code);
        if (loopback_status(world->call) == 8)
            assert_string_equal(loopback_reason(world->call), "WORKER_MEMORY");
        if (strstr(entries, "DECISION ALLOWED") != NULL)
            assert_non_null(strstr(entries, ", DELIVERY "));
        loopback_rewire(world, &roomy);
        assert_int_equal(loopback_status(loopback_lookup(world, "110101000")), 0);
        assert_string_equal(loopback_entries(world), "DECISION ALLOWED");
    }
    fail_msg("%s never ran through", path);
    return 0;
}

static void inbound_message(void **state)
{
    struct loopback *world = *state;
    struct loopback_ask ask = { 0 };
    struct buf message, body;
    char *filler = mem_zero(300000);
    buf_init(&message, 1 << 20);
    buf_init(&body, 1 << 20);
    loopback_lookup_bytes(&ask, &message);
    (void)buf_append_varint(&message, 2000 << 3 | 2); /* a field of a later version */
    (void)buf_append_varint(&message, 300000);
    (void)buf_append(&message, filler, 300000);
    loopback_envelope(&message, &body);
    unsigned count = refuse_each(world, LOOPBACK_LOOKUP, "application/grpc", &body, 0);
    print_message("gRPC message of 300 kB: %u allocations refused\n", count);
    assert_true(count >= 3);
    buf_reset(&message);
    loopback_lookup_bytes(&ask, &message);
    assert_int_equal(refuse_each(world, LOOPBACK_LOOKUP, "application/proto", &message, 0), 0);
    free(filler);
    buf_fini(&message);
    buf_fini(&body);
}

static void connect_json(void **state)
{
    struct loopback *world = *state;
    struct buf body;
    buf_init(&body, 1 << 20);
    (void)buf_append_str(&body, "{\"dataset\":\"" LOOPBACK_TOWNS
                                "\",\"key\":\"110101000\",\"purpose\":\"" LOOPBACK_PURPOSE "\"");
    for (int i = 0; i < 200000; i++)
        (void)buf_append_byte(&body, ' ');
    (void)buf_append_str(&body, ",\"agreement\":\"");
    for (int i = 0; i < 100000; i++)
        (void)buf_append_byte(&body, 'a');
    (void)buf_append_str(&body, "\"}");
    unsigned count = refuse_each(world, LOOPBACK_LOOKUP, "application/json", &body, 7);
    print_message("Connect JSON of 300 kB: %u allocations refused\n", count);
    assert_true(count >= 3);
    buf_fini(&body);
}

static void batch_of_a_thousand(void **state)
{
    struct loopback *world = *state;
    struct buf message, body;
    buf_init(&message, 1 << 20);
    buf_init(&body, 1 << 20);
    loopback_batch_bytes(1000, &message);
    alloc_spare(65536, sizeof(char *)); /* schema_plan_batch's table of key forms */
    loopback_envelope(&message, &body);
    unsigned count = refuse_each(world, LOOPBACK_BATCH, "application/grpc", &body, 0);
    print_message("BatchLookup of 1,000 keys: %u allocations refused\n", count);
    assert_true(count >= 3);
    buf_fini(&message);
    buf_fini(&body);
}

static void large_record(void **state)
{
    struct loopback *world = *state;
    static const char body_text[] =
        "{\"dataset\":\"" LOOPBACK_TOWNS "\",\"key\":\"119200000\",\"purpose\":\"" LOOPBACK_PURPOSE
        "\"}";
    loopback_sql(world, "INSERT INTO towns VALUES ('119200000', repeat('x', 65000)) "
                        "ON CONFLICT DO NOTHING");
    struct buf body;
    buf_init(&body, 4096);
    (void)buf_append_str(&body, body_text);
    unsigned count = refuse_each(world, LOOPBACK_LOOKUP, "application/json", &body, 0);
    print_message("record of 65 kB as JSON: %u allocations refused\n", count);
    assert_true(count >= 1);
    loopback_sql(world, "DELETE FROM towns WHERE code = '119200000'");
    buf_fini(&body);
}

static void query_batches(void **state)
{
    struct loopback *world = *state;
    struct loopback_ask ask = { 0 };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 4096);
    loopback_query_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    unsigned count = refuse_each(world, LOOPBACK_QUERY, "application/grpc", &body, 0);
    print_message("Query of 20,000 rows, slow reader: %u allocations refused\n", count);
    assert_true(count >= 1);
    buf_fini(&message);
    buf_fini(&body);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, loopback_open, loopback_close)
    const struct CMUnitTest tests[] = {
        CASE(inbound_message), CASE(connect_json),  CASE(batch_of_a_thousand),
        CASE(large_record),    CASE(query_batches),
    };
    return cmocka_run_group_tests(tests, loopback_start, loopback_stop);
}
