/* One row on its way through a program: what the files of the row program share.
 * Ownership: a run lives on the stack of program_run; nothing in it outlives the row.
 * Never calls back.
 * Limits: as program.h. Private to schema/.
 * Does not build programs (program_build.c). */
#ifndef SLUICE_SCHEMA_PROGRAM_RUN_H
#define SLUICE_SCHEMA_PROGRAM_RUN_H

#include <string.h>

#include "base/utf8.h"
#include "schema/program.h"

/* What happened to one value. */
enum outcome {
    OUTCOME_DONE,
    OUTCOME_REJECTED,
    OUTCOME_MALFORMED, /* no binary value of the column's type */
    OUTCOME_FULL,      /* no room in `out` */
};

struct run {
    struct program *program;
    const struct db_rows *rows;
    int row;
    const struct db_value *cells; /* a row of a child table; NULL: `row` of `rows` */
    struct buf *out;
    struct schema_row_report *report;
    const struct mapping_leaf *parent; /* with `cells`: the field they are elements of */
    uint32_t element;                  /* from 1; 0: none */
    bool silent;                       /* warnings have been given before */
    bool absent;                       /* the last leaf had no value */
};

static inline struct db_value run_cell(const struct run *run, int column)
{
    return run->cells != NULL ? run->cells[column] : db_value(run->rows, run->row, column);
}

/* --- verdicts ---------------------------------------------------------------------------------- */
/* `leaf` NULL: the record as a whole. */
enum outcome program_reject(struct run *run, const struct mapping_leaf *leaf, const char *rule,
                            const char *code);
/* DONE, or REJECTED where the mapping escalates the code. */
enum outcome program_warn(struct run *run, const struct mapping_leaf *leaf, const char *code);

/* --- one leaf (program_leaf.c) ----------------------------------------------------------------- */
/* The delivered text, parts joined, into program->value. */
enum value_state program_leaf_text(struct run *run, const struct mapping_leaf *leaf,
                                   const int *columns, const char **code_r);
/* The chain over program->value. */
enum outcome program_run_steps(struct run *run, const struct mapping_leaf *leaf);
/* program->value as the field's value without its tag, appended to `out`. */
enum outcome program_put_value(struct run *run, const struct mapping_leaf *leaf, struct buf *out);
enum outcome program_take_oneof(struct run *run, const struct program_op *op);
enum outcome program_absent(struct run *run, const struct program_op *op);
enum outcome program_run_leaf(struct run *run, const struct program_op *op);
enum outcome program_run_chain(struct run *run, const struct program_op *op);
enum outcome program_run_integer(struct run *run, const struct program_op *op);
enum outcome program_run_instant(struct run *run, const struct program_op *op);

/* --- lists (program_list.c) -------------------------------------------------------------------- */
enum outcome program_run_array(struct run *run, const struct program_op *op);
enum outcome program_run_child(struct run *run, const struct program_op *op);
/* --- other fields (program_taken.c) ------------------------------------------------------------ */
enum outcome program_run_taken(struct run *run, const struct program_op *op);

/* Every operation of the run's program (program.c). */
enum outcome program_run_ops(struct run *run);
/* Puts tag and length in front of what stands behind `start`. */
enum outcome program_close_message(struct run *run, const struct program_op *op, size_t start);

/* Checked text as the op's string field, with tag and length. */
static inline enum outcome program_put_text(struct run *run, const struct program_op *op,
                                            const uint8_t *data, size_t len)
{
    struct buf *out = run->out;
    if (len == 0 && !op->leaf->field->has_presence)
        return OUTCOME_DONE;
    if (buf_reserve(out, len + 16) != 0)
        return OUTCOME_FULL;
    uint8_t *at = out->data + out->len;
    memcpy(at, op->tag, sizeof op->tag);
    at += op->tag_len;
    at += varint_put(at, len);
    memcpy(at, data, len);
    out->len = (size_t)(at - out->data) + len;
    return op->oneof < 0 ? OUTCOME_DONE : program_take_oneof(run, op);
}

/* NULL, or why bytes are no text. PostgreSQL's text holds no U+0000, and no reader of ours takes one. */
static inline const char *program_text_problem(const uint8_t *data, size_t len)
{
    size_t good = utf8_check_text(data, len);
    if (good == len)
        return NULL;
    return data[good] == 0 ? "TEXT_HAS_NUL" : "NOT_UTF8";
}

static inline uint16_t get16(const uint8_t *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

static inline uint32_t get32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static inline uint64_t get64(const uint8_t *data)
{
    return (uint64_t)get32(data) << 32 | get32(data + 4);
}

#endif
