/* sluice.v1.SchemaService: what officers read: Diff, Get and List. */
#include <string.h>

#include "services/admin.h"
#include "services/schema_rows.h"

enum { SCHEMA_PAGE_DEFAULT = 20, SCHEMA_PAGE_MAX = 200 };

struct read_call {
    struct admin admin; /* first */
    Sluice__V1__SchemaBundle *bundle;
    Sluice__V1__SchemaDiff diff;
    Sluice__V1__ListSchemasResponse list;
};

static void begin(struct call *call, const char *object)
{
    struct read_call *state = call->state;
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    state->admin.rule = "officer";
    state->admin.object = object;
}

/* A digest as a bytea parameter, "" as SQL NULL, which means the current bundle. -1 with
 * INVALID_ARGUMENT. */
static int digest_param(struct call *call, const char *hex, const char **param_r)
{
    uint8_t digest[SCHEMA_DIGEST_BYTES];
    *param_r = NULL;
    if (hex[0] == '\0')
        return 0;
    if (strlen(hex) != 2 * (size_t)SCHEMA_DIGEST_BYTES || !hex_decode(hex, strlen(hex), digest))
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "DIGEST_INVALID",
                       "name a bundle by its digest, 64 hexadecimal digits");
    *param_r = schema_bytea(&call->arena, digest, sizeof digest);
    return 0;
}

static int not_found(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "BUNDLE_NOT_FOUND", "there is no such schema bundle");
}

/* --- Diff --------------------------------------------------------------------------------------- */

static int take_diff(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct read_call *state = call->state;
    /* The first row, without a dataset, says that both bundles exist. */
    if (db_row_count(rows) == 0)
        return not_found(err);
    Sluice__V1__SchemaChange **changes =
        schema_changes_from_rows(&call->arena, rows, &state->diff.n_changes);
    state->diff.changes = changes + 1;
    state->diff.n_changes--;
    return 0;
}

static enum step_result diff_select(struct call *call)
{
    static const char text[] =
        "WITH asked AS (SELECT coalesce($1::bytea, c.digest) AS old, coalesce($2::bytea, c.digest)"
        " AS new FROM control.schema_current c)"
        " SELECT '', '', '' FROM asked WHERE EXISTS (SELECT FROM control.schema_bundle WHERE "
        "digest ="
        " old) AND EXISTS (SELECT FROM control.schema_bundle WHERE digest = new)"
        " UNION ALL SELECT x.* FROM asked, control.schema_changes(old, new) x ORDER BY 1";
    const Sluice__V1__DiffSchemasRequest *request =
        (const Sluice__V1__DiffSchemasRequest *)(const void *)call->request;
    struct read_call *state = call->state;
    const char *params[2];
    begin(call, request->new_digest);
    sluice__v1__schema_diff__init(&state->diff);
    if (digest_param(call, request->old_digest, &params[0]) < 0 ||
        digest_param(call, request->new_digest, &params[1]) < 0)
        return STEP_FAIL;
    struct db_sql sql = { .text = text,
                          .param_count = 2,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_diff);
}

static enum step_result diff_answer(struct call *call)
{
    const struct read_call *state = call->state;
    call_answer(call, &state->diff.base);
    return STEP_NEXT;
}

static const struct step diff_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", diff_select, admin_ran },
    { "record", admin_record, admin_recorded },
    { "answer", diff_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method schema_diff_method = {
    .path = "/sluice.v1.SchemaService/Diff",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__diff_schemas_request__descriptor,
    .state_size = sizeof(struct read_call),
    .steps = diff_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- Get ---------------------------------------------------------------------------------------- */

static int take_bundle(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct read_call *state = call->state;
    size_t count;
    Sluice__V1__SchemaBundle **bundles = schema_bundles_from_rows(&call->arena, rows, &count);
    if (count != 1)
        return not_found(err);
    state->bundle = bundles[0];
    return 0;
}

static enum step_result get_select(struct call *call)
{
    const Sluice__V1__GetSchemaRequest *request =
        (const Sluice__V1__GetSchemaRequest *)(const void *)call->request;
    const char *params[1];
    begin(call, request->digest);
    if (digest_param(call, request->digest, &params[0]) < 0)
        return STEP_FAIL;
    struct db_sql sql = {
        .text =
            arena_format(&call->arena,
                         "%sSELECT * FROM control.schema_bundle WHERE digest = coalesce($1::bytea,"
                         " (SELECT digest FROM control.schema_current))%s",
                         schema_bundles_head, schema_bundles_tail),
        .param_count = 1,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_bundle);
}

static int take_files(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const struct read_call *state = call->state;
    state->bundle->files = schema_files_from_rows(&call->arena, rows, &state->bundle->n_files);
    return 0;
}

static enum step_result get_files(struct call *call)
{
    const Sluice__V1__GetSchemaRequest *request =
        (const Sluice__V1__GetSchemaRequest *)(const void *)call->request;
    struct read_call *state = call->state;
    const char *digest;
    state->admin.object = state->bundle->digest;
    (void)digest_param(call, state->bundle->digest, &digest);
    const char *params[] = { digest, request->with_content ? "true" : "false",
                             call->identity.department };
    struct db_sql sql = { .text = schema_files_sql,
                          .param_count = 3,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_files);
}

static enum step_result get_answer(struct call *call)
{
    const struct read_call *state = call->state;
    call_answer(call, &state->bundle->base);
    return STEP_NEXT;
}

static const struct step get_steps[] = {
    { "admit", admin_admit, NULL },    { "select", get_select, admin_ran },
    { "files", get_files, admin_ran }, { "record", admin_record, admin_recorded },
    { "answer", get_answer, NULL },    { NULL, NULL, NULL },
};

const struct rpc_method schema_get_method = {
    .path = "/sluice.v1.SchemaService/Get",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_schema_request__descriptor,
    .state_size = sizeof(struct read_call),
    .steps = get_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- List --------------------------------------------------------------------------------------- */

static size_t page_of(const struct call *call)
{
    const Sluice__V1__ListSchemasRequest *request =
        (const Sluice__V1__ListSchemasRequest *)(const void *)call->request;
    return admin_page_size(request->page_size, SCHEMA_PAGE_DEFAULT, SCHEMA_PAGE_MAX);
}

static int take_list(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct read_call *state = call->state;
    size_t page = page_of(call), count;
    state->list.bundles = schema_bundles_from_rows(&call->arena, rows, &count);
    state->list.n_bundles = count < page ? count : page;
    if (count > page)
        state->list.next_page_token = state->list.bundles[page - 1]->digest;
    return 0;
}

static enum step_result list_select(struct call *call)
{
    const Sluice__V1__ListSchemasRequest *request =
        (const Sluice__V1__ListSchemasRequest *)(const void *)call->request;
    struct read_call *state = call->state;
    const char *params[2];
    begin(call, "");
    sluice__v1__list_schemas_response__init(&state->list);
    if (digest_param(call, request->page_token, &params[0]) < 0)
        return STEP_FAIL;
    params[1] = arena_format(&call->arena, "%zu", page_of(call) + 1);
    struct db_sql sql = {
        .text = arena_format(
            &call->arena,
            "%sSELECT * FROM control.schema_bundle WHERE $1::bytea IS NULL OR"
            " (published_at, digest) < (SELECT published_at, digest FROM control.schema_bundle"
            " WHERE digest = $1::bytea) ORDER BY published_at DESC, digest DESC LIMIT $2::bigint%s",
            schema_bundles_head, schema_bundles_tail),
        .param_count = 2,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_list);
}

static int take_gateways(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct read_call *state = call->state;
    state->list.gateways = schema_gateways_from_rows(&call->arena, rows, call->identity.department,
                                                     &state->list.n_gateways);
    return 0;
}

static enum step_result list_gateways(struct call *call)
{
    const Sluice__V1__ListSchemasRequest *request =
        (const Sluice__V1__ListSchemasRequest *)(const void *)call->request;
    if (request->page_token[0] != '\0')
        return STEP_NEXT;
    struct db_sql sql = { .text = schema_gateways_sql };
    return admin_run(call, &sql, take_gateways);
}

static enum step_result list_answer(struct call *call)
{
    const struct read_call *state = call->state;
    call_answer(call, &state->list.base);
    return STEP_NEXT;
}

static const struct step list_steps[] = {
    { "admit", admin_admit, NULL },           { "select", list_select, admin_ran },
    { "gateways", list_gateways, admin_ran }, { "record", admin_record, admin_recorded },
    { "answer", list_answer, NULL },          { NULL, NULL, NULL },
};

const struct rpc_method schema_list_method = {
    .path = "/sluice.v1.SchemaService/List",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_schemas_request__descriptor,
    .state_size = sizeof(struct read_call),
    .steps = list_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
