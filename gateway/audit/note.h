/* Signed notes (C2SP signed-note): text, a blank line, and lines "— <name> <base64(key id ||
 *   signature)>".
 * Ownership: signers and verifiers are heap objects of the caller's; signers wipe their keys.
 * Never calls back.
 * Limits: NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX; hostile input is expected everywhere.
 * Does not know what the text says (that is checkpoint.h). Type 0x01 is Ed25519 (RFC 8032), 0x04 a
 *   witness's Ed25519 with a time (C2SP tlog-cosignature; checked, never made); type 0xff followed
 *   by "sm2-sm3" is SM2 with SM3 (GB/T 32918, GB/T 32905), identity 1234567812345678. */
#ifndef SLUICE_AUDIT_NOTE_H
#define SLUICE_AUDIT_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;

enum {
    NOTE_BYTES_MAX = 16 * 1024,
    NOTE_SIGNATURES_MAX = 32,
    NOTE_NAME_BYTES_MAX = 255,
    NOTE_LINE_BYTES_MAX = 4096, /* an ML-DSA-44 line of a cosigner fits */
    NOTE_VERIFIERS_MAX = 32,
};

struct note_signer;
/* Keys are PKCS#8 PEM without a passphrase; `sm2_pem` may be empty. `name` is a key name: not
 * empty, no spaces, no '+'. NULL with an error: FAILED_PRECONDITION. */
struct note_signer *note_signer_new(const char *name, struct slice ed25519_pem,
                                    struct slice sm2_pem, struct err *err);
/* The same from files; `sm2_path` may be NULL. */
struct note_signer *note_signer_load(const char *name, const char *ed25519_path,
                                     const char *sm2_path, struct err *err);
void note_signer_free(struct note_signer **signer);
const char *note_signer_name(const struct note_signer *signer);
/* Verifier texts "name+keyidhex+base64(type || public key)", as people pin them. */
int note_signer_ed25519_text(const struct note_signer *signer, struct buf *out);
/* -1 also when there is no SM2 key. */
int note_signer_sm2_text(const struct note_signer *signer, struct buf *out);
/* Appends the signed note of `text`, which ends in a newline. -1: over the ceiling of `out`. */
int note_sign(const struct note_signer *signer, struct slice text, struct buf *out);

struct note_verifier;
/* From a verifier text. NULL with an error: INVALID_ARGUMENT. */
struct note_verifier *note_verifier_new(const char *text, struct err *err);
void note_verifier_free(struct note_verifier **verifier);
const char *note_verifier_name(const struct note_verifier *verifier);
enum note_kind { NOTE_KIND_ED25519, NOTE_KIND_SM2, NOTE_KIND_COSIGNATURE };
enum note_kind note_verifier_kind(const struct note_verifier *verifier);
/* The identity of SM2 signatures (GB/T 32918.2, "distid"): always given, never a library's default. */
const char *note_sm2_identity(void);

/* Splits a note and checks the signatures of the verifiers given; lines of other keys are ignored.
 * `text_r` borrows from `note` and includes its last newline; bit i of `verified_r` says that
 * verifier i signed. 0 when at least one did. Errors: INVALID_ARGUMENT (not a note),
 * PERMISSION_DENIED (a known key's signature is wrong, or none of them signed). */
int note_open(struct slice note, const struct note_verifier *const *verifiers, size_t count,
              struct slice *text_r, uint32_t *verified_r, struct err *err);
/* Only splits: for one's own stored notes, whose key may have been changed since. */
int note_split(struct slice note, struct slice *text_r, struct slice *signatures_r,
               struct err *err);

bool note_name_valid(const char *name, size_t len);

#endif
