/* What the tests of pg/ share: a loop that runs until a condition holds, and recorders for
 *   callbacks.
 * Ownership: everything is the test's. Callbacks only record.
 * Limits: a condition that does not come true in 20 s fails the test.
 * Does not start servers (support/postgres.h does). */
#ifndef SLUICE_TESTS_UNIT_PG_HARNESS_H
#define SLUICE_TESTS_UNIT_PG_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "net/loop.h"
#include "pg/db.h"

enum { PATIENCE_MS = 20000 };

struct waiter {
    struct loop *loop;
    struct loop_timer tick;
    bool (*holds)(void *arg);
    void *arg;
    int64_t until_us;
    bool held;
};

static inline void waiter_tick(void *arg)
{
    struct waiter *waiter = arg;
    waiter->held = waiter->holds(waiter->arg);
    if (waiter->held || clock_monotonic_us() > waiter->until_us)
        loop_stop(waiter->loop);
    else
        loop_timer_start(&waiter->tick, 1);
}

/* Answers whether the condition came true within `patience_ms`. */
static inline bool run_until_ms(struct loop *loop, bool (*holds)(void *), void *arg,
                                int patience_ms)
{
    struct waiter waiter = { .loop = loop, .holds = holds, .arg = arg };
    waiter.until_us = clock_monotonic_us() + patience_ms * INT64_C(1000);
    loop_timer_init(&waiter.tick, loop, waiter_tick, &waiter);
    loop_timer_start(&waiter.tick, 0);
    loop_run(loop);
    loop_timer_fini(&waiter.tick);
    return waiter.held;
}

static inline void run_until(struct loop *loop, bool (*holds)(void *), void *arg)
{
    assert_true(run_until_ms(loop, holds, arg, PATIENCE_MS));
}

static inline bool never(void *arg)
{
    (void)arg;
    return false;
}

static inline void run_for(struct loop *loop, int ms)
{
    (void)run_until_ms(loop, never, NULL, ms);
}

static inline int64_t in_ms(int64_t ms)
{
    return clock_monotonic_us() + ms * 1000;
}

/* One answer. */
struct answer {
    int fired;
    enum err_code code;
    const char *reason;
    char text[ERR_TEXT_BYTES];
    char detail[ERR_TEXT_BYTES];
    int rows;
    int columns;
    int64_t first; /* of the first row, an int8 or int4 */
    uint32_t type;
    char tag[32];
    char value[64]; /* of the first row, as text */
};

static inline bool answered(void *arg)
{
    return ((struct answer *)arg)->fired > 0;
}

static inline void take_answer(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct answer *answer = arg;
    answer->fired++;
    answer->code = err != NULL ? err->code : ERR_OK;
    answer->reason = err != NULL ? err->reason : "";
    if (err != NULL) {
        (void)snprintf(answer->text, sizeof answer->text, "%s", err->text);
        (void)snprintf(answer->detail, sizeof answer->detail, "%s", err->detail);
    }
    if (rows == NULL)
        return;
    answer->rows = db_row_count(rows);
    answer->columns = db_column_count(rows);
    answer->type = answer->columns > 0 ? db_column_type(rows, 0) : 0;
    (void)snprintf(answer->tag, sizeof answer->tag, "%s", db_command_tag(rows));
    if (answer->rows == 0 || answer->columns == 0)
        return;
    struct db_value value = db_value(rows, 0, 0);
    answer->first = value.len == 4 ? db_int4(value) : db_int8(value);
    (void)snprintf(answer->value, sizeof answer->value, "%.*s", (int)value.len,
                   (const char *)value.data);
}

/* A lease and its fate. */
struct holder {
    struct db_lease *lease;
    int fired;
    enum err_code code;
    const char *reason;
};

static inline bool held(void *arg)
{
    return ((struct holder *)arg)->fired > 0;
}

static inline void take_lease(void *arg, const struct err *err)
{
    struct holder *holder = arg;
    holder->fired++;
    holder->code = err != NULL ? err->code : ERR_OK;
    holder->reason = err != NULL ? err->reason : "";
    if (err != NULL)
        holder->lease = NULL;
}

static inline bool source_is_up(void *arg)
{
    return db_source_up(arg);
}

static inline struct db_lease *get_lease(struct loop *loop, struct db_source *source)
{
    struct holder holder = { 0 };
    holder.lease = db_lease_start(source, in_ms(10000), take_lease, &holder);
    assert_int_equal(holder.fired, 0);
    run_until(loop, held, &holder);
    assert_int_equal(holder.code, ERR_OK);
    return holder.lease;
}

/* Runs one statement of a lease to its end. */
static inline struct answer execute(struct loop *loop, struct db_lease *lease, const char *text)
{
    struct answer answer = { 0 };
    db_lease_execute(lease, &(struct db_sql){ .text = text }, in_ms(10000), take_answer, &answer);
    assert_int_equal(answer.fired, 0);
    run_until(loop, answered, &answer);
    return answer;
}

/* Runs one shared statement to its end. */
static inline struct answer call(struct loop *loop, struct db_source *source, const char *text,
                                 const char *param)
{
    struct answer answer = { 0 };
    const char *params[] = { param };
    (void)db_call_start(
        source, &(struct db_sql){ .text = text, .param_count = param != NULL, .params = params },
        in_ms(10000), take_answer, &answer);
    assert_int_equal(answer.fired, 0);
    run_until(loop, answered, &answer);
    return answer;
}

/* A database to be written to, up when this answers. */
static inline struct db_source *target_up(struct loop *loop, const char *conninfo)
{
    struct db_source_options options = { .name = "target",
                                         .conninfo = conninfo,
                                         .leased_connections_max = 2,
                                         .connect_timeout_ms = 3000 };
    struct db_source *source = db_source_new(loop, &options);
    run_until(loop, source_is_up, source);
    return source;
}

#endif
