/* Dates as an officer writes them, into RFC 3339 timestamps as the gateway reads them.
 * Owns nothing; output goes to the caller's memory.
 * Never calls back.
 * Limits: years 1970 to 9999; a day without a time is read in the machine's time zone.
 * Does not understand other calendars or words such as "tomorrow". */
#ifndef SLUICE_CLI_DATES_H
#define SLUICE_CLI_DATES_H

#include <stdbool.h>

enum { DATES_TEXT_BYTES = 40 };
enum dates_side { DATES_START_OF_DAY, DATES_END_OF_DAY, DATES_NEXT_DAY };

/* "2027-01-31" (its first or last second, or the first of the next day, local time) or an RFC 3339 timestamp. False for anything
 * else, among them days that no month has. */
bool dates_parse(const char *text, enum dates_side side, char text_r[DATES_TEXT_BYTES]);
/* Now and `days` times 24 hours. */
void dates_after_days(long days, char text_r[DATES_TEXT_BYTES]);

#endif
