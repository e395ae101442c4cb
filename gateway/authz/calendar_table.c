/* A year of the working-day calendar, from the file an operator writes after the official notice. */
#include <stdlib.h>
#include <string.h>

#include "authz/calendar.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/yaml.h"

static const char invalid_reason[] = "CALENDAR_INVALID";

static int read_date(const struct calendar_table *table, const struct yaml_node *node,
                     const char *text, size_t len, int32_t *day_r, struct err *err)
{
    if (!calendar_date_parse(text, len, day_r))
        return yaml_error(node, err, invalid_reason,
                          "a day is a date of %d such as %d-05-01, or two joined by ..",
                          table->year, table->year);
    if (calendar_year(*day_r) != table->year)
        return yaml_error(node, err, invalid_reason, "the day is not in %d", table->year);
    return 0;
}

static int add_day(struct calendar_table *table, const struct yaml_node *node, int32_t day,
                   bool working, struct err *err)
{
    char date[CALENDAR_DATE_BYTES];
    calendar_date_format(day, date);
    for (size_t i = 0; i < table->day_count; i++)
        if (table->days[i].day == day)
            return yaml_error(node, err, invalid_reason, "%s stands here twice", date);
    if (working && !calendar_is_weekend(day))
        return yaml_error(node, err, invalid_reason,
                          "%s is no weekend day, so it is a working day anyway", date);
    /* Each day of one year at most once: the array has room for a leap year. */
    table->days[table->day_count++] = (struct calendar_day){ .day = day, .working = working };
    return 0;
}

static int read_item(struct calendar_table *table, const struct yaml_node *item, bool working,
                     struct err *err)
{
    if (yaml_expect(item, YAML_SCALAR, "a day", err) < 0)
        return -1;
    const char *text = yaml_text(item), *dots = strstr(text, "..");
    size_t len = dots != NULL ? (size_t)(dots - text) : strlen(text);
    int32_t first, last;
    if (read_date(table, item, text, len, &first, err) < 0)
        return -1;
    last = first;
    if (dots != NULL && read_date(table, item, dots + 2, strlen(dots + 2), &last, err) < 0)
        return -1;
    if (last < first)
        return yaml_error(item, err, invalid_reason, "the first day must not be after the last");
    for (int32_t day = first; day <= last; day++)
        if (add_day(table, item, day, working, err) < 0)
            return -1;
    return 0;
}

static int read_days(struct calendar_table *table, const struct yaml_node *root, const char *key,
                     bool working, struct err *err)
{
    const struct yaml_node *list = yaml_get(root, key);
    if (list == NULL)
        return 0;
    if (yaml_expect(list, YAML_SEQUENCE, "a list of days", err) < 0)
        return -1;
    for (size_t i = 0; i < yaml_count(list); i++)
        if (read_item(table, yaml_item(list, i), working, err) < 0)
            return -1;
    return 0;
}

static int read_source(struct calendar_table *table, const struct yaml_node *root, struct err *err)
{
    const struct yaml_node *node = yaml_get(root, "source");
    if (node == NULL)
        return yaml_error(root, err, invalid_reason,
                          "say in `source` which notice the days are taken from");
    if (yaml_expect(node, YAML_SCALAR, "a text", err) < 0)
        return -1;
    size_t len = strlen(yaml_text(node));
    if (len == 0 || len > CALENDAR_SOURCE_BYTES_MAX)
        return yaml_error(node, err, invalid_reason, "the source has 1 to %d bytes",
                          CALENDAR_SOURCE_BYTES_MAX);
    memcpy(table->source, yaml_text(node), len + 1);
    return 0;
}

static int read_table(struct calendar_table *table, const struct yaml_node *root, struct err *err)
{
    static const char *const keys[] = { "year", "source", "off", "work", NULL };
    int64_t year;
    if (yaml_expect(root, YAML_MAPPING, "year, source, off and work", err) < 0 ||
        yaml_check_keys(root, keys, err) < 0)
        return -1;
    const struct yaml_node *node = yaml_get(root, "year");
    if (node == NULL)
        return yaml_error(root, err, invalid_reason, "`year` is missing");
    if (yaml_read_int(node, CALENDAR_YEAR_MIN, CALENDAR_YEAR_MAX, &year, err) < 0)
        return -1;
    table->year = (int)year;
    if (read_source(table, root, err) < 0 || read_days(table, root, "off", false, err) < 0)
        return -1;
    /* A table that lists no holiday is a forgotten list; taken as it is, it would shorten deadlines. */
    if (table->day_count == 0)
        return yaml_error(root, err, invalid_reason, "`off` lists no day; list the holidays");
    return read_days(table, root, "work", true, err);
}

struct calendar_table *calendar_table_parse(const char *name, const char *text, size_t len,
                                            struct err *err)
{
    if (len > CALENDAR_TABLE_BYTES_MAX) {
        (void)err_set(err, ERR_INVALID_ARGUMENT, invalid_reason,
                      "%s:1:1: a calendar file has at most %d bytes", name,
                      CALENDAR_TABLE_BYTES_MAX);
        return NULL;
    }
    struct yaml *yaml = yaml_parse(name, text, len, err);
    if (yaml == NULL)
        return NULL;
    struct calendar_table *table = mem_zero(sizeof *table);
    if (read_table(table, yaml_root(yaml), err) < 0)
        calendar_table_free(&table);
    yaml_free(&yaml);
    return table;
}

void calendar_table_free(struct calendar_table **table)
{
    free(*table);
    *table = NULL;
}
