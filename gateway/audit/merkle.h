/* The Merkle tree of RFC 6962 section 2.1 over SHA-256, kept as its frontier.
 * Ownership: a frontier is a plain struct of the caller's, copied by assignment.
 * Never calls back.
 * Limits: at most 2^MERKLE_LEVELS - 1 leaves, so a frontier has at most MERKLE_LEVELS hashes.
 * Does not store leaves and makes no proofs. */
#ifndef SLUICE_AUDIT_MERKLE_H
#define SLUICE_AUDIT_MERKLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { MERKLE_HASH_BYTES = 32, MERKLE_LEVELS = 40 };
enum { MERKLE_FRONTIER_BYTES_MAX = 8 + MERKLE_LEVELS * MERKLE_HASH_BYTES };
#define MERKLE_SIZE_MAX ((UINT64_C(1) << MERKLE_LEVELS) - 1)

/* The roots of the complete subtrees a tree of `size` leaves is made of: node[i] covers 2^i leaves
 * and means something only where bit i of `size` is set. */
struct merkle_frontier {
    uint64_t size;
    uint8_t node[MERKLE_LEVELS][MERKLE_HASH_BYTES];
};

/* SHA-256(0x00 || leaf) */
void merkle_leaf_hash(const void *leaf, size_t len, uint8_t out_r[MERKLE_HASH_BYTES]);
/* SHA-256(0x01 || left || right); `out_r` may be one of the inputs. */
void merkle_node_hash(const uint8_t left[MERKLE_HASH_BYTES], const uint8_t right[MERKLE_HASH_BYTES],
                      uint8_t out_r[MERKLE_HASH_BYTES]);

void merkle_frontier_init(struct merkle_frontier *frontier); /* the empty tree */
/* Adds one leaf by its leaf hash. A tree that is full is a bug: asserted. */
void merkle_frontier_append(struct merkle_frontier *frontier,
                            const uint8_t leaf_hash[MERKLE_HASH_BYTES]);
/* The same. roots_r[n] becomes the root of the complete subtree of 2^(height * (n + 1)) leaves that ends with
 * this one; answers how many there are, at most `max`. */
unsigned merkle_frontier_append_roots(struct merkle_frontier *frontier,
                                      const uint8_t leaf_hash[MERKLE_HASH_BYTES], unsigned height,
                                      uint8_t (*roots_r)[MERKLE_HASH_BYTES], unsigned max);
/* The root; of the empty tree, SHA-256 of nothing. */
void merkle_frontier_root(const struct merkle_frontier *frontier, uint8_t out_r[MERKLE_HASH_BYTES]);

/* Size as 8 bytes, most significant first, then the hashes from the largest subtree down. Appends
 * to `out`; 0, or -1 when its ceiling is reached. */
int merkle_frontier_write(const struct merkle_frontier *frontier, struct buf *out);
/* 0, or -1 when the bytes are not exactly one frontier (`frontier_r` is then undefined). */
int merkle_frontier_parse(const uint8_t *data, size_t len, struct merkle_frontier *frontier_r);

/* Root over `count` leaf hashes that lie one behind the other. */
void merkle_root_of(const uint8_t *leaf_hashes, size_t count, uint8_t out_r[MERKLE_HASH_BYTES]);

#endif
