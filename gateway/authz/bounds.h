/* Where from and when an agreement may be used: networks, and times of day with weekdays.
 * Ownership: plain values.
 * Never calls back, asks no clock.
 * Limits: AUTHZ_NETWORKS_MAX, AUTHZ_WINDOWS_MAX of one agreement; times are whole minutes in
 *   Asia/Shanghai, which has kept UTC+8 without summer time since 1992.
 * Does not resolve names, and knows no holidays: a working-day calendar is calendar.h's. */
#ifndef SLUICE_AUTHZ_BOUNDS_H
#define SLUICE_AUTHZ_BOUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    AUTHZ_NETWORKS_MAX = 64,
    AUTHZ_WINDOWS_MAX = 16,
    AUTHZ_BOUND_TEXT_BYTES_MAX = 64,
};

struct authz_network {
    bool v6;
    unsigned bits;
    uint8_t bytes[16]; /* IPv4: the first four */
};

/* "10.1.0.0/16", "2001:db8::/32"; an address alone is a network of one. False for anything else, and for
 * bits behind the prefix: who wrote them meant something else. */
bool authz_network_parse(const char *text, struct authz_network *network_r);
/* `address` as net/conn.h writes it, "10.1.2.3:443"; an IPv4 address mapped into IPv6 is the IPv4 one. One
 * that cannot be read is in no network. */
bool authz_networks_hold(const struct authz_network *networks, size_t count, const char *address);

struct authz_window {
    uint8_t weekdays; /* bit 0: Monday */
    int16_t from;     /* minutes, the first one inside */
    int16_t until;    /* the first one outside, at most 24:00 */
};

/* "mon-fri 08:30-17:30", "sat+sun 10:00-12:00" (or with a comma), "22:00-24:00" on every day. A night takes two. */
bool authz_window_parse(const char *text, struct authz_window *window_r);
bool authz_windows_open(const struct authz_window *windows, size_t count, int64_t wall_us);

#endif
