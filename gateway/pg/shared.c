#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/internal.h"

/* A short lookup on one of the shared connections. Its memory lives until the server has answered,
 * even when nobody waits for the answer any more. */
struct db_call {
    struct list link; /* source->calls */
    struct db_source *source;
    struct statement statement;
    struct loop_timer deadline;
    struct loop_task refused;
    bool sent;
    bool replanned; /* sent again because its table was altered: once */
    struct db_sql
        sql; /* a copy in `copy`: an error that is not its own can make us send it again */
    char *copy;
    db_done_fn done; /* NULL: told, cancelled or late */
    void *arg;
    struct err err; /* for `refused` */
};

static void on_done(struct statement *statement, const PGresult *rows, const struct err *err);

static struct conn *least_busy(const struct db_source *source)
{
    struct conn *best = NULL;
    list_for_each(link, &source->shared)
    {
        struct conn *conn = list_item(link, struct conn, link);
        if (conn->state == CONN_READY && conn_usable(conn) &&
            (best == NULL || conn->in_flight < best->in_flight))
            best = conn;
    }
    return best;
}

static void free_call(struct db_call *call)
{
    list_remove(&call->link);
    loop_timer_fini(&call->deadline);
    loop_task_cancel(&call->refused);
    free(call->copy);
    call->copy = NULL;
    loop_free_later(call->source->loop, call);
}

static void tell(struct db_call *call, const PGresult *rows, const struct err *err)
{
    db_done_fn done = call->done;
    call->done = NULL;
    if (done != NULL && !call->source->freed)
        done(call->arg, rows != NULL ? rows_of(rows) : NULL, err);
}

/* A neighbour failed: alone, it cannot be hurt a second time. Or the owner has altered the table since
 * the statement was prepared: whether the columns still fit is for the reader of the rows to say. */
static bool must_run_again(struct db_call *call, const struct statement *statement)
{
    if (call->done == NULL || call->source->freed)
        return false;
    if (!statement->stale || call->replanned)
        return statement->aborted;
    call->replanned = true;
    return true;
}

/* A stale plan is forgotten on the connection that said so; another one may still have its own. */
static bool send_again(struct db_call *call, struct err *err)
{
    struct conn *conn = call->statement.stale ? call->statement.conn : NULL;
    if (conn == NULL || conn->state != CONN_READY || !conn_usable(conn))
        conn = least_busy(call->source);
    statement_init(&call->statement, NULL, on_done);
    if (conn != NULL)
        return conn_send(conn, &call->statement, &call->sql, true, err) == 0;
    (void)err_set_unavailable(err);
    return false;
}

static void on_done(struct statement *statement, const PGresult *rows, const struct err *err)
{
    struct db_call *call = list_item(statement, struct db_call, statement);
    struct db_source *source = call->source;
    struct err again;
    if (must_run_again(call, statement)) {
        if (send_again(call, &again))
            return;
        err = &again;
    }
    loop_timer_cancel(&call->deadline);
    tell(call, rows, err);
    free_call(call);
    if (source->draining && !source->freed)
        shared_drain(source);
}

static void set_late(struct err *err)
{
    (void)err_set(err, ERR_DEADLINE_EXCEEDED, "SOURCE_TIMEOUT",
                  "the owner's database did not answer before the deadline; try again");
}

static void on_deadline(void *arg)
{
    struct db_call *call = arg;
    struct err err;
    set_late(&err);
    call->source->failures++;
    tell(call, NULL,
         &err); /* a cancel on the server could hit a neighbour: the answer is discarded */
}

static void on_refused(void *arg)
{
    struct db_call *call = arg;
    struct err err = call->err;
    tell(call, NULL, &err);
    free_call(call);
}

/* One piece of memory: the parameters' addresses, their texts, the statement's text. A batch of keys is
 * as large as a peer made it. 0, or -1 with call->err set. */
static int copy_sql(struct db_call *call, const struct db_sql *sql)
{
    size_t lens[DB_PARAMS_MAX], count = (size_t)sql->param_count, text_len = strlen(sql->text) + 1;
    size_t size = count * sizeof(char *) + text_len;
    for (size_t i = 0; i < count; i++) {
        lens[i] = sql->params[i] == NULL ? 0 : strlen(sql->params[i]) + 1;
        size += lens[i];
    }
    call->copy = mem_zero_large(size);
    if (call->copy == NULL)
        return err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "WORKER_MEMORY",
                       "the gateway is short of memory; try again later");
    const char **params = (const char **)(void *)call->copy;
    char *at = call->copy + count * sizeof(char *);
    for (size_t i = 0; i < count; i++) {
        params[i] = sql->params[i] == NULL ? NULL : memcpy(at, sql->params[i], lens[i]);
        at += lens[i];
    }
    call->sql = (struct db_sql){ .text = memcpy(at, sql->text, text_len),
                                 .param_count = sql->param_count,
                                 .params = params };
    return 0;
}

/* 0: on its way; -1: call->err is set. */
static int send_call(struct db_call *call, const struct db_sql *sql, int64_t wait_us)
{
    struct db_source *source = call->source;
    struct conn *conn = least_busy(source);
    if (wait_us <= 0) {
        set_late(&call->err);
        return -1;
    }
    if (conn == NULL) {
        (void)err_set_unavailable(&call->err);
        return err_detail(&call->err, "%s", source->last_err.detail);
    }
    if (conn->in_flight >= source->options.shared_in_flight_max)
        return err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "SOURCE_BUSY",
                       "too many lookups wait for the owner's database; try again");
    if (copy_sql(call, sql) != 0)
        return -1;
    if (!sql->brief)
        return conn_send(conn, &call->statement, &call->sql, true, &call->err);
    return conn_send_joined(conn, &call->statement, &call->sql, &call->err);
}

struct db_call *db_call_start(struct db_source *source, const struct db_sql *sql,
                              int64_t deadline_us, db_done_fn done, void *arg)
{
    assert(done != NULL);
    struct db_call *call = mem_zero(sizeof *call);
    call->source = source;
    call->done = done;
    call->arg = arg;
    list_append(&source->calls, &call->link);
    statement_init(&call->statement, NULL, on_done);
    loop_timer_init(&call->deadline, source->loop, on_deadline, call);
    loop_task_init(&call->refused, on_refused, call);
    int64_t wait_us = deadline_us - loop_now_us(source->loop);
    call->sent = send_call(call, sql, wait_us) == 0;
    if (call->sent) {
        loop_timer_start_us(&call->deadline, wait_us);
    } else {
        source->failures++;
        loop_task_post(source->loop, &call->refused);
    }
    return call;
}

void db_call_cancel(struct db_call **call)
{
    struct db_call *c = *call;
    *call = NULL;
    if (c == NULL || c->done == NULL)
        return;
    c->done = NULL;
    loop_timer_cancel(&c->deadline);
    if (!c->sent)
        free_call(c);
}

void shared_drain(struct db_source *source)
{
    struct conn *kept = NULL;
    list_for_each(link, &source->shared)
    {
        struct conn *conn = list_item(link, struct conn, link);
        if (kept == NULL || (kept->state != CONN_READY && conn->state == CONN_READY))
            kept = conn;
    }
    list_for_each(link, &source->shared)
    {
        struct conn *conn = list_item(link, struct conn, link);
        if (conn != kept && conn->in_flight == 0 && conn->check == NULL)
            conn_retire(conn);
    }
}

void shared_free_all(struct db_source *source)
{
    list_for_each(link, &source->calls)
    {
        struct db_call *call = list_item(link, struct db_call, link);
        db_call_cancel(&call);
    }
}
