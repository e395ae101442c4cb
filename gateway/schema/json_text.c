#include "schema/json_internal.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { SECONDS_PER_DAY = 86400, NANOS_PER_SECOND = 1000000000, NANO_DIGITS = 9 };
static const int64_t timestamp_seconds_min = -62135596800; /* 0001-01-01T00:00:00Z */
static const int64_t timestamp_seconds_max = 253402300799; /* 9999-12-31T23:59:59Z */
static const int64_t duration_seconds_max = 315576000000;

/* --- calendar: days since 1970-01-01 in the proleptic Gregorian calendar -------------------------
 */

struct date {
    int64_t year;
    int month;
    int day;
};

/* Years are counted from March, so that the leap day is the last of its year; era = 400 years. */
static struct date date_of_days(int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */
    struct date date = {
        .year = year_of_era + era * 400 + (month >= 10 ? 1 : 0),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
    };
    return date;
}

static int64_t days_of_date(struct date date)
{
    int64_t year = date.year - (date.month <= 2 ? 1 : 0);
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* ".5" with 3, 6 or 9 digits, or nothing. */
static void format_nanos(int32_t nanos, char text_r[NANO_DIGITS + 2])
{
    text_r[0] = '\0';
    if (nanos == 0)
        return;
    if (nanos % 1000000 == 0)
        (void)snprintf(text_r, NANO_DIGITS + 2, ".%03" PRId32, nanos / 1000000);
    else if (nanos % 1000 == 0)
        (void)snprintf(text_r, NANO_DIGITS + 2, ".%06" PRId32, nanos / 1000);
    else
        (void)snprintf(text_r, NANO_DIGITS + 2, ".%09" PRId32, nanos);
}

/* Reads exactly `count` digits at *p. */
static bool read_digits(const char **p, const char *end, int count, int *value_r)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*p)++) {
        if (*p == end || **p < '0' || **p > '9')
            return false;
        value = value * 10 + (**p - '0');
    }
    *value_r = value;
    return true;
}

static bool read_char(const char **p, const char *end, char wanted)
{
    if (*p == end || **p != wanted)
        return false;
    (*p)++;
    return true;
}

/* An optional fraction of one to nine digits. */
static bool read_nanos(const char **p, const char *end, int32_t *nanos_r)
{
    *nanos_r = 0;
    if (!read_char(p, end, '.'))
        return true;
    int digits = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        if (++digits > NANO_DIGITS)
            return false;
        *nanos_r = *nanos_r * 10 + (**p - '0');
    }
    for (int i = digits; i < NANO_DIGITS; i++)
        *nanos_r *= 10;
    return digits > 0;
}

/* "Z" or "+08:00"; seconds east of Greenwich. */
static bool read_offset(const char **p, const char *end, int64_t *offset_r)
{
    *offset_r = 0;
    if (read_char(p, end, 'Z'))
        return true;
    int sign = read_char(p, end, '+') ? 1 : read_char(p, end, '-') ? -1 : 0;
    int hours;
    int minutes;
    if (sign == 0 || !read_digits(p, end, 2, &hours) || !read_char(p, end, ':') ||
        !read_digits(p, end, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset_r = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool json_timestamp_format(int64_t seconds, int32_t nanos, char text_r[JSON_TIME_TEXT_BYTES])
{
    if (seconds < timestamp_seconds_min || seconds > timestamp_seconds_max || nanos < 0 ||
        nanos >= NANOS_PER_SECOND)
        return false;
    int64_t days = seconds / SECONDS_PER_DAY;
    int64_t rest = seconds % SECONDS_PER_DAY;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }
    struct date date = date_of_days(days);
    char fraction[NANO_DIGITS + 2];
    format_nanos(nanos, fraction);
    (void)snprintf(text_r, JSON_TIME_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", (int)date.year,
                   date.month, date.day, (int)(rest / 3600), (int)(rest / 60 % 60),
                   (int)(rest % 60), fraction);
    return true;
}

bool json_timestamp_parse(const char *text, size_t len, int64_t *seconds_r, int32_t *nanos_r)
{
    const char *p = text;
    const char *end = text + len;
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int second;
    int64_t offset;
    if (!read_digits(&p, end, 4, &year) || !read_char(&p, end, '-') ||
        !read_digits(&p, end, 2, &month) || !read_char(&p, end, '-') ||
        !read_digits(&p, end, 2, &day) || !read_char(&p, end, 'T') ||
        !read_digits(&p, end, 2, &hour) || !read_char(&p, end, ':') ||
        !read_digits(&p, end, 2, &minute) || !read_char(&p, end, ':') ||
        !read_digits(&p, end, 2, &second) || !read_nanos(&p, end, nanos_r) ||
        !read_offset(&p, end, &offset) || p != end)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t days = days_of_date((struct date){ .year = year, .month = month, .day = day });
    *seconds_r = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    return *seconds_r >= timestamp_seconds_min && *seconds_r <= timestamp_seconds_max;
}

bool json_duration_format(int64_t seconds, int32_t nanos, char text_r[JSON_TIME_TEXT_BYTES])
{
    if (seconds < -duration_seconds_max || seconds > duration_seconds_max ||
        nanos <= -NANOS_PER_SECOND || nanos >= NANOS_PER_SECOND || (seconds < 0 && nanos > 0) ||
        (seconds > 0 && nanos < 0))
        return false;
    char fraction[NANO_DIGITS + 2];
    format_nanos(nanos < 0 ? -nanos : nanos, fraction);
    (void)snprintf(text_r, JSON_TIME_TEXT_BYTES, "%s%" PRId64 "%ss",
                   seconds < 0 || nanos < 0 ? "-" : "", seconds < 0 ? -seconds : seconds, fraction);
    return true;
}

bool json_duration_parse(const char *text, size_t len, int64_t *seconds_r, int32_t *nanos_r)
{
    const char *p = text;
    const char *end = text + len;
    int64_t sign = read_char(&p, end, '-') ? -1 : 1;
    const char *first = p;
    int64_t seconds = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        seconds = seconds * 10 + (*p - '0');
        if (seconds > duration_seconds_max)
            return false;
    }
    if (p == first || !read_nanos(&p, end, nanos_r) || !read_char(&p, end, 's') || p != end)
        return false;
    *seconds_r = sign * seconds;
    *nanos_r = (int32_t)sign * *nanos_r;
    return true;
}

/* --- field masks ---------------------------------------------------------------------------------
 */

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_path_char(char c)
{
    return is_lower(c) || is_upper(c) || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

bool json_mask_to_camel(const uint8_t *path, size_t len, char *out, size_t *len_r)
{
    *len_r = 0;
    for (size_t i = 0; i < len; i++) {
        char c = (char)path[i];
        if (!is_path_char(c) || is_upper(c))
            return false;
        if (c == '_') {
            if (i + 1 == len || !is_lower((char)path[i + 1]))
                return false;
            c = (char)(path[++i] - 'a' + 'A');
        }
        out[(*len_r)++] = c;
    }
    return true;
}

bool json_mask_to_snake(const char *path, size_t len, char *out, size_t *len_r)
{
    *len_r = 0;
    for (size_t i = 0; i < len; i++) {
        char c = path[i];
        if (!is_path_char(c))
            return false;
        if (is_upper(c)) {
            out[(*len_r)++] = '_';
            c = (char)(c - 'A' + 'a');
        }
        out[(*len_r)++] = c;
    }
    return len > 0;
}

/* --- numbers -------------------------------------------------------------------------------------
 */

/* JSON has one kind of number, but a reader keeps the sign of "-0.0" only. */
static bool negative_zero(double value, char text_r[JSON_NUMBER_TEXT_BYTES])
{
    if (value != 0 || !signbit(value))
        return false;
    (void)snprintf(text_r, JSON_NUMBER_TEXT_BYTES, "-0.0");
    return true;
}

void json_double_format(double value, char text_r[JSON_NUMBER_TEXT_BYTES])
{
    if (negative_zero(value, text_r))
        return;
    /* 15 digits always suffice to keep a short decimal; near zero fewer digits are exact. */
    for (int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        (void)snprintf(text_r, JSON_NUMBER_TEXT_BYTES, "%.*g", digits, value);
        if (strtod(text_r, NULL) == value)
            return;
    }
}

void json_float_format(float value, char text_r[JSON_NUMBER_TEXT_BYTES])
{
    if (negative_zero((double)value, text_r))
        return;
    for (int digits = fabsf(value) < FLT_MIN ? 1 : FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
        (void)snprintf(text_r, JSON_NUMBER_TEXT_BYTES, "%.*g", digits, (double)value);
        if (strtof(text_r, NULL) == value)
            return;
    }
}

/* --- types and texts -----------------------------------------------------------------------------
 */

const struct schema_message *json_find_type(const struct schema_json_options *options,
                                            const char *name, size_t len)
{
    for (size_t i = 0; i < options->set_count; i++) {
        const struct schema_message *found = schema_set_message_n(options->sets[i], name, len);
        if (found != NULL)
            return found;
    }
    return NULL;
}

size_t json_type_url_prefix(const char *url, size_t len)
{
    while (len > 0 && url[len - 1] != '/')
        len--;
    return len;
}

const char *json_shown(const char *text, size_t len, char shown_r[JSON_SHOWN_TEXT_BYTES])
{
    size_t used = 0;
    size_t room = JSON_SHOWN_TEXT_BYTES - sizeof "...";
    for (size_t i = 0; i < len;) {
        uint32_t code_point;
        size_t step = utf8_decode((const uint8_t *)text + i, len - i, &code_point);
        bool plain = step > 0 && code_point >= 0x20 && code_point != 0x7F;
        size_t wanted = plain ? step : 1;
        if (used + wanted > room) {
            memcpy(shown_r + used, "...", 3);
            used += 3;
            break;
        }
        if (plain)
            memcpy(shown_r + used, text + i, step);
        else
            shown_r[used] = '?';
        used += wanted;
        i += step > 0 ? step : 1;
    }
    shown_r[used] = '\0';
    return shown_r;
}
