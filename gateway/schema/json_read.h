/* Reads single JSON values as protobuf scalars, and says where in a document something is wrong;
 * private to schema/.
 * Ownership: places live on the decoder's stack; texts in them are borrowed.
 * Never calls back.
 * Limits: an error shows a path of JSON_PATH_BYTES_MAX.
 * Does not know messages. */
#ifndef SLUICE_SCHEMA_JSON_READ_H
#define SLUICE_SCHEMA_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "schema/descriptor.h"

struct err;

enum { JSON_PATH_BYTES_MAX = 128 };

/* Where in the document: a member of an object, or an element of a list when `name` is NULL. */
struct json_place {
    const struct json_place *parent;
    const char *name;
    size_t name_len;
    size_t index;
};

/* INVALID_ARGUMENT, JSON_INVALID: "In "fields.paths[3]": <what>." Always -1. */
int json_refuse(struct err *err, const struct json_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a syntax error, with line and column in place of a path. */
int json_refuse_text(struct err *err, const json_error_t *where);

/* Bounds what a parser would have to build: nesting of brackets and number of values. */
int json_check_text(struct err *err, const char *text, size_t len, size_t depth_max,
                    size_t values_max);

/* A whole number, as a number or as a string; two's complement, in the range of `type`. */
int json_read_integer(struct err *err, const struct json_place *place, const json_t *json,
                      enum schema_type type, uint64_t *value_r);
/* A number, a string with one, or "NaN", "Infinity", "-Infinity". */
int json_read_real(struct err *err, const struct json_place *place, const json_t *json,
                   bool is_float, double *value_r);

#endif
