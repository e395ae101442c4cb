/* The working-day calendar as the control database's rows carry it, and deadlines as answers show them.
 * Ownership: messages lie in the arena given; the calendar is the caller's.
 * Never calls back.
 * Limits: two years back and three ahead of the database's own.
 * Does not know what a deadline is for: application_rows.c and catalogue_rows.c do. */
#ifndef SLUICE_SERVICES_CALENDAR_ROWS_H
#define SLUICE_SERVICES_CALENDAR_ROWS_H

#include "authz/calendar.h"
#include "base/arena.h"
#include "pg/db.h"
#include "sluice/v1/agreement.pb-c.h"

/* Subqueries for three columns that stand side by side, in this order. */
#define CALENDAR_YEARS_                                                                            \
    "extract(year FROM now())::integer - 2 AND extract(year FROM now())::integer + 3"
#define CALENDAR_YEARS_SQL                                                                         \
    "SELECT string_agg(y.year::text, E'\\x1f') FROM control.workday_year AS y"                     \
    " WHERE y.year BETWEEN " CALENDAR_YEARS_
#define CALENDAR_DAYS_(kind_)                                                                      \
    "SELECT string_agg((d.day - date '1970-01-01')::text, E'\\x1f')"                               \
    " FROM control.workday_calendar AS d WHERE d.kind = '" kind_                                   \
    "' AND d.year BETWEEN " CALENDAR_YEARS_
#define CALENDAR_OFF_SQL  CALENDAR_DAYS_("off")
#define CALENDAR_WORK_SQL CALENDAR_DAYS_("work")

/* Adds what the three columns from `column` on say to `calendar`. */
void calendar_take(struct arena *arena, const struct db_rows *rows, int row, int column,
                   struct calendar *calendar);

/* A deadline that runs. */
struct calendar_clock {
    const char *name; /* "ANSWER", as in the database and in the enum */
    int64_t from_us;
    int days;
    bool due_stored;
    int32_t due;
};
/* What was told stands; what could not be told then is told as soon as the calendar is there. */
Sluice__V1__ApplicationDeadline *calendar_deadline(struct arena *arena,
                                                   const struct calendar_clock *clock,
                                                   int64_t now_us, const struct calendar *calendar);

#endif
