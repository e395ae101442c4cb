/* Statements that run one behind the other on one leased connection, a transaction for example.
 * Ownership: the struct is the owner's and must not move while it runs; texts are borrowed.
 * Callbacks: `done` once, never inside script_run, never after the lease has been released.
 * Limits: SCRIPT_STEPS_MAX statements, SCRIPT_PARAMS_MAX parameters each; one deadline for all.
 * Does not roll back: after an error the owner releases the lease, which does. */
#ifndef SLUICE_TRANSFER_SCRIPT_H
#define SLUICE_TRANSFER_SCRIPT_H

#include "base/buf.h"
#include "base/err.h"
#include "pg/db.h"

enum { SCRIPT_STEPS_MAX = 20, SCRIPT_PARAMS_MAX = 6, SCRIPT_PIECES = 3 };

/* Looks at an answer; -1 with `err` ends the script. */
typedef int (*script_check_fn)(void *arg, const struct db_rows *rows, struct err *err);
/* Asked immediately before the statement is sent. */
typedef int (*script_before_fn)(void *arg, struct err *err);
typedef void (*script_done_fn)(void *arg, const struct err *err);

struct script_step {
    const char *sql;
    const char *params[SCRIPT_PARAMS_MAX];
    int param_count;
    script_before_fn before;
    script_check_fn check;
    db_row_fn row;                    /* not NULL: rows one at a time */
    struct slice copy[SCRIPT_PIECES]; /* what a COPY FROM STDIN sends */
    bool is_copy;
};

struct script {
    struct script_step steps[SCRIPT_STEPS_MAX];
    size_t count;
    size_t at;
    struct db_lease *lease;
    int64_t deadline_us;
    script_done_fn done;
    void *arg;
    size_t piece; /* of the COPY under way */
    size_t sent;  /* of that piece */
};

/* Forgets the steps of the last run. */
void script_init(struct script *script, void *arg);
/* The new step, for parameters and hooks to be set. */
struct script_step *script_add(struct script *script, const char *sql);
void script_param(struct script_step *step, const char *value);
void script_run(struct script *script, struct db_lease *lease, int64_t deadline_us,
                script_done_fn done);
/* ABORTED with `reason` unless the answer's tag is this. */
int script_expect(const struct db_rows *rows, const char *tag, const char *reason, struct err *err);

#endif
