/* COPY FROM STDIN on a leased connection. libpq has no COPY in pipeline mode, so the connection leaves
 * it for the time of the copy, once nothing else is under way, and enters it again before anybody is
 * told. An error in mid-copy shows at the end: until then libpq keeps it back and the server discards
 * what comes. */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pg/internal.h"

enum copy_state {
    COPY_WAITING, /* for the statements before it */
    COPY_ASKED,
    COPY_OPEN,
    COPY_ENDING,
};

struct copy {
    enum copy_state state;
    char *sql;
    bool full;        /* the holder was told to wait for lease_copy_writable */
    PGresult *result; /* its command tag */
    struct err *err;
};

void copy_drop(struct conn *conn)
{
    struct copy *copy = conn->copy;
    conn->copy = NULL;
    if (copy == NULL)
        return;
    free(copy->sql);
    free(copy->err);
    PQclear(copy->result);
    free(copy);
}

static void broken(struct conn *conn)
{
    conn->broken = true;
    loop_task_post(conn->source->loop, &conn->task);
}

static void ask(struct conn *conn)
{
    if (PQexitPipelineMode(conn->pg) != 1 || PQsendQuery(conn->pg, conn->copy->sql) != 1) {
        broken(conn);
        return;
    }
    conn->copy->state = COPY_ASKED;
    conn->source->statements++;
}

/* The last result has been read. */
static void finish(struct conn *conn)
{
    struct copy *copy = conn->copy;
    struct err none;
    struct err *err = copy->err;
    if (PQenterPipelineMode(conn->pg) != 1) {
        broken(conn);
        return;
    }
    if (err == NULL && copy->result == NULL) {
        err = &none;
        (void)err_set(err, ERR_INTERNAL, "SOURCE_ERROR",
                      "the owner's database gave no answer; it has been logged");
    }
    conn->copy = NULL;
    conn->source->failures += err != NULL;
    lease_copy_done(conn, err == NULL ? copy->result : NULL, err);
    free(copy->sql);
    free(copy->err);
    PQclear(copy->result);
    free(copy);
}

/* Takes `result`. */
static void take_result(struct copy *copy, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK && copy->state == COPY_ENDING && copy->err == NULL) {
        PQclear(copy->result);
        copy->result = result;
        return;
    }
    if (copy->err == NULL) {
        copy->err = mem_zero(sizeof *copy->err);
        if (status == PGRES_FATAL_ERROR)
            err_from_result(copy->err, result);
        else
            (void)err_set(copy->err, ERR_INTERNAL, "SOURCE_ERROR",
                          "the statement is no COPY FROM STDIN");
    }
    PQclear(result);
}

static void read_results(struct conn *conn)
{
    struct copy *copy = conn->copy;
    while (PQisBusy(conn->pg) == 0) {
        PGresult *result = PQgetResult(conn->pg);
        if (result == NULL) {
            finish(conn);
            return;
        }
        if (PQresultStatus(result) == PGRES_COPY_IN && copy->state == COPY_ASKED) {
            PQclear(result);
            copy->state = COPY_OPEN;
            lease_copy_writable(conn);
            return;
        }
        take_result(copy, result);
    }
}

void copy_step(struct conn *conn)
{
    struct copy *copy = conn->copy;
    if (!conn_usable(conn))
        return;
    if (copy->state == COPY_WAITING && list_empty(&conn->running))
        ask(conn);
    else if (copy->state == COPY_ASKED || copy->state == COPY_ENDING)
        read_results(conn);
    else if (copy->state == COPY_OPEN && copy->full && (conn->io.interest & LOOP_WRITE) == 0) {
        copy->full = false;
        lease_copy_writable(conn);
    }
}

void copy_start(struct conn *conn, const char *sql_text)
{
    assert(conn->copy == NULL);
    conn->copy = mem_zero(sizeof *conn->copy);
    conn->copy->sql = mem_strdup(sql_text);
    copy_step(conn);
    conn_watch(conn);
}

bool copy_put(struct conn *conn, const void *data, size_t len)
{
    struct copy *copy = conn->copy;
    assert(copy != NULL && copy->state == COPY_OPEN && len <= INT_MAX);
    if (!conn_usable(conn))
        return false;
    if (PQputCopyData(conn->pg, data, (int)len) != 1) {
        broken(conn);
        return false;
    }
    conn_watch(conn);
    copy->full = copy->full || (conn->io.interest & LOOP_WRITE) != 0;
    return !copy->full;
}

void copy_end(struct conn *conn)
{
    assert(conn->copy != NULL && conn->copy->state == COPY_OPEN);
    if (!conn_usable(conn))
        return;
    conn->copy->state = COPY_ENDING;
    if (PQputCopyEnd(conn->pg, NULL) != 1) {
        broken(conn);
        return;
    }
    conn_watch(conn);
    /* An error in mid-copy may have been read long before, with nothing more to come. */
    loop_task_post(conn->source->loop, &conn->copy_task);
}

void copy_flushed(struct conn *conn)
{
    if (conn->copy->full)
        loop_task_post(conn->source->loop, &conn->copy_task);
}

void copy_look(void *arg)
{
    struct conn *conn = arg;
    if (conn->pg == NULL || conn->copy == NULL)
        return;
    copy_step(conn);
    conn_watch(conn);
}
