/* net: tasks, timers and late death on the loop; frames and descriptors between processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/ipc.h"
#include "net/loop.h"

struct trace {
    struct loop *loop;
    struct loop_task first;
    struct loop_task second;
    struct loop_timer timer;
    char text[64];
};

static void note(struct trace *trace, const char *text)
{
    (void)strncat(trace->text, text, sizeof trace->text - strlen(trace->text) - 1);
}

static void run_second(void *arg)
{
    struct trace *trace = arg;
    note(trace, "2");
    loop_stop(trace->loop);
}

static void run_first(void *arg)
{
    struct trace *trace = arg;
    note(trace, "1");
    loop_task_post(trace->loop, &trace->second);
    note(trace, "-"); /* a task never runs inside the call that posts it */
}

static void tasks_run_once_in_order_and_not_after_cancel(void **state)
{
    (void)state;
    struct trace trace = { .loop = loop_new() };
    struct loop_task never;
    loop_task_init(&trace.first, run_first, &trace);
    loop_task_init(&trace.second, run_second, &trace);
    loop_task_init(&never, run_second, &trace);
    loop_task_post(trace.loop, &trace.first);
    loop_task_post(trace.loop, &trace.first);
    loop_task_post(trace.loop, &never);
    loop_task_cancel(&never);
    loop_run(trace.loop);
    assert_string_equal(trace.text, "1-2");
    loop_free(&trace.loop);
}

static void destroy_note(void *arg)
{
    note(arg, "d");
}

static void on_time(void *arg)
{
    struct trace *trace = arg;
    note(trace, "t");
    loop_destroy_later(trace->loop, destroy_note, trace);
    loop_task_post(trace->loop, &trace->second);
    note(trace, "-");
}

static void objects_die_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct trace trace = { .loop = loop_new() };
    loop_task_init(&trace.second, run_second, &trace);
    loop_timer_init(&trace.timer, trace.loop, on_time, &trace);
    loop_timer_start(&trace.timer, 60000);
    loop_timer_start(&trace.timer, 1); /* restarts, does not add */
    loop_run(trace.loop);
    assert_string_equal(trace.text, "t-2d");
    loop_timer_fini(&trace.timer);
    loop_free(&trace.loop);
}

/* --- frames ---------------------------------------------------------------------------------- */

struct peer {
    struct loop *loop;
    int messages;
    int closed;
    size_t bytes;
    int fd;
    int stop_after;
};

static void on_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    struct peer *peer = arg;
    peer->messages++;
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_STATS)
        peer->bytes += message->stats->text.len;
    if (fd >= 0)
        peer->fd = fd;
    if (peer->messages == peer->stop_after)
        loop_stop(peer->loop);
}

static void on_closed(void *arg)
{
    struct peer *peer = arg;
    peer->closed++;
    loop_stop(peer->loop);
}

static const struct ipc_handlers handlers = { .message = on_message, .closed = on_closed };

static void send_stats(struct ipc *ipc, size_t len)
{
    Sluice__Internal__Stats stats = SLUICE__INTERNAL__STATS__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    stats.text.data = calloc(1, len);
    stats.text.len = len;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_STATS;
    message.stats = &stats;
    ipc_send(ipc, &message);
    free(stats.text.data);
}

static void frames_of_any_size_arrive_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 1000, 300000, 5000000, 17 };
    struct peer peer = { .loop = loop_new(), .fd = -1, .stop_after = 6 };
    int pair[2];
    ipc_pair(pair);
    struct ipc *sender = ipc_new(peer.loop, pair[0], &handlers, &peer);
    struct ipc *receiver = ipc_new(peer.loop, pair[1], &handlers, &peer);
    size_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        send_stats(sender, sizes[i]);
        total += sizes[i];
    }
    loop_run(peer.loop);
    assert_int_equal(peer.messages, 6);
    assert_int_equal(peer.bytes, total);
    ipc_free(&sender);
    ipc_free(&receiver);
    loop_free(&peer.loop);
}

static void descriptors_ride_with_their_message(void **state)
{
    (void)state;
    struct peer peer = { .loop = loop_new(), .fd = -1, .stop_after = 3 };
    int pair[2];
    int ends[2];
    ipc_pair(pair);
    assert_int_equal(pipe(ends), 0);
    struct ipc *sender = ipc_new(peer.loop, pair[0], &handlers, &peer);
    struct ipc *receiver = ipc_new(peer.loop, pair[1], &handlers, &peer);
    Sluice__Internal__Attach attach = SLUICE__INTERNAL__ATTACH__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_ATTACH;
    message.attach = &attach;
    send_stats(sender, 1000000);
    ipc_send_fd(sender, &message, ends[1]);
    send_stats(sender, 10);
    (void)close(ends[1]);
    loop_run(peer.loop);
    assert_true(peer.fd >= 0);
    assert_int_equal(write(peer.fd, "x", 1), 1);
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    (void)close(peer.fd);
    (void)close(ends[0]);
    ipc_free(&sender);
    ipc_free(&receiver);
    loop_free(&peer.loop);
}

static void a_dead_or_mad_partner_is_reported_once(void **state)
{
    (void)state;
    static const uint8_t mad[][8] = { { 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0 },
                                      { 0, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF } };
    for (int i = 0; i < 3; i++) {
        struct peer peer = { .loop = loop_new(), .fd = -1 };
        int pair[2];
        ipc_pair(pair);
        struct ipc *receiver = ipc_new(peer.loop, pair[1], &handlers, &peer);
        if (i < 2)
            assert_int_equal(send(pair[0], mad[i], sizeof mad[i], 0), sizeof mad[i]);
        else
            (void)close(pair[0]);
        loop_run(peer.loop);
        assert_int_equal(peer.closed, 1);
        assert_int_equal(peer.messages, 0);
        ipc_free(&receiver);
        if (i < 2)
            (void)close(pair[0]);
        loop_free(&peer.loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_once_in_order_and_not_after_cancel),
        cmocka_unit_test(objects_die_at_the_end_of_the_turn),
        cmocka_unit_test(frames_of_any_size_arrive_whole),
        cmocka_unit_test(descriptors_ride_with_their_message),
        cmocka_unit_test(a_dead_or_mad_partner_is_reported_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
