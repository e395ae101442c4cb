/* Proof files (C2SP tlog-proof): an entry's index, the hashes of its inclusion proof, a checkpoint.
 * Ownership: a parsed note borrows from the text.
 * Never calls back.
 * Limits: TLOG_PROOF_BYTES_MAX; hostile input.
 * Does not check the proof (proof.h) and no signature (checkpoint.h). */
#ifndef SLUICE_AUDIT_TLOG_PROOF_H
#define SLUICE_AUDIT_TLOG_PROOF_H

#include <stdint.h>

#include "audit/note.h"
#include "audit/proof.h"
#include "base/buf.h"

struct err;

enum { TLOG_PROOF_BYTES_MAX = NOTE_BYTES_MAX + 4096 };

/* -1: over the ceiling of `out`. */
int tlog_proof_write(uint64_t index, const struct proof *proof, struct slice note, struct buf *out);
/* INVALID_ARGUMENT for anything that tlog_proof_write does not write, an "extra" line apart. */
int tlog_proof_parse(struct slice text, uint64_t *index_r, struct proof *proof_r,
                     struct slice *note_r, struct err *err);

#endif
