/* Canonical values as the texts that the way out makes of them, and chains walked backwards. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/writer_internal.h"

enum { REAL_TEXT_BYTES = 40, DAY_SECONDS = 86400 };

static const char *put(int result)
{
    return result == 0 ? NULL : "VALUE_TOO_LONG";
}

/* The shortest text that reads back as the same number, as the way out writes it. */
static const char *real_text(uint64_t bits, bool wide, struct buf *out)
{
    char text[REAL_TEXT_BYTES];
    double number = 0;
    float narrow = 0;
    uint32_t narrow_bits = (uint32_t)bits;
    if (wide) {
        memcpy(&number, &bits, sizeof number);
    } else {
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        number = (double)narrow;
    }
    if (number - number != 0)
        return "NUMBER_NOT_FINITE";
    for (int digits = wide ? 15 : 6; digits <= (wide ? 17 : 9); digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, number);
        double again = wide ? strtod(text, NULL) : (double)strtof(text, NULL);
        if (again == number)
            break;
    }
    return put(buf_append_str(out, text));
}

static const char *number_text(const struct schema_field *field, uint64_t bits, struct buf *out)
{
    switch (field->type) {
    case SCHEMA_BOOL:
        return put(buf_append_str(out, bits != 0 ? "true" : "false"));
    case SCHEMA_DOUBLE:
    case SCHEMA_FLOAT:
        return real_text(bits, field->type == SCHEMA_DOUBLE, out);
    case SCHEMA_UINT64:
    case SCHEMA_FIXED64:
        return put(buf_append_format(out, "%" PRIu64, bits));
    case SCHEMA_INT64:
    case SCHEMA_INT32:
    case SCHEMA_UINT32:
    case SCHEMA_SINT64:
    case SCHEMA_SINT32:
    case SCHEMA_FIXED32:
    case SCHEMA_SFIXED64:
    case SCHEMA_SFIXED32:
    case SCHEMA_ENUM:
        return put(buf_append_format(out, "%" PRId64, (int64_t)bits));
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_MESSAGE:
        break;
    }
    return "TYPE_UNSUPPORTED";
}

/* A column without a zone holds local time of the mapping's offset. */
static const char *timestamp_text(const struct mapping_leaf *leaf, const struct scan_slot *slot,
                                  enum column_type type, struct buf *out)
{
    bool local = type == COLUMN_TIMESTAMP;
    /* google.protobuf.Timestamp: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z */
    if (slot->seconds < -62135596800 || slot->seconds > 253402300799 || slot->nanos < 0 ||
        slot->nanos > 999999999)
        return "TIMESTAMP_RANGE";
    int64_t seconds = slot->seconds + (local ? leaf->utc_offset_s : 0);
    int64_t days = seconds / DAY_SECONDS - (seconds % DAY_SECONDS < 0);
    int64_t rest = seconds - days * DAY_SECONDS;
    int year = 0, month = 0, day = 0;
    normaliser_date_of(days, &year, &month, &day);
    if (year < 1 || year > 9999)
        return "TIMESTAMP_RANGE";
    int result = buf_append_format(out, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day,
                                   (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
    if (result == 0 && slot->nanos != 0)
        result = slot->nanos % 1000 == 0 ? buf_append_format(out, ".%06d", slot->nanos / 1000)
                                         : buf_append_format(out, ".%09d", slot->nanos);
    return put(result == 0 && !local ? buf_append_byte(out, 'Z') : result);
}

/* RFC 8259: what must be escaped, nothing else. */
static const char *json_text(struct slice text, struct buf *out)
{
    int result = buf_append_byte(out, '"');
    for (size_t i = 0; i < text.len && result == 0; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            uint8_t escape[2] = { '\\', c };
            result = buf_append(out, escape, sizeof escape);
        } else if (c < 0x20) {
            result = buf_append_format(out, "\\u%04x", c);
        } else {
            result = buf_append_byte(out, c);
        }
    }
    return put(result == 0 ? buf_append_byte(out, '"') : result);
}

static const char *map_text(const struct scan *scan, const struct scan_slot *slot, struct buf *out)
{
    const char *problem = put(buf_append_byte(out, '{'));
    for (uint32_t at = slot->first; at != 0 && problem == NULL; at = scan->items[at].next) {
        const struct scan_item *item = &scan->items[at];
        if ((item->text.len > 0 && memchr(item->text.data, '\0', item->text.len) != NULL) ||
            (item->value.len > 0 && memchr(item->value.data, '\0', item->value.len) != NULL))
            return "TEXT_HAS_NUL";
        if (at != slot->first)
            problem = put(buf_append_str(out, ", "));
        if (problem == NULL)
            problem = json_text(item->text, out);
        if (problem == NULL)
            problem = put(buf_append_str(out, ": "));
        if (problem == NULL)
            problem = json_text(item->value, out);
    }
    return problem != NULL ? problem : put(buf_append_byte(out, '}'));
}

const char *writer_text(const struct scan *scan, size_t leaf, const struct scan_slot *slot,
                        enum column_type type, struct buf *out)
{
    const struct mapping_leaf *from = scan->leaves[leaf];
    const struct schema_field *field = from->field;
    if (field->map)
        return map_text(scan, slot, out);
    if (writer_is_timestamp(field))
        return timestamp_text(from, slot, type, out);
    if (field->type == SCHEMA_STRING || field->type == SCHEMA_BYTES)
        return put(buf_append(out, slot->text.data, slot->text.len));
    return number_text(field, slot->bits, out);
}

const char *writer_item_text(const struct schema_field *field, const struct scan_item *item,
                             struct buf *out)
{
    if (field->type == SCHEMA_STRING || field->type == SCHEMA_BYTES)
        return put(buf_append(out, item->text.data, item->text.len));
    if (field->type == SCHEMA_ENUM) {
        const struct schema_enum_value *value =
            schema_enum_by_number(field->enumeration, (int32_t)(uint32_t)item->bits);
        return value == NULL ? "ENUM_UNKNOWN" : put(buf_append_str(out, value->name));
    }
    return number_text(field, item->bits, out);
}

/* As normaliser_write, without trying each step: the whole row is read back instead. A step that is
 * one way never gets here. */
static int write_step(const struct normaliser_step *step, struct buf *value)
{
    const struct normaliser_kind *kind = step->kind;
    return kind->write != NULL ? kind->write(step->config, value) : 0;
}

const char *writer_chain(const struct mapping_leaf *leaf, struct buf *value)
{
    for (size_t i = leaf->step_count; i > 0; i--) {
        if (write_step(&leaf->steps[i - 1], value) == 0)
            continue;
        /* A value that is not canonical has a reason of its own. */
        struct normaliser_result result = normaliser_run(&leaf->steps[i - 1], value);
        return result.verdict == NORMALISER_ERROR ? result.code : "NO_NATIVE_FORM";
    }
    return NULL;
}
