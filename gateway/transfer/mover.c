/* Claims jobs, keeps their leases alive, writes down how they ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "transfer/job.h"

enum { OP_MS = 3000, SETTLE_RETRY_MS = 500, SETTLE_MAX_MS = 60000 };

struct transfer_mover {
    struct transfer_options options;
    struct list jobs;
    int job_count;
    struct loop_timer poll;
    struct db_lease *lease; /* of the claim */
    bool claiming;
    bool draining;
    struct arena claim; /* texts of the claim under way */
};

/* --- one statement of the control database --------------------------------------------------------------- */

static void op_done(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct job_op *op = arg;
    struct db_lease *lease = op->lease; /* `done` may start another */
    op->lease = NULL;
    op->done(op->job, rows, err);
    db_lease_release(&lease);
}

static void on_op_lease(void *arg, const struct err *err)
{
    struct job_op *op = arg;
    if (err == NULL) {
        db_lease_execute(op->lease, &op->sql, op->deadline_us, op_done, op);
        return;
    }
    op->lease = NULL; /* a refused lease dies with this callback */
    op->done(op->job, NULL, err);
}

/* `sql` is copied, its parameters are the job's. */
static void run_op(struct transfer_job *job, const struct db_sql *sql, db_done_fn done)
{
    struct job_op *op = &job->op;
    db_lease_release(&op->lease);
    op->sql = *sql;
    op->job = job;
    op->done = done;
    op->deadline_us = job_deadline(job, OP_MS);
    op->lease = db_lease_start(job->options->control, op->deadline_us, on_op_lease, op);
}

/* --- the end of an attempt --------------------------------------------------------------------------- */

static void forget(void *memory)
{
    struct transfer_job *job = memory;
    job_fini(job);
    loop_timer_fini(&job->beat);
    free(job);
}

static void drop(struct transfer_job *job)
{
    struct transfer_mover *mover = job->mover;
    db_lease_release(&job->op.lease);
    job_release(job);
    loop_timer_cancel(&job->beat);
    list_remove(&job->link);
    mover->job_count--;
    loop_destroy_later(mover->options.loop, forget, job);
}

/* States of sluice.v1.TransferState. */
static const char again_sql[] =
    "UPDATE control.transfer SET state = 1, attempts = attempts + 1, lease_until = NULL,"
    " failure_code = $3::smallint, failure_reason = $4, failure_text = $5,"
    " next_attempt_at = now() + $6::bigint * interval '1 millisecond'"
    " WHERE id = $1::uuid AND epoch = $2::bigint AND state = 2";
static const char back_sql[] =
    "UPDATE control.transfer SET state = 1, lease_until = NULL, next_attempt_at = now()"
    " WHERE id = $1::uuid AND epoch = $2::bigint AND state = 2";
static const char paused_sql[] =
    "UPDATE control.transfer SET state = CASE WHEN wanted = 2 THEN 3 ELSE 1 END, lease_until = NULL"
    " WHERE id = $1::uuid AND epoch = $2::bigint AND state = 2";
static const char cancelled_sql[] =
    "UPDATE control.transfer SET state = 6, ended_at = now(), lease_until = NULL"
    " WHERE id = $1::uuid AND epoch = $2::bigint AND state = 2";
static const char failed_sql[] =
    "UPDATE control.transfer SET state = 5, ended_at = now(), lease_until = NULL,"
    " failure_code = $3::smallint, failure_reason = $4, failure_text = $5"
    " WHERE id = $1::uuid AND epoch = $2::bigint AND state = 2";
static const char succeeded_sql[] =
    "UPDATE control.transfer SET state = 4, ended_at = now(), lease_until = NULL,"
    " manifest = $3::bytea, rows_read = $4::bigint, rows_delivered = $5::bigint,"
    " rows_quarantined = $6::bigint, rows_filtered = $7::bigint, rows_duplicate = $8::bigint,"
    " snapshot = $9"
    " WHERE id = $1::uuid AND epoch = $2::bigint AND state = 2";

static void settle(void *arg);

static void on_settled(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL) {
        log_error(LOG_WARN, NULL, "transfer_not_settled", err);
        if (loop_now_us(job->options->loop) - job->leased_us > (int64_t)SETTLE_MAX_MS * 1000)
            drop(job); /* whoever takes it over finds its fate in the target */
        else
            loop_timer_start(&job->beat, SETTLE_RETRY_MS);
        return;
    }
    log_event(LOG_INFO, NULL, "transfer_settled", LOG_STR("transfer", job->id),
              LOG_INT("fate", job->fate), LOG_STR("answer", db_command_tag(rows)),
              LOG_INT("read", job->counts.read), LOG_INT("delivered", job->counts.delivered));
    drop(job);
}

static int64_t backoff_ms(int64_t attempts)
{
    int64_t ms = TRANSFER_BACKOFF_MS;
    for (int64_t i = 0; i < attempts && ms < TRANSFER_BACKOFF_MAX_MS; i++)
        ms *= 2;
    return ms < TRANSFER_BACKOFF_MAX_MS ? ms : TRANSFER_BACKOFF_MAX_MS;
}

static const char *number(struct transfer_job *job, int64_t value)
{
    return arena_format(&job->scripts, "%lld", (long long)value);
}

static void settle_failure(struct transfer_job *job, const char *text)
{
    const char *params[] = { job->id,
                             job->epoch,
                             number(job, err_grpc_status(job->failure.code)),
                             job->failure.reason,
                             job->failure.text,
                             number(job, backoff_ms(job->attempts)) };
    struct db_sql sql = { .text = text,
                          .param_count = job->fate == FATE_AGAIN ? 6 : 5,
                          .params = arena_dup(&job->scripts, params, sizeof params) };
    run_op(job, &sql, on_settled);
}

static void settle_success(struct transfer_job *job)
{
    Sluice__V1__TransferManifest *manifest =
        sluice__v1__transfer_manifest__unpack(NULL, job->manifest.len, job->manifest.data);
    Sluice__V1__TransferCounts none = SLUICE__V1__TRANSFER_COUNTS__INIT;
    const Sluice__V1__TransferCounts *counts =
        manifest != NULL && manifest->counts != NULL ? manifest->counts : &none;
    char *hex = arena_alloc(&job->scripts, 2 * job->manifest.len + 3);
    (void)snprintf(hex, 3, "\\x");
    hex_encode(job->manifest.data, job->manifest.len, hex + 2);
    const char *params[] = {
        job->id,
        job->epoch,
        hex,
        number(job, counts->read),
        number(job, counts->delivered),
        number(job, counts->quarantined),
        number(job, counts->filtered),
        number(job, counts->duplicates),
        manifest != NULL ? arena_strdup(&job->scripts, manifest->snapshot) : "",
    };
    struct db_sql sql = { .text = succeeded_sql,
                          .param_count = sizeof params / sizeof params[0],
                          .params = arena_dup(&job->scripts, params, sizeof params) };
    if (manifest != NULL)
        sluice__v1__transfer_manifest__free_unpacked(manifest, NULL);
    run_op(job, &sql, on_settled);
}

static void settle_plain(struct transfer_job *job, const char *text)
{
    const char *params[] = { job->id, job->epoch };
    struct db_sql sql = { .text = text,
                          .param_count = 2,
                          .params = arena_dup(&job->scripts, params, sizeof params) };
    run_op(job, &sql, on_settled);
}

static void settle(void *arg)
{
    struct transfer_job *job = arg;
    switch (job->fate) {
    case FATE_SUCCEEDED:
        settle_success(job);
        break;
    case FATE_AGAIN:
        settle_failure(job, again_sql);
        break;
    case FATE_FAILED:
        settle_failure(job, failed_sql);
        break;
    case FATE_PAUSED:
        settle_plain(job, paused_sql);
        break;
    case FATE_CANCELLED:
        settle_plain(job, cancelled_sql);
        break;
    case FATE_GIVEN_BACK:
        settle_plain(job, back_sql);
        break;
    }
}

void mover_job_ended(struct transfer_job *job)
{
    job->settling = true;
    loop_timer_cancel(&job->beat);
    settle(job);
}

/* --- heartbeat ----------------------------------------------------------------------------------------- */

static const char beat_sql[] =
    "UPDATE control.transfer SET lease_until = now() + $3::bigint * interval '1 millisecond',"
    " rows_read = $4::bigint, rows_delivered = $5::bigint, rows_quarantined = $6::bigint,"
    " rows_duplicate = $7::bigint, snapshot = $8"
    " WHERE id = $1::uuid AND epoch = $2::bigint AND state = 2 RETURNING wanted::integer";

static void on_beaten(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct transfer_job *job = arg;
    int64_t now_us = loop_now_us(job->options->loop);
    if (job->settling)
        return;
    if (err != NULL && now_us - job->leased_us < (int64_t)TRANSFER_LEASE_MS * 1000) {
        loop_timer_start(&job->beat, TRANSFER_HEARTBEAT_MS);
        return;
    }
    if (err != NULL || db_row_count(rows) != 1) {
        log_event(LOG_WARN, NULL, "transfer_lost", LOG_STR("transfer", job->id));
        drop(job); /* another mover's now, or soon */
        return;
    }
    job->leased_us = now_us;
    loop_timer_start(&job->beat, TRANSFER_HEARTBEAT_MS);
    int32_t wanted = db_int4(db_value(rows, 0, 0));
    if (wanted == WANTED_PAUSE)
        job_stop(job, FATE_PAUSED);
    else if (wanted == WANTED_CANCEL)
        job_stop(job, FATE_CANCELLED);
}

static void beat(void *arg)
{
    struct transfer_job *job = arg;
    if (job->settling) {
        settle(job);
        return;
    }
    const int64_t numbers[] = { TRANSFER_LEASE_MS, (int64_t)job->counts.read,
                                (int64_t)job->counts.delivered, (int64_t)job->counts.quarantined,
                                (int64_t)job->counts.duplicates };
    job->beat_params[0] = job->id;
    job->beat_params[1] = job->epoch;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)snprintf(job->beat_texts[i], sizeof job->beat_texts[i], "%lld",
                       (long long)numbers[i]);
        job->beat_params[2 + i] = job->beat_texts[i];
    }
    job->beat_params[7] = job->snapshot != NULL ? job->snapshot : "";
    struct db_sql sql = { .text = beat_sql, .param_count = 8, .params = job->beat_params };
    run_op(job, &sql, on_beaten);
}

/* --- claim -------------------------------------------------------------------------------------------- */

static const char claim_sql[] =
    "UPDATE control.transfer SET state = 2, owner = $1, epoch = epoch + 1,"
    " lease_until = now() + $2::bigint * interval '1 millisecond',"
    " started_at = coalesce(started_at, now()), rows_read = 0, rows_delivered = 0,"
    " rows_quarantined = 0, rows_filtered = 0, rows_duplicate = 0"
    " WHERE id = (SELECT id FROM control.transfer WHERE state IN (1, 2) AND next_attempt_at <= "
    "now()"
    " AND (state = 1 OR lease_until < now()) ORDER BY next_attempt_at LIMIT 1"
    " FOR UPDATE SKIP LOCKED)"
    " RETURNING id::text, epoch::text, created_kind::integer, created_by, consumer_department,"
    " consumer_name, credential, dataset, agreement, purpose, target, mode::integer, filter,"
    " array_to_string(fields, E'\\x1f'), salt, attempts, wanted::integer,"
    " rows_per_second, cursor_field";

static void take_name(struct db_value value, char *out, size_t size)
{
    size_t len = value.len < size - 1 ? value.len : size - 1;
    memcpy(out, value.data, len);
    out[len] = '\0';
}

static bool take_bytes(struct db_value value, uint8_t *out, size_t size)
{
    if (value.data == NULL || value.len != size)
        return false;
    memcpy(out, value.data, size);
    return true;
}

static bool fill_job(struct transfer_job *job, const struct db_rows *rows)
{
    struct arena *arena = &job->arena;
    job->id = db_text(arena, db_value(rows, 0, 0));
    job->epoch = db_text(arena, db_value(rows, 0, 1));
    job->who.kind = db_int4(db_value(rows, 0, 2)) == 2 ? IDENTITY_OFFICER : IDENTITY_SYSTEM;
    take_name(db_value(rows, 0, 3), job->who.subject, sizeof job->who.subject);
    take_name(db_value(rows, 0, 4), job->who.department, sizeof job->who.department);
    take_name(db_value(rows, 0, 5), job->who.name, sizeof job->who.name);
    job->dataset_name = db_text(arena, db_value(rows, 0, 7));
    job->agreement = db_text(arena, db_value(rows, 0, 8));
    job->purpose = db_text(arena, db_value(rows, 0, 9));
    job->target_name = db_text(arena, db_value(rows, 0, 10));
    job->mode = (Sluice__V1__TransferMode)db_int4(db_value(rows, 0, 11));
    job->filter_text = db_text(arena, db_value(rows, 0, 12));
    job->fields = db_texts(arena, db_value(rows, 0, 13), &job->field_count);
    job->attempts = db_int4(db_value(rows, 0, 15));
    job->wanted = (enum job_wanted)db_int4(db_value(rows, 0, 16));
    job->rows_per_second = (uint64_t)db_int8(db_value(rows, 0, 17));
    job->cursor.field = db_text(arena, db_value(rows, 0, 18));
    return uuid_parse(job->id, job->exchange_id) &&
           take_bytes(db_value(rows, 0, 6), job->who.credential, sizeof job->who.credential) &&
           take_bytes(db_value(rows, 0, 14), job->salt, sizeof job->salt);
}

static void adopt(struct transfer_mover *mover, const struct db_rows *rows)
{
    struct transfer_job *job = mem_zero(sizeof *job);
    job->mover = mover;
    job->options = &mover->options;
    job_init(job);
    loop_timer_init(&job->beat, mover->options.loop, beat, job);
    list_append(&mover->jobs, &job->link);
    mover->job_count++;
    job->leased_us = loop_now_us(mover->options.loop);
    if (!fill_job(job, rows)) {
        log_event(LOG_ERROR, NULL, "transfer_malformed", LOG_STR("transfer", job->id));
        drop(job);
        return;
    }
    loop_timer_start(&job->beat, TRANSFER_HEARTBEAT_MS);
    job_start(job);
}

static void claim_over(struct transfer_mover *mover, bool again)
{
    mover->claiming = false;
    db_lease_release(&mover->lease);
    if (!mover->draining)
        loop_timer_start(&mover->poll, again ? 0 : TRANSFER_POLL_MS);
}

static void on_claimed(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct transfer_mover *mover = arg;
    bool found = err == NULL && db_row_count(rows) == 1;
    if (err != NULL)
        log_error(LOG_WARN, NULL, "transfer_claim_failed", err);
    if (found)
        adopt(mover, rows);
    claim_over(mover, found);
}

static void on_claim_lease(void *arg, const struct err *err)
{
    struct transfer_mover *mover = arg;
    if (err != NULL) {
        mover->lease = NULL;
        log_error(LOG_WARN, NULL, "transfer_claim_failed", err);
        claim_over(mover, false);
        return;
    }
    const char *params[] = { mover->options.instance,
                             arena_format(&mover->claim, "%d", TRANSFER_LEASE_MS) };
    struct db_sql sql = { .text = claim_sql, .param_count = 2, .params = params };
    db_lease_execute(mover->lease, &sql, loop_now_us(mover->options.loop) + (int64_t)OP_MS * 1000,
                     on_claimed, mover);
}

static bool may_claim(const struct transfer_mover *mover)
{
    return mover->job_count < TRANSFER_JOBS_MAX && authz_ready(mover->options.authz) &&
           (mover->options.audit == NULL || audit_client_writable(mover->options.audit, NULL));
}

static void poll_now(void *arg)
{
    struct transfer_mover *mover = arg;
    if (!may_claim(mover)) {
        loop_timer_start(&mover->poll, TRANSFER_POLL_MS);
        return;
    }
    arena_fini(&mover->claim);
    arena_init(&mover->claim);
    mover->claiming = true;
    mover->lease = db_lease_start(mover->options.control,
                                  loop_now_us(mover->options.loop) + (int64_t)OP_MS * 1000,
                                  on_claim_lease, mover);
}

/* --- life ---------------------------------------------------------------------------------------------- */

struct transfer_mover *transfer_mover_new(const struct transfer_options *options)
{
    struct transfer_mover *mover = mem_zero(sizeof *mover);
    mover->options = *options;
    list_init(&mover->jobs);
    arena_init(&mover->claim);
    loop_timer_init(&mover->poll, options->loop, poll_now, mover);
    loop_timer_start(&mover->poll, 0);
    return mover;
}

void transfer_mover_drain(struct transfer_mover *mover)
{
    mover->draining = true;
    loop_timer_cancel(&mover->poll);
    list_for_each(link, &mover->jobs)
        job_stop(list_item(link, struct transfer_job, link), FATE_GIVEN_BACK);
}

bool transfer_mover_idle(const struct transfer_mover *mover)
{
    return !mover->claiming && mover->job_count == 0;
}

void transfer_mover_recheck(struct transfer_mover *mover)
{
    list_for_each(link, &mover->jobs) job_recheck(list_item(link, struct transfer_job, link));
}

void transfer_mover_free(struct transfer_mover **mover_ref)
{
    struct transfer_mover *mover = *mover_ref;
    if (mover == NULL)
        return;
    *mover_ref = NULL;
    list_for_each(link, &mover->jobs)
    {
        struct transfer_job *job = list_item(link, struct transfer_job, link);
        db_lease_release(&job->op.lease);
        list_remove(&job->link);
        forget(job);
    }
    db_lease_release(&mover->lease);
    loop_timer_fini(&mover->poll);
    arena_fini(&mover->claim);
    free(mover);
}
