/* A private PostgreSQL and one plain connection, for the tests of what writers make.
 * Ownership: set_up and tear_down of the test group.
 * Never calls back; a statement that fails ends the test.
 * Limits: statements of run_sql are at most 4 KiB.
 * Does not use the gateway's own connections: a writer talks to no database. */
#ifndef SLUICE_TESTS_WRITER_DATABASE_H
#define SLUICE_TESTS_WRITER_DATABASE_H

#include "writer_support.h"

#include "support/postgres.h"

enum { RESULT_BINARY = 1 };

static struct postgres *server;
static PGconn *conn;

static inline int set_up(void **state)
{
    (void)state;
    server = postgres_new();
    conn = PQconnectdb(postgres_conninfo(server));
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    PQclear(PQexec(conn, "SET timezone = 'UTC'"));
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    PQfinish(conn);
    postgres_free(&server);
    return 0;
}

static inline PGresult *ask(const char *sql, int count, const char *const *params)
{
    return PQexecParams(conn, sql, count, NULL, params, NULL, NULL, RESULT_BINARY);
}

static inline PGresult *must(PGresult *result, const char *sql)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s\n%s", sql, PQresultErrorMessage(result));
    return result;
}

static inline void run_sql(const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    PQclear(must(ask(text, 0, NULL), text));
}

#endif
