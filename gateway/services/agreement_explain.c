/* sluice.v1.AgreementService/ExplainAccess: who can read a field, and why a call would be refused. */
#include <stdio.h>
#include <string.h>

#include "services/admin.h"
#include "services/agreement_rows.h"

enum { READERS_MAX = 1000 };

struct explain_call {
    struct admin admin; /* first */
    const struct schema_dataset *dataset;
    bool owner;
    Sluice__V1__ExplainAccessResponse answer;
};

static const Sluice__V1__ExplainAccessRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__ExplainAccessRequest *)(const void *)call->request;
}

static enum step_result refuse(struct call *call, enum err_code code, const char *reason,
                               const char *text)
{
    (void)err_set(&call->err, code, reason, "%s", text);
    return STEP_FAIL;
}

/* --- a call that is not made ---------------------------------------------------------------------- */

static bool consumer_of(const char *text, struct identity *who)
{
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : 0;
    if (len == 0 || len >= sizeof who->department || slash[1] == '\0' ||
        strlen(slash + 1) >= sizeof who->name || strcmp(slash + 1, "*") == 0)
        return false;
    who->kind = IDENTITY_SYSTEM;
    memcpy(who->department, text, len);
    memcpy(who->name, slash + 1, strlen(slash + 1) + 1);
    return true;
}

static enum step_result explain(struct call *call, const Sluice__V1__ExplainedCall *asked)
{
    const struct gateway *gateway = call->context;
    struct explain_call *state = call->state;
    struct identity who = { .kind = IDENTITY_NONE };
    const char *field = request_of(call)->field;
    char would[AUTHZ_WOULD_BYTES];
    struct authz_answer answer;
    struct err why = ERR_INIT;
    if (!consumer_of(asked->consumer, &who))
        return refuse(call, ERR_INVALID_ARGUMENT, "CONSUMER_INVALID",
                      "name one system as <department>/<system>");
    if (!state->owner && strcmp(who.department, call->identity.department) != 0)
        return refuse(call, ERR_PERMISSION_DENIED, "CONSUMER_FOREIGN",
                      "calls of another department are explained to it and to the dataset's owner");
    if (asked->mode < SLUICE__V1__AGREEMENT_MODE__LOOKUP ||
        asked->mode > SLUICE__V1__AGREEMENT_MODE__TRANSFER)
        return refuse(call, ERR_INVALID_ARGUMENT, "MODE_INVALID",
                      "a mode is lookup, query, verify or transfer");
    /* With a port, as a connection's address has one. */
    if (asked->address[0] != '\0')
        (void)snprintf(who.address, sizeof who.address, "%.45s:0", asked->address);
    struct authz_ask ask = { .who = &who,
                             .dataset = state->dataset->name,
                             .agreement = asked->agreement,
                             .purpose = asked->purpose,
                             .mode = (enum authz_mode)(1U << (unsigned)asked->mode),
                             .resumed = asked->address[0] == '\0',
                             .fields = &field,
                             .field_count = field[0] != '\0' };
    Sluice__V1__Explanation *out = arena_alloc(&call->arena, sizeof *out);
    sluice__v1__explanation__init(out);
    out->allowed = authz_explain(gateway->authz, &ask, &answer, would, &why) == 0;
    out->rule = arena_strdup(&call->arena, answer.rule);
    if (answer.grant != NULL)
        out->agreement = arena_strdup(&call->arena, authz_grant_id(answer.grant));
    if (!out->allowed) {
        out->reason = arena_strdup(&call->arena, why.reason);
        out->text = arena_strdup(&call->arena, why.text);
        out->would_allow = arena_strdup(&call->arena, would);
    }
    authz_answer_fini(gateway->authz, &answer);
    state->answer.explanation = out;
    return STEP_NEXT;
}

static enum step_result explain_check(struct call *call)
{
    const Sluice__V1__ExplainAccessRequest *request = request_of(call);
    const struct gateway *gateway = call->context;
    struct explain_call *state = call->state;
    const struct schema_dataset *dataset = schema_bundle_find(gateway->bundle, request->dataset);
    sluice__v1__explain_access_response__init(&state->answer);
    /* Hidden and absent alike. */
    if (dataset == NULL ||
        !authz_party_to_dataset(gateway->authz, call->identity.department, dataset))
        return refuse(call, ERR_NOT_FOUND, "DATASET_NOT_FOUND",
                      "no dataset of this name is shared with you");
    state->dataset = dataset;
    state->owner = strcmp(dataset->department, call->identity.department) == 0;
    if (request->field[0] != '\0' &&
        schema_message_field(dataset->type, request->field, strlen(request->field)) == NULL) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "FIELD_UNKNOWN",
                      "the dataset has no field \"%.60s\"", request->field);
        return STEP_FAIL;
    }
    return request->call != NULL ? explain(call, request->call) : STEP_NEXT;
}

/* --- who can read ----------------------------------------------------------------------------------- */

static int take_readers(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct explain_call *state = call->state;
    Sluice__V1__ExplainAccessResponse *answer = &state->answer;
    size_t count = (size_t)db_row_count(rows);
    answer->more = count > READERS_MAX;
    answer->n_readers = count < READERS_MAX ? count : READERS_MAX;
    answer->readers = arena_array(&call->arena, answer->n_readers, sizeof *answer->readers);
    for (size_t i = 0; i < answer->n_readers; i++) {
        Sluice__V1__FieldReader *reader = arena_alloc(&call->arena, sizeof *reader);
        sluice__v1__field_reader__init(reader);
        answer->readers[i] = reader;
        reader->agreement = agreement_from_row(&call->arena, rows, (int)i);
        for (size_t m = 0; m < reader->agreement->n_masks; m++)
            if (strcmp(reader->agreement->masks[m]->field, request_of(call)->field) == 0)
                reader->mask = reader->agreement->masks[m];
    }
    return call_answer(call, &answer->base);
}

static enum step_result explain_select(struct call *call)
{
    const Sluice__V1__ExplainAccessRequest *request = request_of(call);
    const struct explain_call *state = call->state;
    const char *params[] = { request->dataset, request->field, call->identity.department,
                             state->owner ? "true" : "false" };
    struct db_sql sql = {
        .text =
            arena_format(&call->arena,
                         "SELECT %s FROM control.agreement WHERE dataset = $1"
                         " AND revoked_at IS NULL AND suspended_at IS NULL"
                         " AND valid_from <= now() AND valid_until > now()"
                         " AND ($2 = '' OR $2 = ANY (fields)) AND NOT modes <@ '{%d}'::integer[]"
                         " AND NOT ($2 || '=drop') = ANY (masks)"
                         " AND ($4::boolean OR consumer_department = $3)"
                         " ORDER BY id LIMIT %d",
                         agreement_columns, SLUICE__V1__AGREEMENT_MODE__VERIFY, READERS_MAX + 1),
        .param_count = sizeof params / sizeof params[0],
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_readers);
}

static const struct step explain_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", explain_check, NULL },
    { "select", explain_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method agreement_explain_method = {
    .path = "/sluice.v1.AgreementService/ExplainAccess",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__explain_access_request__descriptor,
    .state_size = sizeof(struct explain_call),
    .steps = explain_steps,
    .finish = admin_finish,
};
