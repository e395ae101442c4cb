#include "authz/bounds.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum {
    V4_BITS = 32,
    V6_BITS = 128,
    MAPPED_BYTES = 12, /* of ::ffff:0:0/96 */
    DAY_MINUTES = 24 * 60,
    CHINA_OFFSET_MIN = 8 * 60,
    WEEKDAYS = 7,
    ALL_DAYS = (1 << WEEKDAYS) - 1,
    EPOCH_WEEKDAY = 3, /* 1970-01-01 was a Thursday */
};
#define MINUTE_US INT64_C(60000000)

/* --- networks ------------------------------------------------------------------------------------- */

static const uint8_t mapped[MAPPED_BYTES] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool parse_address(const char *text, size_t len, bool *v6_r, uint8_t bytes_r[16])
{
    char host[INET6_ADDRSTRLEN];
    if (len == 0 || len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    memset(bytes_r, 0, 16);
    *v6_r = strchr(host, ':') != NULL;
    return inet_pton(*v6_r ? AF_INET6 : AF_INET, host, bytes_r) == 1;
}

static bool bit_of(const uint8_t *bytes, unsigned bit)
{
    return (bytes[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

bool authz_network_parse(const char *text, struct authz_network *network_r)
{
    size_t len = strcspn(text, "/"), digits = 0;
    if (!parse_address(text, len, &network_r->v6, network_r->bytes) ||
        (network_r->v6 && memcmp(network_r->bytes, mapped, sizeof mapped) == 0))
        return false;
    unsigned width = network_r->v6 ? V6_BITS : V4_BITS;
    network_r->bits = width;
    if (text[len] == '/') {
        const char *bits = text + len + 1;
        digits = strspn(bits, "0123456789");
        if (digits == 0 || digits > 3 || bits[digits] != '\0' || (digits > 1 && bits[0] == '0'))
            return false;
        network_r->bits = 0;
        for (size_t i = 0; i < digits; i++)
            network_r->bits = network_r->bits * 10 + (unsigned)(bits[i] - '0');
        if (network_r->bits > width)
            return false;
    }
    for (unsigned bit = network_r->bits; bit < width; bit++)
        if (bit_of(network_r->bytes, bit))
            return false;
    return true;
}

static bool holds(const struct authz_network *network, bool v6, const uint8_t *bytes)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    if (network->v6 != v6 || memcmp(network->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || (network->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

bool authz_networks_hold(const struct authz_network *networks, size_t count, const char *address)
{
    const char *port = strrchr(address, ':');
    uint8_t bytes[16];
    bool v6 = false;
    if (port == NULL || !parse_address(address, (size_t)(port - address), &v6, bytes))
        return false;
    if (v6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
        v6 = false;
        memmove(bytes, bytes + MAPPED_BYTES, 4);
    }
    for (size_t i = 0; i < count; i++)
        if (holds(&networks[i], v6, bytes))
            return true;
    return false;
}

/* --- windows -------------------------------------------------------------------------------------- */

/* 0 to 6, or -1. */
static int weekday_of(const char *text)
{
    static const char names[WEEKDAYS][4] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };
    for (int i = 0; i < WEEKDAYS; i++)
        if (strncmp(text, names[i], 3) == 0)
            return i;
    return -1;
}

/* "mon-fri+sun"; answers what stands behind, or NULL. */
static const char *parse_weekdays(const char *at, uint8_t *weekdays_r)
{
    *weekdays_r = 0;
    for (;; at++) {
        int first = weekday_of(at), last = first;
        if (first < 0)
            return NULL;
        at += 3;
        if (*at == '-') {
            last = weekday_of(at + 1);
            if (last < first)
                return NULL;
            at += 4;
        }
        for (int day = first; day <= last; day++)
            *weekdays_r = (uint8_t)(*weekdays_r | 1U << (unsigned)day);
        if (*at != '+' && *at != ',')
            return at;
    }
}

/* "08:30"; 24:00 too. */
static bool parse_time(const char *text, int16_t *minutes_r)
{
    for (size_t i = 0; i < 5; i++)
        if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9')
            return false;
    int hours = (text[0] - '0') * 10 + (text[1] - '0');
    int minutes = (text[3] - '0') * 10 + (text[4] - '0');
    *minutes_r = (int16_t)(hours * 60 + minutes);
    return minutes < 60 && *minutes_r <= DAY_MINUTES;
}

bool authz_window_parse(const char *text, struct authz_window *window_r)
{
    const char *at = text;
    window_r->weekdays = ALL_DAYS;
    if (*at < '0' || *at > '9') {
        at = parse_weekdays(at, &window_r->weekdays);
        if (at == NULL || *at++ != ' ')
            return false;
    }
    return strlen(at) == 11 && at[5] == '-' && parse_time(at, &window_r->from) &&
           parse_time(at + 6, &window_r->until) && window_r->from < window_r->until;
}

bool authz_windows_open(const struct authz_window *windows, size_t count, int64_t wall_us)
{
    int64_t minutes = wall_us / MINUTE_US - (wall_us % MINUTE_US < 0) + CHINA_OFFSET_MIN;
    int64_t day = minutes / DAY_MINUTES - (minutes % DAY_MINUTES < 0);
    int64_t minute = minutes - day * DAY_MINUTES;
    int64_t weekday = ((day + EPOCH_WEEKDAY) % WEEKDAYS + WEEKDAYS) % WEEKDAYS;
    for (size_t i = 0; i < count; i++)
        if ((windows[i].weekdays >> weekday & 1) != 0 && minute >= windows[i].from &&
            minute < windows[i].until)
            return true;
    return false;
}
