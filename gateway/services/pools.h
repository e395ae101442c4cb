/* Whether a database lets as many connections in as this gateway may want: two generations run side
 *   by side during a reload, each worker with its pool.
 * Ownership: plain values.
 * Never calls back.
 * Limits: 2 x workers x pool <= the smallest limit of role, database and server.
 * Does not count what other gateways and programs use of the same limits. */
#ifndef SLUICE_SERVICES_POOLS_H
#define SLUICE_SERVICES_POOLS_H

#include <stdint.h>

#include "pg/db.h"

struct err;

/* One row for the role that is connected: its limit, its database's (-1: none), what the server
 * leaves to roles that are no superusers. */
extern const char pools_sql[];

struct pools_limits {
    int64_t role; /* -1: none */
    int64_t database;
    int64_t server;
};
void pools_limits_from_row(const struct db_rows *rows, struct pools_limits *limits_r);

/* `pool`: connections one worker may open to this database. -1 with FAILED_PRECONDITION/POOL_LIMIT
 * and the numbers; `what` names the database to ops. */
int pools_check(const char *what, int64_t workers, int64_t pool, const struct pools_limits *limits,
                struct err *err);

#endif
