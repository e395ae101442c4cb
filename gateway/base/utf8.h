/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
 * Owns nothing.
 * Never calls back. Linear in the bytes given.
 * Does not normalise (that is schema/). */
#ifndef SLUICE_BASE_UTF8_H
#define SLUICE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offset of the first byte that is not valid UTF-8, or `len` when all of it is. */
size_t utf8_check(const void *data, size_t len);
/* The same, and a U+0000 counts as invalid: what a C string and PostgreSQL's text can hold. */
size_t utf8_check_text(const void *data, size_t len);
static inline bool utf8_valid(const void *data, size_t len)
{
    return utf8_check(data, len) == len;
}

/* Decodes one character of valid UTF-8; answers its length in bytes. */
size_t utf8_decode(const uint8_t *data, size_t len, uint32_t *code_point_r);
/* Encodes one code point (at most 4 bytes); answers its length. */
size_t utf8_encode(uint32_t code_point, uint8_t out[4]);
/* Display cells of a terminal: East Asian wide characters count 2, combining marks 0. */
size_t utf8_columns(const char *text);

#endif
