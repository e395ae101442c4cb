/* sluice.v1.AuditService: one entry, proofs, evidence, key changes. Each reading is itself an entry, and
 * the checkpoint that covers that entry is the one that is proved against. */
#include <inttypes.h>
#include <string.h>

#include "audit/evidence.h"
#include "audit/log_keys.h"
#include "audit/tlog_proof.h"
#include "services/agreement_rows.h"
#include "services/audit_entry.h"
#include "sluice/v1/audit.pb-c.h"
#include "sluice/v1/audit_entry.pb-c.h"

enum { EVIDENCE_CHUNK_BYTES = 32768, KEY_EVENTS_MAX = LOG_KEYS_CHANGES_MAX };

#define REQUEST(type_, call_) ((const type_ *)(const void *)(call_)->request)

/* --- GetEntry ----------------------------------------------------------------------------------- */

static enum step_result entry_check(struct call *call)
{
    const Sluice__V1__GetEntryRequest *request = REQUEST(Sluice__V1__GetEntryRequest, call);
    return audit_entry_check(call, request->index, request->entry_id);
}

static enum step_result entry_answer(struct call *call)
{
    const struct audit_entry_state *state = call->state;
    Sluice__V1__AuditRecord answer = SLUICE__V1__AUDIT_RECORD__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    answer.index = state->index;
    answer.leaf.data = (uint8_t *)state->leaf.data;
    answer.leaf.len = state->leaf.len;
    answer.entry = sluice__v1__audit_entry__unpack(NULL, state->leaf.len, state->leaf.data);
    if (answer.entry == NULL)
        return audit_entry_damaged(call);
    time.seconds = answer.entry->time_us / 1000000;
    time.nanos = (int32_t)(answer.entry->time_us % 1000000) * 1000;
    answer.time = &time;
    call_answer(call, &answer.base);
    sluice__v1__audit_entry__free_unpacked(answer.entry, NULL);
    return STEP_NEXT;
}

static const struct step entry_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", entry_check, NULL },
    { "record", admin_record, admin_recorded },
    { "find", audit_entry_find, admin_ran },
    { "answer", entry_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_entry_method = {
    .path = "/sluice.v1.AuditService/GetEntry",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__get_entry_request__descriptor,
    .state_size = sizeof(struct audit_entry_state),
    .steps = entry_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- GetInclusionProof --------------------------------------------------------------------------- */

static enum step_result inclusion_check(struct call *call)
{
    const Sluice__V1__GetInclusionProofRequest *request =
        REQUEST(Sluice__V1__GetInclusionProofRequest, call);
    return audit_entry_check(call, request->index, request->entry_id);
}

static ProtobufCBinaryData *hashes_of(struct call *call, struct proof *proof)
{
    ProtobufCBinaryData *hashes = arena_array(&call->arena, proof->count, sizeof *hashes);
    for (size_t i = 0; i < proof->count; i++)
        hashes[i] = (ProtobufCBinaryData){ .data = proof->hash[i], .len = MERKLE_HASH_BYTES };
    return hashes;
}

/* The proof file, in the call's arena. */
static const char *proof_text(struct call *call)
{
    struct audit_entry_state *state = call->state;
    struct buf text;
    buf_init(&text, TLOG_PROOF_BYTES_MAX);
    struct slice note = slice_of(state->admin.note, strlen(state->admin.note));
    const char *copy = "";
    if (tlog_proof_write((uint64_t)state->index, &state->proof, note, &text) == 0)
        copy = arena_strdup(&call->arena, buf_cstr(&text));
    buf_fini(&text);
    return copy;
}

static enum step_result inclusion_answer(struct call *call)
{
    struct audit_entry_state *state = call->state;
    Sluice__V1__InclusionProof answer = SLUICE__V1__INCLUSION_PROOF__INIT;
    uint8_t hash[MERKLE_HASH_BYTES];
    merkle_leaf_hash(state->leaf.data, state->leaf.len, hash);
    answer.index = state->index;
    answer.size = (int64_t)state->checkpoint.size;
    answer.leaf_hash = (ProtobufCBinaryData){ .data = hash, .len = sizeof hash };
    answer.n_hashes = state->proof.count;
    answer.hashes = hashes_of(call, &state->proof);
    answer.note = state->admin.note;
    answer.proof = (char *)proof_text(call);
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static const struct step inclusion_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", inclusion_check, NULL },
    { "record", admin_record, admin_recorded },
    { "checkpoint", audit_entry_checkpoint, NULL },
    { "find", audit_entry_find, admin_ran },
    { "plan", audit_entry_plan, NULL },
    { "fill", audit_entry_fill, admin_ran },
    { "fetch", audit_entry_fetch, admin_ran },
    { "prove", audit_entry_prove, NULL },
    { "answer", inclusion_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_inclusion_method = {
    .path = "/sluice.v1.AuditService/GetInclusionProof",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__get_inclusion_proof_request__descriptor,
    .state_size = sizeof(struct audit_entry_state),
    .steps = inclusion_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- GetConsistencyProof ------------------------------------------------------------------------- */

static enum step_result consistency_check(struct call *call)
{
    const Sluice__V1__GetConsistencyProofRequest *request =
        REQUEST(Sluice__V1__GetConsistencyProofRequest, call);
    enum step_result result = audit_entry_check(call, request->old_size, "");
    struct audit_entry_state *state = call->state;
    state->admin.object = arena_format(&call->arena, "size %" PRId64, request->old_size);
    return result;
}

static enum step_result consistency_plan(struct call *call)
{
    struct audit_entry_state *state = call->state;
    if (proof_plan_consistency((uint64_t)state->index, state->checkpoint.size, &state->plan,
                               &call->err) != 0)
        return STEP_FAIL;
    proof_plan_root((uint64_t)state->index, &state->older);
    return STEP_NEXT;
}

static enum step_result consistency_answer(struct call *call)
{
    struct audit_entry_state *state = call->state;
    Sluice__V1__ConsistencyProof answer = SLUICE__V1__CONSISTENCY_PROOF__INIT;
    if (!proof_verify_consistency((uint64_t)state->index, state->checkpoint.size, state->older_root,
                                  state->checkpoint.root, &state->proof))
        return audit_entry_damaged(call);
    answer.old_size = state->index;
    answer.size = (int64_t)state->checkpoint.size;
    answer.old_root =
        (ProtobufCBinaryData){ .data = state->older_root, .len = sizeof state->older_root };
    answer.n_hashes = state->proof.count;
    answer.hashes = hashes_of(call, &state->proof);
    answer.note = state->admin.note;
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static const struct step consistency_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", consistency_check, NULL },
    { "record", admin_record, admin_recorded },
    { "checkpoint", audit_entry_checkpoint, NULL },
    { "plan", consistency_plan, NULL },
    { "fill", audit_entry_fill, admin_ran },
    { "fetch", audit_entry_fetch, admin_ran },
    { "answer", consistency_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_consistency_method = {
    .path = "/sluice.v1.AuditService/GetConsistencyProof",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_consistency_proof_request__descriptor,
    .state_size = sizeof(struct audit_entry_state),
    .steps = consistency_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};

/* --- ExportEvidence ------------------------------------------------------------------------------ */

static enum step_result evidence_check(struct call *call)
{
    const Sluice__V1__ExportEvidenceRequest *request =
        REQUEST(Sluice__V1__ExportEvidenceRequest, call);
    return audit_entry_check(call, request->index, request->entry_id);
}

static char *text_at(struct call *call, const struct db_rows *rows, int column)
{
    struct db_value value = db_value(rows, 0, column);
    return arena_strndup(&call->arena, (const char *)value.data, value.len);
}

static int take_salt(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct audit_entry_state *state = call->state;
    (void)err;
    if (db_row_count(rows) != 1)
        return 0;
    struct db_value entry = db_value(rows, 0, 1), wrapped = db_value(rows, 0, 2);
    if (entry.len == UUID_BYTES)
        memcpy(state->opening_entry, entry.data, UUID_BYTES);
    state->wrapped = slice_of(arena_dup(&call->arena, wrapped.data, wrapped.len), wrapped.len);
    state->opening.id = text_at(call, rows, 0);
    state->opening.requested_by = text_at(call, rows, 3);
    state->opening.approved_by = text_at(call, rows, 4);
    state->opening.reason = text_at(call, rows, 5);
    state->opening.approved_us = db_int8(db_value(rows, 0, 6));
    state->admin.object = arena_format(&call->arena, "%s, its salt opened by opening %s",
                                       state->admin.object, state->opening.id);
    return 0;
}

/* Whether the entry's salt is open to this officer: the call's own entry will say so. */
static enum step_result evidence_salt(struct call *call)
{
    const struct audit_entry_state *state = call->state;
    const char *params[] = { arena_format(&call->arena, "%" PRId64, state->index),
                             state->id[0] != '\0' ? state->id : NULL, call->identity.subject };
    struct db_sql sql = { .text = "SELECT id::text, entry_id, wrapped, requested_by, approved_by,"
                                  " reason, approved_us"
                                  " FROM audit.opened_salt($1::bigint, $2::uuid, $3)",
                          .param_count = 3,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_salt);
}

static void on_salt(void *arg, const uint8_t *salt, const struct err *err)
{
    struct call *call = arg;
    struct audit_entry_state *state = call->state;
    struct buf json;
    state->question = NULL;
    state->waiting_salt = false;
    buf_init(&json, EVIDENCE_MEMBER_BYTES_MAX);
    if (err != NULL)
        state->admin.failed = *err;
    else if (evidence_open_salt(&state->opening, salt, &json) != 0)
        (void)err_set(&state->admin.failed, ERR_INTERNAL, "EVIDENCE_FAILED",
                      "the evidence bundle could not be made");
    state->salt_json = slice_of(arena_dup(&call->arena, json.data, json.len), json.len);
    buf_fini(&json);
    call_resume(call);
}

static enum step_result evidence_unwrap(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct audit_entry_state *state = call->state;
    if (state->opening.id == NULL || gateway->audit == NULL)
        return STEP_NEXT;
    err_clear(&state->admin.failed);
    state->question = audit_client_unwrap(gateway->audit, state->opening_entry, state->wrapped,
                                          call->deadline_us, on_salt, call, &call->err);
    state->waiting_salt = state->question != NULL;
    return state->waiting_salt ? STEP_WAIT : STEP_FAIL;
}

static enum step_result evidence_unwrapped(struct call *call)
{
    struct audit_entry_state *state = call->state;
    if (state->waiting_salt)
        return STEP_WAIT;
    if (state->admin.failed.code == ERR_OK)
        return STEP_NEXT;
    call->err = state->admin.failed;
    return STEP_FAIL;
}

static enum step_result evidence_outcome(struct call *call)
{
    struct audit_entry_state *state = call->state;
    salt_question_cancel(&state->question);
    return admin_outcome(call);
}

/* The agreement as it stood: it goes along only when it is the one whose digest the entry holds. */
static int take_agreement(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct audit_entry_state *state = call->state;
    (void)err;
    if (db_row_count(rows) != 1)
        return 0;
    Sluice__V1__Agreement *agreement = agreement_from_row(&call->arena, rows, 0);
    Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(NULL, state->leaf.len, state->leaf.data);
    struct slice bound = agreement_bound(&call->arena, agreement);
    uint8_t digest[HASH_BYTES];
    hash_sha256(&bound, 1, digest);
    if (entry != NULL && entry->why != NULL && entry->why->agreement_digest.len == sizeof digest &&
        memcmp(entry->why->agreement_digest.data, digest, sizeof digest) == 0)
        state->agreement = bound;
    if (entry != NULL)
        sluice__v1__audit_entry__free_unpacked(entry, NULL);
    return 0;
}

static enum step_result evidence_agreement(struct call *call)
{
    struct audit_entry_state *state = call->state;
    const char *params[] = { arena_format(&call->arena, "%" PRId64, state->index) };
    struct db_sql sql = { .text = arena_format(
                              &call->arena,
                              "SELECT %s FROM control.agreement WHERE id ="
                              " (SELECT agreement FROM audit.entry WHERE index = $1::bigint)",
                              agreement_columns),
                          .param_count = 1,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_agreement);
}

static int take_key_events(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct audit_entry_state *state = call->state;
    size_t count = (size_t)db_row_count(rows);
    (void)err;
    state->key_changes = arena_array(&call->arena, count, sizeof *state->key_changes);
    for (size_t i = 0; i < count; i++) {
        struct db_value leaf = db_value(rows, (int)i, 0);
        struct err ignored = ERR_INIT;
        Sluice__V1__AuditEntry *entry = sluice__v1__audit_entry__unpack(NULL, leaf.len, leaf.data);
        if (entry == NULL)
            continue;
        const char *note = entry->what != NULL ? entry->what->object : "";
        if (log_keys_change_check(slice_of(note, strlen(note)), state->checkpoint.origin,
                                  &ignored) == 0)
            state->key_changes[state->key_change_count++] =
                slice_of(arena_strdup(&call->arena, note), strlen(note));
        sluice__v1__audit_entry__free_unpacked(entry, NULL);
    }
    return 0;
}

static enum step_result evidence_keys(struct call *call)
{
    struct audit_entry_state *state = call->state;
    const char *params[] = { arena_format(&call->arena, "%" PRIu64, state->checkpoint.size),
                             arena_format(&call->arena, "%d", KEY_EVENTS_MAX) };
    struct db_sql sql = { .text = "SELECT leaf FROM audit.entry WHERE kind = 5"
                                  " AND index < $1::bigint ORDER BY index LIMIT $2::bigint",
                          .param_count = 2,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_key_events);
}

/* Sends what fits; the rest when the peer has read. */
static int send_chunks(struct call *call)
{
    struct audit_entry_state *state = call->state;
    while (state->sent < state->zip.len && call_unsent(call) < CALL_UNSENT_HIGH_BYTES) {
        Sluice__V1__EvidenceChunk chunk = SLUICE__V1__EVIDENCE_CHUNK__INIT;
        uint8_t packed[EVIDENCE_CHUNK_BYTES + 16];
        size_t left = state->zip.len - state->sent;
        chunk.data.data = state->zip.data + state->sent;
        chunk.data.len = left < EVIDENCE_CHUNK_BYTES ? left : EVIDENCE_CHUNK_BYTES;
        if (call_send(call, packed, sluice__v1__evidence_chunk__pack(&chunk, packed)) < 0)
            return -1;
        state->sent += chunk.data.len;
    }
    return 0;
}

static enum step_result evidence_sent(struct call *call)
{
    struct audit_entry_state *state = call->state;
    if (call->err.code != ERR_OK)
        return STEP_FAIL;
    return state->sent < state->zip.len ? STEP_WAIT : STEP_NEXT;
}

static enum step_result evidence_answer(struct call *call)
{
    struct audit_entry_state *state = call->state;
    const char *proof = proof_text(call);
    struct evidence_input input = {
        .index = (uint64_t)state->index,
        .leaf = state->leaf,
        .proof = slice_of(proof, strlen(proof)),
        .checkpoint = slice_of(state->admin.note, strlen(state->admin.note)),
        .agreement = state->agreement,
        .key_changes = state->key_changes,
        .key_change_count = state->key_change_count,
        .opened = state->salt_json,
    };
    buf_init(&state->zip, EVIDENCE_BYTES_MAX);
    state->opened = true;
    if (evidence_build(&input, &state->zip, &call->err) != 0 || send_chunks(call) != 0)
        return STEP_FAIL;
    return evidence_sent(call);
}

static void evidence_writable(struct call *call)
{
    struct audit_entry_state *state = call->state;
    if (!state->opened || state->sent == state->zip.len)
        return;
    if (send_chunks(call) != 0 || state->sent == state->zip.len)
        call_resume(call);
}

static void evidence_finish(struct call *call, bool delivered)
{
    struct audit_entry_state *state = call->state;
    salt_question_cancel(&state->question);
    admin_finish(call, delivered);
    if (state->opened)
        buf_fini(&state->zip);
}

static const struct step evidence_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", evidence_check, NULL },
    { "salt", evidence_salt, admin_ran },
    { "unwrap", evidence_unwrap, evidence_unwrapped },
    { "record", admin_record, admin_recorded },
    { "checkpoint", audit_entry_checkpoint, NULL },
    { "find", audit_entry_find, admin_ran },
    { "plan", audit_entry_plan, NULL },
    { "fill", audit_entry_fill, admin_ran },
    { "fetch", audit_entry_fetch, admin_ran },
    { "prove", audit_entry_prove, NULL },
    { "agreement", evidence_agreement, admin_ran },
    { "keys", evidence_keys, admin_ran },
    { "answer", evidence_answer, evidence_sent },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_evidence_method = {
    .path = "/sluice.v1.AuditService/ExportEvidence",
    .kind = RPC_SERVER_STREAM,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__export_evidence_request__descriptor,
    .state_size = sizeof(struct audit_entry_state),
    .steps = evidence_steps,
    .outcome = evidence_outcome,
    .writable = evidence_writable,
    .finish = evidence_finish,
};

/* --- RecordKeyChange ----------------------------------------------------------------------------- */

/* The gateway's workers hold no key of the log: the note itself must convince whoever checks. */
static enum step_result key_change_check(struct call *call)
{
    const struct gateway *gateway = call->context;
    const Sluice__V1__RecordKeyChangeRequest *request =
        REQUEST(Sluice__V1__RecordKeyChangeRequest, call);
    struct admin *admin = call->state;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    if (log_keys_change_check(slice_of(request->note, strlen(request->note)),
                              gateway->conf->audit_origin, &call->err) != 0)
        return STEP_FAIL;
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__KEY_EVENT;
    admin->object = request->note;
    return STEP_NEXT;
}

static enum step_result key_change_answer(struct call *call)
{
    const struct admin *admin = call->state;
    Sluice__V1__RecordKeyChangeResponse answer = SLUICE__V1__RECORD_KEY_CHANGE_RESPONSE__INIT;
    answer.index = admin->index;
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static const struct step key_change_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", key_change_check, NULL },
    { "record", admin_record, admin_recorded },
    { "answer", key_change_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_key_change_method = {
    .path = "/sluice.v1.AuditService/RecordKeyChange",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_APPROVER | OFFICER_ADMINISTRATOR,
    .input = &sluice__v1__record_key_change_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = key_change_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
