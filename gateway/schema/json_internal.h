/* What encoding and decoding JSON share: text forms of the well-known types; private to schema/.
 * Ownership: texts go to the caller's memory.
 * Never calls back.
 * Limits: named below.
 * Does not read or write JSON itself. */
#ifndef SLUICE_SCHEMA_JSON_INTERNAL_H
#define SLUICE_SCHEMA_JSON_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/descriptor.h"
#include "schema/json.h"

enum {
    JSON_TIME_TEXT_BYTES = 64,
    JSON_SHOWN_TEXT_BYTES = 68, /* how much of a peer's text an error repeats */
    JSON_NUMBER_TEXT_BYTES = 40,
};

/* timestamp.proto: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z, RFC 3339 texts.
 * duration.proto: about 10,000 years, "-1.500s". False outside of the range or grammar. */
bool json_timestamp_format(int64_t seconds, int32_t nanos, char text_r[JSON_TIME_TEXT_BYTES]);
bool json_timestamp_parse(const char *text, size_t len, int64_t *seconds_r, int32_t *nanos_r);
bool json_duration_format(int64_t seconds, int32_t nanos, char text_r[JSON_TIME_TEXT_BYTES]);
bool json_duration_parse(const char *text, size_t len, int64_t *seconds_r, int32_t *nanos_r);

/* One path of a field mask. To JSON: "id_number" -> "idNumber", false when the way back would not
 * lead to the same path. From JSON: both forms are read. `out` has room for 2 * len bytes. */
bool json_mask_to_camel(const uint8_t *path, size_t len, char *out, size_t *len_r);
bool json_mask_to_snake(const char *path, size_t len, char *out, size_t *len_r);

/* Shortest of the usual precisions that reads back as the same number. Finite values only. */
void json_double_format(double value, char text_r[JSON_NUMBER_TEXT_BYTES]);
void json_float_format(float value, char text_r[JSON_NUMBER_TEXT_BYTES]);

/* The type that an Any or a typed bytes field names, asked of every set. NULL when none has it. */
const struct schema_message *json_find_type(const struct schema_json_options *options,
                                            const char *name, size_t len);
/* Length of the prefix of a type URL up to its last '/', or 0 when there is none. */
size_t json_type_url_prefix(const char *url, size_t len);

/* A piece of a peer's text that may stand in an error: short, whole characters, no controls. */
const char *json_shown(const char *text, size_t len, char shown_r[JSON_SHOWN_TEXT_BYTES]);

#endif
