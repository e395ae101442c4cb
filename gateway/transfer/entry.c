/* The audit entries of a job: one decision before each chunk, one delivery behind it. */
#include <string.h>

#include "transfer/job.h"

static void fill(const struct transfer_job *job, struct audit_entry_fields *entry)
{
    const struct authz_answer *grant = &job->grant;
    *entry = (struct audit_entry_fields){
        .exchange_id = slice_of(job->exchange_id, UUID_BYTES),
        .subject = job->who.subject,
        .department = job->who.department,
        .credential = slice_of(job->who.credential, sizeof job->who.credential),
        .auth_method = "mtls",
        .purpose = job->purpose,
        .agreement = grant->grant != NULL ? authz_grant_id(grant->grant) : job->agreement,
        .legal_basis = grant->grant != NULL ? authz_grant_legal_basis(grant->grant) : NULL,
        .method = "/sluice.v1.TransferService/CreateTransfer",
        .dataset = job->dataset_name,
        .owner = grant->dataset != NULL ? grant->dataset->department : NULL,
        .schema_digest = slice_of(schema_bundle_digest(job->options->bundle), SCHEMA_DIGEST_BYTES),
        .object = job->target_name,
        .rule = grant->grant != NULL ? authz_answer_rule(grant) : "agreement",
        .agreement_epoch = grant->epoch,
        .quarantined = job->counts.quarantined,
    };
    if (grant->grant != NULL)
        entry->agreement_digest = slice_of(authz_grant_digest(grant->grant), 32);
    if (grant->dataset != NULL)
        entry->fields = slice_of(grant->fields, (grant->dataset->type->field_count + 7) / 8);
}

struct waiting {
    struct transfer_job *job;
    entry_done_fn done;
};

static void on_decided(void *arg, int64_t index, struct slice checkpoint, const struct err *err)
{
    struct waiting *waiting = arg;
    (void)index;
    (void)checkpoint;
    waiting->job->ticket = NULL;
    waiting->done(waiting->job, err);
}

void entry_decide(struct transfer_job *job, entry_done_fn done)
{
    struct audit_entry_fields entry;
    uint8_t salt[SALT_BYTES];
    uint8_t filter_digest[HASH_BYTES];
    const struct job_chunk *chunk = job_chunk_sent(job);
    struct waiting *waiting = arena_alloc(&job->scripts, sizeof *waiting);
    *waiting = (struct waiting){ .job = job, .done = done };
    salt_make(salt);
    audit_rows_init(&job->rows, AUDIT_ROWS_BATCH, salt);
    audit_rows_add_batch(&job->rows, buf_slice(&chunk->tuples), chunk->rows);
    salt_filter_digest(salt, slice_of(job->filter_text, strlen(job->filter_text)), filter_digest);
    fill(job, &entry);
    entry.kind = SLUICE__V1__AUDIT_ENTRY__KIND__DECISION;
    entry.outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED;
    entry.salt = salt;
    entry.rows = &job->rows;
    entry.filter_digest = slice_of(filter_digest, sizeof filter_digest);
    if (authz_grant_daily_quota(job->grant.grant) > 0)
        entry.charge = (int64_t)chunk->rows;
    job->ticket = audit_client_append(job->options->audit, &entry, job_deadline(job, JOB_ENTRY_MS),
                                      on_decided, waiting);
    audit_rows_fini(&job->rows);
    salt_wipe(salt);
}

void entry_deliver(struct transfer_job *job, const struct err *failure)
{
    struct audit_entry_fields entry;
    if (job->options->audit == NULL)
        return;
    fill(job, &entry);
    entry.kind = SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY;
    entry.outcome = failure == NULL ? SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED
                                    : SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED;
    if (failure != NULL) {
        entry.reason = failure->reason;
        entry.status = err_grpc_status(failure->code);
    }
    (void)audit_client_append(job->options->audit, &entry, job_deadline(job, JOB_ENTRY_MS), NULL,
                              NULL);
}
