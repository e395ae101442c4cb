/* sluice.v1.TransferService: jobs are made, shown and steered here; movers work on them. */
#include <string.h>

#include "schema/filter.h"
#include "schema/writer.h"
#include "services/agreement_rows.h"
#include "services/transfer_loss.h"
#include "services/transfer_rows.h"
#include "transfer/cursor.h"
#include "transfer/transfer.h"

enum { TRANSFER_PAGE_DEFAULT = 100, TRANSFER_PAGE_MAX = 1000, TRANSFER_FILTER_BYTES_MAX = 8192 };

/* --- Create --------------------------------------------------------------------------------------------- */

struct create_call {
    struct transfer_call base; /* first */
    struct authz_answer grant;
    const struct schema_dataset *target;
    const char *agreement;
    const char *table;
    struct transfer_losses losses;
};

static const Sluice__V1__CreateTransferRequest *create_request(const struct call *call)
{
    return (const Sluice__V1__CreateTransferRequest *)(const void *)call->request;
}

/* What the mover will look at again: said now, it saves a wait. */
static int check_target(struct call *call, struct create_call *state)
{
    const struct gateway *gateway = call->context;
    const char *name = create_request(call)->target;
    state->target = schema_bundle_find(gateway->bundle, name);
    if (state->target == NULL || strcmp(state->target->department, call->identity.department) != 0)
        return err_set(&call->err, ERR_NOT_FOUND, "TARGET_NOT_FOUND",
                       "your department has no dataset of the target's name");
    if (strcmp(state->target->type->full_name, state->grant.dataset->type->full_name) != 0)
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "TARGET_TYPE",
                       "source and target must have one canonical type; these are %.60s and %.60s",
                       state->grant.dataset->type->full_name, state->target->type->full_name);
    bool listed = false;
    for (size_t i = 0; i < gateway->conf->target_count; i++)
        listed = listed || strcmp(gateway->conf->targets[i].name, state->target->source) == 0;
    if (!listed)
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "TARGET_NOT_CONFIGURED",
                       "this gateway has no target \"%.60s\" to write to; its operator adds one",
                       state->target->source);
    struct schema_writer *writer = schema_writer_new(state->target, NULL, &call->err);
    if (writer == NULL)
        return -1;
    state->table = arena_strdup(&call->arena, schema_writer_table(writer));
    int weighed = transfer_weigh(&call->arena, &state->grant, writer,
                                 create_request(call)->accept_lossy, &state->losses, &call->err);
    schema_writer_free(&writer);
    return weighed;
}

static int check_filter(struct call *call, const struct create_call *state)
{
    const char *text = create_request(call)->filter;
    if (text[0] == '\0')
        return 0;
    if (strlen(text) > TRANSFER_FILTER_BYTES_MAX)
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "FILTER_TOO_LARGE",
                       "the filter has at most 8,192 bytes");
    struct schema_filter *filter = authz_answer_filter(&state->grant, text, &call->err);
    if (filter == NULL)
        return -1;
    schema_filter_free(&filter);
    return 0;
}

static int check_cursor(struct call *call, const struct create_call *state)
{
    const Sluice__V1__CreateTransferRequest *request = create_request(call);
    bool cursor = request->mode == SLUICE__V1__TRANSFER_MODE__CURSOR;
    if (cursor != (request->cursor[0] != '\0'))
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "CURSOR_REQUIRED",
                       "a cursor goes with the mode cursor, and that mode needs one");
    if (!cursor)
        return 0;
    return transfer_cursor_check(state->grant.dataset, request->cursor,
                                 authz_answer_granted(&state->grant), &call->err);
}

static enum step_result create_check(struct call *call)
{
    const Sluice__V1__CreateTransferRequest *request = create_request(call);
    struct gateway *gateway = call->context;
    struct create_call *state = call->state;
    struct admin *admin = &state->base.admin;
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__ADMIN;
    admin->rule = "request";
    admin->dataset = request->dataset;
    admin->purpose = request->purpose;
    admin->object = request->target;
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return STEP_FAIL;
    struct authz_ask ask = {
        .who = &call->identity,
        .dataset = request->dataset,
        .agreement = request->agreement,
        .purpose = request->purpose,
        .mode = AUTHZ_TRANSFER,
        .for_department = call->identity.kind == IDENTITY_OFFICER,
        .fields = request->fields != NULL ? (const char *const *)request->fields->paths : NULL,
        .field_count = request->fields != NULL ? request->fields->n_paths : 0,
    };
    int decided = authz_decide(gateway->authz, &ask, &state->grant, &call->err);
    admin->rule = state->grant.rule;
    if (decided < 0)
        return STEP_FAIL;
    state->agreement = arena_strdup(&call->arena, authz_grant_id(state->grant.grant));
    admin->agreement = state->agreement;
    admin->owner = state->grant.dataset->department;
    if (request->mode != SLUICE__V1__TRANSFER_MODE__TRANSFER_MODE_UNSPECIFIED &&
        request->mode != SLUICE__V1__TRANSFER_MODE__REPLACE &&
        request->mode != SLUICE__V1__TRANSFER_MODE__APPEND &&
        request->mode != SLUICE__V1__TRANSFER_MODE__UPSERT &&
        request->mode != SLUICE__V1__TRANSFER_MODE__CURSOR) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "MODE_INVALID",
                      "the mode is replace, append, upsert or cursor");
        return STEP_FAIL;
    }
    if (request->rows_per_second < 0 || request->rows_per_second > TRANSFER_RATE_MAX) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "ROWS_PER_SECOND_INVALID",
                      "rows_per_second is 0, for no limit, or 1 to %d", TRANSFER_RATE_MAX);
        return STEP_FAIL;
    }
    return check_target(call, state) < 0 || check_filter(call, state) < 0 ||
                   check_cursor(call, state) < 0
               ? STEP_FAIL
               : STEP_NEXT;
}

static char *hex_param(struct arena *arena, const uint8_t *data, size_t len)
{
    char *text = arena_alloc(arena, 2 * len + 3);
    text[0] = '\\';
    text[1] = 'x';
    hex_encode(data, len, text + 2);
    return text;
}

/* A request that was sent before finds its own job. */
static const char create_sql[] =
    "WITH fresh AS (INSERT INTO control.transfer (id, request_id, created_by, created_kind,"
    " consumer_department, consumer_name, credential, dataset, owner_department, agreement, "
    "purpose,"
    " target, target_database, target_table, mode, filter, fields, salt, rows_per_second, "
    "cursor_field)"
    " VALUES ($1::uuid, $2, $3, $4::smallint, $5, $6, $7::bytea, $8, $9, $10, $11, $12, $13, $14,"
    " $15::smallint, $16, $17::text[], $18::bytea, $19::bigint, $20)"
    " ON CONFLICT (created_by, request_id) DO NOTHING"
    " RETURNING *),"
    " answer AS (SELECT * FROM fresh UNION ALL SELECT * FROM control.transfer"
    " WHERE created_by = $3 AND request_id = $2)"
    " SELECT %s FROM answer LIMIT 1";

static enum step_result create_insert(struct call *call)
{
    const Sluice__V1__CreateTransferRequest *request = create_request(call);
    const struct create_call *state = call->state;
    struct arena *arena = &call->arena;
    uint8_t salt[SALT_BYTES];
    char *id = arena_alloc(arena, UUID_TEXT_BYTES);
    uuid_format(call->exchange_id, id); /* so that its entries stand with the one that made it */
    salt_make(salt);
    const char *params[] = {
        id,
        call->request_id,
        call->identity.subject,
        call->identity.kind == IDENTITY_OFFICER ? "2" : "1",
        call->identity.department,
        call->identity.name,
        hex_param(arena, call->identity.credential, sizeof call->identity.credential),
        request->dataset,
        state->grant.dataset->department,
        state->agreement,
        request->purpose,
        request->target,
        state->target->source,
        state->table,
        arena_format(arena, "%d",
                     request->mode != SLUICE__V1__TRANSFER_MODE__TRANSFER_MODE_UNSPECIFIED
                         ? (int)request->mode
                         : (int)SLUICE__V1__TRANSFER_MODE__REPLACE),
        request->filter,
        request->fields != NULL
            ? agreement_array(arena, request->fields->paths, request->fields->n_paths)
            : "{}",
        hex_param(arena, salt, sizeof salt),
        arena_format(arena, "%lld", (long long)request->rows_per_second),
        request->cursor,
    };
    struct db_sql sql = { .text = arena_format(arena, create_sql, transfer_columns),
                          .param_count = sizeof params / sizeof params[0],
                          .params = arena_dup(arena, params, sizeof params) };
    return admin_run(call, &sql, transfer_take);
}

static enum step_result create_answer(struct call *call)
{
    const struct create_call *state = call->state;
    state->base.transfer->losses = state->losses.items;
    state->base.transfer->n_losses = state->losses.count;
    return transfer_answer(call);
}

static void create_finish(struct call *call, bool delivered)
{
    const struct gateway *gateway = call->context;
    struct create_call *state = call->state;
    admin_finish(call, delivered);
    authz_answer_fini(gateway->authz, &state->grant);
}

static const struct step create_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", create_check, NULL },
    { "record", admin_record, admin_recorded }, /* no job without its entry */
    { "insert", create_insert, admin_ran },
    { "answer", create_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method transfer_create_method = {
    .path = "/sluice.v1.TransferService/CreateTransfer",
    .kind = RPC_UNARY,
    .listeners = RPC_BOTH,
    .officer_roles = OFFICER_CASEWORK,
    .input = &sluice__v1__create_transfer_request__descriptor,
    .state_size = sizeof(struct create_call),
    .steps = create_steps,
    .outcome = admin_outcome,
    .finish = create_finish,
};

/* --- Get and List ------------------------------------------------------------------------------------ */

static enum step_result get_select(struct call *call)
{
    const Sluice__V1__GetTransferRequest *request =
        (const Sluice__V1__GetTransferRequest *)(const void *)call->request;
    return transfer_select(call, request->id);
}

static const struct step get_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", get_select, admin_ran },
    { "answer", transfer_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method transfer_get_method = {
    .path = "/sluice.v1.TransferService/GetTransfer",
    .kind = RPC_UNARY,
    .listeners = RPC_BOTH,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_transfer_request__descriptor,
    .state_size = sizeof(struct transfer_call),
    .steps = get_steps,
    .finish = admin_finish,
};

static const Sluice__V1__ListTransfersRequest *list_request(const struct call *call)
{
    return (const Sluice__V1__ListTransfersRequest *)(const void *)call->request;
}

static int take_list(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    size_t page =
        admin_page_size(list_request(call)->page_size, TRANSFER_PAGE_DEFAULT, TRANSFER_PAGE_MAX);
    Sluice__V1__ListTransfersResponse answer = SLUICE__V1__LIST_TRANSFERS_RESPONSE__INIT;
    size_t count = (size_t)db_row_count(rows);
    answer.n_transfers = count < page ? count : page;
    answer.transfers = arena_array(&call->arena, answer.n_transfers, sizeof *answer.transfers);
    for (size_t i = 0; i < answer.n_transfers; i++)
        answer.transfers[i] = transfer_from_row(&call->arena, rows, (int)i);
    if (count > page)
        answer.next_page_token = answer.transfers[page - 1]->id;
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result list_select(struct call *call)
{
    const Sluice__V1__ListTransfersRequest *request = list_request(call);
    size_t page = admin_page_size(request->page_size, TRANSFER_PAGE_DEFAULT, TRANSFER_PAGE_MAX);
    uint8_t bytes[UUID_BYTES];
    if (request->page_token[0] != '\0' && !uuid_parse(request->page_token, bytes)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "TOKEN_INVALID",
                      "the page token is none that this service gave");
        return STEP_FAIL;
    }
    const char *params[] = {
        call->identity.department,
        call->identity.kind == IDENTITY_OFFICER ? "true" : "false",
        request->page_token[0] != '\0' ? request->page_token : NULL,
        arena_format(&call->arena, "%zu", page + 1),
    };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "SELECT %s FROM control.transfer WHERE (consumer_department = $1 OR"
                             " ($2::boolean AND owner_department = $1))"
                             " AND ($3::uuid IS NULL OR id < $3::uuid)"
                             " ORDER BY id DESC LIMIT $4::bigint",
                             transfer_columns),
        .param_count = 4,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_list);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", list_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method transfer_list_method = {
    .path = "/sluice.v1.TransferService/ListTransfers",
    .kind = RPC_UNARY,
    .listeners = RPC_BOTH,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_transfers_request__descriptor,
    .state_size = sizeof(struct transfer_call),
    .steps = list_steps,
    .finish = admin_finish,
};

/* --- Pause, Resume, Cancel ---------------------------------------------------------------------------- */

/* All three requests are one id. */
static const char *steer_id(const struct call *call)
{
    return ((const Sluice__V1__CancelTransferRequest *)(const void *)call->request)->id;
}

static enum step_result steer_check(struct call *call)
{
    struct transfer_call *state = call->state;
    uint8_t bytes[UUID_BYTES];
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__ADMIN;
    state->admin.rule = "consumer";
    state->admin.object = steer_id(call);
    if (uuid_parse(steer_id(call), bytes))
        return STEP_NEXT;
    (void)err_set(&call->err, ERR_NOT_FOUND, "TRANSFER_NOT_FOUND",
                  "there is no such transfer, or it has ended already");
    return STEP_FAIL;
}

static enum step_result steer(struct call *call, const char *change)
{
    const char *params[] = { steer_id(call), call->identity.department };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "UPDATE control.transfer SET %s WHERE id = $1::uuid"
                             " AND consumer_department = $2 AND state IN (1, 2, 3) RETURNING %s",
                             change, transfer_columns),
        .param_count = 2,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, transfer_take);
}

static enum step_result pause_update(struct call *call)
{
    return steer(call, "wanted = CASE WHEN wanted = 3 THEN 3 ELSE 2 END,"
                       " state = CASE WHEN state = 1 AND wanted <> 3 THEN 3 ELSE state END");
}

static enum step_result resume_update(struct call *call)
{
    return steer(call,
                 "wanted = CASE WHEN wanted = 3 THEN 3 ELSE 1 END, attempts = 0,"
                 " next_attempt_at = CASE WHEN state IN (1, 3) THEN now() ELSE next_attempt_at END,"
                 " state = CASE WHEN state = 3 THEN 1 ELSE state END");
}

/* One that no mover has touched ends here; another has something to be removed. */
static enum step_result cancel_update(struct call *call)
{
    return steer(call, "wanted = 3, next_attempt_at = now(),"
                       " ended_at = CASE WHEN state <> 2 AND epoch = 0 THEN now() END,"
                       " state = CASE WHEN state = 2 THEN 2 WHEN epoch = 0 THEN 6 ELSE 1 END");
}

#define STEER_STEPS(update_)                                                                       \
    {                                                                                              \
        { "admit", admin_admit, NULL }, { "check", steer_check, NULL },                            \
            { "record", admin_record, admin_recorded }, { "update", update_, admin_ran },          \
            { "answer", transfer_answer, NULL },                                                   \
        {                                                                                          \
            NULL, NULL, NULL                                                                       \
        }                                                                                          \
    }
static const struct step pause_steps[] = STEER_STEPS(pause_update);
static const struct step resume_steps[] = STEER_STEPS(resume_update);
static const struct step cancel_steps[] = STEER_STEPS(cancel_update);

#define STEER_METHOD(path_, input_, steps_)                                                        \
    {                                                                                              \
        .path = "/sluice.v1.TransferService/" path_, .kind = RPC_UNARY, .listeners = RPC_BOTH,     \
        .officer_roles = OFFICER_CASEWORK, .input = &(input_),                                     \
        .state_size = sizeof(struct transfer_call), .steps = (steps_), .outcome = admin_outcome,   \
        .finish = admin_finish,                                                                    \
    }
const struct rpc_method transfer_pause_method =
    STEER_METHOD("PauseTransfer", sluice__v1__pause_transfer_request__descriptor, pause_steps);
const struct rpc_method transfer_resume_method =
    STEER_METHOD("ResumeTransfer", sluice__v1__resume_transfer_request__descriptor, resume_steps);
const struct rpc_method transfer_cancel_method =
    STEER_METHOD("CancelTransfer", sluice__v1__cancel_transfer_request__descriptor, cancel_steps);
