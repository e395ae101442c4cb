/* ExchangeService.Query: the records that match a filter, streamed in key order. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "services/exchange.h"
#include "services/quality_account.h"
#include "services/token.h"
#include "sluice/v1/exchange.pb-c.h"

enum {
    QUERY_BATCH_BYTES = 32768, /* a batch leaves at this size or at the end of a loop turn */
    QUERY_PAGE_MAX = 10000,
    /* Records taken from a daily quota at once: little at first, then twice as much each time, so that
     * a long stream seldom waits for the log and a short one keeps little from others. */
    QUERY_QUOTA_FIRST = 256,
    QUERY_QUOTA_MAX = 16384,
    TAG_RECORDS = 1 << 3 | 2,
};

struct query {
    struct exchange exchange; /* first */
    struct call *call;
    struct schema_filter *filter;
    const char *after; /* cursor to continue behind, or NULL */
    int64_t limit;     /* rows still wanted; 0: no limit */
    int64_t page_size;
    uint8_t digest[TOKEN_DIGEST_BYTES];
    struct buf batch;  /* RecordBatch under construction: its records */
    struct buf record; /* scratch of one */
    struct buf message;
    uint64_t batch_records;
    char cursor[PLAN_KEY_TEXT_BYTES_MAX]; /* behind the last row that was read */
    char waiting_cursor[PLAN_KEY_TEXT_BYTES_MAX];
    bool limited;   /* by a daily quota */
    bool reserving; /* `record` waits until more of it is reserved */
    int64_t taken;  /* records delivered or in the batch */
    int64_t block;  /* records to take from the quota next */
    bool more;      /* the page ended before the rows did */
    struct loop_task flush;
    bool opened;
    bool streaming; /* counted in source->streams */
    bool paused;
    bool done;
    struct quality_rows rows; /* as read; totals.delivered counts what was handed over */
    bool exceeded;
    Sluice__V1__QueryTotals totals;
    struct err failed;
};

static const Sluice__V1__QueryRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__QueryRequest *)(const void *)call->request;
}

static void flush_batch(void *arg);

/* --- authorise ------------------------------------------------------------------------------- */

/* What a token is bound to. Lengths stand before texts, so that no two queries read alike. */
static void digest_query(const struct call *call, struct query *query)
{
    const Sluice__V1__QueryRequest *request = request_of(call);
    const char *parts[] = { call->identity.subject, request->dataset, request->filter };
    unsigned len = sizeof query->digest;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        uint64_t size = strlen(parts[i]);
        (void)EVP_DigestUpdate(context, &size, sizeof size);
        (void)EVP_DigestUpdate(context, parts[i], (size_t)size);
    }
    (void)EVP_DigestUpdate(context, query->exchange.grant.fields, PLAN_BITMAP_BYTES);
    (void)EVP_DigestFinal_ex(context, query->digest, &len);
    EVP_MD_CTX_free(context);
}

static int take_token(struct call *call, struct query *query)
{
    const Sluice__V1__QueryRequest *request = request_of(call);
    const char *text = request->page_token[0] != '\0' ? request->page_token : request->resume_token;
    if (request->page_token[0] != '\0' && request->resume_token[0] != '\0')
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "TOKEN_INVALID",
                       "give a page token or a resume token, not both");
    if (text[0] == '\0')
        return 0;
    char *key = arena_alloc(&call->arena, PLAN_KEY_TEXT_BYTES_MAX);
    query->after = key;
    return token_open(exchange_gateway(call)->token_key, query->digest, text, key, &call->err);
}

static int check_numbers(struct call *call, struct query *query)
{
    const Sluice__V1__QueryRequest *request = request_of(call);
    if (request->page_size < 0 || request->page_size > QUERY_PAGE_MAX)
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "PAGE_SIZE", "page_size may be 0 to %d",
                       QUERY_PAGE_MAX);
    if (request->limit < 0)
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "LIMIT", "limit may not be negative");
    query->page_size = request->page_size;
    query->limit = request->limit;
    return 0;
}

static enum step_result query_authorise(struct call *call)
{
    const Sluice__V1__QueryRequest *request = request_of(call);
    struct query *query = call->state;
    struct exchange *exchange = &query->exchange;
    query->call = call;
    query->opened = true;
    buf_init_large(&query->batch, (size_t)QUERY_BATCH_BYTES + PLAN_RECORD_BYTES_MAX + 16);
    buf_init_large(&query->record, PLAN_RECORD_BYTES_MAX);
    buf_init_large(&query->message, (size_t)QUERY_BATCH_BYTES + PLAN_RECORD_BYTES_MAX + 4096);
    loop_task_init(&query->flush, flush_batch, call);
    sluice__v1__query_totals__init(&query->totals);
    exchange->filter = request->filter;
    if (exchange_authorise(call, request->dataset, request->agreement, request->purpose,
                           request->request_id, request->fields, AUTHZ_QUERY) == STEP_FAIL)
        return STEP_FAIL;
    exchange->grant.rule = "request";
    digest_query(call, query);
    if (check_numbers(call, query) < 0 || take_token(call, query) < 0)
        return STEP_FAIL;
    if (request->filter[0] != '\0') {
        query->filter = authz_answer_filter(&exchange->grant, request->filter, &call->err);
        if (query->filter == NULL)
            return STEP_FAIL;
    }
    struct gateway_source *source = exchange->dataset->source;
    if (source->streams >= exchange_gateway(call)->conf->streams_per_source) {
        exchange->grant.rule = "source.streams";
        (void)err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "SOURCE_STREAMS_FULL",
                      "the owner's database already serves as many streams as it allows; try again "
                      "later");
        return STEP_FAIL;
    }
    source->streams++;
    query->streaming = true;
    exchange->grant.rule = authz_answer_rule(&exchange->grant);
    exchange_start_rows(call, AUDIT_ROWS_BATCH);
    return STEP_NEXT;
}

/* No more than the caller wants. */
static void charge_block(struct call *call, struct query *query)
{
    int64_t wanted = query->limit;
    if (query->page_size > 0 && (wanted == 0 || wanted > query->page_size))
        wanted = query->page_size;
    int64_t left = wanted > query->taken ? wanted - query->taken : query->block;
    exchange_charge(call, left < query->block ? left : query->block);
    query->block = query->block < QUERY_QUOTA_MAX ? query->block * 2 : QUERY_QUOTA_MAX;
}

static enum step_result query_decide(struct call *call)
{
    struct query *query = call->state;
    query->limited = exchange_has_quota(call);
    query->exchange.charge_partly = query->limited;
    query->block = QUERY_QUOTA_FIRST;
    charge_block(call, query);
    return exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__DECISION);
}

/* --- the connection -------------------------------------------------------------------------- */

static void on_lease(void *arg, const struct err *err)
{
    struct call *call = arg;
    struct query *query = call->state;
    query->done = true;
    if (err != NULL) {
        query->failed = *err;
        query->exchange.lease = NULL; /* a refused lease dies with this callback */
    }
    call_resume(call);
}

static enum step_result query_lease(struct call *call)
{
    struct query *query = call->state;
    query->done = false;
    query->exchange.lease =
        db_lease_start(query->exchange.dataset->source->db, call->deadline_us, on_lease, call);
    return STEP_WAIT;
}

static enum step_result query_check(struct call *call)
{
    struct query *query = call->state;
    if (!query->done)
        return STEP_WAIT;
    if (query->failed.code != ERR_OK) {
        call->err = query->failed;
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

/* --- rows --------------------------------------------------------------------------------------- */

static void count_totals(struct query *query)
{
    query->totals.read = (int64_t)query->rows.read;
    query->totals.quarantined = (int64_t)query->rows.quarantined;
    query->totals.filtered = (int64_t)query->rows.filtered;
    query->totals.duplicates = (int64_t)query->rows.duplicates;
}

/* The records gathered so far and what stands beside them, as one RecordBatch. */
static int pack_batch(struct query *query, const char *page_token, const char *resume_token,
                      const Sluice__V1__QueryTotals *totals)
{
    Sluice__V1__RecordBatch rest = SLUICE__V1__RECORD_BATCH__INIT;
    rest.type_name = (char *)query->exchange.grant.dataset->type->full_name;
    rest.next_page_token = (char *)page_token;
    rest.resume_token = (char *)resume_token;
    rest.totals = (Sluice__V1__QueryTotals *)totals;
    size_t len = sluice__v1__record_batch__get_packed_size(&rest);
    buf_reset(&query->message);
    if (buf_reserve(&query->message, query->batch.len + len) < 0)
        return call_no_memory(&query->failed);
    (void)buf_append(&query->message, query->batch.data, query->batch.len);
    (void)sluice__v1__record_batch__pack(&rest, query->message.data + query->message.len);
    query->message.len += len;
    return 0;
}

static void digest_batch(struct call *call, struct query *query)
{
    if (exchange_gateway(call)->audit != NULL && query->batch_records > 0)
        audit_rows_add_batch(&query->exchange.rows, buf_slice(&query->batch), query->batch_records);
}

static void flush_batch(void *arg)
{
    struct call *call = arg;
    struct query *query = call->state;
    loop_task_cancel(&query->flush);
    if (query->batch_records == 0 || query->done)
        return;
    char token[TOKEN_TEXT_BYTES_MAX];
    token_seal(exchange_gateway(call)->token_key, query->digest, query->cursor, token);
    if (pack_batch(query, "", token, NULL) < 0) {
        query->done = true;
        call_resume(call);
        return;
    }
    digest_batch(call, query);
    query->totals.delivered += (int64_t)query->batch_records;
    query->batch_records = 0;
    buf_reset(&query->batch);
    if (call_send(call, query->message.data, query->message.len) < 0) {
        if (call->err.code == ERR_OK)
            return;
        query->failed = call->err;
        query->done = true;
        call_resume(call);
        return;
    }
    if (call_unsent(call) >= CALL_UNSENT_HIGH_BYTES && !query->paused) {
        query->paused = true;
        db_lease_pause(query->exchange.lease);
    }
}

static void query_writable(struct call *call)
{
    struct query *query = call->state;
    if (query->paused && query->exchange.lease != NULL && !query->done) {
        query->paused = false;
        if (!query->reserving)
            db_lease_resume(query->exchange.lease);
    }
}

static int add_record(struct query *query)
{
    uint8_t head[11] = { TAG_RECORDS };
    size_t head_len = 1 + varint_put(head + 1, query->record.len);
    if (buf_append(&query->batch, head, head_len) < 0)
        return -1;
    return buf_append(&query->batch, query->record.data, query->record.len);
}

static void stop(struct call *call, struct query *query)
{
    query->done = true;
    loop_task_cancel(&query->flush);
    call_resume(call);
}

/* The record in hand joins the batch. */
static void take_record(struct call *call, struct query *query)
{
    memcpy(query->cursor, query->waiting_cursor, sizeof query->cursor);
    quality_rows_add(&query->rows, ROW_DELIVERED);
    if (add_record(query) < 0) {
        if (query->batch.refused)
            (void)call_no_memory(&query->failed);
        else
            (void)err_set(&query->failed, ERR_INTERNAL, "BATCH_FULL",
                          "the answer could not be built");
        stop(call, query);
        return;
    }
    query->taken++;
    query->batch_records++;
    if (query->batch.len >= QUERY_BATCH_BYTES)
        flush_batch(call);
    else
        loop_task_post(exchange_gateway(call)->loop, &query->flush);
}

/* All that was taken from the quota is used: the record in hand waits for more. */
static void reserve(struct call *call, struct query *query)
{
    flush_batch(call);
    if (query->done || query->failed.code != ERR_OK)
        return;
    query->reserving = true;
    db_lease_pause(query->exchange.lease);
    charge_block(call, query);
    (void)exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__QUOTA);
}

static void reserved(struct call *call, struct query *query)
{
    query->reserving = false;
    if (query->exchange.failed.code != ERR_OK) {
        query->failed = query->exchange.failed;
        query->done = true;
        return;
    }
    take_record(call, query);
    if (!query->done && !query->paused)
        db_lease_resume(query->exchange.lease);
}

/* Too many bad rows: what is left of the dataset is not what the consumer thinks it reads. */
static void check_thresholds(struct call *call, struct query *query, bool whole)
{
    char sentence[QUALITY_SENTENCE_BYTES];
    if (query->exceeded || !quality_thresholds_exceeded(&query->exchange.grant.dataset->thresholds,
                                                        &query->rows, whole, sentence))
        return;
    query->exceeded = true;
    flush_batch(call); /* what was read well before this row may still leave */
    if (query->failed.code != ERR_OK)
        return;
    (void)err_set(&query->failed, ERR_FAILED_PRECONDITION, "QUARANTINE_THRESHOLD",
                  "%s; %lld records were delivered before the stream was stopped", sentence,
                  (long long)query->totals.delivered);
    stop(call, query);
}

static void on_query_row(void *arg, const struct db_rows *rows)
{
    struct call *call = arg;
    struct query *query = call->state;
    const struct schema_plan *plan = query->exchange.grant.plan;
    struct schema_row_report report;
    if (query->done)
        return;
    if (query->page_size > 0 && query->rows.read == (uint64_t)query->page_size) {
        query->more = true; /* the one row too many that tells there is a next page */
        return;
    }
    buf_reset(&query->record);
    int result = schema_plan_row(plan, rows, 0, &query->record, &report, &query->failed);
    if (query->record.refused)
        result = call_no_memory(&query->failed);
    if (result < 0) {
        stop(call, query);
        return;
    }
    /* Rows without a key stand last in the order; behind them a token goes on at the last one that
     * has. */
    char cursor[PLAN_KEY_TEXT_BYTES_MAX];
    if (schema_plan_row_cursor(plan, rows, 0, cursor))
        memcpy(query->waiting_cursor, cursor, sizeof cursor);
    if (report.state == ROW_DELIVERED) {
        if (query->limited && query->taken == query->exchange.reserved)
            reserve(call, query);
        else
            take_record(call, query);
        return;
    }
    memcpy(query->cursor, query->waiting_cursor, sizeof query->cursor);
    quality_rows_add(&query->rows, report.state);
    query->exchange.quarantined = query->rows.quarantined;
    exchange_note_row(call, rows, 0, &report);
    check_thresholds(call, query, false);
}

static void on_query_done(void *arg, const struct db_rows *rows, const struct err *err)
{
    (void)rows;
    struct call *call = arg;
    struct query *query = call->state;
    if (err != NULL)
        query->failed = *err;
    else
        check_thresholds(call, query, query->page_size == 0 && query->limit == 0);
    stop(call, query);
}

static enum step_result query_read(struct call *call)
{
    struct query *query = call->state;
    struct db_sql sql;
    int64_t limit = query->limit;
    if (query->page_size > 0 && (limit == 0 || limit > query->page_size))
        limit = query->page_size + 1;
    if (schema_plan_query(query->exchange.grant.plan, query->filter, query->after, limit,
                          &call->arena, &sql, &call->err) < 0)
        return STEP_FAIL;
    query->done = false;
    db_lease_query(query->exchange.lease, &sql, call->deadline_us, on_query_row, on_query_done,
                   call);
    return STEP_WAIT;
}

static enum step_result query_was_read(struct call *call)
{
    struct query *query = call->state;
    if (query->reserving && query->exchange.ticket == NULL)
        reserved(call, query);
    enum step_result result = query_check(call);
    if (result != STEP_FAIL || !query->exceeded)
        return result;
    count_totals(query); /* the accounts stand in a last batch without records, before the error */
    pack_batch(query, "", "", &query->totals);
    (void)call_send(call, query->message.data, query->message.len);
    return STEP_FAIL;
}

/* --- the end ------------------------------------------------------------------------------------ */

static enum step_result query_deliver(struct call *call)
{
    struct query *query = call->state;
    db_lease_release(&query->exchange.lease);
    digest_batch(call, query);
    query->totals.delivered += (int64_t)query->batch_records;
    query->exchange.spent = query->totals.delivered;
    count_totals(query);
    return exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__DELIVERY);
}

static enum step_result query_last_batch(struct call *call)
{
    struct query *query = call->state;
    char token[TOKEN_TEXT_BYTES_MAX] = "";
    if (query->cursor[0] != '\0')
        token_seal(exchange_gateway(call)->token_key, query->digest, query->cursor, token);
    if (pack_batch(query, query->more ? token : "", token, &query->totals) < 0) {
        call->err = query->failed;
        return STEP_FAIL;
    }
    return call_send(call, query->message.data, query->message.len) < 0 ? STEP_FAIL : STEP_NEXT;
}

static void query_finish(struct call *call, bool delivered)
{
    struct query *query = call->state;
    if (query->streaming)
        query->exchange.dataset->source->streams--;
    exchange_finish(call, delivered);
    if (!query->opened)
        return;
    loop_task_cancel(&query->flush);
    buf_fini(&query->batch);
    buf_fini(&query->record);
    buf_fini(&query->message);
    schema_filter_free(&query->filter);
}

static enum step_result query_outcome(struct call *call)
{
    struct query *query = call->state;
    if (query->opened)
        loop_task_cancel(&query->flush);
    query->done = true;
    query->exchange.spent = query->totals.delivered;
    return exchange_outcome(call);
}

static const struct step query_steps[] = {
    { "authorise", query_authorise, NULL },
    { "decide", query_decide,
      exchange_recorded },                  /* entry durable BEFORE the first record leaves */
    { "lease", query_lease, query_check },  /* a connection of its own */
    { "read", query_read, query_was_read }, /* rows leave in batches as they come */
    { "deliver", query_deliver, exchange_recorded }, /* entry durable BEFORE the last frame */
    { "last batch", query_last_batch, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method exchange_query_method = {
    .path = "/sluice.v1.ExchangeService/Query",
    .kind = RPC_SERVER_STREAM,
    .listeners = RPC_SYSTEMS,
    .input = &sluice__v1__query_request__descriptor,
    .state_size = sizeof(struct query),
    .steps = query_steps,
    .outcome = query_outcome,
    .may_release = exchange_may_release,
    .writable = query_writable,
    .finish = query_finish,
};
