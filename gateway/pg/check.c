#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pg/internal.h"

/* One fresh connection under examination. It outlives its connection until the examiner has said
 * its last word, so that the examiner never holds a dead pointer. */
struct db_check {
    struct list link; /* source->checks */
    struct db_source *source;
    struct conn *conn; /* NULL: lost meanwhile */
    struct loop_task start;
    struct loop_task failed; /* a statement that could not be sent */
    struct statement statement;
    bool running;
    db_done_fn done;
    void *done_arg;
    struct err err;
};

static void start(void *arg)
{
    struct db_check *check = arg;
    check->source->connected(check->source->connected_arg, check);
}

void check_start(struct conn *conn)
{
    struct db_source *source = conn->source;
    struct db_check *check = mem_zero(sizeof *check);
    check->source = source;
    check->conn = conn;
    conn->check = check;
    list_append(&source->checks, &check->link);
    loop_task_init(&check->start, start, check);
    loop_task_init(&check->failed, NULL, NULL);
    loop_task_post(source->loop, &check->start);
}

static void check_free(struct db_check *check)
{
    list_remove(&check->link);
    loop_task_cancel(&check->start);
    loop_task_cancel(&check->failed);
    if (check->conn != NULL)
        check->conn->check = NULL;
    loop_free_later(check->source->loop, check);
}

void check_lost(struct conn *conn, const struct err *err)
{
    struct db_check *check = conn->check;
    conn->check = NULL;
    check->conn = NULL;
    check->err = *err;
    /* The examiner has not begun: nothing to end. */
    if (!list_empty(&check->start.link))
        check_free(check);
}

static void deliver(struct db_check *check, const PGresult *rows, const struct err *err)
{
    db_done_fn done = check->done;
    check->running = false;
    check->done = NULL;
    if (done != NULL && !check->source->freed)
        done(check->done_arg, rows != NULL ? rows_of(rows) : NULL, err);
}

static void on_done(struct statement *statement, const PGresult *rows, const struct err *err)
{
    deliver(list_item(statement, struct db_check, statement), rows, err);
}

static void on_failed(void *arg)
{
    struct db_check *check = arg;
    struct err err = check->err;
    deliver(check, NULL, &err);
}

static void begin(struct db_check *check, db_done_fn done, void *arg)
{
    assert(!check->running);
    check->running = true;
    check->done = done;
    check->done_arg = arg;
    statement_init(&check->statement, NULL, on_done);
}

static void fail_later(struct db_check *check)
{
    loop_task_init(&check->failed, on_failed, check);
    loop_task_post(check->source->loop, &check->failed);
}

void db_check_query(struct db_check *check, const struct db_sql *sql, db_done_fn done, void *arg)
{
    begin(check, done, arg);
    if (check->conn == NULL ||
        conn_send(check->conn, &check->statement, sql, false, &check->err) != 0)
        fail_later(check);
}

void db_check_describe(struct db_check *check, const char *sql_text, db_done_fn done, void *arg)
{
    begin(check, done, arg);
    if (check->conn == NULL ||
        conn_send_describe(check->conn, &check->statement, sql_text, &check->err) != 0)
        fail_later(check);
}

void db_check_end(struct db_check *check, const struct err *err)
{
    assert(!check->running);
    struct conn *conn = check->conn;
    check_free(check);
    if (conn == NULL)
        return;
    if (err != NULL)
        conn_fail(conn, err);
    else
        conn_ready(conn);
}

void check_free_all(struct db_source *source)
{
    list_for_each(link, &source->checks) check_free(list_item(link, struct db_check, link));
}
