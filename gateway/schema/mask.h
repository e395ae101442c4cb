/* Masks: what an agreement makes of a field's value before a record leaves.
 * Ownership: a set borrows the fields of its dataset's type and owns its hash key, which
 *   schema_masks_free wipes.
 * Never calls back; a set is one thread's.
 * Limits: SCHEMA_MASK_*_MAX; a mask takes whole top-level fields, every element of a repeated one.
 * Does not decide who gets which mask. What cannot be masked as agreed is left out, never let through. */
#ifndef SLUICE_SCHEMA_MASK_H
#define SLUICE_SCHEMA_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "schema/bundle.h"
#include "schema/descriptor.h"

struct err;

enum {
    SCHEMA_MASK_KEEP_MAX = 256,  /* characters; a longer beginning is the value itself */
    SCHEMA_MASK_PREFIX_MAX = 64, /* the longest code known, 17 digits of a village, is far below */
    SCHEMA_MASK_KEY_BYTES = 32,
    SCHEMA_MASK_CHECK_BYTES = 8,
    SCHEMA_MASK_TEXT_BYTES = 32, /* "keep-first:256:" and a character of four bytes */
};

/* Numbers of sluice.v1.AgreementMask.Kind. */
enum schema_mask_kind {
    MASK_KEEP_FIRST = 1, /* text: the first `keep` characters; the others become `character` */
    MASK_KEEP_LAST = 2,
    MASK_HASH = 3, /* text: HMAC-SHA-256 in 64 lower-case hex digits, by the agreement's own key */
    MASK_YEAR =
        4, /* date "2024-02-29": "2024"; timestamp: its year's first instant in China, UTC+8 */
    MASK_MONTH = 5,  /* "2024-02" */
    MASK_PREFIX = 6, /* code: its first `keep` letters and digits, nothing behind them */
    MASK_DROP = 7,   /* any field: not even read from the owner's database */
};

/* A character is a code point. A value with no more than `keep` would leave whole, so all of them are
 * replaced. */
struct schema_mask {
    enum schema_mask_kind kind;
    int32_t keep;
    char character[5]; /* UTF-8; "" where the kind has none */
};

/* "keep-first:1", "keep-last:4:#", "hash", "year", "month", "prefix:6", "drop"; without a character "*".
 * False when it is none. */
bool schema_mask_parse(const char *text, struct schema_mask *mask_r);
void schema_mask_format(const struct schema_mask *mask, char text_r[SCHEMA_MASK_TEXT_BYTES]);
/* Whether the numbers are in their limits and the mask fits the field: INVALID_ARGUMENT/MASK_INVALID,
 * MASK_UNFIT. */
int schema_mask_check(const struct schema_mask *mask, const struct schema_field *field,
                      struct err *err);

/* The key of one agreement, from the gateways' own: HMAC-SHA-256(key, "agreement-mask" || 0x00 || id). */
void schema_mask_key(const uint8_t master[SCHEMA_MASK_KEY_BYTES], const char *agreement,
                     uint8_t key_r[SCHEMA_MASK_KEY_BYTES]);
/* Tells two keys apart and says nothing about either. */
void schema_mask_key_check(const uint8_t key[SCHEMA_MASK_KEY_BYTES],
                           uint8_t check_r[SCHEMA_MASK_CHECK_BYTES]);

struct schema_masks;

struct schema_masks *schema_masks_new(void);
void schema_masks_free(struct schema_masks **masks);
/* A field has one mask: a second one is added in vain. */
void schema_masks_add(struct schema_masks *masks, const struct schema_field *field,
                      const struct schema_mask *mask);
/* Needed before a record with a MASK_HASH; copied. */
void schema_masks_set_key(struct schema_masks *masks, const uint8_t key[SCHEMA_MASK_KEY_BYTES]);
bool schema_masks_hash(const struct schema_masks *masks); /* one of them needs the key */
/* NULL: the field has none. */
const struct schema_mask *schema_masks_of(const struct schema_masks *masks,
                                          const struct schema_field *field);

enum schema_masks_result { MASKS_DONE, MASKS_FULL, MASKS_MALFORMED };

/* Appends `record`, an encoded record, as it may leave. `persons` gets the citizen numbers that were
 * masked, each with its length before it, for the person index. */
enum schema_masks_result schema_masks_apply(const struct schema_masks *masks, struct slice record,
                                            struct buf *out, struct buf *persons);

#endif
