#include "schema/descriptor_internal.h"

#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/utf8.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "schema/wire_read.h"

/* --- bytes of a descriptor set -------------------------------------------------------------------
 * The set describes messages, so nothing of ours can describe it yet: the walk is led by the tables
 * that protoc-c made of descriptor.proto. */

struct set_frame {
    const ProtobufCMessageDescriptor *type;
    const uint8_t *end;
};

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessageDescriptor *type,
                                                uint32_t number)
{
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].id == number)
            return &type->fields[i];
    return NULL;
}

/* NULL when the field may stand there, otherwise what is wrong with it. */
static const char *complaint(const ProtobufCFieldDescriptor *field, const struct wire_field *wire)
{
    bool is_text = field->type == PROTOBUF_C_TYPE_STRING;
    bool is_length =
        is_text || field->type == PROTOBUF_C_TYPE_BYTES || field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (is_length && wire->wire != WIRE_LEN)
        return "a field has the wrong wire type";
    if (is_text && !utf8_valid(wire->data, (size_t)wire->value))
        return "a name or comment is not valid UTF-8";
    if (is_text && wire->value > 0 && memchr(wire->data, '\0', (size_t)wire->value) != NULL)
        return "a name or comment contains U+0000";
    return NULL;
}

static int refuse(struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "DESCRIPTOR_INVALID",
                   "The descriptor set cannot be used: %s; make it again with protoc.", what);
}

int schema_set_check_bytes(const uint8_t *data, size_t len, struct err *err)
{
    struct set_frame frames[SCHEMA_SET_DEPTH_MAX + 1];
    size_t depth = 0;
    size_t elements = 0;
    frames[0] =
        (struct set_frame){ &google__protobuf__file_descriptor_set__descriptor, data + len };
    for (const uint8_t *p = data;;) {
        if (p == frames[depth].end) {
            if (depth == 0)
                return 0;
            depth--;
            continue;
        }
        struct wire_field wire;
        p = wire_next(p, frames[depth].end, &wire);
        if (p == NULL)
            return refuse(err, "its bytes are cut short or not a FileDescriptorSet");
        if (++elements > SCHEMA_ELEMENTS_MAX)
            return refuse(err, "it holds too many elements");
        const ProtobufCFieldDescriptor *field = field_of(frames[depth].type, wire.number);
        const char *wrong = field != NULL ? complaint(field, &wire) : NULL;
        if (wrong != NULL)
            return refuse(err, wrong);
        if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (depth == SCHEMA_SET_DEPTH_MAX)
            return refuse(err, "its messages are nested too deep");
        frames[++depth] = (struct set_frame){ field->descriptor, wire.data + wire.value };
        p = wire.data;
    }
}

/* --- well-known types ----------------------------------------------------------------------------
 */

struct known_field {
    uint32_t number;
    enum schema_type type;
    bool repeated;
};

static const struct known {
    const char *name; /* behind "google.protobuf." */
    enum well_known kind;
    size_t count;
    struct known_field fields[6];
} knowns[] = {
    { "Any", WELL_KNOWN_ANY, 2, { { 1, SCHEMA_STRING, false }, { 2, SCHEMA_BYTES, false } } },
    { "Timestamp",
      WELL_KNOWN_TIMESTAMP,
      2,
      { { 1, SCHEMA_INT64, false }, { 2, SCHEMA_INT32, false } } },
    { "Duration",
      WELL_KNOWN_DURATION,
      2,
      { { 1, SCHEMA_INT64, false }, { 2, SCHEMA_INT32, false } } },
    { "FieldMask", WELL_KNOWN_FIELD_MASK, 1, { { 1, SCHEMA_STRING, true } } },
    { "DoubleValue", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_DOUBLE, false } } },
    { "FloatValue", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_FLOAT, false } } },
    { "Int64Value", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_INT64, false } } },
    { "UInt64Value", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_UINT64, false } } },
    { "Int32Value", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_INT32, false } } },
    { "UInt32Value", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_UINT32, false } } },
    { "BoolValue", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_BOOL, false } } },
    { "StringValue", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_STRING, false } } },
    { "BytesValue", WELL_KNOWN_WRAPPER, 1, { { 1, SCHEMA_BYTES, false } } },
    { "Struct", WELL_KNOWN_STRUCT, 1, { { 1, SCHEMA_MESSAGE, true } } },
    { "ListValue", WELL_KNOWN_LIST, 1, { { 1, SCHEMA_MESSAGE, true } } },
    { "Value",
      WELL_KNOWN_VALUE,
      6,
      { { 1, SCHEMA_ENUM, false },
        { 2, SCHEMA_DOUBLE, false },
        { 3, SCHEMA_STRING, false },
        { 4, SCHEMA_BOOL, false },
        { 5, SCHEMA_MESSAGE, false },
        { 6, SCHEMA_MESSAGE, false } } },
};

static const struct known *known_of(const struct schema_message *message)
{
    static const char prefix[] = "google.protobuf.";
    if (strncmp(message->full_name, prefix, sizeof prefix - 1) != 0)
        return NULL;
    const char *name = message->full_name + sizeof prefix - 1;
    for (size_t i = 0; i < sizeof knowns / sizeof knowns[0]; i++)
        if (strcmp(knowns[i].name, name) == 0)
            return &knowns[i];
    return NULL;
}

enum well_known schema_well_known(const struct schema_message *message)
{
    const struct known *known = known_of(message);
    return known != NULL ? known->kind : WELL_KNOWN_NONE;
}

static bool refers_to(const struct schema_field *field, const char *full_name)
{
    return field->message != NULL && strcmp(field->message->full_name, full_name) == 0;
}

/* Struct, Value and ListValue must name each other. */
static bool struct_family_shape(const struct schema_message *message, enum well_known kind)
{
    if (kind == WELL_KNOWN_STRUCT) {
        const struct schema_field *entries = &message->fields[0];
        return entries->map && entries->message->fields[0].type == SCHEMA_STRING &&
               refers_to(&entries->message->fields[1], "google.protobuf.Value");
    }
    if (kind == WELL_KNOWN_LIST)
        return refers_to(&message->fields[0], "google.protobuf.Value");
    if (kind != WELL_KNOWN_VALUE)
        return true;
    for (size_t i = 0; i < message->field_count; i++)
        if (message->fields[i].oneof != 0)
            return false;
    return refers_to(&message->fields[4], "google.protobuf.Struct") &&
           refers_to(&message->fields[5], "google.protobuf.ListValue");
}

bool schema_well_known_shape(const struct schema_message *message)
{
    const struct known *known = known_of(message);
    if (known == NULL)
        return true;
    if (message->field_count != known->count)
        return false;
    for (size_t i = 0; i < known->count; i++) {
        const struct schema_field *field = &message->fields[i];
        if (field->number != known->fields[i].number || field->type != known->fields[i].type ||
            field->repeated != known->fields[i].repeated)
            return false;
    }
    return struct_family_shape(message, known->kind);
}
