/* audit: a worker's question for a salt is answered once: by the auditor, by its deadline, or never
 * after its cancel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "audit/salt_opener.h"
#include "base/err.h"
#include "base/ids.h"
#include "net/loop.h"

struct bench {
    struct loop *loop;
    struct salt_opener *opener;
    struct loop_timer timer;
    uint64_t asked[SALT_QUESTIONS_MAX + 1]; /* ids of the questions sent */
    size_t sent;
};

struct answer {
    int calls;
    uint8_t salt[SALT_BYTES];
    enum err_code code;
};

static const uint8_t entry_id[UUID_BYTES] = { 7 };
static const uint8_t wrapped[SALT_WRAPPED_BYTES] = { 9 };
static uint8_t salt[SALT_BYTES];

static void on_send(void *arg, const uint8_t *bytes, size_t len)
{
    struct bench *bench = arg;
    Sluice__Internal__IpcMessage *message = sluice__internal__ipc_message__unpack(NULL, len, bytes);
    assert_non_null(message);
    assert_int_equal(message->body_case, SLUICE__INTERNAL__IPC_MESSAGE__BODY_UNWRAP_SALT);
    const Sluice__Internal__UnwrapSalt *question = message->unwrap_salt;
    assert_int_equal(question->entry_id.len, UUID_BYTES);
    assert_memory_equal(question->entry_id.data, entry_id, UUID_BYTES);
    assert_int_equal(question->wrapped.len, SALT_WRAPPED_BYTES);
    assert_memory_equal(question->wrapped.data, wrapped, SALT_WRAPPED_BYTES);
    bench->asked[bench->sent++] = question->id;
    sluice__internal__ipc_message__free_unpacked(message, NULL);
}

static void on_salt(void *arg, const uint8_t *got, const struct err *err)
{
    struct answer *answer = arg;
    answer->calls++;
    assert_true((got == NULL) == (err != NULL));
    answer->code = err != NULL ? err->code : ERR_OK;
    if (got != NULL)
        memcpy(answer->salt, got, SALT_BYTES);
}

static void on_time(void *arg)
{
    loop_stop(arg);
}

static void turn(struct bench *bench, int64_t ms)
{
    loop_timer_start(&bench->timer, ms);
    loop_run(bench->loop);
}

static void setup(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    memset(salt, 0x5a, sizeof salt);
    bench->loop = loop_new();
    bench->opener = salt_opener_new(bench->loop, on_send, bench);
    loop_timer_init(&bench->timer, bench->loop, on_time, bench->loop);
}

static void teardown(struct bench *bench)
{
    salt_opener_free(&bench->opener);
    loop_timer_fini(&bench->timer);
    loop_free(&bench->loop);
}

static struct salt_question *ask(struct bench *bench, struct answer *answer, int64_t wait_ms)
{
    struct err err = ERR_INIT;
    return salt_opener_ask(bench->opener, entry_id, slice_of(wrapped, sizeof wrapped),
                           loop_now_us(bench->loop) + wait_ms * 1000, on_salt, answer, &err);
}

static void reply(struct bench *bench, uint64_t id, size_t len)
{
    Sluice__Internal__SaltUnwrapped message = SLUICE__INTERNAL__SALT_UNWRAPPED__INIT;
    message.id = id;
    message.salt.data = salt;
    message.salt.len = len;
    salt_opener_on_message(bench->opener, &message);
}

static void answers_reach_their_questions(void **state)
{
    (void)state;
    struct bench bench;
    struct answer first = { 0 }, second = { 0 };
    setup(&bench);
    assert_non_null(ask(&bench, &first, 1000));
    assert_non_null(ask(&bench, &second, 1000));
    assert_int_equal(bench.sent, 2);
    reply(&bench, bench.asked[1], SALT_BYTES);
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.salt[31], 0x5a);
    assert_int_equal(salt[31], 0);             /* wiped behind the callback */
    reply(&bench, bench.asked[1], SALT_BYTES); /* twice */
    reply(&bench, 4711, SALT_BYTES);
    assert_int_equal(second.calls, 1);
    reply(&bench, bench.asked[0], 0);
    assert_int_equal(first.calls, 1);
    assert_int_equal(first.code, ERR_DATA_LOSS);
    turn(&bench, 5);
    teardown(&bench);
}

static void the_deadline_answers_when_nobody_does(void **state)
{
    (void)state;
    struct bench bench;
    struct answer answer = { 0 };
    setup(&bench);
    assert_non_null(ask(&bench, &answer, 5));
    assert_int_equal(answer.calls, 0);
    turn(&bench, 50);
    assert_int_equal(answer.calls, 1);
    assert_int_equal(answer.code, ERR_UNAVAILABLE);
    reply(&bench, bench.asked[0], SALT_BYTES);
    assert_int_equal(answer.calls, 1);
    teardown(&bench);
}

static void a_cancelled_question_is_silent(void **state)
{
    (void)state;
    struct bench bench;
    struct answer answer = { 0 };
    setup(&bench);
    struct salt_question *question = ask(&bench, &answer, 5);
    salt_question_cancel(&question);
    assert_null(question);
    salt_question_cancel(&question);
    reply(&bench, bench.asked[0], SALT_BYTES);
    turn(&bench, 50);
    assert_int_equal(answer.calls, 0);
    assert_non_null(ask(&bench, &answer, 1000)); /* dies with the opener */
    teardown(&bench);
    assert_int_equal(answer.calls, 0);
}

static void limits_hold(void **state)
{
    (void)state;
    struct bench bench;
    struct answer answer = { 0 };
    struct err err = ERR_INIT;
    setup(&bench);
    assert_null(salt_opener_ask(bench.opener, entry_id, slice_of(wrapped, sizeof wrapped - 1),
                                INT64_MAX, on_salt, &answer, &err));
    assert_int_equal(err.code, ERR_DATA_LOSS);
    for (size_t i = 0; i < SALT_QUESTIONS_MAX; i++)
        assert_non_null(ask(&bench, &answer, 1000));
    assert_null(ask(&bench, &answer, 1000));
    reply(&bench, bench.asked[5], SALT_BYTES);
    assert_non_null(ask(&bench, &answer, 1000));
    assert_int_equal(answer.calls, 1);
    teardown(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_reach_their_questions),
        cmocka_unit_test(the_deadline_answers_when_nobody_does),
        cmocka_unit_test(a_cancelled_question_is_silent),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
