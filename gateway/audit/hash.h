/* SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104) over pieces, cheap enough for every row.
 * Ownership: one-shot functions own nothing; a hash_stream holds a context until final or fini.
 * Never calls back.
 * Limits: keys of at most HASH_BLOCK_BYTES; a failing library aborts, since no entry would be true.
 * Does not choose what is hashed: domain separation is the caller's. */
#ifndef SLUICE_AUDIT_HASH_H
#define SLUICE_AUDIT_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { HASH_BYTES = 32, HASH_BLOCK_BYTES = 64 };

void hash_sha256(const struct slice *pieces, size_t count, uint8_t out_r[HASH_BYTES]);
void hash_hmac(const uint8_t *key, size_t key_len, const struct slice *pieces, size_t count,
               uint8_t out_r[HASH_BYTES]);

/* HMAC-SHA-256 of bytes that come one after the other. */
struct hash_stream {
    struct evp_md_ctx_st *context; /* NULL: not started */
    uint8_t outer[HASH_BLOCK_BYTES];
};
void hash_stream_init(struct hash_stream *stream, const uint8_t *key, size_t key_len);
void hash_stream_add(struct hash_stream *stream, const void *data, size_t len);
void hash_stream_final(struct hash_stream *stream, uint8_t out_r[HASH_BYTES]); /* and fini */
void hash_stream_fini(struct hash_stream *stream); /* wipes; harmless twice */

#endif
