/* Repeated fields: array columns, and rows of a child table as an array of records. */
#include <string.h>

#include "schema/program_run.h"

enum {
    ARRAY_HEADER_BYTES = 12,    /* dimensions, has-null flag, element type */
    ARRAY_BOUND_BYTES = 8,      /* length and lower bound of one dimension */
    ARRAY_ELEMENTS_MAX = 65536, /* what the pre-scan of a receiver accepts */
};

/* What is left of an array_send. */
struct elements {
    const uint8_t *data;
    size_t left;
    uint32_t count;
};

/* False: no array. A second dimension shows in *dimensions_r. */
static bool open_array(struct db_value value, struct elements *elements_r, uint32_t *dimensions_r)
{
    *elements_r = (struct elements){ 0 };
    if (value.len < ARRAY_HEADER_BYTES)
        return false;
    *dimensions_r = get32(value.data);
    if (*dimensions_r != 1)
        return *dimensions_r > 1 || value.len == ARRAY_HEADER_BYTES;
    if (value.len < ARRAY_HEADER_BYTES + ARRAY_BOUND_BYTES)
        return false;
    size_t head = ARRAY_HEADER_BYTES + ARRAY_BOUND_BYTES;
    *elements_r = (struct elements){ .data = value.data + head,
                                     .left = value.len - head,
                                     .count = get32(value.data + ARRAY_HEADER_BYTES) };
    /* Every element has a length: a count beyond the bytes is a lie. */
    return elements_r->count <= elements_r->left / 4;
}

/* A length of 4 bytes, -1 for NULL, then that many bytes. */
static bool next_value(struct elements *elements, struct db_value *value_r)
{
    if (elements->left < 4)
        return false;
    uint32_t len = get32(elements->data);
    elements->data += 4;
    elements->left -= 4;
    if (len == UINT32_MAX) {
        *value_r = (struct db_value){ NULL, 0 };
        return true;
    }
    if (len > elements->left)
        return false;
    *value_r = (struct db_value){ elements->data, len };
    elements->data += len;
    elements->left -= len;
    return true;
}

/* One element's value, with its tag where the list is not packed. */
static enum outcome put_element(struct run *run, const struct program_op *op, struct buf *packed)
{
    const struct mapping_leaf *leaf = op->leaf;
    struct buf *out = leaf->field->packed ? packed : run->out;
    if (!leaf->field->packed && buf_append(out, op->tag, op->tag_len) != 0)
        return OUTCOME_FULL;
    return program_put_value(run, leaf, out);
}

static enum outcome put_packed(struct run *run, const struct program_op *op,
                               const struct buf *packed)
{
    if (packed->len == 0)
        return OUTCOME_DONE;
    if (buf_reserve(run->out, packed->len + 32) != 0)
        return OUTCOME_FULL;
    (void)buf_append(run->out, op->tag, op->tag_len);
    (void)buf_append_varint(run->out, packed->len);
    (void)buf_append(run->out, packed->data, packed->len);
    return OUTCOME_DONE;
}

/* --- arrays ------------------------------------------------------------------------------------- */

static enum outcome run_element(struct run *run, const struct program_op *op, struct db_value value)
{
    struct program *program = run->program;
    const char *code = NULL;
    if (value.data == NULL)
        return program_reject(run, op->leaf, "array", "ARRAY_NULL_ELEMENT");
    buf_reset(&program->value);
    enum value_state state = program_value_text(program->columns[op->leaf->parts[0].column].element,
                                                value, &program->value, &code);
    if (state != VALUE_TEXT)
        return state == VALUE_MALFORMED ? OUTCOME_MALFORMED
                                        : program_reject(run, op->leaf, "type", code);
    enum outcome outcome = program_run_steps(run, op->leaf);
    return outcome == OUTCOME_DONE ? put_element(run, op, &program->joined) : outcome;
}

enum outcome program_run_array(struct run *run, const struct program_op *op)
{
    struct db_value value = run_cell(run, op->column), element;
    struct elements elements;
    uint32_t dimensions = 0;
    if (value.data == NULL)
        return program_absent(run, op);
    if (!open_array(value, &elements, &dimensions))
        return OUTCOME_MALFORMED;
    if (dimensions > 1)
        return program_reject(run, op->leaf, "array", "ARRAY_DIMENSIONS");
    if (elements.count > ARRAY_ELEMENTS_MAX)
        return program_reject(run, op->leaf, "array", "ARRAY_TOO_LONG");
    buf_reset(&run->program->joined);
    for (uint32_t i = 0; i < elements.count; i++) {
        enum outcome outcome =
            next_value(&elements, &element) ? run_element(run, op, element) : OUTCOME_MALFORMED;
        if (outcome != OUTCOME_DONE)
            return outcome;
    }
    return elements.left == 0 ? put_packed(run, op, &run->program->joined) : OUTCOME_MALFORMED;
}

/* --- child tables ------------------------------------------------------------------------------- */

/* record_send: the number of columns, then type, length and bytes of each. */
static bool read_record(const struct program *program, struct db_value record)
{
    struct elements columns = { .data = record.data, .left = record.len };
    if (record.data == NULL || record.len < 4 || get32(record.data) != program->column_count)
        return false;
    columns.data += 4;
    columns.left -= 4;
    for (size_t i = 0; i < program->column_count; i++) {
        if (columns.left < 4 || !column_accepts_within(&program->columns[i], get32(columns.data)))
            return false;
        columns.data += 4;
        columns.left -= 4;
        if (!next_value(&columns, &program->cells[i]))
            return false;
    }
    return columns.left == 0;
}

/* A scalar element: the only leaf of the child is the field itself. */
static enum outcome run_scalar(struct run *row, struct run *run, const struct program_op *op)
{
    const struct program_op *leaf = &row->program->ops[0];
    const char *code = NULL;
    switch (program_leaf_text(row, leaf->leaf, leaf->columns, &code)) {
    case VALUE_NULL:
        return program_reject(row, leaf->leaf, "child", "CHILD_NULL_ELEMENT");
    case VALUE_MALFORMED:
        return OUTCOME_MALFORMED;
    case VALUE_REJECTED:
        return program_reject(row, leaf->leaf, strncmp(code, "PART_", 5) == 0 ? "from" : "type",
                              code);
    case VALUE_TEXT:
        break;
    }
    enum outcome outcome = program_run_steps(row, leaf->leaf);
    if (outcome != OUTCOME_DONE)
        return outcome;
    struct buf *out = op->leaf->field->packed ? &run->program->joined : run->out;
    if (!op->leaf->field->packed && buf_append(out, op->tag, op->tag_len) != 0)
        return OUTCOME_FULL;
    return program_put_value(row, leaf->leaf, out);
}

static enum outcome run_record(struct run *run, const struct program_op *op, uint32_t element,
                               struct db_value record)
{
    struct run row = { .program = op->child,
                       .cells = op->child->cells,
                       .out = run->out,
                       .report = run->report,
                       .parent = op->leaf,
                       .element = element };
    if (!read_record(op->child, record))
        return OUTCOME_MALFORMED;
    if (op->leaf->child->scalar)
        return run_scalar(&row, run, op);
    size_t start = run->out->len;
    enum outcome outcome = program_run_ops(&row);
    return outcome == OUTCOME_DONE ? program_close_message(run, op, start) : outcome;
}

enum outcome program_run_child(struct run *run, const struct program_op *op)
{
    struct db_value value = run_cell(run, op->column), record;
    struct elements elements;
    uint32_t dimensions = 0;
    if (value.data == NULL || !open_array(value, &elements, &dimensions) || dimensions > 1)
        return OUTCOME_MALFORMED;
    if (elements.count > op->leaf->child->rows_max)
        return program_reject(run, op->leaf, "child", "CHILD_TOO_MANY");
    if (elements.count == 0 && op->leaf->required)
        return program_reject(run, op->leaf, "required", "REQUIRED_MISSING");
    buf_reset(&run->program->joined);
    for (uint32_t i = 0; i < elements.count; i++) {
        enum outcome outcome =
            next_value(&elements, &record) ? run_record(run, op, i + 1, record) : OUTCOME_MALFORMED;
        if (outcome != OUTCOME_DONE)
            return outcome;
    }
    return elements.left == 0 ? put_packed(run, op, &run->program->joined) : OUTCOME_MALFORMED;
}
