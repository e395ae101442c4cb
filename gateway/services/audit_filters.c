/* sluice.v1.AuditService: SaveFilter, ListFilters, DeleteFilter: searches kept under a name. */
#include <inttypes.h>
#include <string.h>

#include "services/admin.h"
#include "services/audit_request.h"
#include "services/timestamps.h"

enum { FILTERS_MAX = 100, NAME_BYTES_MAX = 64, SEARCH_BYTES_MAX = 16384 };

struct filter_call {
    struct admin admin; /* first */
    const char *name;
    const char *search; /* as bytea text */
    const Sluice__V1__SearchAuditRequest *message;
};

static enum step_result check_name(struct call *call, const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    struct filter_call *filter = call->state;
    size_t len = strlen(name);
    filter->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    filter->admin.rule = "officer";
    filter->admin.owner = call->identity.department;
    if (len == 0 || len > NAME_BYTES_MAX || strspn(name, letters) != len) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "FILTER_NAME",
                      "a filter's name has 1 to %d letters, digits, \".\", \"_\" or \"-\"",
                      NAME_BYTES_MAX);
        return STEP_FAIL;
    }
    filter->name = name;
    filter->admin.object = name;
    return STEP_NEXT;
}

static enum step_result not_saved(struct call *call, const char *reason, const char *text)
{
    (void)err_set(&call->err, ERR_INVALID_ARGUMENT, reason, "%s", text);
    return STEP_FAIL;
}

/* --- SaveFilter --------------------------------------------------------------------------------- */

static enum step_result save_check(struct call *call)
{
    const Sluice__V1__SaveFilterRequest *request =
        (const Sluice__V1__SaveFilterRequest *)(const void *)call->request;
    const Sluice__V1__SearchAuditRequest *search = request->search;
    struct filter_call *filter = call->state;
    if (check_name(call, request->name) == STEP_FAIL)
        return STEP_FAIL;
    if (search == NULL)
        return not_saved(call, "FILTER_INVALID", "search: give what the filter searches by");
    if (search->person[0] != '\0')
        return not_saved(call, "FILTER_PERSON",
                         "a person's identifier is never stored; give it with each search");
    if (search->page_size != 0 || search->page_token[0] != '\0' || search->after_index != 0)
        return not_saved(call, "FILTER_INVALID",
                         "page_size, page_token and after_index are no part of a filter");
    if (audit_request_check(search, &call->err) != 0)
        return STEP_FAIL;
    size_t len = sluice__v1__search_audit_request__get_packed_size(search);
    if (len > SEARCH_BYTES_MAX)
        return not_saved(call, "FILTER_INVALID", "the filter is too long");
    uint8_t *packed = arena_alloc(&call->arena, len + 1);
    char *hex = arena_alloc(&call->arena, 2 * len + 3);
    (void)sluice__v1__search_audit_request__pack(search, packed);
    memcpy(hex, "\\x", 3);
    hex_encode(packed, len, hex + 2);
    filter->search = hex;
    filter->message = search;
    return STEP_NEXT;
}

static int take_saved(struct call *call, const struct db_rows *rows, struct err *err)
{
    const struct filter_call *filter = call->state;
    Sluice__V1__AuditFilter answer = SLUICE__V1__AUDIT_FILTER__INIT;
    if (db_row_count(rows) != 1 || !db_bool(db_value(rows, 0, 0)))
        return err_set(err, ERR_RESOURCE_EXHAUSTED, "FILTERS_MAX",
                       "you have %d filters already; delete one first", FILTERS_MAX);
    answer.name = (char *)filter->name;
    answer.search = (Sluice__V1__SearchAuditRequest *)filter->message;
    answer.save_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, 0, 1)));
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result save_run(struct call *call)
{
    const struct filter_call *filter = call->state;
    const char *params[] = { call->identity.department, call->identity.name, filter->name,
                             filter->search, arena_format(&call->arena, "%d", FILTERS_MAX) };
    struct db_sql sql = {
        .text = "SELECT control.audit_filter_save($1, $2, $3, $4::bytea, $5::integer),"
                " (extract(epoch FROM now()) * 1000000)::bigint",
        .param_count = 5,
        .params = arena_dup(&call->arena, params, sizeof params)
    };
    return admin_run(call, &sql, take_saved);
}

static const struct step save_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", save_check, NULL },
    { "record", admin_record, admin_recorded },
    { "save", save_run, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_filter_save_method = {
    .path = "/sluice.v1.AuditService/SaveFilter",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__save_filter_request__descriptor,
    .state_size = sizeof(struct filter_call),
    .steps = save_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ListFilters -------------------------------------------------------------------------------- */

static enum step_result list_check(struct call *call)
{
    struct filter_call *filter = call->state;
    filter->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    filter->admin.rule = "officer";
    filter->admin.owner = call->identity.department;
    return STEP_NEXT;
}

static int take_filters(struct call *call, const struct db_rows *rows, struct err *err)
{
    Sluice__V1__ListFiltersResponse answer = SLUICE__V1__LIST_FILTERS_RESPONSE__INIT;
    size_t count = (size_t)db_row_count(rows);
    int result = 0;
    answer.filters = arena_array(&call->arena, count + 1, sizeof *answer.filters);
    for (size_t i = 0; i < count && result == 0; i++) {
        Sluice__V1__AuditFilter *filter = arena_alloc(&call->arena, sizeof *filter);
        struct db_value name = db_value(rows, (int)i, 0);
        struct db_value search = db_value(rows, (int)i, 1);
        sluice__v1__audit_filter__init(filter);
        filter->name = arena_strndup(&call->arena, (const char *)name.data, name.len);
        filter->search = sluice__v1__search_audit_request__unpack(NULL, search.len, search.data);
        filter->save_time = timestamp_from_us(&call->arena, db_int8(db_value(rows, (int)i, 2)));
        answer.filters[answer.n_filters++] = filter;
        if (filter->search == NULL)
            result = err_set(err, ERR_DATA_LOSS, "FILTER_DAMAGED",
                             "the filter %s cannot be read; delete it", filter->name);
    }
    if (result == 0)
        call_answer(call, &answer.base);
    for (size_t i = 0; i < answer.n_filters; i++)
        if (answer.filters[i]->search != NULL)
            sluice__v1__search_audit_request__free_unpacked(answer.filters[i]->search, NULL);
    return result;
}

static enum step_result list_run(struct call *call)
{
    const char *params[] = { call->identity.department, call->identity.name,
                             arena_format(&call->arena, "%d", FILTERS_MAX) };
    struct db_sql sql = {
        .text = "SELECT name, search, (extract(epoch FROM saved_at) * 1000000)::bigint"
                " FROM control.audit_filter WHERE department = $1 AND officer = $2"
                " ORDER BY name LIMIT $3::bigint",
        .param_count = 3,
        .params = arena_dup(&call->arena, params, sizeof params)
    };
    return admin_run(call, &sql, take_filters);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", list_check, NULL },
    { "record", admin_record, admin_recorded },
    { "list", list_run, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_filter_list_method = {
    .path = "/sluice.v1.AuditService/ListFilters",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__list_filters_request__descriptor,
    .state_size = sizeof(struct filter_call),
    .steps = list_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- DeleteFilter ------------------------------------------------------------------------------- */

static enum step_result delete_check(struct call *call)
{
    return check_name(call,
                      ((const Sluice__V1__DeleteFilterRequest *)(const void *)call->request)->name);
}

static int take_deleted(struct call *call, const struct db_rows *rows, struct err *err)
{
    Sluice__V1__DeleteFilterResponse answer = SLUICE__V1__DELETE_FILTER_RESPONSE__INIT;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "FILTER_NOT_FOUND", "you have no filter of that name");
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result delete_run(struct call *call)
{
    const struct filter_call *filter = call->state;
    const char *params[] = { call->identity.department, call->identity.name, filter->name };
    struct db_sql sql = { .text = "DELETE FROM control.audit_filter WHERE department = $1"
                                  " AND officer = $2 AND name = $3 RETURNING name",
                          .param_count = 3,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_deleted);
}

static const struct step delete_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", delete_check, NULL },
    { "record", admin_record, admin_recorded },
    { "delete", delete_run, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_filter_delete_method = {
    .path = "/sluice.v1.AuditService/DeleteFilter",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__delete_filter_request__descriptor,
    .state_size = sizeof(struct filter_call),
    .steps = delete_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
