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
    uint8_t carry[MERKLE_HASH_BYTES];
    memcpy(carry, leaf_hash, sizeof carry);
    merkle_frontier_append(&builder->tree, leaf_hash);
    for (unsigned at = 0; at < TILE_LEVELS; at++) {
        struct tile_level *level = &builder->levels[at];
        memcpy(level->hashes + (size_t)level->count * MERKLE_HASH_BYTES, carry, sizeof carry);
        level->doubtful[level->count++] = doubtful;
        if (level->count < TILE_WIDTH)
            return 0;
        if (full(arg, at, level) != 0)
            return -1;
        merkle_root_of(level->hashes, TILE_WIDTH, carry);
        doubtful = any_doubtful(level);
        level->tile++;
        level->count = 0;
        memset(level->doubtful, 0, sizeof level->doubtful);
    }
    return 0;
}
