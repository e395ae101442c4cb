#include "base/ids.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

void ids_random(void *out, size_t len)
{
    uint8_t *bytes = out;
    while (len > 0) {
        ssize_t got = getrandom(bytes, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            (void)fputs("sluice: no randomness\n", stderr);
            abort();
        }
        bytes += got;
        len -= (size_t)got;
    }
}

void uuid7_make(uint8_t out[UUID_BYTES])
{
    /* One system call feeds many ids: an id is not a secret, only unique. */
    static uint8_t pool[512];
    static size_t used = sizeof pool;
    if (used + 10 > sizeof pool) {
        ids_random(pool, sizeof pool);
        used = 0;
    }
    uint64_t ms = (uint64_t)(clock_wall_us() / 1000);
    for (int i = 0; i < 6; i++)
        out[i] = (uint8_t)(ms >> (40 - 8 * i));
    memcpy(out + 6, pool + used, 10);
    used += 10;
    out[6] = (uint8_t)(0x70 | (out[6] & 0x0F));
    out[8] = (uint8_t)(0x80 | (out[8] & 0x3F));
}

void uuid_format(const uint8_t id[UUID_BYTES], char text_r[UUID_TEXT_BYTES])
{
    char *p = text_r;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        hex_encode(id + i, 1, p);
        p += 2;
    }
}

bool uuid_parse(const char *text, uint8_t out[UUID_BYTES])
{
    if (strlen(text) != UUID_TEXT_BYTES - 1)
        return false;
    const char *p = text;
    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            if (*p++ != '-')
                return false;
        if (!hex_decode(p, 2, out + i))
            return false;
        p += 2;
    }
    return true;
}

void hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, size_t text_len, uint8_t *out)
{
    if (text_len % 2 != 0)
        return false;
    for (size_t i = 0; i < text_len; i += 2) {
        int high = hex_value(text[i]);
        int low = hex_value(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static size_t encode64(const void *data, size_t len, char *out, bool pad)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    char *o = out;
    size_t i = 0;
    for (; i + 3 <= len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        *o++ = digits[v >> 18];
        *o++ = digits[v >> 12 & 63];
        *o++ = digits[v >> 6 & 63];
        *o++ = digits[v & 63];
    }
    if (len - i == 1) {
        *o++ = digits[p[i] >> 2];
        *o++ = digits[(p[i] & 3) << 4];
        if (pad) {
            *o++ = '=';
            *o++ = '=';
        }
    } else if (len - i == 2) {
        *o++ = digits[p[i] >> 2];
        *o++ = digits[(p[i] & 3) << 4 | p[i + 1] >> 4];
        *o++ = digits[(p[i + 1] & 15) << 2];
        if (pad)
            *o++ = '=';
    }
    *o = '\0';
    return (size_t)(o - out);
}

size_t base64_encode(const void *data, size_t len, char *out)
{
    return encode64(data, len, out, true);
}

size_t base64_encode_unpadded(const void *data, size_t len, char *out)
{
    return encode64(data, len, out, false);
}

static int value64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

long base64_decode(const char *text, size_t text_len, uint8_t *out)
{
    if (text_len % 4 == 0 && text_len > 0 && text[text_len - 1] == '=')
        text_len -= text[text_len - 2] == '=' ? 2 : 1;
    if (text_len % 4 == 1)
        return -1;
    uint32_t bits = 0;
    int have = 0;
    long written = 0;
    for (size_t i = 0; i < text_len; i++) {
        int value = value64(text[i]);
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[written++] = (uint8_t)(bits >> have);
        }
    }
    return written;
}
