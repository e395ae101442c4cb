/* Claims: what somebody says a record holds, compared with the record, one answer for all of them.
 * Ownership: a claim is the caller's storage; it borrows its field from the dataset's type and holds
 *   digests, never a value.
 * Never calls back.
 * Limits: CLAIM_VALUE_BYTES_MAX a value; CLAIMS_MAX is for callers.
 * Does not read rows, and never tells which claim was wrong. */
#ifndef SLUICE_SCHEMA_CLAIM_H
#define SLUICE_SCHEMA_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "schema/bundle.h"
#include "schema/plan.h"

enum {
    CLAIMS_MAX = 32,              /* more is a record, not a question about one */
    CLAIM_VALUE_BYTES_MAX = 1024, /* an address in full is far below */
    CLAIM_DIGEST_BYTES = 32,
};

struct schema_claim {
    const struct schema_field *field;
    bool canonical;                     /* false: no value the field could have */
    uint8_t digest[CLAIM_DIGEST_BYTES]; /* SHA-256 of the value as a record encodes it */
};

enum schema_claims_verdict {
    CLAIMS_MATCH,
    CLAIMS_MISMATCH,
    CLAIMS_INCONCLUSIVE, /* a field without value, or a claim that is not canonical */
};

/* True for a single value that one field of the mapping fills: text, number, truth value, enum or
 * timestamp. */
bool schema_dataset_verifiable(const struct schema_dataset *dataset,
                               const struct schema_field *field);

/* Brings `value` to canonical form, as a filter would, by the field's meaning. 0, whether or not it has
 * one; -1 with INVALID_ARGUMENT: FIELD_NOT_VERIFIABLE, CLAIM_TOO_LONG. Values it makes live in `arena`. */
int schema_claim_init(struct schema_claim *claim_r, const struct schema_dataset *dataset,
                      const struct schema_field *field, const char *value, struct arena *arena,
                      struct err *err);

/* `record` is what schema_plan_row delivered of this row; the plan covers the fields of all claims. All
 * are compared, whatever the first ones say, and each comparison takes the same time. -1 as
 * schema_plan_row_judge. */
int schema_claims_compare(const struct schema_plan *plan, const struct schema_dataset *dataset,
                          const struct schema_claim *claims, size_t count,
                          const struct db_rows *rows, int row, struct slice record,
                          struct arena *arena, enum schema_claims_verdict *verdict_r,
                          struct err *err);

#endif
