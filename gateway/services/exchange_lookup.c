/* ExchangeService.Lookup: one record by its key. */
#include <stdio.h>
#include <string.h>

#include "services/exchange.h"
#include "sluice/v1/exchange.pb-c.h"

struct lookup {
    struct exchange exchange; /* first */
    struct schema_row_report report;
    bool found;
    struct err failed;
};

/* Field numbers of LookupResponse and google.protobuf.Any, as tags of length-delimited fields. */
enum {
    WARNINGS_MAX = 8,
    WARNING_BYTES_MAX = 128,
    ANSWER_REST_BYTES = 64 + WARNINGS_MAX * (WARNING_BYTES_MAX + 3), /* exchange id, warnings */
};
enum { TAG_1 = 1 << 3 | 2, TAG_2 = 2 << 3 | 2, TAG_3 = 3 << 3 | 2 };

static const Sluice__V1__LookupRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__LookupRequest *)(const void *)call->request;
}

static enum step_result lookup_authorise(struct call *call)
{
    const Sluice__V1__LookupRequest *request = request_of(call);
    struct lookup *lookup = call->state;
    lookup->exchange.filter = request->key;
    return exchange_authorise(call, request->dataset, request->agreement, request->purpose,
                              request->request_id, request->fields, AUTHZ_LOOKUP);
}

static void on_row(void *arg, const struct db_rows *rows, const struct err *err);

static enum step_result lookup_fetch(struct call *call)
{
    struct lookup *lookup = call->state;
    struct exchange *exchange = &lookup->exchange;
    struct db_sql sql;
    if (schema_plan_lookup(exchange->grant.plan, request_of(call)->key, &call->arena, &sql,
                           &call->err) < 0)
        return STEP_FAIL;
    sql.brief = true;
    exchange->db =
        db_call_start(exchange->dataset->source->db, &sql, call->deadline_us, on_row, call);
    return STEP_WAIT;
}

/* The answer is built in place: LookupResponse { Any { type_url, value }, exchange_id }. */
static int build_answer(struct call *call, const struct buf *record)
{
    struct lookup *lookup = call->state;
    char url[300];
    char id[UUID_TEXT_BYTES];
    int url_len = snprintf(url, sizeof url, "type.googleapis.com/%s",
                           lookup->exchange.grant.dataset->type->full_name);
    size_t any_len = 1 + varint_size((uint64_t)url_len) + (size_t)url_len + 1 +
                     varint_size(record->len) + record->len;
    struct buf *out = &call->response;
    uuid_format(call->exchange_id, id);
    if (buf_reserve(out, any_len + ANSWER_REST_BYTES) < 0)
        return call_no_memory(&lookup->failed);
    (void)buf_append_byte(out, TAG_1);
    (void)buf_append_varint(out, any_len);
    (void)buf_append_byte(out, TAG_1);
    (void)buf_append_varint(out, (uint64_t)url_len);
    (void)buf_append(out, url, (size_t)url_len);
    (void)buf_append_byte(out, TAG_2);
    (void)buf_append_varint(out, record->len);
    (void)buf_append(out, record->data, record->len);
    (void)buf_append_byte(out, TAG_2);
    (void)buf_append_varint(out, UUID_TEXT_BYTES - 1);
    (void)buf_append(out, id, UUID_TEXT_BYTES - 1);
    const struct schema_row_report *report = &lookup->report;
    for (size_t i = 0; i < report->warning_count && i < WARNINGS_MAX; i++) {
        char text[WARNING_BYTES_MAX];
        int len = snprintf(text, sizeof text, "%s: %s", report->warnings[i].field->name,
                           report->warnings[i].code);
        (void)buf_append_byte(out, TAG_3);
        (void)buf_append_varint(out, (uint64_t)len);
        (void)buf_append(out, text, (size_t)len);
    }
    return 0;
}

/* Rows are valid inside this callback only, so normalisation happens here. */
static void on_row(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct call *call = arg;
    struct lookup *lookup = call->state;
    lookup->exchange.db = NULL;
    if (err != NULL) {
        lookup->failed = *err;
    } else if (db_row_count(rows) > 1) {
        (void)err_set(&lookup->failed, ERR_FAILED_PRECONDITION, "KEY_NOT_UNIQUE",
                      "the owner holds several rows for this key; ask the owner to mend them");
    } else if (db_row_count(rows) == 1) {
        struct buf record;
        buf_init_large(&record, PLAN_RECORD_BYTES_MAX);
        lookup->found = true;
        exchange_start_rows(call, AUDIT_ROWS_ROW);
        int result = schema_plan_row(lookup->exchange.grant.plan, rows, 0, &record, &lookup->report,
                                     &lookup->failed);
        if (result == 0)
            exchange_note_row(call, rows, 0, &lookup->report);
        if (record.refused)
            (void)call_no_memory(&lookup->failed);
        else if (result == 0 && lookup->report.state == ROW_DELIVERED &&
                 build_answer(call, &record) == 0) {
            exchange_add_record(call, buf_slice(&record));
            exchange_add_masked_persons(call);
        }
        buf_fini(&record);
    }
    call_resume(call);
}

static enum step_result lookup_fetched(struct call *call)
{
    struct lookup *lookup = call->state;
    if (lookup->exchange.db != NULL)
        return STEP_WAIT;
    if (lookup->failed.code != ERR_OK) {
        call->err = lookup->failed;
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

static enum step_result lookup_judge(struct call *call)
{
    struct lookup *lookup = call->state;
    if (!lookup->found) {
        lookup->exchange.grant.rule = "record";
        (void)err_set(&call->err, ERR_NOT_FOUND, "RECORD_NOT_FOUND",
                      "the dataset has no record of this key");
        return STEP_FAIL;
    }
    if (lookup->report.state == ROW_QUARANTINED) {
        lookup->exchange.quarantined = 1;
        lookup->exchange.grant.rule = "record.quality";
        (void)err_set(&call->err, ERR_DATA_LOSS, "RECORD_QUARANTINED",
                      "the stored row does not pass the dataset's rules; its owner can see why");
        (void)err_detail(&call->err, "%s %s %s",
                         lookup->report.field != NULL ? lookup->report.field->name : "",
                         lookup->report.rule, lookup->report.code);
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

static enum step_result lookup_record(struct call *call)
{
    exchange_charge(call, 1);
    return exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__DECISION);
}

static const struct step lookup_steps[] = {
    { "authorise", lookup_authorise, NULL },   /* never waits */
    { "fetch", lookup_fetch, lookup_fetched }, /* one pipelined statement; the row is normalised */
    { "judge", lookup_judge, NULL },           /* absent or quarantined */
    { "record", lookup_record, exchange_recorded }, /* audit entry durable BEFORE bytes leave */
    { NULL, NULL, NULL },
};

const struct rpc_method exchange_lookup_method = {
    .path = "/sluice.v1.ExchangeService/Lookup",
    .kind = RPC_UNARY,
    .listeners = RPC_SYSTEMS,
    .input = &sluice__v1__lookup_request__descriptor,
    .state_size = sizeof(struct lookup),
    .steps = lookup_steps,
    .outcome = exchange_outcome,
    .may_release = exchange_may_release,
    .finish = exchange_finish,
};
