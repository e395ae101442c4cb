/* Grows a tree leaf by leaf and hands out each hash tile as it becomes full.
 * Ownership: a plain struct of the caller's, about 40 KiB.
 * Callbacks: `full` inside tile_builder_push, the lowest level first.
 * Limits: one open tile a level.
 * Does not write tiles. */
#ifndef SLUICE_AUDIT_TILE_BUILDER_H
#define SLUICE_AUDIT_TILE_BUILDER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/merkle.h"
#include "audit/tile.h"

struct tile_level {
    uint64_t tile; /* index of the open tile */
    unsigned count;
    uint8_t hashes[TILE_BYTES_MAX];
    bool doubtful[TILE_WIDTH]; /* the caller's mark, handed on to the level above */
};

struct tile_builder {
    struct merkle_frontier tree;
    struct tile_level levels[TILE_LEVELS];
};

/* The tile is whole; `level->doubtful` may still be marked. 0, or -1 to stop. */
typedef int (*tile_builder_fn)(void *arg, unsigned at, struct tile_level *level);

void tile_builder_init(struct tile_builder *builder);
/* Adds one leaf hash. -1: `full` said so. */
int tile_builder_push(struct tile_builder *builder, const uint8_t leaf_hash[MERKLE_HASH_BYTES],
                      bool doubtful, tile_builder_fn full, void *arg);

#endif
