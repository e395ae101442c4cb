/* sluice.v1.AuditService/AnnounceArchive: the log tells of an archive before anything is pruned. */
#include <inttypes.h>

#include "base/ids.h"
#include "services/admin.h"
#include "sluice/v1/audit.pb-c.h"

enum { BLOCK = 1024 }; /* archives have whole blocks, see migration 013 */

static const Sluice__V1__AnnounceArchiveRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__AnnounceArchiveRequest *)(const void *)call->request;
}

static enum step_result announce_check(struct call *call)
{
    const Sluice__V1__AnnounceArchiveRequest *request = request_of(call);
    struct admin *admin = call->state;
    char digest[2 * HASH_BYTES + 1];
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__ADMIN;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    if (request->first < 0 || request->last <= request->first || request->last == INT64_MAX ||
        request->first % BLOCK != 0 || (request->last + 1) % BLOCK != 0 ||
        request->manifest.len != HASH_BYTES) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "ARCHIVE_INVALID",
                      "an archive has whole blocks of %d entries, and a manifest of a SHA-256",
                      BLOCK);
        return STEP_FAIL;
    }
    hex_encode(request->manifest.data, HASH_BYTES, digest);
    admin->object = arena_format(&call->arena, "archive %" PRId64 "-%" PRId64 " manifest %s",
                                 request->first, request->last, digest);
    return STEP_NEXT;
}

static int take_announced(struct call *call, const struct db_rows *rows, struct err *err)
{
    const struct admin *admin = call->state;
    Sluice__V1__AnnounceArchiveResponse answer = SLUICE__V1__ANNOUNCE_ARCHIVE_RESPONSE__INIT;
    if (db_row_count(rows) != 1 || !db_bool(db_value(rows, 0, 0)))
        return err_set(err, ERR_FAILED_PRECONDITION, "ARCHIVE_TOO_YOUNG",
                       "the archive does not begin at the log's minimum index, or has entries that "
                       "must be kept longer");
    answer.index = admin->index;
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result announce_run(struct call *call)
{
    const Sluice__V1__AnnounceArchiveRequest *request = request_of(call);
    const struct admin *admin = call->state;
    char digest[2 * HASH_BYTES + 1];
    hex_encode(request->manifest.data, HASH_BYTES, digest);
    const char *params[] = { arena_strdup(&call->arena, digest),
                             arena_format(&call->arena, "%" PRId64, request->first),
                             arena_format(&call->arena, "%" PRId64, request->last + 1),
                             arena_format(&call->arena, "%" PRId64, admin->index),
                             call->identity.subject };
    struct db_sql sql = { .text = "SELECT audit.announce_archive(decode($1, 'hex'), $2::bigint,"
                                  " $3::bigint, $4::bigint, $5)",
                          .param_count = 5,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_announced);
}

static const struct step announce_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", announce_check, NULL },
    { "record", admin_record, admin_recorded },
    { "announce", announce_run, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_archive_announce_method = {
    .path = "/sluice.v1.AuditService/AnnounceArchive",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER | OFFICER_ADMINISTRATOR,
    .input = &sluice__v1__announce_archive_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = announce_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
