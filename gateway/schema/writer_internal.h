/* Inside of a writer: its flat program and the scratch it runs with.
 * Ownership: everything lives in the writer's arena but the buffers (writer.c).
 * Never calls back.
 * Limits: those of writer.h.
 * Private to schema/. Built by writer_compile.c, run by writer.c. */
#ifndef SLUICE_SCHEMA_WRITER_INTERNAL_H
#define SLUICE_SCHEMA_WRITER_INTERNAL_H

#include "schema/mapping_write.h"
#include "schema/program.h"
#include "schema/writer.h"
#include "schema/writer_scan.h"
#include "schema/writer_value.h"

enum { NO_COLUMN = -1 };

/* Native text of a canonical number: enums and truth values have few, found when compiling. */
struct writer_choice {
    int64_t number;
    const char *native; /* NULL: has none */
    size_t len;
};

struct writer_leaf {
    const struct mapping_leaf *leaf;
    int columns[MAPPING_PARTS_MAX];      /* column each part writes, or NO_COLUMN */
    bool writes;                         /* at least one of them, or a piece of one */
    bool plain;                          /* one text column and no chain */
    bool instant;                        /* Timestamp and a timestamp column without a chain */
    const struct writer_choice *choices; /* by number; NULL: not one of few */
    size_t choice_count;
    /* During a row: the native text of a piece, in the writer's `pieces`. */
    size_t piece_at;
    size_t piece_len;
    bool piece_set;
};

enum writer_source {
    SOURCE_PART,   /* one part of one leaf */
    SOURCE_PIECES, /* several leaves have a piece each */
    SOURCE_FILL,
};

struct writer_column {
    const struct mapping_column *column;
    size_t index; /* in the target mapping */
    enum writer_source source;
    size_t leaf, part; /* SOURCE_PART: what writes it; the order of columns */
    size_t *pieces;    /* leaves, in order */
    size_t piece_count;
    const char *separator; /* between pieces; "" for fixed ones */
    const struct mapping_fill *fill;
    const struct writer_type *type;
    struct writer_limits limits;
    bool required; /* NOT NULL, as described */
    /* During a row: where its value is in the tuple. */
    size_t at;
    uint32_t len;
    bool null;
};

struct schema_writer {
    struct arena arena;
    const struct schema_dataset *dataset;
    struct schema_mapping target; /* what is read back: leaves that are written or checked */
    const struct mapping_write *write;
    struct writer_leaf *leaves; /* in the order of the type's fields */
    size_t leaf_count;
    struct writer_column *columns;
    size_t column_count;
    const char *column_list;
    const char *batch;
    int64_t made_us;
    struct program_columns result; /* of the program */
    struct program program;        /* the way out, over the row just made */
    struct scan given;             /* the record */
    struct scan seen;              /* the record read back */
    struct db_value *values;
    struct buf text;   /* scratch: one native text */
    struct buf joined; /* scratch: a column put together */
    struct buf pieces; /* scratch: texts of pieces */
    struct buf back;   /* scratch: the record read back */
    struct schema_lossiness *lossiness;
    size_t lossiness_count;
};

int writer_compile(struct schema_writer *writer, const uint8_t *fields, struct err *err);
/* What fills columns is a value of their types; `reason` for the error. */
int writer_check_fills(struct schema_writer *writer, const char *reason, struct err *err);
/* Only checks: a valid value is its own native text. */
bool writer_chain_is_identity(const struct mapping_leaf *leaf);
void writer_find_losses(struct schema_writer *writer, const uint8_t *fields);

/* --- texts (writer_text.c) ----------------------------------------------------------------------
 */
/* Canonical text of a slot, as the way out would have read it, appended to `out`. NULL or a code. */
const char *writer_text(const struct scan *scan, size_t leaf, const struct scan_slot *slot,
                        enum column_type type, struct buf *out);
/* Of one element of a list. */
const char *writer_item_text(const struct schema_field *field, const struct scan_item *item,
                             struct buf *out);
/* Walks a leaf's chain backwards over `value`. */
const char *writer_chain(const struct mapping_leaf *leaf, struct buf *value);

/* The only single message a leaf can be. */
static inline bool writer_is_timestamp(const struct schema_field *field)
{
    return field->type == SCHEMA_MESSAGE && !field->repeated;
}

#endif
