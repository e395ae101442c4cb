#include "schema/record.h"

#include <string.h>

#include "schema/normaliser_internal.h"
#include "schema/wire_read.h"

bool schema_record_next(const struct schema_message *type, struct slice *rest,
                        struct schema_record_field *field_r)
{
    const uint8_t *end = rest->data + rest->len;
    while (rest->len > 0) {
        struct wire_field wire;
        const uint8_t *next = wire_next(rest->data, end, &wire);
        if (next == NULL)
            return false;
        *field_r = (struct schema_record_field){
            .field = schema_message_number(type, wire.number),
            .bytes = slice_of(rest->data, (size_t)(next - rest->data)),
            .value = slice_of(wire.data, wire.data != NULL ? (size_t)wire.value : 0),
            .number = wire.data != NULL ? 0 : wire.value,
        };
        *rest = slice_of(next, (size_t)(end - next));
        if (field_r->field != NULL)
            return true;
    }
    return false;
}

static bool is_timestamp(const struct schema_field *field)
{
    return field->type == SCHEMA_MESSAGE && !field->repeated && field->message != NULL &&
           strcmp(field->message->full_name, "google.protobuf.Timestamp") == 0;
}

const struct schema_field *schema_record_vintage(const struct schema_message *type)
{
    const struct schema_field *first = NULL;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct schema_field *field = &type->fields[i];
        if (is_timestamp(field) && strstr(field->name, "update") != NULL)
            return field;
        if (is_timestamp(field) && first == NULL)
            first = field;
    }
    return first;
}

static bool date_seconds(struct slice text, int64_t *seconds_r)
{
    enum { CHINA_OFFSET_S = 8 * 3600, DAY_S = 86400 };
    int parts[3] = { 0 };
    if (text.len != 10 || text.data[4] != '-' || text.data[7] != '-')
        return false;
    for (size_t i = 0, part = 0; i < text.len; i++) {
        if (i == 4 || i == 7) {
            part++;
            continue;
        }
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        parts[part] = parts[part] * 10 + (text.data[i] - '0');
    }
    if (!normaliser_real_date(parts[0], parts[1], parts[2]))
        return false;
    *seconds_r = normaliser_days_of(parts[0], parts[1], parts[2]) * DAY_S - CHINA_OFFSET_S;
    return true;
}

bool schema_record_seconds(const struct schema_message *type, const struct schema_field *field,
                           struct slice record, int64_t *seconds_r)
{
    struct schema_record_field item;
    bool found = false;
    while (schema_record_next(type, &record, &item)) {
        if (item.field != field)
            continue;
        struct slice rest = item.value;
        struct schema_record_field part;
        if (field->type == SCHEMA_STRING)
            return date_seconds(rest, seconds_r);
        found = true; /* an empty message is 1970-01-01 */
        *seconds_r = 0;
        while (schema_record_next(field->message, &rest, &part))
            if (part.field->number == 1)
                *seconds_r = (int64_t)part.number;
    }
    return found;
}
