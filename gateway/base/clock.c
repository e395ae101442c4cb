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

void clock_format(int64_t wall_us, char text_r[CLOCK_TEXT_BYTES])
{
    int64_t seconds = wall_us / 1000000;
    int64_t rest = wall_us % 1000000;
    if (rest < 0) {
        rest += 1000000;
        seconds--;
    }
    time_t when = (time_t)seconds;
    struct tm utc;
    (void)gmtime_r(&when, &utc);
    size_t len = strftime(text_r, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text_r + len, CLOCK_TEXT_BYTES - len, ".%06ldZ", (long)rest);
}
