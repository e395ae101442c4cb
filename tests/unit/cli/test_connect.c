/* Connect's envelopes and errors, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/problem.h"

struct seen {
    int count;
    long long sum;
    int stop_at;
};

static int on_message(void *context, json_t *message)
{
    struct seen *seen = context;

    seen->count++;
    seen->sum += json_integer_value(json_object_get(message, "n"));
    return seen->count == seen->stop_at ? EXIT_DENIED : 0;
}

static void add(struct buf *out, uint8_t flags, const char *text)
{
    size_t len = strlen(text);
    const uint8_t head[5] = { flags, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                              (uint8_t)(len >> 8), (uint8_t)len };

    assert_int_equal(buf_append(out, head, sizeof head), 0);
    assert_int_equal(buf_append(out, text, len), 0);
}

/* However the network cuts the bytes, the messages are the same. */
static void test_any_cut(void **state)
{
    struct buf wire;

    (void)state;
    buf_init(&wire, 4096);
    add(&wire, 0, "{\"n\":1}");
    add(&wire, 0, "{\"n\":20}");
    add(&wire, 2, "{\"error\":{\"code\":\"aborted\"}}");
    for (size_t step = 1; step <= wire.len; step++) {
        struct seen seen = { 0 };
        struct connect_frames frames;

        connect_frames_init(&frames, on_message, &seen);
        for (size_t at = 0; at < wire.len; at += step) {
            size_t len = wire.len - at < step ? wire.len - at : step;
            assert_false(frames.ended);
            assert_int_equal(connect_frames_feed(&frames, wire.data + at, len), 0);
        }
        assert_true(frames.ended);
        assert_int_equal(seen.count, 2);
        assert_int_equal(seen.sum, 21);
        assert_string_equal(json_string_value(json_object_get(frames.error, "code")), "aborted");
        connect_frames_fini(&frames);
    }
    buf_fini(&wire);
}

static void check_fault(uint8_t flags, const char *text, const char *after)
{
    struct buf wire;
    struct seen seen = { 0 };
    struct connect_frames frames;

    buf_init(&wire, 4096);
    add(&wire, flags, text);
    if (after != NULL)
        add(&wire, 0, after);
    connect_frames_init(&frames, on_message, &seen);
    assert_int_equal(connect_frames_feed(&frames, wire.data, wire.len), -1);
    assert_non_null(frames.fault);
    connect_frames_fini(&frames);
    buf_fini(&wire);
}

static void test_faults(void **state)
{
    static const uint8_t huge[5] = { 0, 0xff, 0xff, 0xff, 0xff };
    struct connect_frames frames;

    (void)state;
    check_fault(0, "[]", NULL);
    check_fault(0, "not json", NULL);
    check_fault(0, "", NULL);
    check_fault(0, "{\"a\":1,\"a\":2}", NULL);
    check_fault(1, "{}", NULL);                   /* compressed */
    check_fault(2, "{\"error\":\"text\"}", NULL); /* no object */
    check_fault(2, "{}", "{}");                   /* behind the end */
    connect_frames_init(&frames, on_message, NULL);
    assert_int_equal(connect_frames_feed(&frames, huge, sizeof huge), -1);
    assert_non_null(frames.fault);
    connect_frames_fini(&frames);
}

static void test_the_reader_may_stop(void **state)
{
    struct buf wire;
    struct seen seen = { .stop_at = 1 };
    struct connect_frames frames;

    (void)state;
    buf_init(&wire, 4096);
    add(&wire, 0, "{\"n\":1}");
    add(&wire, 0, "{\"n\":2}");
    connect_frames_init(&frames, on_message, &seen);
    assert_int_equal(connect_frames_feed(&frames, wire.data, wire.len), -1);
    assert_int_equal(frames.stopped, EXIT_DENIED);
    assert_int_equal(seen.count, 1);
    connect_frames_fini(&frames);
    buf_fini(&wire);
}

/* --- errors ------------------------------------------------------------------------------------
 */
static void test_exit_statuses(void **state)
{
    static const struct {
        const char *code, *reason;
        int status;
    } rows[] = {
        { "not_found", "", EXIT_NOT_FOUND },
        { "permission_denied", "", EXIT_DENIED },
        { "unauthenticated", "", EXIT_DENIED },
        { "unavailable", "", EXIT_UNAVAILABLE },
        { "deadline_exceeded", "", EXIT_UNAVAILABLE },
        { "resource_exhausted", "", EXIT_UNAVAILABLE },
        { "aborted", "", EXIT_UNAVAILABLE },
        { "data_loss", "RECORD_QUARANTINED", EXIT_QUARANTINED },
        { "data_loss", "OTHER", EXIT_FAILED },
        { "invalid_argument", "", EXIT_FAILED },
        { "internal", "", EXIT_FAILED },
        { "a code of tomorrow", "", EXIT_FAILED },
        { "", "", EXIT_FAILED },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(problem_exit_status(rows[i].code, rows[i].reason), rows[i].status);
}

static void test_error_objects(void **state)
{
    static const struct {
        const char *json, *code, *reason, *text;
    } rows[] = {
        { "{\"code\":\"not_found\",\"message\":\"m\",\"details\":[{\"type\":\"google.rpc."
          "ErrorInfo\","
          "\"value\":\"CgNBX0I\"}]}",
          "not_found", "A_B", "m" },
        { "{\"code\":\"x\",\"details\":[{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"%%\","
          "\"debug\":{\"reason\":\"FROM_DEBUG\"}}]}",
          "x", "FROM_DEBUG", "" },
        { "{\"code\":\"x\",\"details\":[{\"type\":\"google.rpc.Help\",\"value\":\"CgNBX0I\"}]}",
          "x", "", "" },
        { "{\"code\":\"x\",\"details\":[{\"type\":\"google.rpc.ErrorInfo\",\"value\":\"CgNhX2I\"}]"
          "}",
          "x", "", "" }, /* "a_b" is no reason */
        { "{\"code\":7,\"message\":[],\"details\":{}}", "unknown", "", "" },
        { "{}", "unknown", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *error = json_loads(rows[i].json, 0, NULL);
        struct problem problem;

        assert_non_null(error);
        problem_from_json(&problem, error);
        assert_string_equal(problem.code, rows[i].code);
        assert_string_equal(problem.reason, rows[i].reason);
        assert_string_equal(problem.text, rows[i].text);
        assert_int_not_equal(problem.exit_status, 0);
        json_decref(error);
    }
}

/* Every cut and every changed byte of an ErrorInfo is read without harm. */
static void test_hostile_error_info(void **state)
{
    static const unsigned char good[] = "\x12\x02hi\x0a\x07REASON1\x1a\x04\x0a\x01k\x12";
    char reason[PROBLEM_WORD_BYTES];

    (void)state;
    assert_true(problem_reason_from_bytes(good, sizeof good - 1, reason));
    assert_string_equal(reason, "REASON1");
    for (size_t len = 0; len < sizeof good; len++) {
        unsigned char *copy = malloc(len + 1);
        memcpy(copy, good, len);
        (void)problem_reason_from_bytes(copy, len, reason);
        for (size_t at = 0; at < len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                unsigned char kept = copy[at];
                copy[at] = (unsigned char)byte;
                (void)problem_reason_from_bytes(copy, len, reason);
                copy[at] = kept;
            }
        }
        free(copy);
    }
}

static void test_http_statuses(void **state)
{
    struct problem problem;

    (void)state;
    problem_from_http(&problem, 503);
    assert_int_equal(problem.exit_status, EXIT_UNAVAILABLE);
    problem_from_http(&problem, 403);
    assert_int_equal(problem.exit_status, EXIT_DENIED);
    problem_from_http(&problem, 404); /* no such page is not "no such record" */
    assert_string_equal(problem.code, "unimplemented");
    assert_int_equal(problem.exit_status, EXIT_FAILED);
    problem_from_http(&problem, 302);
    assert_string_equal(problem.code, "unknown");
}

static void test_urls(void **state)
{
    char *url = connect_url("gateway.example:8443");

    (void)state;
    assert_string_equal(url, "https://gateway.example:8443");
    free(url);
    url = connect_url("https://gateway.example:8443//");
    assert_string_equal(url, "https://gateway.example:8443");
    free(url);
    assert_null(connect_url("http://gateway.example"));
    assert_null(connect_url("file:///etc/passwd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_the_reader_may_stop),
        cmocka_unit_test(test_exit_statuses),
        cmocka_unit_test(test_error_objects),
        cmocka_unit_test(test_hostile_error_info),
        cmocka_unit_test(test_http_statuses),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
