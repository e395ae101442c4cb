/* The top-level fields of an encoded record, one after the other.
 * Owns nothing: slices point into the record.
 * Never calls back.
 * Limits: bytes that are not well formed end the walk.
 * Does not decode values. */
#ifndef SLUICE_SCHEMA_RECORD_H
#define SLUICE_SCHEMA_RECORD_H

#include <stdbool.h>

#include "base/buf.h"
#include "schema/descriptor.h"

struct schema_record_field {
    const struct schema_field *field;
    struct slice bytes; /* tag and value */
    struct slice value; /* contents of a length-delimited field; empty for other wire types */
    uint64_t number;    /* varint or fixed bits of other wire types */
};

/* Takes the next known field off the front of `rest`; false at the end. */
bool schema_record_next(const struct schema_message *type, struct slice *rest,
                        struct schema_record_field *field_r);

/* The field that says how old a record is: a google.protobuf.Timestamp, of several the one whose
 * name speaks of an update; NULL when the type has none. */
const struct schema_field *schema_record_vintage(const struct schema_message *type);
/* A time's value in an encoded record, seconds since 1970; false when absent. A date (a string
 * YYYY-MM-DD) is the midnight with which it begins in China, which has one time zone, UTC+8. */
bool schema_record_seconds(const struct schema_message *type, const struct schema_field *field,
                           struct slice record, int64_t *seconds_r);

#endif
