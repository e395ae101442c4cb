/* A value taken from another field: what a citizen number says about its bearer (GB 11643: digits 1 to 6
 * division, 7 to 14 date of birth, 17 odd for a man). Where a column is read too, the two must agree. */
#include <string.h>

#include "base/utf8.h"
#include "schema/program_run.h"

enum {
    CITIZEN_ID_BYTES = 18,
    TAKEN_BYTES_MAX = 16,
};

/* False: the text is no canonical citizen number. */
static bool take(enum leaf_take what, const struct buf *value, char text_r[TAKEN_BYTES_MAX],
                 size_t *len_r)
{
    const char *id = (const char *)value->data;
    if (value->len != CITIZEN_ID_BYTES || !normaliser_all_digits(id, CITIZEN_ID_BYTES - 1))
        return false;
    switch (what) {
    case TAKE_BIRTH_DATE:
        memcpy(text_r, id + 6, 4);
        text_r[4] = '-';
        memcpy(text_r + 5, id + 10, 2);
        text_r[7] = '-';
        memcpy(text_r + 8, id + 12, 2);
        *len_r = 10;
        break;
    case TAKE_SEX:
        text_r[0] = (id[16] - '0') % 2 == 1 ? '1' : '2';
        *len_r = 1;
        break;
    case TAKE_DIVISION:
        memcpy(text_r, id, 6);
        *len_r = 6;
        break;
    }
    return true;
}

/* The other field's canonical text, read again: its own operation gives its warnings. An absent one
 * leaves *len_r at 0. */
static enum outcome take_value(struct run *run, const struct program_op *op,
                               char text_r[TAKEN_BYTES_MAX], size_t *len_r)
{
    const struct mapping_leaf *source = op->leaf->taken;
    const char *code = NULL;
    enum outcome outcome = OUTCOME_DONE;
    *len_r = 0;
    switch (program_leaf_text(run, source, op->taken_columns, &code)) {
    case VALUE_NULL:
        return OUTCOME_DONE;
    case VALUE_MALFORMED:
        return OUTCOME_MALFORMED;
    case VALUE_REJECTED:
        outcome = program_reject(run, source, "type", code);
        break;
    case VALUE_TEXT: {
        bool silent = run->silent;
        run->silent = true;
        outcome = program_run_steps(run, source);
        run->silent = silent;
        break;
    }
    }
    if (outcome == OUTCOME_REJECTED && source->absent_on_error) {
        run->report->state = ROW_DELIVERED; /* a field left out has nothing to take from */
        return OUTCOME_DONE;
    }
    if (outcome == OUTCOME_DONE && !take(op->leaf->take, &run->program->value, text_r, len_r))
        return program_reject(run, op->leaf, "from_field", "FROM_FIELD_INVALID");
    return outcome;
}

/* Appends tag and value, or nothing for a default without presence. */
static enum outcome put_tagged(struct run *run, const struct program_op *op)
{
    struct buf *out = run->out;
    size_t before = out->len;
    if (buf_append(out, op->tag, op->tag_len) != 0)
        return OUTCOME_FULL;
    enum outcome outcome = program_put_value(run, op->leaf, out);
    if (outcome == OUTCOME_DONE &&
        program_encoded_default(op->leaf->field, out->data + before + op->tag_len,
                                out->len - before - op->tag_len))
        out->len = before;
    return outcome;
}

static enum outcome put_taken(struct run *run, const struct program_op *op, const char *text,
                              size_t len)
{
    buf_reset(&run->program->value);
    (void)buf_append(&run->program->value, text, len);
    return put_tagged(run, op);
}

/* The column's value behind the taken one; VALUE_NULL when it has none. */
static enum outcome put_column(struct run *run, const struct program_op *op, bool *found_r)
{
    const char *code = NULL;
    *found_r = false;
    switch (program_leaf_text(run, op->leaf, op->columns, &code)) {
    case VALUE_NULL:
        return OUTCOME_DONE;
    case VALUE_MALFORMED:
        return OUTCOME_MALFORMED;
    case VALUE_REJECTED:
        return program_reject(run, op->leaf, strncmp(code, "PART_", 5) == 0 ? "from" : "type",
                              code);
    case VALUE_TEXT:
        break;
    }
    *found_r = true;
    enum outcome outcome = program_run_steps(run, op->leaf);
    return outcome == OUTCOME_DONE ? put_tagged(run, op) : outcome;
}

enum outcome program_run_taken(struct run *run, const struct program_op *op)
{
    struct buf *out = run->out;
    size_t start = out->len, len = 0;
    char text[TAKEN_BYTES_MAX];
    bool found = false;
    enum outcome outcome = take_value(run, op, text, &len);
    if (outcome == OUTCOME_DONE && len > 0)
        outcome = put_taken(run, op, text, len);
    size_t middle = out->len;
    if (outcome == OUTCOME_DONE && op->leaf->part_count > 0)
        outcome = put_column(run, op, &found);
    if (outcome != OUTCOME_DONE)
        return outcome;
    if (len == 0 && !found)
        return program_absent(run, op);
    if (len > 0 && found) {
        size_t taken = middle - start, read = out->len - middle;
        bool same = taken == read && memcmp(out->data + start, out->data + middle, read) == 0;
        if (!same && program_warn(run, op->leaf, "FROM_FIELD_DISAGREES") != OUTCOME_DONE)
            return OUTCOME_REJECTED;
        if (op->leaf->field_decides || same) {
            out->len = middle;
        } else {
            memmove(out->data + start, out->data + middle, read);
            out->len = start + read;
        }
    }
    return out->len > start ? program_take_oneof(run, op) : OUTCOME_DONE;
}
