/* Identifiers and their texts: UUIDv7 (RFC 9562), hex, base64 (RFC 4648).
 * Ownership: output goes to the caller's memory; sizes are given by the macros.
 * Never calls back.
 * Limits: decoders check lengths before they write.
 * Randomness comes from getrandom(2); failure there aborts, since no id would be safe. */
#ifndef SLUICE_BASE_IDS_H
#define SLUICE_BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UUID_BYTES = 16, UUID_TEXT_BYTES = 37 };

void ids_random(void *out, size_t len);
/* Time-ordered: 48 bits of Unix milliseconds, then random. */
void uuid7_make(uint8_t out[UUID_BYTES]);
void uuid_format(const uint8_t id[UUID_BYTES], char text_r[UUID_TEXT_BYTES]);
bool uuid_parse(const char *text, uint8_t out[UUID_BYTES]);

/* `out` has room for 2 * len + 1; lower case. */
void hex_encode(const void *data, size_t len, char *out);
bool hex_decode(const char *text, size_t text_len, uint8_t *out); /* out: text_len / 2 */

static inline size_t base64_size(size_t len)
{
    return (len + 2) / 3 * 4 + 1;
}
/* Standard alphabet with padding; `out` has base64_size(len); answers the text's length. */
size_t base64_encode(const void *data, size_t len, char *out);
/* Same without padding, as gRPC writes "-bin" metadata. */
size_t base64_encode_unpadded(const void *data, size_t len, char *out);
/* Accepts the standard and the URL alphabet, padded or not; `out` has text_len / 4 * 3 + 3.
 * Answers the bytes written, or -1 for anything else. */
long base64_decode(const char *text, size_t text_len, uint8_t *out);

#endif
