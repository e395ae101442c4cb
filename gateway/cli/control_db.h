/* The control database for operators: a synchronous connection and statements that explain failure.
 * Ownership: control_db_open gives a connection to PQfinish; results are the caller's to PQclear.
 * Never calls back.
 * Limits: CONTROL_PARAMS_MAX parameters, all text.
 * Does not serve the gateway, which never waits (pg/). */
#ifndef SLUICE_CLI_CONTROL_DB_H
#define SLUICE_CLI_CONTROL_DB_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

enum { CONTROL_PARAMS_MAX = 8 };

/* Uses --database or SLUICE_CONTROL_DATABASE; NULL after a complaint with its exit status. */
PGconn *control_db_open(const struct cli *cli, int *status_r);

/* One statement with text parameters (NULL: SQL null). NULL after a complaint; `status_r` then
 * holds the exit status. */
PGresult *control_db_query(PGconn *conn, const char *sql, const char *const *params, size_t count,
                           int *status_r);
/* The same with binary results. */
PGresult *control_db_query_binary(PGconn *conn, const char *sql, const char *const *params,
                                  size_t count, int *status_r);
/* The same without a result: EXIT_OK or an exit status after a complaint. */
int control_db_run(PGconn *conn, const char *sql, const char *const *params, size_t count);

/* Several statements at once, without parameters; the last result, whatever it is, to PQclear. */
PGresult *control_db_script(PGconn *conn, const char *sql);

/* Runs one SELECT and writes its rows: the columns are those of the statement. An exit status. */
int control_db_list(struct cli *cli, const char *sql);

/* COMMIT, believed only when the server says exactly COMMIT. */
int control_db_commit(PGconn *conn);

/* Complains about a failed result in words that tell what to do; answers the exit status. */
int control_db_complain(PGconn *conn, const PGresult *result);

#endif
