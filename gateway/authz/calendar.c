#include "authz/calendar.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum {
    DAY_SECONDS = 86400,
    SHANGHAI_OFFSET_SECONDS = 8 * 3600,
    YEARS = CALENDAR_YEAR_MAX - CALENDAR_YEAR_MIN + 1,
    LEFT_DAYS_MAX = 3 * 366, /* a countdown further away tells nobody anything */
};

struct calendar_year {
    bool known;
    uint8_t working[46]; /* a bit for each of up to 366 days, least significant first */
};

struct calendar {
    struct calendar_year years[YEARS];
};

/* --- days and dates, proleptic Gregorian (GB/T 7408.1-2023) ---------------------------------- */

/* Days from 1970-01-01 to the first of March of `year`, in years that begin with March, so that the
 * leap day is a year's last. */
static int32_t days_to_march(int year)
{
    int y = year;
    return y * 365 + y / 4 - y / 100 + y / 400 - 719468;
}

static int32_t day_of(int year, int month, int day)
{
    int shifted = month > 2 ? month - 3 : month + 9;
    int march_year = month > 2 ? year : year - 1;
    return days_to_march(march_year) + (153 * shifted + 2) / 5 + day - 1;
}

static void civil_of(int32_t day, int *year_r, int *month_r, int *day_r)
{
    int shifted = day + 719468;
    int era = shifted / 146097;
    int of_era = shifted % 146097;
    int year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (5 * of_year + 2) / 153;
    *day_r = of_year - (153 * month + 2) / 5 + 1;
    *month_r = month < 10 ? month + 3 : month - 9;
    *year_r = era * 400 + year_of_era + (*month_r <= 2);
}

int32_t calendar_day(int64_t wall_us)
{
    int64_t seconds = wall_us / 1000000 - (wall_us % 1000000 < 0);
    seconds += SHANGHAI_OFFSET_SECONDS;
    return (int32_t)(seconds / DAY_SECONDS - (seconds % DAY_SECONDS < 0));
}

int calendar_year(int32_t day)
{
    int year, month, of_month;
    civil_of(day, &year, &month, &of_month);
    return year;
}

bool calendar_is_weekend(int32_t day)
{
    int weekday = (int)(((int64_t)day % 7 + 7 + 4) % 7); /* 1970-01-01 was a Thursday; 0: Sunday */
    return weekday == 0 || weekday == 6;
}

static int digits(const char *text, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return number;
}

bool calendar_date_parse(const char *text, size_t len, int32_t *day_r)
{
    if (len != CALENDAR_DATE_BYTES - 1 || text[4] != '-' || text[7] != '-')
        return false;
    int year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    if (year < CALENDAR_YEAR_MIN || year > CALENDAR_YEAR_MAX || month < 1 || month > 12 || day < 1)
        return false;
    int32_t first = day_of(year, month, 1);
    int32_t next = month < 12 ? day_of(year, month + 1, 1) : day_of(year + 1, 1, 1);
    if (day > next - first)
        return false;
    *day_r = first + day - 1;
    return true;
}

void calendar_date_format(int32_t day, char text_r[CALENDAR_DATE_BYTES])
{
    int year, month, of_month;
    civil_of(day, &year, &month, &of_month);
    assert(year >= 0 && year <= 9999);
    char text[40];
    (void)snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, of_month);
    memcpy(text_r, text, CALENDAR_DATE_BYTES);
}

/* --- years ------------------------------------------------------------------------------------ */

struct calendar *calendar_new(void)
{
    return mem_zero(sizeof(struct calendar));
}

void calendar_free(struct calendar **calendar)
{
    free(*calendar);
    *calendar = NULL;
}

static void set_bit(struct calendar_year *year, int32_t position, bool working)
{
    uint8_t bit = (uint8_t)(1U << (position % 8));
    if (working)
        year->working[position / 8] |= bit;
    else
        year->working[position / 8] &= (uint8_t)~bit;
}

int calendar_add_year(struct calendar *calendar, int year, struct err *err)
{
    if (year < CALENDAR_YEAR_MIN || year > CALENDAR_YEAR_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "CALENDAR_INVALID", "a calendar year is %d to %d",
                       CALENDAR_YEAR_MIN, CALENDAR_YEAR_MAX);
    struct calendar_year *entry = &calendar->years[year - CALENDAR_YEAR_MIN];
    int32_t first = day_of(year, 1, 1), next = day_of(year + 1, 1, 1);
    entry->known = true;
    for (int32_t day = first; day < next; day++)
        set_bit(entry, day - first, !calendar_is_weekend(day));
    return 0;
}

bool calendar_has_year(const struct calendar *calendar, int year)
{
    return year >= CALENDAR_YEAR_MIN && year <= CALENDAR_YEAR_MAX &&
           calendar->years[year - CALENDAR_YEAR_MIN].known;
}

int calendar_set(struct calendar *calendar, int32_t day, bool working, struct err *err)
{
    if (day < day_of(CALENDAR_YEAR_MIN, 1, 1) || day >= day_of(CALENDAR_YEAR_MAX + 1, 1, 1) ||
        !calendar_has_year(calendar, calendar_year(day)))
        return err_set(err, ERR_INVALID_ARGUMENT, "CALENDAR_INVALID",
                       "the year of a day must be added before the day");
    int year = calendar_year(day);
    set_bit(&calendar->years[year - CALENDAR_YEAR_MIN], day - day_of(year, 1, 1), working);
    return 0;
}

void calendar_add_table(struct calendar *calendar, const struct calendar_table *table)
{
    int failed = calendar_add_year(calendar, table->year, NULL);
    for (size_t i = 0; i < table->day_count; i++)
        failed |= calendar_set(calendar, table->days[i].day, table->days[i].working, NULL);
    assert(failed == 0); /* the parser lets nothing else through */
}

/* --- counting --------------------------------------------------------------------------------- */

/* 1 working, 0 not, -1 with `err` when the year is not known. */
static int working(const struct calendar *calendar, int32_t day, int *missing_year_r,
                   struct err *err)
{
    int year = calendar_year(day);
    if (!calendar_has_year(calendar, year)) {
        if (missing_year_r != NULL)
            *missing_year_r = year;
        return err_set(err, ERR_FAILED_PRECONDITION, "CALENDAR_MISSING",
                       "the working-day calendar of %d is not loaded; ask the operator to load it "
                       "with sluice calendar load",
                       year);
    }
    int32_t position = day - day_of(year, 1, 1);
    const struct calendar_year *entry = &calendar->years[year - CALENDAR_YEAR_MIN];
    return (entry->working[position / 8] >> (position % 8)) & 1;
}

int calendar_due(const struct calendar *calendar, int64_t from_us, int days, int32_t *day_r,
                 int *missing_year_r, struct err *err)
{
    if (days < 1 || days > CALENDAR_DAYS_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, "CALENDAR_DAYS",
                       "a deadline is 1 to %d working days", CALENDAR_DAYS_MAX);
    int32_t day = calendar_day(from_us);
    for (int left = days; left > 0;) {
        day++;
        int counts = working(calendar, day, missing_year_r, err);
        if (counts < 0)
            return -1;
        left -= counts;
    }
    *day_r = day;
    return 0;
}

int calendar_left(const struct calendar *calendar, int32_t today, int32_t due, int *days_r,
                  struct err *err)
{
    int32_t from = today < due ? today : due, to = today < due ? due : today;
    if ((int64_t)to - from > LEFT_DAYS_MAX)
        return err_set(err, ERR_OUT_OF_RANGE, "CALENDAR_FAR",
                       "the two days are more than three years apart");
    int count = 0;
    for (int32_t day = from + 1; day <= to; day++) {
        int counts = working(calendar, day, NULL, err);
        if (counts < 0)
            return -1;
        count += counts;
    }
    *days_r = today < due ? count : -count;
    return 0;
}
