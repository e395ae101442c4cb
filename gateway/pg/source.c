#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pg/internal.h"

static void on_start(void *arg)
{
    struct db_source *source = arg;
    list_for_each(link, &source->shared)
    {
        struct conn *conn = list_item(link, struct conn, link);
        if (conn->state == CONN_CLOSED)
            conn_open(conn);
    }
    lease_dispatch(source);
}

struct db_source *db_source_new(struct loop *loop, const struct db_source_options *options)
{
    struct db_source *source = mem_zero(sizeof *source);
    source->loop = loop;
    source->options = *options;
    source->options.conninfo = NULL;
    source->name = mem_strdup(options->name);
    source->options.name = source->name;
    if (source->options.connect_timeout_ms <= 0)
        source->options.connect_timeout_ms = CONNECT_TIMEOUT_DEFAULT_MS;
    err_clear(&source->last_err);
    source->conninfo_valid =
        conninfo_parse(&source->conninfo, options->conninfo, &source->last_err) == 0;
    list_init(&source->shared);
    list_init(&source->leased);
    list_init(&source->calls);
    list_init(&source->waiting);
    list_init(&source->leases);
    list_init(&source->checks);
    list_init(&source->cancels);
    loop_timer_init(&source->lease_retry, loop, lease_on_retry, source);
    loop_task_init(&source->start_task, on_start, source);
    for (int i = 0; i < options->shared_connections; i++)
        list_append(&source->shared, &conn_new(source, CONN_SHARED)->link);
    loop_task_post(loop, &source->start_task);
    return source;
}

static void close_all(struct list *conns, const struct err *err)
{
    list_for_each(link, conns)
    {
        struct conn *conn = list_item(link, struct conn, link);
        conn_fail_statements(conn, err);
        conn_retire(conn);
    }
}

static void destroy(void *object)
{
    struct db_source *source = object;
    conninfo_fini(&source->conninfo);
    free(source->name);
    free(source);
}

void db_source_free(struct db_source **source)
{
    struct db_source *s = *source;
    *source = NULL;
    if (s == NULL)
        return;
    s->freed = true; /* from here on nothing calls back */
    loop_task_cancel(&s->start_task);
    shared_free_all(s);
    lease_free_all(s);
    struct err err;
    (void)err_set_unavailable(&err);
    close_all(&s->shared, &err);
    close_all(&s->leased, &err);
    if (s->control != NULL) {
        conn_fail_statements(s->control, &err);
        conn_retire(s->control);
    }
    check_free_all(s);
    control_free_all(s);
    loop_timer_fini(&s->lease_retry);
    loop_destroy_later(s->loop, destroy, s);
}

void db_source_drain(struct db_source *source)
{
    source->draining = true;
    shared_drain(source);
    lease_drain(source);
    struct conn *control = source->control;
    if (control != NULL && control->state == CONN_READY && list_empty(&source->cancels)) {
        source->control = NULL;
        conn_retire(control);
    }
}

void db_source_on_connected(struct db_source *source, db_connected_fn run, void *arg)
{
    source->connected = run;
    source->connected_arg = arg;
}

void db_source_last_error(const struct db_source *source, struct err *err_r)
{
    *err_r = source->last_err;
}

void db_source_stats(const struct db_source *source, struct db_stats *stats_r)
{
    *stats_r = (struct db_stats){ .leased_open = source->leased_open,
                                  .waiting = source->waiting_count,
                                  .statements = source->statements,
                                  .syncs = source->syncs,
                                  .failures = source->failures,
                                  .reconnects = source->reconnects };
    list_for_each(link, &source->shared) stats_r->shared_up +=
        conn_is_up(list_item(link, struct conn, link));
    list_for_each(link, &source->leased) stats_r->leased_busy +=
        list_item(link, struct conn, link)->state > CONN_READY;
}

bool db_source_up(const struct db_source *source)
{
    list_for_each(link,
                  &source->shared) if (conn_is_up(list_item(link, struct conn, link))) return true;
    list_for_each(link,
                  &source->leased) if (conn_is_up(list_item(link, struct conn, link))) return true;
    return false;
}

/* Start-up parameters cost no round trip. Operator's own options come first, so these win. */
const char *source_startup_options(const struct db_source *source, enum conn_kind kind,
                                   struct arena *arena)
{
    int timeout_ms = CHECK_TIMEOUT_MS;
    if (kind == CONN_SHARED)
        timeout_ms = source->options.shared_statement_timeout_ms;
    return arena_format(arena,
                        "-c search_path=pg_catalog -c DateStyle=ISO -c TimeZone=UTC "
                        "-c standard_conforming_strings=on -c statement_timeout=%d%s",
                        timeout_ms,
                        source->options.read_only ? " -c default_transaction_read_only=on" : "");
}
