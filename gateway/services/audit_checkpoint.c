/* sluice.v1.AuditService/GetCheckpoint. */
#include <string.h>

#include "audit/checkpoint.h"
#include "services/admin.h"
#include "sluice/v1/audit.pb-c.h"
#include "sluice/v1/audit_entry.pb-c.h"

/* --- GetCheckpoint --------------------------------------------------------------------------- */

/* The read is recorded, and the note that covers this very entry is the newest checkpoint. */
static enum step_result checkpoint_record(struct call *call)
{
    struct admin *admin = call->state;
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    return admin_record(call);
}

static enum step_result checkpoint_answer(struct call *call)
{
    const struct admin *admin = call->state;
    Sluice__V1__Checkpoint answer = SLUICE__V1__CHECKPOINT__INIT;
    struct checkpoint head;
    struct slice text;
    struct slice signatures;
    if (admin->note == NULL ||
        note_split(slice_of(admin->note, strlen(admin->note)), &text, &signatures, &call->err) <
            0 ||
        checkpoint_parse(text, &head, &call->err) < 0) {
        (void)err_set(&call->err, ERR_UNAVAILABLE, "AUDIT_UNAVAILABLE",
                      "the audit log is not available now; try again");
        return STEP_FAIL;
    }
    answer.note = admin->note;
    answer.size = (int64_t)head.size;
    answer.root.data = head.root;
    answer.root.len = sizeof head.root;
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static const struct step checkpoint_steps[] = {
    { "admit", admin_admit, NULL },
    { "record", checkpoint_record, admin_recorded },
    { "answer", checkpoint_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_checkpoint_method = {
    .path = "/sluice.v1.AuditService/GetCheckpoint",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_checkpoint_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = checkpoint_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
