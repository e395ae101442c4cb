/* The process's one event loop: descriptors, timers, signals and tasks for the end of the turn.
 * Ownership: loop_new/loop_free; watches, timers and tasks live inside their owner's objects, who
 *   cancels them before it dies.
 * Callbacks: never inside the function that starts them; never after cancel; timers fire once.
 * Limits: single thread, no locks.
 * Does not know TLS, HTTP/2 or PostgreSQL. */
#ifndef SLUICE_NET_LOOP_H
#define SLUICE_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop;
struct event;

typedef void (*loop_fn)(void *arg);

struct loop *loop_new(void);
void loop_free(struct loop **loop);
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Monotonic microseconds, read once a turn. */
int64_t loop_now_us(const struct loop *loop);

/* A task runs once, before the loop waits for events again, in the order posted. */
struct loop_task {
    struct list link;
    loop_fn run;
    void *arg;
};
void loop_task_init(struct loop_task *task, loop_fn run, void *arg);
void loop_task_post(struct loop *loop, struct loop_task *task); /* posting twice runs it once */
void loop_task_cancel(struct loop_task *task);
/* Frees memory when the turn is over, after every task: how objects die late. */
void loop_free_later(struct loop *loop, void *memory);
/* Calls `destroy` with `object` at that moment, for objects that hold more than memory. */
void loop_destroy_later(struct loop *loop, loop_fn destroy, void *object);

struct loop_timer {
    struct event *event;
    struct loop *loop;
    loop_fn run;
    void *arg;
};
void loop_timer_init(struct loop_timer *timer, struct loop *loop, loop_fn run, void *arg);
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms); /* restarts when running */
void loop_timer_start_us(struct loop_timer *timer, int64_t delay_us);
void loop_timer_cancel(struct loop_timer *timer);
void loop_timer_fini(struct loop_timer *timer);

enum loop_interest { LOOP_NONE = 0, LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void (*loop_io_fn)(void *arg, int ready); /* ready: LOOP_READ and/or LOOP_WRITE */

/* Level-triggered watch of one descriptor, which stays the owner's to close, after loop_io_fini. */
struct loop_io {
    struct event *event;
    struct loop *loop;
    loop_io_fn run;
    void *arg;
    int fd;
    int interest;
};
void loop_io_init(struct loop_io *io, struct loop *loop, int fd, loop_io_fn run, void *arg);
void loop_io_want(struct loop_io *io, int interest); /* cheap when nothing changes */
void loop_io_fini(struct loop_io *io);

struct loop_signal {
    struct event *event;
    loop_fn run;
    void *arg;
};
void loop_signal_start(struct loop_signal *watch, struct loop *loop, int signal, loop_fn run,
                       void *arg);
void loop_signal_fini(struct loop_signal *watch);

/* For libraries that need the base itself (evhttp of the ops listener). */
struct event_base *loop_event_base(struct loop *loop);

#endif
