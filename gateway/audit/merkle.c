#include "audit/merkle.h"

#include <assert.h>
#include <string.h>

#include "audit/hash.h"

static const uint8_t leaf_prefix = 0x00;
static const uint8_t node_prefix = 0x01;

void merkle_leaf_hash(const void *leaf, size_t len, uint8_t out_r[MERKLE_HASH_BYTES])
{
    struct slice pieces[] = { slice_of(&leaf_prefix, 1), slice_of(leaf, len) };
    hash_sha256(pieces, 2, out_r);
}

void merkle_node_hash(const uint8_t left[MERKLE_HASH_BYTES], const uint8_t right[MERKLE_HASH_BYTES],
                      uint8_t out_r[MERKLE_HASH_BYTES])
{
    uint8_t joined[1 + 2 * MERKLE_HASH_BYTES];
    joined[0] = node_prefix;
    memcpy(joined + 1, left, MERKLE_HASH_BYTES);
    memcpy(joined + 1 + MERKLE_HASH_BYTES, right, MERKLE_HASH_BYTES);
    struct slice piece = slice_of(joined, sizeof joined);
    hash_sha256(&piece, 1, out_r);
}

void merkle_frontier_init(struct merkle_frontier *frontier)
{
    frontier->size = 0;
}

unsigned merkle_frontier_append_roots(struct merkle_frontier *frontier,
                                      const uint8_t leaf_hash[MERKLE_HASH_BYTES], unsigned height,
                                      uint8_t (*roots_r)[MERKLE_HASH_BYTES], unsigned max)
{
    assert(frontier->size < MERKLE_SIZE_MAX);
    uint8_t carry[MERKLE_HASH_BYTES];
    memcpy(carry, leaf_hash, sizeof carry);
    unsigned level = 0, count = 0;
    /* Adding one to a binary number: each carry joins two complete subtrees of one height. */
    for (; (frontier->size >> level & 1) != 0; level++) {
        merkle_node_hash(frontier->node[level], carry, carry);
        if (count < max && level + 1 == (count + 1) * height)
            memcpy(roots_r[count++], carry, sizeof carry);
    }
    memcpy(frontier->node[level], carry, sizeof carry);
    frontier->size++;
    return count;
}

void merkle_frontier_append(struct merkle_frontier *frontier,
                            const uint8_t leaf_hash[MERKLE_HASH_BYTES])
{
    (void)merkle_frontier_append_roots(frontier, leaf_hash, 1, NULL, 0);
}

void merkle_frontier_root(const struct merkle_frontier *frontier, uint8_t out_r[MERKLE_HASH_BYTES])
{
    if (frontier->size == 0) {
        hash_sha256(NULL, 0, out_r);
        return;
    }
    unsigned level = 0;
    while ((frontier->size >> level & 1) == 0)
        level++;
    memcpy(out_r, frontier->node[level], MERKLE_HASH_BYTES);
    for (level++; level < MERKLE_LEVELS; level++) {
        if ((frontier->size >> level & 1) != 0)
            merkle_node_hash(frontier->node[level], out_r, out_r);
    }
}

int merkle_frontier_write(const struct merkle_frontier *frontier, struct buf *out)
{
    if (buf_reserve(out, MERKLE_FRONTIER_BYTES_MAX) != 0)
        return -1;
    for (int shift = 56; shift >= 0; shift -= 8)
        (void)buf_append_byte(out, (uint8_t)(frontier->size >> shift));
    for (int level = MERKLE_LEVELS - 1; level >= 0; level--) {
        if ((frontier->size >> level & 1) != 0)
            (void)buf_append(out, frontier->node[level], MERKLE_HASH_BYTES);
    }
    return 0;
}

int merkle_frontier_parse(const uint8_t *data, size_t len, struct merkle_frontier *frontier_r)
{
    if (len < 8)
        return -1;
    uint64_t size = 0;
    for (int i = 0; i < 8; i++)
        size = size << 8 | data[i];
    if (size > MERKLE_SIZE_MAX)
        return -1;
    if (len != 8 + (size_t)__builtin_popcountll(size) * MERKLE_HASH_BYTES)
        return -1;
    data += 8;
    frontier_r->size = size;
    for (int level = MERKLE_LEVELS - 1; level >= 0; level--) {
        if ((size >> level & 1) != 0) {
            memcpy(frontier_r->node[level], data, MERKLE_HASH_BYTES);
            data += MERKLE_HASH_BYTES;
        }
    }
    return 0;
}

void merkle_root_of(const uint8_t *leaf_hashes, size_t count, uint8_t out_r[MERKLE_HASH_BYTES])
{
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (size_t i = 0; i < count; i++)
        merkle_frontier_append(&frontier, leaf_hashes + i * MERKLE_HASH_BYTES);
    merkle_frontier_root(&frontier, out_r);
}
