/* sluice.v1.AgreementService: drafting an application, and listing them. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "services/admin.h"
#include "services/agreement_terms.h"
#include "services/application_rows.h"
#include "services/application_steps.h"
#include "services/catalogue_overlap.h"
#include "services/timestamps.h"

enum { APPLICATION_PAGE_DEFAULT = 100, APPLICATION_PAGE_MAX = 1000 };

struct request_call {
    struct admin admin; /* first */
    struct calendar *calendar;
    const struct schema_dataset *dataset;
    bool open; /* shared without conditions */
    struct agreement_consumer consumer;
    bool begins; /* the terms name their first instant */
    Sluice__V1__Application *message;
};

static enum step_result invalid(struct call *call, const char *reason, const char *text)
{
    (void)err_set(&call->err, ERR_INVALID_ARGUMENT, reason, "%s", text);
    return STEP_FAIL;
}

static char *text_of_int(struct arena *arena, int64_t number)
{
    return arena_format(arena, "%" PRId64, number);
}

static char *text_of_us(struct arena *arena, const Google__Protobuf__Timestamp *timestamp)
{
    return text_of_int(arena, timestamp_us(timestamp));
}

static void request_finish(struct call *call, bool delivered)
{
    struct request_call *state = call->state;
    calendar_free(&state->calendar);
    admin_finish(call, delivered);
}

/* --- RequestAccess -------------------------------------------------------------------------------- */

/* What is shared, with or without conditions, may be applied for by everybody. What is not shared
 * answers like what does not exist, but to those who see it anyway. */
static int find_dataset(struct call *call, const char *name)
{
    const struct gateway *gateway = call->context;
    struct request_call *state = call->state;
    const struct schema_dataset *dataset = schema_bundle_find(gateway->bundle, name);
    enum schema_sharing sharing =
        dataset != NULL ? authz_sharing(gateway->authz, dataset) : SHARING_DENIED;
    if (dataset != NULL && sharing == SHARING_DENIED &&
        authz_sees_dataset(gateway->authz, &call->identity, dataset, NULL))
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "DATASET_DENIED",
                       "this dataset is not shared; its category may be disputed, not applied for");
    if (sharing != SHARING_OPEN && sharing != SHARING_CONDITIONAL)
        return err_set(&call->err, ERR_NOT_FOUND, "DATASET_NOT_FOUND",
                       "no dataset of this name is shared with you");
    if (strcmp(dataset->department, call->identity.department) == 0)
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "DATASET_OWN",
                       "your own department owns this dataset; nothing needs to be applied for");
    state->dataset = dataset;
    state->open = sharing == SHARING_OPEN;
    return 0;
}

/* Art. 20: basis, scenario and scope of use; mode and time limit are checked with the terms. */
static enum step_result check_purpose(struct call *call, const Sluice__V1__Application *application)
{
    const char *const texts[] = { application->terms->legal_basis, application->scenario,
                                  application->scope };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i][0] == '\0')
            return invalid(
                call, "APPLICATION_INCOMPLETE",
                "an application says the legal basis, the scenario and the scope of use");
        if (strlen(texts[i]) > APPLICATION_TEXT_BYTES_MAX)
            return invalid(call, "TEXT_TOO_LONG",
                           "a text of an application has at most 1,024 bytes");
    }
    return STEP_NEXT;
}

static enum step_result request_check(struct call *call)
{
    const Sluice__V1__RequestAccessRequest *request =
        (const Sluice__V1__RequestAccessRequest *)(const void *)call->request;
    struct request_call *state = call->state;
    Sluice__V1__Application *application = request->application;
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE;
    state->admin.rule = "request";
    state->calendar = calendar_new();
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return STEP_FAIL;
    if (application == NULL || application->terms == NULL)
        return invalid(call, "APPLICATION_MISSING",
                       "the request has no application with its terms");
    Sluice__V1__Agreement *terms = application->terms;
    state->admin.rule = "application.request";
    state->begins = terms->valid_from != NULL;
    if (find_dataset(call, terms->dataset) < 0)
        return STEP_FAIL;
    state->admin.dataset = state->dataset->name;
    state->admin.owner = state->dataset->department;
    if (agreement_check_terms(call, state->dataset, terms, &state->consumer) < 0)
        return STEP_FAIL;
    if (strcmp(state->consumer.department, call->identity.department) != 0)
        return invalid(call, "CONSUMER_FOREIGN",
                       "apply for systems of your own department: <department>/<system>");
    if (check_purpose(call, application) != STEP_NEXT)
        return STEP_FAIL;
    application->id = application_make_id(&call->arena, clock_wall_us());
    state->admin.object = application->id;
    state->admin.purpose = application->scenario;
    state->message = application;
    return STEP_NEXT;
}

static int take_drafted(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct request_call *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_ABORTED, "APPLICATION_STEP_LOST",
                       "the application was not drafted; try again");
    state->message = application_from_row(&call->arena, rows, 0, state->calendar).message;
    return 0;
}

static enum step_result request_insert(struct call *call)
{
    const struct request_call *state = call->state;
    const Sluice__V1__Application *application = state->message;
    const Sluice__V1__Agreement *terms = application->terms;
    struct arena *arena = &call->arena;
    const char *params[] = {
        call->identity.subject,
        call->request_id,
        "",
        application->id,
        state->consumer.department,
        state->consumer.system,
        terms->dataset,
        state->dataset->department,
        agreement_array(arena, terms->fields, terms->n_fields),
        terms->row_filter,
        agreement_array(arena, terms->purposes, terms->n_purposes),
        agreement_modes_array(arena, terms),
        state->begins ? text_of_us(arena, terms->valid_from) : NULL,
        text_of_us(arena, terms->valid_until),
        arena_format(arena, "%.6f", terms->rate_per_second),
        text_of_int(arena, terms->rate_burst),
        text_of_int(arena, terms->daily_quota),
        terms->legal_basis,
        application->scenario,
        application->scope,
        state->open ? "true" : "false",
        agreement_masks_array(arena, terms),
        agreement_array(arena, terms->networks, terms->n_networks),
        agreement_array(arena, terms->windows, terms->n_windows),
        terms->onward_recipient,
    };
    struct db_sql sql = {
        .text = arena_format(
            arena,
            "WITH fresh AS (INSERT INTO control.application (applicant, request_id, id,"
            " requester_department, consumer_system, dataset, owner_department, fields, row_filter,"
            " purposes, modes, valid_from, valid_until, rate_per_second, rate_burst, daily_quota,"
            " legal_basis, scenario, scope, open, masks, networks, windows,"
            " onward_recipient)"
            " VALUES ($1, $2, $4, $5, $6, $7, $8, $9::text[], $10, $11::text[], $12::integer[],"
            " timestamptz 'epoch' + $13::bigint * interval '1 microsecond',"
            " timestamptz 'epoch' + $14::bigint * interval '1 microsecond',"
            " $15::double precision, $16::integer, $17::bigint, $18, $19, $20, $21::boolean,"
            " $22::text[], $23::text[], $24::text[], $25)"
            " ON CONFLICT (applicant, request_id) DO NOTHING RETURNING *),"
            " a AS (SELECT * FROM fresh UNION ALL SELECT * FROM control.application"
            " WHERE applicant = $1 AND request_id = $2)"
            " SELECT %s FROM a, control.application_policy AS p LIMIT 1",
            application_columns),
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_drafted);
}

/* 已可共享: the hint says where else the same items are, before anybody works on the application. */
static enum step_result request_answer(struct call *call)
{
    const struct request_call *state = call->state;
    Sluice__V1__Application *message = state->message;
    message->already_available =
        catalogue_available(call, state->dataset, message->terms->fields, message->terms->n_fields,
                            &message->n_already_available);
    call_answer(call, &state->message->base);
    return STEP_NEXT;
}

static const struct step request_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", request_check, NULL },
    { "record", admin_record, admin_recorded }, /* no application without its entry */
    { "insert", request_insert, admin_ran },
    { "answer", request_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method application_request_method = {
    .path = "/sluice.v1.AgreementService/RequestAccess",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_REQUESTER,
    .input = &sluice__v1__request_access_request__descriptor,
    .state_size = sizeof(struct request_call),
    .steps = request_steps,
    .outcome = admin_outcome,
    .finish = request_finish,
};

/* --- List ----------------------------------------------------------------------------------------- */

static int take_list(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const Sluice__V1__ListApplicationsRequest *request =
        (const Sluice__V1__ListApplicationsRequest *)(const void *)call->request;
    const struct request_call *state = call->state;
    size_t page =
        admin_page_size(request->page_size, APPLICATION_PAGE_DEFAULT, APPLICATION_PAGE_MAX);
    Sluice__V1__ListApplicationsResponse answer = SLUICE__V1__LIST_APPLICATIONS_RESPONSE__INIT;
    size_t count = (size_t)db_row_count(rows);
    answer.n_applications = count < page ? count : page;
    answer.applications =
        arena_array(&call->arena, answer.n_applications, sizeof *answer.applications);
    for (size_t i = 0; i < answer.n_applications; i++)
        answer.applications[i] =
            application_from_row(&call->arena, rows, (int)i, state->calendar).message;
    if (count > page)
        answer.next_page_token = answer.applications[page - 1]->id;
    call_answer(call, &answer.base);
    return 0;
}

/* Newest first: ids sort by time. */
static enum step_result list_select(struct call *call)
{
    const Sluice__V1__ListApplicationsRequest *request =
        (const Sluice__V1__ListApplicationsRequest *)(const void *)call->request;
    struct request_call *state = call->state;
    size_t page =
        admin_page_size(request->page_size, APPLICATION_PAGE_DEFAULT, APPLICATION_PAGE_MAX);
    const char *params[] = { call->identity.subject,
                             "",
                             "",
                             call->identity.department,
                             request->dataset,
                             application_state_name((enum application_state)request->state),
                             request->overdue ? "true" : "false",
                             request->page_token,
                             text_of_int(&call->arena, (int64_t)page + 1) };
    state->calendar = calendar_new();
    if (request->state != 0 && params[5][0] == '\0')
        return invalid(call, "STATE_INVALID", "there is no such state of an application");
    struct db_sql sql = {
        .text =
            arena_format(&call->arena,
                         "SELECT %s FROM (SELECT a.* FROM control.application AS a,"
                         " control.application_policy AS p WHERE %s AND ($5 = '' OR a.dataset = $5)"
                         " AND ($6 = '' OR %s = $6) AND (NOT $7::boolean OR"
                         " a.due_on < (now() AT TIME ZONE 'Asia/Shanghai')::date)"
                         " AND ($8 = '' OR a.id COLLATE \"C\" < $8)"
                         " ORDER BY a.id COLLATE \"C\" DESC LIMIT $9::bigint) AS a,"
                         " control.application_policy AS p ORDER BY a.id COLLATE \"C\" DESC",
                         application_columns, application_visible, application_shown),
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

const struct rpc_method application_list_method = {
    .path = "/sluice.v1.AgreementService/ListApplications",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_applications_request__descriptor,
    .state_size = sizeof(struct request_call),
    .steps = list_steps,
    .finish = request_finish,
};
