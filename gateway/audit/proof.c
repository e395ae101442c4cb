#include "audit/proof.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"

/* --- plans --------------------------------------------------------------------------------------
 */

/* The largest power of two below `count`, as its exponent; `count` is at least 2. */
static unsigned split_level(uint64_t count)
{
    return 63 - (unsigned)__builtin_clzll(count - 1);
}

/* One hash of the proof: the root over [from, to), which begins at a multiple of its own split. */
static void plan_range(struct proof_plan *plan, uint64_t from, uint64_t to)
{
    size_t before = plan->count;
    while (from < to) {
        unsigned level = 63 - (unsigned)__builtin_clzll(to - from);
        assert(plan->count < PROOF_NODES_MAX);
        plan->nodes[plan->count++] = (struct proof_node){ level, from >> level };
        from += UINT64_C(1) << level;
    }
    assert(plan->hashes < PROOF_HASHES_MAX);
    plan->fold[plan->hashes++] = (uint8_t)(plan->count - before);
}

/* Ranges are found from the root down and stand in a proof from the leaf up. */
struct ranges {
    size_t count;
    uint64_t from[PROOF_HASHES_MAX];
    uint64_t to[PROOF_HASHES_MAX];
};

static void ranges_add(struct ranges *ranges, uint64_t from, uint64_t to)
{
    assert(ranges->count < PROOF_HASHES_MAX);
    ranges->from[ranges->count] = from;
    ranges->to[ranges->count++] = to;
}

static void plan_ranges(struct proof_plan *plan, const struct ranges *ranges)
{
    plan->hashes = 0;
    plan->count = 0;
    for (size_t i = ranges->count; i > 0; i--)
        plan_range(plan, ranges->from[i - 1], ranges->to[i - 1]);
}

int proof_plan_inclusion(uint64_t index, uint64_t size, struct proof_plan *plan_r, struct err *err)
{
    if (index >= size || size > MERKLE_SIZE_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "PROOF_RANGE",
                       "The tree of %" PRIu64 " entries has no entry %" PRIu64 ".", size, index);
    struct ranges ranges = { 0 };
    uint64_t from = 0, to = size;
    while (to - from > 1) {
        uint64_t middle = from + (UINT64_C(1) << split_level(to - from));
        if (index < middle) {
            ranges_add(&ranges, middle, to);
            to = middle;
        } else {
            ranges_add(&ranges, from, middle);
            from = middle;
        }
    }
    plan_ranges(plan_r, &ranges);
    return 0;
}

int proof_plan_consistency(uint64_t old, uint64_t size, struct proof_plan *plan_r, struct err *err)
{
    if (old == 0 || old > size || size > MERKLE_SIZE_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "PROOF_RANGE",
                       "There is no proof from %" PRIu64 " to %" PRIu64
                       " entries: the old size must be above 0 and not above the new one.",
                       old, size);
    struct ranges ranges = { 0 };
    uint64_t from = 0, to = size;
    bool whole = true; /* the old root itself is known to who checks, and need not be shown */
    while (old != to) {
        uint64_t middle = from + (UINT64_C(1) << split_level(to - from));
        if (old <= middle) {
            ranges_add(&ranges, middle, to);
            to = middle;
        } else {
            ranges_add(&ranges, from, middle);
            from = middle;
            whole = false;
        }
    }
    if (!whole)
        ranges_add(&ranges, from, to);
    plan_ranges(plan_r, &ranges);
    return 0;
}

void proof_plan_root(uint64_t size, struct proof_plan *plan_r)
{
    assert(size > 0 && size <= MERKLE_SIZE_MAX);
    plan_r->hashes = 0;
    plan_r->count = 0;
    plan_range(plan_r, 0, size);
}

void proof_make(const struct proof_plan *plan, const uint8_t (*nodes)[MERKLE_HASH_BYTES],
                struct proof *proof_r)
{
    size_t end = 0;
    proof_r->count = plan->hashes;
    for (size_t i = 0; i < plan->hashes; i++) {
        size_t first = end;
        end += plan->fold[i];
        memcpy(proof_r->hash[i], nodes[end - 1], MERKLE_HASH_BYTES);
        for (size_t at = end - 1; at > first; at--)
            merkle_node_hash(nodes[at - 1], proof_r->hash[i], proof_r->hash[i]);
    }
}

/* --- checking: RFC 9162 sections 2.1.3.2 and 2.1.4.2 --------------------------------------------
 */

bool proof_verify_inclusion(uint64_t index, uint64_t size,
                            const uint8_t leaf_hash[MERKLE_HASH_BYTES], const struct proof *proof,
                            const uint8_t root[MERKLE_HASH_BYTES])
{
    if (index >= size)
        return false;
    uint64_t fn = index, sn = size - 1;
    uint8_t r[MERKLE_HASH_BYTES];
    memcpy(r, leaf_hash, sizeof r);
    for (size_t i = 0; i < proof->count; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) != 0 || fn == sn) {
            merkle_node_hash(proof->hash[i], r, r);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            merkle_node_hash(r, proof->hash[i], r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(r, root, sizeof r) == 0;
}

bool proof_verify_consistency(uint64_t old, uint64_t size,
                              const uint8_t old_root[MERKLE_HASH_BYTES],
                              const uint8_t root[MERKLE_HASH_BYTES], const struct proof *proof)
{
    uint8_t fr[MERKLE_HASH_BYTES], sr[MERKLE_HASH_BYTES];
    if (old > size)
        return false;
    if (old == 0) {
        merkle_root_of(NULL, 0, fr);
        return proof->count == 0 && memcmp(fr, old_root, sizeof fr) == 0 &&
               (size > 0 || memcmp(fr, root, sizeof fr) == 0);
    }
    if (old == size)
        return proof->count == 0 && memcmp(old_root, root, MERKLE_HASH_BYTES) == 0;
    bool power = (old & (old - 1)) == 0;
    if (!power && proof->count == 0)
        return false;
    memcpy(fr, power ? old_root : proof->hash[0], sizeof fr);
    memcpy(sr, fr, sizeof sr);
    uint64_t fn = old - 1, sn = size - 1;
    for (; (fn & 1) != 0; fn >>= 1)
        sn >>= 1;
    for (size_t i = power ? 0 : 1; i < proof->count; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) != 0 || fn == sn) {
            merkle_node_hash(proof->hash[i], fr, fr);
            merkle_node_hash(proof->hash[i], sr, sr);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            merkle_node_hash(sr, proof->hash[i], sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(fr, old_root, sizeof fr) == 0 && memcmp(sr, root, sizeof sr) == 0;
}
