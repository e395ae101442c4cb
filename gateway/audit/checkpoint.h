/* Checkpoints of a log (C2SP tlog-checkpoint): origin, size, base64 root; one line each.
 * Ownership: struct checkpoint is plain memory of the caller's.
 * Never calls back.
 * Limits: origins of CHECKPOINT_ORIGIN_BYTES_MAX, sizes up to MERKLE_SIZE_MAX; input is hostile.
 * Does not judge consistency between checkpoints. */
#ifndef SLUICE_AUDIT_CHECKPOINT_H
#define SLUICE_AUDIT_CHECKPOINT_H

#include <stdint.h>

#include "audit/merkle.h"
#include "audit/note.h"
#include "base/buf.h"

struct err;

enum { CHECKPOINT_ORIGIN_BYTES_MAX = NOTE_NAME_BYTES_MAX };

struct checkpoint {
    char origin[CHECKPOINT_ORIGIN_BYTES_MAX + 1];
    uint64_t size;
    uint8_t root[MERKLE_HASH_BYTES];
};

/* Appends the three lines. -1: over the ceiling of `out`. */
int checkpoint_write(const struct checkpoint *checkpoint, struct buf *out);
/* Reads a checkpoint's text. Extension lines may follow and are ignored. INVALID_ARGUMENT. */
int checkpoint_parse(struct slice text, struct checkpoint *checkpoint_r, struct err *err);

/* Appends the signed note of a checkpoint. -1: over the ceiling of `out`. */
int checkpoint_sign(const struct note_signer *signer, const struct checkpoint *checkpoint,
                    struct buf *out);
/* Opens a signed checkpoint of `origin` (see note_open for the verifiers and errors). */
int checkpoint_open(struct slice note, const char *origin,
                    const struct note_verifier *const *verifiers, size_t count,
                    struct checkpoint *checkpoint_r, uint32_t *verified_r, struct err *err);

#endif
