/* Time stamps of RFC 3161: an authority that is not ours says that a checkpoint existed at a time.
 * Ownership: inputs are borrowed; a trust is owned by who loaded it.
 * Never calls back.
 * Limits: TIMESTAMP_BYTES_MAX a request or reply; a reply is hostile input.
 * Does not speak to the authority, and does not ask whether its certificate was revoked. */
#ifndef SLUICE_AUDIT_TIMESTAMP_H
#define SLUICE_AUDIT_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct err;
struct timestamp_trust;

enum {
    TIMESTAMP_BYTES_MAX = 64 * 1024, /* a token with its authority's chain has some 6 KiB */
};

/* Appends a TimeStampReq in DER over the SHA-256 of `data`, with a nonce, asking for certificates. */
int timestamp_request(struct slice data, struct buf *out, struct err *err);

/* Whether a TimeStampResp is the answer to `request`. -1 with FAILED_PRECONDITION TIMESTAMP_REFUSED:
 * the authority says no; DATA_LOSS TIMESTAMP_INVALID: it stamped something else, or is unreadable. */
int timestamp_accept(struct slice reply, struct slice request, struct err *err);

/* The authorities that a checker believes: certificates in PEM from `path`.
 * NULL with INVALID_ARGUMENT TIMESTAMP_TRUST_INVALID. */
struct timestamp_trust *timestamp_trust_load(const char *path, struct err *err);
void timestamp_trust_free(struct timestamp_trust **trust);

/* Checks a TimeStampResp over `data`: the imprint, made with SHA-2 of 256 bits or more or SM3; with a
 * trust also the signature, and the chain as it stood at the stamped time.
 * NULL when it holds, with the time in microseconds; else what is wrong. */
const char *timestamp_check(struct slice reply, struct slice data,
                            const struct timestamp_trust *trust, int64_t *time_us_r);

#endif
