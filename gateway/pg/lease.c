#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pg/internal.h"

enum lease_state {
    LEASE_WAITING,
    LEASE_REFUSED, /* its error is on the way */
    LEASE_GRANTED, /* its connection is on the way */
    LEASE_HELD,
    LEASE_RUNNING,
};

/* Lives until the connection has done with it, which may be after the lease. */
struct lease_statement {
    struct statement base;
    struct db_lease *lease; /* NULL: nobody waits, rows are discarded */
    /* Of a COMMIT sent together with what it commits: that one's answer. */
    PGresult *body_rows;
    struct err *body_err;
};

/* What stands between a BEGIN and a COMMIT that are sent with it. */
struct body_statement {
    struct statement base;
    struct lease_statement *commit; /* ends later, so it is there */
    bool orphan;                    /* the COMMIT could not be sent: nobody reads the answer */
};

struct db_lease {
    struct list link; /* source->waiting or source->leases */
    struct db_source *source;
    struct conn *conn; /* NULL: not yet, or lost */
    enum lease_state state;
    db_lease_fn ready;
    void *ready_arg;
    struct loop_task task; /* tells what a start function has found out */
    struct loop_task resume;
    struct loop_timer deadline; /* of the wait, then of each statement */
    int64_t wait_until_us;
    struct lease_statement *running;
    bool copying;
    db_writable_fn writable;
    bool unusable; /* a statement overran or the connection is lost */
    db_row_fn row;
    db_done_fn done;
    void *arg;
    db_notify_fn notify;
    void *notify_arg;
    struct err err; /* for `task`; the reason of `unusable` */
};

/* --- the queue ----------------------------------------------------------------------------------
 */

static void move_to_leases(struct db_lease *lease, enum lease_state state)
{
    if (lease->state == LEASE_WAITING)
        lease->source->waiting_count--;
    list_remove(&lease->link);
    list_append(&lease->source->leases, &lease->link);
    lease->state = state;
    loop_task_post(lease->source->loop, &lease->task);
}

static void refuse(struct db_lease *lease, const struct err *err)
{
    lease->err = *err;
    lease->source->failures++;
    move_to_leases(lease, LEASE_REFUSED);
}

static void grant(struct db_lease *lease, struct conn *conn)
{
    loop_timer_cancel(&conn->timer);
    conn_set_state(conn, CONN_LEASED_OUT);
    conn->lease = lease;
    lease->conn = conn;
    move_to_leases(lease, LEASE_GRANTED);
}

void lease_fail_waiting(struct db_source *source, const struct err *err)
{
    struct err told;
    (void)err_set_unavailable(&told);
    (void)err_detail(&told, "%s", err->detail);
    while (!list_empty(&source->waiting))
        refuse(list_item(source->waiting.next, struct db_lease, link), &told);
}

static void open_one(struct db_source *source)
{
    struct conn *conn = conn_new(source, CONN_LEASED);
    list_append(&source->leased, &conn->link);
    source->leased_open++;
    conn_open(conn);
}

static struct conn *find_idle(const struct db_source *source, int *opening_r)
{
    *opening_r = 0;
    struct conn *idle = NULL;
    list_for_each(link, &source->leased)
    {
        struct conn *conn = list_item(link, struct conn, link);
        if (conn->state == CONN_READY && conn_usable(conn))
            idle = conn; /* always from the same end: the others grow old and are closed */
        *opening_r += conn->state < CONN_READY;
    }
    return idle;
}

void lease_dispatch(struct db_source *source)
{
    if (source->freed)
        return;
    while (!list_empty(&source->waiting)) {
        int opening;
        struct conn *idle = find_idle(source, &opening);
        if (idle != NULL)
            grant(list_item(source->waiting.next, struct db_lease, link), idle);
        else if (opening < source->waiting_count && !source->lease_backoff &&
                 source->leased_open < source->options.leased_connections_max)
            open_one(source);
        else
            break;
    }
    if (!list_empty(&source->waiting) && source->leased_open == 0)
        lease_fail_waiting(source, &source->last_err);
    /* Without shared connections one leased connection tells whether the source is up. */
    if (source->options.shared_connections == 0 && source->options.leased_connections_max > 0 &&
        source->leased_open == 0 && !source->lease_backoff && !source->draining)
        open_one(source);
}

void lease_on_retry(void *arg)
{
    struct db_source *source = arg;
    source->lease_backoff = false;
    lease_dispatch(source);
}

static void free_lease(struct db_lease *lease)
{
    if (lease->state == LEASE_WAITING)
        lease->source->waiting_count--;
    list_remove(&lease->link);
    loop_task_cancel(&lease->task);
    loop_task_cancel(&lease->resume);
    loop_timer_fini(&lease->deadline);
    if (lease->running != NULL)
        lease->running->lease = NULL;
    if (lease->conn != NULL)
        lease->conn->lease = NULL;
    loop_free_later(lease->source->loop, lease);
}

/* --- statements ---------------------------------------------------------------------------------
 */

static void end_running(struct db_lease *lease, const PGresult *rows, const struct err *err)
{
    loop_timer_cancel(&lease->deadline);
    lease->running = NULL;
    lease->copying = false;
    lease->state = LEASE_HELD;
    db_done_fn done = lease->done;
    lease->done = NULL;
    lease->row = NULL;
    done(lease->arg, rows != NULL ? rows_of(rows) : NULL, err);
}

static void on_row(struct statement *statement, const PGresult *row)
{
    struct db_lease *lease = ((struct lease_statement *)statement)->lease;
    if (lease != NULL)
        lease->row(lease->arg, rows_of(row));
}

static void on_done(struct statement *statement, const PGresult *rows, const struct err *err)
{
    struct lease_statement *mine = (struct lease_statement *)statement;
    struct db_lease *lease = mine->lease;
    struct conn *conn = statement->conn;
    if (mine->body_rows != NULL && err == NULL)
        rows = mine->body_rows;
    if (mine->body_err != NULL && (err == NULL || err->code != ERR_WRITE_UNCERTAIN))
        err = mine->body_err; /* says more than that the transaction was rolled back */
    loop_free_later(conn->source->loop, mine);
    if (conn->timeout_in_transaction && conn->pg != NULL &&
        PQtransactionStatus(conn->pg) == PQTRANS_IDLE) {
        conn->timeout_in_transaction = false; /* a rollback would have taken the setting back */
        conn->timeout_ms = -1;
    }
    PGresult *body_rows = mine->body_rows;
    struct err *body_err = mine->body_err;
    if (lease != NULL)
        end_running(lease, err == NULL ? rows : NULL, err);
    else
        clean_step(conn);
    PQclear(body_rows);
    free(body_err);
}

static void on_body(struct statement *statement, const PGresult *rows, const struct err *err)
{
    struct body_statement *body = (struct body_statement *)statement;
    if (body->orphan)
        free(body->commit);
    else if (err != NULL)
        body->commit->body_err = mem_dup(err, sizeof *err);
    else
        body->commit->body_rows = PQcopyResult(rows, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
    loop_free_later(statement->conn->source->loop, body);
}

static void set_late(struct err *err, enum write_kind write)
{
    if (write != WRITE_NONE)
        (void)err_set(err, ERR_WRITE_UNCERTAIN, "WRITE_UNCERTAIN",
                      "whether the change took place is not known yet; ask for its state before "
                      "trying again");
    else
        (void)err_set(err, ERR_DEADLINE_EXCEEDED, "SOURCE_TIMEOUT",
                      "the owner's database did not answer before the deadline; narrow the request "
                      "or try again");
}

/* The server ends the statement by itself at about the same time; the lease is of no more use. */
static void overrun(struct db_lease *lease)
{
    struct err err;
    set_late(&err, lease->running != NULL ? lease->running->base.write : WRITE_NONE);
    if (lease->running != NULL)
        lease->running->lease = NULL;
    lease->unusable = true;
    (void)err_set_unavailable(&lease->err);
    (void)err_detail(&lease->err, "an earlier statement of the lease overran its deadline");
    lease->source->failures++;
    end_running(lease, NULL, &err);
}

static void on_deadline(void *arg)
{
    struct db_lease *lease = arg;
    struct err err;
    switch (lease->state) {
    case LEASE_WAITING:
        (void)err_set(&err, ERR_DEADLINE_EXCEEDED, "SOURCE_BUSY",
                      "no connection to the owner's database became free before the deadline; try "
                      "again later");
        refuse(lease, &err);
        break;
    case LEASE_RUNNING:
        if (lease->running != NULL || lease->copying)
            overrun(lease);
        break;
    case LEASE_REFUSED:
    case LEASE_GRANTED:
    case LEASE_HELD:
        break;
    }
}

/* What start functions have posted. */
static void on_task(void *arg)
{
    struct db_lease *lease = arg;
    struct err err = lease->err;
    loop_timer_cancel(&lease->deadline);
    if (lease->state == LEASE_REFUSED) {
        struct db_source *source = lease->source;
        lease->ready(lease->ready_arg, &err);
        /* The holder may have released it, or freed the whole source. */
        if (!source->freed && lease->source != NULL)
            free_lease(lease);
    } else if (lease->state == LEASE_GRANTED) {
        lease->state = LEASE_HELD;
        lease->ready(lease->ready_arg, NULL);
    } else if (lease->state == LEASE_RUNNING) {
        end_running(lease, NULL, &err);
    }
}

static void on_resume(void *arg)
{
    struct db_lease *lease = arg;
    if (lease->conn != NULL && lease->conn->pg != NULL && !lease->conn->paused)
        conn_resume(lease->conn);
}

/* statement_timeout follows the deadline: one more small statement in the same packet, left out
 * when the last setting is close enough. */
static void set_timeout(struct conn *conn, int64_t wait_ms)
{
    PGTransactionStatusType transaction = PQtransactionStatus(conn->pg);
    bool fits = conn->timeout_ms >= wait_ms && conn->timeout_ms <= wait_ms + TIMEOUT_SLACK_MS;
    if (fits || transaction == PQTRANS_INERROR)
        return; /* a failed transaction accepts nothing but its end */
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)wait_ms);
    const char *params[] = { text };
    conn_send_quiet(conn,
                    &(struct db_sql){
                        .text = "SELECT pg_catalog.set_config('statement_timeout', $1, false)",
                        .param_count = 1,
                        .params = params,
                    });
    conn->timeout_ms = wait_ms;
    conn->timeout_in_transaction = transaction == PQTRANS_INTRANS;
}

/* 0 when a statement may be sent now, or -1 with lease->err set. */
static int may_send(struct db_lease *lease, int64_t wait_us)
{
    if (lease->unusable)
        return -1;
    if (wait_us <= 0) {
        set_late(&lease->err, WRITE_NONE); /* nothing has been sent */
        return -1;
    }
    if (!conn_usable(lease->conn)) {
        (void)err_set_unavailable(&lease->err);
        return err_detail(&lease->err, "the connection is closing");
    }
    int64_t wait_ms = (wait_us + 999) / 1000;
    set_timeout(lease->conn, wait_ms < INT_MAX ? wait_ms : INT_MAX);
    lease->conn->paused = false;
    return 0;
}

/* 0, or -1 with lease->err set. */
static int send_statement(struct db_lease *lease, const struct db_sql *sql, enum write_kind write)
{
    struct lease_statement *mine = mem_zero(sizeof *mine);
    statement_init(&mine->base, lease->row != NULL ? on_row : NULL, on_done);
    mine->base.write = write;
    mine->lease = lease;
    if (conn_send(lease->conn, &mine->base, sql, lease->row == NULL, &lease->err) != 0) {
        free(mine);
        return -1;
    }
    lease->running = mine;
    return 0;
}

static enum write_kind write_kind(const struct db_lease *lease, const struct db_sql *sql)
{
    PGTransactionStatusType transaction = PQtransactionStatus(lease->conn->pg);
    enum write_kind write =
        sql_write_kind(sql->text, transaction == PQTRANS_INTRANS || transaction == PQTRANS_INERROR);
    return write == WRITE_AUTOCOMMIT && lease->source->options.read_only ? WRITE_NONE : write;
}

/* A half-sent transaction ends with its connection: send_failed sees to that. */
static int send_transaction(struct db_lease *lease, const struct db_sql *sql)
{
    struct conn *conn = lease->conn;
    struct lease_statement *commit = mem_zero(sizeof *commit);
    struct body_statement *body = mem_zero(sizeof *body);
    statement_init(&body->base, NULL, on_body);
    statement_init(&commit->base, NULL, on_done);
    commit->base.write = WRITE_COMMIT;
    body->commit = commit;
    conn_send_quiet(conn, &(struct db_sql){ .text = "BEGIN" });
    if (conn_send(conn, &body->base, sql, true, &lease->err) != 0) {
        free(body);
        free(commit);
        return -1;
    }
    if (conn_send(conn, &commit->base, &(struct db_sql){ .text = "COMMIT" }, true, &lease->err) !=
        0) {
        body->orphan = true;
        return -1;
    }
    commit->lease = lease;
    lease->running = commit;
    return 0;
}

static void run(struct db_lease *lease, const struct db_sql *sql, bool transact,
                int64_t deadline_us, db_row_fn row, db_done_fn done, void *arg)
{
    assert(lease->state == LEASE_HELD && done != NULL);
    lease->state = LEASE_RUNNING;
    lease->row = row;
    lease->done = done;
    lease->arg = arg;
    int64_t wait_us = deadline_us - loop_now_us(lease->source->loop);
    int sent = may_send(lease, wait_us);
    if (sent == 0)
        sent = transact ? send_transaction(lease, sql)
                        : send_statement(lease, sql, write_kind(lease, sql));
    if (sent == 0)
        loop_timer_start_us(&lease->deadline, wait_us);
    else
        loop_task_post(lease->source->loop, &lease->task);
}

/* --- what db.h promises -------------------------------------------------------------------------
 */

struct db_lease *db_lease_start(struct db_source *source, int64_t deadline_us, db_lease_fn ready,
                                void *arg)
{
    assert(source->options.leased_connections_max > 0);
    struct db_lease *lease = mem_zero(sizeof *lease);
    lease->source = source;
    lease->ready = ready;
    lease->ready_arg = arg;
    list_append(&source->waiting, &lease->link);
    source->waiting_count++;
    loop_task_init(&lease->task, on_task, lease);
    loop_task_init(&lease->resume, on_resume, lease);
    loop_timer_init(&lease->deadline, source->loop, on_deadline, lease);
    lease->wait_until_us = deadline_us;
    loop_timer_start_us(&lease->deadline, deadline_us - loop_now_us(source->loop));
    if (source->waiting_count > LEASE_WAITERS_MAX) {
        struct err err;
        (void)err_set(&err, ERR_RESOURCE_EXHAUSTED, "SOURCE_BUSY",
                      "too many requests wait for the owner's database; try again later");
        refuse(lease, &err);
    } else {
        lease_dispatch(source);
    }
    return lease;
}

void db_lease_query(struct db_lease *lease, const struct db_sql *sql, int64_t deadline_us,
                    db_row_fn row, db_done_fn done, void *arg)
{
    assert(row != NULL);
    run(lease, sql, false, deadline_us, row, done, arg);
}

void db_lease_execute(struct db_lease *lease, const struct db_sql *sql, int64_t deadline_us,
                      db_done_fn done, void *arg)
{
    run(lease, sql, false, deadline_us, NULL, done, arg);
}

void db_lease_transact(struct db_lease *lease, const struct db_sql *sql, int64_t deadline_us,
                       db_done_fn done, void *arg)
{
    run(lease, sql, true, deadline_us, NULL, done, arg);
}

void db_lease_copy(struct db_lease *lease, const char *sql_text, int64_t deadline_us,
                   db_writable_fn writable, db_done_fn done, void *arg)
{
    assert(lease->state == LEASE_HELD && done != NULL && writable != NULL);
    lease->state = LEASE_RUNNING;
    lease->writable = writable;
    lease->done = done;
    lease->arg = arg;
    int64_t wait_us = deadline_us - loop_now_us(lease->source->loop);
    if (may_send(lease, wait_us) < 0) {
        loop_task_post(lease->source->loop, &lease->task);
        return;
    }
    lease->copying = true;
    loop_timer_start_us(&lease->deadline, wait_us);
    copy_start(lease->conn, sql_text);
}

bool db_lease_copy_put(struct db_lease *lease, const void *data, size_t len)
{
    return lease->conn != NULL && copy_put(lease->conn, data, len);
}

void db_lease_copy_end(struct db_lease *lease)
{
    if (lease->conn != NULL)
        copy_end(lease->conn);
}

void lease_copy_writable(struct conn *conn)
{
    struct db_lease *lease = conn->lease;
    if (lease != NULL && lease->copying)
        lease->writable(lease->arg);
}

void lease_copy_done(struct conn *conn, const PGresult *rows, const struct err *err)
{
    struct db_lease *lease = conn->lease;
    if (lease != NULL && lease->copying)
        end_running(lease, rows, err);
}

void db_lease_pause(struct db_lease *lease)
{
    if (lease->running == NULL || lease->conn == NULL)
        return;
    lease->conn->paused = true;
    conn_watch(lease->conn);
}

void db_lease_resume(struct db_lease *lease)
{
    if (lease->conn == NULL || !lease->conn->paused || lease->unusable)
        return;
    lease->conn->paused = false;
    loop_task_post(lease->source->loop, &lease->resume);
}

void db_lease_on_notify(struct db_lease *lease, db_notify_fn run_fn, void *arg)
{
    lease->notify = run_fn;
    lease->notify_arg = arg;
    if (lease->conn != NULL)
        lease->conn->keep = false; /* its LISTENs are not for the next user */
}

void db_lease_release(struct db_lease **lease)
{
    struct db_lease *l = *lease;
    *lease = NULL;
    if (l == NULL || l->source == NULL)
        return;
    struct conn *conn = l->conn;
    free_lease(l);
    l->source = NULL;
    if (conn != NULL && conn->pg != NULL)
        clean_start(conn);
}

/* --- what happens to its connections -------------------------------------------------------------
 */

void lease_conn_idle(struct conn *conn)
{
    struct db_source *source = conn->source;
    if (source->draining || !conn->keep) {
        source->leased_open--;
        conn_retire(conn);
    } else {
        conn_set_state(conn, CONN_READY);
        loop_timer_start(&conn->timer, IDLE_CLOSE_MS);
    }
    lease_dispatch(source);
}

void lease_conn_expired(struct conn *conn)
{
    struct db_source *source = conn->source;
    if (source->options.shared_connections == 0 && source->leased_open == 1) {
        loop_timer_start(&conn->timer, IDLE_CLOSE_MS);
        return;
    }
    source->leased_open--;
    conn_retire(conn);
}

void lease_conn_lost(struct conn *conn, const struct err *err)
{
    struct db_lease *lease = conn->lease;
    conn->lease = NULL;
    lease->conn = NULL;
    if (lease->state == LEASE_GRANTED) {
        /* Nobody knows of it yet: back to the head of the queue. */
        loop_task_cancel(&lease->task);
        lease->state = LEASE_WAITING;
        lease->source->waiting_count++;
        list_remove(&lease->link);
        list_prepend(&lease->source->waiting, &lease->link);
        loop_timer_start_us(&lease->deadline,
                            lease->wait_until_us - loop_now_us(lease->source->loop));
        return;
    }
    lease->unusable = true;
    lease->err = *err;
    if (lease->notify != NULL)
        lease->notify(lease->notify_arg, NULL, NULL);
}

void lease_conn_notified(struct conn *conn)
{
    for (PGnotify *note; conn->pg != NULL && (note = PQnotifies(conn->pg)) != NULL;
         PQfreemem(note)) {
        struct db_lease *lease = conn->lease;
        if (lease != NULL && lease->notify != NULL)
            lease->notify(lease->notify_arg, note->relname, note->extra);
    }
}

void lease_drain(struct db_source *source)
{
    list_for_each(link, &source->leased)
    {
        struct conn *conn = list_item(link, struct conn, link);
        if (conn->state == CONN_READY)
            lease_conn_idle(conn);
    }
}

void lease_free_all(struct db_source *source)
{
    list_for_each(link, &source->leases) free_lease(list_item(link, struct db_lease, link));
    list_for_each(link, &source->waiting) free_lease(list_item(link, struct db_lease, link));
}
