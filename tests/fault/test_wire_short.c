/* A connection that takes and gives a few bytes at a time, and refuses often: the answers are the
 * same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loopback/loopback.h"

static const struct wire_options triage = { .uri = LOOPBACK_SUBJECT, .window_bytes = 65535 };

static const struct wire_weather weathers[] = {
    { .write_max = 1 },
    { .read_max = 1 },
    { .read_max = 1, .write_max = 1, .refusals = 1 },
    { .read_max = 2, .write_max = 3, .refusals = 20 },
    { .read_max = 9, .write_max = 9 },
    { .read_max = 4095, .write_max = 100, .refusals = 3 },
    { .write_max = 16383, .refusals = 1000 },
    { .write_max = 16385, .refusals = 2 },
};

static void the_same_query(struct loopback *world, const struct wire_weather *weather,
                           struct buf *answer)
{
    struct loopback_ask ask = { .filter = "code < \"110101300\"" };
    struct buf message, body;
    buf_init(&message, 4096);
    buf_init(&body, 4096);
    loopback_query_bytes(&ask, &message);
    loopback_envelope(&message, &body);
    loopback_rewire(world, &triage);
    wire_weather(world->wire, weather);
    struct wire_call *call =
        loopback_call(world, LOOPBACK_QUERY, "application/grpc", NULL, body.data, body.len);
    assert_int_equal(loopback_status(call), 0);
    assert_string_equal(loopback_entries(world), "DECISION ALLOWED, DELIVERY ALLOWED");
    if (weather->refusals > 0)
        assert_true(wire_refusals(world->wire) >= weather->refusals);
    buf_reset(answer);
    (void)buf_append(answer, call->body.data, call->body.len);
    buf_fini(&message);
    buf_fini(&body);
}

/* Batches are cut where a loop turn ends and tokens have a nonce, so lengths are not compared but
 * what every record says. */
static size_t count_towns(const struct buf *answer)
{
    size_t count = 0;
    const uint8_t *end = answer->data + answer->len;
    for (const uint8_t *p = answer->data; (p = memmem(p, (size_t)(end - p), "town ", 5)) != NULL;
         p += 5)
        count++;
    return count;
}

static void answers_survive_short_reads_and_writes(void **state)
{
    struct loopback *world = *state;
    struct buf answer;
    buf_init(&answer, 1 << 24);
    for (size_t i = 0; i < sizeof weathers / sizeof weathers[0]; i++) {
        the_same_query(world, &weathers[i], &answer);
        assert_int_equal(count_towns(&answer), 299);
    }
    buf_fini(&answer);
}

static void many_calls_on_one_slow_connection(void **state)
{
    struct loopback *world = *state;
    enum { CALLS = 40 };
    for (size_t i = 0; i < sizeof weathers / sizeof weathers[0]; i++) {
        struct buf message, body;
        struct loopback_ask ask = { 0 };
        struct wire_call *calls[CALLS];
        buf_init(&message, 4096);
        buf_init(&body, 4096);
        loopback_lookup_bytes(&ask, &message);
        loopback_envelope(&message, &body);
        loopback_rewire(world, &triage);
        wire_weather(world->wire, &weathers[i]);
        for (size_t c = 0; c < CALLS; c++) {
            calls[c] = wire_request(world->wire, LOOPBACK_LOOKUP, "application/grpc", NULL);
            wire_send(calls[c], body.data, body.len, true);
        }
        for (size_t c = 0; c < CALLS; c++) {
            world->call = calls[c];
            loopback_settle(world);
            assert_int_equal(loopback_status(calls[c]), 0);
            assert_int_equal(calls[c]->body.len, calls[0]->body.len);
        }
        buf_fini(&message);
        buf_fini(&body);
    }
    const char *entries = loopback_entries(world);
    assert_null(strstr(entries, "DELIVERY"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, loopback_open, loopback_close)
    const struct CMUnitTest tests[] = {
        CASE(answers_survive_short_reads_and_writes),
        CASE(many_calls_on_one_slow_connection),
    };
    return cmocka_run_group_tests(tests, loopback_start, loopback_stop);
}
