#include <assert.h>
#include <stdlib.h>

#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "pg/internal.h"

static const char *const state_names[CONN_STATE_COUNT] = {
    [CONN_CLOSED] = "closed",         [CONN_BACKOFF] = "backoff",   [CONN_RESOLVING] = "resolving",
    [CONN_CONNECTING] = "connecting", [CONN_CHECKING] = "checking", [CONN_READY] = "ready",
    [CONN_LEASED_OUT] = "leased_out", [CONN_CLEANING] = "cleaning",
};

static const char *const kind_names[] = { "shared", "leased", "control" };

void conn_set_state(struct conn *conn, enum conn_state state)
{
    if (conn->state == state)
        return;
    log_event(LOG_DEBUG, NULL, "database_connection", LOG_STR("source", conn->source->name),
              LOG_STR("kind", kind_names[conn->kind]), LOG_STR("from", state_names[conn->state]),
              LOG_STR("to", state_names[state]));
    conn->state = state;
}

bool conn_usable(const struct conn *conn)
{
    return conn->pg != NULL && !conn->broken && !conn->input_lost;
}

bool conn_is_up(const struct conn *conn)
{
    return conn->pg != NULL && conn->state >= CONN_READY;
}

int64_t backoff_ms(unsigned failures)
{
    int64_t delay = BACKOFF_MAX_MS;
    if (failures < 5 && (BACKOFF_FIRST_MS << failures) < BACKOFF_MAX_MS)
        delay = BACKOFF_FIRST_MS << failures;
    uint16_t random;
    ids_random(&random, sizeof random);
    /* Between half and all of it, so that many gateways do not return in step. */
    return delay / 2 + delay / 2 * random / UINT16_MAX;
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void close_handle(struct conn *conn)
{
    loop_io_fini(&conn->io); /* before libpq closes the descriptor */
    loop_timer_cancel(&conn->timer);
    loop_task_cancel(&conn->task);
    loop_task_cancel(&conn->sync_task);
    conn->segment = 0;
    resolve_abandon(&conn->resolve);
    conn_forget_prepared(conn);
    loop_task_cancel(&conn->copy_task);
    copy_drop(conn);
    if (conn->pg != NULL)
        PQfinish(conn->pg);
    conn->pg = NULL;
    conn->broken = conn->input_lost = conn->paused = false;
}

static void destroy(void *object)
{
    struct conn *conn = object;
    loop_timer_fini(&conn->timer);
    free(conn);
}

void conn_retire(struct conn *conn)
{
    conn_set_state(conn, CONN_CLOSED);
    close_handle(conn);
    list_remove(&conn->link);
    loop_destroy_later(conn->source->loop, destroy, conn);
}

static void report_failure(struct conn *conn, const struct err *err)
{
    struct db_source *source = conn->source;
    source->last_err = *err;
    unsigned failures = conn->kind == CONN_SHARED ? conn->failures : source->lease_failures;
    /* Nobody waits for a background connect, so it is logged here; repeats say nothing new. */
    if (failures == 0) {
        log_event(LOG_WARN, NULL, "database_connection_failed", LOG_STR("source", source->name),
                  LOG_STR("kind", kind_names[conn->kind]), LOG_STR("reason", err->reason),
                  LOG_STR("text", err->text), LOG_STR("detail", err->detail));
    }
}

static void shared_lost(struct conn *conn, bool was_up)
{
    conn->failures = was_up ? 0 : conn->failures + 1;
    conn_set_state(conn, CONN_BACKOFF);
    loop_timer_start(&conn->timer, backoff_ms(conn->failures));
}

static void leased_lost(struct conn *conn, bool was_up, const struct err *err)
{
    struct db_source *source = conn->source;
    source->leased_open--;
    conn_retire(conn);
    if (!was_up) {
        source->lease_failures++;
        source->lease_backoff = true;
        loop_timer_start(&source->lease_retry, backoff_ms(source->lease_failures));
        if (source->leased_open == 0)
            lease_fail_waiting(source, err);
    }
    lease_dispatch(source);
}

void conn_fail(struct conn *conn, const struct err *err)
{
    struct db_source *source = conn->source;
    struct err copy = *err; /* it may lie in something that dies below */
    bool was_up = conn_is_up(conn);
    bool copying = conn->copy != NULL;
    report_failure(conn, &copy);
    if (!was_up)
        source->first_endpoint++;
    close_handle(conn);
    /* The next state is reached before anybody is told: callbacks may start new work. */
    if (conn->kind == CONN_SHARED)
        shared_lost(conn, was_up);
    else if (conn->kind == CONN_LEASED)
        control_forget(conn);
    else
        conn_set_state(conn, CONN_CLOSED);
    if (conn->check != NULL)
        check_lost(conn, &copy);
    conn_fail_statements(conn, &copy);
    if (!source->freed && copying)
        lease_copy_done(conn, NULL, &copy);
    if (!source->freed && conn->lease != NULL)
        lease_conn_lost(conn, &copy);
    if (source->freed)
        return;
    if (conn->kind == CONN_LEASED)
        leased_lost(conn, was_up, &copy);
    else if (conn->kind == CONN_CONTROL)
        control_lost(conn);
}

/* --- connecting ---------------------------------------------------------------------------------
 */

static void fail_with(struct conn *conn, const char *detail)
{
    struct err err;
    (void)err_set_unavailable(&err);
    (void)err_detail(&err, "%s", detail);
    conn_fail(conn, &err);
}

static void established(struct conn *conn)
{
    if (PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) != 1) {
        fail_with(conn, "libpq refuses pipeline mode");
        return;
    }
    loop_io_init(&conn->io, conn->source->loop, PQsocket(conn->pg), conn_on_io, conn);
    conn->timeout_ms = CHECK_TIMEOUT_MS; /* as source_startup_options has set it */
    conn_watch(conn);
    if (conn->kind == CONN_CONTROL || conn->source->connected == NULL) {
        conn_ready(conn);
        return;
    }
    conn_set_state(conn, CONN_CHECKING);
    loop_timer_start(&conn->timer, CHECK_TIMEOUT_MS);
    check_start(conn);
}

static void poll_connect(void *arg, int ready);

/* libpq may close its socket and open another under the same number at every poll, so the watch is
 * taken away before and made anew after each. */
static void poll_again(struct conn *conn, int interest)
{
    int fd = PQsocket(conn->pg);
    if (fd < 0) {
        fail_with(conn, "libpq has no socket");
        return;
    }
    loop_io_init(&conn->io, conn->source->loop, fd, poll_connect, conn);
    loop_io_want(&conn->io, interest);
}

static void poll_connect(void *arg, int ready)
{
    (void)ready;
    struct conn *conn = arg;
    loop_io_fini(&conn->io);
    PostgresPollingStatusType status = PQconnectPoll(conn->pg);
    if (status == PGRES_POLLING_READING) {
        poll_again(conn, LOOP_READ);
    } else if (status == PGRES_POLLING_WRITING) {
        poll_again(conn, LOOP_WRITE);
    } else if (status == PGRES_POLLING_OK) {
        established(conn);
    } else {
        struct err err;
        err_from_connection(&err, conn->pg);
        conn_fail(conn, &err);
    }
}

static void on_resolved(struct conn *conn, const struct endpoint *endpoints, int count)
{
    struct db_source *source = conn->source;
    if (count == 0) {
        fail_with(conn, "no host name of the conninfo could be resolved");
        return;
    }
    struct arena arena;
    arena_init(&arena);
    conn->pg = conninfo_connect(&source->conninfo, endpoints, count,
                                (int)(source->first_endpoint % (unsigned)count),
                                source_startup_options(source, conn->kind, &arena));
    arena_fini(&arena);
    if (conn->pg == NULL)
        abort(); /* no memory for a small object of ours */
    (void)PQsetNoticeReceiver(conn->pg, conn_on_notice, conn);
    conn_set_state(conn, CONN_CONNECTING);
    if (PQstatus(conn->pg) == CONNECTION_BAD) {
        struct err err;
        err_from_connection(&err, conn->pg);
        conn_fail(conn, &err);
        return;
    }
    poll_again(conn, LOOP_WRITE);
}

void conn_open(struct conn *conn)
{
    struct db_source *source = conn->source;
    assert(conn->pg == NULL);
    conn_set_state(conn, CONN_RESOLVING);
    loop_timer_start(&conn->timer, source->options.connect_timeout_ms);
    if (!source->conninfo_valid) {
        struct err err = source->last_err;
        conn_fail(conn, &err);
        return;
    }
    resolve_start(conn, &source->conninfo, on_resolved);
}

void conn_ready(struct conn *conn)
{
    struct db_source *source = conn->source;
    loop_timer_cancel(&conn->timer);
    unsigned failures = conn->kind == CONN_SHARED ? conn->failures : source->lease_failures;
    if (failures > 0 && conn->kind != CONN_CONTROL) {
        source->reconnects++;
        log_event(LOG_INFO, NULL, "database_connection_back", LOG_STR("source", source->name),
                  LOG_STR("kind", kind_names[conn->kind]), LOG_INT("failures", failures));
    }
    if (conn->kind == CONN_SHARED) {
        conn->failures = 0;
        conn_set_state(conn, CONN_READY);
    } else if (conn->kind == CONN_LEASED) {
        source->lease_failures = 0;
        lease_conn_idle(conn);
    } else {
        conn_set_state(conn, CONN_READY);
        control_ready(conn);
    }
}

/* --- time ---------------------------------------------------------------------------------------
 */

/* A server that has said nothing for longer than its own time-outs allow is not coming back on this
 * connection: a machine that vanished sends no reset. */
static void watch_answers(struct conn *conn)
{
    struct db_source *source = conn->source;
    if (conn->in_flight == 0)
        return;
    int64_t patience_ms = CLEAN_MAX_MS;
    if (conn->kind == CONN_SHARED)
        patience_ms = source->options.shared_statement_timeout_ms > 0
                          ? source->options.shared_statement_timeout_ms + ANSWER_GRACE_MS
                          : ANSWER_MAX_MS;
    if (loop_now_us(source->loop) - conn->progress_us > patience_ms * 1000)
        fail_with(conn, "the server has stopped answering");
    else
        loop_timer_start(&conn->timer, WATCH_TICK_MS);
}

static void on_timer(void *arg)
{
    struct conn *conn = arg;
    switch (conn->state) {
    case CONN_BACKOFF:
        conn_open(conn);
        break;
    case CONN_RESOLVING:
        fail_with(conn, "the host name was not resolved in time");
        break;
    case CONN_CONNECTING:
        fail_with(conn, "the connection was not established in time");
        break;
    case CONN_CHECKING:
        fail_with(conn, "the check of the fresh connection took too long");
        break;
    case CONN_READY:
        if (conn->kind == CONN_LEASED)
            lease_conn_expired(conn);
        else
            watch_answers(conn);
        break;
    case CONN_CLEANING:
        clean_on_tick(conn);
        break;
    case CONN_CLOSED:
    case CONN_LEASED_OUT:
    case CONN_STATE_COUNT:
        break;
    }
}

/* A send failed half-way; see send_failed. */
static void on_broken(void *arg)
{
    struct conn *conn = arg;
    struct err err;
    err_from_connection(&err, conn->pg);
    conn_fail(conn, &err);
}

struct conn *conn_new(struct db_source *source, enum conn_kind kind)
{
    struct conn *conn = mem_zero(sizeof *conn);
    conn->source = source;
    conn->kind = kind;
    conn->keep = true;
    list_init(&conn->link);
    list_init(&conn->running);
    strmap_init(&conn->prepared);
    loop_timer_init(&conn->timer, source->loop, on_timer, conn);
    loop_task_init(&conn->task, on_broken, conn);
    loop_task_init(&conn->sync_task, conn_end_segment, conn);
    loop_task_init(&conn->copy_task, copy_look, conn);
    return conn;
}
