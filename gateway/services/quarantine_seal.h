/* What the quarantine store keeps of a row: a keyed digest of its key, one of its bytes, and its
 *   place, sealed. Never the row, never a plain identifier.
 * Ownership: plain values; the keys are wiped by quarantine_keys_wipe.
 * Never calls back.
 * Limits: a place of PLAN_KEY_TEXT_BYTES_MAX.
 * Does not store anything. Keys: HKDF-SHA-256 (RFC 5869) of the person-index key; seal:
 *   AES-256-GCM (NIST SP 800-38D); digests: HMAC-SHA-256 (RFC 2104). */
#ifndef SLUICE_SERVICES_QUARANTINE_SEAL_H
#define SLUICE_SERVICES_QUARANTINE_SEAL_H

#include <stdint.h>

#include "audit/hash.h"
#include "schema/plan.h"

enum {
    QUARANTINE_KEY_BYTES = 32,
    QUARANTINE_SEALED_BYTES_MAX = 12 + PLAN_KEY_TEXT_BYTES_MAX + 16, /* nonce, place, tag */
};

struct quarantine_keys {
    uint8_t seal[QUARANTINE_KEY_BYTES];
    uint8_t digest[QUARANTINE_KEY_BYTES];
};

void quarantine_keys_derive(const uint8_t person_key[QUARANTINE_KEY_BYTES],
                            struct quarantine_keys *keys_r);
void quarantine_keys_wipe(struct quarantine_keys *keys);

/* HMAC(digest key, "place" || 0x00 || dataset || 0x00 || place). */
void quarantine_key_digest(const struct quarantine_keys *keys, const char *dataset,
                           const char *place, uint8_t out_r[HASH_BYTES]);
/* HMAC(digest key, "row" || 0x00 || for each column: 0x00, or 0x01, length in 4 bytes and value) of
 * the row as it was read: another set of columns is another digest. */
void quarantine_row_digest(const struct quarantine_keys *keys, const struct db_rows *rows, int row,
                           uint8_t out_r[HASH_BYTES]);

/* Bound to the key digest, so that a sealed place serves one row of the store only. Answers the
 * length. */
size_t quarantine_seal(const struct quarantine_keys *keys, const uint8_t key_digest[HASH_BYTES],
                       const char *place, uint8_t sealed_r[QUARANTINE_SEALED_BYTES_MAX]);
/* 0, or -1 when keys, digest and bytes do not belong together. */
int quarantine_open(const struct quarantine_keys *keys, const uint8_t key_digest[HASH_BYTES],
                    const uint8_t *sealed, size_t sealed_len,
                    char place_r[PLAN_KEY_TEXT_BYTES_MAX]);

#endif
