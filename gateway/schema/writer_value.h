/* Native text to PostgreSQL's binary values, one pure function a type.
 * Owns nothing: the caller's buffer takes the bytes.
 * Never calls back.
 * Limits: those of the types; what PostgreSQL would cut, round or refuse is refused here, with a
 *   stable code, so that one bad value does not fail a whole COPY.
 * Private to schema/. Does not know fields or columns (writer.c). Formats: the type's *_recv. */
#ifndef SLUICE_SCHEMA_WRITER_VALUE_H
#define SLUICE_SCHEMA_WRITER_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { WRITER_NO_MODIFIER = -1 };

/* What is known of the column a value goes to. */
struct writer_limits {
    uint32_t oid;       /* of its type; 0: not described */
    int32_t modifier;   /* atttypmod; WRITER_NO_MODIFIER */
    const char *labels; /* of an enum type, each between 0x01 bytes; NULL: not described */
};

/* Appends the binary value of a text. NULL, or a stable code why it has none. */
typedef const char *(*writer_encode_fn)(struct slice text, const struct writer_limits *limits,
                                        struct buf *out);

struct writer_type {
    const char *name; /* as mappings name it (column_type_name) */
    writer_encode_fn encode;
    uint32_t oids[3]; /* pg_type.dat; none for enum types, which have oids of their own */
    bool keeps_text;  /* what is read back is letter for letter what was written */
};

/* NULL: values of this type cannot be written. */
const struct writer_type *writer_type_find(const char *name);
/* Whether a described column takes what this type's encoder makes. */
bool writer_type_accepts(const struct writer_type *type, uint32_t oid, bool is_enum);
/* The name in our table of a described type, or NULL. */
const char *writer_type_of_oid(uint32_t oid);

/* Head and elements of a one-dimensional text array, as array_recv reads them. */
void writer_array_begin(uint32_t count, uint32_t oid, struct buf *out);

/* --- encoders that are used by name too --------------------------------------------------------
 */
const char *writer_encode_text(struct slice text, const struct writer_limits *limits,
                               struct buf *out);
const char *writer_encode_numeric(struct slice text, const struct writer_limits *limits,
                                  struct buf *out);
const char *writer_encode_date(struct slice text, const struct writer_limits *limits,
                               struct buf *out);
const char *writer_encode_time(struct slice text, const struct writer_limits *limits,
                               struct buf *out);
const char *writer_encode_timestamp(struct slice text, const struct writer_limits *limits,
                                    struct buf *out);
const char *writer_encode_timestamptz(struct slice text, const struct writer_limits *limits,
                                      struct buf *out);
const char *writer_encode_inet(struct slice text, const struct writer_limits *limits,
                               struct buf *out);
const char *writer_encode_json(struct slice text, const struct writer_limits *limits,
                               struct buf *out);
const char *writer_encode_jsonb(struct slice text, const struct writer_limits *limits,
                                struct buf *out);
/* An instant, microseconds since 1970, as timestamp or timestamptz. */
const char *writer_encode_instant(int64_t seconds, int32_t nanos,
                                  const struct writer_limits *limits, struct buf *out);

/* --- shared by the encoders --------------------------------------------------------------------
 */
static inline const char *writer_put16(uint16_t value, struct buf *out)
{
    uint8_t bytes[2] = { (uint8_t)(value >> 8), (uint8_t)value };
    return buf_append(out, bytes, sizeof bytes) == 0 ? NULL : "VALUE_TOO_LONG";
}

static inline const char *writer_put32(uint32_t value, struct buf *out)
{
    uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                         (uint8_t)value };
    return buf_append(out, bytes, sizeof bytes) == 0 ? NULL : "VALUE_TOO_LONG";
}

static inline const char *writer_put64(uint64_t value, struct buf *out)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    return buf_append(out, bytes, sizeof bytes) == 0 ? NULL : "VALUE_TOO_LONG";
}

#endif
