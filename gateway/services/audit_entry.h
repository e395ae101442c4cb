/* What the methods about one entry share: finding it, its proof, its checkpoint.
 * Ownership: struct audit_entry_state is the state of such a call; its bytes lie in the call's arena.
 * Callbacks: through the call's steps.
 * Limits: AUDIT_NODES_PER_CALL subtrees are hashed for one call; a log that was never asked for a
 *   proof takes several calls to catch up.
 * Does not show entries of other departments: for them there is no such entry. */
#ifndef SLUICE_SERVICES_AUDIT_ENTRY_H
#define SLUICE_SERVICES_AUDIT_ENTRY_H

#include "audit/checkpoint.h"
#include "audit/evidence.h"
#include "audit/proof.h"
#include "services/admin.h"

enum { AUDIT_NODES_PER_CALL = 4000 }; /* of 256 hashes each: about a second */

struct audit_entry_state {
    struct admin admin; /* first */
    /* Which entry: by id, else by index. */
    int64_t index;
    const char *id;
    /* Found. */
    struct slice leaf;
    /* The checkpoint that covers the call's own entry. */
    struct checkpoint checkpoint;
    /* What is proved: `root_nodes` of the plan's last nodes make the root of an older tree. */
    struct proof_plan plan;
    struct proof_plan older;
    struct proof proof;
    uint8_t older_root[MERKLE_HASH_BYTES];
    /* Evidence. */
    struct slice agreement;
    struct slice *key_changes;
    size_t key_change_count;
    struct evidence_opening opening; /* id NULL: the salt is not open to this officer */
    uint8_t opening_entry[UUID_BYTES];
    struct slice wrapped;
    struct salt_question *question;
    bool waiting_salt;
    struct slice salt_json;
    struct buf zip;
    size_t sent;
    bool opened;
};

enum step_result audit_entry_check(struct call *call, int64_t index, const char *id);
/* Reads the checkpoint that came with the call's own entry. */
enum step_result audit_entry_checkpoint(struct call *call);
/* Finds the entry; resumed by admin_ran. */
enum step_result audit_entry_find(struct call *call);
/* What the call's own entry says of the entry found: its dataset and its owner. */
enum step_result audit_entry_describe(struct call *call);
/* Sees to it that the subtrees are hashed, then fetches the plan's; resumed by admin_ran. */
enum step_result audit_entry_fill(struct call *call);
enum step_result audit_entry_fetch(struct call *call);
/* Plans and checks an inclusion proof. */
enum step_result audit_entry_plan(struct call *call);
enum step_result audit_entry_prove(struct call *call);
/* The proof does not hold: the store was changed behind our back. */
enum step_result audit_entry_damaged(struct call *call);

#endif
