/* JSON -> protobuf bytes, in the order of field numbers. jansson reads the text (exact 64-bit
 * integers, no duplicate keys); this file walks its tree by descriptor. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "schema/descriptor_internal.h"
#include "schema/json_internal.h"
#include "schema/json_read.h"
#include "schema/prescan.h"

enum {
    /* A repeated field opens two brackets a nesting; jansson's own limit is 2048. */
    TEXT_DEPTH_MAX = 2 * PRESCAN_DEPTH_MAX + 2,
    /* jansson spends some 200 bytes on "{}": what a text may hold is bounded before it is parsed.
     */
    TEXT_VALUES_MAX = 2 * PRESCAN_ELEMENTS_MAX,
    LENGTH_BYTES_MAX = 10,
    SUGGESTION_DISTANCE_MAX = 2,
    SUGGESTION_NAME_BYTES_MAX = 64,
};

struct decoder {
    const struct schema_json_options *options;
    struct buf *out;
    struct err *err;
    size_t elements;
    unsigned depth;
};

static int decode_message(struct decoder *d, const struct json_place *place,
                          const struct schema_message *message, const json_t *json);

static int full(struct decoder *d)
{
    return err_set(d->err, ERR_RESOURCE_EXHAUSTED, "JSON_TOO_LARGE",
                   "The request is too large; send it in smaller parts.");
}

/* --- wire output ---------------------------------------------------------------------------------
 */

static int put_tag(struct decoder *d, const struct schema_field *field, enum schema_wire wire)
{
    uint64_t tag = (uint64_t)field->number << 3 | (uint64_t)wire;
    return buf_append_varint(d->out, tag) < 0 ? full(d) : 0;
}

static int put_fixed(struct decoder *d, uint64_t bits, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(bits >> (8 * i));
    return buf_append(d->out, bytes, size) < 0 ? full(d) : 0;
}

static int put_bytes(struct decoder *d, const void *data, size_t len)
{
    return buf_append_varint(d->out, len) < 0 || buf_append(d->out, data, len) < 0 ? full(d) : 0;
}

/* Puts the length in front of what was written since `start`. */
static int close_length(struct decoder *d, size_t start)
{
    size_t len = d->out->len - start;
    uint8_t prefix[LENGTH_BYTES_MAX];
    size_t size = varint_put(prefix, len);
    if (buf_reserve(d->out, size) < 0)
        return full(d);
    memmove(d->out->data + start + size, d->out->data + start, len);
    memcpy(d->out->data + start, prefix, size);
    d->out->len += size;
    return 0;
}

static int count_element(struct decoder *d, const struct json_place *place)
{
    if (++d->elements <= PRESCAN_ELEMENTS_MAX)
        return 0;
    return json_refuse(d->err, place,
                       "there are more than %d fields and elements; send less at once",
                       PRESCAN_ELEMENTS_MAX);
}

/* --- scalars -------------------------------------------------------------------------------------
 */

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static int put_base64(struct decoder *d, const struct json_place *place, const json_t *json)
{
    if (!json_is_string(json))
        return json_refuse(d->err, place, "bytes are written as a base64 string");
    size_t text_len = json_string_length(json);
    uint8_t *bytes = mem_array(text_len / 4 * 3 + 3, 1); /* no longer than the text we hold */
    long len = base64_decode(json_string_value(json), text_len, bytes);
    int result = len < 0 ? json_refuse(d->err, place, "this is not base64")
                         : put_bytes(d, bytes, (size_t)len);
    free(bytes);
    return result;
}

static int put_real(struct decoder *d, const struct json_place *place, enum schema_type type,
                    const json_t *json)
{
    double value;
    if (json_read_real(d->err, place, json, type == SCHEMA_FLOAT, &value) < 0)
        return -1;
    if (type == SCHEMA_DOUBLE) {
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        return put_fixed(d, bits, 8);
    }
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return put_fixed(d, bits, 4);
}

static int put_integer(struct decoder *d, const struct json_place *place, enum schema_type type,
                       const json_t *json)
{
    uint64_t value; /* two's complement */
    if (json_read_integer(d->err, place, json, type, &value) < 0)
        return -1;
    enum schema_wire wire = schema_wire_of(type);
    if (wire != WIRE_VARINT)
        return put_fixed(d, value, wire == WIRE_I64 ? 8 : 4);
    if (type == SCHEMA_SINT32 || type == SCHEMA_SINT64)
        value = zigzag((int64_t)value);
    return buf_append_varint(d->out, value) < 0 ? full(d) : 0;
}

static int put_enum(struct decoder *d, const struct json_place *place,
                    const struct schema_enum *enumeration, const json_t *json)
{
    if (json_is_null(json)) /* only google.protobuf.NullValue comes here with null */
        return buf_append_varint(d->out, 0) < 0 ? full(d) : 0;
    if (!json_is_string(json))
        return put_integer(d, place, SCHEMA_INT32, json);
    const char *name = json_string_value(json);
    size_t len = json_string_length(json);
    const struct schema_enum_value *value = schema_enum_by_name(enumeration, name, len);
    if (value == NULL) {
        char shown[JSON_SHOWN_TEXT_BYTES];
        return json_refuse(d->err, place, "\"%s\" is not a value of %.100s",
                           json_shown(name, len, shown), enumeration->full_name);
    }
    return buf_append_varint(d->out, (uint64_t)(int64_t)value->number) < 0 ? full(d) : 0;
}

/* One value without its tag. */
static int put_scalar(struct decoder *d, const struct json_place *place,
                      const struct schema_field *field, const json_t *json)
{
    switch (field->type) {
    case SCHEMA_DOUBLE:
    case SCHEMA_FLOAT:
        return put_real(d, place, field->type, json);
    case SCHEMA_STRING:
        if (!json_is_string(json))
            return json_refuse(d->err, place, "a string is expected");
        return put_bytes(d, json_string_value(json), json_string_length(json));
    case SCHEMA_BYTES:
        return put_base64(d, place, json);
    case SCHEMA_BOOL:
        if (!json_is_boolean(json))
            return json_refuse(d->err, place, "true or false is expected");
        return buf_append_varint(d->out, json_is_true(json) ? 1 : 0) < 0 ? full(d) : 0;
    case SCHEMA_ENUM:
        return put_enum(d, place, field->enumeration, json);
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
    case SCHEMA_INT32:
    case SCHEMA_FIXED64:
    case SCHEMA_FIXED32:
    case SCHEMA_UINT32:
    case SCHEMA_SFIXED32:
    case SCHEMA_SFIXED64:
    case SCHEMA_SINT32:
    case SCHEMA_SINT64:
        return put_integer(d, place, field->type, json);
    case SCHEMA_MESSAGE:
        break;
    }
    size_t start = d->out->len;
    return decode_message(d, place, field->message, json) < 0 ? -1 : close_length(d, start);
}

/* --- fields --------------------------------------------------------------------------------------
 */

static bool is_null_value(const struct schema_field *field)
{
    return field->type == SCHEMA_ENUM &&
           strcmp(field->enumeration->full_name, "google.protobuf.NullValue") == 0;
}

/* Null means "not there", except where null is a value. */
static bool takes_null(const struct schema_field *field)
{
    return is_null_value(field) ||
           (field->type == SCHEMA_MESSAGE && schema_well_known(field->message) == WELL_KNOWN_VALUE);
}

/* The record type that a sibling names; looked up in the JSON object, as the wire has it elsewhere.
 */
static const struct schema_message *record_type(struct decoder *d, const struct json_place *place,
                                                const struct schema_message *message,
                                                const struct schema_field *field,
                                                json_t *const *values)
{
    const struct schema_field *sibling =
        schema_message_field(message, field->message_type_from, strlen(field->message_type_from));
    const json_t *name = values[sibling->position];
    if (name == NULL || !json_is_string(name)) {
        (void)json_refuse(d->err, place, "\"%.100s\" must name the type of these records",
                          sibling->name);
        return NULL;
    }
    const struct schema_message *type =
        json_find_type(d->options, json_string_value(name), json_string_length(name));
    if (type == NULL)
        (void)json_refuse(d->err, place, "the type that \"%.100s\" names is not known here",
                          sibling->name);
    return type;
}

/* A record is a message of its own, with its own element count. */
static int put_record(struct decoder *d, const struct json_place *place,
                      const struct schema_message *type, const json_t *json)
{
    size_t elements = d->elements;
    size_t start = d->out->len;
    d->elements = 0;
    int result = decode_message(d, place, type, json);
    d->elements = elements;
    return result < 0 ? -1 : close_length(d, start);
}

static int put_item(struct decoder *d, const struct json_place *place,
                    const struct schema_field *field, const struct schema_message *record,
                    const json_t *json)
{
    if (count_element(d, place) < 0)
        return -1;
    if (json_is_null(json) && !takes_null(field))
        return json_refuse(d->err, place, "null cannot stand in a list");
    return record != NULL ? put_record(d, place, record, json) : put_scalar(d, place, field, json);
}

static int put_list(struct decoder *d, const struct json_place *place,
                    const struct schema_field *field, const struct schema_message *record,
                    const json_t *json)
{
    if (!json_is_array(json))
        return json_refuse(d->err, place, "a list is expected");
    size_t count = json_array_size(json);
    size_t start = d->out->len;
    if (field->packed && count > 0) {
        if (count_element(d, place) < 0 || put_tag(d, field, WIRE_LEN) < 0)
            return -1;
        start = d->out->len;
    }
    for (size_t i = 0; i < count; i++) {
        struct json_place item = { place, NULL, 0, i };
        if ((!field->packed && put_tag(d, field, schema_wire_of(field->type)) < 0) ||
            put_item(d, &item, field, record, json_array_get(json, i)) < 0)
            return -1;
    }
    return field->packed && count > 0 ? close_length(d, start) : 0;
}

/* Map keys are strings in JSON whatever their type. */
static int put_key(struct decoder *d, const struct json_place *place,
                   const struct schema_field *field, const char *key, size_t len)
{
    if (put_tag(d, field, schema_wire_of(field->type)) < 0)
        return -1;
    if (field->type == SCHEMA_STRING)
        return put_bytes(d, key, len);
    if (field->type == SCHEMA_BOOL) {
        bool is_true = len == 4 && memcmp(key, "true", 4) == 0;
        if (!is_true && (len != 5 || memcmp(key, "false", 5) != 0))
            return json_refuse(d->err, place, "the key is neither \"true\" nor \"false\"");
        return buf_append_varint(d->out, is_true ? 1 : 0) < 0 ? full(d) : 0;
    }
    json_t *text = json_stringn_nocheck(key, len);
    if (text == NULL)
        return full(d);
    int result = put_integer(d, place, field->type, text);
    json_decref(text);
    return result;
}

static int put_map(struct decoder *d, const struct json_place *place,
                   const struct schema_field *field, const json_t *json)
{
    if (!json_is_object(json))
        return json_refuse(d->err, place, "an object is expected");
    const struct schema_field *parts = field->message->fields;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        struct json_place item = { place, key, strlen(key), 0 };
        if (json_is_null(value) && !takes_null(&parts[1]))
            return json_refuse(d->err, &item, "null cannot stand in a map");
        if (d->depth > PRESCAN_DEPTH_MAX)
            return json_refuse(d->err, place, "messages are nested too deep");
        if (count_element(d, &item) < 0 || put_tag(d, field, WIRE_LEN) < 0)
            return -1;
        size_t start = d->out->len;
        d->elements += 2; /* key and value; decode_message notices the limit */
        d->depth++;
        if (put_key(d, &item, &parts[0], key, item.name_len) < 0 ||
            put_tag(d, &parts[1], schema_wire_of(parts[1].type)) < 0 ||
            put_scalar(d, &item, &parts[1], value) < 0 || close_length(d, start) < 0)
            return -1;
        d->depth--;
    }
    return 0;
}

/* True when the value's bytes are those of zero or of an empty text: proto3 leaves it out. */
static bool is_default(const uint8_t *data, size_t len, enum schema_wire wire)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != 0)
            return false;
    return wire == WIRE_I32 || wire == WIRE_I64 || len == 1;
}

static int put_singular(struct decoder *d, const struct json_place *place,
                        const struct schema_field *field, const struct schema_message *record,
                        const json_t *json)
{
    size_t before = d->out->len;
    enum schema_wire wire = schema_wire_of(field->type);
    if (count_element(d, place) < 0 || put_tag(d, field, wire) < 0)
        return -1;
    size_t start = d->out->len;
    int result =
        record != NULL ? put_record(d, place, record, json) : put_scalar(d, place, field, json);
    if (result == 0 && !field->has_presence &&
        is_default(d->out->data + start, d->out->len - start, wire))
        d->out->len = before;
    return result;
}

static int put_field(struct decoder *d, const struct json_place *parent,
                     const struct schema_message *message, const struct schema_field *field,
                     json_t *const *values)
{
    const json_t *json = values[field->position];
    struct json_place place = { parent, field->json_name, strlen(field->json_name), 0 };
    if (field->map)
        return put_map(d, &place, field, json);
    const struct schema_message *record = NULL;
    if (field->message_type_from != NULL && !(json_is_array(json) && json_array_size(json) == 0)) {
        record = record_type(d, &place, message, field, values);
        if (record == NULL)
            return -1;
    }
    return field->repeated ? put_list(d, &place, field, record, json)
                           : put_singular(d, &place, field, record, json);
}

/* --- messages ------------------------------------------------------------------------------------
 */

/* Levenshtein distance, given up above the limit. */
static size_t distance(const char *a, size_t a_len, const char *b)
{
    size_t b_len = strlen(b);
    size_t row[SUGGESTION_NAME_BYTES_MAX + 1];
    if (a_len > SUGGESTION_NAME_BYTES_MAX || b_len > SUGGESTION_NAME_BYTES_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
        }
    }
    return row[b_len];
}

static int unknown_field(struct decoder *d, const struct json_place *place,
                         const struct schema_message *message, const char *key)
{
    const char *best = NULL;
    size_t best_distance = SUGGESTION_DISTANCE_MAX + 1;
    size_t len = strlen(key);
    for (size_t i = 0; i < message->field_count; i++) {
        size_t json = distance(key, len, message->fields[i].json_name);
        size_t proto = distance(key, len, message->fields[i].name);
        size_t nearer = json < proto ? json : proto;
        if (nearer >= best_distance)
            continue;
        best_distance = nearer;
        best = json <= proto ? message->fields[i].json_name : message->fields[i].name;
    }
    char shown[JSON_SHOWN_TEXT_BYTES];
    (void)json_shown(key, len, shown);
    if (best != NULL)
        return json_refuse(d->err, place, "%.100s has no field \"%s\"; did you mean \"%s\"?",
                           message->full_name, shown, best);
    return json_refuse(d->err, place, "%.100s has no field \"%s\"", message->full_name, shown);
}

/* Sorts the object's members by field: values[position], NULL when absent. */
static int collect(struct decoder *d, const struct json_place *place,
                   const struct schema_message *message, const json_t *json, bool skip_type,
                   json_t **values)
{
    const struct schema_field **members =
        mem_array(message->oneof_count + 1, sizeof(const struct schema_field *));
    const char *key;
    json_t *value;
    int result = 0;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        if (skip_type && strcmp(key, "@type") == 0)
            continue;
        const struct schema_field *field = schema_message_field_json(message, key, strlen(key));
        if (field == NULL) {
            result = unknown_field(d, place, message, key);
            break;
        }
        if (values[field->position] != NULL) {
            result = json_refuse(d->err, place,
                                 "\"%.100s\" is given twice, under both of its names", field->name);
            break;
        }
        values[field->position] = value;
        if (field->oneof < 0 || (json_is_null(value) && !takes_null(field)))
            continue;
        const struct schema_field **member = &members[field->oneof];
        if (*member != NULL) {
            result = json_refuse(d->err, place, "only one of \"%.100s\" and \"%.100s\" may be set",
                                 (*member)->name, field->name);
            break;
        }
        *member = field;
    }
    free(members);
    return result;
}

static int decode_fields(struct decoder *d, const struct json_place *place,
                         const struct schema_message *message, const json_t *json, bool skip_type)
{
    if (!json_is_object(json))
        return json_refuse(d->err, place, "an object is expected");
    json_t **values = mem_array(message->field_count + 1, sizeof(json_t *));
    int result = collect(d, place, message, json, skip_type, values);
    for (size_t i = 0; i < message->field_count && result == 0; i++) {
        const struct schema_field *field = &message->fields[i];
        if (values[i] == NULL ||
            (json_is_null(values[i]) && (field->repeated || !takes_null(field))))
            continue;
        result = put_field(d, place, message, field, values);
    }
    free(values);
    return result;
}

/* --- well-known types ----------------------------------------------------------------------------
 */

static int put_any_content(struct decoder *d, const struct json_place *place,
                           const struct schema_message *type, const json_t *json)
{
    if (schema_well_known(type) == WELL_KNOWN_NONE) {
        if (d->depth > PRESCAN_DEPTH_MAX)
            return json_refuse(d->err, place, "messages are nested too deep");
        d->depth++;
        int result = decode_fields(d, place, type, json, true);
        d->depth--;
        return result;
    }
    const json_t *value = json_object_get(json, "value");
    if (value == NULL || json_object_size(json) != 2)
        return json_refuse(d->err, place, "a %.100s is written as \"@type\" and \"value\"",
                           type->full_name);
    struct json_place inner = { place, "value", sizeof "value" - 1, 0 };
    return decode_message(d, &inner, type, value);
}

static int decode_any(struct decoder *d, const struct json_place *place,
                      const struct schema_message *message, const json_t *json)
{
    if (!json_is_object(json))
        return json_refuse(d->err, place, "an object is expected");
    if (json_object_size(json) == 0)
        return 0;
    const json_t *url = json_object_get(json, "@type");
    if (!json_is_string(url))
        return json_refuse(d->err, place, "\"@type\" must name the type of this object");
    const char *text = json_string_value(url);
    size_t len = json_string_length(url);
    size_t prefix = json_type_url_prefix(text, len);
    const struct schema_message *type =
        prefix > 0 ? json_find_type(d->options, text + prefix, len - prefix) : NULL;
    if (type == NULL) {
        char shown[JSON_SHOWN_TEXT_BYTES];
        return json_refuse(d->err, place,
                           "the type \"%s\" is not known here; write it as "
                           "\"type.googleapis.com/package.Message\"",
                           json_shown(text, len, shown));
    }
    if (put_tag(d, &message->fields[0], WIRE_LEN) < 0 || put_bytes(d, text, len) < 0)
        return -1;
    size_t before = d->out->len;
    if (put_tag(d, &message->fields[1], WIRE_LEN) < 0)
        return -1;
    size_t start = d->out->len;
    size_t elements = d->elements;
    d->elements = 0;
    int result = put_any_content(d, place, type, json);
    d->elements = elements + 2;
    if (result == 0 && d->out->len == start)
        d->out->len = before; /* an empty value is left out */
    else if (result == 0)
        result = close_length(d, start);
    return result;
}

static int decode_time(struct decoder *d, const struct json_place *place,
                       const struct schema_message *message, const json_t *json, bool is_timestamp)
{
    int64_t seconds;
    int32_t nanos;
    bool good = json_is_string(json);
    if (good && is_timestamp)
        good = json_timestamp_parse(json_string_value(json), json_string_length(json), &seconds,
                                    &nanos);
    else if (good)
        good = json_duration_parse(json_string_value(json), json_string_length(json), &seconds,
                                   &nanos);
    if (!good)
        return json_refuse(d->err, place,
                           is_timestamp ? "a time such as \"2026-11-23T08:00:00Z\" is expected"
                                        : "a duration such as \"1.5s\" is expected");
    d->elements += 2;
    if (seconds != 0 && (put_tag(d, &message->fields[0], WIRE_VARINT) < 0 ||
                         buf_append_varint(d->out, (uint64_t)seconds) < 0))
        return full(d);
    if (nanos != 0 && (put_tag(d, &message->fields[1], WIRE_VARINT) < 0 ||
                       buf_append_varint(d->out, (uint64_t)(int64_t)nanos) < 0))
        return full(d);
    return 0;
}

static int decode_mask(struct decoder *d, const struct json_place *place,
                       const struct schema_message *message, const json_t *json)
{
    if (!json_is_string(json))
        return json_refuse(d->err, place, "paths joined by commas are expected, as one string");
    const char *p = json_string_value(json);
    const char *end = p + json_string_length(json);
    while (p < end || (p == end && p != json_string_value(json) && p[-1] == ',')) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t len = (size_t)((comma != NULL ? comma : end) - p);
        char path[2 * SCHEMA_NAME_BYTES_MAX];
        size_t path_len;
        if (len > SCHEMA_NAME_BYTES_MAX || !json_mask_to_snake(p, len, path, &path_len)) {
            char shown[JSON_SHOWN_TEXT_BYTES];
            return json_refuse(d->err, place, "\"%s\" is not a field path",
                               json_shown(p, len, shown));
        }
        if (count_element(d, place) < 0 || put_tag(d, &message->fields[0], WIRE_LEN) < 0 ||
            put_bytes(d, path, path_len) < 0)
            return -1;
        if (comma == NULL)
            break;
        p = comma + 1;
    }
    return 0;
}

/* google.protobuf.Value: the member follows from the kind of JSON. */
static int decode_any_value(struct decoder *d, const struct json_place *place,
                            const struct schema_message *message, const json_t *json)
{
    size_t position = 0;
    switch (json_typeof(json)) {
    case JSON_NULL:
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        position = 1;
        break;
    case JSON_STRING:
        position = 2;
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        position = 3;
        break;
    case JSON_OBJECT:
        position = 4;
        break;
    case JSON_ARRAY:
        position = 5;
        break;
    }
    return put_singular(d, place, &message->fields[position], NULL, json);
}

static int decode_well_known(struct decoder *d, const struct json_place *place,
                             const struct schema_message *message, const json_t *json)
{
    switch (schema_well_known(message)) {
    case WELL_KNOWN_ANY:
        return decode_any(d, place, message, json);
    case WELL_KNOWN_TIMESTAMP:
        return decode_time(d, place, message, json, true);
    case WELL_KNOWN_DURATION:
        return decode_time(d, place, message, json, false);
    case WELL_KNOWN_FIELD_MASK:
        return decode_mask(d, place, message, json);
    case WELL_KNOWN_WRAPPER:
        return put_singular(d, place, &message->fields[0], NULL, json);
    case WELL_KNOWN_STRUCT:
        return put_map(d, place, &message->fields[0], json);
    case WELL_KNOWN_LIST:
        return put_list(d, place, &message->fields[0], NULL, json);
    case WELL_KNOWN_VALUE:
        return decode_any_value(d, place, message, json);
    case WELL_KNOWN_NONE:
        break;
    }
    return decode_fields(d, place, message, json, false);
}

/* The outermost message is not counted as nested. */
static int decode_message(struct decoder *d, const struct json_place *place,
                          const struct schema_message *message, const json_t *json)
{
    if (d->depth > PRESCAN_DEPTH_MAX)
        return json_refuse(d->err, place, "messages are nested too deep");
    d->depth++;
    int result = decode_well_known(d, place, message, json);
    d->depth--;
    return result == 0 && d->elements > PRESCAN_ELEMENTS_MAX ? count_element(d, place) : result;
}

int schema_json_decode(const struct schema_json_options *options,
                       const struct schema_message *message, const char *text, size_t len,
                       struct buf *out, struct err *err)
{
    if (json_check_text(err, text, len, TEXT_DEPTH_MAX, TEXT_VALUES_MAX) < 0)
        return -1;
    json_error_t where;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    if (json == NULL)
        return json_refuse_text(err, &where);
    struct decoder d = { .options = options, .out = out, .err = err };
    size_t before = out->len;
    int result = decode_message(&d, NULL, message, json);
    json_decref(json);
    if (result < 0)
        out->len = before;
    return result;
}
