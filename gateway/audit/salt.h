/* Keyed digests of what was released: values never enter the log in the clear, nor as plain
 *   hashes.
 * Ownership: salts and keys are the caller's 32 bytes; accumulators hold a copy and wipe it in
 *   fini.
 * Never calls back.
 * Limits: the row form counts at most AUDIT_ROWS_MAX records; batches are not limited.
 * Does not store anything. Digests made with one salt start with different words, so that no
 *   text a peer sends can make one kind of digest equal another. */
#ifndef SLUICE_AUDIT_SALT_H
#define SLUICE_AUDIT_SALT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/hash.h"
#include "audit/merkle.h"
#include "base/buf.h"

struct err;

enum {
    SALT_BYTES = 32,
    SALT_KEY_BYTES = 32,
    SALT_WRAPPED_BYTES = 12 + SALT_BYTES + 16, /* nonce, AES-256-GCM ciphertext, tag */
    AUDIT_ROWS_MAX =
        1000, /* larger answers use the batch form: a digest per row costs as much as reading it */
};

void salt_make(uint8_t salt_r[SALT_BYTES]);
void salt_wipe(uint8_t salt[SALT_BYTES]);

/* KDF(salt, i) = HMAC-SHA-256(salt, "row" || i as 8 bytes, most significant first) */
void salt_sub(const uint8_t salt[SALT_BYTES], uint64_t index, uint8_t sub_r[SALT_BYTES]);
/* HMAC-SHA-256(sub-salt, record) */
void salt_row_digest(const uint8_t sub[SALT_BYTES], struct slice record, uint8_t out_r[HASH_BYTES]);
/* SHA-256(sub-salt || batch) */
void salt_batch_digest(const uint8_t sub[SALT_BYTES], struct slice batch,
                       uint8_t out_r[HASH_BYTES]);
/* HMAC-SHA-256(salt, "filter" || 0x00 || text): the filter or key of a call. */
void salt_filter_digest(const uint8_t salt[SALT_BYTES], struct slice text,
                        uint8_t out_r[HASH_BYTES]);
/* HMAC-SHA-256(salt, "answer" || 0x00 || bytes): a whole answer. */
void salt_answer_digest(const uint8_t salt[SALT_BYTES], struct slice answer,
                        uint8_t out_r[HASH_BYTES]);
/* The same for an answer that leaves in pieces; continue with hash_stream_add. */
void salt_answer_start(const uint8_t salt[SALT_BYTES], struct hash_stream *stream_r);

/* Key of the person index: HMAC-SHA-256(person key, "citizen-id" || 0x00 || value), the same in
 * every entry, so that an approved officer can find who read about a person. */
void salt_person_key(const uint8_t person_key[SALT_KEY_BYTES], struct slice value,
                     uint8_t out_r[HASH_BYTES]);

/* Root over the digests of an answer: leaf i of an RFC 6962 tree is digest i. */
enum audit_rows_form { AUDIT_ROWS_NONE, AUDIT_ROWS_ROW, AUDIT_ROWS_BATCH };
struct audit_rows {
    enum audit_rows_form form;
    uint8_t salt[SALT_BYTES];
    uint64_t count;   /* records */
    uint64_t bytes;   /* of records or batches */
    uint64_t batches; /* batch form only */
    struct merkle_frontier tree;
};
void audit_rows_init(struct audit_rows *rows, enum audit_rows_form form,
                     const uint8_t salt[SALT_BYTES]);
/* Row form. 0, or -1 when AUDIT_ROWS_MAX records are counted already (nothing changes). */
int audit_rows_add(struct audit_rows *rows, struct slice record);
/* Batch form: `records` of them lie in `batch`. */
void audit_rows_add_batch(struct audit_rows *rows, struct slice batch, uint64_t records);
void audit_rows_root(const struct audit_rows *rows, uint8_t out_r[MERKLE_HASH_BYTES]);
void audit_rows_fini(struct audit_rows *rows);

/* AES-256-GCM (NIST SP 800-38D) under the officers' key, bound to the entry's id. */
void salt_wrap(const uint8_t key[SALT_KEY_BYTES], const uint8_t entry_id[16],
               const uint8_t salt[SALT_BYTES], uint8_t wrapped_r[SALT_WRAPPED_BYTES]);
/* 0, or -1 when the key, the id or the bytes do not belong together. */
int salt_unwrap(const uint8_t key[SALT_KEY_BYTES], const uint8_t entry_id[16],
                const uint8_t *wrapped, size_t wrapped_len, uint8_t salt_r[SALT_BYTES]);

/* Reads a key file of exactly 32 raw bytes. Errors: FAILED_PRECONDITION. */
int salt_key_load(const char *path, uint8_t key_r[SALT_KEY_BYTES], struct err *err);

#endif
