/* Fuzzes a year's table of the working-day calendar, and counts deadlines with what it takes. */
#include <stdint.h>
#include <stdlib.h>

#include "authz/calendar.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses a token's text when a long quoted key is followed by a syntax error: once
 * per refused file, in a process that ends because of it. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct calendar_table *table = calendar_table_parse("t.yaml", (const char *)data, size, &err);
    if ((table == NULL) != (err.code != ERR_OK))
        abort();
    if (table == NULL)
        return 0;
    struct calendar *calendar = calendar_new();
    calendar_add_table(calendar, table);
    for (size_t i = 0; i < table->day_count; i++) {
        int32_t due;
        int left;
        int64_t from_us = (int64_t)table->days[i].day * 86400 * 1000000;
        if (calendar_due(calendar, from_us, (int)(i % 20) + 1, &due, NULL, &err) == 0 &&
            (calendar_left(calendar, table->days[i].day, due, &left, &err) < 0 ||
             left != (int)(i % 20) + 1))
            abort();
    }
    calendar_free(&calendar);
    calendar_table_free(&table);
    return 0;
}
