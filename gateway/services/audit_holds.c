/* sluice.v1.AuditService: PlaceHold, RequestLift, ApproveLift, ListHolds: legal holds over the log. */
#include <inttypes.h>
#include <string.h>

#include "services/audit_request.h"
#include "services/timestamps.h"
#include "sluice/v1/audit.pb-c.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 500 };

struct hold_call {
    struct admin admin; /* first */
    char id[UUID_TEXT_BYTES];
};

static const char hold_columns[] =
    "id::text, department, reason, coalesce(time_from_us, 0), coalesce(time_to_us, 0),"
    " coalesce(index_from, 0), coalesce(index_to, 0), coalesce(scope_department, ''),"
    " coalesce(dataset, ''), coalesce(agreement, ''), coalesce(exchange_id::text, ''), placed_by,"
    " (extract(epoch FROM placed_at) * 1000000)::bigint, coalesce(lift_reason, ''),"
    " coalesce(lift_requested_by, ''),"
    " coalesce((extract(epoch FROM lift_requested_at) * 1000000)::bigint, 0),"
    " coalesce(lifted_by, ''), coalesce((extract(epoch FROM lifted_at) * 1000000)::bigint, 0),"
    " CASE WHEN lifted_at IS NOT NULL THEN 3 WHEN lift_requested_by IS NOT NULL THEN 2"
    " ELSE 1 END::bigint";

static Sluice__V1__HoldScope *scope_at(struct call *call, const struct db_rows *rows, int row)
{
    Sluice__V1__HoldScope *scope = arena_alloc(&call->arena, sizeof *scope);
    sluice__v1__hold_scope__init(scope);
    scope->time_from = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 3)));
    scope->time_to = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 4)));
    scope->index_from = db_int8(db_value(rows, row, 5));
    scope->index_to = db_int8(db_value(rows, row, 6));
    scope->department = audit_request_text(call, rows, row, 7);
    scope->dataset = audit_request_text(call, rows, row, 8);
    scope->agreement = audit_request_text(call, rows, row, 9);
    scope->exchange_id = audit_request_text(call, rows, row, 10);
    return scope;
}

static Sluice__V1__Hold *hold_at(struct call *call, const struct db_rows *rows, int row)
{
    Sluice__V1__Hold *hold = arena_alloc(&call->arena, sizeof *hold);
    sluice__v1__hold__init(hold);
    hold->id = audit_request_text(call, rows, row, 0);
    hold->department = audit_request_text(call, rows, row, 1);
    hold->reason = audit_request_text(call, rows, row, 2);
    hold->scope = scope_at(call, rows, row);
    hold->placed_by = audit_request_text(call, rows, row, 11);
    hold->place_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 12)));
    hold->lift_reason = audit_request_text(call, rows, row, 13);
    hold->lift_requested_by = audit_request_text(call, rows, row, 14);
    hold->lift_request_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 15)));
    hold->lifted_by = audit_request_text(call, rows, row, 16);
    hold->lift_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 17)));
    hold->state = (Sluice__V1__Hold__State)db_int8(db_value(rows, row, 18));
    return hold;
}

static enum step_result fail(struct call *call, const char *reason, const char *text)
{
    (void)err_set(&call->err, ERR_INVALID_ARGUMENT, reason, "%s", text);
    return STEP_FAIL;
}

static void describe(struct call *call, const char *what)
{
    struct hold_call *hold = call->state;
    hold->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__REVIEW;
    hold->admin.rule = "officer";
    hold->admin.owner = call->identity.department;
    hold->admin.object = what;
}

/* One hold, once more as it is stored. */
static int take_hold(struct call *call, const struct db_rows *rows, struct err *err)
{
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "HOLD_LOST", "the hold was not stored");
    call_answer(call, &hold_at(call, rows, 0)->base);
    return 0;
}

static enum step_result select_hold(struct call *call, admin_take_fn take)
{
    const struct hold_call *hold = call->state;
    const char *params[] = { hold->id, call->identity.department };
    struct db_sql sql = { .text = arena_format(&call->arena,
                                               "SELECT %s FROM audit.hold WHERE id = $1::uuid"
                                               " AND department = $2",
                                               hold_columns),
                          .param_count = 2,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take);
}

static enum step_result hold_answer(struct call *call)
{
    return select_hold(call, take_hold);
}

/* --- PlaceHold ---------------------------------------------------------------------------------- */

static const Sluice__V1__PlaceHoldRequest *place_request(const struct call *call)
{
    return (const Sluice__V1__PlaceHoldRequest *)(const void *)call->request;
}

static enum step_result place_check(struct call *call)
{
    const Sluice__V1__PlaceHoldRequest *request = place_request(call);
    struct hold_call *hold = call->state;
    uint8_t id[UUID_BYTES];
    uuid7_make(id);
    uuid_format(id, hold->id);
    describe(call, arena_format(&call->arena, "hold %s", hold->id));
    if (request->scope == NULL || !audit_request_scope_given(request->scope))
        return fail(call, "HOLD_SCOPE", "say what is to be held: at least one member of the scope");
    if (audit_request_scope(request->scope, &call->err) != 0 ||
        audit_request_reason(request->reason, &call->err) != 0)
        return STEP_FAIL;
    hold->admin.purpose = request->reason;
    if (request->scope->dataset[0] != '\0')
        hold->admin.dataset = request->scope->dataset;
    return STEP_NEXT;
}

static int take_placed(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    return db_row_count(rows) == 1
               ? 0
               : err_set(err, ERR_INTERNAL, "HOLD_LOST", "the hold was not stored");
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static const char *number_or_null(struct call *call, int64_t number)
{
    return number != 0 ? arena_format(&call->arena, "%" PRId64, number) : NULL;
}

static enum step_result place_run(struct call *call)
{
    const Sluice__V1__PlaceHoldRequest *request = place_request(call);
    const Sluice__V1__HoldScope *scope = request->scope;
    const struct hold_call *hold = call->state;
    const char *params[] = { hold->id,
                             call->identity.department,
                             call->identity.subject,
                             request->reason,
                             number_or_null(call, timestamp_us(scope->time_from)),
                             number_or_null(call, timestamp_us(scope->time_to)),
                             number_or_null(call, scope->index_from),
                             number_or_null(call, scope->index_to),
                             text_or_null(scope->department),
                             text_or_null(scope->dataset),
                             text_or_null(scope->agreement),
                             text_or_null(scope->exchange_id) };
    struct db_sql sql = { .text = "SELECT audit.place_hold($1::uuid, $2, $3, $4, $5::bigint,"
                                  " $6::bigint, $7::bigint, $8::bigint, $9, $10, $11, $12::uuid)",
                          .param_count = sizeof params / sizeof params[0],
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_placed);
}

static const struct step place_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", place_check, NULL },
    { "record", admin_record, admin_recorded },
    { "place", place_run, admin_ran },
    { "answer", hold_answer, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_hold_place_method = {
    .path = "/sluice.v1.AuditService/PlaceHold",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__place_hold_request__descriptor,
    .state_size = sizeof(struct hold_call),
    .steps = place_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- lifting ------------------------------------------------------------------------------------ */

static enum step_result lift_check(struct call *call, const char *text)
{
    struct hold_call *hold = call->state;
    uint8_t id[UUID_BYTES];
    describe(call, NULL);
    if (!uuid_parse(text, id))
        return fail(call, "HOLD_ID", "name the hold by its id, as ListHolds shows it");
    uuid_format(id, hold->id);
    hold->admin.object = arena_format(&call->arena, "hold %s", hold->id);
    return STEP_NEXT;
}

static int judge_standing(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct hold_call *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "HOLD_NOT_FOUND",
                       "there is no such legal hold of your department");
    const Sluice__V1__Hold *hold = hold_at(call, rows, 0);
    if (hold->scope->dataset[0] != '\0')
        state->admin.dataset = hold->scope->dataset;
    if (hold->state == SLUICE__V1__HOLD__STATE__LIFTED)
        return err_set(err, ERR_FAILED_PRECONDITION, "HOLD_LIFTED", "the hold is lifted already");
    return 0;
}

static int take_lifted(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    if (db_row_count(rows) == 1 && db_bool(db_value(rows, 0, 0)))
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, "HOLD_LIFTED",
                   "the hold was lifted or its request replaced meanwhile");
}

static const Sluice__V1__RequestLiftRequest *lift_request(const struct call *call)
{
    return (const Sluice__V1__RequestLiftRequest *)(const void *)call->request;
}

static enum step_result request_lift_check(struct call *call)
{
    struct hold_call *hold = call->state;
    if (lift_check(call, lift_request(call)->id) == STEP_FAIL ||
        audit_request_reason(lift_request(call)->reason, &call->err) != 0)
        return STEP_FAIL;
    hold->admin.purpose = lift_request(call)->reason;
    return STEP_NEXT;
}

static enum step_result request_lift_find(struct call *call)
{
    return select_hold(call, judge_standing);
}

static enum step_result request_lift_run(struct call *call)
{
    const struct hold_call *hold = call->state;
    const char *params[] = { hold->id, call->identity.department, call->identity.subject,
                             lift_request(call)->reason };
    struct db_sql sql = { .text = "SELECT audit.request_lift($1::uuid, $2, $3, $4)",
                          .param_count = 4,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_lifted);
}

static const struct step request_lift_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", request_lift_check, NULL },
    { "find", request_lift_find, admin_ran },
    { "record", admin_record, admin_recorded },
    { "request", request_lift_run, admin_ran },
    { "answer", hold_answer, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_hold_request_lift_method = {
    .path = "/sluice.v1.AuditService/RequestLift",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__request_lift_request__descriptor,
    .state_size = sizeof(struct hold_call),
    .steps = request_lift_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

static enum step_result approve_lift_check(struct call *call)
{
    const Sluice__V1__ApproveLiftRequest *request =
        (const Sluice__V1__ApproveLiftRequest *)(const void *)call->request;
    return lift_check(call, request->id);
}

static int judge_lift(struct call *call, const struct db_rows *rows, struct err *err)
{
    if (judge_standing(call, rows, err) != 0)
        return -1;
    const Sluice__V1__Hold *hold = hold_at(call, rows, 0);
    if (hold->state != SLUICE__V1__HOLD__STATE__LIFT_REQUESTED)
        return err_set(err, ERR_FAILED_PRECONDITION, "LIFT_NOT_REQUESTED",
                       "nobody has asked for the hold to be lifted");
    if (strcmp(hold->lift_requested_by, call->identity.subject) == 0)
        return err_set(err, ERR_PERMISSION_DENIED, "SAME_OFFICER",
                       "the officer who asked cannot approve; another one must");
    return 0;
}

static enum step_result approve_lift_find(struct call *call)
{
    return select_hold(call, judge_lift);
}

static enum step_result approve_lift_run(struct call *call)
{
    const struct hold_call *hold = call->state;
    const char *params[] = { hold->id, call->identity.department, call->identity.subject };
    struct db_sql sql = { .text = "SELECT audit.lift_hold($1::uuid, $2, $3)",
                          .param_count = 3,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_lifted);
}

static const struct step approve_lift_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", approve_lift_check, NULL },
    { "find", approve_lift_find, admin_ran },
    { "record", admin_record, admin_recorded },
    { "lift", approve_lift_run, admin_ran },
    { "answer", hold_answer, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_hold_approve_lift_method = {
    .path = "/sluice.v1.AuditService/ApproveLift",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__approve_lift_request__descriptor,
    .state_size = sizeof(struct hold_call),
    .steps = approve_lift_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ListHolds ---------------------------------------------------------------------------------- */

static const Sluice__V1__ListHoldsRequest *list_request(const struct call *call)
{
    return (const Sluice__V1__ListHoldsRequest *)(const void *)call->request;
}

static enum step_result list_check(struct call *call)
{
    return audit_request_list(call, list_request(call)->page_token);
}

static int take_holds(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    size_t page = admin_page_size(list_request(call)->page_size, PAGE_DEFAULT, PAGE_MAX);
    size_t count = (size_t)db_row_count(rows);
    Sluice__V1__ListHoldsResponse answer = SLUICE__V1__LIST_HOLDS_RESPONSE__INIT;
    answer.n_holds = count < page ? count : page;
    answer.holds = arena_array(&call->arena, answer.n_holds + 1, sizeof *answer.holds);
    for (size_t i = 0; i < answer.n_holds; i++)
        answer.holds[i] = hold_at(call, rows, (int)i);
    if (count > page)
        answer.next_page_token = answer.holds[page - 1]->id;
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result list_run(struct call *call)
{
    size_t page = admin_page_size(list_request(call)->page_size, PAGE_DEFAULT, PAGE_MAX);
    const char *params[] = { call->identity.department,
                             text_or_null(list_request(call)->page_token),
                             arena_format(&call->arena, "%zu", page + 1),
                             list_request(call)->standing ? "true" : "false" };
    struct db_sql sql = { .text = arena_format(&call->arena,
                                               "SELECT %s FROM audit.hold WHERE department = $1"
                                               " AND ($2::uuid IS NULL OR id < $2::uuid)"
                                               " AND (lifted_at IS NULL OR NOT $4::boolean)"
                                               " ORDER BY id DESC LIMIT $3::bigint",
                                               hold_columns),
                          .param_count = 4,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_holds);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", list_check, NULL },
    { "record", admin_record, admin_recorded },
    { "list", list_run, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_hold_list_method = {
    .path = "/sluice.v1.AuditService/ListHolds",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR | OFFICER_APPROVER,
    .input = &sluice__v1__list_holds_request__descriptor,
    .state_size = sizeof(struct hold_call),
    .steps = list_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
