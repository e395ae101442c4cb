/* The keys of a log from the pinned ones on: each change is a note that the keys before it signed and
 *   that names the keys behind it.
 * Ownership: log_keys owns its verifiers; a policy is borrowed for log_keys_init only.
 * Never calls back.
 * Limits: LOG_KEYS_CHANGES_MAX changes; notes are hostile input.
 * Does not decide when a gateway changes keys. A change note reads
 *     sluice/key-change/v1
 *     <origin>
 *     <verifier key>            Ed25519, and in one more line SM2-SM3, if any
 * and stands as `object` in an entry of kind KEY_EVENT. Its first line is no origin of a log, so it
 *   can never be taken for a checkpoint. */
#ifndef SLUICE_AUDIT_LOG_KEYS_H
#define SLUICE_AUDIT_LOG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "audit/note.h"
#include "audit/policy.h"
#include "base/buf.h"

struct err;

enum { LOG_KEYS_CHANGES_MAX = 64, LOG_KEYS_NOTE_BYTES_MAX = 2048 };

struct log_keys {
    char *origin;
    size_t count; /* sets; the last is the newest */
    struct log_key_set {
        size_t count;
        char *texts[POLICY_KEYS_MAX]; /* verifier texts */
        struct note_verifier *keys[POLICY_KEYS_MAX];
    } sets[LOG_KEYS_CHANGES_MAX + 1];
};

/* Begins with the pinned keys. */
void log_keys_init(struct log_keys *keys, const struct audit_policy *policy);
void log_keys_fini(struct log_keys *keys);

/* Appends the note by which `old` names `next`. -1: over the ceiling of `out`. */
int log_keys_change_write(const char *origin, const struct note_signer *old,
                          const struct note_signer *next, struct buf *out);
/* Whether bytes are such a note of `origin`, whoever signed it. INVALID_ARGUMENT. */
int log_keys_change_check(struct slice note, const char *origin, struct err *err);
/* Takes a change: the newest keys must all have signed it. PERMISSION_DENIED, INVALID_ARGUMENT. */
int log_keys_change(struct log_keys *keys, struct slice note, struct err *err);

/* Opens a checkpoint that all keys of one set signed: the newest, or one of the `back` before it.
 * The witnesses of `policy` that cosigned it come out as bits of `witnesses_r`. Errors as
 * checkpoint_open. */
int log_keys_checkpoint(const struct log_keys *keys, const struct audit_policy *policy,
                        struct slice note, size_t back, struct checkpoint *checkpoint_r,
                        uint32_t *witnesses_r, struct err *err);

#endif
