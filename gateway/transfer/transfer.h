/* The mover's jobs: datasets copied from their owner's database into a table of the consumer's.
 * Ownership: a mover owns its jobs; everything in transfer_options is borrowed and outlives it.
 * Callbacks: transfer_options.database and .exceeded run inside the mover's own callbacks.
 * Limits: TRANSFER_JOBS_MAX jobs at once, of each TRANSFER_CHUNKS of TRANSFER_CHUNK_BYTES in memory.
 * Does not decide who may ask for a job: services/transfer.c writes the rows that movers claim. */
#ifndef SLUICE_TRANSFER_TRANSFER_H
#define SLUICE_TRANSFER_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/bundle.h"

struct audit_client;
struct authz;
struct db_source;
struct loop;

enum {
    TRANSFER_JOBS_MAX = 4, /* so that a long one does not hold up the short ones */
    TRANSFER_CHUNK_ROWS = 8192,
    TRANSFER_CHUNK_BYTES = 2 * 1024 * 1024,
    TRANSFER_CHUNKS = 3,          /* of a job, in memory: one is sent, one waits, one is filled */
    TRANSFER_CHUNK_ROWS_MIN = 64, /* of a slow transfer, whose chunk is what it may read a second */
    TRANSFER_RATE_MAX = 1000 * 1000, /* as CreateTransferRequest.rows_per_second */
    TRANSFER_LEASE_MS = 5000,
    TRANSFER_HEARTBEAT_MS = 1000,
    TRANSFER_POLL_MS = 500,
    TRANSFER_ATTEMPTS_MAX =
        20, /* with TRANSFER_BACKOFF_MAX_MS: a database may be away for some time */
    TRANSFER_BACKOFF_MS = 500,
    TRANSFER_BACKOFF_MAX_MS = 60000,
    TRANSFER_SENTENCE_BYTES = 200,
    /* Leased connections that one mover may hold in one database. */
    TRANSFER_CONNECTIONS = TRANSFER_JOBS_MAX,
};

/* read = delivered + quarantined + filtered + duplicates */
struct transfer_counts {
    uint64_t read;
    uint64_t delivered;
    uint64_t quarantined;
    uint64_t filtered;
    uint64_t duplicates;
};

struct transfer_options {
    struct loop *loop;
    const char *instance;
    struct db_source *control;
    const struct schema_bundle *bundle;
    struct authz *authz;
    struct audit_client *audit; /* NULL only when auditing is off (bench) */
    /* The database of this name, to read or to write; NULL: it is not configured. */
    struct db_source *(*database)(void *arg, const char *name, bool write);
    /* Whether the owner's thresholds forbid to go on, as a sentence. */
    bool (*exceeded)(const struct schema_thresholds *thresholds,
                     const struct transfer_counts *counts, bool whole,
                     char sentence_r[TRANSFER_SENTENCE_BYTES]);
    void *arg;
};

struct transfer_mover;
/* Begins to claim jobs. */
struct transfer_mover *transfer_mover_new(const struct transfer_options *options);
/* Jobs that still run are abandoned: another mover takes them when their lease is over. */
void transfer_mover_free(struct transfer_mover **mover);
/* Claims nothing more and gives what runs back, so that another mover has it at once. */
void transfer_mover_drain(struct transfer_mover *mover);
bool transfer_mover_idle(const struct transfer_mover *mover);
/* Agreements have changed: jobs whose own no longer lives end now. */
void transfer_mover_recheck(struct transfer_mover *mover);

/* "sluice"."transfer_progress", where each target keeps how far its jobs are. */
#define TRANSFER_SCHEMA   "sluice"
#define TRANSFER_PROGRESS "\"sluice\".\"transfer_progress\""

#endif
