#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

/* Returns the microseconds within the second, never negative. */
static long split_utc(int64_t wall_us, struct tm *utc_r)
{
    int64_t seconds = wall_us / 1000000;
    int64_t rest = wall_us % 1000000;
    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    time_t when = (time_t)seconds;
    (void)gmtime_r(&when, utc_r);
    return (long)rest;
}

void clock_format(int64_t wall_us, char text_r[CLOCK_TEXT_BYTES])
{
    struct tm utc;
    long rest = split_utc(wall_us, &utc);
    size_t len = strftime(text_r, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text_r + len, CLOCK_TEXT_BYTES - len, ".%06ldZ", rest);
}

void clock_format_http(int64_t wall_us, char text_r[CLOCK_TEXT_BYTES])
{
    /* Not strftime's %a and %b: those follow the locale. */
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct tm utc;
    (void)split_utc(wall_us, &utc);
    (void)snprintf(text_r, CLOCK_TEXT_BYTES, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                   days[utc.tm_wday], utc.tm_mday, months[utc.tm_mon], utc.tm_year + 1900,
                   utc.tm_hour, utc.tm_min, utc.tm_sec);
}
