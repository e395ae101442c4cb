#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pg/internal.h"

/* Cancels travel as ordinary statements on a small connection of their own: PQcancel would block,
 * and it gives no answer from which to tell that the signal has been sent. */
struct cancel {
    struct list link; /* source->cancels */
    struct db_source *source;
    struct statement statement;
    struct conn *victim; /* NULL: closed meanwhile */
    char pid[16];
    bool sent;
};

static void free_cancel(struct cancel *cancel)
{
    list_remove(&cancel->link);
    loop_free_later(cancel->source->loop, cancel);
}

static void answered(struct cancel *cancel, const struct err *err)
{
    struct conn *victim = cancel->victim;
    bool freed = cancel->source->freed;
    free_cancel(cancel);
    if (victim == NULL || freed)
        return;
    victim->cancels--;
    if (err != NULL)
        conn_fail(victim, err); /* the signal may still be on its way: nobody else may use it */
    else
        clean_step(victim);
}

static void on_done(struct statement *statement, const PGresult *rows, const struct err *err)
{
    (void)rows;
    answered(list_item(statement, struct cancel, statement), err);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* With several hosts the two connections may have ended at different servers, where the process
 * number belongs to somebody else. */
static bool same_server(const PGconn *a, const PGconn *b)
{
    return same_text(PQhost(a), PQhost(b)) && same_text(PQhostaddr(a), PQhostaddr(b)) &&
           same_text(PQport(a), PQport(b));
}

static void send_cancel(struct conn *control, struct cancel *cancel)
{
    struct err err;
    const char *params[] = { cancel->pid };
    struct db_sql sql = { .text = "SELECT pg_catalog.pg_cancel_backend($1::pg_catalog.int4)",
                          .param_count = 1,
                          .params = params };
    if (!same_server(control->pg, cancel->victim->pg)) {
        (void)err_set_unavailable(&err);
        (void)err_detail(&err, "the control connection leads to another server");
        answered(cancel, &err);
        return;
    }
    cancel->sent = true;
    if (conn_send(control, &cancel->statement, &sql, true, &err) != 0)
        answered(cancel, &err);
}

void control_ready(struct conn *control)
{
    list_for_each(link, &control->source->cancels)
    {
        struct cancel *cancel = list_item(link, struct cancel, link);
        if (!cancel->sent)
            send_cancel(control, cancel);
    }
}

void control_cancel(struct conn *victim)
{
    struct db_source *source = victim->source;
    struct cancel *cancel = mem_zero(sizeof *cancel);
    cancel->source = source;
    cancel->victim = victim;
    (void)snprintf(cancel->pid, sizeof cancel->pid, "%d", PQbackendPID(victim->pg));
    statement_init(&cancel->statement, NULL, on_done);
    list_append(&source->cancels, &cancel->link);
    victim->cancels++;
    if (source->control == NULL) {
        source->control = conn_new(source, CONN_CONTROL);
        conn_open(source->control);
    } else if (source->control->state == CONN_READY && conn_usable(source->control)) {
        send_cancel(source->control, cancel);
    }
}

void control_lost(struct conn *control)
{
    struct db_source *source = control->source;
    struct err err = source->last_err;
    source->control = NULL;
    conn_retire(control);
    list_for_each(link, &source->cancels) answered(list_item(link, struct cancel, link), &err);
}

void control_forget(struct conn *victim)
{
    if (victim->cancels == 0)
        return;
    victim->cancels = 0;
    list_for_each(link, &victim->source->cancels)
    {
        struct cancel *cancel = list_item(link, struct cancel, link);
        if (cancel->victim != victim)
            continue;
        cancel->victim = NULL;
        if (!cancel->sent)
            free_cancel(cancel); /* its process number may be given to another soon */
    }
}

void control_free_all(struct db_source *source)
{
    list_for_each(link, &source->cancels) free_cancel(list_item(link, struct cancel, link));
}
