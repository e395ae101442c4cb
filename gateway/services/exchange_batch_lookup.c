/* ExchangeService.BatchLookup: up to 1,000 records by key, answered in request order. */
#include <string.h>

#include "base/strmap.h"
#include "services/exchange.h"
#include "sluice/v1/exchange.pb-c.h"

enum {
    BATCH_KEYS_MAX = 1000,                    /* as the audit log's row form */
    BATCH_ANSWER_BYTES_MAX = 8 * 1024 * 1024, /* 1,000 records of 8 KiB */
};

struct batch_record {
    Sluice__V1__BatchLookupResult__State state;
    size_t offset; /* in batch_lookup.records */
    size_t len;
};

struct batch_lookup {
    struct exchange exchange; /* first */
    struct buf records;
    struct strmap by_key; /* canonical key -> struct batch_record in the arena */
    int64_t found;        /* records that the answer holds */
    struct err failed;
    bool opened;
};

static const Sluice__V1__BatchLookupRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__BatchLookupRequest *)(const void *)call->request;
}

/* One key a line, as the log digests them. NULL without memory. */
static const char *join_keys(struct call *call, const Sluice__V1__BatchLookupRequest *request)
{
    size_t len = 1;
    for (size_t i = 0; i < request->n_keys; i++)
        len += strlen(request->keys[i]) + 1;
    char *keys = arena_alloc_large(&call->arena, len);
    char *at = keys;
    for (size_t i = 0; i < request->n_keys && keys != NULL; i++) {
        at = stpcpy(at, request->keys[i]);
        *at++ = '\n';
    }
    return keys;
}

static enum step_result batch_authorise(struct call *call)
{
    const Sluice__V1__BatchLookupRequest *request = request_of(call);
    struct batch_lookup *batch = call->state;
    buf_init_large(&batch->records, BATCH_ANSWER_BYTES_MAX);
    strmap_init(&batch->by_key);
    batch->opened = true;
    batch->exchange.filter = join_keys(call, request);
    if (batch->exchange.filter == NULL) {
        batch->exchange.grant.rule = "request";
        (void)call_no_memory(&call->err);
        return STEP_FAIL;
    }
    if (exchange_authorise(call, request->dataset, request->agreement, request->purpose,
                           request->request_id, request->fields, AUTHZ_LOOKUP) == STEP_FAIL)
        return STEP_FAIL;
    if (request->n_keys == 0 || request->n_keys > BATCH_KEYS_MAX) {
        batch->exchange.grant.rule = "request.keys";
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "KEYS_COUNT",
                      "a batch takes 1 to %d keys; this one has %zu", BATCH_KEYS_MAX,
                      request->n_keys);
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

static int take_row(struct call *call, const struct db_rows *rows, int row, struct err *err)
{
    struct batch_lookup *batch = call->state;
    const struct schema_plan *plan = batch->exchange.grant.plan;
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    if (!schema_plan_row_key(plan, rows, row, key))
        return 0; /* a row whose key is no key answers no key */
    struct batch_record *record = arena_alloc(&call->arena, sizeof *record);
    struct schema_row_report report;
    record->offset = batch->records.len;
    int result = schema_plan_row(plan, rows, row, &batch->records, &report, err);
    if (batch->records.refused)
        return call_no_memory(err);
    if (result < 0)
        return -1;
    exchange_add_masked_persons(call);
    record->len = batch->records.len - record->offset;
    record->state = SLUICE__V1__BATCH_LOOKUP_RESULT__STATE__FOUND;
    if (report.state == ROW_QUARANTINED) {
        record->state = SLUICE__V1__BATCH_LOOKUP_RESULT__STATE__QUARANTINED;
        batch->exchange.quarantined++;
        exchange_note_row(call, rows, row, &report);
    }
    if (strmap_get(&batch->by_key, key) != NULL)
        return err_set(err, ERR_FAILED_PRECONDITION, "KEY_NOT_UNIQUE",
                       "the owner holds several rows for one of these keys; ask the owner to mend "
                       "them");
    (void)strmap_set(&batch->by_key, arena_strdup(&call->arena, key), record);
    return 0;
}

static void on_rows(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct call *call = arg;
    struct batch_lookup *batch = call->state;
    batch->exchange.db = NULL;
    if (err != NULL)
        batch->failed = *err;
    for (int i = 0; batch->failed.code == ERR_OK && i < db_row_count(rows); i++)
        (void)take_row(call, rows, i, &batch->failed);
    call_resume(call);
}

static enum step_result batch_fetch(struct call *call)
{
    const Sluice__V1__BatchLookupRequest *request = request_of(call);
    struct batch_lookup *batch = call->state;
    struct db_sql sql;
    if (schema_plan_batch(batch->exchange.grant.plan, (const char *const *)request->keys,
                          request->n_keys, &call->arena, &sql, &call->err) < 0)
        return STEP_FAIL;
    batch->exchange.db =
        db_call_start(batch->exchange.dataset->source->db, &sql, call->deadline_us, on_rows, call);
    return STEP_WAIT;
}

static enum step_result batch_fetched(struct call *call)
{
    struct batch_lookup *batch = call->state;
    if (batch->exchange.db != NULL)
        return STEP_WAIT;
    if (batch->failed.code != ERR_OK) {
        call->err = batch->failed;
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

static enum step_result batch_build(struct call *call)
{
    const Sluice__V1__BatchLookupRequest *request = request_of(call);
    struct batch_lookup *batch = call->state;
    Sluice__V1__BatchLookupResponse answer = SLUICE__V1__BATCH_LOOKUP_RESPONSE__INIT;
    char id[UUID_TEXT_BYTES];
    char *url = arena_format(&call->arena, "type.googleapis.com/%s",
                             batch->exchange.grant.dataset->type->full_name);
    answer.n_results = request->n_keys;
    answer.results = arena_array(&call->arena, request->n_keys, sizeof *answer.results);
    exchange_start_rows(call, AUDIT_ROWS_ROW);
    for (size_t i = 0; i < request->n_keys; i++) {
        Sluice__V1__BatchLookupResult *result = arena_alloc(&call->arena, sizeof *result);
        sluice__v1__batch_lookup_result__init(result);
        answer.results[i] = result;
        result->key = request->keys[i];
        const struct batch_record *record = strmap_get(&batch->by_key, request->keys[i]);
        result->state =
            record != NULL ? record->state : SLUICE__V1__BATCH_LOOKUP_RESULT__STATE__NOT_FOUND;
        if (result->state != SLUICE__V1__BATCH_LOOKUP_RESULT__STATE__FOUND)
            continue;
        Google__Protobuf__Any *any = arena_alloc(&call->arena, sizeof *any);
        google__protobuf__any__init(any);
        any->type_url = url;
        any->value.data = batch->records.data + record->offset;
        any->value.len = record->len;
        result->record = any;
        batch->found++;
        exchange_add_record(call, slice_of(any->value.data, any->value.len));
    }
    uuid_format(call->exchange_id, id);
    answer.exchange_id = id;
    return call_answer(call, &answer.base) < 0 ? STEP_FAIL : STEP_NEXT;
}

static enum step_result batch_record(struct call *call)
{
    const struct batch_lookup *batch = call->state;
    exchange_charge(call, batch->found);
    return exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__DECISION);
}

static void batch_lookup_finish(struct call *call, bool delivered)
{
    struct batch_lookup *batch = call->state;
    exchange_finish(call, delivered);
    if (!batch->opened)
        return;
    buf_fini(&batch->records);
    strmap_fini(&batch->by_key);
}

static const struct step batch_lookup_steps[] = {
    { "authorise", batch_authorise, NULL },
    { "fetch", batch_fetch, batch_fetched },
    { "build", batch_build, NULL }, /* in the order of the keys, misses marked */
    { "record", batch_record, exchange_recorded },
    { NULL, NULL, NULL },
};

const struct rpc_method exchange_batch_lookup_method = {
    .path = "/sluice.v1.ExchangeService/BatchLookup",
    .kind = RPC_UNARY,
    .listeners = RPC_SYSTEMS,
    .input = &sluice__v1__batch_lookup_request__descriptor,
    .state_size = sizeof(struct batch_lookup),
    .steps = batch_lookup_steps,
    .outcome = exchange_outcome,
    .may_release = exchange_may_release,
    .finish = batch_lookup_finish,
};
