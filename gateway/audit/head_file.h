/* The auditor's memory of the last checkpoint signed, in a file of its own, so that a store that was
 *   rolled back or rewritten is noticed after a restart.
 * Ownership: everything is copied; the file belongs to the auditors of one gateway, who take turns.
 * Never calls back; blocks for one fdatasync call when storing.
 * Limits: two slots of fixed size take turns, so a torn write leaves the checkpoint before it.
 * It is written after COMMIT and before anybody is answered, so it is never
 *   ahead of the store and never behind a receipt. */
#ifndef SLUICE_AUDIT_HEAD_FILE_H
#define SLUICE_AUDIT_HEAD_FILE_H

#include <stdbool.h>

#include "audit/checkpoint.h"
#include "audit/merkle.h"
#include "base/buf.h"

struct err;

enum { HEAD_FILE_BYTES_MAX = 64 * 1024 }; /* room to read any such file */

/* The newest note in the bytes of such a file, within them; false when they are none. */
bool head_file_note(struct slice file, struct slice *note_r);

/* 1: loaded, 0: there is no such file, -1: it is there but cannot be used (FAILED_PRECONDITION).
 * The signature is not checked: the log key may have been changed since, and who can write this
 * file can remove it too. */
int head_file_load(const char *path, const char *origin, struct merkle_frontier *frontier_r,
                   struct err *err);
/* 0, or -1 with UNAVAILABLE AUDIT_STATE_FILE. */
int head_file_store(const char *path, const struct merkle_frontier *frontier, struct slice note,
                    struct err *err);

#endif
