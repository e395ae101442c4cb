/* The two clocks: monotonic for deadlines, wall for what people and certificates read.
 * Owns nothing.
 * Never calls back. Units are in the names.
 * Limits: 64-bit microseconds last until the year 294,246.
 * Does not cache: each call asks the kernel (vDSO). */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_monotonic_us(void);
int64_t clock_wall_us(void); /* since 1970-01-01T00:00:00Z */

enum { CLOCK_TEXT_BYTES = 32 };
/* RFC 3339 in UTC with microseconds, for example 2026-11-23T08:00:00.000001Z. */
void clock_format(int64_t wall_us, char text_r[CLOCK_TEXT_BYTES]);
/* RFC 9110 5.6.7 IMF-fixdate, for example Sun, 06 Nov 1994 08:49:37 GMT. */
void clock_format_http(int64_t wall_us, char text_r[CLOCK_TEXT_BYTES]);

#endif
