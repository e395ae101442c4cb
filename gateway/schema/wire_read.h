/* Reads one field after the other from protobuf wire bytes; private to schema/.
 * Owns nothing: what it answers points into the bytes given.
 * Never calls back.
 * Limits: tags and lengths take at most five bytes, as protobuf-c reads them; groups are refused.
 * Does not know descriptors. https://protobuf.dev/programming-guides/encoding/ */
#ifndef SLUICE_SCHEMA_WIRE_READ_H
#define SLUICE_SCHEMA_WIRE_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "schema/descriptor.h"

enum { WIRE_NUMBER_MAX = 536870911, WIRE_SHORT_VARINT_BYTES = 5 };

struct wire_field {
    uint32_t number;
    uint32_t wire;       /* enum schema_wire */
    uint64_t value;      /* varint, or fixed bits, or the length of WIRE_LEN */
    const uint8_t *data; /* contents of WIRE_LEN */
};

static inline uint64_t wire_fixed(const uint8_t *data, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

/* A varint; most are one byte long. */
static inline const uint8_t *wire_varint(const uint8_t *p, const uint8_t *end, uint64_t *value_r)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): p is not null below end */
    if (p < end && *p < 0x80) {
        *value_r = *p;
        return p + 1;
    }
    size_t size = varint_get(p, (size_t)(end - p), value_r);
    return size > 0 ? p + size : NULL;
}

/* A tag or a length: at most 32 bits in five bytes. */
static inline const uint8_t *wire_short(const uint8_t *p, const uint8_t *end, uint64_t *value_r)
{
    const uint8_t *next = wire_varint(p, end, value_r);
    if (next == NULL || next - p > WIRE_SHORT_VARINT_BYTES || *value_r > UINT32_MAX)
        return NULL;
    return next;
}

/* Answers the place behind the field, or NULL when the bytes are not well formed. */
static inline const uint8_t *wire_next(const uint8_t *p, const uint8_t *end,
                                       struct wire_field *field_r)
{
    uint64_t tag;
    p = wire_short(p, end, &tag);
    if (p == NULL || tag >> 3 == 0)
        return NULL;
    field_r->number = (uint32_t)(tag >> 3);
    field_r->wire = (uint32_t)(tag & 7);
    field_r->data = NULL;
    if (field_r->wire == WIRE_VARINT)
        return wire_varint(p, end, &field_r->value);
    if (field_r->wire == WIRE_LEN) {
        p = wire_short(p, end, &field_r->value);
        if (p == NULL || field_r->value > (uint64_t)(end - p))
            return NULL;
        field_r->data = p;
        return p + field_r->value;
    }
    size_t size = field_r->wire == WIRE_I64 ? 8 : field_r->wire == WIRE_I32 ? 4 : 0;
    if (size == 0 || (size_t)(end - p) < size)
        return NULL;
    field_r->value = wire_fixed(p, size);
    return p + size;
}

/* Number of elements in a packed field, or -1 when its bytes do not add up. */
static inline long wire_packed_count(const uint8_t *data, size_t len, enum schema_wire wire)
{
    if (wire == WIRE_I32 || wire == WIRE_I64) {
        size_t size = wire == WIRE_I32 ? 4 : 8;
        return len % size == 0 ? (long)(len / size) : -1;
    }
    long count = 0;
    const uint8_t *end = data + len;
    for (const uint8_t *p = data; p < end; count++) {
        uint64_t value;
        p = wire_varint(p, end, &value);
        if (p == NULL)
            return -1;
    }
    return count;
}

#endif
