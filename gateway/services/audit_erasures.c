/* sluice.v1.AuditService: RequestErasure, ApproveErasure, ListErasures: two officers erase a salt. */
#include <inttypes.h>
#include <string.h>

#include "services/audit_entry.h"
#include "services/audit_request.h"
#include "services/timestamps.h"
#include "sluice/v1/audit.pb-c.h"

enum {
    ERASURE_DAYS = 7, /* to approve it */
    PAGE_DEFAULT = 50,
    PAGE_MAX = 500,
};

struct erasure_call {
    struct audit_entry_state entry; /* first */
    char id[UUID_TEXT_BYTES];
    const char *reason;
};

static const char erasure_columns[] =
    "id::text, index, entry_id::text, dataset, reason, requested_by,"
    " (extract(epoch FROM requested_at) * 1000000)::bigint, department,"
    " coalesce(approved_by, ''), coalesce((extract(epoch FROM approved_at) * 1000000)::bigint, 0),"
    " (extract(epoch FROM expires_at) * 1000000)::bigint,"
    " CASE WHEN approved_by IS NOT NULL THEN 2 WHEN expires_at <= now() THEN 3 ELSE 1 END::bigint";

static Sluice__V1__Erasure *erasure_at(struct call *call, const struct db_rows *rows, int row)
{
    Sluice__V1__Erasure *erasure = arena_alloc(&call->arena, sizeof *erasure);
    sluice__v1__erasure__init(erasure);
    erasure->id = audit_request_text(call, rows, row, 0);
    erasure->index = db_int8(db_value(rows, row, 1));
    erasure->entry_id = audit_request_text(call, rows, row, 2);
    erasure->dataset = audit_request_text(call, rows, row, 3);
    erasure->reason = audit_request_text(call, rows, row, 4);
    erasure->requested_by = audit_request_text(call, rows, row, 5);
    erasure->request_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 6)));
    erasure->department = audit_request_text(call, rows, row, 7);
    erasure->approved_by = audit_request_text(call, rows, row, 8);
    erasure->approve_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 9)));
    erasure->expire_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, row, 10)));
    erasure->state = (Sluice__V1__Erasure__State)db_int8(db_value(rows, row, 11));
    return erasure;
}

/* One erasure, once more as it is stored. */
static int take_erasure(struct call *call, const struct db_rows *rows, struct err *err)
{
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "ERASURE_LOST", "the erasure was not stored");
    call_answer(call, &erasure_at(call, rows, 0)->base);
    return 0;
}

static enum step_result erasure_answer(struct call *call)
{
    const struct erasure_call *erasure = call->state;
    const char *params[] = { erasure->id };
    struct db_sql sql = { .text = arena_format(&call->arena,
                                               "SELECT %s FROM audit.erasure WHERE id = $1::uuid",
                                               erasure_columns),
                          .param_count = 1,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_erasure);
}

/* What the database answers to a request or an approval: "" or why not. */
static int take_verdict(struct call *call, const struct db_rows *rows, struct err *err)
{
    static const struct {
        const char *reason;
        enum err_code code;
        const char *text;
    } refusals[] = {
        { "NOT_OWNER", ERR_PERMISSION_DENIED,
          "only officers of the department whose data it is can erase the entry's salt" },
        { "SALT_ABSENT", ERR_FAILED_PRECONDITION,
          "the entry has no salt: nothing in it was salted, or it was erased" },
        { "LEGAL_HOLD", ERR_FAILED_PRECONDITION,
          "a legal hold covers the entry; it must be lifted first" },
        { "RETENTION_FLOOR", ERR_FAILED_PRECONDITION,
          "the entry is younger than the law lets its salt be erased; ask again later" },
        { "ERASURE_OVER", ERR_FAILED_PRECONDITION,
          "the erasure was approved or expired meanwhile" },
    };
    const char *verdict = db_row_count(rows) == 1 ? audit_request_text(call, rows, 0, 0) : "?";
    if (verdict[0] == '\0')
        return 0;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (strcmp(verdict, refusals[i].reason) == 0)
            return err_set(err, refusals[i].code, refusals[i].reason, "%s", refusals[i].text);
    }
    return err_set(err, ERR_INTERNAL, "ERASURE_LOST", "the erasure was not stored");
}

/* --- RequestErasure ----------------------------------------------------------------------------- */

static enum step_result request_check(struct call *call)
{
    const Sluice__V1__RequestErasureRequest *request =
        (const Sluice__V1__RequestErasureRequest *)(const void *)call->request;
    struct erasure_call *erasure = call->state;
    uint8_t id[UUID_BYTES];
    if (audit_entry_check(call, request->index, request->entry_id) == STEP_FAIL)
        return STEP_FAIL;
    erasure->entry.admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__REVIEW;
    erasure->reason = request->reason;
    if (audit_request_reason(request->reason, &call->err) != 0)
        return STEP_FAIL;
    uuid7_make(id);
    uuid_format(id, erasure->id);
    return STEP_NEXT;
}

/* The request's entry says which entry it is about, and concerns the same departments. */
static enum step_result request_describe(struct call *call)
{
    struct erasure_call *erasure = call->state;
    if (audit_entry_describe(call) == STEP_FAIL)
        return STEP_FAIL;
    erasure->entry.admin.object = arena_format(&call->arena, "erasure %s of entry %" PRId64,
                                               erasure->id, erasure->entry.index);
    erasure->entry.admin.purpose = erasure->reason;
    return STEP_NEXT;
}

static enum step_result request_run(struct call *call)
{
    const struct erasure_call *erasure = call->state;
    const char *params[] = { erasure->id,
                             arena_format(&call->arena, "%" PRId64, erasure->entry.index),
                             call->identity.department,
                             call->identity.subject,
                             erasure->reason,
                             arena_format(&call->arena, "%d", ERASURE_DAYS) };
    struct db_sql sql = {
        .text = "SELECT audit.request_erasure($1::uuid, $2::bigint, $3, $4, $5, $6::integer)",
        .param_count = 6,
        .params = arena_dup(&call->arena, params, sizeof params)
    };
    return admin_run(call, &sql, take_verdict);
}

static const struct step request_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", request_check, NULL },
    { "find", audit_entry_find, admin_ran },
    { "describe", request_describe, NULL },
    { "record", admin_record, admin_recorded },
    { "request", request_run, admin_ran },
    { "answer", erasure_answer, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_erasure_request_method = {
    .path = "/sluice.v1.AuditService/RequestErasure",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__request_erasure_request__descriptor,
    .state_size = sizeof(struct erasure_call),
    .steps = request_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ApproveErasure ----------------------------------------------------------------------------- */

static enum step_result approve_check(struct call *call)
{
    const Sluice__V1__ApproveErasureRequest *request =
        (const Sluice__V1__ApproveErasureRequest *)(const void *)call->request;
    struct erasure_call *erasure = call->state;
    struct admin *admin = &erasure->entry.admin;
    uint8_t id[UUID_BYTES];
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__REVIEW;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    if (!uuid_parse(request->id, id)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "ERASURE_ID",
                      "name the erasure by its id, as ListErasures shows it");
        return STEP_FAIL;
    }
    uuid_format(id, erasure->id);
    admin->object = arena_format(&call->arena, "erasure %s", erasure->id);
    return STEP_NEXT;
}

static int judge_erasure(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct erasure_call *state = call->state;
    struct admin *admin = &state->entry.admin;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "ERASURE_NOT_FOUND",
                       "there is no such erasure of your department");
    const Sluice__V1__Erasure *erasure = erasure_at(call, rows, 0);
    admin->dataset = erasure->dataset;
    admin->object =
        arena_format(&call->arena, "erasure %s of entry %" PRId64, erasure->id, erasure->index);
    if (strcmp(erasure->requested_by, call->identity.subject) == 0)
        return err_set(err, ERR_PERMISSION_DENIED, "SAME_OFFICER",
                       "the officer who asked cannot approve; another one must");
    if (erasure->state == SLUICE__V1__ERASURE__STATE__EXPIRED)
        return err_set(err, ERR_FAILED_PRECONDITION, "ERASURE_EXPIRED",
                       "the request has expired; it must be made again");
    if (erasure->state == SLUICE__V1__ERASURE__STATE__ERASED)
        return err_set(err, ERR_FAILED_PRECONDITION, "ERASURE_OVER", "the salt is erased already");
    return 0;
}

static enum step_result approve_find(struct call *call)
{
    const struct erasure_call *erasure = call->state;
    const char *params[] = { erasure->id, call->identity.department };
    struct db_sql sql = { .text = arena_format(&call->arena,
                                               "SELECT %s FROM audit.erasure WHERE id = $1::uuid"
                                               " AND department = $2",
                                               erasure_columns),
                          .param_count = 2,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, judge_erasure);
}

static enum step_result approve_run(struct call *call)
{
    const struct erasure_call *erasure = call->state;
    const char *params[] = { erasure->id, call->identity.department, call->identity.subject };
    struct db_sql sql = { .text = "SELECT audit.approve_erasure($1::uuid, $2, $3)",
                          .param_count = 3,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_verdict);
}

static const struct step approve_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", approve_check, NULL },
    { "find", approve_find, admin_ran },
    { "record", admin_record, admin_recorded },
    { "approve", approve_run, admin_ran },
    { "answer", erasure_answer, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_erasure_approve_method = {
    .path = "/sluice.v1.AuditService/ApproveErasure",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__approve_erasure_request__descriptor,
    .state_size = sizeof(struct erasure_call),
    .steps = approve_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ListErasures ------------------------------------------------------------------------------- */

static const Sluice__V1__ListErasuresRequest *list_request(const struct call *call)
{
    return (const Sluice__V1__ListErasuresRequest *)(const void *)call->request;
}

static enum step_result list_check(struct call *call)
{
    return audit_request_list(call, list_request(call)->page_token);
}

static int take_erasures(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    size_t page = admin_page_size(list_request(call)->page_size, PAGE_DEFAULT, PAGE_MAX);
    size_t count = (size_t)db_row_count(rows);
    Sluice__V1__ListErasuresResponse answer = SLUICE__V1__LIST_ERASURES_RESPONSE__INIT;
    answer.n_erasures = count < page ? count : page;
    answer.erasures = arena_array(&call->arena, answer.n_erasures + 1, sizeof *answer.erasures);
    for (size_t i = 0; i < answer.n_erasures; i++)
        answer.erasures[i] = erasure_at(call, rows, (int)i);
    if (count > page)
        answer.next_page_token = answer.erasures[page - 1]->id;
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result list_run(struct call *call)
{
    const char *token = list_request(call)->page_token;
    size_t page = admin_page_size(list_request(call)->page_size, PAGE_DEFAULT, PAGE_MAX);
    const char *params[] = { call->identity.department, token[0] != '\0' ? token : NULL,
                             arena_format(&call->arena, "%zu", page + 1) };
    struct db_sql sql = { .text = arena_format(&call->arena,
                                               "SELECT %s FROM audit.erasure WHERE department = $1"
                                               " AND ($2::uuid IS NULL OR id < $2::uuid)"
                                               " ORDER BY id DESC LIMIT $3::bigint",
                                               erasure_columns),
                          .param_count = 3,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_erasures);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", list_check, NULL },
    { "record", admin_record, admin_recorded },
    { "list", list_run, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_erasure_list_method = {
    .path = "/sluice.v1.AuditService/ListErasures",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR | OFFICER_APPROVER,
    .input = &sluice__v1__list_erasures_request__descriptor,
    .state_size = sizeof(struct erasure_call),
    .steps = list_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
