/* sluice.v1.AuditService: officers read the log; each read is itself an entry. */
#include <inttypes.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "services/admin.h"
#include "sluice/v1/audit.pb-c.h"
#include "sluice/v1/audit_entry.pb-c.h"

enum { AUDIT_PAGE_DEFAULT = 50, AUDIT_PAGE_MAX = 500 };

/* --- Search ------------------------------------------------------------------------------------- */

static enum step_result search_check(struct call *call)
{
    const Sluice__V1__SearchAuditRequest *request =
        (const Sluice__V1__SearchAuditRequest *)(const void *)call->request;
    struct admin *admin = call->state;
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    admin->rule = "officer";
    admin->dataset = request->dataset;
    admin->agreement = request->agreement;
    admin->owner = call->identity.department;
    return STEP_NEXT;
}

static int make_record(struct call *call, const struct db_rows *rows, int row,
                       Sluice__V1__AuditRecord *record, struct err *err)
{
    struct db_value leaf = db_value(rows, row, 1);
    record->index = db_int8(db_value(rows, row, 0));
    record->leaf.data = arena_dup(&call->arena, leaf.data, leaf.len);
    record->leaf.len = leaf.len;
    record->entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
    if (record->entry == NULL)
        return err_set(err, ERR_DATA_LOSS, "AUDIT_ENTRY_DAMAGED",
                       "entry %" PRId64 " of the log cannot be read; verify the log",
                       record->index);
    Google__Protobuf__Timestamp *time = arena_alloc(&call->arena, sizeof *time);
    google__protobuf__timestamp__init(time);
    time->seconds = record->entry->time_us / 1000000;
    time->nanos = (int32_t)(record->entry->time_us % 1000000) * 1000;
    record->time = time;
    return 0;
}

static int take_entries(struct call *call, const struct db_rows *rows, struct err *err)
{
    const Sluice__V1__SearchAuditRequest *request =
        (const Sluice__V1__SearchAuditRequest *)(const void *)call->request;
    size_t page = admin_page_size(request->page_size, AUDIT_PAGE_DEFAULT, AUDIT_PAGE_MAX);
    size_t count = (size_t)db_row_count(rows);
    size_t shown = count < page ? count : page;
    Sluice__V1__SearchAuditResponse answer = SLUICE__V1__SEARCH_AUDIT_RESPONSE__INIT;
    answer.records = arena_array(&call->arena, shown, sizeof *answer.records);
    int result = 0;
    for (size_t i = 0; i < shown && result == 0; i++) {
        Sluice__V1__AuditRecord *record = arena_alloc(&call->arena, sizeof *record);
        sluice__v1__audit_record__init(record);
        answer.records[answer.n_records++] = record;
        result = make_record(call, rows, (int)i, record, err);
    }
    if (result == 0 && count > page)
        answer.next_page_token =
            arena_format(&call->arena, "%" PRId64, answer.records[shown - 1]->index);
    if (result == 0)
        call_answer(call, &answer.base);
    for (size_t i = 0; i < answer.n_records; i++)
        if (answer.records[i]->entry != NULL)
            sluice__v1__audit_entry__free_unpacked(answer.records[i]->entry, NULL);
    return result;
}

static const char newest_first_sql[] =
    "SELECT index, leaf FROM audit.entry WHERE (department = $1 OR owner = $1)"
    " AND ($2 = '' OR dataset = $2) AND ($3 = '' OR agreement = $3) AND ($4 = '' OR subject = $4)"
    " AND index < $5::bigint ORDER BY index DESC LIMIT $6::bigint";
static const char oldest_first_sql[] =
    "SELECT index, leaf FROM audit.entry WHERE (department = $1 OR owner = $1)"
    " AND ($2 = '' OR dataset = $2) AND ($3 = '' OR agreement = $3) AND ($4 = '' OR subject = $4)"
    " AND index > $5::bigint ORDER BY index LIMIT $6::bigint";

static bool is_number(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 18 && strspn(text, "0123456789") == len;
}

static enum step_result search_select(struct call *call)
{
    const Sluice__V1__SearchAuditRequest *request =
        (const Sluice__V1__SearchAuditRequest *)(const void *)call->request;
    size_t page = admin_page_size(request->page_size, AUDIT_PAGE_DEFAULT, AUDIT_PAGE_MAX);
    bool follow = request->after_index > 0;
    const char *from = request->page_token;
    if (from[0] == '\0')
        from = follow ? arena_format(&call->arena, "%" PRId64, request->after_index)
                      : "9223372036854775807";
    else if (!is_number(from)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "TOKEN_INVALID",
                      "the page token is not one of this method");
        return STEP_FAIL;
    }
    const char *params[] = { call->identity.department,
                             request->dataset,
                             request->agreement,
                             request->subject,
                             from,
                             arena_format(&call->arena, "%zu", page + 1) };
    struct db_sql sql = { .text = follow ? oldest_first_sql : newest_first_sql,
                          .param_count = 6,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_entries);
}

static const struct step search_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", search_check, NULL },
    { "record", admin_record, admin_recorded },
    { "select", search_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_search_method = {
    .path = "/sluice.v1.AuditService/Search",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .input = &sluice__v1__search_audit_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = search_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

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
    .input = &sluice__v1__get_checkpoint_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = checkpoint_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
