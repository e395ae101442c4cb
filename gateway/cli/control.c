/* sluice control init|migrate: the first-run path of an operator. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/control_db.h"
#include "cli/migrations.h"
#include "cli/places.h"

/* Any constant does, as long as every `sluice` uses the same: "sluice" in ASCII. */
#define LOCK_SQL "SELECT pg_catalog.pg_advisory_xact_lock(126943972910949)"

static const char table_sql[] =
    "CREATE TABLE IF NOT EXISTS public.control_migration ("
    " number integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())";
static const char applied_sql[] =
    "SELECT number, name, sha256 FROM public.control_migration ORDER BY number";
static const char record_sql[] =
    "INSERT INTO public.control_migration (number, name, sha256) VALUES ($1, $2, $3)";

/* Group roles: login roles of workers, auditors and officers' tools are members of them. Two
 * operators may create them at once in two databases of one cluster, hence the exception. */
static const struct {
    const char *name;
    const char *sql;
} roles[] = {
#define ROLE(name_)                                                                                \
    {                                                                                              \
        name_, "DO $$ BEGIN CREATE ROLE " name_ " NOLOGIN;"                                        \
               " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"            \
    }
    ROLE("sluice_worker"),
    ROLE("sluice_auditor"),
    ROLE("sluice_officer"),
#undef ROLE
};

static void rollback(PGconn *conn)
{
    PQclear(control_db_script(conn, "ROLLBACK"));
}

static int create_roles(PGconn *conn)
{
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        int status;
        PGresult *found =
            control_db_query(conn, "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1",
                             (const char *const[]){ roles[i].name }, 1, &status);

        if (found == NULL)
            return status;
        bool exists = PQntuples(found) > 0;
        PQclear(found);
        if (exists)
            continue;
        status = control_db_run(conn, roles[i].sql, NULL, 0);
        if (status == EXIT_DENIED)
            NOTE(MSG_ROLE_ADVICE, roles[i].name);
        if (status != EXIT_OK)
            return status;
        NOTE(MSG_ROLE_CREATED, roles[i].name);
    }
    return EXIT_OK;
}

static const struct migration *find_migration(const struct migrations *m, int number)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].number == number)
            return &m->items[i];
    return NULL;
}

/* Compares what the database says was applied with the files; `last_r` is the highest number. */
static int check_applied(const PGresult *applied, const struct migrations *m, int *last_r)
{
    *last_r = 0;
    for (int row = 0; row < PQntuples(applied); row++) {
        int number = (int)strtol(PQgetvalue(applied, row, 0), NULL, 10);
        const struct migration *file = find_migration(m, number);

        if (file == NULL) {
            COMPLAIN(MSG_MIGRATION_MISSING, PQgetvalue(applied, row, 1));
            return EXIT_FAILED;
        }
        if (strcmp(file->digest, PQgetvalue(applied, row, 2)) != 0) {
            COMPLAIN(MSG_MIGRATION_CHANGED, file->name);
            return EXIT_FAILED;
        }
        *last_r = number;
    }
    for (size_t i = 0; i < m->count; i++) {
        bool done = false;
        for (int row = 0; row < PQntuples(applied) && !done; row++)
            done = (int)strtol(PQgetvalue(applied, row, 0), NULL, 10) == m->items[i].number;
        if (!done && m->items[i].number < *last_r) {
            COMPLAIN(MSG_MIGRATION_LATE, m->items[i].name);
            return EXIT_FAILED;
        }
    }
    return EXIT_OK;
}

/* Locks, makes the table when there is none and tells the next file to apply (NULL: none). Leaves a
 * transaction open on EXIT_OK. */
static int begin_next(PGconn *conn, const struct migrations *m, const struct migration **next_r)
{
    static const char *const opening[] = { "BEGIN", "SET LOCAL search_path = pg_catalog",
                                           "SET LOCAL client_min_messages = warning", LOCK_SQL };
    int status = EXIT_OK, last = 0;

    *next_r = NULL;
    for (size_t i = 0; i < sizeof opening / sizeof opening[0] && status == EXIT_OK; i++)
        status = control_db_run(conn, opening[i], NULL, 0);
    PGresult *exists =
        status == EXIT_OK
            ? control_db_query(conn, "SELECT pg_catalog.to_regclass('public.control_migration')",
                               NULL, 0, &status)
            : NULL;
    if (exists != NULL && PQgetisnull(exists, 0, 0))
        status = control_db_run(conn, table_sql, NULL, 0);
    PQclear(exists);
    PGresult *applied =
        status == EXIT_OK ? control_db_query(conn, applied_sql, NULL, 0, &status) : NULL;
    if (applied != NULL)
        status = check_applied(applied, m, &last);
    PQclear(applied);
    for (size_t i = 0; i < m->count && *next_r == NULL && status == EXIT_OK; i++)
        if (m->items[i].number > last)
            *next_r = &m->items[i];
    return status;
}

static int apply_file(PGconn *conn, const struct migration *file)
{
    PGresult *result = control_db_script(conn, file->sql);
    ExecStatusType outcome = PQresultStatus(result);
    int status = EXIT_OK;
    char number[16], line[24];

    if (outcome != PGRES_COMMAND_OK && outcome != PGRES_TUPLES_OK) {
        const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
        size_t at = position != NULL ? (size_t)strtoul(position, NULL, 10) : 1;

        snprintf(line, sizeof line, "%zu", migration_line(file->sql, at));
        COMPLAIN(MSG_MIGRATION_FAILED, file->name, position != NULL ? line : "?");
        status = control_db_complain(conn, result);
    } else if (PQtransactionStatus(conn) != PQTRANS_INTRANS) {
        COMPLAIN(MSG_MIGRATION_TRANSACTION, file->name);
        status = EXIT_FAILED;
    }
    PQclear(result);
    if (status != EXIT_OK)
        return status;
    snprintf(number, sizeof number, "%d", file->number);
    return control_db_run(conn, record_sql,
                          (const char *const[]){ number, file->name, file->digest }, 3);
}

static int migrate(PGconn *conn, const struct migrations *m)
{
    size_t applied = 0;
    char count[24];

    for (;;) {
        const struct migration *next;
        int status = begin_next(conn, m, &next);

        if (status == EXIT_OK && next != NULL)
            status = apply_file(conn, next);
        if (status == EXIT_OK)
            status = control_db_commit(conn);
        if (status != EXIT_OK) {
            rollback(conn);
            return status;
        }
        if (next == NULL)
            break;
        NOTE(MSG_MIGRATION_APPLIED, next->name);
        applied++;
    }
    snprintf(count, sizeof count, "%zu", applied);
    NOTE(MSG_MIGRATED, count);
    return EXIT_OK;
}

static int run(struct cli *cli, bool init)
{
    const char *given = cli_option_text(cli, OPT_MIGRATIONS, NULL);
    char *dir = given != NULL ? mem_strdup(given) : places_migrations();
    struct migrations m = { 0 };
    struct err err = ERR_INIT;
    int status = EXIT_OK;
    PGconn *conn = control_db_open(cli, &status);

    if (conn != NULL && migrations_load(dir, &m, &err) != 0) {
        COMPLAIN(MSG_CHECK_FAILED, err.text, err.reason);
        status = EXIT_FAILED;
    }
    if (status == EXIT_OK && init)
        status = create_roles(conn);
    if (status == EXIT_OK)
        status = migrate(conn, &m);
    PQfinish(conn);
    migrations_fini(&m);
    free(dir);
    return status;
}

int control_init(struct cli *cli)
{
    return run(cli, true);
}

int control_migrate(struct cli *cli)
{
    return run(cli, false);
}
