/* Names and shapes of the static files of a log (C2SP tlog-tiles): hash tiles, entry bundles and,
 *   beside them, our search columns and batches.
 * Ownership: plain structs and the caller's buffers.
 * Never calls back.
 * Limits: indexes of at most MERKLE_SIZE_MAX; a bundle of TILE_BUNDLE_BYTES_MAX.
 * Does not open files: that is tile_store.h. */
#ifndef SLUICE_AUDIT_TILE_H
#define SLUICE_AUDIT_TILE_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/merkle.h"
#include "base/buf.h"

enum {
    TILE_HEIGHT = 8, /* levels of the tree in one tile */
    TILE_WIDTH = 256,
    TILE_LEVELS = (MERKLE_LEVELS + TILE_HEIGHT - 1) / TILE_HEIGHT,
    TILE_BYTES_MAX = TILE_WIDTH * MERKLE_HASH_BYTES,
    TILE_ENTRY_BYTES_MAX = 16 * 1024, /* as AUDIT_LEAF_BYTES_MAX */
    TILE_BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + TILE_ENTRY_BYTES_MAX),
    TILE_PATH_BYTES = 64,
};

enum tile_kind {
    TILE_HASHES,  /* tile/<level>/<n>: hashes, 32 bytes each */
    TILE_ENTRIES, /* tile/entries/<n>: length in two bytes, most significant first, and leaf, each */
    TILE_COLUMNS, /* columns/<n>: one line an entry, see columns.h */
    TILE_BATCHES, /* batches/<n>: "<id> <first> <count>" of each batch that begins there */
};

struct tile {
    enum tile_kind kind;
    unsigned level; /* of hash tiles */
    uint64_t index;
    unsigned width; /* 1 to TILE_WIDTH; less than that: a partial tile, "<n>.p/<width>" */
};

void tile_path(const struct tile *tile, char path_r[TILE_PATH_BYTES]);
/* False for anything that tile_path does not write. */
bool tile_path_parse(const char *path, struct tile *tile_r);

/* How wide tile `index` of `level` is in a tree of `size` leaves: 0 to TILE_WIDTH. */
unsigned tile_width(uint64_t size, unsigned level, uint64_t index);

/* Appends one entry of a bundle. -1: longer than TILE_ENTRY_BYTES_MAX, or over the ceiling. */
int tile_entry_write(struct buf *bundle, struct slice leaf);
/* Takes the next entry off `rest`. 1, 0 at the end, -1 when it is cut short or too long. */
int tile_entry_next(struct slice *rest, struct slice *leaf_r);

#endif
