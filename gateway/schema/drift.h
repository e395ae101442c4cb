/* Drift in words: what a database's catalogue says about the tables of a dataset, compared with the
 *   mapping and with what it said before.
 * Ownership: a catalogue owns its texts; notices live in the caller's arena and borrow nothing else.
 * Never calls back.
 * Limits: CATALOGUE_COLUMNS_MAX columns of all tables of one dataset. A dataset whose source is a query
 *   has no table of its own here, only those of its children: its columns are in the description.
 * Does not run statements and does not close datasets: schema_dataset_check_probe decides that alone. */
#ifndef SLUICE_SCHEMA_DRIFT_H
#define SLUICE_SCHEMA_DRIFT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "pg/db.h"
#include "schema/bundle.h"

struct err;

enum { CATALOGUE_COLUMNS_MAX = 16384 };

enum schema_drift_kind {
    DRIFT_TABLE_MISSING,
    DRIFT_COLUMN_MISSING,
    DRIFT_COLUMN_RENAMED, /* the same column under another name; only against an earlier state */
    DRIFT_COLUMN_ADDED,
    DRIFT_TYPE_CHANGED, /* or its modifier: a wider varchar */
    DRIFT_NOW_NULLABLE, /* against the mapping: of a required field */
    DRIFT_NOW_NOT_NULL,
    DRIFT_LABELS_CHANGED, /* of an enumeration */
};

struct schema_notice {
    enum schema_drift_kind kind;
    const char *table;    /* quoted and qualified */
    const char *column;   /* "" for a table */
    const char *expected; /* "" where there was nothing */
    const char *found;    /* "" where there is nothing */
    bool compatible;      /* rows can still be read as the mapping was written */
};

struct schema_drift {
    struct schema_notice *notices; /* by table, then column as the table has them */
    size_t count;
    bool compatible; /* all of them */
};

/* "column_missing" and so on, for logs and scripts. */
const char *schema_drift_kind_name(enum schema_drift_kind kind);

struct schema_catalogue;

/* One statement for all tables of the dataset; NULL when it has none (a query without children). */
const struct db_sql *schema_catalogue_sql(const struct schema_dataset *dataset,
                                          struct arena *arena);
/* The statement's rows. NULL: DATA_LOSS/SOURCE_MALFORMED or RESOURCE_EXHAUSTED/CATALOGUE_TOO_LARGE. */
struct schema_catalogue *schema_catalogue_read(const struct db_rows *rows, struct err *err);
void schema_catalogue_free(struct schema_catalogue **catalogue);

/* What of the mapping's tables and columns is not there or not as it should be. */
void schema_catalogue_check(const struct schema_dataset *dataset,
                            const struct schema_catalogue *catalogue, struct arena *arena,
                            struct schema_drift *drift_r);
/* What has changed from one state to a later one, mapped or not. */
void schema_catalogue_compare(const struct schema_dataset *dataset,
                              const struct schema_catalogue *before,
                              const struct schema_catalogue *after, struct arena *arena,
                              struct schema_drift *drift_r);

#endif
