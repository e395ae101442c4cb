/* sluice.v1.AgreementService, applications: one step of a life is one call. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "services/admin.h"
#include "services/agreement_terms.h"
#include "services/application_rows.h"
#include "services/application_steps.h"
#include "services/timestamps.h"

/* What one call asks of one application. */
struct step_ask {
    enum application_event event;
    const char *id;
    const char *note;
    const char *negotiation_ref;
    const char *filing_ref;
    const char *request_id;
    int days;
};

struct step_call {
    struct admin admin; /* first */
    struct step_ask ask;
    struct calendar *calendar;
    struct application_row row;
    enum application_state next;
    Sluice__V1__Agreement *agreement; /* ACTIVATE: what becomes live */
    struct agreement_consumer consumer;
};

/* In the order of the life; each method takes one step. */
static const struct {
    const struct rpc_method *method;
    enum application_event event;
} step_methods[] = {
    { &application_sign_off_method, APPLICATION_SIGN_OFF },
    { &application_submit_method, APPLICATION_SUBMIT },
    { &application_ask_supplement_method, APPLICATION_ASK_SUPPLEMENT },
    { &application_answer_supplement_method, APPLICATION_ANSWER_SUPPLEMENT },
    { &application_ask_extension_method, APPLICATION_ASK_EXTENSION },
    { &application_extend_method, APPLICATION_EXTEND },
    { &application_decide_method, APPLICATION_AGREE },
    { &application_provision_method, APPLICATION_PROVISION },
    { &application_activate_method, APPLICATION_ACTIVATE },
    { &application_suspend_method, APPLICATION_SUSPEND },
    { &application_resume_method, APPLICATION_RESUME },
    { &application_terminate_method, APPLICATION_TERMINATE },
    { &application_require_disposal_method, APPLICATION_REQUIRE_DISPOSAL },
    { &application_confirm_disposal_method, APPLICATION_CONFIRM_DISPOSAL },
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

/* "application.sign-off", the rule that an entry cites. */
static const char *rule_of(struct arena *arena, enum application_event event)
{
    char *rule = arena_format(arena, "application.%s", application_event_name(event));
    for (char *p = rule + strlen("application."); *p != '\0'; p++)
        *p = *p == '_' ? '-' : (char)(*p + ('a' - 'A'));
    return rule;
}

static void step_finish(struct call *call, bool delivered)
{
    struct step_call *state = call->state;
    calendar_free(&state->calendar);
    admin_finish(call, delivered);
}

/* --- reading the request ---------------------------------------------------------------------- */

static enum application_event event_of(const struct call *call)
{
    for (size_t i = 0; i < sizeof step_methods / sizeof step_methods[0]; i++)
        if (step_methods[i].method == call->method)
            return step_methods[i].event;
    return 0;
}

static void take_step_request(const struct call *call, struct step_ask *ask)
{
    const Sluice__V1__ApplicationStepRequest *request =
        (const Sluice__V1__ApplicationStepRequest *)(const void *)call->request;
    ask->id = request->id;
    ask->note = request->note;
    ask->request_id = request->request_id;
}

static void take_extension_request(const struct call *call, struct step_ask *ask)
{
    const Sluice__V1__AskExtensionRequest *request =
        (const Sluice__V1__AskExtensionRequest *)(const void *)call->request;
    ask->id = request->id;
    ask->note = request->note;
    ask->days = request->days;
    ask->request_id = request->request_id;
}

static void take_disposal_request(const struct call *call, struct step_ask *ask)
{
    const Sluice__V1__RequireDisposalRequest *request =
        (const Sluice__V1__RequireDisposalRequest *)(const void *)call->request;
    ask->id = request->id;
    ask->note = request->note;
    ask->days = request->days;
    ask->request_id = request->request_id;
}

static void take_terminate_request(const struct call *call, struct step_ask *ask)
{
    const Sluice__V1__TerminateRequest *request =
        (const Sluice__V1__TerminateRequest *)(const void *)call->request;
    ask->id = request->id;
    ask->note = request->note;
    ask->negotiation_ref = request->negotiation_ref;
    ask->filing_ref = request->filing_ref;
    ask->request_id = request->request_id;
}

/* False: it names no decision. */
static bool take_decision(const struct call *call, struct step_ask *ask)
{
    const Sluice__V1__DecideRequest *request =
        (const Sluice__V1__DecideRequest *)(const void *)call->request;
    ask->id = request->id;
    ask->note = request->note;
    ask->request_id = request->request_id;
    if (request->decision == SLUICE__V1__DECIDE_REQUEST__DECISION__REFUSE)
        ask->event = APPLICATION_REFUSE;
    return request->decision == SLUICE__V1__DECIDE_REQUEST__DECISION__REFUSE ||
           request->decision == SLUICE__V1__DECIDE_REQUEST__DECISION__AGREE;
}

static enum step_result check_texts(struct call *call, const struct step_ask *ask)
{
    if (application_needs_text(ask->event) && ask->note[0] == '\0')
        return invalid(call, "REASON_MISSING", "this step needs a reason of 1 to 1,024 bytes");
    if (strlen(ask->note) > APPLICATION_TEXT_BYTES_MAX ||
        strlen(ask->negotiation_ref) > APPLICATION_TEXT_BYTES_MAX ||
        strlen(ask->filing_ref) > APPLICATION_TEXT_BYTES_MAX)
        return invalid(call, "TEXT_TOO_LONG", "a text of an application has at most 1,024 bytes");
    if (ask->event == APPLICATION_TERMINATE &&
        (ask->negotiation_ref[0] == '\0' || ask->filing_ref[0] == '\0'))
        return invalid(call, "REFERENCES_MISSING",
                       "terminating needs the references of the negotiation and of its filing");
    if (ask->event == APPLICATION_REQUIRE_DISPOSAL &&
        (ask->days < 1 || ask->days > CALENDAR_DAYS_MAX))
        return invalid(call, "DAYS_INVALID", "give the disposal 1 to 366 working days");
    return STEP_NEXT;
}

static enum step_result step_read(struct call *call)
{
    struct step_call *state = call->state;
    struct step_ask *ask = &state->ask;
    *ask = (struct step_ask){ .event = event_of(call), .negotiation_ref = "", .filing_ref = "" };
    bool whole = true;
    if (ask->event == APPLICATION_ASK_EXTENSION)
        take_extension_request(call, ask);
    else if (ask->event == APPLICATION_REQUIRE_DISPOSAL)
        take_disposal_request(call, ask);
    else if (ask->event == APPLICATION_TERMINATE)
        take_terminate_request(call, ask);
    else if (ask->event == APPLICATION_AGREE)
        whole = take_decision(call, ask);
    else
        take_step_request(call, ask);
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE;
    state->admin.rule = "request";
    state->calendar = calendar_new();
    if (call_set_request_id(call, ask->request_id, &call->err) < 0)
        return STEP_FAIL;
    if (!whole)
        return invalid(call, "DECISION_MISSING",
                       "say whether the application is agreed or refused");
    if (check_texts(call, ask) != STEP_NEXT)
        return STEP_FAIL;
    if (strlen(ask->id) > APPLICATION_ID_BYTES_MAX)
        return invalid(call, "APPLICATION_ID", "an application id is app- and 12 characters");
    state->admin.object = ask->id;
    state->admin.purpose = ask->note;
    return STEP_NEXT;
}

/* --- the application ---------------------------------------------------------------------------- */

static int take_row(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct step_call *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "APPLICATION_NOT_FOUND",
                       "there is no application of this id");
    state->row = application_from_row(&call->arena, rows, 0, state->calendar);
    const Sluice__V1__Application *message = state->row.message;
    state->admin.dataset = message->terms->dataset;
    state->admin.owner = message->owner_department;
    if (message->agreement[0] != '\0')
        state->admin.agreement = message->agreement;
    return 0;
}

static enum step_result load(struct call *call, const char *id, enum application_event event)
{
    const char *params[] = { call->identity.subject, call->request_id,
                             application_event_name(event), call->identity.department, id };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "SELECT %s FROM control.application AS a,"
                             " control.application_policy AS p WHERE a.id = $5 AND %s",
                             application_columns, application_visible),
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_row);
}

static enum step_result step_load(struct call *call)
{
    const struct step_call *state = call->state;
    return load(call, state->ask.id, state->ask.event);
}

/* --- one step, written ------------------------------------------------------------------------ */

static int taken(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "APPLICATION_STEP_LOST",
                       "the step was not taken; try again");
    return 0;
}

/* The trigger of control.application_step checks everything once more and moves the application, and
 * its agreement, in the same transaction. */
static enum step_result write_step(struct call *call, const struct step_ask *ask, const char *actor,
                                   const char *department, const char *due)
{
    const struct step_call *state = call->state;
    struct arena *arena = &call->arena;
    static const char columns[] =
        "INSERT INTO control.application_step (application, n, event, actor, department,"
        " request_id, note, negotiation_ref, filing_ref, days, due_on, agreement)";
    static const char values[] =
        "$1, $2::integer, $3, $4, $5, $6, $7, $8, $9, $10::integer, $11::date";
    const char *own[] = {
        ask->id,
        text_of_int(arena, (int64_t)state->row.message->version + 1),
        application_event_name(ask->event),
        actor,
        department,
        ask->request_id,
        ask->note,
        ask->negotiation_ref,
        ask->filing_ref,
        text_of_int(arena, ask->days),
        due,
    };
    enum { OWN = sizeof own / sizeof own[0], FIRST = AGREEMENT_INSERT_PARAMS + 1 };
    struct db_sql sql = { .param_count = OWN, .params = arena_dup(arena, own, sizeof own) };
    if (state->agreement == NULL) {
        sql.text = arena_format(arena, "%s SELECT %s, NULL RETURNING n", columns, values);
        return admin_run(call, &sql, taken);
    }
    const char *params[AGREEMENT_INSERT_PARAMS + OWN];
    agreement_insert_params(call, state->agreement, &state->consumer, params);
    memcpy(params + AGREEMENT_INSERT_PARAMS, own, sizeof own);
    sql.text =
        arena_format(arena,
                     "WITH fresh AS (%s RETURNING id) %s SELECT $%d, $%d::integer, $%d, $%d,"
                     " $%d, $%d, $%d, $%d, $%d, $%d::integer, $%d::date, fresh.id FROM fresh"
                     " RETURNING n",
                     agreement_insert_sql, columns, FIRST, FIRST + 1, FIRST + 2, FIRST + 3,
                     FIRST + 4, FIRST + 5, FIRST + 6, FIRST + 7, FIRST + 8, FIRST + 9, FIRST + 10);
    sql.param_count = AGREEMENT_INSERT_PARAMS + OWN;
    sql.params = arena_dup(arena, params, sizeof params);
    return admin_run(call, &sql, taken);
}

/* --- the clock: an agreement whose time is over expires before anything else happens ---------- */

static bool has_lapsed(const struct call *call)
{
    const struct step_call *state = call->state;
    return state->row.state == APPLICATION_ACTIVE && state->row.over;
}

static enum step_result expire_record(struct call *call)
{
    struct step_call *state = call->state;
    if (!has_lapsed(call))
        return STEP_NEXT;
    state->admin.rule = rule_of(&call->arena, APPLICATION_EXPIRE);
    state->admin.purpose = NULL;
    return admin_record(call);
}

static enum step_result expire_write(struct call *call)
{
    const struct step_call *state = call->state;
    if (!has_lapsed(call))
        return STEP_NEXT;
    struct step_ask ask = {
        .event = APPLICATION_EXPIRE,
        .id = state->ask.id,
        .note = "",
        .negotiation_ref = "",
        .filing_ref = "",
        .request_id = arena_format(&call->arena, "expire-%d", state->row.message->version + 1),
    };
    return write_step(call, &ask, "gateway", "", NULL);
}

static enum step_result expire_reload(struct call *call)
{
    return has_lapsed(call) ? step_load(call) : STEP_NEXT;
}

/* --- deciding ----------------------------------------------------------------------------------- */

/* What was agreed becomes an agreement; the dataset may have changed since the application. */
static int make_agreement(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct step_call *state = call->state;
    const Sluice__V1__Application *message = state->row.message;
    Sluice__V1__Agreement *agreement =
        arena_dup(&call->arena, message->terms, sizeof *message->terms);
    const struct schema_dataset *dataset = schema_bundle_find(gateway->bundle, agreement->dataset);
    if (dataset == NULL)
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "DATASET_GONE",
                       "the dataset is no longer published; the application cannot become active");
    if (authz_catalogue_forbids(gateway->authz, dataset->name))
        return err_set(&call->err, ERR_FAILED_PRECONDITION, "DATASET_DENIED",
                       "the dataset is no longer shared; the application cannot become active");
    int64_t now_s = state->row.now_us / 1000000 + 1;
    if (agreement->valid_from == NULL || agreement->valid_from->seconds < now_s)
        agreement->valid_from = timestamp_from_us(&call->arena, state->row.now_us);
    agreement->id = agreement_make_id(&call->arena);
    if (agreement_check_terms(call, dataset, agreement, &state->consumer) < 0)
        return -1;
    state->agreement = agreement;
    state->admin.agreement = agreement->id;
    return 0;
}

static enum step_result step_judge(struct call *call)
{
    struct step_call *state = call->state;
    const struct application_row *row = &state->row;
    const Sluice__V1__Application *message = row->message;
    const struct step_ask *ask = &state->ask;
    struct application_parties parties = { .applicant = message->applicant,
                                           .requester = row->requester,
                                           .owner = message->owner_department,
                                           .authority = row->authority };
    struct application_facts facts = {
        .state = row->state,
        .open = message->open,
        .supplement_used = message->supplement_asked,
        .extension_asked = row->extension_asked_by[0] != '\0',
        .extension_by_caller = strcmp(row->extension_asked_by, call->identity.subject) == 0,
        .validity_over = row->over,
    };
    state->admin.rule = rule_of(&call->arena, ask->event);
    state->admin.purpose = ask->note;
    if (row->repeated)
        return STEP_NEXT;
    unsigned roles = application_roles(&parties, call->identity.subject, call->identity.department);
    if (application_next(&facts, ask->event, roles, &state->next, &call->err) < 0)
        return STEP_FAIL;
    if (ask->event == APPLICATION_ASK_EXTENSION &&
        (ask->days < 1 || ask->days > row->extension_days)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "DAYS_INVALID",
                      "an answer is extended by 1 to %d working days", row->extension_days);
        return STEP_FAIL;
    }
    if (ask->event == APPLICATION_RESUME && message->agreement_revoked) {
        (void)err_set(&call->err, ERR_FAILED_PRECONDITION, "AGREEMENT_REVOKED",
                      "its agreement was revoked for good; terminate this application");
        return STEP_FAIL;
    }
    if (ask->event == APPLICATION_ACTIVATE && make_agreement(call) < 0)
        return STEP_FAIL;
    return STEP_NEXT;
}

static enum step_result step_record(struct call *call)
{
    const struct step_call *state = call->state;
    return state->row.repeated ? STEP_NEXT : admin_record(call);
}

static enum step_result step_write(struct call *call)
{
    struct step_call *state = call->state;
    if (state->row.repeated)
        return STEP_NEXT;
    struct step_ask ask = state->ask;
    ask.request_id = call->request_id;
    const char *due = application_next_due(&call->arena, &state->row, state->calendar, ask.event,
                                           state->next, ask.days);
    return write_step(call, &ask, call->identity.subject, call->identity.department, due);
}

static enum step_result step_show(struct call *call)
{
    const struct step_call *state = call->state;
    return state->row.repeated ? STEP_NEXT : step_load(call);
}

static enum step_result step_settle(struct call *call)
{
    const struct step_call *state = call->state;
    switch (state->ask.event) {
    case APPLICATION_ACTIVATE:
    case APPLICATION_RESUME:
        return admin_settle(call, GRANT_SETTLE_MS);
    case APPLICATION_SUSPEND:
    case APPLICATION_TERMINATE:
        return admin_settle(call, REVOKE_SETTLE_MS);
    case APPLICATION_SIGN_OFF:
    case APPLICATION_SUBMIT:
    case APPLICATION_ASK_SUPPLEMENT:
    case APPLICATION_ANSWER_SUPPLEMENT:
    case APPLICATION_ASK_EXTENSION:
    case APPLICATION_EXTEND:
    case APPLICATION_AGREE:
    case APPLICATION_REFUSE:
    case APPLICATION_PROVISION:
    case APPLICATION_EXPIRE:
    case APPLICATION_REQUIRE_DISPOSAL:
    case APPLICATION_CONFIRM_DISPOSAL:
    case APPLICATION_EVENT_END:
        break;
    }
    return STEP_NEXT;
}

static enum step_result answer_application(struct call *call)
{
    const struct step_call *state = call->state;
    call_answer(call, &state->row.message->base);
    return STEP_NEXT;
}

static const struct step step_steps[] = {
    { "admit", admin_admit, NULL },
    { "read", step_read, NULL },
    { "load", step_load, admin_ran },
    { "record expiry", expire_record, admin_recorded },
    { "expire", expire_write, admin_ran },
    { "load expired", expire_reload, admin_ran },
    { "judge", step_judge, NULL },
    { "record", step_record, admin_recorded }, /* no step without its entry */
    { "write", step_write, admin_ran },
    { "show", step_show, admin_ran },
    { "settle", step_settle, admin_settled },
    { "answer", answer_application, NULL },
    { NULL, NULL, NULL },
};

#define STEP_METHOD(variable_, name_, role_, input_)                                               \
    const struct rpc_method variable_ = {                                                          \
        .path = "/sluice.v1.AgreementService/" name_,                                              \
        .kind = RPC_UNARY,                                                                         \
        .listeners = RPC_OFFICERS,                                                                 \
        .officer_roles = (role_),                                                                  \
        .input = (input_),                                                                         \
        .state_size = sizeof(struct step_call),                                                    \
        .steps = step_steps,                                                                       \
        .outcome = admin_outcome,                                                                  \
        .finish = step_finish,                                                                     \
    }
#define PLAIN (&sluice__v1__application_step_request__descriptor)
STEP_METHOD(application_sign_off_method, "SignOff", OFFICER_APPROVER, PLAIN);
STEP_METHOD(application_submit_method, "SubmitApplication", OFFICER_REQUESTER, PLAIN);
STEP_METHOD(application_ask_supplement_method, "AskSupplement", OFFICER_APPROVER, PLAIN);
STEP_METHOD(application_answer_supplement_method, "AnswerSupplement", OFFICER_REQUESTER, PLAIN);
STEP_METHOD(application_ask_extension_method, "AskExtension", OFFICER_APPROVER,
            &sluice__v1__ask_extension_request__descriptor);
STEP_METHOD(application_extend_method, "Extend", OFFICER_APPROVER, PLAIN);
STEP_METHOD(application_decide_method, "Decide", OFFICER_APPROVER,
            &sluice__v1__decide_request__descriptor);
STEP_METHOD(application_provision_method, "Provision", OFFICER_APPROVER, PLAIN);
STEP_METHOD(application_activate_method, "Activate", OFFICER_APPROVER, PLAIN);
STEP_METHOD(application_suspend_method, "Suspend", OFFICER_APPROVER, PLAIN);
STEP_METHOD(application_resume_method, "Resume", OFFICER_APPROVER, PLAIN);
STEP_METHOD(application_terminate_method, "Terminate", OFFICER_APPROVER,
            &sluice__v1__terminate_request__descriptor);
STEP_METHOD(application_require_disposal_method, "RequireDisposal", OFFICER_APPROVER,
            &sluice__v1__require_disposal_request__descriptor);
STEP_METHOD(application_confirm_disposal_method, "ConfirmDisposal", OFFICER_REQUESTER, PLAIN);

/* --- Get ----------------------------------------------------------------------------------------- */

static enum step_result get_load(struct call *call)
{
    const Sluice__V1__GetApplicationRequest *request =
        (const Sluice__V1__GetApplicationRequest *)(const void *)call->request;
    struct step_call *state = call->state;
    state->calendar = calendar_new();
    return load(call, request->id, 0);
}

static int take_history(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const struct step_call *state = call->state;
    application_take_steps(&call->arena, rows, state->row.message);
    return 0;
}

static enum step_result get_history(struct call *call)
{
    const struct step_call *state = call->state;
    const char *params[] = { state->row.message->id };
    struct db_sql sql = {
        .text = arena_format(&call->arena,
                             "SELECT * FROM (SELECT %s FROM control.application_step"
                             " WHERE application = $1 ORDER BY n DESC LIMIT %d) AS s ORDER BY n",
                             application_step_columns, APPLICATION_STEPS_MAX),
        .param_count = 1,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_history);
}

static const struct step get_steps[] = {
    { "admit", admin_admit, NULL },
    { "load", get_load, admin_ran },
    { "history", get_history, admin_ran },
    { "answer", answer_application, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method application_get_method = {
    .path = "/sluice.v1.AgreementService/GetApplication",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_application_request__descriptor,
    .state_size = sizeof(struct step_call),
    .steps = get_steps,
    .finish = step_finish,
};
