/* Named normalisers: text in, canonical text out, with a verdict and a stable reason code.
 * Ownership: results point into the caller's scratch buffer or at literals.
 * Never calls back.
 * Limits: values above NORMALISER_VALUE_BYTES_MAX are errors (VALUE_TOO_LONG).
 * Idempotent: normalise(normalise(x)) = normalise(x). Never guesses, truncates or drops. */
#ifndef SLUICE_SCHEMA_NORMALISER_H
#define SLUICE_SCHEMA_NORMALISER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { NORMALISER_VALUE_BYTES_MAX = 64 * 1024 };

enum normaliser_verdict { NORMALISER_OK, NORMALISER_CHANGED, NORMALISER_WARN, NORMALISER_ERROR };

struct normaliser_result {
    enum normaliser_verdict verdict;
    const char *code; /* literal such as "CN_ID_CHECKSUM"; "" for OK and plain CHANGED */
};

/* Replaces the text in `value` (valid UTF-8 in and out). */
typedef struct normaliser_result (*normaliser_fn)(const void *config, struct buf *value);

struct normaliser {
    const char *name;
    normaliser_fn run;
    const char *help; /* one line, with the standard it follows */
};

/* NULL when there is none of that name. */
const struct normaliser *normaliser_find(const char *name, size_t len);
const struct normaliser *normaliser_at(size_t index); /* NULL behind the last */

#endif
