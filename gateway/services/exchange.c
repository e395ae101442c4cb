#include "services/exchange.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "services/quarantine.h"
#include "sluice/v1/exchange.pb-c.h"

enum { EXCHANGE_PERSONS_OF_RECORD = 8 };

static struct exchange *exchange_of(const struct call *call)
{
    return call->state;
}

/* --- authorise ------------------------------------------------------------------------------- */

static enum step_result check_dataset(struct call *call, struct exchange *exchange)
{
    exchange->dataset = gateway_dataset_find(exchange_gateway(call), exchange->grant.dataset->name);
    if (exchange->dataset->ready)
        return STEP_NEXT;
    exchange->grant.rule = "dataset.state";
    gateway_dataset_closed(exchange->dataset, &call->err);
    return STEP_FAIL;
}

enum step_result exchange_authorise(struct call *call, const char *dataset, const char *agreement,
                                    const char *purpose, const char *request_id,
                                    const Google__Protobuf__FieldMask *fields, enum authz_mode mode)
{
    struct exchange *exchange = exchange_of(call);
    struct gateway *gateway = exchange_gateway(call);
    exchange->dataset_name = dataset;
    exchange->purpose = purpose;
    exchange->agreement = agreement;
    exchange->grant.rule = "request";
    if (call_set_request_id(call, request_id, &call->err) < 0)
        return STEP_FAIL;
    struct authz_ask ask = {
        .who = &call->identity,
        .dataset = dataset,
        .agreement = agreement,
        .purpose = purpose,
        .mode = mode,
        .for_department = exchange->for_department,
        .fields = fields != NULL ? (const char *const *)fields->paths : NULL,
        .field_count = fields != NULL ? fields->n_paths : 0,
    };
    if (authz_decide(gateway->authz, &ask, &exchange->grant, &call->err) < 0)
        return STEP_FAIL;
    const char *reason = NULL;
    if (gateway->audit != NULL && !audit_client_writable(gateway->audit, &reason)) {
        exchange->grant.rule = "audit.writable";
        (void)err_set(&call->err, ERR_UNAVAILABLE, "AUDIT_UNAVAILABLE",
                      "the audit log takes no entries now, so no record may leave; try again");
        (void)err_detail(&call->err, "%s", reason != NULL ? reason : "");
        return STEP_FAIL;
    }
    return check_dataset(call, exchange);
}

/* --- what is released ------------------------------------------------------------------------ */

void exchange_start_rows(struct call *call, enum audit_rows_form form)
{
    struct exchange *exchange = exchange_of(call);
    if (exchange_gateway(call)->audit == NULL)
        return;
    if (!exchange->salted)
        salt_make(exchange->salt);
    exchange->salted = true;
    audit_rows_init(&exchange->rows, form, exchange->salt);
}

static uint8_t *new_person(struct call *call, struct exchange *exchange)
{
    if (exchange->person_count == exchange->person_cap) {
        size_t cap = exchange->person_cap > 0 ? exchange->person_cap * 2 : 1;
        uint8_t(*keys)[HASH_BYTES] = arena_array(&call->arena, cap, HASH_BYTES);
        if (exchange->person_count > 0)
            memcpy(keys, exchange->persons, exchange->person_count * HASH_BYTES);
        exchange->persons = keys;
        exchange->person_cap = cap;
    }
    return exchange->persons[exchange->person_count++];
}

void exchange_add_person(struct call *call, struct slice value)
{
    struct exchange *exchange = exchange_of(call);
    if (exchange->person_count < AUDIT_PERSONS_MAX)
        salt_person_key(exchange_gateway(call)->person_key, value, new_person(call, exchange));
}

void exchange_add_record(struct call *call, struct slice record)
{
    struct exchange *exchange = exchange_of(call);
    struct gateway *gateway = exchange_gateway(call);
    if (gateway->audit == NULL)
        return;
    (void)audit_rows_add(&exchange->rows, record);
    struct slice values[EXCHANGE_PERSONS_OF_RECORD];
    size_t count = schema_plan_persons(exchange->grant.plan, record.data, record.len, values,
                                       EXCHANGE_PERSONS_OF_RECORD);
    for (size_t i = 0; i < count && i < EXCHANGE_PERSONS_OF_RECORD; i++)
        exchange_add_person(call, values[i]);
}

void exchange_add_masked_persons(struct call *call)
{
    struct slice values[EXCHANGE_PERSONS_OF_RECORD];
    if (exchange_gateway(call)->audit == NULL)
        return;
    size_t count = schema_plan_masked_persons(exchange_of(call)->grant.plan, values,
                                              EXCHANGE_PERSONS_OF_RECORD);
    for (size_t i = 0; i < count && i < EXCHANGE_PERSONS_OF_RECORD; i++)
        exchange_add_person(call, values[i]);
}

void exchange_note_row(struct call *call, const struct db_rows *rows, int row,
                       const struct schema_row_report *report)
{
    const struct exchange *exchange = exchange_of(call);
    if (report->state != ROW_QUARANTINED)
        return;
    struct quarantine_sighting sighting = {
        .dataset = exchange->grant.dataset,
        .plan = exchange->grant.plan,
        .fields = exchange->grant.fields,
        .exchange_id = call->exchange_id,
        .field = report->field,
        .rule = report->rule,
        .code = report->code,
    };
    quarantine_note(exchange_gateway(call)->quarantine, &sighting, rows, row);
}

/* --- the entry ---------------------------------------------------------------------------------- */

static void fill_entry(struct call *call, struct audit_entry_fields *entry)
{
    struct exchange *exchange = exchange_of(call);
    struct gateway *gateway = exchange_gateway(call);
    const struct authz_grant *grant = exchange->grant.grant;
    *entry = (struct audit_entry_fields){
        .exchange_id = slice_of(call->exchange_id, UUID_BYTES),
        .trace_id = call->trace_id,
        .request_id = call->request_id,
        .subject = call->identity.subject,
        .department = call->identity.department,
        .credential = slice_of(call->identity.credential, sizeof call->identity.credential),
        .auth_method = "mtls",
        .purpose = exchange->purpose,
        .agreement = grant != NULL ? authz_grant_id(grant) : exchange->agreement,
        .legal_basis = grant != NULL ? authz_grant_legal_basis(grant) : NULL,
        .method = call->method->path,
        .dataset = exchange->dataset_name,
        .owner = exchange->grant.dataset != NULL ? exchange->grant.dataset->department : NULL,
        .schema_digest = slice_of(schema_bundle_digest(gateway->bundle), SCHEMA_DIGEST_BYTES),
        .object = exchange->object,
        .rule = exchange->grant.rule,
        .agreement_epoch = exchange->grant.epoch,
        .quarantined = exchange->quarantined,
    };
    if (grant != NULL)
        entry->agreement_digest = slice_of(authz_grant_digest(grant), 32);
    if (exchange->grant.dataset != NULL)
        entry->fields =
            slice_of(exchange->grant.fields, (exchange->grant.dataset->type->field_count + 7) / 8);
}

/* --- an allowed call's entry ----------------------------------------------------------------- */

/* The caller's receipt: where the log holds this exchange, under which signed head. */
static void give_receipt(struct call *call, const char *index, struct slice checkpoint)
{
    char id[UUID_TEXT_BYTES];
    char *note = arena_alloc(&call->arena, base64_size(checkpoint.len));
    (void)base64_encode_unpadded(checkpoint.data, checkpoint.len, note);
    uuid_format(call->exchange_id, id);
    call->trailer_count = 0; /* a stream's delivery entry replaces its decision's */
    call_trailer(call, "sluice-exchange-id", id);
    call_trailer(call, "sluice-audit-index", index);
    call_trailer(call, "sluice-checkpoint-bin", note);
    const struct authz_grant *grant = exchange_of(call)->grant.grant; /* NULL: own data */
    if (grant != NULL && authz_grant_onward(grant)[0] != '\0')
        call_trailer(call, "sluice-onward-supply", "consented");
}

/* The entry is in the log, refused: no other one says so again. */
static void over_quota(struct call *call, const struct err *err)
{
    struct exchange *exchange = exchange_of(call);
    exchange->refused = true;
    exchange->grant.rule = AUDIT_QUOTA_RULE;
    if (exchange->charge == 1 || exchange->charge_partly)
        authz_quota_used_up(exchange_gateway(call)->authz, &exchange->grant, err->retry_after_ms);
}

bool exchange_has_quota(const struct call *call)
{
    const struct exchange *exchange = exchange_of(call);
    return exchange_gateway(call)->audit != NULL &&
           authz_grant_daily_quota(exchange->grant.grant) > 0;
}

void exchange_charge(struct call *call, int64_t records)
{
    exchange_of(call)->charge = exchange_has_quota(call) ? records : 0;
}

/* What an entry takes from the daily quota, or gives back: only a stream's last one does. */
static void fill_charge(const struct exchange *exchange, struct audit_entry_fields *entry)
{
    bool ends = entry->kind == SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY;
    entry->charge = exchange->charge;
    entry->charge_partly = exchange->charge_partly;
    if (!ends)
        return;
    entry->charge_partly = false;
    entry->charge = exchange->charge_partly ? exchange->spent - exchange->reserved : 0;
    entry->charge_day = exchange->charge_day;
}

static void on_recorded(void *arg, int64_t index, struct slice checkpoint, const struct err *err)
{
    struct call *call = arg;
    struct exchange *exchange = exchange_of(call);
    exchange->ticket = NULL;
    if (err != NULL) {
        exchange->failed = *err;
        exchange->late = err->code == ERR_UNAVAILABLE; /* it may become durable yet */
        if (index >= 0)
            over_quota(call, err);
    } else if (index >= 0) {
        char text[24];
        struct audit_charge charge = audit_client_charge(exchange_gateway(call)->audit);
        exchange->recorded = true;
        exchange->reserved += charge.records;
        if (charge.records > 0)
            exchange->charge_day = charge.day;
        (void)snprintf(text, sizeof text, "%lld", (long long)index);
        give_receipt(call, text, checkpoint);
    }
    call_resume(call);
}

enum step_result exchange_record(struct call *call, Sluice__V1__AuditEntry__Kind kind)
{
    struct exchange *exchange = exchange_of(call);
    struct gateway *gateway = exchange_gateway(call);
    if (gateway->audit == NULL)
        return STEP_NEXT;
    struct audit_entry_fields entry;
    uint8_t filter_digest[HASH_BYTES];
    fill_entry(call, &entry);
    entry.kind = kind;
    entry.outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED;
    fill_charge(exchange, &entry);
    if (exchange->salted && kind != SLUICE__V1__AUDIT_ENTRY__KIND__QUOTA) {
        entry.salt = exchange->salt;
        entry.rows = exchange->rows.count > 0 ? &exchange->rows : NULL;
        salt_filter_digest(exchange->salt,
                           slice_of(exchange->filter != NULL ? exchange->filter : "",
                                    exchange->filter != NULL ? strlen(exchange->filter) : 0),
                           filter_digest);
        entry.filter_digest = slice_of(filter_digest, sizeof filter_digest);
    }
    entry.persons = (const uint8_t(*)[HASH_BYTES])exchange->persons;
    entry.person_count = exchange->person_count;
    err_clear(&exchange->failed);
    exchange->closed = kind == SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY;
    exchange->ticket =
        audit_client_append(gateway->audit, &entry, call->deadline_us, on_recorded, call);
    return STEP_WAIT;
}

enum step_result exchange_recorded(struct call *call)
{
    struct exchange *exchange = exchange_of(call);
    if (exchange->ticket != NULL)
        return STEP_WAIT; /* something else woke us */
    if (exchange->failed.code != ERR_OK) {
        call->err = exchange->failed;
        return STEP_FAIL;
    }
    if (!authz_live(exchange_gateway(call)->authz, &exchange->grant, &call->err))
        return STEP_FAIL;
    return STEP_NEXT;
}

/* --- ends --------------------------------------------------------------------------------------- */

static Sluice__V1__AuditEntry__Outcome outcome_of(enum err_code code)
{
    switch (code) {
    case ERR_CANCELLED:
        return SLUICE__V1__AUDIT_ENTRY__OUTCOME__CANCELLED;
    case ERR_PERMISSION_DENIED:
    case ERR_NOT_FOUND:
    case ERR_INVALID_ARGUMENT:
    case ERR_RESOURCE_EXHAUSTED:
    case ERR_UNAUTHENTICATED:
        return SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED;
    case ERR_OK:
    case ERR_UNKNOWN:
    case ERR_DEADLINE_EXCEEDED:
    case ERR_ALREADY_EXISTS:
    case ERR_FAILED_PRECONDITION:
    case ERR_ABORTED:
    case ERR_OUT_OF_RANGE:
    case ERR_UNIMPLEMENTED:
    case ERR_INTERNAL:
    case ERR_UNAVAILABLE:
    case ERR_DATA_LOSS:
    case ERR_WRITE_UNCERTAIN:
    case ERR_CODE_COUNT:
        break;
    }
    return SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED;
}

static void stop_reading(struct exchange *exchange)
{
    db_call_cancel(&exchange->db);
    db_lease_release(&exchange->lease);
}

static void on_outcome_recorded(void *arg, int64_t index, struct slice checkpoint,
                                const struct err *err)
{
    (void)index;
    (void)checkpoint;
    struct call *call = arg;
    exchange_of(call)->ticket = NULL;
    if (err != NULL)
        log_error(LOG_WARN, &call->log, "outcome_not_recorded", err);
    call_resume(call);
}

/* A call that did not succeed: DECISION when nothing was decided yet, DELIVERY afterwards. */
enum step_result exchange_outcome(struct call *call)
{
    struct exchange *exchange = exchange_of(call);
    struct gateway *gateway = exchange_gateway(call);
    stop_reading(exchange);
    /* An entry in flight is the decision; the client marks it if its call gave up. */
    bool decided = exchange->recorded || exchange->late || exchange->ticket != NULL;
    audit_client_cancel(&exchange->ticket);
    if (gateway->audit == NULL || (exchange->refused && !decided))
        return STEP_NEXT;
    struct audit_entry_fields entry;
    fill_entry(call, &entry);
    entry.kind =
        decided ? SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY : SLUICE__V1__AUDIT_ENTRY__KIND__DECISION;
    entry.outcome = outcome_of(call->err.code);
    entry.reason = call->err.reason;
    entry.status = err_grpc_status(call->err.code);
    if (exchange->salted && exchange->recorded) {
        entry.rows = &exchange->rows;
        entry.salt = exchange->salt;
    }
    if (decided)
        fill_charge(exchange, &entry);
    exchange->closed = decided;
    if (decided && !exchange->recorded)
        return STEP_NEXT; /* never became durable: the client's own DELIVERY entry says so */
    exchange->ticket = audit_client_append(
        gateway->audit, &entry, clock_monotonic_us() + (int64_t)EXCHANGE_OUTCOME_WAIT_MS * 1000,
        on_outcome_recorded, call);
    return STEP_WAIT;
}

bool exchange_may_release(const struct call *call, struct err *why)
{
    const struct exchange *exchange = exchange_of(call);
    return exchange->grant.grant == NULL ||
           authz_live(exchange_gateway(call)->authz, &exchange->grant, why);
}

/* A decided unary answer that did not reach TLS leaves a DELIVERY entry: an honest log has no
 * phantom. */
static void record_undelivered(struct call *call)
{
    struct gateway *gateway = exchange_gateway(call);
    struct audit_entry_fields entry;
    fill_entry(call, &entry);
    entry.kind = SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY;
    entry.outcome = SLUICE__V1__AUDIT_ENTRY__OUTCOME__CANCELLED;
    entry.reason = call->err.code != ERR_OK ? call->err.reason : "NOT_DELIVERED";
    entry.status = err_grpc_status(ERR_CANCELLED);
    struct audit_ticket *ticket =
        audit_client_append(gateway->audit, &entry, clock_monotonic_us(), NULL, NULL);
    audit_client_cancel(&ticket);
}

void exchange_finish(struct call *call, bool delivered)
{
    struct exchange *exchange = exchange_of(call);
    struct gateway *gateway = exchange_gateway(call);
    stop_reading(exchange);
    audit_client_cancel(&exchange->ticket);
    if (gateway->audit != NULL && exchange->recorded && !delivered && !exchange->closed)
        record_undelivered(call);
    else if (gateway->audit != NULL && exchange->recorded && !exchange->closed)
        audit_client_settled(gateway->audit, call->exchange_id);
    if (exchange->salted)
        audit_rows_fini(&exchange->rows);
    salt_wipe(exchange->salt);
    authz_answer_fini(gateway->authz, &exchange->grant);
}
