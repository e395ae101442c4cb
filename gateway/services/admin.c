#include "services/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum { ADMIN_AUDIT_WAIT_MS = 1000 };

struct admin_statement {
    struct call *call;
    struct db_sql sql;
    admin_take_fn take;
};

size_t admin_page_size(int32_t asked, size_t fallback, size_t max)
{
    if (asked <= 0)
        return fallback;
    return (size_t)asked > max ? max : (size_t)asked;
}

enum step_result admin_admit(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct admin *admin = call->state;
    admin->rule = "identity";
    if (call->identity.kind == IDENTITY_OFFICER)
        return authz_check_officer(gateway->authz, &call->identity, call->method->officer_roles,
                                   &call->err) < 0
                   ? STEP_FAIL
                   : STEP_NEXT;
    if (!authz_ready(gateway->authz)) {
        (void)err_set(&call->err, ERR_UNAVAILABLE, "LEASE_EXPIRED",
                      "agreements cannot be checked at the moment; try again");
        return STEP_FAIL;
    }
    if (!authz_department_known(gateway->authz, call->identity.department)) {
        (void)err_set(&call->err, ERR_PERMISSION_DENIED, "DEPARTMENT_UNKNOWN",
                      "your department is not registered with this gateway");
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

/* --- one statement --------------------------------------------------------------------------- */

static void on_done(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct admin_statement *statement = arg;
    struct admin *admin = statement->call->state;
    admin->waiting_db = false;
    if (err != NULL)
        admin->failed = *err;
    else
        (void)statement->take(statement->call, rows, &admin->failed);
    call_resume(statement->call);
}

static void on_lease(void *arg, const struct err *err)
{
    struct admin_statement *statement = arg;
    struct call *call = statement->call;
    struct admin *admin = call->state;
    if (err != NULL) {
        admin->waiting_db = false;
        admin->failed = *err;
        admin->lease = NULL; /* a refused lease dies with this callback */
        call_resume(call);
        return;
    }
    db_lease_execute(admin->lease, &statement->sql, call->deadline_us, on_done, statement);
}

enum step_result admin_run(struct call *call, const struct db_sql *sql, admin_take_fn take)
{
    const struct gateway *gateway = call->context;
    struct admin *admin = call->state;
    struct admin_statement *statement = arena_alloc(&call->arena, sizeof *statement);
    *statement = (struct admin_statement){ .call = call, .sql = *sql, .take = take };
    admin->waiting_db = true;
    err_clear(&admin->failed);
    admin->lease = db_lease_start(gateway->control, call->deadline_us, on_lease, statement);
    return STEP_WAIT;
}

enum step_result admin_ran(struct call *call)
{
    struct admin *admin = call->state;
    if (admin->waiting_db)
        return STEP_WAIT;
    db_lease_release(&admin->lease);
    if (admin->failed.code != ERR_OK) {
        call->err = admin->failed;
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

/* --- one entry ---------------------------------------------------------------------------------- */

static void on_recorded(void *arg, int64_t index, struct slice checkpoint, const struct err *err)
{
    struct call *call = arg;
    struct admin *admin = call->state;
    admin->ticket = NULL;
    admin->waiting_entry = false;
    if (err != NULL) {
        admin->failed = *err;
    } else if (index >= 0) {
        char text[24];
        (void)snprintf(text, sizeof text, "%lld", (long long)index);
        if (!admin->recorded)
            call_trailer(call, "sluice-audit-index", text);
        admin->recorded = true;
        admin->index = index;
        admin->note = arena_strndup(&call->arena, (const char *)checkpoint.data, checkpoint.len);
    }
    call_resume(call);
}

static void append(struct call *call, Sluice__V1__AuditEntry__Outcome outcome, int64_t deadline_us)
{
    const struct gateway *gateway = call->context;
    struct admin *admin = call->state;
    struct audit_entry_fields entry = {
        .kind = admin->kind,
        .exchange_id = slice_of(call->exchange_id, UUID_BYTES),
        .trace_id = call->trace_id,
        .request_id = call->request_id,
        .subject = call->identity.subject,
        .department = call->identity.department,
        .credential = slice_of(call->identity.credential, sizeof call->identity.credential),
        .auth_method = "mtls",
        .purpose = admin->purpose,
        .agreement = admin->agreement,
        .method = call->method->path,
        .dataset = admin->dataset,
        .owner = admin->owner,
        .schema_digest = slice_of(schema_bundle_digest(gateway->bundle), SCHEMA_DIGEST_BYTES),
        .object = admin->object,
        .outcome = outcome,
        .rule = admin->rule,
        .reason = call->err.code != ERR_OK ? call->err.reason : NULL,
        .status = err_grpc_status(call->err.code),
        .agreement_epoch = authz_epoch(gateway->authz),
        .persons = admin->persons,
        .person_count = admin->person_count,
    };
    admin->waiting_entry = true;
    admin->ticket = audit_client_append(gateway->audit, &entry, deadline_us, on_recorded, call);
}

enum step_result admin_record(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct admin *admin = call->state;
    if (gateway->audit == NULL)
        return STEP_NEXT;
    err_clear(&admin->failed);
    append(call, SLUICE__V1__AUDIT_ENTRY__OUTCOME__ALLOWED, call->deadline_us);
    return STEP_WAIT;
}

enum step_result admin_recorded(struct call *call)
{
    struct admin *admin = call->state;
    if (admin->waiting_entry)
        return STEP_WAIT;
    if (admin->failed.code != ERR_OK) {
        call->err = admin->failed;
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

/* --- settle ------------------------------------------------------------------------------------ */

static void on_settled(void *arg)
{
    struct call *call = arg;
    ((struct admin *)call->state)->settling = false;
    call_resume(call);
}

enum step_result admin_settle(struct call *call, int64_t delay_ms)
{
    const struct gateway *gateway = call->context;
    struct admin *admin = call->state;
    loop_timer_init(&admin->settle, gateway->loop, on_settled, call);
    admin->settling = true;
    loop_timer_start(&admin->settle, delay_ms);
    return STEP_WAIT;
}

enum step_result admin_settled(struct call *call)
{
    const struct admin *admin = call->state;
    return admin->settling ? STEP_WAIT : STEP_NEXT;
}

/* --- the end ----------------------------------------------------------------------------------- */

enum step_result admin_outcome(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct admin *admin = call->state;
    db_lease_release(&admin->lease);
    audit_client_cancel(&admin->ticket);
    if (gateway->audit == NULL)
        return STEP_NEXT;
    bool refused = call->err.code == ERR_PERMISSION_DENIED || call->err.code == ERR_NOT_FOUND ||
                   call->err.code == ERR_INVALID_ARGUMENT || call->err.code == ERR_ALREADY_EXISTS ||
                   call->err.code == ERR_FAILED_PRECONDITION;
    append(call,
           refused ? SLUICE__V1__AUDIT_ENTRY__OUTCOME__REFUSED
                   : SLUICE__V1__AUDIT_ENTRY__OUTCOME__FAILED,
           clock_monotonic_us() + (int64_t)ADMIN_AUDIT_WAIT_MS * 1000);
    return STEP_WAIT;
}

void admin_finish(struct call *call, bool delivered)
{
    (void)delivered;
    struct admin *admin = call->state;
    loop_timer_fini(&admin->settle);
    db_lease_release(&admin->lease);
    audit_client_cancel(&admin->ticket);
}
