/* A growable byte buffer with a ceiling.
 * Ownership: the struct is the caller's, `data` is the buffer's until buf_fini or buf_steal.
 * Never calls back.
 * Limits: appending past `max` fails and changes nothing; growth doubles.
 * Does not keep a terminating NUL (buf_cstr adds one on request). */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;
    bool may_fail;
    bool refused; /* memory was, so that something is missing; stays until buf_init */
};

/* What a buf_init_large may hold without asking: less is never refused, the process would end. */
enum { BUF_SMALL_BYTES = 64 * 1024 };

/* A piece of bytes that belongs to somebody else. */
struct slice {
    const uint8_t *data;
    size_t len;
};

void buf_init(struct buf *buf, size_t max);
/* For what a peer's wish makes grow: beyond BUF_SMALL_BYTES, out of memory answers -1 like the
 * ceiling. Only for callers who look at every result. */
void buf_init_large(struct buf *buf, size_t max);
void buf_fini(struct buf *buf);
static inline void buf_reset(struct buf *buf) /* len = 0, keeps the memory */
{
    buf->len = 0;
}

/* 0, or -1 when the result would exceed `max` (nothing is appended). Out of memory aborts, but for
 * buf_init_large. The parts that run once a value stand here, so that the compiler can put them in place. */
int buf_grow(struct buf *buf, size_t more);                 /* buf_reserve's slow half */
static inline int buf_reserve(struct buf *buf, size_t more) /* room for `more` bytes behind len */
{
    return more <= buf->cap - buf->len ? 0 : buf_grow(buf, more);
}
static inline int buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (buf_reserve(buf, len) < 0)
        return -1;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return 0;
}
static inline int buf_append_byte(struct buf *buf, uint8_t byte)
{
    return buf_append(buf, &byte, 1);
}
int buf_append_str(struct buf *buf, const char *text);
int buf_append_format(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes a varint at `out`, which has room for 10 bytes; answers the bytes written. */
static inline size_t varint_put(uint8_t *out, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        out[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    return size;
}
/* Protobuf base-128 varint, at most 10 bytes. */
static inline int buf_append_varint(struct buf *buf, uint64_t value)
{
    uint8_t bytes[10];
    return buf_append(buf, bytes, varint_put(bytes, value));
}
/* Number of bytes buf_append_varint would write. */
size_t varint_size(uint64_t value);
/* Reads a varint; answers the bytes read, 0 when it is cut short or longer than 10 bytes. */
size_t varint_get(const uint8_t *data, size_t len, uint64_t *value_r);

void buf_consume(struct buf *buf, size_t len); /* drops bytes from the front */
const char *
buf_cstr(struct buf *buf); /* NUL behind len, not counted; valid until the next change */
uint8_t *buf_steal(struct buf *buf, size_t *len_r);

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){ .data = (const uint8_t *)data, .len = len };
}

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){ .data = buf->data, .len = buf->len };
}

#endif
