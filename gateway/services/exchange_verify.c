/* ExchangeService.Verify (核验): says whether claims about one record hold, and no value. */
#include <stdio.h>
#include <string.h>

#include "audit/hash.h"
#include "schema/claim.h"
#include "services/exchange.h"
#include "sluice/v1/exchange.pb-c.h"

enum {
    /* Wrong answers about one key that an agreement gets for one purpose in a day. A slip or two are
     * human; a birth date cannot be found in five guesses. */
    VERIFY_KEY_MISMATCHES_MAX = 5,
    /* Answers other than MATCH over all keys: who asks about a register person by person, one guess
     * each, is stopped here. A window that verifies what people state stays far below. */
    VERIFY_PURPOSE_MISSES_MAX = 1000,
    SEMANTIC_CITIZEN_ID = 1, /* sluice.options.SemanticType */
};

enum verify_charge { CHARGE_MADE = 0, CHARGE_KEY = 1, CHARGE_PURPOSE = 2 };

typedef Sluice__V1__VerifyResponse__Outcome verify_outcome;

struct verify {
    struct exchange exchange; /* first */
    const char *fields[CLAIMS_MAX];
    struct schema_claim claims[CLAIMS_MAX];
    const char *key; /* canonical */
    verify_outcome outcome;
    int32_t verdict; /* enum verify_charge */
    int32_t seconds_left;
    struct err failed;
};

static const Sluice__V1__VerifyRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__VerifyRequest *)(const void *)call->request;
}

/* --- authorise ------------------------------------------------------------------------------- */

/* Key and claims, as the log digests them. */
static const char *join_claims(struct call *call, const Sluice__V1__VerifyRequest *request)
{
    size_t len = strlen(request->key) + 1;
    for (size_t i = 0; i < request->n_claims; i++)
        len += strlen(request->claims[i]->field) + strlen(request->claims[i]->value) + 2;
    char *text = arena_alloc_large(&call->arena, len);
    if (text == NULL)
        return NULL;
    char *at = stpcpy(text, request->key);
    for (size_t i = 0; i < request->n_claims; i++) {
        *at++ = '\n';
        at = stpcpy(at, request->claims[i]->field);
        *at++ = '=';
        at = stpcpy(at, request->claims[i]->value);
    }
    return text;
}

static int check_claims(const Sluice__V1__VerifyRequest *request, struct verify *verify,
                        struct err *err)
{
    if (request->n_claims == 0 || request->n_claims > CLAIMS_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "CLAIMS_COUNT",
                       "claim 1 to %d fields; this call claims %zu", CLAIMS_MAX, request->n_claims);
    for (size_t i = 0; i < request->n_claims; i++) {
        verify->fields[i] = request->claims[i]->field;
        for (size_t j = 0; j < i; j++)
            if (strcmp(verify->fields[i], verify->fields[j]) == 0)
                return err_set(err, ERR_INVALID_ARGUMENT, "CLAIM_REPEATED",
                               "the field %.60s is claimed twice; claim each field once",
                               verify->fields[i]);
    }
    return 0;
}

/* What is refused here depends on the request, the agreement and the schema, never on a record. */
static enum step_result verify_authorise(struct call *call)
{
    const Sluice__V1__VerifyRequest *request = request_of(call);
    struct verify *verify = call->state;
    struct exchange *exchange = &verify->exchange;
    exchange->dataset_name = request->dataset;
    exchange->purpose = request->purpose;
    exchange->agreement = request->agreement;
    exchange->grant.rule = "request";
    exchange->filter = join_claims(call, request);
    if (exchange->filter == NULL) {
        (void)call_no_memory(&call->err);
        return STEP_FAIL;
    }
    if (check_claims(request, verify, &call->err) < 0)
        return STEP_FAIL;
    size_t count = request->n_claims;
    Google__Protobuf__FieldMask fields = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    fields.n_paths = count;
    fields.paths = (char **)verify->fields;
    if (exchange_authorise(call, request->dataset, request->agreement, request->purpose,
                           request->request_id, &fields, AUTHZ_VERIFY) == STEP_FAIL)
        return STEP_FAIL;
    const struct schema_dataset *dataset = exchange->grant.dataset;
    for (size_t i = 0; i < count; i++) {
        const char *name = verify->fields[i];
        const struct schema_field *field = schema_message_field(dataset->type, name, strlen(name));
        if (schema_claim_init(&verify->claims[i], dataset, field, request->claims[i]->value,
                              &call->arena, &call->err) < 0) {
            exchange->grant.rule = "request.claims";
            return STEP_FAIL;
        }
    }
    exchange_start_rows(call, AUDIT_ROWS_ROW);
    return STEP_NEXT;
}

/* --- compare ----------------------------------------------------------------------------------- */

static verify_outcome outcome_of(enum schema_claims_verdict verdict)
{
    switch (verdict) {
    case CLAIMS_MATCH:
        return SLUICE__V1__VERIFY_RESPONSE__OUTCOME__MATCH;
    case CLAIMS_MISMATCH:
        return SLUICE__V1__VERIFY_RESPONSE__OUTCOME__MISMATCH;
    case CLAIMS_INCONCLUSIVE:
        break;
    }
    return SLUICE__V1__VERIFY_RESPONSE__OUTCOME__INCONCLUSIVE;
}

static void compare_row(struct call *call, const struct db_rows *rows)
{
    struct verify *verify = call->state;
    const struct schema_plan *plan = verify->exchange.grant.plan;
    struct schema_row_report report;
    struct buf record;
    char key[PLAN_KEY_TEXT_BYTES_MAX];
    /* The stored key is one for all the ways there are to write it. */
    if (schema_plan_row_key(plan, rows, 0, key))
        verify->key = arena_strdup(&call->arena, key);
    buf_init_large(&record, PLAN_RECORD_BYTES_MAX);
    int result = schema_plan_row(plan, rows, 0, &record, &report, &verify->failed);
    if (record.refused) {
        (void)call_no_memory(&verify->failed);
    } else if (result == 0 && report.state != ROW_DELIVERED) {
        verify->exchange.quarantined = report.state == ROW_QUARANTINED;
        exchange_note_row(call, rows, 0, &report);
    } else if (result == 0) {
        enum schema_claims_verdict verdict;
        if (schema_claims_compare(plan, verify->exchange.grant.dataset, verify->claims,
                                  request_of(call)->n_claims, rows, 0, buf_slice(&record),
                                  &call->arena, &verdict, &verify->failed) == 0)
            verify->outcome = outcome_of(verdict);
    }
    if (record.len > 0)
        explicit_bzero(record.data, record.len);
    buf_fini(&record);
}

/* Rows are valid inside this callback only, so they are compared here. */
static void on_row(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct call *call = arg;
    struct verify *verify = call->state;
    verify->exchange.db = NULL;
    verify->outcome = SLUICE__V1__VERIFY_RESPONSE__OUTCOME__INCONCLUSIVE;
    if (err != NULL)
        verify->failed = *err;
    else if (db_row_count(rows) == 0)
        verify->outcome = SLUICE__V1__VERIFY_RESPONSE__OUTCOME__NO_RECORD;
    else if (db_row_count(rows) == 1)
        compare_row(call, rows);
    call_resume(call);
}

static enum step_result verify_fetch(struct call *call)
{
    struct verify *verify = call->state;
    struct exchange *exchange = &verify->exchange;
    struct db_sql sql;
    if (schema_plan_lookup(exchange->grant.plan, request_of(call)->key, &call->arena, &sql,
                           &call->err) < 0)
        return STEP_FAIL;
    verify->key =
        schema_plan_canonical_key(exchange->grant.plan, request_of(call)->key, &call->arena);
    sql.brief = true;
    exchange->db =
        db_call_start(exchange->dataset->source->db, &sql, call->deadline_us, on_row, call);
    return STEP_WAIT;
}

static enum step_result waited(struct call *call)
{
    struct verify *verify = call->state;
    if (verify->exchange.db != NULL)
        return STEP_WAIT;
    if (verify->failed.code != ERR_OK) {
        call->err = verify->failed;
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

/* --- the budget -------------------------------------------------------------------------------- */

static void on_charged(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct call *call = arg;
    struct verify *verify = call->state;
    verify->exchange.db = NULL;
    if (err != NULL) {
        verify->failed = *err;
    } else if (db_row_count(rows) == 1) {
        verify->verdict = db_int4(db_value(rows, 0, 0));
        verify->seconds_left = db_int4(db_value(rows, 0, 1));
    } else {
        (void)err_set(&verify->failed, ERR_INTERNAL, "CONTROL_DATABASE",
                      "the control database answered something unexpected; ask the operator to run "
                      "sluice control migrate");
    }
    call_resume(call);
}

/* Bound to agreement and purpose, so that rows of one person cannot be led together. */
static char *key_digest(struct call *call, const char *key)
{
    static const char word[] = "verify-key";
    const struct exchange *exchange = call->state;
    const char *agreement = authz_grant_id(exchange->grant.grant);
    struct slice pieces[] = {
        slice_of(word, sizeof word),
        slice_of(agreement, strlen(agreement) + 1),
        slice_of(exchange->purpose, strlen(exchange->purpose) + 1),
        slice_of(key, strlen(key)),
    };
    uint8_t digest[HASH_BYTES];
    char *text = arena_alloc(&call->arena, 2 * HASH_BYTES + 3);
    hash_hmac(exchange_gateway(call)->person_key, GATEWAY_KEY_BYTES, pieces,
              sizeof pieces / sizeof pieces[0], digest);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): hex_encode ends it */
    memcpy(text, "\\x", 2);
    hex_encode(digest, sizeof digest, text + 2);
    return text;
}

static void note_person(struct call *call)
{
    const struct verify *verify = call->state;
    const struct schema_dataset *dataset = verify->exchange.grant.dataset;
    if (dataset->key_count == 1 && dataset->key[0]->semantic == SEMANTIC_CITIZEN_ID)
        exchange_add_person(call, slice_of(verify->key, strlen(verify->key)));
}

/* Counted whatever the outcome is, by the same statement: matches take as long as the rest. */
static enum step_result verify_charge(struct call *call)
{
    struct verify *verify = call->state;
    const struct gateway *gateway = exchange_gateway(call);
    bool match = verify->outcome == SLUICE__V1__VERIFY_RESPONSE__OUTCOME__MATCH;
    bool mismatch = verify->outcome == SLUICE__V1__VERIFY_RESPONSE__OUTCOME__MISMATCH;
    if (verify->key == NULL)
        verify->key = request_of(call)->key;
    note_person(call);
    const char *params[] = {
        authz_grant_id(verify->exchange.grant.grant),
        verify->exchange.purpose,
        key_digest(call, verify->key),
        mismatch ? "t" : "f",
        match ? "f" : "t",
        arena_format(&call->arena, "%d", VERIFY_KEY_MISMATCHES_MAX),
        arena_format(&call->arena, "%d", VERIFY_PURPOSE_MISSES_MAX),
    };
    struct db_sql sql = {
        .text = "SELECT verdict, seconds_left FROM control.verify_charge($1, $2, $3::bytea,"
                " $4::boolean, $5::boolean, $6::integer, $7::integer)",
        .param_count = sizeof params / sizeof params[0],
        .params = params,
    };
    verify->exchange.db =
        db_call_start(gateway->control, &sql, call->deadline_us, on_charged, call);
    return STEP_WAIT;
}

static enum step_result verify_charged(struct call *call)
{
    struct verify *verify = call->state;
    enum step_result result = waited(call);
    if (result != STEP_NEXT || verify->verdict == CHARGE_MADE)
        return result;
    bool key = verify->verdict == CHARGE_KEY;
    verify->exchange.grant.rule = key ? "verify.budget.key" : "verify.budget.purpose";
    (void)err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "VERIFY_BUDGET",
                  "too many claims %s did not match today; the next are answered after midnight "
                  "(Asia/Shanghai)",
                  key ? "about this record" : "for this purpose");
    (void)err_retry_after(&call->err, (long)verify->seconds_left * 1000);
    return STEP_FAIL;
}

/* --- answer ------------------------------------------------------------------------------------ */

static const char *outcome_name(verify_outcome outcome)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &sluice__v1__verify_response__outcome__descriptor, (int)outcome);
    return value != NULL ? value->name : "";
}

/* In JSON the outcome is its name, and names differ in length: the padding makes up for that. */
static enum step_result verify_build(struct call *call)
{
    static const char blanks[] = "             "; /* one more than the longest name has */
    struct verify *verify = call->state;
    Sluice__V1__VerifyResponse answer = SLUICE__V1__VERIFY_RESPONSE__INIT;
    char id[UUID_TEXT_BYTES];
    uuid_format(call->exchange_id, id);
    verify->exchange.object = outcome_name(verify->outcome);
    answer.outcome = verify->outcome;
    answer.exchange_id = id;
    answer.padding = (char *)blanks + (call->json ? strlen(verify->exchange.object) : 0);
    return call_answer(call, &answer.base) < 0 ? STEP_FAIL : STEP_NEXT;
}

static enum step_result verify_record(struct call *call)
{
    return exchange_record(call, SLUICE__V1__AUDIT_ENTRY__KIND__DECISION);
}

static const struct step verify_steps[] = {
    { "authorise", verify_authorise, NULL },     /* never waits; claims become digests */
    { "fetch", verify_fetch, waited },           /* one pipelined statement; all claims compared */
    { "charge", verify_charge, verify_charged }, /* counted BEFORE anything is known outside */
    { "build", verify_build, NULL },
    { "record", verify_record,
      exchange_recorded }, /* audit entry durable BEFORE the answer leaves */
    { NULL, NULL, NULL },
};

const struct rpc_method exchange_verify_method = {
    .path = "/sluice.v1.ExchangeService/Verify",
    .kind = RPC_UNARY,
    .listeners = RPC_SYSTEMS,
    .input = &sluice__v1__verify_request__descriptor,
    .state_size = sizeof(struct verify),
    .steps = verify_steps,
    .outcome = exchange_outcome,
    .may_release = exchange_may_release,
    .finish = exchange_finish,
};
