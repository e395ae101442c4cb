/* What the files of pg/ share: one connection, its running statements, the source that owns it.
 * Ownership: a source owns its connections; a statement is embedded in its owner's object, which
 *   stays alive until `done`; connections and sources die at the end of the loop turn.
 * Callbacks: a statement ends exactly once, at its Sync or when its connection is lost.
 * Limits: the constants below, each with its reason.
 * Not for other rooms. */
#ifndef SLUICE_PG_INTERNAL_H
#define SLUICE_PG_INTERNAL_H

#include <libpq-fe.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/strmap.h"
#include "net/loop.h"
#include "pg/db.h"

enum {
    BACKOFF_FIRST_MS = 100, /* a restarting server is back in seconds; so are we */
    BACKOFF_MAX_MS = 2000,
    CONNECT_TIMEOUT_DEFAULT_MS = 2000,
    CHECK_TIMEOUT_MS = 10000, /* describing every mapping of a source on cold caches */
    IDLE_CLOSE_MS = 60000,
    CLEAN_TICK_MS = 250, /* a cancel that came before its statement is sent again */
    CLEAN_MAX_MS = 5000,
    WATCH_TICK_MS = 500,
    ANSWER_GRACE_MS = 2000, /* beyond the server's own time-out the network must be dead */
    ANSWER_MAX_MS = 60000,  /* the same where the server has no time-out */
    TIMEOUT_SLACK_MS = 250, /* statement_timeout is set again only beyond this difference */
    PREPARED_MAX = 512,     /* a backend keeps each plan in memory */
    LEASE_WAITERS_MAX = 1024,
    TARGETS_MAX = 8,   /* hosts of one conninfo */
    ADDRESSES_MAX = 4, /* of one host name */
    ENDPOINTS_MAX = TARGETS_MAX * ADDRESSES_MAX,
    SQLSTATE_BYTES = 6,
};

struct conn;
struct copy;
struct statement;

/* --- conninfo.c ------------------------------------------------------------------------------ */
struct target {
    const char *host;     /* NULL: libpq's default socket folder */
    const char *hostaddr; /* NULL: not given */
    const char *port;     /* NULL: default */
    bool lookup;          /* the name must be resolved before libpq may see it */
};

struct conninfo {
    struct arena arena;
    const char **keys; /* without host, hostaddr, port and what we set ourselves */
    const char **values;
    int count;
    const char *options; /* as given, or "" */
    struct target targets[TARGETS_MAX];
    int target_count;
};

/* An address libpq can connect to without asking anybody. */
struct endpoint {
    const char *host;
    const char *hostaddr;
    const char *port;
};

int conninfo_parse(struct conninfo *info, const char *text, struct err *err);
void conninfo_fini(struct conninfo *info);
/* PQconnectStartParams over `endpoints`, beginning with number `first`. */
PGconn *conninfo_connect(const struct conninfo *info, const struct endpoint *endpoints, int count,
                         int first, const char *startup_options);

/* --- resolve.c ------------------------------------------------------------------------------- */
struct resolve;
/* `done` may fire before resolve_start returns. Endpoints are valid during the callback. */
typedef void (*resolve_fn)(struct conn *conn, const struct endpoint *endpoints, int count);
void resolve_start(struct conn *conn, const struct conninfo *info, resolve_fn done);
void resolve_abandon(struct resolve **resolve);

/* --- pipeline.c: statements on one connection --------------------------------------------------
 */
typedef void (*statement_row_fn)(struct statement *statement, const PGresult *row);
/* `rows` NULL with an error, and the other way round. The pipeline is done with the statement. */
typedef void (*statement_done_fn)(struct statement *statement, const PGresult *rows,
                                  const struct err *err);

enum write_kind {
    WRITE_NONE,
    WRITE_AUTOCOMMIT, /* lost after sending: nobody knows whether it took place */
    WRITE_COMMIT,
};

struct prepared {
    char *sql;
    char name[24];
    int refs;        /* the cache's and one per running statement */
    bool sent;       /* its Parse is on the way or done */
    struct err *err; /* why its Parse failed */
};

struct statement {
    struct list link; /* conn->running, in the order sent */
    struct conn *conn;
    statement_row_fn row; /* not NULL: single-row mode */
    statement_done_fn done;
    struct prepared *prepared;
    int commands;      /* not answered yet: its own and the Parse before it */
    bool ends_segment; /* a Sync stands behind it */
    bool aborted;      /* at `done`: not run, because a neighbour of its segment failed */
    bool stale;   /* at `done`: its plan was older than the table; the next use makes a new one */
    bool parsing; /* the next result answers its Parse */
    bool single_row; /* single-row mode is on */
    enum write_kind write;
    int warnings;
    PGresult *result;
    struct err *err;
    char sqlstate[SQLSTATE_BYTES];
};

void statement_init(struct statement *statement, statement_row_fn row, statement_done_fn done);
/* 0, or -1 with `err` set; then `done` does not fire. `named`: prepare once and keep. */
int conn_send(struct conn *conn, struct statement *statement, const struct db_sql *sql, bool named,
              struct err *err);
/* The same without a Sync of its own: what is sent in one turn of the loop shares one, which halves the
 * work of both sides. For reads only. When a neighbour fails, `done` fires with `aborted` and an error:
 * send it again with conn_send. */
int conn_send_joined(struct conn *conn, struct statement *statement, const struct db_sql *sql,
                     struct err *err);
void conn_end_segment(void *arg);
int conn_send_describe(struct conn *conn, struct statement *statement, const char *sql_text,
                       struct err *err);
/* Nobody waits for the answer. */
void conn_send_quiet(struct conn *conn, const struct db_sql *sql);
void conn_on_io(void *arg, int ready);
/* Goes on after a pause. May call back. */
void conn_resume(struct conn *conn);
void conn_watch(struct conn *conn);
/* Ends every running statement because the connection is gone. */
void conn_fail_statements(struct conn *conn, const struct err *err);
void conn_forget_prepared(struct conn *conn);
void conn_on_notice(void *arg, const PGresult *notice);
/* What a lost connection would leave open about this statement. */
enum write_kind sql_write_kind(const char *sql_text, bool in_transaction);

/* --- connect.c: one connection's life ----------------------------------------------------------
 */
enum conn_kind { CONN_SHARED, CONN_LEASED, CONN_CONTROL };
enum conn_state {
    CONN_CLOSED,
    CONN_BACKOFF,
    CONN_RESOLVING,
    CONN_CONNECTING,
    CONN_CHECKING,
    CONN_READY, /* shared: in use; leased: idle */
    CONN_LEASED_OUT,
    CONN_CLEANING, /* leased: the last user's statement is being ended */
    CONN_STATE_COUNT
};

struct conn {
    struct list link; /* source->shared or source->leased */
    struct db_source *source;
    enum conn_kind kind;
    enum conn_state state;
    PGconn *pg;
    struct loop_io io;
    struct loop_timer timer; /* the current state's */
    struct loop_task task;
    struct loop_task sync_task; /* ends the open segment with the turn */
    int segment;                /* statements sent since the last Sync */
    struct list running;
    int in_flight;
    bool paused;
    bool broken; /* a send failed half-way: ends with this turn */
    bool input_lost;
    int64_t progress_us; /* when the server last answered, or was first asked */
    struct strmap prepared;
    uint64_t prepared_count;
    unsigned failures; /* shared: connects that failed in a row */
    struct resolve *resolve;
    struct db_check *check;
    struct db_lease *lease;
    struct copy *copy; /* leased: a COPY is under way */
    struct loop_task copy_task;
    int64_t timeout_ms; /* leased: the server's statement_timeout; -1 unknown */
    bool timeout_in_transaction;
    bool keep; /* false: close instead of giving to the next user */
    int cancels;
    bool rolled_back;
    int64_t cleaning_since_us;
};

struct conn *conn_new(struct db_source *source, enum conn_kind kind);
void conn_open(struct conn *conn);
bool conn_usable(const struct conn *conn);
void conn_set_state(struct conn *conn, enum conn_state state);
/* The check said yes (or there is none). */
void conn_ready(struct conn *conn);
/* Closes, ends its statements with `err`, and starts the kind's way back. */
void conn_fail(struct conn *conn, const struct err *err);
/* Closes without a word; memory follows at the end of the turn. */
void conn_retire(struct conn *conn);
/* Whether an established connection is in use or could be. */
bool conn_is_up(const struct conn *conn);
int64_t backoff_ms(unsigned failures);

/* --- check.c ------------------------------------------------------------------------------------
 */
void check_start(struct conn *conn);
void check_lost(struct conn *conn, const struct err *err);
void check_free_all(struct db_source *source);

/* --- shared.c -----------------------------------------------------------------------------------
 */
void shared_free_all(struct db_source *source);
/* Closes idle connections of a draining source, all but one. */
void shared_drain(struct db_source *source);

/* --- lease.c ------------------------------------------------------------------------------------
 */
/* Gives idle connections to who waits, opens more where allowed. */
void lease_dispatch(struct db_source *source);
void lease_conn_idle(struct conn *conn);
/* Idle for long: closed unless it is the last sign of life of its source. */
void lease_conn_expired(struct conn *conn);
/* Its holder learns that the connection is gone. */
void lease_conn_lost(struct conn *conn, const struct err *err);
/* Nobody can be served any more: whoever waits is told. */
void lease_fail_waiting(struct db_source *source, const struct err *err);
void lease_conn_notified(struct conn *conn);
/* What copy.c has to tell the holder, if there still is one. */
void lease_copy_writable(struct conn *conn);
void lease_copy_done(struct conn *conn, const PGresult *rows, const struct err *err);
void lease_free_all(struct db_source *source);
void lease_on_retry(void *arg);
void lease_drain(struct db_source *source);

/* --- copy.c: COPY FROM STDIN, outside pipeline mode ----------------------------------------------
 */
void copy_start(struct conn *conn, const char *sql_text);
/* Something was read or written, or the statements before it have ended. May call back. */
void copy_step(struct conn *conn);
void copy_look(void *arg); /* the same from a task */
/* All that was put has left: any flush may have sent the last bytes, not only one for a write event. */
void copy_flushed(struct conn *conn);
/* False: wait for lease_copy_writable. */
bool copy_put(struct conn *conn, const void *data, size_t len);
void copy_end(struct conn *conn);
/* Forgets it without a word; the connection must be closed then. */
void copy_drop(struct conn *conn);

/* --- clean.c: making a leased connection fit for its next user ----------------------------------
 */
void clean_start(struct conn *conn);
void clean_step(struct conn *conn);
void clean_on_tick(struct conn *conn);

/* --- control.c -----------------------------------------------------------------------------------
 */
/* Asks the server to cancel what `victim` runs. victim->cancels counts the unanswered. */
void control_cancel(struct conn *victim);
void control_ready(struct conn *control);
void control_lost(struct conn *control);
void control_forget(struct conn *victim);
void control_free_all(struct db_source *source);

/* --- sqlstate.c ------------------------------------------------------------------------------ */
int err_set_unavailable(struct err *err);
/* `result` is an error result. */
void err_from_result(struct err *err, const PGresult *result);
void err_from_connection(struct err *err, const PGconn *pg);
/* True where the server has said for certain that the transaction did not commit. */
bool sqlstate_commit_refused(const char *sqlstate);

/* --- source.c -------------------------------------------------------------------------------- */
struct db_source {
    struct loop *loop;
    char *name;
    struct conninfo conninfo;
    bool conninfo_valid;
    struct db_source_options options; /* name and conninfo not used */
    bool draining;
    bool freed;
    unsigned first_endpoint; /* moves on with each failure, so that a silent host blocks no other */
    struct loop_task start_task;
    db_connected_fn connected;
    void *connected_arg;
    struct err last_err;
    struct list shared; /* struct conn */
    struct list leased; /* struct conn */
    int leased_open;
    struct conn *control;
    struct list calls;   /* struct db_call, all of them */
    struct list waiting; /* struct db_lease */
    struct list leases;  /* struct db_lease that wait no more */
    struct list checks;  /* struct db_check */
    struct list cancels; /* struct cancel */
    int waiting_count;
    unsigned lease_failures;
    bool lease_backoff;
    struct loop_timer lease_retry;
    uint64_t statements;
    uint64_t syncs;
    uint64_t failures;
    uint64_t reconnects;
};

const char *source_startup_options(const struct db_source *source, enum conn_kind kind,
                                   struct arena *arena);

static inline const struct db_rows *rows_of(const PGresult *result)
{
    return (const struct db_rows *)(const void *)result;
}

#endif
