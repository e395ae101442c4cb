/* A folder of static log files: written once, read by anybody.
 * Ownership: the store is the caller's; it holds one descriptor of the folder.
 * Never calls back; blocks for the disk, so no worker and no auditor uses it.
 * Limits: one file is at most TILE_STORE_FILE_BYTES_MAX; names are relative and ours.
 * Does not judge what it reads. A crash at any point leaves whole files or none: each is written
 *   beside its place, synced, and renamed; only the checkpoint is ever replaced. */
#ifndef SLUICE_AUDIT_TILE_STORE_H
#define SLUICE_AUDIT_TILE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/merkle.h"
#include "audit/tile.h"
#include "base/buf.h"

struct err;
struct proof;
struct proof_plan;

enum { TILE_STORE_FILE_BYTES_MAX = TILE_BUNDLE_BYTES_MAX };

struct tile_store;
/* `create` makes the folder when it is absent. NULL: FAILED_PRECONDITION. */
struct tile_store *tile_store_open(const char *path, bool create, struct err *err);
void tile_store_close(struct tile_store **store);

/* Writes a file that is not there yet. When it is there with the same bytes, nothing happens; with
 * others: DATA_LOSS TILE_DIFFERS and nothing happens either. FAILED_PRECONDITION: the disk. */
int tile_store_put(struct tile_store *store, const char *name, struct slice data, struct err *err);
/* Puts a new whole file in the place of an old one. */
int tile_store_replace(struct tile_store *store, const char *name, struct slice data,
                       struct err *err);
/* Drops the partial tiles that a full one has made superfluous; what cannot go stays. */
void tile_store_drop_partial(struct tile_store *store, const struct tile *full);

/* 1: `data_r` (whose old bytes go) holds the file; 0: there is none; -1: FAILED_PRECONDITION. */
int tile_store_read(struct tile_store *store, const char *name, struct buf *data_r,
                    struct err *err);
/* The same of a tile in a log of `size` leaves: when a partial one is gone, the full one's first
 * part serves, as the specification says. Only for hash tiles. */
int tile_store_hashes(struct tile_store *store, uint64_t size, unsigned level, uint64_t index,
                      struct buf *data_r, struct err *err);
/* Roots of a plan's nodes in a log of `size` leaves, and the proof they make. DATA_LOSS when a tile
 * is missing or damaged. */
int tile_store_prove(struct tile_store *store, uint64_t size, const struct proof_plan *plan,
                     struct proof *proof_r, struct err *err);

#endif
