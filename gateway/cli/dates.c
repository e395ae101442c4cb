#include "cli/dates.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void format_utc(time_t when, char text_r[DATES_TEXT_BYTES])
{
    struct tm utc;

    gmtime_r(&when, &utc);
    strftime(text_r, DATES_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* Exactly `count` digits at `text`. */
static bool read_digits(const char *text, int count, int *value_r)
{
    *value_r = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        *value_r = *value_r * 10 + (text[i] - '0');
    }
    return true;
}

/* "YYYY-MM-DD", and that the calendar has that day. */
static bool read_day(const char *text, struct tm *day_r)
{
    int year, month, day;

    memset(day_r, 0, sizeof *day_r);
    if (strnlen(text, 10) < 10 || !read_digits(text, 4, &year) || text[4] != '-' ||
        !read_digits(text + 5, 2, &month) || text[7] != '-' || !read_digits(text + 8, 2, &day) ||
        year < 1970)
        return false;
    day_r->tm_year = year - 1900;
    day_r->tm_mon = month - 1;
    day_r->tm_mday = day;
    struct tm normal = *day_r;
    (void)timegm(&normal);
    return normal.tm_mon == month - 1 && normal.tm_mday == day;
}

/* "THH:MM:SS[.fraction](Z|+HH:MM|-HH:MM)" */
static bool time_valid(const char *text)
{
    int hour, minute, second;

    if (strnlen(text, 9) < 9 || (text[0] != 'T' && text[0] != 't') ||
        !read_digits(text + 1, 2, &hour) || text[3] != ':' || !read_digits(text + 4, 2, &minute) ||
        text[6] != ':' || !read_digits(text + 7, 2, &second) || hour > 23 || minute > 59 ||
        second > 59)
        return false;
    text += 9;
    if (*text == '.') {
        size_t digits = strspn(text + 1, "0123456789");
        if (digits < 1 || digits > 9)
            return false;
        text += 1 + digits;
    }
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    return (*text == '+' || *text == '-') && strlen(text) == 6 && text[3] == ':' &&
           read_digits(text + 1, 2, &hour) && read_digits(text + 4, 2, &minute) && hour <= 23 &&
           minute <= 59;
}

bool dates_parse(const char *text, enum dates_side side, char text_r[DATES_TEXT_BYTES])
{
    struct tm day;

    if (!read_day(text, &day))
        return false;
    if (text[10] != '\0') {
        if (!time_valid(text + 10) || strlen(text) >= DATES_TEXT_BYTES)
            return false;
        snprintf(text_r, DATES_TEXT_BYTES, "%s", text);
        return true;
    }
    if (side == DATES_END_OF_DAY) {
        day.tm_hour = 23;
        day.tm_min = 59;
        day.tm_sec = 59;
    }
    if (side == DATES_NEXT_DAY)
        day.tm_mday++;
    day.tm_isdst = -1;
    format_utc(mktime(&day), text_r);
    return true;
}

void dates_after_days(long days, char text_r[DATES_TEXT_BYTES])
{
    enum { seconds_of_day = 24 * 60 * 60 };

    format_utc(time(NULL) + (time_t)days * seconds_of_day, text_r);
}
