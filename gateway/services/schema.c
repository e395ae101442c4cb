/* sluice.v1.SchemaService: officers publish, compare and approve schema bundles. */
#include <stdlib.h>
#include <string.h>

#include "services/admin.h"
#include "services/agreement_rows.h"
#include "services/schema_rows.h"
#include "services/schema_trial.h"

enum {
    SCHEMA_FILES_MAX = 20000,
    SCHEMA_REASON_BYTES_MAX = 1024,
    /* As the control database has it: national code tables of several MiB fit, and the worker that
     * holds request, files and statement at once stays modest. */
    SCHEMA_BUNDLE_BYTES_MAX = 8 * 1024 * 1024,
    /* Base64 in JSON needs a third more. */
    SCHEMA_REQUEST_BYTES_MAX = 12 * 1024 * 1024,
};

struct schema_call {
    struct admin admin; /* first */
    struct schema_trial *trial;
    bool trying;
    struct schema_file *files; /* in order of path */
    size_t file_count;
    const Sluice__Internal__SchemaTrial *found;
    const char *digest; /* hex, of what the call is about */
    Sluice__V1__SchemaBundle *bundle;
    Sluice__V1__CheckSchemaResponse *check;
};

static void begin(struct call *call, Sluice__V1__AuditEntry__Kind kind)
{
    struct schema_call *state = call->state;
    state->admin.kind = kind;
    state->admin.rule = "request";
}

static enum step_result refuse(struct call *call, enum err_code code, const char *reason,
                               const char *text)
{
    (void)err_set(&call->err, code, reason, "%s", text);
    return STEP_FAIL;
}

static void schema_finish(struct call *call, bool delivered)
{
    struct schema_call *state = call->state;
    schema_trial_cancel(&state->trial);
    admin_finish(call, delivered);
}

/* A digest of the request as a bytea parameter; NULL with INVALID_ARGUMENT. */
static const char *digest_param(struct call *call, const char *hex)
{
    uint8_t digest[SCHEMA_DIGEST_BYTES];
    if (strlen(hex) != 2 * (size_t)SCHEMA_DIGEST_BYTES || !hex_decode(hex, strlen(hex), digest)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "DIGEST_INVALID",
                      "name a bundle by its digest, 64 hexadecimal digits");
        return NULL;
    }
    return schema_bytea(&call->arena, digest, sizeof digest);
}

static struct db_sql statement(struct call *call, const char *text, const char *const *params,
                               int count)
{
    return (struct db_sql){
        .text = text,
        .param_count = count,
        .params = arena_dup(&call->arena, params, (size_t)count * sizeof *params),
    };
}

/* --- the bundle that is answered ------------------------------------------------------------- */

static int take_bundle(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct schema_call *state = call->state;
    size_t count;
    Sluice__V1__SchemaBundle **bundles = schema_bundles_from_rows(&call->arena, rows, &count);
    if (count != 1)
        return err_set(err, ERR_NOT_FOUND, "BUNDLE_NOT_FOUND", "there is no such schema bundle");
    state->bundle = bundles[0];
    return 0;
}

static enum step_result bundle_select(struct call *call)
{
    const struct schema_call *state = call->state;
    const char *digest = digest_param(call, state->digest);
    if (digest == NULL)
        return STEP_FAIL;
    const char *text = arena_format(
        &call->arena, "%sSELECT * FROM control.schema_bundle WHERE digest = $1::bytea%s",
        schema_bundles_head, schema_bundles_tail);
    struct db_sql sql = statement(call, text, &digest, 1);
    return admin_run(call, &sql, take_bundle);
}

static enum step_result bundle_answer(struct call *call)
{
    const struct schema_call *state = call->state;
    call_answer(call, &state->bundle->base);
    return STEP_NEXT;
}

/* --- files of a request ---------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct schema_file *)a)->path, ((const struct schema_file *)b)->path);
}

static enum step_result take_files(struct call *call, Sluice__V1__SchemaFile *const *files,
                                   size_t count)
{
    struct schema_call *state = call->state;
    size_t bytes = 0;
    if (count == 0 || count > SCHEMA_FILES_MAX)
        return refuse(call, ERR_INVALID_ARGUMENT, "BUNDLE_INVALID",
                      "a bundle has 1 to 20,000 files, canonical.pb among them");
    state->files = arena_array(&call->arena, count, sizeof *state->files);
    for (size_t i = 0; i < count; i++) {
        bytes += files[i]->content.len;
        state->files[i] = (struct schema_file){ .path = files[i]->path,
                                                .data = files[i]->content.data,
                                                .len = files[i]->content.len };
    }
    if (bytes > SCHEMA_BUNDLE_BYTES_MAX)
        return refuse(call, ERR_RESOURCE_EXHAUSTED, "BUNDLE_TOO_LARGE",
                      "the files of a bundle have at most 8 MiB together");
    qsort(state->files, count, sizeof *state->files, by_path);
    state->file_count = count;
    return STEP_NEXT;
}

static Sluice__Internal__SchemaTrial *keep_found(struct arena *arena,
                                                 const Sluice__Internal__SchemaTrial *found)
{
    Sluice__Internal__SchemaTrial *kept = arena_dup(arena, found, sizeof *found);
    kept->problem = arena_strdup(arena, found->problem);
    kept->digest.data = arena_dup(arena, found->digest.data, found->digest.len);
    kept->datasets = arena_array(arena, found->n_datasets, sizeof *kept->datasets);
    for (size_t i = 0; i < found->n_datasets; i++) {
        Sluice__Internal__SchemaTrial__Dataset *dataset =
            arena_dup(arena, found->datasets[i], sizeof *dataset);
        dataset->name = arena_strdup(arena, dataset->name);
        dataset->department = arena_strdup(arena, dataset->department);
        dataset->source = arena_strdup(arena, dataset->source);
        dataset->fingerprint.data =
            arena_dup(arena, dataset->fingerprint.data, dataset->fingerprint.len);
        kept->datasets[i] = dataset;
    }
    return kept;
}

static void on_tried(void *arg, const Sluice__Internal__SchemaTrial *result, const struct err *err)
{
    struct call *call = arg;
    struct schema_call *state = call->state;
    state->trial = NULL;
    state->trying = false;
    err_clear(&state->admin.failed);
    if (err != NULL)
        state->admin.failed = *err;
    else
        state->found = keep_found(&call->arena, result);
    call_resume(call);
}

static enum step_result try_start(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct schema_call *state = call->state;
    state->trial = schema_trial_start(gateway->loop, state->files, state->file_count, on_tried,
                                      call, &call->err);
    if (state->trial == NULL)
        return STEP_FAIL;
    state->trying = true;
    return STEP_WAIT;
}

static enum step_result try_done(struct call *call)
{
    struct schema_call *state = call->state;
    if (state->trying)
        return STEP_WAIT;
    if (state->admin.failed.code != ERR_OK) {
        call->err = state->admin.failed;
        return STEP_FAIL;
    }
    if (state->found->problem[0] == '\0') {
        char *hex = arena_alloc(&call->arena, 2 * SCHEMA_DIGEST_BYTES + 1);
        hex_encode(state->found->digest.data, SCHEMA_DIGEST_BYTES, hex);
        state->digest = hex;
        state->admin.object = hex;
    }
    return STEP_NEXT;
}

static const char *names_param(struct call *call, bool departments)
{
    const struct schema_call *state = call->state;
    char **names = arena_array(&call->arena, state->found->n_datasets, sizeof *names);
    for (size_t i = 0; i < state->found->n_datasets; i++)
        names[i] =
            departments ? state->found->datasets[i]->department : state->found->datasets[i]->name;
    return agreement_array(&call->arena, names, state->found->n_datasets);
}

static const char *fingerprints_param(struct call *call)
{
    const struct schema_call *state = call->state;
    char **items = arena_array(&call->arena, state->found->n_datasets, sizeof *items);
    for (size_t i = 0; i < state->found->n_datasets; i++)
        items[i] = schema_bytea(&call->arena, state->found->datasets[i]->fingerprint.data,
                                state->found->datasets[i]->fingerprint.len);
    return agreement_array(&call->arena, items, state->found->n_datasets);
}

/* --- Check -------------------------------------------------------------------------------------- */

static enum step_result check_begin(struct call *call)
{
    const Sluice__V1__CheckSchemaRequest *request =
        (const Sluice__V1__CheckSchemaRequest *)(const void *)call->request;
    begin(call, SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY);
    return take_files(call, request->files, request->n_files);
}

static bool has_source(const struct gateway *gateway, const char *name)
{
    for (size_t i = 0; i < gateway->conf->source_count; i++)
        if (strcmp(gateway->conf->sources[i].name, name) == 0)
            return true;
    return false;
}

static void add_warnings(struct call *call)
{
    const struct gateway *gateway = call->context;
    const struct schema_call *state = call->state;
    Sluice__V1__CheckSchemaResponse *check = state->check;
    check->warnings = arena_array(&call->arena, state->found->n_datasets, sizeof *check->warnings);
    for (size_t i = 0; i < state->found->n_datasets; i++)
        if (!has_source(gateway, state->found->datasets[i]->source))
            check->warnings[check->n_warnings++] = arena_format(
                &call->arena, "%s reads the source \"%.100s\", which this gateway does not have",
                state->found->datasets[i]->name, state->found->datasets[i]->source);
}

static int take_check(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const struct schema_call *state = call->state;
    state->check->changes = schema_changes_from_rows(&call->arena, rows, &state->check->n_changes);
    return 0;
}

static enum step_result check_compare(struct call *call)
{
    static const char text[] =
        "SELECT coalesce(b.name, a.name), split_part(coalesce(b.name, a.name), '/', 1),"
        " CASE WHEN a.name IS NULL THEN 'added' WHEN b.name IS NULL THEN 'removed' ELSE 'changed' "
        "END"
        " FROM (SELECT d.* FROM control.schema_dataset d"
        " JOIN control.schema_current c ON c.digest = d.digest) a"
        " FULL JOIN unnest($1::text[], $2::bytea[]) AS b (name, fingerprint) ON a.name = b.name"
        " WHERE a.fingerprint IS DISTINCT FROM b.fingerprint ORDER BY 1";
    struct schema_call *state = call->state;
    state->check = arena_alloc(&call->arena, sizeof *state->check);
    sluice__v1__check_schema_response__init(state->check);
    state->check->problem = state->found->problem;
    state->check->valid = state->found->problem[0] == '\0';
    if (!state->check->valid)
        return STEP_NEXT;
    state->check->digest = (char *)(uintptr_t)state->digest;
    add_warnings(call);
    const char *params[] = { names_param(call, false), fingerprints_param(call) };
    struct db_sql sql = statement(call, text, params, 2);
    return admin_run(call, &sql, take_check);
}

static enum step_result check_answer(struct call *call)
{
    const struct schema_call *state = call->state;
    call_answer(call, &state->check->base);
    return STEP_NEXT;
}

static const struct step check_steps[] = {
    { "admit", admin_admit, NULL },
    { "begin", check_begin, NULL },
    { "try", try_start, try_done },
    { "compare", check_compare, admin_ran },
    { "record", admin_record, admin_recorded },
    { "answer", check_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method schema_check_method = {
    .path = "/sluice.v1.SchemaService/Check",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__check_schema_request__descriptor,
    .state_size = sizeof(struct schema_call),
    .request_bytes_max = SCHEMA_REQUEST_BYTES_MAX,
    .steps = check_steps,
    .outcome = admin_outcome,
    .finish = schema_finish,
};

/* --- Publish ------------------------------------------------------------------------------------ */

static enum step_result publish_begin(struct call *call)
{
    const Sluice__V1__PublishSchemaRequest *request =
        (const Sluice__V1__PublishSchemaRequest *)(const void *)call->request;
    begin(call, SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE);
    if (call_set_request_id(call, request->request_id, &call->err) < 0)
        return STEP_FAIL;
    return take_files(call, request->files, request->n_files);
}

static enum step_result publish_judge(struct call *call)
{
    struct schema_call *state = call->state;
    state->admin.rule = "schema.loads";
    if (state->found->problem[0] != '\0')
        return refuse(call, ERR_INVALID_ARGUMENT, "BUNDLE_REFUSED", state->found->problem);
    return STEP_NEXT;
}

static int take_stored(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    (void)rows;
    (void)err;
    return 0;
}

static enum step_result publish_store(struct call *call)
{
    /* Not beginning with SELECT: an answer that is lost is not taken for one that never was. */
    static const char text[] =
        "WITH done AS MATERIALIZED (SELECT control.publish_schema($1::bytea, $2, $3, $4, "
        "$5::text[],"
        " $6::bytea, $7::integer[], $8::integer[], $9::text[], $10::text[], $11::bytea[]) AS fresh)"
        " SELECT fresh FROM done";
    struct schema_call *state = call->state;
    struct arena *arena = &call->arena;
    size_t count = state->file_count;
    char **paths = arena_array(arena, count, sizeof *paths);
    char **starts = arena_array(arena, count, sizeof *starts);
    char **lengths = arena_array(arena, count, sizeof *lengths);
    struct buf content;
    buf_init(&content, SCHEMA_BUNDLE_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        paths[i] = (char *)(uintptr_t)state->files[i].path;
        starts[i] = arena_format(arena, "%zu", content.len + 1);
        lengths[i] = arena_format(arena, "%zu", state->files[i].len);
        (void)buf_append(&content, state->files[i].data, state->files[i].len);
    }
    const char *params[] = {
        schema_bytea(arena, state->found->digest.data, state->found->digest.len),
        call->identity.subject,
        call->identity.department,
        call->identity.name,
        agreement_array(arena, paths, count),
        schema_bytea(arena, content.data, content.len),
        agreement_array(arena, starts, count),
        agreement_array(arena, lengths, count),
        names_param(call, false),
        names_param(call, true),
        fingerprints_param(call),
    };
    buf_fini(&content);
    struct db_sql sql = statement(call, text, params, sizeof params / sizeof params[0]);
    return admin_run(call, &sql, take_stored);
}

static const struct step publish_steps[] = {
    { "admit", admin_admit, NULL },
    { "begin", publish_begin, NULL },
    { "try", try_start, try_done },
    { "judge", publish_judge, NULL },
    { "record", admin_record, admin_recorded }, /* nothing is stored without its entry */
    { "store", publish_store, admin_ran },
    { "select", bundle_select, admin_ran },
    { "answer", bundle_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method schema_publish_method = {
    .path = "/sluice.v1.SchemaService/Publish",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_CASEWORK | OFFICER_ADMINISTRATOR,
    .input = &sluice__v1__publish_schema_request__descriptor,
    .state_size = sizeof(struct schema_call),
    .request_bytes_max = SCHEMA_REQUEST_BYTES_MAX,
    .steps = publish_steps,
    .outcome = admin_outcome,
    .finish = schema_finish,
};

/* --- Approve ------------------------------------------------------------------------------------ */

static enum step_result approve_begin(struct call *call)
{
    const Sluice__V1__ApproveSchemaRequest *request =
        (const Sluice__V1__ApproveSchemaRequest *)(const void *)call->request;
    struct schema_call *state = call->state;
    begin(call, SLUICE__V1__AUDIT_ENTRY__KIND__POLICY_CHANGE);
    if (call_set_request_id(call, request->request_id, &call->err) < 0 ||
        digest_param(call, request->digest) == NULL)
        return STEP_FAIL;
    state->digest = request->digest;
    state->admin.object = request->digest;
    if (request->reason[0] == '\0' || strlen(request->reason) > SCHEMA_REASON_BYTES_MAX)
        return refuse(call, ERR_INVALID_ARGUMENT, "REASON_MISSING",
                      "give a reason of 1 to 1,024 bytes");
    state->admin.rule = "schema.approval";
    return STEP_NEXT;
}

/* What control.approve_schema answers when it recorded nothing. */
static const struct {
    const char *word;
    enum err_code code;
    const char *reason;
    const char *text;
} refusals[] = {
    { "UNKNOWN", ERR_NOT_FOUND, "BUNDLE_NOT_FOUND", "there is no such schema bundle" },
    { "OFFICER", ERR_PERMISSION_DENIED, "OFFICER_UNKNOWN",
      "you are not registered as an officer with this gateway" },
    { "ALREADY", ERR_FAILED_PRECONDITION, "BUNDLE_CURRENT", "this bundle is current already" },
    { "OWN", ERR_PERMISSION_DENIED, "BUNDLE_OWN",
      "you published this bundle; another officer must approve it" },
    { "NOT_CONCERNED", ERR_PERMISSION_DENIED, "BUNDLE_NOT_CONCERNED",
      "this bundle changes no dataset of your department; the departments whose datasets it "
      "changes "
      "approve it" },
};

static int take_approved(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    struct db_value word = db_value(rows, 0, 0);
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strlen(refusals[i].word) == word.len &&
            memcmp(refusals[i].word, word.data, word.len) == 0)
            return err_set(err, refusals[i].code, refusals[i].reason, "%s", refusals[i].text);
    return 0;
}

static enum step_result approve_store(struct call *call)
{
    static const char text[] =
        "WITH done AS MATERIALIZED"
        " (SELECT control.approve_schema($1::bytea, $2, $3, $4, $5, $6::boolean) AS word)"
        " SELECT word FROM done";
    const Sluice__V1__ApproveSchemaRequest *request =
        (const Sluice__V1__ApproveSchemaRequest *)(const void *)call->request;
    const struct gateway *gateway = call->context;
    const char *params[] = {
        digest_param(call, request->digest),
        call->identity.subject,
        call->identity.department,
        call->identity.name,
        request->reason,
        gateway->conf->schemas_single_officer ? "true" : "false",
    };
    struct db_sql sql = statement(call, text, params, sizeof params / sizeof params[0]);
    return admin_run(call, &sql, take_approved);
}

static const struct step approve_steps[] = {
    { "admit", admin_admit, NULL },
    { "begin", approve_begin, NULL },
    { "record", admin_record, admin_recorded }, /* no approval without its entry */
    { "store", approve_store, admin_ran },
    { "select", bundle_select, admin_ran },
    { "answer", bundle_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method schema_approve_method = {
    .path = "/sluice.v1.SchemaService/Approve",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER,
    .input = &sluice__v1__approve_schema_request__descriptor,
    .state_size = sizeof(struct schema_call),
    .steps = approve_steps,
    .outcome = admin_outcome,
    .finish = schema_finish,
};
