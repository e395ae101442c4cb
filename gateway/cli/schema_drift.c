#include "cli/schema_drift.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cli/schema_place.h"
#include "schema/drift.h"
#include "schema/plan.h"

struct drift_check {
    PGconn *conn;
    struct output *output;
    size_t datasets;
    size_t closed; /* of them */
};

/* NULL after a complaint. */
static const char *source_of(const struct cli *cli, const struct schema_bundle *bundle)
{
    const char *wanted = cli_option_text(cli, OPT_SOURCE, NULL), *only = NULL;

    for (size_t i = 0; i < schema_bundle_count(bundle); i++) {
        const char *source = schema_bundle_at(bundle, i)->source;
        if (wanted != NULL && strcmp(wanted, source) == 0)
            return source;
        if (wanted == NULL && only != NULL && strcmp(only, source) != 0) {
            COMPLAIN(MSG_SCHEMA_CHECK_SOURCES, only, source);
            return NULL;
        }
        only = source;
    }
    if (wanted != NULL || only == NULL) {
        COMPLAIN(MSG_SCHEMA_CHECK_NO_SOURCE, wanted != NULL ? wanted : "");
        return NULL;
    }
    return only;
}

static int print_notices(struct drift_check *check, const struct schema_dataset *dataset,
                         const struct schema_drift *drift)
{
    int failed = 0;

    for (size_t i = 0; i < drift->count && failed == 0; i++) {
        const struct schema_notice *notice = &drift->notices[i];
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "dataset", dataset->name, "kind",
                      schema_drift_kind_name(notice->kind), "table", notice->table, "column",
                      notice->column, "expected", notice->expected, "found", notice->found,
                      "compatible", notice->compatible ? 1 : 0);
        failed = output_row(check->output, row);
        json_decref(row);
    }
    return failed == 0 ? EXIT_OK : EXIT_FAILED;
}

/* The catalogue's notices; `fits_r` false when one of them closes the dataset. */
static int check_catalogue(struct drift_check *check, const struct schema_dataset *dataset,
                           struct arena *arena, bool *fits_r)
{
    const struct db_sql *sql = schema_catalogue_sql(dataset, arena);
    struct err err = ERR_INIT;
    struct schema_drift drift;

    *fits_r = true;
    if (sql == NULL) /* a query without tables of its own */
        return EXIT_OK;
    PGresult *rows =
        PQexecParams(check->conn, sql->text, sql->param_count, NULL, sql->params, NULL, NULL, 1);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        int status = schema_place_refused(check->conn, rows);
        PQclear(rows);
        return status;
    }
    /* A db_rows is a PGresult seen through a narrower window. */
    struct schema_catalogue *catalogue =
        schema_catalogue_read((const struct db_rows *)(void *)rows, &err);
    PQclear(rows);
    if (catalogue == NULL)
        return schema_place_report(&err);
    schema_catalogue_check(dataset, catalogue, arena, &drift);
    schema_catalogue_free(&catalogue);
    *fits_r = drift.compatible;
    return print_notices(check, dataset, &drift);
}

/* What decides in the gateway: the description of all mapped columns. EXIT_OK: it would be served. */
static int check_probe(struct drift_check *check, const struct schema_dataset *dataset)
{
    struct err err = ERR_INIT;
    int status;

    /* A refused statement must not end the snapshot for the next dataset. */
    PQclear(schema_place_query(check->conn, "SAVEPOINT probe", NULL, 0, &status));
    if (status != EXIT_OK)
        return status;
    PGresult *result = PQprepare(check->conn, "", schema_dataset_probe_sql(dataset), 0, NULL);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        PQclear(result);
        result = PQdescribePrepared(check->conn, "");
    }
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        status = schema_place_refused(check->conn, result);
    else if (schema_dataset_check_probe(dataset, (const struct db_rows *)(void *)result, &err) != 0)
        status = schema_place_report(&err);
    PQclear(result);
    PQclear(PQexec(check->conn, "ROLLBACK TO SAVEPOINT probe"));
    return status;
}

static int check_dataset(struct drift_check *check, const struct schema_dataset *dataset)
{
    struct arena arena;
    bool fits;

    arena_init(&arena);
    int status = check_catalogue(check, dataset, &arena, &fits);
    arena_fini(&arena);
    /* Where the notices say why, the probe has nothing to add. */
    if (status == EXIT_OK && fits)
        status = check_probe(check, dataset);
    check->datasets++;
    check->closed += status != EXIT_OK || !fits;
    return PQstatus(check->conn) == CONNECTION_OK ? EXIT_OK : status;
}

int schema_drift_check(const struct cli *cli, const struct schema_bundle *bundle)
{
    static const char *const columns[] = { "dataset",  "kind",  "table",     "column",
                                           "expected", "found", "compatible" };
    const char *source = source_of(cli, bundle);
    struct drift_check check = { .closed = 0 };
    char closed[24], datasets[24];
    int status;

    if (source == NULL)
        return EXIT_USAGE;
    check.conn = schema_place_connect(cli, &status);
    if (check.conn == NULL)
        return status;
    check.output = cli_output(cli);
    output_set_columns(check.output, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < schema_bundle_count(bundle) && status == EXIT_OK; i++)
        if (strcmp(schema_bundle_at(bundle, i)->source, source) == 0)
            status = check_dataset(&check, schema_bundle_at(bundle, i));
    PQfinish(check.conn);
    status = cli_output_end(&check.output, status);
    (void)snprintf(datasets, sizeof datasets, "%zu", check.datasets);
    (void)snprintf(closed, sizeof closed, "%zu", check.closed);
    if (status == EXIT_OK && check.closed > 0) {
        COMPLAIN(MSG_SCHEMA_CHECK_CLOSED, closed, datasets);
        return EXIT_FAILED;
    }
    if (status == EXIT_OK)
        NOTE(MSG_SCHEMA_CHECK_FITS, datasets, source);
    return status;
}
