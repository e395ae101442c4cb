/* From the owner's snapshot to chunks of COPY tuples: read, normalise, write, digest. While one chunk is
 * decided upon and sent, the next are filled; chunks leave in the order they were read, one at a time, and
 * when none is free the source waits. */
#include <string.h>

#include "transfer/job.h"

void copy_digest(struct transfer_job *job, struct job_digest *digest)
{
    uint8_t leaf[MERKLE_HASH_BYTES];
    merkle_leaf_hash(job->record.data, job->record.len, leaf);
    merkle_frontier_append(&digest->tree, leaf);
    unsigned carry = 0;
    for (size_t i = sizeof digest->sum; i-- > 0;) {
        carry += (unsigned)digest->sum[i] + leaf[i];
        digest->sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
    digest->count++;
}

void copy_digest_init(struct job_digest *digest)
{
    merkle_frontier_init(&digest->tree);
    memset(digest->sum, 0, sizeof digest->sum);
    digest->count = 0;
}

/* --- chunks --------------------------------------------------------------------------------------------- */

static void on_decided(struct transfer_job *job, const struct err *err)
{
    if (err != NULL) {
        job_fail(job, err);
        return;
    }
    job->decided = true;
    target_send(job);
}

static void send_chunk(struct transfer_job *job)
{
    struct err err = ERR_INIT;
    job->sending = true;
    job->resolutions = 0;
    if (!authz_live(job->options->authz, &job->grant, &err))
        job_fail(job, &err);
    else if (job->options->audit == NULL)
        target_send(job);
    else
        entry_decide(job, on_decided);
}

/* How long what has been read so far would have taken at the rate that was asked for. */
static int64_t ahead_us(const struct transfer_job *job)
{
    if (job->rows_per_second == 0)
        return 0;
    int64_t due_us =
        job->read_from_us + (int64_t)(job->counts.read * 1000000 / job->rows_per_second);
    return due_us - loop_now_us(job->options->loop);
}

void copy_resume(void *arg)
{
    struct transfer_job *job = arg;
    if (!job->paused || job->read_all || job->full == TRANSFER_CHUNKS)
        return;
    int64_t wait_us = ahead_us(job);
    if (wait_us > 0) {
        loop_timer_start(&job->pace, wait_us / 1000 + 1);
        return;
    }
    job->paused = false;
    db_lease_resume(job->source);
}

/* A slow transfer reads a second's rows at a time, not one large chunk in a burst. */
static uint64_t chunk_rows_max(const struct transfer_job *job)
{
    uint64_t rate = job->rows_per_second;
    if (rate == 0 || rate >= TRANSFER_CHUNK_ROWS)
        return TRANSFER_CHUNK_ROWS;
    return rate > TRANSFER_CHUNK_ROWS_MIN ? rate : TRANSFER_CHUNK_ROWS_MIN;
}

static struct job_chunk *filling(struct transfer_job *job)
{
    return &job->ring[(job->first + job->full) % TRANSFER_CHUNKS];
}

/* No row comes any more until copy_resume. */
static void hold(struct transfer_job *job)
{
    job->paused = true;
    db_lease_pause(job->source);
}

/* The chunk that was filled stands behind those that wait to be sent. */
static void seal(struct transfer_job *job)
{
    job->full++;
    loop_task_post(job->options->loop, &job->flush);
}

void copy_flush(void *arg)
{
    struct transfer_job *job = arg;
    if (job->row_failed.code != ERR_OK) {
        job_fail(job, &job->row_failed);
        return;
    }
    copy_resume(job);
    if (job->sending)
        return;
    if (job->full > 0) {
        send_chunk(job);
    } else if (job->read_all) {
        job->resolutions = 0;
        target_publish(job);
    }
}

void copy_chunk_committed(struct transfer_job *job)
{
    struct job_chunk *chunk = job_chunk_sent(job);
    if (job->decided)
        entry_deliver(job, NULL);
    job->decided = false;
    job->sending = false;
    job->chunks++;
    chunk->rows = 0;
    buf_reset(&chunk->tuples);
    job->first = (job->first + 1) % TRANSFER_CHUNKS;
    job->full--;
    copy_flush(job);
}

/* --- rows ----------------------------------------------------------------------------------------------- */

static void check_thresholds(struct transfer_job *job, bool whole)
{
    char sentence[TRANSFER_SENTENCE_BYTES];
    if (job->options->exceeded(&job->grant.dataset->thresholds, &job->counts, whole, sentence))
        (void)err_set(&job->row_failed, ERR_FAILED_PRECONDITION, "QUARANTINE_THRESHOLD",
                      "%s; nothing was put in place", sentence);
}

static int take_record(struct transfer_job *job, struct schema_row_report *report)
{
    struct job_chunk *chunk = filling(job);
    const uint8_t *record = job->record.data + sizeof job->salt;
    size_t len = job->record.len - sizeof job->salt;
    if (schema_writer_row(job->writer, record, len, &chunk->tuples, report, &job->row_failed) < 0)
        return -1;
    if (report->state != ROW_DELIVERED)
        return 0;
    copy_digest(job, &job->sent);
    job->counts.delivered++;
    chunk->rows++;
    return 0;
}

static int take_row(struct transfer_job *job, const struct db_rows *rows)
{
    struct schema_row_report report;
    buf_reset(&job->record);
    (void)buf_append(&job->record, job->salt, sizeof job->salt);
    if (schema_plan_row(job->grant.plan, rows, 0, &job->record, &report, &job->row_failed) < 0)
        return -1;
    job->counts.read++;
    if (report.state == ROW_DELIVERED && take_record(job, &report) < 0)
        return -1;
    job->counts.quarantined += report.state == ROW_QUARANTINED;
    job->counts.duplicates += report.state == ROW_DUPLICATE;
    if (report.state == ROW_QUARANTINED)
        check_thresholds(job, false);
    return job->row_failed.code == ERR_OK ? 0 : -1;
}

static void on_row(void *arg, const struct db_rows *rows)
{
    struct transfer_job *job = arg;
    const struct job_chunk *chunk = filling(job);
    if (job->paused)
        return;
    if (take_row(job, rows) < 0) {
        hold(job);
        loop_task_post(job->options->loop, &job->flush);
        return;
    }
    if (chunk->rows < chunk_rows_max(job) && chunk->tuples.len < TRANSFER_CHUNK_BYTES)
        return;
    seal(job);
    if (job->full == TRANSFER_CHUNKS || ahead_us(job) > 0)
        hold(job); /* copy_flush looks when to go on */
}

static void on_read(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct transfer_job *job = arg;
    (void)rows;
    if (err != NULL) {
        job_fail(job, err);
        return;
    }
    db_lease_release(&job->source);
    job->read_all = true;
    check_thresholds(job, true);
    if (job->full < TRANSFER_CHUNKS && filling(job)->rows > 0)
        seal(job);
    loop_task_post(job->options->loop, &job->flush);
}

/* --- the snapshot --------------------------------------------------------------------------------------- */

static int take_snapshot(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "SOURCE_ERROR", "the owner's database gave no snapshot");
    job->snapshot = db_text(&job->arena, db_value(rows, 0, 0));
    job->snapshot_us = db_int8(db_value(rows, 0, 1));
    return 0;
}

static void on_snapshot(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    struct err failed = ERR_INIT;
    struct db_sql sql;
    if (err != NULL) {
        job_fail(job, err);
        return;
    }
    if (cursor_open(job, &failed) < 0 ||
        schema_plan_query(job->grant.plan, job->filter, NULL, 0, &job->arena, &sql, &failed) < 0) {
        job_fail(job, &failed);
        return;
    }
    job->read_from_us = loop_now_us(job->options->loop);
    db_lease_query(job->source, &sql, job_deadline(job, JOB_READ_MS), on_row, on_read, job);
}

static void on_lease(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL) {
        job->source = NULL; /* a refused lease dies with this callback */
        job_fail(job, err);
        return;
    }
    (void)target_script(job);
    if (job->cursor.field[0] != '\0')
        cursor_add_watermark(job, &job->script);
    (void)script_add(&job->script, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    struct script_step *step =
        script_add(&job->script, "SELECT pg_catalog.pg_current_snapshot()::text,"
                                 " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
    step->check = take_snapshot;
    script_run(&job->script, job->source, job_deadline(job, JOB_STATEMENT_MS), on_snapshot);
}

void copy_begin(struct transfer_job *job)
{
    struct db_source *database =
        job->options->database(job->options->arg, job->grant.dataset->source, false);
    struct err err = ERR_INIT;
    if (database == NULL) {
        (void)err_set(&err, ERR_FAILED_PRECONDITION, "SOURCE_NOT_CONFIGURED",
                      "this gateway does not list the database that the dataset is read from");
        job_fail(job, &err);
        return;
    }
    job->source = db_lease_start(database, job_deadline(job, JOB_CONNECT_MS), on_lease, job);
}
