/* SQL text with numbered parameters, and the conditions that leaves become.
 * Ownership: text and parameters live in the caller's arena; the builder's own buffer is freed by
 *   plan_sql_finish or plan_sql_drop.
 * Never calls back.
 * Limits: DB_PARAMS_MAX parameters, PLAN_SQL_BYTES_MAX of text; beyond them finish answers an
 * error. Private to schema/. Values become parameters, never text: identifiers and constants come
 * from the mapping and are quoted there. */
#ifndef SLUICE_SCHEMA_PLAN_SQL_H
#define SLUICE_SCHEMA_PLAN_SQL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "pg/db.h"
#include "schema/mapping.h"

struct err;

enum { PLAN_SQL_BYTES_MAX = 1024 * 1024 };

struct plan_sql {
    struct arena *arena;
    struct buf text;
    const char *params[DB_PARAMS_MAX];
    int param_count;
    bool overflow;
};

void plan_sql_init(struct plan_sql *sql, struct arena *arena);
void plan_sql_drop(struct plan_sql *sql);
/* Frees the builder; -1 with INVALID_ARGUMENT/FILTER_TOO_LARGE when it overflowed. */
int plan_sql_finish(struct plan_sql *sql, struct db_sql *sql_r, struct err *err);

void plan_sql_add(struct plan_sql *sql, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void plan_sql_text(struct plan_sql *sql, const char *text);
/* Appends "$n"; the text must live as long as the statement's parameters are used. */
void plan_sql_param(struct plan_sql *sql, const char *value);
/* A parameter that is an array literal of these texts. */
void plan_sql_array(struct plan_sql *sql, const char *const *items, size_t count);

/* The statement that new connections describe: every column the mapping reads, and what only the
 * database knows about its types. NULL when the mapping is too large for one statement. */
const char *plan_probe_sql(const struct schema_mapping *mapping, struct arena *arena);
/* The rows of a child table as one array of records, for the row at hand of "source". */
void plan_sql_child(struct plan_sql *sql, const struct schema_mapping *mapping,
                    const struct mapping_child *child);
/* The mapping's source with, of several rows of one stored key, which this is (1: the record) as
 * "sluice rank"; with DUPLICATES_REJECT how many there are. */
enum plan_rank {
    RANK_ALL,    /* of every row; a condition on the key goes around */
    RANK_LOOKUP, /* one row of one key */
    RANK_BATCH,  /* one row of each key */
};
typedef void (*plan_where_fn)(void *arg, struct plan_sql *sql);
void plan_sql_ranked(struct plan_sql *sql, const struct schema_mapping *mapping,
                     enum plan_rank which, plan_where_fn where, void *arg);
#define PLAN_RANK_COLUMN "\"sluice rank\""
#define PLAN_ROW_COLUMN  "\"sluice row\""

/* fold_n(...fold_1(column)) of a leaf's chain. */
void plan_sql_folded(struct plan_sql *sql, const struct schema_mapping *mapping,
                     const struct mapping_leaf *leaf);
/* The column, or COALESCE of all of them. */
void plan_sql_operand(struct plan_sql *sql, const struct schema_mapping *mapping,
                      const struct mapping_leaf *leaf);
/* True where the leaf has no value: SQL NULL or one of its null values. */
void plan_sql_absent(struct plan_sql *sql, const struct schema_mapping *mapping,
                     const struct mapping_leaf *leaf);

#endif
