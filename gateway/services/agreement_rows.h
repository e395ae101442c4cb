/* Agreements between their rows, their messages and their digest.
 * Ownership: messages and texts lie in the arena given.
 * Never calls back.
 * Limits: AGREEMENT_*_MAX.
 * Does not decide who may grant: agreement.c does. */
#ifndef SLUICE_SERVICES_AGREEMENT_ROWS_H
#define SLUICE_SERVICES_AGREEMENT_ROWS_H

#include "base/arena.h"
#include "base/buf.h"
#include "pg/db.h"
#include "sluice/v1/agreement.pb-c.h"

enum {
    AGREEMENT_PURPOSES_MAX = 64,
    AGREEMENT_TEXT_BYTES_MAX = 1024,
    AGREEMENT_DIGEST_BYTES = 32,
};
#define AGREEMENT_QUOTA_MAX INT64_C(1000000000000) /* records a day */

/* The columns of a SELECT that agreement_from_row reads. */
extern const char agreement_columns[];
Sluice__V1__Agreement *agreement_from_row(struct arena *arena, const struct db_rows *rows, int row);
/* SHA-256 over the serialised members that bind: id, consumer, dataset, fields, row filter,
 * purposes, modes, validity, rate, burst, legal basis, daily quota, masks, networks,
 * windows, onward supply. */
void agreement_digest(const Sluice__V1__Agreement *agreement,
                      uint8_t digest_r[AGREEMENT_DIGEST_BYTES]);
/* The bytes that digest is taken over, in the arena. */
struct slice agreement_bound(struct arena *arena, const Sluice__V1__Agreement *agreement);
/* Masks from and to the texts of the database, see schema/mask.h. */
void agreement_take_masks(struct arena *arena, struct db_value texts, Sluice__V1__Agreement *out);
char *agreement_masks_array(struct arena *arena, const Sluice__V1__Agreement *agreement);
/* A PostgreSQL array literal, every item quoted. */
char *agreement_array(struct arena *arena, char *const *items, size_t count);

#endif
