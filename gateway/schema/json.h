/* The proto3 JSON mapping (https://protobuf.dev/programming-guides/json/), driven by descriptors.
 * Ownership: output goes to the caller's buffer.
 * Never calls back.
 * Limits: nesting and element counts as in prescan.h; input and output by the caller's buffer
 * limit. Any, Timestamp, Duration, FieldMask and wrappers have their special forms; a bytes field
 * with sluice.options.message_type_from is written as an object of that type. Does not parse JSON
 * itself where a library does: decoding uses jansson (exact int64, no duplicate keys). */
#ifndef SLUICE_SCHEMA_JSON_H
#define SLUICE_SCHEMA_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct err;
struct schema_message;
struct schema_set;

/* Where types of Any and of typed bytes are found: the sets are asked in order. */
struct schema_json_options {
    const struct schema_set *const *sets;
    size_t set_count;
    bool proto_field_names; /* "id_number" instead of "idNumber" */
    bool emit_defaults;     /* also fields that hold their default */
    /* Records (Any and typed bytes) always show canonical field names as in the .proto. */
};

/* Protobuf bytes -> JSON text appended to `out`. -1 with DATA_LOSS (malformed bytes), NOT_FOUND
 * (unknown Any type) or RESOURCE_EXHAUSTED (out of room). */
int schema_json_encode(const struct schema_json_options *options,
                       const struct schema_message *message, const uint8_t *data, size_t len,
                       struct buf *out, struct err *err);

/* JSON text -> protobuf bytes appended to `out`. -1 with INVALID_ARGUMENT (reason JSON_INVALID; the
 * text names the field path and, for syntax, line and column). Both field names are accepted;
 * unknown fields are errors. */
int schema_json_decode(const struct schema_json_options *options,
                       const struct schema_message *message, const char *text, size_t len,
                       struct buf *out, struct err *err);

#endif
