#include "schema/record.h"

#include <string.h>

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
        found = true; /* an empty message is 1970-01-01 */
        *seconds_r = 0;
        while (schema_record_next(field->message, &rest, &part))
            if (part.field->number == 1)
                *seconds_r = (int64_t)part.number;
    }
    return found;
}
