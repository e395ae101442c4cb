/* One job of a mover: what it copies, its two connections, the chunks in memory. Private to transfer/.
 * Ownership: the mover owns jobs; a job owns its leases, writer, plans and buffers.
 * Callbacks: job_ended of the mover, once, never inside job_start or job_stop's caller.
 * Limits: see transfer.h.
 * Each file is one part of a job's life: job.c begins and ends it, copy.c moves rows, target.c has the
 * target's statements, publish.c those that put rows in place, entry.c writes audit entries, mover.c claims. */
#ifndef SLUICE_TRANSFER_JOB_H
#define SLUICE_TRANSFER_JOB_H

#include "audit/client.h"
#include "audit/hash.h"
#include "audit/merkle.h"
#include "authz/authz.h"
#include "base/arena.h"
#include "base/list.h"
#include "net/loop.h"
#include "schema/writer.h"
#include "sluice/v1/transfer.pb-c.h"
#include "transfer/script.h"
#include "transfer/transfer.h"

enum {
    JOB_STATEMENT_MS = 60000, /* one chunk, or one look at a catalogue */
    JOB_PUBLISH_MS =
        6 * 3600000, /* reading back and putting in place: as long as the copy itself */
    JOB_READ_MS = 12 * 3600000,
    JOB_CONNECT_MS = 10000,
    JOB_ENTRY_MS = 30000, /* an audit log that is away for longer fails the attempt */
};

enum job_wanted { WANTED_RUN = 1, WANTED_PAUSE = 2, WANTED_CANCEL = 3 };

/* How an attempt ended, for the mover to write down. */
enum job_fate {
    FATE_SUCCEEDED,
    FATE_AGAIN,  /* later, by anybody */
    FATE_FAILED, /* for good */
    FATE_PAUSED,
    FATE_CANCELLED,
    FATE_GIVEN_BACK, /* the mover drains: at once, by another */
};

/* A digest that grows record by record: the tree knows their order, the sum of the leaf hashes (modulo
 * 2^256) does not. Leaves are salted, so that nobody who lacks the salt can choose rows to make sums meet. */
struct job_digest {
    struct merkle_frontier tree;
    uint8_t sum[MERKLE_HASH_BYTES];
    uint64_t count;
};

struct job_chunk {
    struct buf tuples;
    uint64_t rows;
};

/* What became of the rows that were sent, where they are put in place by their key. */
struct job_upserted {
    uint64_t inserted;
    uint64_t updated;
    uint64_t unchanged;
    uint64_t
        conflicts; /* somebody else changed the target's row: it stays, both versions are kept */
};

/* Where an incremental copy begins, and where the next one will. Times in microseconds since 1970. */
struct job_cursor {
    const char *field; /* "" for other modes */
    const char *stream;
    bool has_from; /* else all rows are read */
    int64_t from_us;
    bool has_next;
    int64_t next_us;
    bool held_back; /* by prepared transactions */
    bool index_missing;
};

struct job_op {
    struct db_lease *lease;
    struct db_sql sql;
    int64_t deadline_us;
    db_done_fn done;
    struct transfer_job *job;
};

struct transfer_job {
    struct list link;
    struct transfer_mover *mover;
    const struct transfer_options *options;
    struct arena arena;
    /* the row */
    const char *id;
    uint8_t exchange_id[UUID_BYTES];
    const char *epoch;
    struct identity who;
    const char *dataset_name;
    const char *agreement;
    const char *purpose;
    const char *target_name;
    Sluice__V1__TransferMode mode;
    const char *filter_text;
    char **fields;
    size_t field_count;
    uint8_t salt[SALT_BYTES];
    int64_t attempts;
    enum job_wanted wanted;
    uint64_t rows_per_second; /* 0: no limit */
    /* what follows from it */
    struct authz_answer grant;
    const struct schema_dataset *target;
    struct schema_filter *filter;
    struct schema_writer *writer;
    struct schema_plan *target_plan;
    char **copied; /* names of the fields */
    size_t copied_count;
    const char *staging; /* quoted */
    /* connections */
    struct db_lease *source;
    struct db_lease *dest;
    struct script script;
    struct arena scripts; /* texts of the script at work */
    bool resolving;       /* whether the last COMMIT took place is being looked up */
    int resolutions;      /* of this chunk */
    struct loop_timer resolve;
    script_done_fn resolved; /* what comes after it */
    /* rows */
    struct buf record; /* salt, then the record */
    struct job_chunk ring[TRANSFER_CHUNKS];
    size_t first; /* the oldest full chunk: it is being sent, or is the next to be */
    size_t full;  /* from there on; the one behind them is being filled */
    struct transfer_counts counts;
    struct job_digest sent;
    struct job_digest found; /* being read back */
    uint8_t root[MERKLE_HASH_BYTES];
    uint8_t table_root[MERKLE_HASH_BYTES];
    uint64_t chunks;          /* committed */
    int64_t published_before; /* transfers into this table, when this one had not read yet */
    struct job_upserted upserted;
    struct job_cursor cursor;
    bool read_all;
    bool paused;            /* the source waits */
    int64_t read_from_us;   /* when the first row was asked for */
    struct loop_timer pace; /* until the next chunk may be read */
    bool sending;
    struct loop_task flush;
    struct err row_failed;
    const char *snapshot;
    int64_t snapshot_us;
    struct buf manifest; /* serialised */
    bool published;
    bool cleaning;
    /* entries */
    struct audit_ticket *ticket;
    struct audit_rows rows;
    bool decided; /* the chunk that is sent has a durable decision */
    /* the end */
    struct err failure;
    enum job_fate fate;
    bool ended;
    struct loop_task end;
    /* mover.c */
    struct job_op op;
    struct loop_timer beat;
    int64_t leased_us; /* when the last heartbeat that succeeded was sent */
    char beat_texts[5][24];
    const char *beat_params[8];
    bool settling; /* the attempt is over, what is left is to write that down */
};

/* --- mover.c ---------------------------------------------------------------------------------- */
/* The attempt is over: job->fate and job->failure say how. */
void mover_job_ended(struct transfer_job *job);

/* --- job.c -------------------------------------------------------------------------------------- */
void job_init(struct transfer_job *job);
void job_start(struct transfer_job *job);
/* Ends the attempt from outside: paused, cancelled, given back. */
void job_stop(struct transfer_job *job, enum job_fate fate);
void job_fail(struct transfer_job *job, const struct err *err);
/* The agreement no longer lives: fails at once. */
void job_recheck(struct transfer_job *job);
/* Gives back all it holds; no callback fires any more. */
void job_release(struct transfer_job *job);
void job_fini(struct transfer_job *job);
/* The target has the rows: what is left is to write that down. */
void job_published(struct transfer_job *job);
int64_t job_deadline(const struct transfer_job *job, int64_t ms);

/* --- copy.c --------------------------------------------------------------------------------------- */
/* Opens the source's snapshot and moves every row; goes on in target_publish. */
void copy_begin(struct transfer_job *job);
/* Sends the oldest full chunk unless one is on its way, publishes behind the last; the task job->flush. */
void copy_flush(void *arg);
/* Reads on if there is room and it is time; the timer job->pace. */
void copy_resume(void *arg);
void copy_digest_init(struct job_digest *digest);
void copy_digest(struct transfer_job *job, struct job_digest *digest);
/* The chunk that is sent, or decided upon. */
static inline struct job_chunk *job_chunk_sent(struct transfer_job *job)
{
    return &job->ring[job->first];
}

/* --- target.c ------------------------------------------------------------------------------------- */
/* Checks the table, takes the epoch, makes the staging table; goes on in copy_begin. */
void target_prepare(struct transfer_job *job);
/* Sends the oldest chunk, then copy_chunk_committed. Takes care of an uncertain COMMIT. */
void target_send(struct transfer_job *job);
void copy_chunk_committed(struct transfer_job *job);
/* Looks up whether the last COMMIT took place; a timer's callback. */
void target_resolve(void *arg);
/* Removes what a job that will not be published has left; then the attempt ends as job->fate says. */
void target_clean(struct transfer_job *job);

/* What target.c and publish.c share. A script that begins anew; the last one's texts are gone. */
struct script *target_script(struct transfer_job *job);
/* The first two parameters of a statement under the fence: job and epoch. */
void target_add_fence(struct transfer_job *job, struct script_step *step);
int target_check_fenced(void *arg, const struct db_rows *rows, struct err *err);
int target_check_live(void *arg, struct err *err);
/* False: SQL NULL, nothing is published. */
bool target_take_manifest(struct transfer_job *job, struct db_value value);
/* As job_fail, said of a target. */
void target_fail(struct transfer_job *job, const struct err *err);
/* Whether this may be a COMMIT that took place. */
bool target_may_resolve(struct transfer_job *job, const struct err *err);
/* Looks a little later, on a new connection, what the job's row says; goes on in `resolved`. */
void target_resolve_later(struct transfer_job *job, const struct err *err, script_done_fn resolved);

/* --- publish.c ------------------------------------------------------------------------------------ */
/* Reads back, compares, puts in place; goes on in job_published. */
void target_publish(struct transfer_job *job);

/* --- upsert.c ------------------------------------------------------------------------------------- */
static inline bool job_by_key(const struct transfer_job *job)
{
    return job->mode == SLUICE__V1__TRANSFER_MODE__UPSERT ||
           job->mode == SLUICE__V1__TRANSFER_MODE__CURSOR;
}
/* Step of the preparation: the table has the key that rows are found by. */
void upsert_add_check(struct transfer_job *job, struct script *script);
/* Steps behind the read-back and the table's lock. */
void upsert_add(struct transfer_job *job, struct script *script);

/* --- cursor.c ------------------------------------------------------------------------------------- */
/* Step of the preparation: the last watermark. */
void cursor_add_look(struct transfer_job *job, struct script *script);
/* Steps at the source, each a transaction of its own, all before the snapshot is taken. */
void cursor_add_watermark(struct transfer_job *job, struct script *script);
/* The job's filter from here on: rows since the last watermark. */
int cursor_open(struct transfer_job *job, struct err *err);
/* Step of the last transaction, whatever the mode. */
void cursor_add_keep(struct transfer_job *job, struct script *script);
/* Lies in job->scripts. */
Sluice__V1__TransferCursor *cursor_manifest(struct transfer_job *job);

/* --- ledger.c ------------------------------------------------------------------------------------- */
/* Steps of the preparation: the gateway's own tables, and how often the target was written. */
void ledger_add_tables(struct script *script);
void ledger_add_look(struct transfer_job *job, struct script *script);
/* Steps of the last transaction: it is this job's turn; its rows are ours; conflicts leave the staging table. */
void ledger_add_turn(struct transfer_job *job, struct script *script);
void ledger_add_write(struct transfer_job *job, struct script *script);
void ledger_add_conflicts(struct transfer_job *job, struct script *script);

/* --- entry.c -------------------------------------------------------------------------------------- */
/* The decision on the chunk to be sent; `done` gets NULL once it is durable. */
typedef void (*entry_done_fn)(struct transfer_job *job, const struct err *err);
void entry_decide(struct transfer_job *job, entry_done_fn done);
/* What became of the chunk that was decided. Nobody waits. */
void entry_deliver(struct transfer_job *job, const struct err *failure);

#endif
