#include "services/calendar_rows.h"

#include <stdlib.h>

#include "services/timestamps.h"

static void take_days(struct arena *arena, struct db_value value, bool working,
                      struct calendar *calendar)
{
    size_t count;
    char **days = db_texts(arena, value, &count);
    for (size_t i = 0; i < count; i++)
        (void)calendar_set(calendar, (int32_t)strtol(days[i], NULL, 10), working, NULL);
}

void calendar_take(struct arena *arena, const struct db_rows *rows, int row, int column,
                   struct calendar *calendar)
{
    size_t count;
    char **years = db_texts(arena, db_value(rows, row, column), &count);
    for (size_t i = 0; i < count; i++)
        (void)calendar_add_year(calendar, (int)strtol(years[i], NULL, 10), NULL);
    take_days(arena, db_value(rows, row, column + 1), false, calendar);
    take_days(arena, db_value(rows, row, column + 2), true, calendar);
}

Sluice__V1__ApplicationDeadline *calendar_deadline(struct arena *arena,
                                                   const struct calendar_clock *clock,
                                                   int64_t now_us, const struct calendar *calendar)
{
    const ProtobufCEnumValue *kind = protobuf_c_enum_descriptor_get_value_by_name(
        &sluice__v1__application_deadline__kind__descriptor, clock->name);
    Sluice__V1__ApplicationDeadline *out = arena_alloc(arena, sizeof *out);
    sluice__v1__application_deadline__init(out);
    if (kind != NULL)
        out->kind = (Sluice__V1__ApplicationDeadline__Kind)kind->value;
    out->from = timestamp_from_us(arena, clock->from_us);
    out->working_days = clock->days;
    int32_t due = clock->due, today = calendar_day(now_us);
    if (!clock->due_stored &&
        calendar_due(calendar, clock->from_us, clock->days, &due, &out->calendar_missing, NULL) < 0)
        return out;
    char text[CALENDAR_DATE_BYTES];
    calendar_date_format(due, text);
    out->due = arena_strdup(arena, text);
    out->overdue = today > due;
    int left;
    if (calendar_left(calendar, today, due, &left, NULL) == 0)
        out->working_days_left = left;
    else
        out->calendar_missing =
            calendar_year(calendar_has_year(calendar, calendar_year(due)) ? today : due);
    return out;
}
