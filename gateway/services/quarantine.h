/* Notes of quarantined rows on their way to the control database, written behind the answers.
 * Ownership: the gateway owns the struct; a note is copied.
 * Never calls back.
 * Limits: QUARANTINE_PENDING_MAX notes wait; a note beyond them, or one whose write failed, is
 *   counted as lost. That is no error: the count of each call's quarantined rows stands in its
 *   audit entry already, and the next reader of the row notes it again.
 * Does not read rows again: quarantine_item.h does. */
#ifndef SLUICE_SERVICES_QUARANTINE_H
#define SLUICE_SERVICES_QUARANTINE_H

#include "base/list.h"
#include "net/loop.h"
#include <stdbool.h>

#include "base/ids.h"
#include "schema/plan.h"
#include "services/quarantine_seal.h"

struct behind;
struct loop;

enum {
    QUARANTINE_PENDING_MAX = 1024,        /* notes of 1 KiB: 1 MiB a worker */
    QUARANTINE_BATCH_MAX = 256,           /* of one statement */
    QUARANTINE_FLUSH_MS = 200,            /* a note waits no longer for company */
    QUARANTINE_RETRY_MS = 2000,           /* after a write that failed */
    QUARANTINE_DATASET_ROWS_MAX = 100000, /* of one dataset in the store; beyond, counts only */
    QUARANTINE_KEEP_DAYS = 365,           /* a row not met for so long is forgotten */
};

/* Numbers of sluice.v1.QuarantineItem.State. */
enum quarantine_state {
    QUARANTINE_OPEN = 1,
    QUARANTINE_VANISHED = 2,
    QUARANTINE_CHANGED = 3,
    QUARANTINE_MENDED = 4,
};

struct quarantine;
struct quarantine *quarantine_new(struct loop *loop, struct behind *behind,
                                  const struct quarantine_keys *keys);
void quarantine_free(struct quarantine **quarantine);

/* A row that schema_plan_row or schema_plan_row_judge rejected; `fields` is the bitmap of the plan
 * it was read with, `field` NULL when the row as a whole is the trouble. */
struct quarantine_sighting {
    const struct schema_dataset *dataset;
    const struct schema_plan *plan;
    const uint8_t *fields;
    const uint8_t *exchange_id; /* UUID_BYTES: of the call that met it */
    const struct schema_field *field;
    const char *rule; /* literals */
    const char *code;
};
void quarantine_note(struct quarantine *quarantine, const struct quarantine_sighting *sighting,
                     const struct db_rows *rows, int row);
/* Too many wait: a reader that can, pauses. */
bool quarantine_busy(const struct quarantine *quarantine);

/* Tells `run` once, at the end of a turn of the loop, when no note of this dataset waits any more; they
 * are written at once. The struct is the caller's until then or until it has cancelled. */
struct quarantine_wait {
    struct list link;
    struct loop_task task;
    const char *dataset;
};
void quarantine_wait_start(struct quarantine *quarantine, struct quarantine_wait *wait,
                           const char *dataset, void (*run)(void *arg), void *arg);
void quarantine_wait_cancel(struct quarantine_wait *wait);

struct quarantine_stats {
    size_t pending;
    uint64_t noted; /* written */
    uint64_t lost;
};
void quarantine_stats(const struct quarantine *quarantine, struct quarantine_stats *stats_r);

#endif
