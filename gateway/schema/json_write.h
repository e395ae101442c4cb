/* Writes JSON values (RFC 8259) one behind the other; private to schema/.
 * Ownership: the buffer and the error are the caller's.
 * Never calls back.
 * Limits: those of the buffer; each function answers -1 with RESOURCE_EXHAUSTED when it is full.
 * Does not place commas or brackets: the caller knows its structure. */
#ifndef SLUICE_SCHEMA_JSON_WRITE_H
#define SLUICE_SCHEMA_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

struct json_writer {
    struct buf *out;
    struct err *err;
};

int json_put(struct json_writer *w, const void *data, size_t len);
int json_put_text(struct json_writer *w, const char *text);
int json_put_quoted(struct json_writer *w, const char *text); /* text needs no escapes */
int json_put_string(struct json_writer *w, const uint8_t *data, size_t len); /* valid UTF-8 */
int json_put_base64(struct json_writer *w, const uint8_t *data, size_t len);
/* NaN and the infinities are strings, as the proto3 mapping has them. */
int json_put_real(struct json_writer *w, double value, bool is_float);
/* `quote` is "" or "\"". */
int json_put_integer(struct json_writer *w, const char *quote, int64_t value);
int json_put_unsigned(struct json_writer *w, const char *quote, uint64_t value);

#endif
