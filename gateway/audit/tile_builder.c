#include "audit/tile_builder.h"

#include <string.h>

void tile_builder_init(struct tile_builder *builder)
{
    memset(builder, 0, sizeof *builder);
}

static bool any_doubtful(const struct tile_level *level)
{
    return memchr(level->doubtful, true, sizeof level->doubtful) != NULL;
}

int tile_builder_push(struct tile_builder *builder, const uint8_t leaf_hash[MERKLE_HASH_BYTES],
                      bool doubtful, tile_builder_fn full, void *arg)
{
    /* A tile's root is a node of the tree: it is hashed once, there. */
    uint8_t roots[TILE_LEVELS][MERKLE_HASH_BYTES];
    (void)merkle_frontier_append_roots(&builder->tree, leaf_hash, TILE_HEIGHT, roots, TILE_LEVELS);
    for (unsigned at = 0; at < TILE_LEVELS; at++) {
        struct tile_level *level = &builder->levels[at];
        memcpy(level->hashes + (size_t)level->count * MERKLE_HASH_BYTES,
               at == 0 ? leaf_hash : roots[at - 1], MERKLE_HASH_BYTES);
        level->doubtful[level->count++] = doubtful;
        if (level->count < TILE_WIDTH)
            return 0;
        if (full(arg, at, level) != 0)
            return -1;
        doubtful = any_doubtful(level);
        level->tile++;
        level->count = 0;
        memset(level->doubtful, 0, sizeof level->doubtful);
    }
    return 0;
}
