#include <stdlib.h>

#include "base/mem.h"
#include "pg/internal.h"

/* A leased connection between two users: the running statement is cancelled and its rows are
 * discarded, an open transaction is rolled back, and only then is it free. A cancel that is still
 * under way would hit the next user, so its answer is awaited too. */

static void give_up(struct conn *conn, const char *detail)
{
    struct err err;
    (void)err_set_unavailable(&err);
    (void)err_detail(&err, "%s", detail);
    conn_fail(conn, &err);
}

static void on_rolled_back(struct statement *statement, const PGresult *rows, const struct err *err)
{
    (void)rows;
    (void)err;
    loop_free_later(statement->conn->source->loop, statement);
    clean_step(statement->conn);
}

static void roll_back(struct conn *conn)
{
    struct statement *statement = mem_zero(sizeof *statement);
    statement_init(statement, NULL, on_rolled_back);
    conn->rolled_back = true;
    if (conn_send(conn, statement, &(struct db_sql){ .text = "ROLLBACK" }, true, NULL) != 0)
        free(statement); /* the connection ends this turn */
}

void clean_step(struct conn *conn)
{
    if (conn->source->freed || conn->pg == NULL || conn->state != CONN_CLEANING ||
        conn->cancels > 0 || !list_empty(&conn->running))
        return;
    PGTransactionStatusType transaction = PQtransactionStatus(conn->pg);
    if (transaction == PQTRANS_IDLE)
        lease_conn_idle(conn);
    else if (!conn->rolled_back &&
             (transaction == PQTRANS_INTRANS || transaction == PQTRANS_INERROR))
        roll_back(conn);
    else
        give_up(conn, "the connection could not be brought back to rest");
}

void clean_start(struct conn *conn)
{
    if (conn->copy != NULL) { /* only the end of the connection ends it without its rows */
        conn->keep = false;
        lease_conn_idle(conn);
        return;
    }
    conn->rolled_back = false;
    conn->cleaning_since_us = loop_now_us(conn->source->loop);
    conn_set_state(conn, CONN_CLEANING);
    loop_timer_start(&conn->timer, CLEAN_TICK_MS);
    if (!list_empty(&conn->running))
        control_cancel(conn);
    if (conn->pg != NULL && conn->paused) {
        conn->paused = false;
        conn_resume(conn);
    }
    clean_step(conn);
}

void clean_on_tick(struct conn *conn)
{
    if (loop_now_us(conn->source->loop) - conn->cleaning_since_us > CLEAN_MAX_MS * INT64_C(1000)) {
        give_up(conn, "the last statement did not end after its cancel");
        return;
    }
    loop_timer_start(&conn->timer, CLEAN_TICK_MS);
    /* The first cancel can reach the server before the statement does. */
    if (conn->cancels == 0 && !conn->rolled_back && !list_empty(&conn->running))
        control_cancel(conn);
}
