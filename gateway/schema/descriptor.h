/* Message descriptors read at run time from a google.protobuf.FileDescriptorSet, for the pre-scan,
 * JSON, reflection and the row programs.
 * Ownership: everything belongs to the set and lives until schema_set_free.
 * Never calls back.
 * Limits: SCHEMA_*_MAX below; a set beyond them is refused. Imports must be inside the set.
 * Proto2 groups and extensions of messages are not supported (options are read as unknown fields).
 */
#ifndef SLUICE_SCHEMA_DESCRIPTOR_H
#define SLUICE_SCHEMA_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;

enum {
    SCHEMA_SET_BYTES_MAX = 16 * 1024 * 1024, /* a national catalogue of types is far below */
    SCHEMA_FIELDS_MAX = 1024,                /* of one message */
    SCHEMA_MESSAGES_MAX = 65536,
};

/* Numbers as in FieldDescriptorProto.Type. */
enum schema_type {
    SCHEMA_DOUBLE = 1,
    SCHEMA_FLOAT = 2,
    SCHEMA_INT64 = 3,
    SCHEMA_UINT64 = 4,
    SCHEMA_INT32 = 5,
    SCHEMA_FIXED64 = 6,
    SCHEMA_FIXED32 = 7,
    SCHEMA_BOOL = 8,
    SCHEMA_STRING = 9,
    SCHEMA_MESSAGE = 11,
    SCHEMA_BYTES = 12,
    SCHEMA_UINT32 = 13,
    SCHEMA_ENUM = 14,
    SCHEMA_SFIXED32 = 15,
    SCHEMA_SFIXED64 = 16,
    SCHEMA_SINT32 = 17,
    SCHEMA_SINT64 = 18,
};

/* Protobuf wire types. */
enum schema_wire { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

struct schema_enum_value {
    const char *name;
    int32_t number;
};

struct schema_enum {
    const char *full_name;
    const struct schema_enum_value *values; /* in declaration order */
    size_t value_count;
};

struct schema_message;

struct schema_field {
    const char *name;      /* as in the .proto */
    const char *json_name; /* lowerCamelCase */
    uint32_t number;
    uint32_t position; /* index in schema_message.fields: the bit in field bitmaps */
    enum schema_type type;
    bool repeated;
    bool packed;                           /* how we write it; both forms are read */
    bool map;                              /* repeated and message->map_entry */
    bool has_presence;                     /* message, oneof member or proto3 optional */
    int oneof;                             /* index of its real oneof, or -1 */
    const struct schema_message *message;  /* SCHEMA_MESSAGE */
    const struct schema_enum *enumeration; /* SCHEMA_ENUM */
    const char *comment;                   /* leading comment, "" when none */
    /* sluice.options */
    int semantic;                  /* sluice.options.SemanticType */
    int sensitivity;               /* sluice.options.Sensitivity */
    uint32_t key;                  /* position in the record key from 1; 0: none */
    const char *message_type_from; /* sibling field with the type of these bytes, or NULL */
    const char *label_zh;          /* "" when none */
};

struct schema_message {
    const char *full_name;             /* without a leading dot */
    const char *file;                  /* name of its .proto */
    const struct schema_field *fields; /* sorted by number */
    size_t field_count;
    size_t oneof_count;
    bool map_entry;
};

struct schema_method {
    const char *name;
    const char *path; /* "/sluice.v1.ExchangeService/Lookup" */
    const struct schema_message *input;
    const struct schema_message *output;
    bool client_streaming;
    bool server_streaming;
};

struct schema_service {
    const char *full_name;
    const char *file;
    const struct schema_method *methods;
    size_t method_count;
};

struct schema_set;

/* Copies what it needs. NULL and `err` (INVALID_ARGUMENT, reason DESCRIPTOR_INVALID) on bad input.
 */
struct schema_set *schema_set_load(const uint8_t *data, size_t len, struct err *err);
void schema_set_free(struct schema_set **set);

/* NULL when absent. Names without a leading dot. */
const struct schema_message *schema_set_message(const struct schema_set *set,
                                                const char *full_name);
const struct schema_message *schema_set_message_n(const struct schema_set *set,
                                                  const char *full_name, size_t len);
const struct schema_enum *schema_set_enum(const struct schema_set *set, const char *full_name);
size_t schema_set_service_count(const struct schema_set *set);
const struct schema_service *schema_set_service(const struct schema_set *set, size_t index);

const struct schema_field *schema_message_field(const struct schema_message *message,
                                                const char *name, size_t len);
const struct schema_field *schema_message_field_json(const struct schema_message *message,
                                                     const char *name,
                                                     size_t len); /* either name */
const struct schema_field *schema_message_number(const struct schema_message *message,
                                                 uint32_t number);
const struct schema_enum_value *schema_enum_by_name(const struct schema_enum *e, const char *name,
                                                    size_t len);
const struct schema_enum_value *schema_enum_by_number(const struct schema_enum *e, int32_t number);

/* The wire type a single value of this type has. */
enum schema_wire schema_wire_of(enum schema_type type);
/* "string", "int64", or the full name of the message or enum. */
const char *schema_field_type_name(const struct schema_field *field);

/* Reflection: serialised FileDescriptorProto by file name, or by a symbol the file defines
 * (message, enum, service, method). Empty slice when absent. */
struct slice schema_set_file(const struct schema_set *set, const char *file);
const char *schema_set_file_of_symbol(const struct schema_set *set, const char *symbol);
/* Direct imports of a file: names, NULL-terminated; NULL when the file is absent. */
const char *const *schema_set_imports(const struct schema_set *set, const char *file);
/* Serialised FileDescriptorSet of one file and all its imports, appended to `out`. */
int schema_set_closure(const struct schema_set *set, const char *file, struct buf *out);

#endif
