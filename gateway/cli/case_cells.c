#include "cli/case_cells.h"

#include <stdio.h>

void case_copy(json_t *row, const char *name, const json_t *object, const char *member)
{
    json_t *value = remote_member(object, member);

    json_object_set_new(row, name, value != NULL ? json_incref(value) : json_string(""));
}

void case_note_missing(long long year)
{
    char text[24];

    if (year == 0)
        return;
    (void)snprintf(text, sizeof text, "%lld", year);
    NOTE(MSG_CALENDAR_MISSING, text);
}

void case_add_deadline(json_t *row, const json_t *object)
{
    const json_t *deadline = remote_member(object, "deadline");
    long long missing = remote_integer(deadline, "calendarMissing");

    json_object_set_new(row, "due", json_string(remote_text(deadline, "due")));
    json_object_set_new(row, "workingDaysLeft",
                        deadline != NULL && missing == 0
                            ? json_integer(remote_integer(deadline, "workingDaysLeft"))
                            : json_string(""));
    json_object_set_new(row, "overdue",
                        json_boolean(json_is_true(remote_member(deadline, "overdue"))));
    case_note_missing(missing);
}

void case_add_steps(json_t *row, const json_t *object)
{
    const json_t *list = remote_member(object, "steps");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *step = json_array_get(list, i);
        const char *note = remote_text(step, "note");
        char name[40];

        (void)snprintf(name, sizeof name, "step %lld", remote_integer(step, "number"));
        json_object_set_new(
            row, name,
            json_sprintf("%s %s %s%s%s%s", remote_text(step, "at"), remote_text(step, "kind"),
                         remote_text(step, "actor"), note[0] != '\0' ? ": " : "", note,
                         json_is_true(remote_member(step, "late")) ? message(MSG_STEP_LATE) : ""));
    }
}
