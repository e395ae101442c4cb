/* Working days (工作日): weekends, statutory holidays and make-up working days of the years loaded.
 * Ownership: calendar_free and calendar_table_free release everything; nothing is borrowed.
 * Never calls back, asks no clock: instants come in, days go out.
 * Limits: years CALENDAR_YEAR_MIN to _MAX; a table file has at most CALENDAR_TABLE_BYTES_MAX.
 * Does not guess: a year that was not loaded answers that it is missing. */
#ifndef SLUICE_AUTHZ_CALENDAR_H
#define SLUICE_AUTHZ_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct calendar;
struct err;

enum {
    CALENDAR_YEAR_MIN = 2000, /* Asia/Shanghai has kept UTC+8 without summer time since 1992 */
    CALENDAR_YEAR_MAX = 2199,
    CALENDAR_TABLE_BYTES_MAX = 65536, /* a year's table is below 2 KiB */
    CALENDAR_SOURCE_BYTES_MAX = 512,
    CALENDAR_DAYS_MAX = 366, /* special days of a year; also the longest deadline in working days */
    CALENDAR_DATE_BYTES = 11,
};

/* A day is counted from 1970-01-01. */
/* The day in Asia/Shanghai on which an instant (wall clock, microseconds) falls. */
int32_t calendar_day(int64_t wall_us);
int calendar_year(int32_t day);
bool calendar_is_weekend(int32_t day);
/* "2026-02-27" of years CALENDAR_YEAR_MIN to _MAX; false for anything else. */
bool calendar_date_parse(const char *text, size_t len, int32_t *day_r);
/* `day` within years 0 to 9999. */
void calendar_date_format(int32_t day, char text_r[CALENDAR_DATE_BYTES]);

struct calendar *calendar_new(void); /* knows no year yet */
void calendar_free(struct calendar **calendar);
/* From here on Monday to Friday of this year are working days, the rest is not; calendar_set tells
 * the exceptions. INVALID_ARGUMENT/CALENDAR_INVALID outside CALENDAR_YEAR_MIN to _MAX. */
int calendar_add_year(struct calendar *calendar, int year, struct err *err);
/* INVALID_ARGUMENT/CALENDAR_INVALID when the day's year has not been added. */
int calendar_set(struct calendar *calendar, int32_t day, bool working, struct err *err);
bool calendar_has_year(const struct calendar *calendar, int year);

/* The last day on which something due within `days` working days (1 to CALENDAR_DAYS_MAX) of an
 * instant is in time; the day of the instant is not counted (民法典 201). When a year on the way is
 * not loaded: FAILED_PRECONDITION/CALENDAR_MISSING, and `missing_year_r` (may be NULL) says which. */
int calendar_due(const struct calendar *calendar, int64_t from_us, int days, int32_t *day_r,
                 int *missing_year_r, struct err *err);
/* Working days from `today` to `due`: 0 on the day itself, negative when it is over, each counted
 * without its first day. FAILED_PRECONDITION/CALENDAR_MISSING as above; OUT_OF_RANGE/CALENDAR_FAR
 * when they are more than three years apart. */
int calendar_left(const struct calendar *calendar, int32_t today, int32_t due, int *days_r,
                  struct err *err);

/* One year as its file says it:
 *   year: 2026
 *   source: "国务院办公厅关于2026年部分节假日安排的通知"
 *   off: [2026-01-01..2026-01-03, 2026-05-01]   # days off, weekends among them or not
 *   work: [2026-01-04]                          # weekend days that are working days */
struct calendar_day {
    int32_t day;
    bool working;
};
struct calendar_table {
    int year;
    char source[CALENDAR_SOURCE_BYTES_MAX + 1];
    struct calendar_day days[CALENDAR_DAYS_MAX]; /* in the order of the file, each once */
    size_t day_count;
};

/* `name` stands for the file in positions. NULL with INVALID_ARGUMENT: reason YAML_INVALID or
 * CALENDAR_INVALID and "file:line:column: sentence". */
struct calendar_table *calendar_table_parse(const char *name, const char *text, size_t len,
                                            struct err *err);
void calendar_table_free(struct calendar_table **table);
/* Adds the year with its days; a year that is there already is replaced. */
void calendar_add_table(struct calendar *calendar, const struct calendar_table *table);

#endif
