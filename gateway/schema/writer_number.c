/* numeric, dates and times: texts to binary values, exactly or not at all. */
#include <string.h>

#include "schema/normaliser_internal.h"
#include "schema/program.h"
#include "schema/writer_value.h"

enum {
    POSTGRES_EPOCH_DAYS = 10957, /* 2000-01-01 */
    DAY_SECONDS = 86400,
    SECOND_MICROS = 1000000,
    NUMERIC_SCALE_MAX = 16383,
    NUMERIC_WHOLE_DIGITS_MAX = 16384, /* what the way back reads; PostgreSQL allows 131,072 */
    NUMERIC_NEGATIVE = 0x4000,
    FRACTION_DIGITS_MAX = 6,
};

/* --- numeric ------------------------------------------------------------------------------------
 */

struct decimal {
    bool negative;
    const uint8_t *whole; /* without leading zeros */
    size_t whole_len;
    const uint8_t *fraction;
    size_t fraction_len;
    size_t scale; /* digits the column shows behind the point */
};

static size_t digits_at(const uint8_t *text, size_t len)
{
    size_t count = 0;
    while (count < len && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

static bool read_decimal(struct slice text, struct decimal *number_r)
{
    *number_r = (struct decimal){ .negative = text.len > 0 && text.data[0] == '-' };
    size_t at = number_r->negative;
    number_r->whole = text.data + at;
    number_r->whole_len = digits_at(text.data + at, text.len - at);
    at += number_r->whole_len;
    if (number_r->whole_len == 0)
        return false;
    if (at < text.len && text.data[at] == '.') {
        at++;
        number_r->fraction = text.data + at;
        number_r->fraction_len = digits_at(text.data + at, text.len - at);
        at += number_r->fraction_len;
        if (number_r->fraction_len == 0)
            return false;
    }
    while (number_r->whole_len > 0 && number_r->whole[0] == '0') {
        number_r->whole++;
        number_r->whole_len--;
    }
    number_r->scale = number_r->fraction_len;
    return at == text.len;
}

static bool all_zero(const uint8_t *digits, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (digits[i] != '0')
            return false;
    return true;
}

/* numeric(precision, scale): PostgreSQL would round to the scale, in silence. */
static const char *apply_modifier(struct decimal *number, int32_t modifier)
{
    if (modifier < 4)
        return NULL;
    int precision = (modifier - 4) >> 16 & 0xffff;
    int scale = ((modifier - 4) & 0x7ff) ^ 1024;
    scale -= 1024;
    size_t keep = scale > 0 ? (size_t)scale : 0, drop = scale < 0 ? (size_t)-scale : 0;
    if (number->fraction_len > keep &&
        !all_zero(number->fraction + keep, number->fraction_len - keep))
        return "NUMERIC_SCALE";
    if (number->whole_len > 0 && drop > 0) {
        size_t tail = drop < number->whole_len ? drop : number->whole_len;
        if (!all_zero(number->whole + number->whole_len - tail, tail))
            return "NUMERIC_SCALE";
    }
    int whole_max = precision - scale;
    if (whole_max >= 0 && number->whole_len > (size_t)whole_max)
        return "NUMERIC_RANGE";
    /* numeric(2,4) holds 0.0012 but not 0.0123. */
    if (whole_max < 0) {
        size_t zeros = (size_t)-whole_max;
        size_t seen = zeros < number->fraction_len ? zeros : number->fraction_len;
        if (number->whole_len > 0 || !all_zero(number->fraction, seen))
            return "NUMERIC_RANGE";
    }
    number->scale = keep;
    if (number->fraction_len > keep)
        number->fraction_len = keep;
    return NULL;
}

static int digit_at(const struct decimal *number, long place)
{
    if (place >= 0)
        return place < (long)number->whole_len
                   ? number->whole[(long)number->whole_len - 1 - place] - '0'
                   : 0;
    return -place <= (long)number->fraction_len ? number->fraction[-place - 1] - '0' : 0;
}

/* The base-10000 digit of weight `weight`: 0 stands for the last four whole digits. */
static int group_at(const struct decimal *number, long weight)
{
    int value = 0;
    for (long place = 4 * weight + 3; place >= 4 * weight; place--)
        value = value * 10 + digit_at(number, place);
    return value;
}

/* numeric_recv: digits, weight of the first, sign, scale, then base-10000 digits. */
const char *writer_encode_numeric(struct slice text, const struct writer_limits *limits,
                                  struct buf *out)
{
    struct decimal number;
    if (!read_decimal(text, &number))
        return "NUMERIC_SYNTAX";
    const char *problem = apply_modifier(&number, limits->modifier);
    if (problem != NULL)
        return problem;
    if (number.whole_len > NUMERIC_WHOLE_DIGITS_MAX || number.scale > NUMERIC_SCALE_MAX)
        return "NUMERIC_RANGE";
    long first = (long)(number.whole_len + 3) / 4 - 1;
    long last = -(long)((number.fraction_len + 3) / 4);
    while (first >= last && group_at(&number, first) == 0)
        first--;
    while (last <= first && group_at(&number, last) == 0)
        last++;
    long count = first - last + 1;
    bool zero = count <= 0;
    if (zero)
        count = first = 0;
    if (buf_reserve(out, 8 + 2 * (size_t)count) != 0)
        return "VALUE_TOO_LONG";
    (void)writer_put16((uint16_t)count, out);
    (void)writer_put16((uint16_t)first, out);
    (void)writer_put16(number.negative && !zero ? NUMERIC_NEGATIVE : 0, out);
    (void)writer_put16((uint16_t)number.scale, out);
    for (long i = 0; i < count; i++)
        (void)writer_put16((uint16_t)group_at(&number, first - i), out);
    return NULL;
}

/* --- dates and times ----------------------------------------------------------------------------
 */

static bool two_digits(const uint8_t *text, int max, int *value_r)
{
    if (digits_at(text, 2) != 2)
        return false;
    *value_r = (text[0] - '0') * 10 + (text[1] - '0');
    return *value_r <= max;
}

static bool read_date(const uint8_t *text, int64_t *days_r)
{
    int century = 0, year = 0, month = 0, day = 0;
    if (!two_digits(text, 99, &century) || !two_digits(text + 2, 99, &year) || text[4] != '-' ||
        !two_digits(text + 5, 12, &month) || text[7] != '-' || !two_digits(text + 8, 31, &day) ||
        !normaliser_real_date(century * 100 + year, month, day))
        return false;
    *days_r = normaliser_days_of(century * 100 + year, month, day);
    return true;
}

const char *writer_encode_date(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    int64_t days = 0;
    (void)limits;
    if (text.len != 10 || !read_date(text.data, &days))
        return "DATE_SYNTAX";
    return writer_put32((uint32_t)(int32_t)(days - POSTGRES_EPOCH_DAYS), out);
}

/* hh:mm:ss and at most six digits behind a point. */
static const char *read_clock(const uint8_t *text, size_t len, int hour_max, int64_t *micros_r)
{
    int hour = 0, minute = 0, second = 0;
    if (len < 8 || !two_digits(text, hour_max, &hour) || text[2] != ':' ||
        !two_digits(text + 3, 59, &minute) || text[5] != ':' || !two_digits(text + 6, 59, &second))
        return "TIME_SYNTAX";
    int64_t micros = ((int64_t)hour * 3600 + minute * 60 + second) * SECOND_MICROS;
    if (len > 8) {
        size_t digits = text[8] == '.' ? digits_at(text + 9, len - 9) : 0;
        int64_t unit = SECOND_MICROS;
        if (digits == 0 || 9 + digits != len)
            return "TIME_SYNTAX";
        if (digits > FRACTION_DIGITS_MAX)
            return "TIME_PRECISION";
        for (size_t i = 0; i < digits; i++)
            micros += (text[9 + i] - '0') * (unit /= 10);
    }
    *micros_r = micros;
    return NULL;
}

/* timestamp(p) and time(p) would round. */
static bool fits_precision(int64_t micros, int32_t modifier)
{
    int64_t unit = SECOND_MICROS;
    for (int32_t i = 0; i < modifier; i++)
        unit /= 10;
    return modifier < 0 || modifier >= FRACTION_DIGITS_MAX || micros % unit == 0;
}

const char *writer_encode_time(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    int64_t micros = 0;
    const char *problem = read_clock(text.data, text.len, 24, &micros);
    if (problem != NULL)
        return problem;
    if (micros > (int64_t)DAY_SECONDS * SECOND_MICROS)
        return "TIME_SYNTAX";
    return fits_precision(micros, limits->modifier) ? writer_put64((uint64_t)micros, out)
                                                    : "TIME_PRECISION";
}

/* Since 2000-01-01, in local time or UTC as the type has it. */
static const char *put_micros(int64_t micros, const struct writer_limits *limits, struct buf *out)
{
    if (!fits_precision(micros, limits->modifier))
        return "TIMESTAMP_PRECISION";
    micros -= (int64_t)POSTGRES_EPOCH_DAYS * DAY_SECONDS * SECOND_MICROS;
    return writer_put64((uint64_t)micros, out);
}

const char *writer_encode_instant(int64_t seconds, int32_t nanos,
                                  const struct writer_limits *limits, struct buf *out)
{
    if (nanos % 1000 != 0)
        return "TIMESTAMP_PRECISION"; /* PostgreSQL keeps microseconds */
    return put_micros(seconds * SECOND_MICROS + nanos / 1000, limits, out);
}

const char *writer_encode_timestamp(struct slice text, const struct writer_limits *limits,
                                    struct buf *out)
{
    int64_t days = 0, micros = 0;
    if (text.len < 19 || !read_date(text.data, &days) ||
        (text.data[10] != 'T' && text.data[10] != ' '))
        return "TIMESTAMP_SYNTAX";
    const char *problem = read_clock(text.data + 11, text.len - 11, 23, &micros);
    if (problem != NULL)
        return strcmp(problem, "TIME_PRECISION") == 0 ? "TIMESTAMP_PRECISION" : "TIMESTAMP_SYNTAX";
    return put_micros(days * DAY_SECONDS * SECOND_MICROS + micros, limits, out);
}

const char *writer_encode_timestamptz(struct slice text, const struct writer_limits *limits,
                                      struct buf *out)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (!program_parse_timestamp(text.data, text.len, &seconds, &nanos))
        return "TIMESTAMP_SYNTAX";
    return writer_encode_instant(seconds, nanos, limits, out);
}
