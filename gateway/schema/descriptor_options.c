#include "schema/descriptor_options.h"

#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "schema/wire_read.h"
#include "sluice/options/field.pb-c.h"

/* Numbers of proto/sluice/options/field.proto. */
enum {
    OPTION_SEMANTIC = 50801,
    OPTION_SENSITIVITY = 50802,
    OPTION_KEY = 50803,
    OPTION_MESSAGE_TYPE_FROM = 50804,
    OPTION_LABEL_ZH = 50805,
};

static bool read_number(const ProtobufCMessageUnknownField *option, uint64_t *value_r)
{
    return option->wire_type == PROTOBUF_C_WIRE_TYPE_VARINT &&
           varint_get(option->data, option->len, value_r) == option->len;
}

static bool read_enum(const ProtobufCMessageUnknownField *option,
                      const ProtobufCEnumDescriptor *type, int *value_r)
{
    uint64_t value;
    if (!read_number(option, &value) || value > INT32_MAX ||
        protobuf_c_enum_descriptor_get_value(type, (int)value) == NULL)
        return false;
    *value_r = (int)value;
    return true;
}

/* protobuf-c keeps the length prefix in front of the data. */
static const char *read_text(struct arena *arena, const ProtobufCMessageUnknownField *option)
{
    uint64_t len;
    if (option->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return NULL;
    size_t prefix = varint_get(option->data, option->len, &len);
    if (prefix == 0 || len != option->len - prefix || len > OPTION_TEXT_BYTES_MAX)
        return NULL;
    const uint8_t *text = option->data + prefix;
    if (!utf8_valid(text, (size_t)len) || memchr(text, '\0', (size_t)len) != NULL)
        return NULL;
    return arena_strndup(arena, (const char *)text, (size_t)len);
}

/* The last occurrence of an option wins, as in every protobuf message. */
static bool read_option(struct arena *arena, const ProtobufCMessageUnknownField *option,
                        struct schema_field *field)
{
    uint64_t number;
    const char *text;
    switch (option->tag) {
    case OPTION_SEMANTIC:
        return read_enum(option, &sluice__options__semantic_type__descriptor, &field->semantic);
    case OPTION_SENSITIVITY:
        return read_enum(option, &sluice__options__sensitivity__descriptor, &field->sensitivity);
    case OPTION_KEY:
        if (!read_number(option, &number) || number > SCHEMA_FIELDS_MAX)
            return false;
        field->key = (uint32_t)number;
        return true;
    case OPTION_MESSAGE_TYPE_FROM:
        text = read_text(arena, option);
        field->message_type_from = text != NULL && text[0] != '\0' ? text : NULL;
        return text != NULL;
    case OPTION_LABEL_ZH:
        text = read_text(arena, option);
        field->label_zh = text != NULL ? text : "";
        return text != NULL;
    default:
        return true;
    }
}

int schema_field_options(struct arena *arena, const char *owner,
                         const Google__Protobuf__FieldDescriptorProto *proto,
                         struct schema_field *field, struct err *err)
{
    if (proto->options == NULL)
        return 0;
    const ProtobufCMessage *base = &proto->options->base;
    for (unsigned i = 0; i < base->n_unknown_fields; i++) {
        if (read_option(arena, &base->unknown_fields[i], field))
            continue;
        return err_set(
            err, ERR_INVALID_ARGUMENT, "DESCRIPTOR_INVALID",
            "The descriptor set cannot be used: \"%.120s.%.60s\": option %u does not fit "
            "sluice/options/field.proto of this gateway.",
            owner, field->name, base->unknown_fields[i].tag);
    }
    return 0;
}
