/* sluice.v1.CatalogService, entries: the steps of their lives, and reading them. */
#include <inttypes.h>
#include <string.h>

#include "services/admin.h"
#include "services/agreement_terms.h"
#include "services/catalogue_check.h"
#include "services/catalogue_methods.h"
#include "services/catalogue_rows.h"

struct entry_call {
    struct admin admin; /* first */
    enum catalogue_event event;
    const char *dataset;
    struct calendar *calendar;
    struct catalogue_row row;
    enum catalogue_state next;
};

static enum step_result invalid(struct call *call, const char *reason, const char *text)
{
    (void)err_set(&call->err, ERR_INVALID_ARGUMENT, reason, "%s", text);
    return STEP_FAIL;
}

static void entry_finish(struct call *call, bool delivered)
{
    struct entry_call *state = call->state;
    calendar_free(&state->calendar);
    admin_finish(call, delivered);
}

/* "catalogue.ask-extension", the rule that an entry of the log cites. */
static const char *rule_of(struct arena *arena, enum catalogue_event event)
{
    char *rule = arena_format(arena, "catalogue.%s", catalogue_event_name(event));
    for (char *p = rule + strlen("catalogue."); *p != '\0'; p++)
        *p = *p == '_' ? '-' : (char)(*p + ('a' - 'A'));
    return rule;
}

/* --- one entry, loaded ------------------------------------------------------------------------ */

static int take_entry(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct entry_call *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "CATALOGUE_NOT_FOUND",
                       "there is no catalogue entry of this name");
    if (catalogue_from_row(&call->arena, rows, 0, call->identity.department, state->calendar,
                           &state->row, err) < 0)
        return -1;
    state->admin.owner = state->row.message->department;
    return 0;
}

/* What the authority returned is its department's draft again: the answer is what the step made of it. */
static int take_moved(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct entry_call *state = call->state;
    if (db_row_count(rows) == 1)
        return take_entry(call, rows, err);
    state->row.message->state = (Sluice__V1__CatalogueEntry__State)state->next;
    state->row.message->version++;
    return 0;
}

/* One statement, whether the entry is hidden or does not exist. */
static enum step_result run_load(struct call *call, admin_take_fn take)
{
    const struct entry_call *state = call->state;
    const char *params[] = { call->identity.subject, call->request_id,
                             catalogue_event_name(state->event), call->identity.department,
                             state->dataset };
    struct db_sql sql = {
        .text = arena_format(&call->arena, "SELECT %s FROM %s WHERE e.dataset = $5 AND %s",
                             catalogue_columns, catalogue_from, catalogue_visible),
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take);
}

static enum step_result load(struct call *call)
{
    return run_load(call, take_entry);
}

static enum step_result answer_entry(struct call *call)
{
    const struct entry_call *state = call->state;
    call_answer(call, &state->row.message->base);
    return STEP_NEXT;
}

/* --- TakeCatalogueStep ------------------------------------------------------------------------- */

static const Sluice__V1__TakeCatalogueStepRequest *step_request(const struct call *call)
{
    return (const Sluice__V1__TakeCatalogueStepRequest *)(const void *)call->request;
}

static enum step_result step_read(struct call *call)
{
    const Sluice__V1__TakeCatalogueStepRequest *request = step_request(call);
    struct entry_call *state = call->state;
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE;
    state->admin.rule = "request";
    state->calendar = calendar_new();
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return STEP_FAIL;
    state->event = (enum catalogue_event)request->kind;
    if ((int)request->kind <= CATALOGUE_WRITE || (int)request->kind >= CATALOGUE_EVENT_END)
        return invalid(call, "CATALOGUE_STEP",
                       "name the step; an entry is written by importing it");
    if (catalogue_needs_text(state->event) && request->note[0] == '\0')
        return invalid(call, "REASON_MISSING", "this step needs a reason of 1 to 1,024 bytes");
    if (strlen(request->note) > CATALOGUE_TEXT_BYTES_MAX ||
        strlen(request->secrecy_ref) > CATALOGUE_TEXT_BYTES_MAX ||
        strlen(request->impact_ref) > CATALOGUE_TEXT_BYTES_MAX)
        return invalid(call, "TEXT_TOO_LONG", "a text of a step has at most 1,024 bytes");
    if (state->event == CATALOGUE_ASSESS && request->secrecy_ref[0] == '\0')
        return invalid(call, "SECRECY_REF_MISSING",
                       "say where the secrecy assessment is on record");
    if (!catalogue_name_valid(request->dataset))
        return invalid(call, "DATASET_INVALID", "name the entry as <department>/<dataset>");
    state->dataset = request->dataset;
    state->admin.dataset = request->dataset;
    state->admin.object = request->dataset;
    state->admin.purpose = request->note[0] != '\0' ? request->note : NULL;
    return STEP_NEXT;
}

static enum step_result refuse(struct call *call, enum err_code code, const char *reason,
                               const char *text)
{
    (void)err_set(&call->err, code, reason, "%s", text);
    return STEP_FAIL;
}

/* What the step says against what the entry says. */
static enum step_result judge_terms(struct call *call)
{
    const Sluice__V1__TakeCatalogueStepRequest *request = step_request(call);
    const struct entry_call *state = call->state;
    const struct catalogue_row *row = &state->row;
    if (state->event == CATALOGUE_ASK_EXTENSION &&
        (request->days < 1 || request->days > row->update_extension_days)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "DAYS_INVALID",
                      "an update is extended by 1 to %d working days", row->update_extension_days);
        return STEP_FAIL;
    }
    if (state->event == CATALOGUE_ASSESS && request->impact_ref[0] == '\0' &&
        catalogue_has_personal(row->message->content))
        return refuse(call, ERR_INVALID_ARGUMENT, "IMPACT_REF_MISSING",
                      "an item is personal information; say where the impact assessment is on "
                      "record");
    if (state->event == CATALOGUE_PUBLISH && row->conflict[0] != '\0') {
        (void)err_set(&call->err, ERR_FAILED_PRECONDITION, "SOURCE_CONFLICT",
                      "item \"%.60s\" is published with another source department; return the "
                      "entry until there is one",
                      row->conflict);
        return STEP_FAIL;
    }
    return STEP_NEXT;
}

static enum step_result step_judge(struct call *call)
{
    struct entry_call *state = call->state;
    const struct catalogue_row *row = &state->row;
    const char *subject = call->identity.subject;
    struct catalogue_facts facts = catalogue_facts_of(row, subject);
    if (state->event == CATALOGUE_RETURN && facts.published)
        state->event = CATALOGUE_RETURN_CHANGE;
    state->admin.rule = rule_of(&call->arena, state->event);
    if (row->repeated)
        return STEP_NEXT;
    unsigned roles = catalogue_roles_of(row, subject, call->identity.department);
    if (catalogue_next(&facts, state->event, roles, &state->next, &call->err) < 0)
        return STEP_FAIL;
    return judge_terms(call);
}

static enum step_result step_record(struct call *call)
{
    const struct entry_call *state = call->state;
    return state->row.repeated ? STEP_NEXT : admin_record(call);
}

static int taken(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "CATALOGUE_STEP_LOST",
                       "the step was not taken; try again");
    return 0;
}

/* The trigger of control.catalogue_step checks everything once more and moves the entry. */
static enum step_result step_write(struct call *call)
{
    const Sluice__V1__TakeCatalogueStepRequest *request = step_request(call);
    const struct entry_call *state = call->state;
    struct arena *arena = &call->arena;
    if (state->row.repeated)
        return STEP_NEXT;
    bool assesses = state->event == CATALOGUE_ASSESS;
    const char *params[] = {
        state->dataset,
        arena_format(arena, "%d", state->row.message->version + 1),
        catalogue_event_name(state->event),
        call->identity.subject,
        call->identity.department,
        call->request_id,
        request->note,
        assesses ? request->secrecy_ref : "",
        assesses ? request->impact_ref : "",
        state->event == CATALOGUE_ASK_EXTENSION ? arena_format(arena, "%d", request->days) : "0",
        catalogue_next_due(arena, &state->row, state->calendar, state->event, state->next),
    };
    struct db_sql sql = {
        .text = "INSERT INTO control.catalogue_step (dataset, n, event, actor, department,"
                " request_id, note, secrecy_ref, impact_ref, days, due_on) VALUES ($1, $2::integer,"
                " $3, $4, $5, $6, $7, $8, $9, $10::integer, $11::date) RETURNING n",
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(arena, params, sizeof params),
    };
    return admin_run(call, &sql, taken);
}

static enum step_result step_show(struct call *call)
{
    const struct entry_call *state = call->state;
    return state->row.repeated ? STEP_NEXT : run_load(call, take_moved);
}

/* What is in force has changed: the answer comes when every gateway knows it. */
static enum step_result step_settle(struct call *call)
{
    const struct entry_call *state = call->state;
    bool changes = state->event == CATALOGUE_PUBLISH || state->event == CATALOGUE_RETIRE;
    return changes ? admin_settle(call, GRANT_SETTLE_MS) : STEP_NEXT;
}

static const struct step step_steps[] = {
    { "admit", admin_admit, NULL },
    { "read", step_read, NULL },
    { "load", load, admin_ran },
    { "judge", step_judge, NULL },
    { "record", step_record, admin_recorded }, /* no step without its entry */
    { "write", step_write, admin_ran },
    { "show", step_show, admin_ran },
    { "settle", step_settle, admin_settled },
    { "answer", answer_entry, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method catalogue_step_method = {
    .path = "/sluice.v1.CatalogService/TakeCatalogueStep",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_CASEWORK,
    .input = &sluice__v1__take_catalogue_step_request__descriptor,
    .state_size = sizeof(struct entry_call),
    .steps = step_steps,
    .outcome = admin_outcome,
    .finish = entry_finish,
};

/* --- GetCatalogueEntry -------------------------------------------------------------------------- */

static enum step_result get_load(struct call *call)
{
    const Sluice__V1__GetCatalogueEntryRequest *request =
        (const Sluice__V1__GetCatalogueEntryRequest *)(const void *)call->request;
    struct entry_call *state = call->state;
    state->calendar = calendar_new();
    state->dataset = request->dataset;
    return load(call);
}

static int take_history(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const struct entry_call *state = call->state;
    catalogue_take_steps(&call->arena, rows, state->row.message);
    return 0;
}

/* The history is the department's and the authority's. */
static enum step_result get_history(struct call *call)
{
    const struct entry_call *state = call->state;
    if (state->row.message->author[0] == '\0')
        return STEP_NEXT;
    const char *params[] = { state->dataset };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "SELECT * FROM (SELECT %s FROM control.catalogue_step"
                             " WHERE dataset = $1 ORDER BY n DESC LIMIT %d) AS s ORDER BY n",
                             catalogue_step_columns, CATALOGUE_STEPS_MAX),
        .param_count = 1,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_history);
}

static const struct step get_steps[] = {
    { "admit", admin_admit, NULL },
    { "load", get_load, admin_ran },
    { "history", get_history, admin_ran },
    { "answer", answer_entry, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method catalogue_entry_method = {
    .path = "/sluice.v1.CatalogService/GetCatalogueEntry",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_catalogue_entry_request__descriptor,
    .state_size = sizeof(struct entry_call),
    .steps = get_steps,
    .finish = entry_finish,
};

/* --- ListCatalogueEntries ----------------------------------------------------------------------- */

static const Sluice__V1__ListCatalogueEntriesRequest *list_request(const struct call *call)
{
    return (const Sluice__V1__ListCatalogueEntriesRequest *)(const void *)call->request;
}

static size_t page_size(const struct call *call)
{
    return admin_page_size(list_request(call)->page_size, CATALOGUE_PAGE_DEFAULT,
                           CATALOGUE_PAGE_MAX);
}

static int take_list(struct call *call, const struct db_rows *rows, struct err *err)
{
    const struct entry_call *state = call->state;
    size_t page = page_size(call), count = (size_t)db_row_count(rows);
    Sluice__V1__ListCatalogueEntriesResponse answer =
        SLUICE__V1__LIST_CATALOGUE_ENTRIES_RESPONSE__INIT;
    answer.n_entries = count < page ? count : page;
    answer.entries = arena_array(&call->arena, answer.n_entries, sizeof *answer.entries);
    for (size_t i = 0; i < answer.n_entries; i++) {
        struct catalogue_row row;
        if (catalogue_from_row(&call->arena, rows, (int)i, call->identity.department,
                               state->calendar, &row, err) < 0)
            return -1;
        answer.entries[i] = row.message;
    }
    if (count > page)
        answer.next_page_token = answer.entries[page - 1]->content->dataset;
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result list_select(struct call *call)
{
    const Sluice__V1__ListCatalogueEntriesRequest *request = list_request(call);
    struct entry_call *state = call->state;
    const char *params[] = { call->identity.subject,
                             "",
                             "",
                             call->identity.department,
                             catalogue_state_name((enum catalogue_state)request->state),
                             request->department,
                             request->overdue ? "true" : "false",
                             request->page_token,
                             arena_format(&call->arena, "%zu", page_size(call) + 1) };
    state->calendar = calendar_new();
    if (request->state != 0 && params[4][0] == '\0')
        return invalid(call, "STATE_INVALID", "there is no such state of a catalogue entry");
    /* To others an entry is published, whatever its department does with it. */
    struct db_sql sql = {
        .text = arena_format(
            &call->arena,
            "SELECT %s FROM %s WHERE %s AND ($5 = '' OR $5 = CASE WHEN e.department = $4"
            " OR coalesce(p.authority, '') = $4 THEN e.state ELSE 'PUBLISHED' END)"
            " AND ($6 = '' OR e.department = $6) AND (NOT $7::boolean OR"
            " (e.department = $4 OR coalesce(p.authority, '') = $4)"
            " AND e.due_on < (now() AT TIME ZONE 'Asia/Shanghai')::date)"
            " AND ($8 = '' OR e.dataset COLLATE \"C\" > $8)"
            " ORDER BY e.dataset COLLATE \"C\" LIMIT $9::bigint",
            catalogue_columns, catalogue_from, catalogue_visible),
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_list);
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", list_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method catalogue_entries_method = {
    .path = "/sluice.v1.CatalogService/ListCatalogueEntries",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_catalogue_entries_request__descriptor,
    .state_size = sizeof(struct entry_call),
    .steps = list_steps,
    .finish = entry_finish,
};
