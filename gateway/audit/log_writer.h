/* Writes a log as static files (C2SP tlog-tiles) into a folder, from its first entry or from where
 *   an earlier run ended.
 * Ownership: the writer owns its store; everything added is copied.
 * Never calls back; blocks for the disk.
 * Limits: holds one bundle and one tile a level, however long the log is.
 * Does not sign: the checkpoint is given, and refused unless it is of what was written. */
#ifndef SLUICE_AUDIT_LOG_WRITER_H
#define SLUICE_AUDIT_LOG_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "base/buf.h"

struct err;

struct log_writer_range { /* of entries whose bundles are written; tiles are always all */
    uint64_t from;
    uint64_t to;
};

/* To where a range without an end goes: an export of a log that was pruned, which grows. */
#define LOG_WRITER_NO_END UINT64_C(9999999999999)

struct tile_store;
/* What the folder's file `range` says. 1; 0: there is none, all entries are here; -1:
 * FAILED_PRECONDITION. */
int log_writer_read_range(struct tile_store *store, struct log_writer_range *range_r,
                          struct err *err);

struct log_writer;
/* Goes on behind the folder's checkpoint, if it has one. NULL: FAILED_PRECONDITION, DATA_LOSS. */
struct log_writer *log_writer_open(const char *path, struct err *err);
void log_writer_close(struct log_writer **writer);

/* Index of the entry wanted next: behind the folder's last full bundle at the beginning. */
uint64_t log_writer_next(const struct log_writer *writer);
/* Size of the checkpoint the folder holds; 0: none. */
uint64_t log_writer_published(const struct log_writer *writer);
/* The tree as it is before the next entry, to try entries on without writing them. */
const struct merkle_frontier *log_writer_tree(const struct log_writer *writer);

/* Only bundles that hold an entry of the range are written from now on, and the folder says so. */
int log_writer_restrict(struct log_writer *writer, const struct log_writer_range *range,
                        struct err *err);
/* Notes a batch that begins with the next entry: one line, "<id> <first> <count>\n". */
int log_writer_batch(struct log_writer *writer, struct slice line, struct err *err);
/* Adds one entry with its leaf hash and its columns line as the database has them. An empty leaf
 * stands for one that is missing. DATA_LOSS TILE_DIFFERS: the folder was written from other
 * entries. */
int log_writer_add(struct log_writer *writer, struct slice leaf,
                   const uint8_t leaf_hash[MERKLE_HASH_BYTES], struct slice columns,
                   struct err *err);
/* Writes what is not full yet, and then the checkpoint `note`, parsed as `checkpoint`, whose size
 * is the number of entries added. `matches_r` tells whether its root is that of the entries; when
 * it is not, it is published all the same only when `regardless`. */
int log_writer_publish(struct log_writer *writer, struct slice note,
                       const struct checkpoint *checkpoint, bool regardless, bool *matches_r,
                       struct err *err);
#endif
