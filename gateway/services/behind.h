/* Statements of the control database that run behind an answer: nobody waits for them.
 * Ownership: the owner holds the struct behind; texts of statements are literals, parameters are
 *   copied.
 * Callbacks: `done` exactly once, never inside behind_run, never after behind_free.
 * Limits: BEHIND_MAX statements at once, BEHIND_WAIT_MS for each.
 * Does not try again: what must not be lost has no place here. */
#ifndef SLUICE_SERVICES_BEHIND_H
#define SLUICE_SERVICES_BEHIND_H

#include "pg/db.h"

enum { BEHIND_MAX = 32, BEHIND_WAIT_MS = 5000 };

struct behind;
struct loop;

struct behind *behind_new(struct loop *loop, struct db_source *control);
void behind_free(struct behind **behind);

typedef void (*behind_done_fn)(void *arg, const struct err *err);
/* `done` may be NULL: a failure is then only logged. -1 when BEHIND_MAX are waiting. */
int behind_run(struct behind *behind, const struct db_sql *sql, behind_done_fn done, void *arg);

#endif
