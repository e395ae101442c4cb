/* sluice.v1.AgreementService: officers grant, revoke and read sharing agreements. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "schema/filter.h"
#include "services/admin.h"
#include "services/agreement_rows.h"
#include "services/agreement_terms.h"
#include "services/timestamps.h"

enum {
    AGREEMENT_PAGE_DEFAULT = 100,
    AGREEMENT_PAGE_MAX = 1000,
};

struct agreement_call {
    struct admin admin; /* first */
    Sluice__V1__Agreement *agreement;
    struct agreement_consumer consumer;
};

static char *text_of_int(struct arena *arena, int64_t number)
{
    return arena_format(arena, "%" PRId64, number);
}

static int invalid(struct call *call, const char *reason, const char *text)
{
    return err_set(&call->err, ERR_INVALID_ARGUMENT, reason, "%s", text);
}

static enum step_result answer_agreement(struct call *call)
{
    const struct agreement_call *state = call->state;
    call_answer(call, &state->agreement->base);
    return STEP_NEXT;
}

static int take_one(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct agreement_call *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "AGREEMENT_NOT_FOUND",
                       "there is no such agreement, or it is already revoked");
    state->agreement = agreement_from_row(&call->arena, rows, 0);
    return 0;
}

/* --- Grant -------------------------------------------------------------------------------------- */

static bool is_id(const char *text)
{
    size_t len = strlen(text);
    return len >= 3 && len <= 63 && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

char *agreement_make_id(struct arena *arena)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[12];
    char text[13] = { 0 };
    ids_random(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        text[i] = digits[random[i] & 31];
    return arena_format(arena, "agr-%s", text);
}

static int check_consumer(struct call *call, const char *consumer,
                          struct agreement_consumer *consumer_r)
{
    const struct gateway *gateway = call->context;
    const char *slash = strchr(consumer, '/');
    size_t department_len = slash != NULL ? (size_t)(slash - consumer) : 0;
    if (slash == NULL || department_len == 0 || department_len >= IDENTITY_NAME_BYTES ||
        slash[1] == '\0' || strlen(slash + 1) >= IDENTITY_NAME_BYTES)
        return invalid(call, "CONSUMER_INVALID",
                       "name the consumer as <department>/<system> or <department>/*");
    memset(consumer_r, 0, sizeof *consumer_r);
    memcpy(consumer_r->department, consumer, department_len);
    memcpy(consumer_r->system, slash + 1, strlen(slash + 1) + 1);
    if (!authz_department_known(gateway->authz, consumer_r->department))
        return invalid(call, "DEPARTMENT_UNKNOWN", "the consumer's department is not registered");
    return 0;
}

static int check_fields(struct call *call, const struct schema_dataset *dataset,
                        Sluice__V1__Agreement *agreement)
{
    if (agreement->n_fields == 0)
        return invalid(call, "FIELDS_MISSING", "list the fields that are granted");
    for (size_t i = 0; i < agreement->n_fields; i++) {
        const char *name = agreement->fields[i];
        if (schema_message_field(dataset->type, name, strlen(name)) == NULL)
            return err_set(&call->err, ERR_INVALID_ARGUMENT, "FIELD_UNKNOWN",
                           "the dataset has no field \"%.60s\"", name);
    }
    return 0;
}

static int check_scope(struct call *call, const Sluice__V1__Agreement *agreement)
{
    if (agreement->n_purposes == 0 || agreement->n_purposes > AGREEMENT_PURPOSES_MAX)
        return invalid(call, "PURPOSES_MISSING", "list 1 to 64 purposes");
    for (size_t i = 0; i < agreement->n_purposes; i++)
        if (!is_id(agreement->purposes[i]))
            return invalid(call, "PURPOSE_INVALID",
                           "a purpose is a code of 3 to 63 lower-case letters, digits and '-'");
    if (agreement->n_modes == 0 || agreement->n_modes > 8)
        return invalid(call, "MODES_MISSING", "list the modes: lookup, query, verify, transfer");
    for (size_t i = 0; i < agreement->n_modes; i++)
        if (agreement->modes[i] != SLUICE__V1__AGREEMENT_MODE__LOOKUP &&
            agreement->modes[i] != SLUICE__V1__AGREEMENT_MODE__QUERY &&
            agreement->modes[i] != SLUICE__V1__AGREEMENT_MODE__VERIFY &&
            agreement->modes[i] != SLUICE__V1__AGREEMENT_MODE__TRANSFER)
            return invalid(call, "MODE_INVALID", "a mode is lookup, query, verify or transfer");
    if (strlen(agreement->legal_basis) > AGREEMENT_TEXT_BYTES_MAX)
        return invalid(call, "LEGAL_BASIS_TOO_LONG", "the legal basis has at most 1,024 bytes");
    if (!(agreement->rate_per_second >= 0 && agreement->rate_per_second <= 1e6) ||
        agreement->rate_burst < 0)
        return invalid(call, "RATE_INVALID", "the rate is 0 to 1,000,000 calls a second");
    if (agreement->daily_quota < 0 || agreement->daily_quota > AGREEMENT_QUOTA_MAX)
        return invalid(call, "QUOTA_INVALID", "the daily quota is 0 to 1,000,000,000,000 records");
    return 0;
}

static int check_validity(struct call *call, Sluice__V1__Agreement *agreement)
{
    if (agreement->valid_until == NULL)
        return invalid(call, "VALIDITY_MISSING", "say until when the agreement is valid");
    if (agreement->valid_from == NULL)
        agreement->valid_from =
            timestamp_from_us(&call->arena, clock_wall_us() / 1000000 * 1000000);
    int64_t century_us = 100LL * 366 * 24 * 3600 * 1000000;
    int64_t until_us = timestamp_us(agreement->valid_until);
    if (agreement->valid_until->seconds > 253402300799 || agreement->valid_from->seconds < 0 ||
        until_us <= timestamp_us(agreement->valid_from) || until_us <= clock_wall_us() ||
        until_us > clock_wall_us() + century_us)
        return invalid(call, "VALIDITY_INVALID",
                       "the agreement must end in the future and after it begins");
    return 0;
}

static int check_filter(struct call *call, const struct schema_dataset *dataset, const char *text)
{
    if (text[0] == '\0')
        return 0;
    struct schema_filter *filter = schema_filter_parse(dataset, text, NULL, &call->err);
    if (filter == NULL)
        return -1;
    schema_filter_free(&filter);
    return 0;
}

int agreement_check_terms(struct call *call, const struct schema_dataset *dataset,
                          Sluice__V1__Agreement *agreement, struct agreement_consumer *consumer_r)
{
    if (check_consumer(call, agreement->consumer, consumer_r) < 0 ||
        check_fields(call, dataset, agreement) < 0 || check_scope(call, agreement) < 0 ||
        check_validity(call, agreement) < 0 || agreement_check_bounds(call, agreement) < 0 ||
        agreement_check_masks(call, dataset, agreement) < 0)
        return -1;
    return check_filter(call, dataset, agreement->row_filter);
}

static enum step_result grant_check(struct call *call)
{
    const struct gateway *gateway = call->context;
    const Sluice__V1__GrantAgreementRequest *request =
        (const Sluice__V1__GrantAgreementRequest *)(const void *)call->request;
    struct agreement_call *state = call->state;
    Sluice__V1__Agreement *agreement = request->agreement;
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE;
    state->admin.rule = "request";
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return STEP_FAIL;
    if (agreement == NULL)
        return invalid(call, "AGREEMENT_MISSING", "the request has no agreement") < 0 ? STEP_FAIL
                                                                                      : STEP_NEXT;
    state->agreement = agreement;
    state->admin.dataset = agreement->dataset;
    const struct schema_dataset *dataset = schema_bundle_find(gateway->bundle, agreement->dataset);
    if (dataset == NULL || strcmp(dataset->department, call->identity.department) != 0) {
        state->admin.rule = "owner";
        (void)err_set(&call->err, ERR_PERMISSION_DENIED, "NOT_OWNER",
                      "your department owns no dataset of this name");
        return STEP_FAIL;
    }
    state->admin.owner = dataset->department;
    if (authz_catalogue_forbids(gateway->authz, dataset->name)) {
        state->admin.rule = "catalogue";
        (void)err_set(&call->err, ERR_FAILED_PRECONDITION, "DATASET_DENIED",
                      "this dataset is not shared, so nothing of it is granted; change its "
                      "category first");
        return STEP_FAIL;
    }
    if (agreement->id[0] == '\0')
        agreement->id = agreement_make_id(&call->arena);
    else if (!is_id(agreement->id))
        return invalid(call, "AGREEMENT_ID",
                       "an agreement id has 3 to 63 lower-case letters, digits and '-'") < 0
                   ? STEP_FAIL
                   : STEP_NEXT;
    if (agreement_check_terms(call, dataset, agreement, &state->consumer) < 0)
        return STEP_FAIL;
    state->admin.rule = "owner";
    state->admin.agreement = agreement->id;
    state->admin.object = agreement->id;
    return STEP_NEXT;
}

char *agreement_modes_array(struct arena *arena, const Sluice__V1__Agreement *agreement)
{
    char **modes = arena_array(arena, agreement->n_modes, sizeof *modes);
    for (size_t i = 0; i < agreement->n_modes; i++)
        modes[i] = text_of_int(arena, agreement->modes[i]);
    return agreement_array(arena, modes, agreement->n_modes);
}

static int take_inserted(struct call *call, const struct db_rows *rows, struct err *err)
{
    if (db_row_count(rows) == 0)
        /* The same request sent twice finds its own agreement; what remains is a taken id. */
        return err_set(err, ERR_ALREADY_EXISTS, "AGREEMENT_EXISTS",
                       "an agreement of this id exists; choose another id");
    return take_one(call, rows, err);
}

const char agreement_insert_sql[] =
    "INSERT INTO control.agreement (id, consumer_department,"
    " consumer_system, dataset, owner_department, fields, row_filter, purposes, modes,"
    " valid_from, valid_until, rate_per_second, rate_burst, legal_basis, granted_by,"
    " request_id, digest, daily_quota, masks, mask_key_check,"
    " networks, windows, onward_recipient)"
    " VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8::text[], $9::integer[],"
    " timestamptz 'epoch' + $10::bigint * interval '1 microsecond',"
    " timestamptz 'epoch' + $11::bigint * interval '1 microsecond',"
    " $12::double precision, $13::integer, $14, $15, $16, $17::bytea, $18::bigint,"
    " $19::text[], $20::bytea, $21::text[], $22::text[], $23)";

void agreement_insert_params(struct call *call, const Sluice__V1__Agreement *agreement,
                             const struct agreement_consumer *consumer,
                             const char *params_r[AGREEMENT_INSERT_PARAMS])
{
    struct arena *arena = &call->arena;
    uint8_t bytes[AGREEMENT_DIGEST_BYTES];
    char *digest = arena_alloc(arena, 2 * AGREEMENT_DIGEST_BYTES + 3);
    agreement_digest(agreement, bytes);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): hex_encode ends it */
    memcpy(digest, "\\x", 2);
    hex_encode(bytes, AGREEMENT_DIGEST_BYTES, digest + 2);
    const char *const params[AGREEMENT_INSERT_PARAMS] = {
        agreement->id,
        consumer->department,
        consumer->system,
        agreement->dataset,
        call->identity.department,
        agreement_array(arena, agreement->fields, agreement->n_fields),
        agreement->row_filter,
        agreement_array(arena, agreement->purposes, agreement->n_purposes),
        agreement_modes_array(arena, agreement),
        text_of_int(arena, timestamp_us(agreement->valid_from)),
        text_of_int(arena, timestamp_us(agreement->valid_until)),
        arena_format(arena, "%.6f", agreement->rate_per_second),
        text_of_int(arena, agreement->rate_burst),
        agreement->legal_basis,
        call->identity.subject,
        call->request_id,
        digest,
        text_of_int(arena, agreement->daily_quota),
        agreement_masks_array(arena, agreement),
        agreement_mask_key_check(call, agreement),
        agreement_array(arena, agreement->networks, agreement->n_networks),
        agreement_array(arena, agreement->windows, agreement->n_windows),
        agreement->onward_recipient,
    };
    memcpy(params_r, params, sizeof params);
}

static enum step_result grant_insert(struct call *call)
{
    struct agreement_call *state = call->state;
    struct arena *arena = &call->arena;
    const char *params[AGREEMENT_INSERT_PARAMS];
    agreement_insert_params(call, state->agreement, &state->consumer, params);
    struct db_sql sql = {
        .text =
            arena_format(arena,
                         "WITH fresh AS (%s ON CONFLICT DO NOTHING RETURNING *),"
                         " answer AS (SELECT * FROM fresh UNION ALL SELECT * FROM control.agreement"
                         " WHERE granted_by = $15 AND request_id = $16)"
                         " SELECT %s FROM answer LIMIT 1",
                         agreement_insert_sql, agreement_columns),
        .param_count = AGREEMENT_INSERT_PARAMS,
        .params = arena_dup(arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_inserted);
}

static enum step_result grant_settle(struct call *call)
{
    return admin_settle(call, GRANT_SETTLE_MS);
}

static const struct step grant_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", grant_check, NULL },
    { "record", admin_record, admin_recorded }, /* no policy changes without its entry */
    { "insert", grant_insert, admin_ran },
    { "settle", grant_settle, admin_settled },
    { "answer", answer_agreement, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method agreement_grant_method = {
    .path = "/sluice.v1.AgreementService/GrantAgreement",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__grant_agreement_request__descriptor,
    .state_size = sizeof(struct agreement_call),
    .steps = grant_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- Revoke ------------------------------------------------------------------------------------- */

static enum step_result revoke_check(struct call *call)
{
    const Sluice__V1__RevokeAgreementRequest *request =
        (const Sluice__V1__RevokeAgreementRequest *)(const void *)call->request;
    struct agreement_call *state = call->state;
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE;
    state->admin.rule = "request";
    const struct gateway *gateway = call->context;
    state->admin.agreement = request->id;
    state->admin.object = request->id;
    state->admin.owner = call->identity.department;
    state->admin.dataset =
        authz_agreement_dataset(gateway->authz, request->id, call->identity.department);
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return STEP_FAIL;
    if (request->reason[0] == '\0' || strlen(request->reason) > AGREEMENT_TEXT_BYTES_MAX)
        return invalid(call, "REASON_MISSING", "give a reason of 1 to 1,024 bytes") < 0 ? STEP_FAIL
                                                                                        : STEP_NEXT;
    state->admin.rule = "owner";
    return STEP_NEXT;
}

static enum step_result revoke_update(struct call *call)
{
    const Sluice__V1__RevokeAgreementRequest *request =
        (const Sluice__V1__RevokeAgreementRequest *)(const void *)call->request;
    const char *params[] = { request->id, call->identity.department, call->identity.subject,
                             request->reason };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "UPDATE control.agreement SET revoked_at = now(), revoked_by = $3,"
                             " revoke_reason = $4, epoch = control.next_epoch()"
                             " WHERE id = $1 AND owner_department = $2 AND revoked_at IS NULL"
                             " RETURNING %s",
                             agreement_columns),
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_one);
}

static enum step_result revoke_settle(struct call *call)
{
    return admin_settle(call, REVOKE_SETTLE_MS);
}

static const struct step revoke_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", revoke_check, NULL },
    { "record", admin_record, admin_recorded },
    { "update", revoke_update, admin_ran },
    { "settle", revoke_settle, admin_settled },
    { "answer", answer_agreement, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method agreement_revoke_method = {
    .path = "/sluice.v1.AgreementService/RevokeAgreement",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__revoke_agreement_request__descriptor,
    .state_size = sizeof(struct agreement_call),
    .steps = revoke_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- Get and List ---------------------------------------------------------------------------- */

static enum step_result get_select(struct call *call)
{
    const Sluice__V1__GetAgreementRequest *request =
        (const Sluice__V1__GetAgreementRequest *)(const void *)call->request;
    const char *params[] = { request->id, call->identity.department };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "SELECT %s FROM control.agreement WHERE id = $1"
                             " AND (owner_department = $2 OR consumer_department = $2)",
                             agreement_columns),
        .param_count = 2,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_one);
}

static const struct step get_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", get_select, admin_ran },
    { "answer", answer_agreement, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method agreement_get_method = {
    .path = "/sluice.v1.AgreementService/GetAgreement",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_agreement_request__descriptor,
    .state_size = sizeof(struct agreement_call),
    .steps = get_steps,
    .finish = admin_finish,
};

static int take_list(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const Sluice__V1__ListAgreementsRequest *request =
        (const Sluice__V1__ListAgreementsRequest *)(const void *)call->request;
    size_t page = admin_page_size(request->page_size, AGREEMENT_PAGE_DEFAULT, AGREEMENT_PAGE_MAX);
    Sluice__V1__ListAgreementsResponse answer = SLUICE__V1__LIST_AGREEMENTS_RESPONSE__INIT;
    size_t count = (size_t)db_row_count(rows);
    answer.n_agreements = count < page ? count : page;
    answer.agreements = arena_array(&call->arena, answer.n_agreements, sizeof *answer.agreements);
    for (size_t i = 0; i < answer.n_agreements; i++)
        answer.agreements[i] = agreement_from_row(&call->arena, rows, (int)i);
    if (count > page)
        answer.next_page_token = answer.agreements[page - 1]->id;
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result list_select(struct call *call)
{
    const Sluice__V1__ListAgreementsRequest *request =
        (const Sluice__V1__ListAgreementsRequest *)(const void *)call->request;
    size_t page = admin_page_size(request->page_size, AGREEMENT_PAGE_DEFAULT, AGREEMENT_PAGE_MAX);
    const char *params[] = { call->identity.department, request->dataset, request->consumer,
                             request->page_token, text_of_int(&call->arena, (int64_t)page + 1) };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "SELECT %s FROM control.agreement"
                             " WHERE (owner_department = $1 OR consumer_department = $1)"
                             " AND ($2 = '' OR dataset = $2)"
                             " AND ($3 = '' OR consumer_department || '/' || consumer_system = $3)"
                             " AND id > $4 ORDER BY id LIMIT $5::bigint",
                             agreement_columns),
        .param_count = 5,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_list);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", list_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method agreement_list_method = {
    .path = "/sluice.v1.AgreementService/ListAgreements",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_agreements_request__descriptor,
    .state_size = sizeof(struct agreement_call),
    .steps = list_steps,
    .finish = admin_finish,
};
