#include "base/utf8.h"

#include <string.h>

/* Length of the valid sequence at `p`, or 0. */
static size_t sequence(const uint8_t *p, size_t len)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2)
        return 0;
    if (p[0] < 0xE0)
        return len >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (p[0] < 0xF0) {
        if (len < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))
            return 0;
        return 3;
    }
    if (p[0] > 0xF4 || len < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 ||
        (p[3] & 0xC0) != 0x80)
        return 0;
    if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return 4;
}

/* Two characters of three bytes each at `p`, of which eight bytes can be read, and neither of the leads
 * with a special case: most of a Chinese text. The bytes stand in the word as in memory. */
static inline bool two_of_three(const uint8_t *p, uint64_t word)
{
    static const union {
        uint8_t bytes[8];
        uint64_t word;
    } mask = { { 0xF0, 0xC0, 0xC0, 0xF0, 0xC0, 0xC0, 0, 0 } },
      want = { { 0xE0, 0x80, 0x80, 0xE0, 0x80, 0x80, 0, 0 } };
    return (word & mask.word) == want.word && p[0] != 0xE0 && p[0] != 0xED && p[3] != 0xE0 &&
           p[3] != 0xED;
}

/* The same walk with and without a look for U+0000; the flag is a constant in each. */
static inline size_t check(const uint8_t *p, size_t len, bool no_nul)
{
    static const uint64_t high = 0x8080808080808080ULL, ones = 0x0101010101010101ULL;
    size_t i = 0;
    while (i < len) {
        uint64_t word;
        if (len - i >= sizeof word) { /* eight ASCII bytes at a time */
            memcpy(&word, p + i, sizeof word);
            /* A byte of 0 is the only one that borrows while none has its high bit set. */
            if ((word & high) == 0 && (!no_nul || ((word - ones) & high) == 0)) {
                i += sizeof word;
                continue;
            }
            if (two_of_three(p + i, word)) {
                i += 6;
                continue;
            }
        }
        if (p[i] < 0x80) {
            if (no_nul && p[i] == 0)
                return i;
            i++;
            continue;
        }
        /* Nearly every other character of ours is U+1000 to U+CFFF: three bytes, no special case. */
        if (len - i >= 3 && p[i] >= 0xE1 && p[i] <= 0xEC && (p[i + 1] & 0xC0) == 0x80 &&
            (p[i + 2] & 0xC0) == 0x80) {
            i += 3;
            continue;
        }
        size_t step = sequence(p + i, len - i);
        if (step == 0)
            return i;
        i += step;
    }
    return len;
}

size_t utf8_check(const void *data, size_t len)
{
    return check(data, len, false);
}

size_t utf8_check_text(const void *data, size_t len)
{
    return check(data, len, true);
}

size_t utf8_decode(const uint8_t *data, size_t len, uint32_t *code_point_r)
{
    size_t step = len > 0 ? sequence(data, len) : 0;
    switch (step) {
    case 1:
        *code_point_r = data[0];
        break;
    case 2:
        *code_point_r = (uint32_t)(data[0] & 0x1F) << 6 | (data[1] & 0x3F);
        break;
    case 3:
        *code_point_r =
            (uint32_t)(data[0] & 0x0F) << 12 | (uint32_t)(data[1] & 0x3F) << 6 | (data[2] & 0x3F);
        break;
    case 4:
        *code_point_r = (uint32_t)(data[0] & 0x07) << 18 | (uint32_t)(data[1] & 0x3F) << 12 |
                        (uint32_t)(data[2] & 0x3F) << 6 | (data[3] & 0x3F);
        break;
    default:
        *code_point_r = 0xFFFD;
        break;
    }
    return step;
}

size_t utf8_encode(uint32_t cp, uint8_t out[4])
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (uint8_t)(0xC0 | cp >> 6);
        out[1] = (uint8_t)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (uint8_t)(0xE0 | cp >> 12);
        out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | cp >> 18);
    out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (cp & 0x3F));
    return 4;
}

static size_t columns_of(uint32_t cp)
{
    if (cp >= 0x0300 && cp <= 0x036F)
        return 0;
    bool wide = (cp >= 0x1100 && cp <= 0x115F) || (cp >= 0x2E80 && cp <= 0xA4CF) ||
                (cp >= 0xAC00 && cp <= 0xD7A3) || (cp >= 0xF900 && cp <= 0xFAFF) ||
                (cp >= 0xFE30 && cp <= 0xFE6F) || (cp >= 0xFF00 && cp <= 0xFF60) ||
                (cp >= 0xFFE0 && cp <= 0xFFE6) || (cp >= 0x20000 && cp <= 0x3FFFD);
    return wide ? 2 : 1;
}

size_t utf8_columns(const char *text)
{
    size_t len = strlen(text);
    size_t columns = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t step = utf8_decode((const uint8_t *)text + i, len - i, &cp);
        columns += columns_of(cp);
        i += step > 0 ? step : 1;
    }
    return columns;
}
