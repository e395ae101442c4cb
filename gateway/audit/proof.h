/* Inclusion and consistency proofs of RFC 6962 section 2.1 (checked as RFC 9162 section 2.1 says).
 * Ownership: plain structs of the caller's.
 * Never calls back.
 * Limits: trees of at most MERKLE_SIZE_MAX leaves, so at most PROOF_HASHES_MAX hashes a proof.
 * Does not fetch hashes: a plan says which complete subtrees are needed, in which order, and
 *   whoever holds tiles or a table brings their roots. */
#ifndef SLUICE_AUDIT_PROOF_H
#define SLUICE_AUDIT_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/merkle.h"

struct err;

enum {
    PROOF_HASHES_MAX = MERKLE_LEVELS + 1,
    /* All but one of a proof's hashes are roots of complete subtrees; that one, at the right edge,
     * is made of at most one for each level. */
    PROOF_NODES_MAX = 2 * MERKLE_LEVELS + 2,
};

/* The complete subtree over leaves [index << level, (index + 1) << level). */
struct proof_node {
    unsigned level;
    uint64_t index;
};

struct proof_plan {
    size_t hashes;                  /* of the proof */
    uint8_t fold[PROOF_HASHES_MAX]; /* how many nodes each of them is made of, in order */
    size_t count;
    struct proof_node nodes[PROOF_NODES_MAX];
};

struct proof {
    size_t count;
    uint8_t hash[PROOF_HASHES_MAX][MERKLE_HASH_BYTES];
};

/* That leaf `index` is in the tree of `size` leaves. INVALID_ARGUMENT unless index < size. */
int proof_plan_inclusion(uint64_t index, uint64_t size, struct proof_plan *plan_r, struct err *err);
/* That the tree of `size` leaves begins with the tree of `old`. INVALID_ARGUMENT unless
 * 0 < old <= size. */
int proof_plan_consistency(uint64_t old, uint64_t size, struct proof_plan *plan_r, struct err *err);
/* The root of the tree of `size` leaves, as the one hash of the plan; `size` is above 0. */
void proof_plan_root(uint64_t size, struct proof_plan *plan_r);
/* `nodes` has the root of each of the plan's nodes, in order. */
void proof_make(const struct proof_plan *plan, const uint8_t (*nodes)[MERKLE_HASH_BYTES],
                struct proof *proof_r);

bool proof_verify_inclusion(uint64_t index, uint64_t size,
                            const uint8_t leaf_hash[MERKLE_HASH_BYTES], const struct proof *proof,
                            const uint8_t root[MERKLE_HASH_BYTES]);
/* `old` of 0 is consistent with everything and takes an empty proof and the empty tree's root. */
bool proof_verify_consistency(uint64_t old, uint64_t size,
                              const uint8_t old_root[MERKLE_HASH_BYTES],
                              const uint8_t root[MERKLE_HASH_BYTES], const struct proof *proof);

#endif
