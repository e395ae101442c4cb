/* Evidence bundles: one entry and all that proves it, in a ZIP file.
 * Ownership: inputs are borrowed; a read bundle owns its members' bytes.
 * Never calls back.
 * Limits: EVIDENCE_BYTES_MAX a bundle, EVIDENCE_MEMBER_BYTES_MAX a member once unpacked,
 *   EVIDENCE_MEMBERS_MAX members; a bundle is hostile input.
 * Does not fetch anything. README.txt (gateway/audit/evidence/) lists the members. */
#ifndef SLUICE_AUDIT_EVIDENCE_H
#define SLUICE_AUDIT_EVIDENCE_H

#include <stddef.h>
#include <stdint.h>

#include "audit/salt.h"
#include "audit/verify.h"
#include "base/buf.h"

struct err;

enum {
    EVIDENCE_BYTES_MAX = 16 * 1024 * 1024,
    EVIDENCE_MEMBER_BYTES_MAX = 4 * 1024 * 1024,
    EVIDENCE_MEMBERS_MAX = 1200, /* an answer of 1,000 rows, all of them disclosed, and the rest */
    EVIDENCE_NAME_BYTES_MAX = 64,
};

#define EVIDENCE_TIMESTAMP "timestamp.tsr" /* over the member "checkpoint" */

struct evidence_input {
    uint64_t index;
    struct slice leaf;
    struct slice proof;      /* a proof file with its checkpoint, see tlog_proof.h */
    struct slice checkpoint; /* the note in it */
    struct slice agreement;  /* serialised as its digest was taken; empty: none */
    const struct slice *key_changes;
    size_t key_change_count;
    struct slice opened; /* opened/salt.json; empty: the salt is not open */
};
/* Puts the ZIP file into `zip_r`. INVALID_ARGUMENT: the leaf is no entry; INTERNAL: libzip. */
int evidence_build(const struct evidence_input *input, struct buf *zip_r, struct err *err);

/* Puts a copy of the bundle with one member added, or replaced, into `zip_r`. Errors as below. */
int evidence_add(struct slice zip, const char *name, struct slice data, struct buf *zip_r,
                 struct err *err);
/* Appends a member's bytes to `out`. INVALID_ARGUMENT EVIDENCE_UNREADABLE also when it is not there. */
int evidence_member(struct slice zip, const char *name, struct buf *out, struct err *err);

/* Checks a bundle; `trust`: whose time stamps are believed, NULL leaves their signatures unchecked.
 * 0 when it was checked, whatever was found; -1 with INVALID_ARGUMENT EVIDENCE_UNREADABLE when it is
 * no ZIP file or over a limit. */
int evidence_verify(struct slice zip, const struct audit_policy *policy,
                    const struct timestamp_trust *trust, struct verify_report *report,
                    struct err *err);

/* Checks a proof file over a leaf. */
void evidence_verify_proof(struct slice proof, struct slice leaf, const struct log_keys *keys,
                           const struct audit_policy *policy, struct verify_report *report);

/* --- an opened salt ------------------------------------------------------------------------------ */
struct evidence_opening {
    const char *id;
    const char *requested_by;
    const char *approved_by;
    const char *reason;
    int64_t approved_us;
};
/* Appends opened/salt.json. -1 when a text is not UTF-8 or `out` is full. */
int evidence_open_salt(const struct evidence_opening *opening, const uint8_t *salt,
                       struct buf *out);
/* The rest answers NULL when it holds, else what is wrong. */
const char *evidence_read_salt(struct slice json, uint8_t salt_r[SALT_BYTES]);
/* opened/filter.txt, the filter or key of the call, or opened/answer.bin, its whole answer. */
enum evidence_salted { EVIDENCE_FILTER, EVIDENCE_ANSWER };
const char *evidence_check_salted(const uint8_t *salt, enum evidence_salted what, struct slice data,
                                  struct slice leaf);
/* That the sub-salt of a disclosed row is derived from the salt. */
const char *evidence_check_sub_salt(const uint8_t *salt, struct slice json);

/* --- one disclosed row (or batch) -------------------------------------------------------------- */
/* JSON: {"form": "ROW" or "BATCH", "row": i, "rows": n, "sub_salt": hex, "record": base64,
 * "siblings": [hex, ...]}: the record's digest under the sub-salt, and the path from it to the
 * entry's rows.root. `salt` is the entry's; `digests` those of all n rows, in order. */
int evidence_disclose(const uint8_t *salt, const uint8_t *digests, uint64_t rows, uint64_t row,
                      struct slice record, struct buf *out);
/* NULL when it holds for the entry, else what is wrong. */
const char *evidence_check_row(struct slice json, struct slice leaf);

#endif
