/* PostgreSQL's binary values as text, exactly. Formats: the type's *_send functions. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "schema/program_run.h"

enum {
    POSTGRES_EPOCH_DAYS = 10957, /* 2000-01-01 */
    NUMERIC_DIGITS_MAX = 4096,   /* groups of four; PostgreSQL allows 147,455 digits */
    NUMERIC_SCALE_MAX = 16383,
};

static enum value_state rejected(const char *code, const char **code_r)
{
    *code_r = code;
    return VALUE_REJECTED;
}

static enum value_state append(struct buf *out, const void *data, size_t len, const char **code_r)
{
    return buf_append(out, data, len) == 0 ? VALUE_TEXT : rejected("VALUE_TOO_LONG", code_r);
}

static enum value_state text_value(struct db_value value, bool padded, struct buf *out,
                                   const char **code_r)
{
    size_t len = value.len;
    while (padded && len > 0 && value.data[len - 1] == ' ')
        len--;
    const char *problem = program_text_problem(value.data, len);
    return problem != NULL ? rejected(problem, code_r) : append(out, value.data, len, code_r);
}

/* Decimal digits of a number, at least `width` of them; answers the place behind. */
static char *put_digits(char *at, uint64_t number, int width)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || count < width);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_two(char *at, int64_t number)
{
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
    return at + 2;
}

static char *put_four(char *at, int number)
{
    return put_two(put_two(at, number / 100), number % 100);
}

static enum value_state append_until(struct buf *out, const char *text, const char *end,
                                     const char **code_r)
{
    return append(out, text, (size_t)(end - text), code_r);
}

int64_t program_value_integer(struct db_value value)
{
    return value.len == 2   ? (int16_t)get16(value.data)
           : value.len == 4 ? (int32_t)get32(value.data)
                            : (int64_t)get64(value.data);
}

static enum value_state integer_value(struct db_value value, size_t width, struct buf *out,
                                      const char **code_r)
{
    char text[24], *at = text;
    if (value.len != width)
        return VALUE_MALFORMED;
    int64_t number = program_value_integer(value);
    if (number < 0)
        *at++ = '-';
    at = put_digits(at, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 1);
    return append_until(out, text, at, code_r);
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
    size_t whole = weight < 0 ? 1 : 4 * ((size_t)weight + 1), before = out->len;
    if (buf_reserve(out, whole + (size_t)scale + 8) != 0)
        return rejected("VALUE_TOO_LONG", code_r);
    char *at = (char *)out->data + before;
    if (sign == 0x4000)
        *at++ = '-';
    if (weight < 0)
        *at++ = '0';
    for (int i = 0; i <= weight; i++) {
        int group = group_at(value.data, count, i);
        if (group > 9999)
            return VALUE_MALFORMED;
        at = i == 0 ? put_digits(at, (uint64_t)group, 1) : put_four(at, group);
    }
    if (scale > 0)
        *at++ = '.';
    for (int i = 0; i < scale; i += 4) {
        int group = group_at(value.data, count, weight + 1 + i / 4);
        if (group > 9999)
            return VALUE_MALFORMED;
        (void)put_four(at, group); /* room for it was reserved */
        at += scale - i < 4 ? scale - i : 4;
    }
    out->len = (size_t)(at - (char *)out->data);
    return VALUE_TEXT;
}

/* --- dates and times ---------------------------------------------------------------------------- */

static char *put_date(char *at, int year, int month, int day)
{
    at = put_two(put_two(at, year / 100), year % 100);
    *at++ = '-';
    at = put_two(at, month);
    *at++ = '-';
    return put_two(at, day);
}

/* HH:MM:SS and, where it is not zero, a fraction of six digits. */
static char *put_time(char *at, int64_t seconds, int64_t micros)
{
    at = put_two(at, seconds / 3600);
    *at++ = ':';
    at = put_two(at, seconds / 60 % 60);
    *at++ = ':';
    at = put_two(at, seconds % 60);
    if (micros == 0)
        return at;
    *at++ = '.';
    return put_digits(at, (uint64_t)micros, 6);
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
    char text[16];
    return append_until(out, text, put_date(text, year, month, day), code_r);
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
    if (!program_timestamp_fits(seconds)) {
        *code_r = "TIMESTAMP_RANGE";
        return false;
    }
    return true;
}

bool program_timestamp_fits(int64_t seconds)
{
    return seconds >= -62135596800 && seconds <= 253402300799;
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
    char text[40];
    char *at = put_date(text, year, month, day);
    *at++ = 'T';
    at = put_time(at, rest, nanos / 1000);
    if (zoned)
        *at++ = 'Z';
    return append_until(out, text, at, code_r);
}

/* time_send: microseconds since midnight. 24:00:00 is a time to PostgreSQL and to nobody else. */
static enum value_state time_value(struct db_value value, bool zoned, struct buf *out,
                                   const char **code_r)
{
    enum { DAY_S = 86400, ZONE_S_MAX = 16 * 3600 };
    char text[40];
    if (value.len != (zoned ? 12 : 8))
        return VALUE_MALFORMED;
    int64_t micros = (int64_t)get64(value.data);
    if (micros < 0 || micros > (int64_t)DAY_S * 1000000)
        return VALUE_MALFORMED;
    if (micros == (int64_t)DAY_S * 1000000)
        return rejected("TIME_END_OF_DAY", code_r);
    char *at = put_time(text, micros / 1000000, micros % 1000000);
    if (zoned) { /* seconds west of Greenwich */
        int32_t west = (int32_t)get32(value.data + 8);
        if (west <= -ZONE_S_MAX || west >= ZONE_S_MAX)
            return VALUE_MALFORMED;
        if (west % 60 != 0)
            return rejected("TIME_ZONE_SECONDS", code_r);
        int32_t minutes = (west < 0 ? -west : west) / 60;
        *at++ = west > 0 ? '-' : '+';
        at = put_two(at, minutes / 60);
        *at++ = ':';
        at = put_two(at, minutes % 60);
    }
    return append_until(out, text, at, code_r);
}

static char *put_unit(char *at, uint64_t number, char unit)
{
    if (number == 0)
        return at;
    at = put_digits(at, number, 1);
    *at++ = unit;
    return at;
}

/* interval_send: microseconds, days, months; ISO 8601 duration, months as years and months, days and
 * time as they are kept: a day is not always 24 hours. One sign for all, or there is no such text. */
static enum value_state interval_value(struct db_value value, struct buf *out, const char **code_r)
{
    char text[96], *at = text;
    if (value.len != 16)
        return VALUE_MALFORMED;
    int64_t micros = (int64_t)get64(value.data);
    int32_t days = (int32_t)get32(value.data + 8), months = (int32_t)get32(value.data + 12);
    bool most = micros == INT64_MAX && days == INT32_MAX && months == INT32_MAX;
    bool least = micros == INT64_MIN && days == INT32_MIN && months == INT32_MIN;
    if (most || least)
        return rejected("INTERVAL_INFINITE", code_r); /* since PostgreSQL 17 */
    bool negative = micros < 0 || days < 0 || months < 0;
    if (negative && (micros > 0 || days > 0 || months > 0))
        return rejected("INTERVAL_SIGN", code_r);
    uint64_t time = negative ? 0 - (uint64_t)micros : (uint64_t)micros;
    uint64_t month = negative ? (uint64_t)(-(int64_t)months) : (uint64_t)months;
    uint64_t day = negative ? (uint64_t)(-(int64_t)days) : (uint64_t)days;
    if (negative)
        *at++ = '-';
    *at++ = 'P';
    at = put_unit(at, month / 12, 'Y');
    at = put_unit(at, month % 12, 'M');
    at = put_unit(at, day, 'D');
    if (time == 0 && (month != 0 || day != 0))
        return append_until(out, text, at, code_r);
    *at++ = 'T';
    at = put_unit(at, time / 3600000000U, 'H');
    at = put_unit(at, time / 60000000U % 60, 'M');
    uint64_t second = time / 1000000 % 60, fraction = time % 1000000;
    if (second != 0 || fraction != 0 || time == 0) {
        at = put_digits(at, second, 1);
        if (fraction != 0) {
            *at++ = '.';
            at = put_digits(at, fraction, 6);
            while (at[-1] == '0')
                at--;
        }
        *at++ = 'S';
    }
    return append_until(out, text, at, code_r);
}

/* --- others ------------------------------------------------------------------------------------- */

/* inet_send: family, bits, whether it is a cidr, length, address. Text of RFC 4632 and RFC 5952; the
 * bits of an inet that is one host are not written, as PostgreSQL has it. */
static enum value_state inet_value(struct db_value value, bool network, struct buf *out,
                                   const char **code_r)
{
    enum { FAMILY_4 = 2, FAMILY_6 = 3 }; /* PGSQL_AF_INET, PGSQL_AF_INET6 */
    char text[INET6_ADDRSTRLEN + 8];
    if (value.len < 4)
        return VALUE_MALFORMED;
    bool six = value.data[0] == FAMILY_6;
    unsigned bits = value.data[1], size = six ? 16 : 4;
    if ((!six && value.data[0] != FAMILY_4) || value.data[2] != network || value.data[3] != size ||
        value.len != 4 + size || bits > 8 * size)
        return VALUE_MALFORMED;
    if (inet_ntop(six ? AF_INET6 : AF_INET, value.data + 4, text, INET6_ADDRSTRLEN) == NULL)
        return VALUE_MALFORMED;
    char *at = text + strlen(text);
    if (network || bits != 8 * size) {
        *at++ = '/';
        at = put_digits(at, bits, 1);
    }
    return append_until(out, text, at, code_r);
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
    case COLUMN_ENUM:
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
    case COLUMN_TIME:
    case COLUMN_TIMETZ:
        return time_value(value, type == COLUMN_TIMETZ, out, code_r);
    case COLUMN_INTERVAL:
        return interval_value(value, out, code_r);
    case COLUMN_INET:
    case COLUMN_CIDR:
        return inet_value(value, type == COLUMN_CIDR, out, code_r);
    case COLUMN_ARRAY:
    case COLUMN_TYPE_COUNT:
        break;
    }
    return VALUE_MALFORMED;
}
