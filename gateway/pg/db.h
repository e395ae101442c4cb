/* Non-blocking PostgreSQL: shared pipelined connections for short lookups, leased ones for all
 *   else.
 * Ownership: a db_source owns its connections; calls and leases are the source's, the caller
 *   holds a borrowed pointer until its done callback has fired or it has cancelled.
 * Callbacks: never inside the function that starts them; exactly once unless cancelled; never
 *   after cancel. Rows are valid during the callback only.
 * Limits: every wait has a deadline; pools are bounded; parameters are text, results binary.
 * Does not build SQL and never escapes values into it. */
#ifndef SLUICE_PG_DB_H
#define SLUICE_PG_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct loop;

enum { DB_PARAMS_MAX = 256 };

/* One value of a row, in PostgreSQL's binary format. */
struct db_value {
    const uint8_t *data; /* NULL: SQL NULL */
    uint32_t len;
};

/* One row the caller put together itself. */
struct db_tuple {
    const struct db_value *values;
    int count;
};

struct db_rows; /* a borrowed view of one result */
/* The same view of one tuple, which must live as long: columns have no type and no name. */
const struct db_rows *db_rows_of_tuple(const struct db_tuple *tuple);
int db_row_count(const struct db_rows *rows);
int db_column_count(const struct db_rows *rows);
struct db_value db_value(const struct db_rows *rows, int row, int column);
uint32_t db_column_type(const struct db_rows *rows, int column); /* type oid */
int32_t db_column_modifier(const struct db_rows *rows, int column);
const char *db_column_name(const struct db_rows *rows, int column);
const char *db_command_tag(const struct db_rows *rows);

/* Fixed-width binary values of our own statements; the caller knows the column's type. SQL NULL and
 * a value of another width answer 0. */
int64_t db_int8(struct db_value value);
int32_t db_int4(struct db_value value);
bool db_bool(struct db_value value);
/* Texts of our own statements, copied to the arena. An array comes as array_to_string(a, E'\\x1f'):
 * no name contains U+001F. */
char *db_text(struct arena *arena, struct db_value value);
char **db_texts(struct arena *arena, struct db_value value, size_t *count_r);

/* A statement: the text is the identity under which it is prepared once per connection. */
struct db_sql {
    const char *text;
    int param_count;
    const char *const
        *params; /* NUL-terminated text; NULL = SQL NULL; copied by the start functions */
    /* A read by key that ends at once: on a shared connection, those of one loop turn share a Sync, so
     * that the answer of the first waits for the last. A neighbour's error makes it run again. */
    bool brief;
};

struct db_source_options {
    const char *name; /* for logs and metrics */
    /* libpq key=value or URI; a secret, never logged. Several hosts are tried in turn. Names are
     * resolved without blocking from /etc/hosts and DNS (not through nsswitch); `service` is
     * refused; application_name, client_encoding, gssencmode and connect_timeout are ours to set.
     */
    const char *conninfo;
    int shared_connections;          /* 0: none */
    int leased_connections_max;      /* 0: none */
    int connect_timeout_ms;          /* 0: 2000 */
    int shared_statement_timeout_ms; /* fixed on shared connections */
    int shared_in_flight_max;        /* statements waiting for an answer on one shared connection */
    bool read_only;                  /* default_transaction_read_only=on */
};

struct db_source;
/* Starts connecting in the background; reconnects with back-off for ever. Options are copied. */
struct db_source *db_source_new(struct loop *loop, const struct db_source_options *options);
/* Cancels nothing politely: every pending callback is dropped, and pointers to calls, leases and
 * checks die with it. */
void db_source_free(struct db_source **source);
/* Stops keeping idle connections; what runs goes on, and calls already accepted may still start
 * statements: one shared connection stays until db_source_free. */
void db_source_drain(struct db_source *source);
bool db_source_up(const struct db_source *source); /* one shared (or leased) connection is usable */
/* Why a connection last failed; code ERR_OK when none has. */
void db_source_last_error(const struct db_source *source, struct err *err_r);

/* Told each time a fresh connection is up, before any statement of a caller runs on it: the place
 * to re-check a schema. `checked` must be called once with NULL (usable) or an error (closed,
 * back-off).*/
struct db_check;
typedef void (*db_connected_fn)(void *arg, struct db_check *check);
void db_source_on_connected(struct db_source *source, db_connected_fn run, void *arg);
/* Runs a statement on the connection under check; one at a time. */
typedef void (*db_done_fn)(void *arg, const struct db_rows *rows, const struct err *err);
void db_check_query(struct db_check *check, const struct db_sql *sql, db_done_fn done, void *arg);
/* Describes a statement without running it: rows has no rows, its columns tell types. */
void db_check_describe(struct db_check *check, const char *sql_text, db_done_fn done, void *arg);
void db_check_end(struct db_check *check, const struct err *err);

/* --- shared: indexed single statements, pipelined -------------------------------------------- */
/* `err` NULL: `rows` holds all rows. A cancelled or late statement is detached: the server finishes
 * it and its result is discarded. One that was prepared before its table was altered runs again by
 * itself, so a column's type may be another one than last time. Errors: UNAVAILABLE (no connection), DEADLINE_EXCEEDED,
 * RESOURCE_EXHAUSTED (queues full), others by SQLSTATE. The statement bounds its rows itself
 * (LIMIT): all of them are held in memory. */
struct db_call;
struct db_call *db_call_start(struct db_source *source, const struct db_sql *sql,
                              int64_t deadline_us, db_done_fn done, void *arg);
void db_call_cancel(struct db_call **call);

/* --- leased: one call owns the connection ---------------------------------------------------- */
struct db_lease;
typedef void (*db_lease_fn)(void *arg, const struct err *err); /* NULL: the lease is ours */
/* Waits in a queue until a connection is free or `deadline_us` (monotonic) passes. When `ready` is
 * given an error the lease is over: the pointer is dead once the callback returns. Errors:
 * UNAVAILABLE, DEADLINE_EXCEEDED (SOURCE_BUSY), RESOURCE_EXHAUSTED (queue full). */
struct db_lease *db_lease_start(struct db_source *source, int64_t deadline_us, db_lease_fn ready,
                                void *arg);
/* One statement at a time; each starts unpaused. After a statement has ended by its deadline, or
 * the connection was lost, every further one answers UNAVAILABLE: release the lease. One row at a
 * time (single-row mode), never prepared by name. `row` has exactly one row. Then `done` once: err
 * NULL = all rows seen (rows = the final, empty result with the command tag). */
typedef void (*db_row_fn)(void *arg, const struct db_rows *row);
void db_lease_query(struct db_lease *lease, const struct db_sql *sql, int64_t deadline_us,
                    db_row_fn row, db_done_fn done, void *arg);
/* Plain statement with the whole result at once (BEGIN, COMMIT, small SELECT, INSERT), prepared
 * under a name. A COMMIT whose connection died or whose deadline passed answers
 * ERR_WRITE_UNCERTAIN; success means the tag was exactly COMMIT and no WARNING came. A refusal for
 * certain keeps its own code: tag ROLLBACK is ABORTED, constraints and conflicts as by SQLSTATE.
 * Outside a transaction, and unless the source is read-only, the same holds for a lost statement
 * that may write: anything that does not begin with SELECT and the like. Call a writing function
 * inside BEGIN and COMMIT. */
void db_lease_execute(struct db_lease *lease, const struct db_sql *sql, int64_t deadline_us,
                      db_done_fn done, void *arg);
/* One statement as a transaction of its own: BEGIN, the statement and COMMIT are sent together, so that
 * the whole takes one round trip. `done` gets the statement's rows once COMMIT has succeeded, the
 * statement's own error if it failed, or what became of the COMMIT, judged as above. */
void db_lease_transact(struct db_lease *lease, const struct db_sql *sql, int64_t deadline_us,
                       db_done_fn done, void *arg);
/* COPY ... FROM STDIN. `writable` fires when the server takes data, and again whenever what was put has
 * been handed to the kernel after db_lease_copy_put answered false. `done` once, as for
 * db_lease_execute: rows have the command tag ("COPY 3"), and an error may come before `writable` ever
 * fired. An error of the server's while data is coming shows after db_lease_copy_end only: end often.
 * Only inside a transaction, so that a copy that is lost leaves nothing. Releasing the lease in
 * mid-copy closes its connection. */
typedef void (*db_writable_fn)(void *arg);
void db_lease_copy(struct db_lease *lease, const char *sql_text, int64_t deadline_us,
                   db_writable_fn writable, db_done_fn done, void *arg);
/* Only from the first `writable` to the end; the bytes are copied. False: put nothing more until
 * `writable`; what is put all the same is kept in memory. */
bool db_lease_copy_put(struct db_lease *lease, const void *data, size_t len);
void db_lease_copy_end(struct db_lease *lease);
/* Back-pressure: a paused lease reads nothing from its socket; the server's backend waits.
 * At most one already received row is delivered after pausing: none. */
void db_lease_pause(struct db_lease *lease);
void db_lease_resume(struct db_lease *lease);
/* NOTIFY on channels the lease has been told to LISTEN to; `channel` NULL: the connection is lost
 * and nothing will come any more. Such a connection is closed at release. Texts are borrowed. */
typedef void (*db_notify_fn)(void *arg, const char *channel, const char *payload);
void db_lease_on_notify(struct db_lease *lease, db_notify_fn run, void *arg);
/* Ends the lease, whatever runs: a running statement is cancelled by pg_cancel_backend on the
 * source's control connection and the connection is reused only after both answers. No callback of
 * the lease fires any more. An open transaction is rolled back. Sets *lease to NULL. */
void db_lease_release(struct db_lease **lease);

/* Counters for metrics. */
struct db_stats {
    int shared_up;
    int leased_open;
    int leased_busy;
    int waiting;
    uint64_t statements;
    uint64_t syncs; /* fewer than statements where brief ones share them */
    uint64_t failures;
    uint64_t reconnects;
};
void db_source_stats(const struct db_source *source, struct db_stats *stats_r);

#endif
