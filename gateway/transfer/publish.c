/* Puts staged rows in place: one transaction that changes the table, reads back, and writes the manifest. */
#include <stdio.h>
#include <string.h>

#include "base/ids.h"
#include "transfer/job.h"

static void on_publish_resolved(void *arg, const struct err *err);

/* The read-back: the canonical record again, through the target's own mapping. */
static void on_found(void *arg, const struct db_rows *rows)
{
    struct transfer_job *job = arg;
    struct schema_row_report report;
    if (job->row_failed.code != ERR_OK)
        return;
    buf_reset(&job->record);
    (void)buf_append(&job->record, job->salt, sizeof job->salt);
    if (schema_plan_row(job->target_plan, rows, 0, &job->record, &report, &job->row_failed) < 0)
        return;
    if (report.state == ROW_DELIVERED)
        copy_digest(job, &job->found);
    else
        (void)err_set(&job->row_failed, ERR_DATA_LOSS, "TARGET_DIFFERS",
                      "a row that was written does not read back as the record it was made from");
}

/* All that was sent is there, and nothing else, in whatever order it was read. */
static int check_found(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    (void)rows;
    if (job->row_failed.code != ERR_OK) {
        *err = job->row_failed;
        return -1;
    }
    if (job->found.count != job->sent.count) {
        (void)err_set(err, ERR_ABORTED, "TARGET_DIFFERS",
                      "the target's database holds another number of rows than were sent");
        return err_detail(err, "sent %llu, found %llu", (unsigned long long)job->sent.count,
                          (unsigned long long)job->found.count);
    }
    if (memcmp(job->found.sum, job->sent.sum, sizeof job->sent.sum) != 0)
        return err_set(err, ERR_ABORTED, "TARGET_DIFFERS",
                       "what the target's database holds is not what was sent");
    merkle_frontier_root(&job->sent.tree, job->root);
    merkle_frontier_root(&job->found.tree, job->table_root);
    return 0;
}

static int check_inserted(void *arg, const struct db_rows *rows, struct err *err)
{
    const struct transfer_job *job = arg;
    char tag[40];
    (void)snprintf(tag, sizeof tag, "INSERT 0 %llu", (unsigned long long)job->sent.count);
    return script_expect(rows, tag, "TARGET_DIFFERS", err);
}

static void fill_manifest(struct transfer_job *job)
{
    Sluice__V1__TransferManifest manifest = SLUICE__V1__TRANSFER_MANIFEST__INIT;
    Sluice__V1__TransferCounts counts = SLUICE__V1__TRANSFER_COUNTS__INIT;
    Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    char digest[2 * SCHEMA_DIGEST_BYTES + 1];
    at.seconds = job->snapshot_us / 1000000;
    at.nanos = (int32_t)(job->snapshot_us % 1000000) * 1000;
    counts.read = (int64_t)job->counts.read;
    counts.delivered = (int64_t)job->counts.delivered;
    counts.quarantined = (int64_t)job->counts.quarantined;
    counts.filtered = (int64_t)job->counts.filtered;
    counts.duplicates = (int64_t)job->counts.duplicates;
    hex_encode(schema_bundle_digest(job->options->bundle), SCHEMA_DIGEST_BYTES, digest);
    manifest.snapshot = (char *)(uintptr_t)job->snapshot;
    manifest.snapshot_at = &at;
    manifest.counts = &counts;
    manifest.fields = job->copied;
    manifest.n_fields = job->copied_count;
    manifest.root = (ProtobufCBinaryData){ .data = job->root, .len = sizeof job->root };
    if (job->mode == SLUICE__V1__TRANSFER_MODE__REPLACE)
        manifest.table_root =
            (ProtobufCBinaryData){ .data = job->table_root, .len = sizeof job->table_root };
    manifest.schema_digest = digest;
    manifest.chunks = (int64_t)job->chunks;
    Sluice__V1__TransferUpserted upserted = SLUICE__V1__TRANSFER_UPSERTED__INIT;
    upserted.inserted = (int64_t)job->upserted.inserted;
    upserted.updated = (int64_t)job->upserted.updated;
    upserted.unchanged = (int64_t)job->upserted.unchanged;
    upserted.conflicts = (int64_t)job->upserted.conflicts;
    if (job_by_key(job))
        manifest.upserted = &upserted;
    if (job->cursor.field[0] != '\0')
        manifest.cursor = cursor_manifest(job);
    buf_reset(&job->manifest);
    size_t len = sluice__v1__transfer_manifest__get_packed_size(&manifest);
    (void)buf_reserve(&job->manifest, len);
    job->manifest.len = sluice__v1__transfer_manifest__pack(&manifest, job->manifest.data);
}

static int make_manifest(void *arg, struct err *err)
{
    struct transfer_job *job = arg;
    (void)err;
    fill_manifest(job);
    char *hex = arena_alloc(&job->scripts, 2 * job->manifest.len + 3);
    (void)snprintf(hex, 3, "\\x");
    hex_encode(job->manifest.data, job->manifest.len, hex + 2);
    script_param(&job->script.steps[job->script.at], hex);
    return 0;
}

static void add_read_back(struct script *script, const struct db_sql *sql)
{
    struct script_step *step = script_add(script, sql->text);
    step->row = on_found;
    step->check = check_found;
}

static void add_lock(struct transfer_job *job, struct script *script)
{
    (void)script_add(script,
                     arena_format(&job->scripts, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE",
                                  schema_writer_table(job->writer)));
}

static void add_insert(struct transfer_job *job, struct script *script)
{
    const char *columns = schema_writer_columns(job->writer);
    struct script_step *step = script_add(
        script, arena_format(&job->scripts, "INSERT INTO %s (%s) SELECT %s FROM %s",
                             schema_writer_table(job->writer), columns, columns, job->staging));
    step->check = check_inserted;
}

/* Not TRUNCATE: readers see the old rows until the new ones are there, and the role need not own the
 * table. Not a swap of names: grants, views, indexes and foreign keys stay. */
static int add_replace(struct transfer_job *job, struct script *script, struct err *err)
{
    struct db_sql sql;
    if (schema_plan_query(job->target_plan, NULL, NULL, 0, &job->scripts, &sql, err) < 0)
        return -1;
    ledger_add_turn(job, script);
    add_lock(job, script);
    (void)script_add(
        script, arena_format(&job->scripts, "DELETE FROM %s", schema_writer_table(job->writer)));
    add_insert(job, script);
    add_read_back(script, &sql);
    return 0;
}

/* The table holds other rows too, so the staged ones are read back. */
static int add_to_others(struct transfer_job *job, struct script *script, struct err *err)
{
    struct db_sql sql;
    if (schema_plan_copy(job->target_plan, job->staging, &job->scripts, &sql, err) < 0)
        return -1;
    add_read_back(script, &sql);
    if (!job_by_key(job)) {
        ledger_add_turn(job, script);
        add_insert(job, script);
        return 0;
    }
    (void)script_add(script, arena_format(&job->scripts, "ANALYZE %s", job->staging));
    ledger_add_turn(job, script);
    add_lock(job, script);
    upsert_add(job, script);
    return 0;
}

static int add_rows(struct transfer_job *job, struct script *script, struct err *err)
{
    int added = job->mode == SLUICE__V1__TRANSFER_MODE__REPLACE ? add_replace(job, script, err)
                                                                : add_to_others(job, script, err);
    if (added < 0)
        return -1;
    ledger_add_write(job, script);
    cursor_add_keep(job, script);
    return 0;
}

static void on_publish_done(void *arg, const struct err *err);

void target_publish(struct transfer_job *job)
{
    struct script *script = target_script(job);
    struct err err = ERR_INIT;
    copy_digest_init(&job->found);
    (void)script_add(script, "BEGIN");
    struct script_step *step =
        script_add(script, "UPDATE " TRANSFER_PROGRESS " SET updated_at = now() WHERE job ="
                           " $1::uuid AND epoch = $2::bigint AND chunks = $3::bigint AND manifest"
                           " IS NULL");
    target_add_fence(job, step);
    script_param(step, arena_format(&job->scripts, "%llu", (unsigned long long)job->chunks));
    step->check = target_check_fenced;
    if (add_rows(job, script, &err) < 0) {
        job_fail(job, &err);
        return;
    }
    step = script_add(script, "UPDATE " TRANSFER_PROGRESS " SET manifest = $3::bytea, updated_at ="
                              " now() WHERE job = $1::uuid AND epoch = $2::bigint");
    target_add_fence(job, step);
    step->before = make_manifest;
    step->check = target_check_fenced;
    (void)script_add(script, arena_format(&job->scripts, "DROP TABLE %s", job->staging));
    step = script_add(script, "COMMIT");
    step->before = target_check_live;
    script_run(script, job->dest, job_deadline(job, JOB_PUBLISH_MS), on_publish_done);
}

static void on_publish_resolved(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL && target_may_resolve(job, err))
        target_resolve_later(job, err, on_publish_resolved);
    else if (err != NULL)
        target_fail(job, err);
    else if (job->published)
        job_published(job);
    else
        target_publish(job);
}

static void on_publish_done(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err == NULL)
        job_published(job);
    else if (target_may_resolve(job, err))
        target_resolve_later(job, err, on_publish_resolved);
    else
        target_fail(job, err);
}
