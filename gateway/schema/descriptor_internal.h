/* What the loader builds and the lookups read: the insides of a descriptor set; private to schema/.
 * Ownership: the set's arena holds every table; the maps borrow their keys from it.
 * Never calls back.
 * Limits: the private SCHEMA_*_MAX below, beside the public ones of descriptor.h.
 * Does not describe how a set is read (descriptor_load.c). */
#ifndef SLUICE_SCHEMA_DESCRIPTOR_INTERNAL_H
#define SLUICE_SCHEMA_DESCRIPTOR_INTERNAL_H

#include "base/arena.h"
#include "base/strmap.h"
#include "schema/descriptor.h"

enum {
    SCHEMA_ELEMENTS_MAX = 1000 * 1000, /* fields in the set's own bytes: each may cost 200 bytes */
    SCHEMA_SET_DEPTH_MAX = 64,         /* protobuf-c recurses without a limit */
    SCHEMA_ENUM_VALUES_MAX = 65536,
    SCHEMA_NAME_BYTES_MAX = 512, /* a full name, so that it fits an error text */
};

enum symbol_kind { SYMBOL_MESSAGE, SYMBOL_ENUM, SYMBOL_SERVICE, SYMBOL_METHOD };

struct symbol {
    enum symbol_kind kind;
    void *object; /* struct schema_message, _enum, _service or _method */
    const char *file;
};

struct schema_file {
    const char *name;
    struct slice bytes; /* serialised FileDescriptorProto, inside the set's copy of its input */
    const char **imports;
    size_t index;
};

struct schema_set {
    struct arena arena;
    struct strmap symbols; /* full name -> struct symbol */
    struct strmap names;   /* file name -> struct schema_file */
    struct schema_file *files;
    size_t file_count;
    struct schema_service *services;
    size_t service_count;
    size_t message_count;
};

/* Message types whose JSON is not an object of their fields. The loader refuses a set in which one
 * of these names does not have the fields it must have, so JSON may rely on them. */
enum well_known {
    WELL_KNOWN_NONE,
    WELL_KNOWN_ANY,
    WELL_KNOWN_TIMESTAMP,
    WELL_KNOWN_DURATION,
    WELL_KNOWN_FIELD_MASK,
    WELL_KNOWN_WRAPPER,
    WELL_KNOWN_STRUCT,
    WELL_KNOWN_VALUE,
    WELL_KNOWN_LIST,
};
enum well_known schema_well_known(const struct schema_message *message);
/* False when a well-known name stands on a message of another shape. */
bool schema_well_known_shape(const struct schema_message *message);

/* Checks the bytes of a FileDescriptorSet before protobuf-c, which checks neither depth nor UTF-8.
 */
int schema_set_check_bytes(const uint8_t *data, size_t len, struct err *err);

#endif
