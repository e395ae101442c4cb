#include "net/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

struct loop {
    struct event_base *base;
    struct list tasks;
    struct list graves; /* struct grave, in the order they were dug */
    int64_t now_us;
    bool stopped;
};

struct grave {
    struct list link;
    loop_fn destroy;
    void *object;
};

struct loop *loop_new(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        abort();
    /* Precise timers: leases and deadlines are in milliseconds. */
    (void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
    struct loop *loop = mem_zero(sizeof *loop);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->base == NULL)
        abort();
    list_init(&loop->tasks);
    list_init(&loop->graves);
    loop->now_us = clock_monotonic_us();
    return loop;
}

static void bury(struct loop *loop)
{
    for (struct list *link; (link = list_pop(&loop->graves)) != NULL;) {
        struct grave *grave = list_item(link, struct grave, link);
        grave->destroy(grave->object);
        free(grave);
    }
}

void loop_free(struct loop **loop)
{
    if (*loop == NULL)
        return;
    bury(*loop);
    event_base_free((*loop)->base);
    free(*loop);
    *loop = NULL;
}

static void run_tasks(struct loop *loop)
{
    while (!list_empty(&loop->tasks)) {
        struct loop_task *task = list_item(list_pop(&loop->tasks), struct loop_task, link);
        task->run(task->arg);
    }
}

void loop_run(struct loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        loop->now_us = clock_monotonic_us();
        run_tasks(loop);
        bury(loop);
        if (loop->stopped)
            break;
        /* A destructor may have posted work: do not sleep on it. */
        int flags = EVLOOP_ONCE | (list_empty(&loop->tasks) ? 0 : EVLOOP_NONBLOCK);
        if (event_base_loop(loop->base, flags) != 0)
            break;
    }
    run_tasks(loop);
    bury(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
    (void)event_base_loopbreak(loop->base);
}

int64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

void loop_task_init(struct loop_task *task, loop_fn run, void *arg)
{
    list_init(&task->link);
    task->run = run;
    task->arg = arg;
}

void loop_task_post(struct loop *loop, struct loop_task *task)
{
    if (list_empty(&task->link))
        list_append(&loop->tasks, &task->link);
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->link);
}

void loop_destroy_later(struct loop *loop, loop_fn destroy, void *object)
{
    struct grave *grave = mem_zero(sizeof *grave);
    grave->destroy = destroy;
    grave->object = object;
    list_append(&loop->graves, &grave->link);
}

void loop_free_later(struct loop *loop, void *memory)
{
    loop_destroy_later(loop, free, memory);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop_timer *timer = arg;
    timer->loop->now_us = clock_monotonic_us();
    timer->run(timer->arg);
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_fn run, void *arg)
{
    *timer = (struct loop_timer){ .loop = loop, .run = run, .arg = arg };
    timer->event = evtimer_new(loop->base, on_timer, timer);
    assert(timer->event != NULL);
}

void loop_timer_start_us(struct loop_timer *timer, int64_t delay_us)
{
    if (delay_us < 0)
        delay_us = 0;
    struct timeval delay = { .tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000 };
    (void)evtimer_add(timer->event, &delay);
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    loop_timer_start_us(timer, delay_ms * 1000);
}

void loop_timer_cancel(struct loop_timer *timer)
{
    if (timer->event != NULL)
        (void)evtimer_del(timer->event);
}

void loop_timer_fini(struct loop_timer *timer)
{
    if (timer->event != NULL)
        event_free(timer->event);
    timer->event = NULL;
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct loop_io *io = arg;
    int ready = ((what & EV_READ) != 0 ? LOOP_READ : 0) | ((what & EV_WRITE) != 0 ? LOOP_WRITE : 0);
    io->loop->now_us = clock_monotonic_us();
    io->run(io->arg, ready);
}

void loop_io_init(struct loop_io *io, struct loop *loop, int fd, loop_io_fn run, void *arg)
{
    *io = (struct loop_io){ .loop = loop, .run = run, .arg = arg, .fd = fd };
    io->event = event_new(loop->base, fd, EV_PERSIST, on_io, io);
    assert(io->event != NULL);
}

void loop_io_want(struct loop_io *io, int interest)
{
    if (io->interest == interest || io->event == NULL)
        return;
    short what = (short)(EV_PERSIST | ((interest & LOOP_READ) != 0 ? EV_READ : 0) |
                         ((interest & LOOP_WRITE) != 0 ? EV_WRITE : 0));
    (void)event_del(io->event);
    (void)event_assign(io->event, io->loop->base, io->fd, what, on_io, io);
    if (interest != LOOP_NONE)
        (void)event_add(io->event, NULL);
    io->interest = interest;
}

void loop_io_fini(struct loop_io *io)
{
    if (io->event != NULL)
        event_free(io->event);
    io->event = NULL;
    io->interest = LOOP_NONE;
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop_signal *watch = arg;
    watch->run(watch->arg);
}

void loop_signal_start(struct loop_signal *watch, struct loop *loop, int signal, loop_fn run,
                       void *arg)
{
    *watch = (struct loop_signal){ .run = run, .arg = arg };
    watch->event = evsignal_new(loop->base, signal, on_signal, watch);
    assert(watch->event != NULL);
    (void)evsignal_add(watch->event, NULL);
}

void loop_signal_fini(struct loop_signal *watch)
{
    if (watch->event != NULL)
        event_free(watch->event);
    watch->event = NULL;
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}
