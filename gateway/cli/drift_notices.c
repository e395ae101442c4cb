#include "cli/drift_notices.h"

#include <stdlib.h>
#include <string.h>

#include "cli/remote.h"

/* `args` in the order of the text; every text begins with column and table. */
static const struct {
    const char *kind;
    enum message_id text;
    const char *third;
    const char *fourth;
} kinds[] = {
    { "COLUMN_MISSING", MSG_DRIFT_COLUMN_MISSING, "expected", "" },
    { "COLUMN_RENAMED", MSG_DRIFT_COLUMN_RENAMED, "found", "" },
    { "COLUMN_ADDED", MSG_DRIFT_COLUMN_ADDED, "found", "" },
    { "TYPE_CHANGED", MSG_DRIFT_TYPE_CHANGED, "expected", "found" },
    { "NOW_NULLABLE", MSG_DRIFT_NOW_NULLABLE, "", "" },
    { "NOW_NOT_NULL", MSG_DRIFT_NOW_NOT_NULL, "", "" },
    { "LABELS_CHANGED", MSG_DRIFT_LABELS_CHANGED, "expected", "found" },
};

/* The caller frees. A kind that a newer gateway knows is shown by its name. */
static char *sentence(const json_t *notice)
{
    const char *kind = remote_text(notice, "kind"), *table = remote_text(notice, "table"),
               *column = remote_text(notice, "column");

    if (strcmp(kind, "TABLE_MISSING") == 0)
        return message_fill(MSG_DRIFT_TABLE_MISSING, (const char *const[]){ table }, 1);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return message_fill(kinds[i].text,
                                (const char *const[]){ column, table,
                                                       remote_text(notice, kinds[i].third),
                                                       remote_text(notice, kinds[i].fourth) },
                                4);
    return message_fill(MSG_DRIFT_OTHER, (const char *const[]){ column, table, kind }, 3);
}

void drift_notices_show(const json_t *answer)
{
    const json_t *drift = remote_member(answer, "drift");

    for (size_t i = 0; i < json_array_size(drift); i++) {
        const json_t *notice = json_array_get(drift, i);
        char *text = sentence(notice);
        if (json_is_true(remote_member(notice, "compatible")))
            NOTE(MSG_DRIFT_NOTICE, remote_text(notice, "foundAt"), text);
        else
            NOTE(MSG_DRIFT_CLOSES, remote_text(notice, "foundAt"), text);
        free(text);
    }
}
