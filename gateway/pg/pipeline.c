#include <assert.h>
#include <ctype.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "pg/internal.h"

enum {
    BINARY = 1,
    SEGMENT_MAX = 32, /* statements between two Syncs: what one error makes run again */
};

/* --- prepared statements --------------------------------------------------------------------- */

static void prepared_unref(struct prepared **prepared)
{
    struct prepared *p = *prepared;
    *prepared = NULL;
    if (p == NULL || --p->refs > 0)
        return;
    free(p->sql);
    free(p->err);
    free(p);
}

/* NULL: the cache is full, the statement runs unnamed. */
static struct prepared *prepared_get(struct conn *conn, const char *sql_text)
{
    struct prepared *p = strmap_get(&conn->prepared, sql_text);
    if (p != NULL || conn->prepared.count >= PREPARED_MAX)
        return p;
    p = mem_zero(sizeof *p);
    p->sql = mem_strdup(sql_text);
    p->refs = 1;
    (void)snprintf(p->name, sizeof p->name, "s%llu", (unsigned long long)++conn->prepared_count);
    (void)strmap_set(&conn->prepared, p->sql, p);
    return p;
}

/* The next use prepares it again. */
static void prepared_forget(struct conn *conn, struct prepared *p)
{
    if (strmap_get(&conn->prepared, p->sql) != p)
        return;
    (void)strmap_remove(&conn->prepared, p->sql);
    prepared_unref(&p);
}

void conn_forget_prepared(struct conn *conn)
{
    size_t pos = 0;
    const char *key;
    void *value;
    while (strmap_next(&conn->prepared, &pos, &key, &value)) {
        struct prepared *p = value;
        prepared_unref(&p);
    }
    strmap_fini(&conn->prepared);
}

/* --- sending ------------------------------------------------------------------------------------
 */

void statement_init(struct statement *statement, statement_row_fn row, statement_done_fn done)
{
    *statement = (struct statement){ .row = row, .done = done };
    list_init(&statement->link);
}

/* The statement that the next result is about: the first of the segment that has no answer yet, or its
 * last one, whose commit can still fail at the Sync. NULL when nothing is running. */
static struct statement *current(const struct conn *conn)
{
    list_for_each(link, &conn->running)
    {
        struct statement *statement = list_item(link, struct statement, link);
        if (statement->commands > 0 || statement->ends_segment)
            return statement;
    }
    return NULL;
}

/* Single-row mode can be chosen only while the query is at the head of libpq's queue and none of
 * its answer has been parsed: right after sending, after the Sync before it, or after its own
 * Parse. */
static void choose_row_mode(struct conn *conn)
{
    struct statement *head = current(conn);
    if (head == NULL)
        return;
    if (head->row != NULL && head->commands > 0 && !head->parsing && !head->single_row)
        head->single_row = PQsetSingleRowMode(conn->pg) == 1;
}

/* Statements behind a half-sent one cannot be told apart any more: the connection ends this turn.
 */
static int send_failed(struct conn *conn, struct statement *statement, struct err *err)
{
    err_from_connection(err, conn->pg);
    prepared_unref(&statement->prepared);
    conn->broken = true;
    loop_task_post(conn->source->loop, &conn->task);
    return -1;
}

/* Ends the open segment. libpq 15 writes to the socket at every Sync. */
static int end_segment(struct conn *conn)
{
    loop_task_cancel(&conn->sync_task);
    conn->segment = 0;
    conn->source->syncs++;
    list_item(conn->running.prev, struct statement, link)->ends_segment = true;
    return PQpipelineSync(conn->pg) == 1 ? 0 : -1;
}

void conn_end_segment(void *arg)
{
    struct conn *conn = arg;
    if (conn->segment == 0 || conn->pg == NULL || conn->broken)
        return;
    if (end_segment(conn) != 0) {
        conn->broken = true;
        loop_task_post(conn->source->loop, &conn->task);
    }
    conn_watch(conn);
}

/* With a Sync of its own, an error hurts no neighbour; `joined`: it shares one with what else is sent in
 * this turn of the loop, and whoever sends it can send it again (see conn_send_joined). */
static int finish_sending(struct conn *conn, struct statement *statement, bool joined,
                          struct err *err)
{
    if (list_empty(&conn->running))
        conn->progress_us = loop_now_us(conn->source->loop);
    statement->conn = conn;
    statement->commands = statement->parsing ? 2 : 1;
    list_append(&conn->running, &statement->link);
    if (joined && ++conn->segment < SEGMENT_MAX) {
        loop_task_post(conn->source->loop, &conn->sync_task);
    } else if (end_segment(conn) != 0) {
        list_remove(&statement->link);
        return send_failed(conn, statement, err);
    }
    conn->in_flight++;
    conn->source->statements++;
    choose_row_mode(conn);
    if (conn->in_flight == 1 && conn->state == CONN_READY)
        loop_timer_start(&conn->timer, WATCH_TICK_MS);
    if (conn->segment == 0)
        conn_watch(conn);
    return 0;
}

static int refuse(struct err *err, const char *detail)
{
    (void)err_set_unavailable(err);
    return err_detail(err, "%s", detail);
}

int conn_send(struct conn *conn, struct statement *statement, const struct db_sql *sql, bool named,
              struct err *err)
{
    assert(sql->param_count >= 0 && sql->param_count <= DB_PARAMS_MAX);
    if (!conn_usable(conn))
        return refuse(err, "the connection is closing");
    conn_end_segment(conn);
    PGconn *pg = conn->pg;
    struct prepared *p = named ? prepared_get(conn, sql->text) : NULL;
    int sent = 1;
    if (p == NULL) {
        sent = PQsendQueryParams(pg, sql->text, sql->param_count, NULL, sql->params, NULL, NULL,
                                 BINARY);
    } else {
        p->refs++;
        statement->prepared = p;
        if (!p->sent) {
            statement->parsing = p->sent = true;
            sent = PQsendPrepare(pg, p->name, p->sql, 0, NULL);
        }
        if (sent == 1)
            sent =
                PQsendQueryPrepared(pg, p->name, sql->param_count, sql->params, NULL, NULL, BINARY);
    }
    if (sent != 1)
        return send_failed(conn, statement, err);
    return finish_sending(conn, statement, false, err);
}

int conn_send_joined(struct conn *conn, struct statement *statement, const struct db_sql *sql,
                     struct err *err)
{
    struct prepared *p = conn_usable(conn) ? strmap_get(&conn->prepared, sql->text) : NULL;
    if (p == NULL || !p->sent || sql_write_kind(sql->text, false) != WRITE_NONE)
        return conn_send(conn, statement, sql, true, err);
    assert(sql->param_count >= 0 && sql->param_count <= DB_PARAMS_MAX);
    p->refs++;
    statement->prepared = p;
    if (PQsendQueryPrepared(conn->pg, p->name, sql->param_count, sql->params, NULL, NULL, BINARY) !=
        1)
        return send_failed(conn, statement, err);
    return finish_sending(conn, statement, true, err);
}

int conn_send_describe(struct conn *conn, struct statement *statement, const char *sql_text,
                       struct err *err)
{
    if (!conn_usable(conn))
        return refuse(err, "the connection is closing");
    conn_end_segment(conn);
    statement->parsing = true;
    if (PQsendPrepare(conn->pg, "", sql_text, 0, NULL) != 1 ||
        PQsendDescribePrepared(conn->pg, "") != 1)
        return send_failed(conn, statement, err);
    return finish_sending(conn, statement, false, err);
}

static void free_quiet(struct statement *statement, const PGresult *rows, const struct err *err)
{
    (void)rows;
    (void)err;
    loop_free_later(statement->conn->source->loop, statement);
}

void conn_send_quiet(struct conn *conn, const struct db_sql *sql)
{
    struct statement *statement = mem_zero(sizeof *statement);
    statement_init(statement, NULL, free_quiet);
    if (conn_send(conn, statement, sql, sql->param_count > 0, NULL) != 0)
        free(statement);
}

void conn_watch(struct conn *conn)
{
    if (conn->pg == NULL || conn->io.event == NULL)
        return;
    /* A failed flush shows again as a failed read, with the server's last words if there are any.
     */
    int unsent = PQflush(conn->pg);
    loop_io_want(&conn->io,
                 (conn->paused ? LOOP_NONE : LOOP_READ) | (unsent == 1 ? LOOP_WRITE : LOOP_NONE));
    if (conn->copy != NULL && unsent == 0)
        copy_flushed(conn);
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void take_error(struct statement *statement, const PGresult *result)
{
    if (statement->err != NULL)
        return; /* the first error is the cause */
    statement->err = mem_zero(sizeof *statement->err);
    err_from_result(statement->err, result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (sqlstate != NULL)
        (void)snprintf(statement->sqlstate, sizeof statement->sqlstate, "%.5s", sqlstate);
    struct prepared *p = statement->prepared;
    if (p == NULL)
        return;
    if (statement->parsing) {
        p->err = mem_dup(statement->err, sizeof *statement->err);
        prepared_forget(statement->conn, p);
    } else if (strcmp(statement->sqlstate, "26000") == 0) {
        /* Pipelined behind the use whose Parse failed: the same cause, the same answer. */
        if (p->err != NULL)
            *statement->err = *p->err;
        prepared_forget(statement->conn, p);
    } else if (strcmp(statement->sqlstate, "0A000") == 0) {
        /* "cached plan must not change result type": the owner altered the table. */
        statement->stale = true;
        if (strmap_get(&statement->conn->prepared, p->sql) != p)
            return; /* one before this has seen to it */
        char *text = mem_format("DEALLOCATE %s", p->name);
        conn_send_quiet(statement->conn, &(struct db_sql){ .text = text });
        free(text);
        prepared_forget(statement->conn, p);
    }
}

static void set_uncertain(struct err *err, const char *detail)
{
    (void)err_set(err, ERR_WRITE_UNCERTAIN, "WRITE_UNCERTAIN",
                  "whether the change took place is not known yet; ask for its state before trying "
                  "again");
    (void)err_detail(err, "%s", detail);
}

/* Success of a commit is its tag exactly COMMIT and no WARNING (a cancelled wait for a synchronous
 * standby is only a warning). A refusal the server is certain of stays what it is. */
static void judge_commit(struct statement *statement)
{
    struct err *err = statement->err;
    const char *tag = statement->result != NULL ? PQcmdStatus(statement->result) : "";
    if (err != NULL && sqlstate_commit_refused(statement->sqlstate))
        return;
    if (err == NULL && strcmp(tag, "COMMIT") == 0 && statement->warnings == 0)
        return;
    if (err == NULL)
        err = statement->err = mem_zero(sizeof *statement->err);
    if (strcmp(tag, "ROLLBACK") == 0) {
        (void)err_set(
            err, ERR_ABORTED, "TRANSACTION_ABORTED",
            "the transaction had failed before its commit and was rolled back; try again");
        return;
    }
    char detail[ERR_TEXT_BYTES];
    (void)snprintf(detail, sizeof detail, "commit answered tag \"%s\", %d warnings, sqlstate %s",
                   tag, statement->warnings, statement->sqlstate);
    set_uncertain(err, detail);
}

static void end_statement(struct conn *conn, struct statement *statement)
{
    list_remove(&statement->link);
    conn->in_flight--;
    prepared_unref(&statement->prepared);
    PGresult *result = statement->result;
    struct err *err = statement->err;
    statement->result = NULL;
    statement->err = NULL;
    conn->source->failures += err != NULL && !statement->aborted;
    statement->done(statement, err == NULL ? result : NULL, err);
    PQclear(result);
    free(err);
}

static void end_one(struct conn *conn, struct statement *statement)
{
    if (statement->write == WRITE_COMMIT)
        judge_commit(statement);
    statement->aborted = statement->aborted && statement->err == NULL;
    if (statement->result == NULL && statement->err == NULL) {
        statement->err = mem_zero(sizeof *statement->err);
        (void)err_set(statement->err, ERR_INTERNAL, "SOURCE_ERROR",
                      "the owner's database gave no answer; it has been logged");
    }
    conn->progress_us = loop_now_us(conn->source->loop);
    list_remove(&statement->link); /* the next one is current from here on */
    choose_row_mode(conn);
    end_statement(conn, statement);
}

/* Everything up to the Sync is answered. A callback may close the connection, which ends the rest. */
static void end_at_sync(struct conn *conn)
{
    bool last = false;
    while (!last && !list_empty(&conn->running)) {
        struct statement *statement = list_item(conn->running.next, struct statement, link);
        last = statement->ends_segment;
        end_one(conn, statement);
    }
}

static void protocol_broken(struct conn *conn, const char *what)
{
    struct err err;
    (void)err_set_unavailable(&err);
    (void)err_detail(&err, "protocol: %s", what);
    conn_fail(conn, &err);
}

/* A statement's own answer, or that of the Parse before it. Takes `result`. */
static void take_answer(struct conn *conn, struct statement *statement, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    bool answers = statement->commands > 0;
    statement->commands -= answers;
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
        if (answers && statement->commands == 0) {
            statement->result = result;
            return;
        }
        statement->parsing = false;
    } else if (status == PGRES_PIPELINE_ABORTED) {
        statement->aborted = true; /* by its own Parse or by a neighbour */
    } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
        PQclear(result);
        protocol_broken(conn, "COPY does not end in pipeline mode");
        return;
    } else {
        take_error(statement, result);
    }
    PQclear(result);
}

/* `result` is the callee's. */
static void take_result(struct conn *conn, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    struct statement *statement = current(conn);
    if (status == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        end_at_sync(conn);
    } else if (statement == NULL) {
        PQclear(result);
        protocol_broken(conn, "an answer that nothing asked for");
    } else if (status == PGRES_SINGLE_TUPLE) {
        if (statement->row != NULL)
            statement->row(statement, result);
        PQclear(result);
    } else {
        take_answer(conn, statement, result);
    }
}

static void process(struct conn *conn)
{
    bool was_null = false;
    while (conn->pg != NULL && !conn->paused && !list_empty(&conn->running) &&
           PQisBusy(conn->pg) == 0) {
        PGresult *result = PQgetResult(conn->pg);
        if (result != NULL) {
            was_null = false;
            take_result(conn, result);
            continue;
        }
        /* One NULL ends each result; two mean that libpq expects nothing while we do. */
        if (was_null) {
            if (!conn->input_lost)
                protocol_broken(conn, "no statement is running");
            return;
        }
        was_null = true;
        choose_row_mode(conn);
    }
}

static bool is_tls_pending(const struct conn *conn)
{
    /* OpenSSL may hold decrypted bytes of which the descriptor knows nothing any more. */
    const SSL *tls = conn->pg != NULL ? PQsslStruct(conn->pg, "OpenSSL") : NULL;
    return tls != NULL && SSL_pending(tls) > 0;
}

static void read_answers(struct conn *conn)
{
    do {
        conn->input_lost = PQconsumeInput(conn->pg) == 0;
        if (list_empty(&conn->running))
            (void)PQisBusy(conn->pg); /* parses what comes unasked */
        process(conn);
        if (conn->pg != NULL && conn->lease != NULL)
            lease_conn_notified(conn);
    } while (conn->pg != NULL && !conn->input_lost && !conn->paused && is_tls_pending(conn));
    if (conn->pg == NULL || !conn->input_lost || conn->paused)
        return;
    struct err err;
    err_from_connection(&err, conn->pg);
    conn_fail(conn, &err);
}

void conn_on_io(void *arg, int ready)
{
    struct conn *conn = arg;
    if ((ready & LOOP_READ) != 0 && !conn->paused)
        read_answers(conn);
    if (conn->pg != NULL && conn->copy != NULL)
        copy_step(conn);
    conn_watch(conn);
}

void conn_resume(struct conn *conn)
{
    /* What was read before the pause comes first: reading more would make libpq's buffer grow. */
    process(conn);
    if (conn->pg != NULL && !conn->paused)
        read_answers(conn);
    conn_watch(conn);
}

void conn_fail_statements(struct conn *conn, const struct err *err)
{
    while (!list_empty(&conn->running)) {
        struct statement *statement = list_item(conn->running.next, struct statement, link);
        if (statement->err == NULL)
            statement->err = mem_dup(err, sizeof *err);
        if (statement->write != WRITE_NONE)
            set_uncertain(statement->err, "the connection was lost before the answer");
        end_statement(conn, statement);
    }
}

void conn_on_notice(void *arg, const PGresult *notice)
{
    struct conn *conn = arg;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (list_empty(&conn->running) || severity == NULL || strcmp(severity, "WARNING") != 0)
        return;
    list_item(conn->running.next, struct statement, link)->warnings++;
}

enum write_kind sql_write_kind(const char *sql_text, bool in_transaction)
{
    static const char *const commits[] = { "COMMIT", "END" };
    static const char *const reads[] = { "SELECT", "BEGIN",  "START",    "ROLLBACK", "ABORT", "SET",
                                         "SHOW",   "LISTEN", "UNLISTEN", "VALUES",   "TABLE" };
    while (isspace((unsigned char)*sql_text))
        sql_text++;
    size_t len = 0;
    while (isalpha((unsigned char)sql_text[len]))
        len++;
    for (size_t i = 0; i < sizeof commits / sizeof commits[0]; i++)
        if (strlen(commits[i]) == len && strncasecmp(sql_text, commits[i], len) == 0)
            return WRITE_COMMIT;
    if (in_transaction)
        return WRITE_NONE;
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++)
        if (strlen(reads[i]) == len && strncasecmp(sql_text, reads[i], len) == 0)
            return WRITE_NONE;
    return WRITE_AUTOCOMMIT;
}
