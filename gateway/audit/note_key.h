/* The signature algorithms of notes behind one shape.
 * Ownership: a key owns its OpenSSL object; note_key_fini frees it.
 * Never calls back.
 * Limits: signatures of at most NOTE_SIGNATURE_BYTES_MAX.
 * Inside the room only. */
#ifndef SLUICE_AUDIT_NOTE_KEY_H
#define SLUICE_AUDIT_NOTE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/note.h"

enum note_algorithm { NOTE_ED25519, NOTE_SM2, NOTE_COSIGNATURE };

enum {
    NOTE_KEY_ID_BYTES = 4,
    NOTE_SIGNATURE_BYTES_MAX = 128, /* of the algorithms we verify */
    NOTE_PUBLIC_BYTES_MAX = 96,     /* type || identifier || public key */
};

struct note_key {
    enum note_algorithm algorithm;
    struct evp_pkey_st *pkey;
    uint8_t id[NOTE_KEY_ID_BYTES];
    uint8_t encoded[NOTE_PUBLIC_BYTES_MAX]; /* type || identifier || public key */
    size_t encoded_len;
};

/* 0, or -1 with FAILED_PRECONDITION. */
int note_key_from_pem(struct note_key *key_r, enum note_algorithm algorithm, const char *name,
                      struct slice pem, struct err *err);
/* `encoded` as in struct note_key. 0, or -1 when it is no key of ours. */
int note_key_from_encoded(struct note_key *key_r, const char *name, struct slice encoded);
void note_key_fini(struct note_key *key);

/* Answers the signature's length. A failing library aborts: nothing may be released unsigned. */
size_t note_key_sign(const struct note_key *key, struct slice text,
                     uint8_t signature_r[NOTE_SIGNATURE_BYTES_MAX]);
bool note_key_verify(const struct note_key *key, struct slice text, struct slice signature);

#endif
