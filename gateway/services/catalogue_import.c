/* sluice.v1.CatalogService.ImportCatalogue: entries are written, all or none. */
#include <string.h>

#include "base/buf.h"
#include "services/admin.h"
#include "services/agreement_rows.h"
#include "services/catalogue_check.h"
#include "services/catalogue_methods.h"
#include "services/catalogue_rows.h"

enum { CATALOGUE_REQUEST_BYTES_MAX = 4 * 1024 * 1024 };

struct import_call {
    struct admin admin; /* first */
    struct calendar *calendar;
    struct buf json;
    char **written; /* datasets whose entries change, or will */
    size_t written_count;
    char **unchanged;
    size_t unchanged_count;
    size_t recorded;
};

static const Sluice__V1__ImportCatalogueRequest *import_request(const struct call *call)
{
    return (const Sluice__V1__ImportCatalogueRequest *)(const void *)call->request;
}

static enum step_result invalid(struct call *call, const char *reason, const char *text)
{
    (void)err_set(&call->err, ERR_INVALID_ARGUMENT, reason, "%s", text);
    return STEP_FAIL;
}

/* --- checking --------------------------------------------------------------------------------- */

/* Names are judged before content, so that another department's datasets tell nothing. */
static int check_name(struct call *call, const char *name)
{
    size_t len = strlen(call->identity.department);
    if (!catalogue_name_valid(name))
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "DATASET_INVALID",
                       "\"%.127s\": name the entry as <department>/<dataset>", name);
    if (strncmp(name, call->identity.department, len) != 0 || name[len] != '/')
        return err_set(&call->err, ERR_PERMISSION_DENIED, "NOT_OWNER",
                       "%.127s: write entries of your own department only", name);
    return 0;
}

static int check_sources(struct call *call, const Sluice__V1__CatalogueContent *content)
{
    const struct gateway *gateway = call->context;
    for (size_t i = 0; i < content->n_items; i++)
        if (!authz_department_known(gateway->authz, content->items[i]->source_department))
            return err_set(&call->err, ERR_INVALID_ARGUMENT, "SOURCE_UNKNOWN",
                           "%.127s: the source department of item \"%.60s\" is not registered",
                           content->dataset, content->items[i]->name);
    return 0;
}

static int check_entry(struct call *call, size_t at)
{
    const struct gateway *gateway = call->context;
    const Sluice__V1__ImportCatalogueRequest *request = import_request(call);
    Sluice__V1__CatalogueContent *content = request->entries[at];
    for (size_t i = 0; i < at; i++)
        if (strcmp(request->entries[i]->dataset, content->dataset) == 0)
            return err_set(&call->err, ERR_INVALID_ARGUMENT, "ENTRY_TWICE",
                           "%.127s: the entry stands there twice", content->dataset);
    const struct schema_dataset *dataset = schema_bundle_find(gateway->bundle, content->dataset);
    if (catalogue_check(&call->arena, content, dataset, &call->err) < 0)
        return -1;
    return check_sources(call, content);
}

static int encode(struct call *call)
{
    const Sluice__V1__ImportCatalogueRequest *request = import_request(call);
    struct import_call *state = call->state;
    for (size_t i = 0; i < request->n_entries; i++)
        if (buf_append_byte(&state->json, i == 0 ? '[' : ',') < 0 ||
            catalogue_encode(request->entries[i], &state->json, &call->err) < 0)
            return call->err.code != ERR_OK ? -1 : call_no_memory(&call->err);
    return buf_append_byte(&state->json, ']') < 0 ? call_no_memory(&call->err) : 0;
}

static enum step_result import_check(struct call *call)
{
    const Sluice__V1__ImportCatalogueRequest *request = import_request(call);
    struct import_call *state = call->state;
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE;
    state->admin.rule = "request";
    state->admin.owner = call->identity.department;
    state->calendar = calendar_new();
    buf_init(&state->json, CATALOGUE_JSON_BYTES_MAX);
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return STEP_FAIL;
    if (request->n_entries == 0 || request->n_entries > CATALOGUE_ENTRIES_MAX)
        return invalid(call, "ENTRIES_MISSING", "import 1 to 200 entries at once");
    state->admin.rule = "catalogue.write";
    state->admin.object = request->entries[0]->dataset;
    for (size_t i = 0; i < request->n_entries; i++) {
        state->admin.object = request->entries[i]->dataset;
        if (check_name(call, request->entries[i]->dataset) < 0)
            return STEP_FAIL;
        state->admin.dataset = request->entries[i]->dataset;
        if (check_entry(call, i) < 0)
            return STEP_FAIL;
    }
    state->written = arena_array(&call->arena, request->n_entries, sizeof *state->written);
    state->unchanged = arena_array(&call->arena, request->n_entries, sizeof *state->unchanged);
    return encode(call) < 0 ? STEP_FAIL : STEP_NEXT;
}

/* --- judging ---------------------------------------------------------------------------------- */

static int judge(struct call *call, const struct catalogue_row *row,
                 Sluice__V1__CatalogueContent *content, struct err *err)
{
    struct import_call *state = call->state;
    const char *subject = call->identity.subject;
    if (row != NULL && catalogue_equal(row->message->content, content)) {
        state->unchanged[state->unchanged_count++] = content->dataset;
        return 0;
    }
    if (row != NULL) {
        struct catalogue_facts facts = catalogue_facts_of(row, subject);
        enum catalogue_state next;
        struct err cause = ERR_INIT;
        unsigned roles = catalogue_roles_of(row, subject, call->identity.department);
        if (catalogue_next(&facts, CATALOGUE_WRITE, roles, &next, &cause) < 0) {
            state->admin.dataset = content->dataset;
            state->admin.object = content->dataset;
            return err_set(err, cause.code, cause.reason, "%.127s: %s", content->dataset,
                           cause.text);
        }
    }
    state->written[state->written_count++] = content->dataset;
    return 0;
}

static int take_known(struct call *call, const struct db_rows *rows, struct err *err)
{
    const Sluice__V1__ImportCatalogueRequest *request = import_request(call);
    const struct import_call *state = call->state;
    size_t count = (size_t)db_row_count(rows);
    struct catalogue_row *known = arena_array(&call->arena, count, sizeof *known);
    for (size_t i = 0; i < count; i++)
        if (catalogue_from_row(&call->arena, rows, (int)i, call->identity.department,
                               state->calendar, &known[i], err) < 0)
            return -1;
    for (size_t i = 0; i < request->n_entries; i++) {
        const struct catalogue_row *row = NULL;
        for (size_t j = 0; j < count && row == NULL; j++)
            if (strcmp(known[j].message->content->dataset, request->entries[i]->dataset) == 0)
                row = &known[j];
        if (judge(call, row, request->entries[i], err) < 0)
            return -1;
    }
    return 0;
}

static enum step_result import_load(struct call *call)
{
    const Sluice__V1__ImportCatalogueRequest *request = import_request(call);
    char **names = arena_array(&call->arena, request->n_entries, sizeof *names);
    for (size_t i = 0; i < request->n_entries; i++)
        names[i] = request->entries[i]->dataset;
    const char *params[] = { call->identity.subject, call->request_id, "",
                             call->identity.department,
                             agreement_array(&call->arena, names, request->n_entries) };
    struct db_sql sql = {
        .text = arena_format(&call->arena, "SELECT %s FROM %s WHERE e.dataset = ANY ($5::text[])",
                             catalogue_columns, catalogue_from),
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_known);
}

/* --- writing ---------------------------------------------------------------------------------- */

static enum step_result record_next(struct call *call)
{
    struct import_call *state = call->state;
    const struct gateway *gateway = call->context;
    if (import_request(call)->dry_run || state->recorded == state->written_count ||
        gateway->audit == NULL)
        return STEP_NEXT;
    state->admin.dataset = state->written[state->recorded];
    state->admin.object = state->written[state->recorded];
    state->recorded++;
    return admin_record(call);
}

/* Each entry has an entry of the log before any of them is written. */
static enum step_result import_recorded(struct call *call)
{
    enum step_result result = admin_recorded(call);
    return result == STEP_NEXT ? record_next(call) : result;
}

/* The database has the last word on what is new. */
static int take_written(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct import_call *state = call->state;
    size_t count = (size_t)db_row_count(rows);
    for (size_t i = 0; i < state->written_count; i++) {
        bool written = false;
        for (size_t j = 0; j < count && !written; j++)
            written =
                strcmp(state->written[i], db_text(&call->arena, db_value(rows, (int)j, 0))) == 0;
        if (!written)
            state->unchanged[state->unchanged_count++] = state->written[i];
    }
    state->written_count = count;
    for (size_t j = 0; j < count; j++)
        state->written[j] = db_text(&call->arena, db_value(rows, (int)j, 0));
    return 0;
}

static enum step_result import_write(struct call *call)
{
    struct import_call *state = call->state;
    if (import_request(call)->dry_run || state->written_count == 0)
        return STEP_NEXT;
    const char *params[] = { call->identity.subject, call->identity.department, call->request_id,
                             buf_cstr(&state->json) };
    struct db_sql sql = {
        .text = "SELECT control.catalogue_write($1, $2, $3, $4::jsonb)",
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_written);
}

static enum step_result import_answer(struct call *call)
{
    const struct import_call *state = call->state;
    Sluice__V1__ImportCatalogueResponse answer = SLUICE__V1__IMPORT_CATALOGUE_RESPONSE__INIT;
    answer.written = state->written;
    answer.n_written = state->written_count;
    answer.unchanged = state->unchanged;
    answer.n_unchanged = state->unchanged_count;
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static void import_finish(struct call *call, bool delivered)
{
    struct import_call *state = call->state;
    calendar_free(&state->calendar);
    buf_fini(&state->json);
    admin_finish(call, delivered);
}

static const struct step import_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", import_check, NULL },
    { "load", import_load, admin_ran },
    { "record", record_next, import_recorded },
    { "write", import_write, admin_ran },
    { "answer", import_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method catalogue_import_method = {
    .path = "/sluice.v1.CatalogService/ImportCatalogue",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_REQUESTER,
    .input = &sluice__v1__import_catalogue_request__descriptor,
    .state_size = sizeof(struct import_call),
    .request_bytes_max = CATALOGUE_REQUEST_BYTES_MAX,
    .steps = import_steps,
    .outcome = admin_outcome,
    .finish = import_finish,
};
