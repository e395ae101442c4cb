/* Page and resume tokens: where a query goes on, sealed so that a caller can neither read nor
 *   change it.
 * Ownership: plain values; texts go to the caller's buffer.
 * Never calls back.
 * Limits: TOKEN_TEXT_BYTES_MAX; a token fits only the query (subject, dataset, filter, fields)
 *   it came from.
 * Does not expire: the agreement is checked anew whenever one is used. */
#ifndef SLUICE_SERVICES_TOKEN_H
#define SLUICE_SERVICES_TOKEN_H

#include <stdint.h>

#include "schema/plan.h"

struct err;

enum { TOKEN_DIGEST_BYTES = 32, TOKEN_TEXT_BYTES_MAX = 1024 };

/* AES-256-GCM under `key`; URL-safe base64 without padding. */
void token_seal(const uint8_t key[32], const uint8_t query[TOKEN_DIGEST_BYTES],
                const char *record_key, char text_r[TOKEN_TEXT_BYTES_MAX]);
/* INVALID_ARGUMENT/TOKEN_INVALID when it is no token of ours for this query. */
int token_open(const uint8_t key[32], const uint8_t query[TOKEN_DIGEST_BYTES], const char *text,
               char record_key_r[PLAN_KEY_TEXT_BYTES_MAX], struct err *err);

#endif
