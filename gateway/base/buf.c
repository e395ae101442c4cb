#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BUF_FIRST_BYTES = 256 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max };
}

void buf_init_large(struct buf *buf, size_t max)
{
    *buf = (struct buf){ .max = max, .may_fail = true };
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){ .max = buf->max, .may_fail = buf->may_fail };
}

int buf_grow(struct buf *buf, size_t more)
{
    if (more > buf->max || buf->len > buf->max - more)
        return -1;
    size_t need = buf->len + more;
    if (need <= buf->cap)
        return 0;
    size_t cap = buf->cap > 0 ? buf->cap : BUF_FIRST_BYTES;
    while (cap < need)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    if (cap > buf->max) /* capacity never passes the ceiling: buf_reserve looks at it alone */
        cap = buf->max;
    bool large = buf->may_fail && cap > BUF_SMALL_BYTES;
    uint8_t *data = large ? mem_resize_large(buf->data, cap) : mem_resize(buf->data, cap);
    if (data == NULL) {
        buf->refused = true;
        return -1;
    }
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int buf_append_str(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    if (buf_reserve(buf, (size_t)len + 1) < 0)
        return -1;
    va_start(args, format);
    (void)vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return 0;
}

size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

size_t varint_get(const uint8_t *data, size_t len, uint64_t *value_r)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len && i < 10; i++) {
        value |= (uint64_t)(data[i] & 0x7F) << (7 * i);
        if ((data[i] & 0x80) == 0) {
            if (i == 9 && data[i] > 1)
                return 0; /* more than 64 bits */
            *value_r = value;
            return i + 1;
        }
    }
    return 0;
}

void buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    if (len < buf->len)
        memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}

const char *buf_cstr(struct buf *buf)
{
    if (buf->len == buf->cap)
        buf->data = mem_resize(buf->data, buf->cap + 1); /* not counted: no room for bytes */
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

uint8_t *buf_steal(struct buf *buf, size_t *len_r)
{
    uint8_t *data = buf->data;
    *len_r = buf->len;
    *buf = (struct buf){ .max = buf->max, .may_fail = buf->may_fail };
    return data;
}
