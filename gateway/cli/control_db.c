#include "cli/control_db.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const struct {
    const char *sqlstate; /* https://www.postgresql.org/docs/15/errcodes-appendix.html */
    enum message_id advice;
    int exit_status;
} advices[] = {
    { "42501", MSG_DB_PRIVILEGE, EXIT_DENIED },  /* insufficient_privilege */
    { "42P01", MSG_DB_NOT_READY, EXIT_FAILED },  /* undefined_table */
    { "3F000", MSG_DB_NOT_READY, EXIT_FAILED },  /* invalid_schema_name */
    { "25006", MSG_DB_READ_ONLY, EXIT_FAILED },  /* read_only_sql_transaction */
    { "57P01", MSG_DB_RETRY, EXIT_UNAVAILABLE }, /* admin_shutdown */
    { "57P03", MSG_DB_RETRY, EXIT_UNAVAILABLE }, /* cannot_connect_now */
    { "53300", MSG_DB_RETRY, EXIT_UNAVAILABLE }, /* too_many_connections */
    { "40001", MSG_DB_RETRY, EXIT_UNAVAILABLE }, /* serialization_failure */
    { "40P01", MSG_DB_RETRY, EXIT_UNAVAILABLE }, /* deadlock_detected */
};

/* libpq ends its messages with a line feed. */
static void first_line(const char *text, char *out, size_t size)
{
    snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text);
}

static void silence(void *context, const char *text)
{
    (void)context;
    (void)text;
}

PGconn *control_db_open(const struct cli *cli, int *status_r)
{
    const char *conninfo = cli_option_text(cli, OPT_DATABASE, NULL);
    char text[512];
    PGconn *conn;

    if (conninfo == NULL)
        conninfo = cli_environment("SLUICE_CONTROL_DATABASE");
    if (conninfo == NULL) {
        COMPLAIN(MSG_NO_DATABASE);
        *status_r = EXIT_USAGE;
        return NULL;
    }
    /* expand_dbname reads a whole connection string; the rest are defaults it may override. */
    static const char *const names[] = { "connect_timeout", "application_name", "client_encoding",
                                         "dbname", NULL };
    const char *const values[] = { "10", "sluice", "UTF8", conninfo, NULL };
    conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(conn) == CONNECTION_OK) {
        PQsetNoticeProcessor(conn, silence, NULL);
        return conn;
    }
    first_line(PQerrorMessage(conn), text, sizeof text);
    COMPLAIN(strstr(text, "does not exist") != NULL ? MSG_DB_ABSENT : MSG_DB_CONNECT, text);
    PQfinish(conn);
    *status_r = EXIT_UNAVAILABLE;
    return NULL;
}

int control_db_complain(PGconn *conn, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char text[512];

    first_line(primary != NULL ? primary : PQerrorMessage(conn), text, sizeof text);
    COMPLAIN(MSG_DB_STATEMENT, text, state != NULL ? state : "-");
    for (size_t i = 0; state != NULL && i < sizeof advices / sizeof advices[0]; i++) {
        if (strcmp(state, advices[i].sqlstate) == 0) {
            NOTE(advices[i].advice);
            return advices[i].exit_status;
        }
    }
    return PQstatus(conn) == CONNECTION_OK ? EXIT_FAILED : EXIT_UNAVAILABLE;
}

static PGresult *query(PGconn *conn, const char *sql, const char *const *params, size_t count,
                       int format, int *status_r)
{
    PGresult *result;

    assert(count <= CONTROL_PARAMS_MAX);
    result = PQexecParams(conn, sql, (int)count, NULL, params, NULL, NULL, format);
    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK) {
        *status_r = EXIT_OK;
        return result;
    }
    *status_r = control_db_complain(conn, result);
    PQclear(result);
    return NULL;
}

PGresult *control_db_query(PGconn *conn, const char *sql, const char *const *params, size_t count,
                           int *status_r)
{
    return query(conn, sql, params, count, 0, status_r);
}

PGresult *control_db_query_binary(PGconn *conn, const char *sql, const char *const *params,
                                  size_t count, int *status_r)
{
    return query(conn, sql, params, count, 1, status_r);
}

int control_db_run(PGconn *conn, const char *sql, const char *const *params, size_t count)
{
    int status;

    PQclear(control_db_query(conn, sql, params, count, &status));
    return status;
}

PGresult *control_db_script(PGconn *conn, const char *sql)
{
    return PQexec(conn, sql);
}

int control_db_commit(PGconn *conn)
{
    int status;
    PGresult *result = control_db_query(conn, "COMMIT", NULL, 0, &status);

    if (result != NULL && strcmp(PQcmdStatus(result), "COMMIT") != 0) {
        COMPLAIN(MSG_DB_COMMIT, PQcmdStatus(result));
        status = EXIT_FAILED;
    }
    PQclear(result);
    return status;
}

int control_db_list(struct cli *cli, const char *sql)
{
    int status = EXIT_OK;
    PGconn *conn = control_db_open(cli, &status);
    PGresult *rows = conn != NULL ? control_db_query(conn, sql, NULL, 0, &status) : NULL;
    struct output *output;
    int failed = 0;

    if (rows == NULL) {
        PQfinish(conn);
        return status;
    }
    output = cli_output(cli);
    int columns = PQnfields(rows);
    const char **names = mem_array((size_t)columns, sizeof *names);
    for (int c = 0; c < columns; c++)
        names[c] = PQfname(rows, c);
    output_set_columns(output, names, (size_t)columns);
    for (int r = 0; r < PQntuples(rows) && failed == 0; r++) {
        json_t *row = json_object();
        for (int c = 0; c < columns; c++)
            json_object_set_new(row, names[c], json_string(PQgetvalue(rows, r, c)));
        failed = output_row(output, row);
        json_decref(row);
    }
    free(names);
    PQclear(rows);
    PQfinish(conn);
    return cli_output_end(&output, failed == 0 ? EXIT_OK : EXIT_FAILED);
}
