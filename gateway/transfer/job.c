/* The beginning and the end of one attempt at a job. */
#include "transfer/job.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "transfer/cursor.h"

int64_t job_deadline(const struct transfer_job *job, int64_t ms)
{
    return loop_now_us(job->options->loop) + ms * 1000;
}

static void on_end(void *arg)
{
    struct transfer_job *job = arg;
    mover_job_ended(job);
}

void job_init(struct transfer_job *job)
{
    size_t chunk_max = (size_t)TRANSFER_CHUNK_BYTES + 4 * (size_t)PLAN_RECORD_BYTES_MAX;
    arena_init(&job->arena);
    arena_init(&job->scripts);
    buf_init_large(&job->record, PLAN_RECORD_BYTES_MAX + SALT_BYTES);
    for (size_t i = 0; i < TRANSFER_CHUNKS; i++)
        buf_init_large(&job->ring[i].tuples, chunk_max);
    buf_init(&job->manifest, (size_t)1024 * 1024);
    copy_digest_init(&job->sent);
    copy_digest_init(&job->found);
    loop_task_init(&job->end, on_end, job);
    loop_timer_init(&job->resolve, job->options->loop, target_resolve, job);
    loop_timer_init(&job->pace, job->options->loop, copy_resume, job);
    loop_task_init(&job->flush, copy_flush, job);
}

/* --- authorise ------------------------------------------------------------------------------------------ */

static int decide(struct transfer_job *job, char *const *fields, size_t count, struct err *err)
{
    struct authz_ask ask = {
        .who = &job->who,
        .dataset = job->dataset_name,
        .agreement = job->agreement,
        .purpose = job->purpose,
        .mode = AUTHZ_TRANSFER,
        .for_department = job->who.kind == IDENTITY_OFFICER,
        .fields = (const char *const *)fields,
        .field_count = count,
        .resumed = true,
    };
    authz_answer_fini(job->options->authz, &job->grant);
    return authz_decide(job->options->authz, &ask, &job->grant, err);
}

/* What is granted and the target holds. */
static void choose_fields(struct transfer_job *job)
{
    const struct schema_message *type = job->grant.dataset->type;
    job->copied = arena_array(&job->arena, type->field_count, sizeof *job->copied);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct schema_field *field = &type->fields[i];
        if (plan_bit(job->grant.fields, field->position) && schema_dataset_maps(job->target, field))
            job->copied[job->copied_count++] = arena_strdup(&job->arena, field->name);
    }
}

static int check_fields(struct transfer_job *job, struct err *err)
{
    const struct schema_message *type = job->grant.dataset->type;
    job->copied = job->fields;
    job->copied_count = job->field_count;
    for (size_t i = 0; i < job->field_count; i++) {
        const struct schema_field *field =
            schema_message_field(type, job->fields[i], strlen(job->fields[i]));
        if (field != NULL && !schema_dataset_maps(job->target, field))
            return err_set(err, ERR_FAILED_PRECONDITION, "FIELD_NOT_HELD",
                           "the target's mapping has no place for the field %s", field->name);
    }
    return 0;
}

static int find_target(struct transfer_job *job, struct err *err)
{
    job->target = schema_bundle_find(job->options->bundle, job->target_name);
    if (job->target == NULL || strcmp(job->target->department, job->who.department) != 0) {
        job->target = NULL;
        return err_set(err, ERR_NOT_FOUND, "TARGET_NOT_FOUND",
                       "your department has no dataset of the target's name");
    }
    return 0;
}

static int check_types(const struct transfer_job *job, struct err *err)
{
    if (strcmp(job->grant.dataset->type->full_name, job->target->type->full_name) == 0)
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, "TARGET_TYPE",
                   "source and target must have one canonical type; these are %.60s and %.60s",
                   job->grant.dataset->type->full_name, job->target->type->full_name);
}

static int open_job(struct transfer_job *job, struct err *err)
{
    if (decide(job, job->fields, job->field_count, err) < 0 || check_types(job, err) < 0)
        return -1;
    if (job->field_count > 0) {
        if (check_fields(job, err) < 0)
            return -1;
    } else {
        choose_fields(job);
        if (decide(job, job->copied, job->copied_count, err) < 0)
            return -1;
    }
    if (job->filter_text[0] != '\0') {
        job->filter = authz_answer_filter(&job->grant, job->filter_text, err);
        if (job->filter == NULL)
            return -1;
    }
    if (job->cursor.field[0] != '\0' &&
        transfer_cursor_check(job->grant.dataset, job->cursor.field,
                              authz_answer_granted(&job->grant), err) < 0)
        return -1;
    job->writer = schema_writer_new(job->target, job->grant.fields, err);
    if (job->writer == NULL)
        return -1;
    schema_writer_set_batch(job->writer, job->id);
    job->target_plan = schema_plan_new(job->target, job->grant.fields, NULL, err);
    return job->target_plan != NULL ? 0 : -1;
}

void job_start(struct transfer_job *job)
{
    struct err err = ERR_INIT;
    char hex[2 * UUID_BYTES + 1];
    hex_encode(job->exchange_id, UUID_BYTES, hex);
    job->staging = arena_format(&job->arena, "\"" TRANSFER_SCHEMA "\".\"staging_%s\"", hex);
    if (find_target(job, &err) < 0) {
        job_fail(job, &err);
        return;
    }
    if (job->wanted != WANTED_RUN) {
        job_stop(job, job->wanted == WANTED_CANCEL ? FATE_CANCELLED : FATE_PAUSED);
        return;
    }
    if (open_job(job, &err) < 0) {
        job_fail(job, &err);
        return;
    }
    log_event(LOG_INFO, NULL, "transfer_started", LOG_STR("transfer", job->id),
              LOG_STR("dataset", job->dataset_name), LOG_STR("target", job->target_name),
              LOG_STR("epoch", job->epoch));
    target_prepare(job);
}

/* --- the end -------------------------------------------------------------------------------------------- */

void job_release(struct transfer_job *job)
{
    db_lease_release(&job->source);
    db_lease_release(&job->dest);
    audit_client_cancel(&job->ticket);
    loop_task_cancel(&job->flush);
    loop_task_cancel(&job->end);
    loop_timer_cancel(&job->resolve);
    loop_timer_cancel(&job->pace);
}

static bool is_passing(const struct err *err)
{
    switch (err->code) {
    case ERR_UNAVAILABLE:
    case ERR_DEADLINE_EXCEEDED:
    case ERR_ABORTED:
    case ERR_WRITE_UNCERTAIN:
        return true;
    case ERR_RESOURCE_EXHAUSTED:
        return strcmp(err->reason, "QUOTA_EXHAUSTED") != 0;
    case ERR_OK:
    case ERR_CANCELLED:
    case ERR_UNKNOWN:
    case ERR_INVALID_ARGUMENT:
    case ERR_NOT_FOUND:
    case ERR_ALREADY_EXISTS:
    case ERR_PERMISSION_DENIED:
    case ERR_FAILED_PRECONDITION:
    case ERR_OUT_OF_RANGE:
    case ERR_UNIMPLEMENTED:
    case ERR_INTERNAL:
    case ERR_DATA_LOSS:
    case ERR_UNAUTHENTICATED:
    case ERR_CODE_COUNT:
        break;
    }
    return false;
}

static void end(struct transfer_job *job, enum job_fate fate)
{
    job->ended = true;
    job->fate = fate;
    if (job->decided)
        entry_deliver(job, &job->failure);
    job->decided = false;
    job_release(job);
    if (fate == FATE_FAILED || fate == FATE_CANCELLED)
        target_clean(job);
    else
        loop_task_post(job->options->loop, &job->end);
}

void job_fail(struct transfer_job *job, const struct err *err)
{
    struct err copy = *err; /* it may lie in something that is released */
    if (job->ended)
        return;
    job->failure = copy;
    bool again = is_passing(&copy) && job->attempts < TRANSFER_ATTEMPTS_MAX;
    log_error(again ? LOG_WARN : LOG_ERROR, NULL, "transfer_attempt_failed", &copy);
    end(job, again ? FATE_AGAIN : FATE_FAILED);
}

void job_stop(struct transfer_job *job, enum job_fate fate)
{
    if (job->ended)
        return;
    (void)err_set(&job->failure, ERR_CANCELLED, "TRANSFER_STOPPED", "the transfer was stopped");
    end(job, fate);
}

void job_recheck(struct transfer_job *job)
{
    struct err err = ERR_INIT;
    if (!job->ended && job->grant.grant != NULL &&
        !authz_live(job->options->authz, &job->grant, &err))
        job_fail(job, &err);
}

void job_published(struct transfer_job *job)
{
    job->ended = true;
    job->fate = FATE_SUCCEEDED;
    job_release(job);
    loop_task_post(job->options->loop, &job->end);
}

void job_fini(struct transfer_job *job)
{
    job_release(job);
    loop_timer_fini(&job->resolve);
    loop_timer_fini(&job->pace);
    schema_writer_free(&job->writer);
    schema_plan_free(&job->target_plan);
    schema_filter_free(&job->filter);
    authz_answer_fini(job->options->authz, &job->grant);
    buf_fini(&job->record);
    for (size_t i = 0; i < TRANSFER_CHUNKS; i++)
        buf_fini(&job->ring[i].tuples);
    buf_fini(&job->manifest);
    arena_fini(&job->scripts);
    arena_fini(&job->arena);
}
