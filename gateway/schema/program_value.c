/* PostgreSQL's binary values as text, exactly. Formats: the type's *_send functions. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "schema/program.h"

enum {
    POSTGRES_EPOCH_DAYS = 10957, /* 2000-01-01 */
    NUMERIC_DIGITS_MAX = 4096,   /* groups of four; PostgreSQL allows 147,455 digits */
    NUMERIC_SCALE_MAX = 16383,
};

static uint16_t get16(const uint8_t *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

static uint32_t get32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static uint64_t get64(const uint8_t *data)
{
    return (uint64_t)get32(data) << 32 | get32(data + 4);
}

static enum value_state rejected(const char *code, const char **code_r)
{
    *code_r = code;
    return VALUE_REJECTED;
}

static enum value_state append(struct buf *out, const void *data, size_t len, const char **code_r)
{
    return buf_append(out, data, len) == 0 ? VALUE_TEXT : rejected("VALUE_TOO_LONG", code_r);
}

static enum value_state append_format(struct buf *out, int result, const char **code_r)
{
    (void)out;
    return result == 0 ? VALUE_TEXT : rejected("VALUE_TOO_LONG", code_r);
}

static enum value_state text_value(struct db_value value, bool padded, struct buf *out,
                                   const char **code_r)
{
    size_t len = value.len;
    while (padded && len > 0 && value.data[len - 1] == ' ')
        len--;
    if (!utf8_valid(value.data, len))
        return rejected("NOT_UTF8", code_r);
    return append(out, value.data, len, code_r);
}

static enum value_state integer_value(struct db_value value, size_t width, struct buf *out,
                                      const char **code_r)
{
    if (value.len != width)
        return VALUE_MALFORMED;
    int64_t number = width == 2   ? (int16_t)get16(value.data)
                     : width == 4 ? (int32_t)get32(value.data)
                                  : (int64_t)get64(value.data);
    return append_format(out, buf_append_format(out, "%" PRId64, number), code_r);
}

/* The shortest of 15 to 17 digits (6 to 9 for float4) that reads back as the same number. */
static enum value_state float_value(struct db_value value, bool wide, struct buf *out,
                                    const char **code_r)
{
    if (value.len != (wide ? 8 : 4))
        return VALUE_MALFORMED;
    double number;
    if (wide) {
        uint64_t bits = get64(value.data);
        memcpy(&number, &bits, sizeof number);
    } else {
        uint32_t bits = get32(value.data);
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        number = (double)narrow;
    }
    if (number != number || number - number != 0)
        return rejected("NUMBER_NOT_FINITE", code_r);
    char text[40];
    for (int digits = wide ? 15 : 6; digits <= (wide ? 17 : 9); digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, number);
        double back = wide ? strtod(text, NULL) : (double)strtof(text, NULL);
        /* -0.0 must stay. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*) */
        if (memcmp(&back, &number, sizeof back) == 0)
            break;
    }
    return append(out, text, strlen(text), code_r);
}

static int group_at(const uint8_t *data, int count, int index)
{
    return index < 0 || index >= count ? 0 : get16(data + 8 + 2 * index);
}

/* numeric_send: ndigits, weight, sign, dscale, then base-10000 groups. */
static enum value_state numeric_value(struct db_value value, struct buf *out, const char **code_r)
{
    if (value.len < 8)
        return VALUE_MALFORMED;
    int count = get16(value.data), weight = (int16_t)get16(value.data + 2);
    unsigned sign = get16(value.data + 4);
    int scale = get16(value.data + 6);
    if (sign == 0xC000 || sign == 0xD000 || sign == 0xF000)
        return rejected("NUMBER_NOT_FINITE", code_r);
    if (value.len != 8 + 2 * (size_t)count || (sign != 0 && sign != 0x4000) ||
        scale > NUMERIC_SCALE_MAX)
        return VALUE_MALFORMED;
    if (count > NUMERIC_DIGITS_MAX || weight > NUMERIC_DIGITS_MAX)
        return rejected("VALUE_TOO_LONG", code_r);
    bool fits = true;
    if (sign == 0x4000)
        fits = buf_append_byte(out, '-') == 0;
    if (weight < 0)
        fits = fits && buf_append_byte(out, '0') == 0;
    for (int i = 0; i <= weight; i++) {
        int group = group_at(value.data, count, i);
        if (group > 9999)
            return VALUE_MALFORMED;
        fits = fits && buf_append_format(out, i == 0 ? "%d" : "%04d", group) == 0;
    }
    if (scale > 0)
        fits = fits && buf_append_byte(out, '.') == 0;
    for (int at = 0; at < scale; at += 4) {
        char digits[8];
        int group = group_at(value.data, count, weight + 1 + at / 4);
        if (group > 9999)
            return VALUE_MALFORMED;
        (void)snprintf(digits, sizeof digits, "%04d", group % 10000);
        fits = fits && buf_append(out, digits, scale - at < 4 ? (size_t)(scale - at) : 4) == 0;
    }
    return fits ? VALUE_TEXT : rejected("VALUE_TOO_LONG", code_r);
}

static enum value_state date_value(struct db_value value, struct buf *out, const char **code_r)
{
    if (value.len != 4)
        return VALUE_MALFORMED;
    int32_t days = (int32_t)get32(value.data);
    int year = 0, month = 0, day = 0;
    if (days == INT32_MAX || days == INT32_MIN)
        return rejected("DATE_INFINITE", code_r);
    normaliser_date_of((int64_t)days + POSTGRES_EPOCH_DAYS, &year, &month, &day);
    if (year < 1 || year > 9999)
        return rejected("DATE_RANGE", code_r);
    return append_format(out, buf_append_format(out, "%04d-%02d-%02d", year, month, day), code_r);
}

bool program_value_timestamp(struct db_value value, int64_t *seconds_r, int32_t *nanos_r,
                             const char **code_r)
{
    int64_t micros = (int64_t)get64(value.data);
    if (micros == INT64_MAX || micros == INT64_MIN) {
        *code_r = "TIMESTAMP_INFINITE";
        return false;
    }
    int64_t seconds = micros / 1000000, rest = micros % 1000000;
    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    seconds += (int64_t)POSTGRES_EPOCH_DAYS * 86400;
    *seconds_r = seconds;
    *nanos_r = (int32_t)rest * 1000;
    /* google.protobuf.Timestamp: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z */
    if (seconds < -62135596800 || seconds > 253402300799) {
        *code_r = "TIMESTAMP_RANGE";
        return false;
    }
    return true;
}

static enum value_state timestamp_value(struct db_value value, bool zoned, struct buf *out,
                                        const char **code_r)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (value.len != 8)
        return VALUE_MALFORMED;
    if (!program_value_timestamp(value, &seconds, &nanos, code_r))
        return VALUE_REJECTED;
    int64_t days = seconds / 86400 - (seconds % 86400 < 0);
    int64_t rest = seconds - days * 86400;
    int year = 0, month = 0, day = 0;
    normaliser_date_of(days, &year, &month, &day);
    int result = buf_append_format(out, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day,
                                   (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
    if (result == 0 && nanos != 0)
        result = buf_append_format(out, ".%06d", nanos / 1000);
    if (result == 0 && zoned)
        result = buf_append_byte(out, 'Z');
    return append_format(out, result, code_r);
}

static enum value_state uuid_value(struct db_value value, struct buf *out, const char **code_r)
{
    static const char digits[] = "0123456789abcdef";
    char text[36];
    size_t len = 0;
    if (value.len != 16)
        return VALUE_MALFORMED;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[len++] = '-';
        text[len++] = digits[value.data[i] >> 4];
        text[len++] = digits[value.data[i] & 15];
    }
    return append(out, text, len, code_r);
}

enum value_state program_value_text(enum column_type type, struct db_value value, struct buf *out,
                                    const char **code_r)
{
    if (value.data == NULL)
        return VALUE_NULL;
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_CHAR:
        return text_value(value, type == COLUMN_CHAR, out, code_r);
    case COLUMN_INT2:
        return integer_value(value, 2, out, code_r);
    case COLUMN_INT4:
        return integer_value(value, 4, out, code_r);
    case COLUMN_INT8:
        return integer_value(value, 8, out, code_r);
    case COLUMN_BOOL:
        if (value.len != 1)
            return VALUE_MALFORMED;
        return append(out, value.data[0] ? "true" : "false", value.data[0] ? 4 : 5, code_r);
    case COLUMN_FLOAT4:
    case COLUMN_FLOAT8:
        return float_value(value, type == COLUMN_FLOAT8, out, code_r);
    case COLUMN_NUMERIC:
        return numeric_value(value, out, code_r);
    case COLUMN_DATE:
        return date_value(value, out, code_r);
    case COLUMN_TIMESTAMP:
    case COLUMN_TIMESTAMPTZ:
        return timestamp_value(value, type == COLUMN_TIMESTAMPTZ, out, code_r);
    case COLUMN_UUID:
        return uuid_value(value, out, code_r);
    case COLUMN_BYTEA:
        return append(out, value.data, value.len, code_r);
    case COLUMN_JSON:
        return text_value(value, false, out, code_r);
    case COLUMN_JSONB:
        if (value.len < 1 || value.data[0] != 1)
            return VALUE_MALFORMED; /* jsonb_send: a version byte, then text */
        value.data++;
        value.len--;
        return text_value(value, false, out, code_r);
    case COLUMN_TEXT_ARRAY:
    case COLUMN_TYPE_COUNT:
        break;
    }
    return VALUE_MALFORMED;
}
