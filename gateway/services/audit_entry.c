#include "services/audit_entry.h"

#include <inttypes.h>
#include <string.h>

#include "audit/tile.h"
#include "base/log.h"

enum step_result audit_entry_check(struct call *call, int64_t index, const char *id)
{
    struct audit_entry_state *state = call->state;
    uint8_t bytes[UUID_BYTES];
    state->admin.kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    state->admin.rule = "officer";
    state->admin.owner = call->identity.department;
    state->index = index;
    state->id = id;
    if (index < 0 || (id[0] != '\0' && !uuid_parse(id, bytes))) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "ENTRY_ID",
                      "name the entry by its index, from 0, or by its id, a UUID");
        return STEP_FAIL;
    }
    state->admin.object = id[0] != '\0' ? id : arena_format(&call->arena, "%" PRId64, index);
    return STEP_NEXT;
}

enum step_result audit_entry_checkpoint(struct call *call)
{
    struct audit_entry_state *state = call->state;
    struct slice text, signatures;
    const char *note = state->admin.note;
    if (note != NULL &&
        note_split(slice_of(note, strlen(note)), &text, &signatures, &call->err) == 0 &&
        checkpoint_parse(text, &state->checkpoint, &call->err) == 0 && state->checkpoint.size > 0)
        return STEP_NEXT;
    (void)err_set(&call->err, ERR_UNAVAILABLE, "AUDIT_UNAVAILABLE",
                  "the audit log is not available now; try again");
    return STEP_FAIL;
}

/* --- the entry ---------------------------------------------------------------------------------- */

/* No leaf: the index is below the minimum, its entry in an archive; of whom it was is not said. */
static const char by_index_sql[] =
    "SELECT e.index, e.leaf FROM audit.entry e WHERE e.index = $1::bigint"
    " AND (e.department = $2 OR e.owner = $2)"
    " UNION ALL SELECT m.index, NULL FROM audit.minimum m WHERE $1::bigint < m.index LIMIT 1";
static const char by_id_sql[] =
    "SELECT e.index, e.leaf FROM audit.entry_id i JOIN audit.entry e ON e.index = i.index"
    " WHERE i.id = $1::uuid AND (e.department = $2 OR e.owner = $2)";

static int take_entry(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct audit_entry_state *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_NOT_FOUND, "ENTRY_NOT_FOUND",
                       "there is no such entry that concerns your department");
    struct db_value leaf = db_value(rows, 0, 1);
    if (leaf.data == NULL)
        return err_set(err, ERR_NOT_FOUND, "ENTRY_ARCHIVED",
                       "the entry was moved to an archive; this log holds entries from %" PRId64
                       " on",
                       db_int8(db_value(rows, 0, 0)));
    state->index = db_int8(db_value(rows, 0, 0));
    state->leaf = slice_of(arena_dup(&call->arena, leaf.data, leaf.len), leaf.len);
    return 0;
}

enum step_result audit_entry_find(struct call *call)
{
    struct audit_entry_state *state = call->state;
    bool by_id = state->id[0] != '\0';
    const char *params[] = { by_id ? state->id
                                   : arena_format(&call->arena, "%" PRId64, state->index),
                             call->identity.department };
    struct db_sql sql = { .text = by_id ? by_id_sql : by_index_sql,
                          .param_count = 2,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_entry);
}

enum step_result audit_entry_describe(struct call *call)
{
    struct audit_entry_state *state = call->state;
    Sluice__V1__AuditEntry *entry =
        sluice__v1__audit_entry__unpack(NULL, state->leaf.len, state->leaf.data);
    if (entry == NULL)
        return audit_entry_damaged(call);
    if (entry->what != NULL) {
        state->admin.dataset = arena_strdup(&call->arena, entry->what->dataset);
        if (entry->what->owner[0] != '\0')
            state->admin.owner = arena_strdup(&call->arena, entry->what->owner);
    }
    sluice__v1__audit_entry__free_unpacked(entry, NULL);
    return STEP_NEXT;
}

/* --- hashes ------------------------------------------------------------------------------------- */

static int take_filled(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    if (db_row_count(rows) == 1 && db_bool(db_value(rows, 0, 0)))
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "PROOF_NOT_READY",
                   "the log is still being prepared for proofs; try again");
}

enum step_result audit_entry_fill(struct call *call)
{
    struct audit_entry_state *state = call->state;
    const char *params[] = { arena_format(&call->arena, "%" PRIu64, state->checkpoint.size),
                             arena_format(&call->arena, "%d", AUDIT_NODES_PER_CALL) };
    struct db_sql sql = { .text = "SELECT audit.fill_nodes($1::bigint, $2::integer)",
                          .param_count = 2,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_filled);
}

static const struct proof_node *node_at(const struct audit_entry_state *state, size_t at)
{
    return at < state->plan.count ? &state->plan.nodes[at]
                                  : &state->older.nodes[at - state->plan.count];
}

static int take_hashes(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct audit_entry_state *state = call->state;
    uint8_t nodes[2 * PROOF_NODES_MAX][MERKLE_HASH_BYTES];
    size_t count = state->plan.count + state->older.count;
    struct proof older;
    for (size_t i = 0; i < count; i++) {
        size_t hashes = (size_t)1 << node_at(state, i)->level % TILE_HEIGHT;
        struct db_value value = { 0 };
        if (i < (size_t)db_row_count(rows))
            value = db_value(rows, (int)i, 0);
        if (value.len != hashes * MERKLE_HASH_BYTES)
            return err_set(err, ERR_DATA_LOSS, "AUDIT_LOG_DAMAGED",
                           "the stored log lacks hashes of its entries; verify the log");
        merkle_root_of(value.data, hashes, nodes[i]);
    }
    proof_make(&state->plan, (const uint8_t(*)[MERKLE_HASH_BYTES])nodes, &state->proof);
    if (state->older.count > 0) {
        proof_make(&state->older, (const uint8_t(*)[MERKLE_HASH_BYTES])(nodes + state->plan.count),
                   &older);
        memcpy(state->older_root, older.hash[0], MERKLE_HASH_BYTES);
    }
    return 0;
}

enum step_result audit_entry_fetch(struct call *call)
{
    struct audit_entry_state *state = call->state;
    size_t count = state->plan.count + state->older.count;
    struct buf levels, starts, counts;
    struct buf *const texts[] = { &levels, &starts, &counts };
    for (size_t i = 0; i < 3; i++) {
        buf_init(texts[i], 8192);
        (void)buf_append_byte(texts[i], '{');
    }
    for (size_t i = 0; i < count; i++) {
        const struct proof_node *node = node_at(state, i);
        unsigned inside = node->level % TILE_HEIGHT;
        const char *comma = i > 0 ? "," : "";
        (void)buf_append_format(&levels, "%s%u", comma, node->level - inside);
        (void)buf_append_format(&starts, "%s%" PRIu64, comma, node->index << inside);
        (void)buf_append_format(&counts, "%s%u", comma, 1u << inside);
    }
    const char *params[3];
    for (size_t i = 0; i < 3; i++) {
        (void)buf_append_byte(texts[i], '}');
        params[i] = arena_strdup(&call->arena, buf_cstr(texts[i]));
        buf_fini(texts[i]);
    }
    struct db_sql sql = {
        .text = "SELECT hashes FROM audit.hashes($1::integer[], $2::bigint[], $3::integer[])",
        .param_count = 3,
        .params = arena_dup(&call->arena, params, sizeof params)
    };
    return admin_run(call, &sql, take_hashes);
}

/* --- inclusion ---------------------------------------------------------------------------------- */

enum step_result audit_entry_plan(struct call *call)
{
    struct audit_entry_state *state = call->state;
    return proof_plan_inclusion((uint64_t)state->index, state->checkpoint.size, &state->plan,
                                &call->err) == 0
               ? STEP_NEXT
               : STEP_FAIL;
}

enum step_result audit_entry_damaged(struct call *call)
{
    (void)err_set(&call->err, ERR_DATA_LOSS, "AUDIT_LOG_DAMAGED",
                  "the stored log is not the one that was signed; export and verify it");
    log_error(LOG_ERROR, &call->log, "audit_log_damaged", &call->err);
    return STEP_FAIL;
}

enum step_result audit_entry_prove(struct call *call)
{
    struct audit_entry_state *state = call->state;
    uint8_t hash[MERKLE_HASH_BYTES];
    merkle_leaf_hash(state->leaf.data, state->leaf.len, hash);
    return proof_verify_inclusion((uint64_t)state->index, state->checkpoint.size, hash,
                                  &state->proof, state->checkpoint.root)
               ? STEP_NEXT
               : audit_entry_damaged(call);
}
