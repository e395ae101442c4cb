/* Inside of cn_date: the folded text, the mapping's own formats, the result.
 * Ownership: formats live in the arena of the bundle.
 * Never calls back.
 * Limits: DATE_FORMATS_MAX formats of DATE_TOKENS_MAX tokens.
 * Private to normaliser_date*.c. */
#ifndef SLUICE_SCHEMA_NORMALISER_DATE_H
#define SLUICE_SCHEMA_NORMALISER_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/normaliser_internal.h"

enum {
    DATE_FORMATS_MAX = 8,
    DATE_TOKENS_MAX = 16,
};

enum date_token_kind { DATE_LITERAL, DATE_YEAR, DATE_MONTH, DATE_DAY };

struct date_token {
    enum date_token_kind kind;
    uint8_t digits_min;
    uint8_t digits_max;
    uint32_t literal; /* code point */
};

struct date_format {
    struct date_token tokens[DATE_TOKENS_MAX];
    size_t count;
};

struct date_config {
    bool excel;
    bool two_digit_years;
    int pivot; /* two-digit years below are 20xx, others 19xx */
    size_t format_count;
    struct date_format formats[DATE_FORMATS_MAX];
};

/* The list `formats` and `century` of a mapping. */
int date_read_formats(const struct yaml_node *params, struct date_config *config, struct err *err);
/* Reads a folded text by the formats. NULL, or why it is no date; two formats that give different
 * dates are DATE_AMBIGUOUS. */
const char *date_by_formats(const struct date_config *config, const uint32_t *text, size_t len,
                            int date_r[3]);
/* Writes a date by the first format; -1 when its year does not fit. */
int date_write_first(const struct date_config *config, const int date[3], struct buf *value);

#endif
