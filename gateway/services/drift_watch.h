/* What has changed in the owner's tables of one dataset since this process first served it, and what of
 *   them does not fit the mapping: notices for the owner, lines for the log, numbers for metrics.
 * Ownership: a watch owns the state it compares with and its notices; it borrows the dataset.
 * Never calls back.
 * Limits: one statement every DRIFT_LOOK_MS; DRIFT_NOTICES_MAX notices are kept, those that close the
 *   dataset first, the rest is counted; their texts are cut at DRIFT_TEXT_BYTES_MAX.
 * Does not run statements and closes no dataset: gateway.c does, by its probe. */
#ifndef SLUICE_SERVICES_DRIFT_WATCH_H
#define SLUICE_SERVICES_DRIFT_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/drift.h"
#include "sluice/v1/catalog.pb-c.h"

struct err;

enum {
    DRIFT_LOOK_MS = 5000,   /* a look costs the server 1 ms at 13 columns, 12 ms at 400 */
    DRIFT_RETRY_MS = 60000, /* after a database could not tell */
    DRIFT_NOTICES_MAX = 100,
    DRIFT_TEXT_BYTES_MAX = 512,
};

/* In force: true of the tables as they were last looked at. Texts live until the next take. */
struct drift_notice {
    struct schema_notice notice;
    int64_t found_us; /* wall clock */
};

struct drift_watch;
struct drift_watch *drift_watch_new(const struct schema_dataset *dataset);
void drift_watch_free(struct drift_watch **watch);

/* The catalogue's statement, owned by the watch, when it is time to look; NULL: not now, or the dataset
 * reads no table of its own. `now_us` is monotonic. */
const struct db_sql *drift_watch_due(const struct drift_watch *watch, int64_t now_us);
/* The next drift_watch_due says yes: the dataset has just closed or opened. */
void drift_watch_soon(struct drift_watch *watch);
/* What the statement answered. `ready`: the dataset is served; the first state with that is the one
 * later ones are compared with. New notices, and those that are over, get a line in the log each. */
void drift_watch_take(struct drift_watch *watch, const struct db_rows *rows, const struct err *err,
                      bool ready, int64_t now_us);

/* NULL and 0 where nothing has changed. */
const struct drift_notice *drift_watch_notices(const struct drift_watch *watch, size_t *count_r);
/* All in force of a kind, those not kept included. */
size_t drift_watch_count(const struct drift_watch *watch, enum schema_drift_kind kind);
/* Replaces the text of a SCHEMA_DRIFT by the table and column that are the cause, for their owner; leaves
 * `err` alone when no notice says it. */
void drift_watch_explain(const struct drift_watch *watch, struct err *err);
/* For an answer to the owner's officer. NULL and 0 without notices. */
Sluice__V1__DriftNotice **drift_watch_messages(const struct drift_watch *watch, struct arena *arena,
                                               size_t *count_r);

#endif
