/* sluice.v1.AuditService: RequestOpening, ApproveOpening, ListOpenings: a salt takes two officers. */
#include <inttypes.h>
#include <string.h>

#include "services/audit_entry.h"
#include "services/audit_request.h"
#include "services/timestamps.h"
#include "sluice/v1/audit.pb-c.h"

enum {
    OPENING_DAYS = 7, /* to approve it, and then to use it */
    PAGE_DEFAULT = 50,
    PAGE_MAX = 500,
};

struct opening_call {
    struct audit_entry_state entry; /* first */
    char id[UUID_TEXT_BYTES];
    const char *reason;
};

static const char opening_columns[] =
    "id::text, index, entry_id::text, dataset, reason, requested_by,"
    " (extract(epoch FROM requested_at) * 1000000)::bigint, approver_department,"
    " coalesce(approved_by, ''), coalesce((extract(epoch FROM approved_at) * 1000000)::bigint, 0),"
    " (extract(epoch FROM expires_at) * 1000000)::bigint,"
    " CASE WHEN expires_at <= now() THEN 3 WHEN approved_by IS NOT NULL THEN 2 ELSE 1 END::bigint";

static Sluice__V1__Opening *opening_at(struct call *call, const struct db_rows *rows, int row)
{
    Sluice__V1__Opening *opening = arena_alloc(&call->arena, sizeof *opening);
    sluice__v1__opening__init(opening);
    opening->id = audit_request_text(call, rows, row, 0);
    opening->index = db_int8(db_value(rows, row, 1));
    opening->entry_id = audit_request_text(call, rows, row, 2);
    opening->dataset = audit_request_text(call, rows, row, 3);
    opening->reason = audit_request_text(call, rows, row, 4);
    opening->requested_by = audit_request_text(call, rows, row, 5);
    opening->request_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 6)));
    opening->approver_department = audit_request_text(call, rows, row, 7);
    opening->approved_by = audit_request_text(call, rows, row, 8);
    if (opening->approved_by[0] != '\0')
        opening->approve_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 9)));
    opening->expire_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 10)));
    opening->state = (Sluice__V1__Opening__State)db_int8(db_value(rows, row, 11));
    return opening;
}

/* One opening, once more as it is stored. */
static int take_opening(struct call *call, const struct db_rows *rows, struct err *err)
{
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "OPENING_LOST", "the opening was not stored");
    call_answer(call, &opening_at(call, rows, 0)->base);
    return 0;
}

static enum step_result opening_answer(struct call *call)
{
    const struct opening_call *opening = call->state;
    const char *params[] = { opening->id };
    struct db_sql sql = { .text = arena_format(&call->arena,
                                               "SELECT %s FROM audit.opening WHERE id = $1::uuid",
                                               opening_columns),
                          .param_count = 1,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_opening);
}

/* --- RequestOpening ----------------------------------------------------------------------------- */

static enum step_result request_check(struct call *call)
{
    const Sluice__V1__RequestOpeningRequest *request =
        (const Sluice__V1__RequestOpeningRequest *)(const void *)call->request;
    struct opening_call *opening = call->state;
    uint8_t id[UUID_BYTES];
    if (audit_entry_check(call, request->index, request->entry_id) == STEP_FAIL)
        return STEP_FAIL;
    opening->entry.admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__REVIEW;
    opening->reason = request->reason;
    if (audit_request_reason(request->reason, &call->err) != 0)
        return STEP_FAIL;
    uuid7_make(id);
    uuid_format(id, opening->id);
    return STEP_NEXT;
}

/* The request's entry says which entry it is about, and concerns the same departments. */
static enum step_result request_describe(struct call *call)
{
    struct opening_call *opening = call->state;
    struct admin *admin = &opening->entry.admin;
    if (audit_entry_describe(call) == STEP_FAIL)
        return STEP_FAIL;
    admin->object = arena_format(&call->arena, "opening %s of entry %" PRId64, opening->id,
                                 opening->entry.index);
    admin->purpose = opening->reason;
    return STEP_NEXT;
}

static int take_requested(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    if (db_row_count(rows) == 1 && db_bool(db_value(rows, 0, 0)))
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, "SALT_ABSENT",
                   "the entry has no salt: nothing in it was salted, or it was erased");
}

static enum step_result request_run(struct call *call)
{
    const struct opening_call *opening = call->state;
    const char *params[] = { opening->id,
                             arena_format(&call->arena, "%" PRId64, opening->entry.index),
                             call->identity.department,
                             call->identity.subject,
                             opening->reason,
                             arena_format(&call->arena, "%d", OPENING_DAYS) };
    struct db_sql sql = {
        .text = "SELECT audit.request_opening($1::uuid, $2::bigint, $3, $4, $5, $6::integer)",
        .param_count = 6,
        .params = arena_dup(&call->arena, params, sizeof params)
    };
    return admin_run(call, &sql, take_requested);
}

static const struct step request_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", request_check, NULL },
    { "find", audit_entry_find, admin_ran },
    { "describe", request_describe, NULL },
    { "record", admin_record, admin_recorded },
    { "request", request_run, admin_ran },
    { "answer", opening_answer, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_opening_request_method = {
    .path = "/sluice.v1.AuditService/RequestOpening",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__request_opening_request__descriptor,
    .state_size = sizeof(struct opening_call),
    .steps = request_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ApproveOpening ----------------------------------------------------------------------------- */

static enum step_result approve_check(struct call *call)
{
    const Sluice__V1__ApproveOpeningRequest *request =
        (const Sluice__V1__ApproveOpeningRequest *)(const void *)call->request;
    struct opening_call *opening = call->state;
    struct admin *admin = &opening->entry.admin;
    uint8_t id[UUID_BYTES];
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__REVIEW;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    if (!uuid_parse(request->id, id)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "OPENING_ID",
                      "name the opening by its id, as ListOpenings shows it");
        return STEP_FAIL;
    }
    uuid_format(id, opening->id);
    admin->object = arena_format(&call->arena, "opening %s", opening->id);
    return STEP_NEXT;
}

static int judge_opening(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct opening_call *state = call->state;
    struct admin *admin = &state->entry.admin;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "OPENING_NOT_FOUND",
                       "there is no such opening that concerns your department");
    const Sluice__V1__Opening *opening = opening_at(call, rows, 0);
    admin->dataset = opening->dataset;
    admin->object =
        arena_format(&call->arena, "opening %s of entry %" PRId64, opening->id, opening->index);
    if (strcmp(opening->requested_by, call->identity.subject) == 0)
        return err_set(err, ERR_PERMISSION_DENIED, "SAME_OFFICER",
                       "the officer who asked cannot approve; another one must");
    if (strcmp(opening->approver_department, call->identity.department) != 0)
        return err_set(err, ERR_PERMISSION_DENIED, "OTHER_DEPARTMENT",
                       "only officers of %s can approve this opening",
                       opening->approver_department);
    if (opening->state == SLUICE__V1__OPENING__STATE__EXPIRED)
        return err_set(err, ERR_FAILED_PRECONDITION, "OPENING_EXPIRED",
                       "the request has expired; it must be made again");
    if (opening->state == SLUICE__V1__OPENING__STATE__APPROVED)
        return err_set(err, ERR_FAILED_PRECONDITION, "OPENING_APPROVED",
                       "the opening is approved already");
    return 0;
}

static enum step_result approve_find(struct call *call)
{
    const struct opening_call *opening = call->state;
    const char *params[] = { opening->id, call->identity.department };
    struct db_sql sql = { .text = arena_format(&call->arena,
                                               "SELECT %s FROM audit.opening WHERE id = $1::uuid"
                                               " AND (department = $2 OR approver_department = $2)",
                                               opening_columns),
                          .param_count = 2,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, judge_opening);
}

static int take_approved(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    if (db_row_count(rows) == 1 && db_bool(db_value(rows, 0, 0)))
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, "OPENING_APPROVED",
                   "the opening was approved or expired meanwhile");
}

static enum step_result approve_run(struct call *call)
{
    const struct opening_call *opening = call->state;
    const char *params[] = { opening->id, call->identity.department, call->identity.subject,
                             arena_format(&call->arena, "%d", OPENING_DAYS) };
    struct db_sql sql = { .text = "SELECT audit.approve_opening($1::uuid, $2, $3, $4::integer)",
                          .param_count = 4,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_approved);
}

static const struct step approve_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", approve_check, NULL },
    { "find", approve_find, admin_ran },
    { "record", admin_record, admin_recorded },
    { "approve", approve_run, admin_ran },
    { "answer", opening_answer, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_opening_approve_method = {
    .path = "/sluice.v1.AuditService/ApproveOpening",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__approve_opening_request__descriptor,
    .state_size = sizeof(struct opening_call),
    .steps = approve_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ListOpenings ------------------------------------------------------------------------------- */

static const Sluice__V1__ListOpeningsRequest *list_request(const struct call *call)
{
    return (const Sluice__V1__ListOpeningsRequest *)(const void *)call->request;
}

static enum step_result list_check(struct call *call)
{
    return audit_request_list(call, list_request(call)->page_token);
}

static int take_openings(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    size_t page = admin_page_size(list_request(call)->page_size, PAGE_DEFAULT, PAGE_MAX);
    size_t count = (size_t)db_row_count(rows);
    Sluice__V1__ListOpeningsResponse answer = SLUICE__V1__LIST_OPENINGS_RESPONSE__INIT;
    answer.n_openings = count < page ? count : page;
    answer.openings = arena_array(&call->arena, answer.n_openings + 1, sizeof *answer.openings);
    for (size_t i = 0; i < answer.n_openings; i++)
        answer.openings[i] = opening_at(call, rows, (int)i);
    if (count > page)
        answer.next_page_token = answer.openings[page - 1]->id;
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result list_run(struct call *call)
{
    const char *token = list_request(call)->page_token;
    size_t page = admin_page_size(list_request(call)->page_size, PAGE_DEFAULT, PAGE_MAX);
    const char *params[] = { call->identity.department, token[0] != '\0' ? token : NULL,
                             arena_format(&call->arena, "%zu", page + 1) };
    struct db_sql sql = { .text =
                              arena_format(&call->arena,
                                           "SELECT %s FROM audit.opening"
                                           " WHERE (department = $1 OR approver_department = $1)"
                                           " AND ($2::uuid IS NULL OR id < $2::uuid)"
                                           " ORDER BY id DESC LIMIT $3::bigint",
                                           opening_columns),
                          .param_count = 3,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_openings);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", list_check, NULL },
    { "record", admin_record, admin_recorded },
    { "list", list_run, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_opening_list_method = {
    .path = "/sluice.v1.AuditService/ListOpenings",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR | OFFICER_APPROVER,
    .input = &sluice__v1__list_openings_request__descriptor,
    .state_size = sizeof(struct opening_call),
    .steps = list_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
