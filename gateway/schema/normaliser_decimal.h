/* Exact decimal arithmetic for the number normalisers: digits in an array, never a double.
 * Ownership: a struct decimal is the caller's value.
 * Never calls back.
 * Limits: DECIMAL_DIGITS_MAX digits delivered, DECIMAL_SCALE_MAX behind the point.
 * Does not know units or money: see normaliser_number.c and normaliser_unit.c. */
#ifndef SLUICE_SCHEMA_NORMALISER_DECIMAL_H
#define SLUICE_SCHEMA_NORMALISER_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/normaliser_internal.h"

enum {
    DECIMAL_DIGITS_MAX = 64, /* PostgreSQL money and statistics stay far below */
    DECIMAL_SCALE_MAX = 30,
    DECIMAL_POWER_MAX = 18,
    DECIMAL_FACTOR_DIGITS_MAX = 19, /* of a ratio's numerator */
    DECIMAL_SCALE_AS_IS = -1,
    /* Digits, a factor's digits, zeros from a power and a scale, one for rounding. */
    DECIMAL_ROOM = DECIMAL_DIGITS_MAX + DECIMAL_FACTOR_DIGITS_MAX + 2 * DECIMAL_SCALE_MAX +
                   2 * DECIMAL_POWER_MAX + 2,
};

struct decimal {
    bool negative;
    int count;
    int scale; /* of these, behind the point; never below 0 */
    char digits[DECIMAL_ROOM];
};

/* What becomes of digits behind the last place kept. */
enum rounding {
    ROUND_EXACT,     /* they are refused, unless they are zeros */
    ROUND_HALF_UP,   /* halves go away from zero */
    ROUND_HALF_EVEN, /* halves go to the even neighbour */
    ROUND_DOWN,      /* towards zero */
    ROUND_UP,        /* away from zero */
};

/* A positive ratio in lowest terms, below 10^18. */
struct ratio {
    int64_t num;
    int64_t den;
};

/* Reads sign, digits, right thousands separators and a fraction. Answers what stands behind the
 * number, or NULL when there is none. */
const char *decimal_read(const char *text, struct decimal *number);
/* A delivered value for decimal_read: full width folded, blanks away. A blank between two digits is
 * not: 12 34 may be two numbers. */
enum decimal_fold { DECIMAL_FOLD_OK, DECIMAL_FOLD_SYNTAX, DECIMAL_FOLD_LONG };
enum decimal_fold decimal_fold(const struct buf *value, char out[IDENTIFIER_BYTES_MAX]);
/* The whole value is one number. */
enum decimal_fold decimal_take(const struct buf *value, struct decimal *number);
/* The value becomes the number's text; an error with the code `too_long` when decimal_read would not
 * take it again. */
struct normaliser_result decimal_become(const struct decimal *number, struct buf *value,
                                        const char *too_long);

/* Multiplies by ten to `power`. */
void decimal_shift(struct decimal *number, int power);
/* Brings the scale to `scale`; `sticky`: something other than zero stands behind the digits. False:
 * digits would be lost and `rounding` is exact. */
bool decimal_round(struct decimal *number, int scale, enum rounding rounding, bool sticky);
/* Multiplies by a ratio. `scale` AS_IS: as many places as the result needs. False: it has no end, or
 * too many places, or rounding is exact. */
bool decimal_times(struct decimal *number, struct ratio ratio, int scale, enum rounding rounding);
/* Zeros at the end of the fraction go. */
void decimal_trim(struct decimal *number);

/* The parameters `scale` and `rounding`; absent: untouched. */
int decimal_read_scale(const struct yaml_node *params, int *scale_r, struct err *err);
int decimal_read_rounding(const struct yaml_node *params, enum rounding *rounding_r,
                          struct err *err);

#endif
