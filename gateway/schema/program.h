/* A row program: the flat list of operations that turns one binary row into one record.
 * Ownership: a program borrows its mapping; its operations live in the arena of the plan, its
 *   scratch buffers are its own (program_fini).
 * Never calls back; one thread at a time.
 * Limits: PLAN_RECORD_BYTES_MAX a record, NORMALISER_VALUE_BYTES_MAX a value. Private to
 *   schema/.
 * Does not allocate while rows run, once the scratch has grown. */
#ifndef SLUICE_SCHEMA_PROGRAM_H
#define SLUICE_SCHEMA_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "schema/mapping.h"
#include "schema/plan.h"

enum program_op_kind {
    OP_TEXT,     /* one text column, copied as it is */
    OP_INTEGER,  /* one integer column to an integer field */
    OP_INSTANT,  /* one timestamp to a google.protobuf.Timestamp */
    OP_CHAIN,    /* one text column through its chain to a string field */
    OP_LEAF,     /* anything else with columns */
    OP_ARRAY,    /* an array column to a repeated field */
    OP_CHILD,    /* rows of a child table */
    OP_TAKEN,    /* from another field */
    OP_CONSTANT, /* bytes made at load */
    OP_OPEN,     /* a nested message begins */
    OP_CLOSE,
};

struct program;

struct program_op {
    enum program_op_kind kind;
    const struct mapping_leaf *leaf;
    uint8_t tag[5];
    uint8_t tag_len;
    int column;               /* result column of the first part, or of the child's rows */
    const int *columns;       /* result column of each part */
    const int *taken_columns; /* OP_TAKEN: of the other field's parts */
    struct program *child;    /* OP_CHILD: what a row of the other table goes through */
    bool checked_text;        /* OP_LEAF: a string field whose chain begins with a checked text */
    bool padded;              /* OP_CHAIN: char(n), whose blanks at the end mean nothing */
    bool may_be_settled;      /* OP_CHAIN: every step can tell what it would leave alone */
    const uint8_t *bytes;
    size_t bytes_len;
    int32_t oneof; /* index into the program's oneofs, or -1 */
};

/* Where a statement's result holds what. */
struct program_columns {
    const int *column; /* by mapping column; -1: not selected */
    const int *child;  /* by leaf: the rows of its child table */
    int rank;          /* of duplicates, or -1 */
};

struct program {
    const struct schema_mapping *mapping;
    const struct mapping_column *columns; /* of the mapping or the child */
    size_t column_count;
    struct program_op *ops;
    size_t op_count;
    struct program_columns result;
    const int *const *key_columns; /* by key leaf: result column of each part */
    bool *oneof_taken;
    size_t oneof_count;
    struct db_value *cells; /* of a child: one row */
    struct buf value;       /* scratch: the value in hand */
    struct buf joined;      /* scratch: elements put together */
    struct buf judged;      /* scratch: one field's encoding that nobody wants */
};

/* `wanted` is a field bitmap; what `result` points to must outlive the program. */
void program_init(struct program *program, const struct schema_mapping *mapping,
                  const uint8_t *wanted, const struct program_columns *result, struct arena *arena);
void program_fini(struct program *program);
/* Whether a described result is still what the program was made for; names the first column that
 * is not. A result without a description (type oids 0) is taken as it is. */
const struct mapping_column *program_check_types(const struct program *program,
                                                 const struct db_rows *rows);

/* As schema_plan_row and schema_plan_row_key. */
int program_run(struct program *program, const struct db_rows *rows, int row, struct buf *out,
                struct schema_row_report *report_r, struct err *err);
bool program_key(struct program *program, const struct db_rows *rows, int row,
                 char key_r[PLAN_KEY_TEXT_BYTES_MAX]);
/* As schema_plan_row_judge. */
int program_judge(struct program *program, const struct db_rows *rows, int row,
                  struct schema_verdict *verdicts_r, struct err *err);

/* --- values (program_value.c) -------------------------------------------------------------------
 */
enum value_state { VALUE_NULL, VALUE_TEXT, VALUE_REJECTED, VALUE_MALFORMED };

/* Text of one binary value appended to `out`; *code_r for VALUE_REJECTED. No array: its elements one
 * by one. */
enum value_state program_value_text(enum column_type type, struct db_value value, struct buf *out,
                                    const char **code_r);
/* A binary integer of 2, 4 or 8 bytes. */
int64_t program_value_integer(struct db_value value);
/* Shape of a binary timestamp of 8 bytes: seconds since 1970 and nanoseconds. */
bool program_value_timestamp(struct db_value value, int64_t *seconds_r, int32_t *nanos_r,
                             const char **code_r);
/* google.protobuf.Timestamp: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z */
bool program_timestamp_fits(int64_t seconds);

/* --- encoding (program_encode.c) ----------------------------------------------------------------
 */
/* Canonical text as the value of `field` (without its tag; with a length where the wire type has
 * one), appended to `out`. NULL, or a stable code why it is no such value. */
const char *program_encode_text(const struct schema_field *field, const uint8_t *text, size_t len,
                                struct buf *out);
/* A number as the value of an integer or enum field; room for 10 bytes must be reserved. */
const char *program_encode_integer(const struct schema_field *field, int64_t number,
                                   struct buf *out);
/* True when these bytes are the default of a field without presence and stay unwritten. */
bool program_encoded_default(const struct schema_field *field, const uint8_t *bytes, size_t len);
size_t program_tag(const struct schema_field *field, uint8_t tag_r[5]);
/* By name or by number in canonical decimal. */
const struct schema_enum_value *program_enum_value(const struct schema_field *field,
                                                   const char *text, size_t len);
/* RFC 3339 date-time. */
bool program_parse_timestamp(const uint8_t *text, size_t len, int64_t *seconds_r, int32_t *nanos_r);
void program_put_timestamp(int64_t seconds, int32_t nanos, struct buf *out);
/* A flat JSON object as entries of a map<string, string> field with their tags. */
const char *program_encode_map(const struct schema_field *field, const uint8_t *json, size_t len,
                               struct buf *out, struct buf *scratch);

#endif
