/* One leaf: its columns' text, its chain, its bytes. */
#include <string.h>

#include "base/utf8.h"
#include "schema/program_run.h"

/* --- text --------------------------------------------------------------------------------------- */

static size_t characters_to_bytes(const uint8_t *text, size_t len, uint32_t characters)
{
    size_t at = 0;
    while (characters > 0 && at < len) {
        at++;
        while (at < len && (text[at] & 0xC0) == 0x80)
            at++;
        characters--;
    }
    return characters == 0 ? at : SIZE_MAX;
}

/* Cuts the piece out of a text; NULL, or a stable code. */
static const char *cut_part(const struct mapping_part *part, struct slice *text)
{
    if (part->kind == PART_FIXED) {
        size_t bytes = characters_to_bytes(text->data, text->len, part->length);
        if (bytes == SIZE_MAX)
            return "PART_LENGTH";
        if (text->len - bytes != strlen(part->rest) ||
            memcmp(text->data + bytes, part->rest, text->len - bytes) != 0)
            return "PART_REST";
        text->len = bytes;
    } else if (part->kind == PART_SUBSTR) {
        size_t start = characters_to_bytes(text->data, text->len, part->start);
        size_t end = characters_to_bytes(text->data, text->len, part->start + part->length);
        if (start == SIZE_MAX || end == SIZE_MAX)
            return "PART_LENGTH";
        *text = slice_of(text->data + start, end - start);
    } else if (part->kind == PART_SPLIT) {
        size_t width = strlen(part->rest);
        for (uint32_t i = 0;; i++) {
            const uint8_t *end = memmem(text->data, text->len, part->rest, width);
            size_t len = end == NULL ? text->len : (size_t)(end - text->data);
            if (i == part->start) {
                text->len = len;
                return NULL;
            }
            if (end == NULL)
                return "PART_MISSING";
            *text = slice_of(end + width, text->len - len - width);
        }
    }
    return NULL;
}

/* Appends one part's text to program->value. */
static enum value_state part_text(struct run *run, const struct mapping_leaf *leaf, size_t index,
                                  int column, const char **code_r)
{
    struct program *program = run->program;
    const struct mapping_part *part = &leaf->parts[index];
    size_t before = program->value.len;
    enum value_state state = program_value_text(program->columns[part->column].type,
                                                run_cell(run, column), &program->value, code_r);
    if (state != VALUE_TEXT || part->kind == PART_WHOLE)
        return state;
    struct slice text = slice_of(program->value.data + before, program->value.len - before);
    *code_r = cut_part(part, &text);
    if (*code_r != NULL)
        return VALUE_REJECTED;
    if (text.len > 0)
        memmove(program->value.data + before, text.data, text.len);
    program->value.len = before + text.len;
    return VALUE_TEXT;
}

static bool plain(uint8_t byte)
{
    return byte > ' ' && byte < 0x7f;
}

/* Without the blanks at both ends. */
static struct slice trimmed(struct slice text)
{
    size_t start = 0, end = text.len;
    uint32_t cp = 0;
    if (end > 0 && plain(text.data[0]) && plain(text.data[end - 1]))
        return text;
    while (start < end) {
        size_t step = utf8_decode(text.data + start, end - start, &cp);
        if (step == 0 || !normaliser_blank(cp))
            break;
        start += step;
    }
    while (end > start) {
        size_t last = end - 1;
        while (last > start && (text.data[last] & 0xC0) == 0x80)
            last--;
        if (utf8_decode(text.data + last, end - last, &cp) == 0 || !normaliser_blank(cp))
            break;
        end = last;
    }
    return slice_of(text.data + start, end - start);
}

static bool in_null_list(const struct mapping_leaf *leaf, struct slice value)
{
    struct slice text = trimmed(value);
    for (size_t i = 0; i < leaf->null_count; i++)
        if (strlen(leaf->nulls[i]) == text.len &&
            (text.len == 0 || memcmp(leaf->nulls[i], text.data, text.len) == 0))
            return true;
    return false;
}

static inline bool is_null_value(const struct mapping_leaf *leaf, struct slice value)
{
    return leaf->null_count > 0 && in_null_list(leaf, value);
}

/* The first part that has a value. */
static enum value_state first_text(struct run *run, const struct mapping_leaf *leaf,
                                   const int *columns, const char **code_r)
{
    for (size_t i = 0; i < leaf->part_count; i++) {
        buf_reset(&run->program->value);
        enum value_state state = part_text(run, leaf, i, columns[i], code_r);
        if (state == VALUE_TEXT && is_null_value(leaf, buf_slice(&run->program->value)))
            state = VALUE_NULL;
        if (state != VALUE_NULL)
            return state;
    }
    return VALUE_NULL;
}

static enum value_state joined_text(struct run *run, const struct mapping_leaf *leaf,
                                    const int *columns, const char **code_r)
{
    struct program *program = run->program;
    size_t nulls = 0;
    for (size_t i = 0; i < leaf->part_count; i++) {
        if (i > 0 && leaf->separator != NULL &&
            buf_append_str(&program->value, leaf->separator) != 0) {
            *code_r = "VALUE_TOO_LONG";
            return VALUE_REJECTED;
        }
        enum value_state state = part_text(run, leaf, i, columns[i], code_r);
        if (state == VALUE_REJECTED || state == VALUE_MALFORMED)
            return state;
        nulls += state == VALUE_NULL;
    }
    if (nulls == 0 || nulls == leaf->part_count)
        return nulls == 0 ? VALUE_TEXT : VALUE_NULL;
    *code_r = "PART_NULL";
    return VALUE_REJECTED;
}

enum value_state program_leaf_text(struct run *run, const struct mapping_leaf *leaf,
                                   const int *columns, const char **code_r)
{
    enum value_state state;
    if (leaf->coalesce)
        return first_text(run, leaf, columns, code_r);
    buf_reset(&run->program->value);
    state = leaf->part_count == 1 ? part_text(run, leaf, 0, columns[0], code_r)
                                  : joined_text(run, leaf, columns, code_r);
    return state == VALUE_TEXT && is_null_value(leaf, buf_slice(&run->program->value)) ? VALUE_NULL
                                                                                       : state;
}

enum outcome program_run_steps(struct run *run, const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->step_count; i++) {
        const struct normaliser_step *step = &leaf->steps[i];
        struct normaliser_result result = normaliser_run(step, &run->program->value);
        if (result.verdict == NORMALISER_ERROR)
            return program_reject(run, leaf, step->kind->base.name, result.code);
        if (result.verdict == NORMALISER_WARN &&
            program_warn(run, leaf, result.code) != OUTCOME_DONE)
            return OUTCOME_REJECTED;
    }
    return OUTCOME_DONE;
}

/* --- bytes -------------------------------------------------------------------------------------- */

enum outcome program_take_oneof(struct run *run, const struct program_op *op)
{
    if (op->oneof < 0)
        return OUTCOME_DONE;
    if (run->program->oneof_taken[op->oneof])
        return program_reject(run, op->leaf, "oneof", "ONEOF_CONFLICT");
    run->program->oneof_taken[op->oneof] = true;
    return OUTCOME_DONE;
}

enum outcome program_put_value(struct run *run, const struct mapping_leaf *leaf, struct buf *out)
{
    const struct buf *value = &run->program->value;
    if (buf_reserve(out, value->len + 32) != 0)
        return OUTCOME_FULL;
    const char *code = program_encode_text(leaf->field, value->data, value->len, out);
    return code == NULL ? OUTCOME_DONE : program_reject(run, leaf, "type", code);
}

/* Tag and value; a default without presence is taken back. */
static enum outcome encode(struct run *run, const struct program_op *op, const uint8_t *text,
                           size_t len)
{
    struct buf *out = run->out;
    size_t before = out->len;
    if (buf_reserve(out, len + 32) != 0)
        return OUTCOME_FULL;
    (void)buf_append(out, op->tag, op->tag_len);
    const char *code = program_encode_text(op->leaf->field, text, len, out);
    if (code != NULL)
        return program_reject(run, op->leaf, "type", code);
    if (program_encoded_default(op->leaf->field, out->data + before + op->tag_len,
                                out->len - before - op->tag_len)) {
        out->len = before;
        return OUTCOME_DONE;
    }
    return program_take_oneof(run, op);
}

enum outcome program_absent(struct run *run, const struct program_op *op)
{
    const struct mapping_leaf *leaf = op->leaf;
    run->absent = true;
    if (leaf->required)
        return program_reject(run, leaf, "required", "REQUIRED_MISSING");
    if (leaf->fallback == NULL)
        return OUTCOME_DONE;
    return encode(run, op, (const uint8_t *)leaf->fallback, strlen(leaf->fallback));
}

static enum outcome run_map(struct run *run, const struct program_op *op)
{
    struct program *program = run->program;
    /* An entry's tags and lengths take at most four times what its JSON takes. */
    if (buf_reserve(run->out, 4 * program->value.len + 64) != 0)
        return OUTCOME_FULL;
    const char *code = program_encode_map(op->leaf->field, program->value.data, program->value.len,
                                          run->out, &program->joined);
    return code == NULL ? OUTCOME_DONE : program_reject(run, op->leaf, "type", code);
}

enum outcome program_run_leaf(struct run *run, const struct program_op *op)
{
    const struct mapping_leaf *leaf = op->leaf;
    struct program *program = run->program;
    const char *code = NULL;
    switch (program_leaf_text(run, leaf, op->columns, &code)) {
    case VALUE_NULL:
        return program_absent(run, op);
    case VALUE_MALFORMED:
        return OUTCOME_MALFORMED;
    case VALUE_REJECTED:
        return program_reject(run, leaf, strncmp(code, "PART_", 5) == 0 ? "from" : "type", code);
    case VALUE_TEXT:
        break;
    }
    if (leaf->field->map)
        return run_map(run, op);
    enum outcome outcome = program_run_steps(run, leaf);
    if (outcome != OUTCOME_DONE)
        return outcome;
    /* A chain that began with a text leaves one. */
    return op->checked_text ? program_put_text(run, op, program->value.data, program->value.len)
                            : encode(run, op, program->value.data, program->value.len);
}

static bool is_settled(const struct mapping_leaf *leaf, struct slice text)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (!leaf->steps[i].kind->settled(leaf->steps[i].config, (const char *)text.data, text.len))
            return false;
    return true;
}

enum outcome program_run_chain(struct run *run, const struct program_op *op)
{
    const struct mapping_leaf *leaf = op->leaf;
    struct buf *value = &run->program->value;
    struct db_value cell = run_cell(run, op->column);
    if (cell.data == NULL)
        return program_absent(run, op);
    while (op->padded && cell.len > 0 && cell.data[cell.len - 1] == ' ')
        cell.len--;
    if (is_null_value(leaf, slice_of(cell.data, cell.len)))
        return program_absent(run, op);
    if (op->may_be_settled && is_settled(leaf, slice_of(cell.data, cell.len)))
        return program_put_text(run, op, cell.data, cell.len);
    const char *code = program_text_problem(cell.data, cell.len);
    if (code != NULL)
        return program_reject(run, leaf, "type", code);
    buf_reset(value);
    if (buf_append(value, cell.data, cell.len) != 0)
        return program_reject(run, leaf, "type", "VALUE_TOO_LONG");
    enum outcome outcome = program_run_steps(run, leaf);
    return outcome != OUTCOME_DONE ? outcome : program_put_text(run, op, value->data, value->len);
}

/* --- without text on the way -------------------------------------------------------------------- */

static bool value_is_width(enum column_type type, struct db_value value)
{
    return value.len == (type == COLUMN_INT2 ? 2 : type == COLUMN_INT4 ? 4 : 8);
}

enum outcome program_run_integer(struct run *run, const struct program_op *op)
{
    struct buf *out = run->out;
    struct db_value value = run_cell(run, op->column);
    if (value.data == NULL)
        return program_absent(run, op);
    if (!value_is_width(run->program->columns[op->leaf->parts[0].column].type, value))
        return OUTCOME_MALFORMED;
    if (buf_reserve(out, 16) != 0)
        return OUTCOME_FULL;
    int64_t number = program_value_integer(value);
    if (number == 0 && !op->leaf->field->has_presence)
        return OUTCOME_DONE;
    (void)buf_append(out, op->tag, op->tag_len);
    const char *code = program_encode_integer(op->leaf->field, number, out);
    return code == NULL ? program_take_oneof(run, op) : program_reject(run, op->leaf, "type", code);
}

enum outcome program_run_instant(struct run *run, const struct program_op *op)
{
    const struct mapping_leaf *leaf = op->leaf;
    struct db_value value = run_cell(run, op->column);
    const char *code = NULL;
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (value.data == NULL)
        return program_absent(run, op);
    if (value.len != 8)
        return OUTCOME_MALFORMED;
    if (leaf->null_count > 0 && program_leaf_text(run, leaf, op->columns, &code) == VALUE_NULL)
        return program_absent(run, op);
    if (!program_value_timestamp(value, &seconds, &nanos, &code))
        return program_reject(run, leaf, "type", code);
    /* Local time of an offset may lie outside the type's years where the instant does not, and the
     * other way round. */
    seconds -= leaf->utc_offset_s;
    if (!program_timestamp_fits(seconds))
        return program_reject(run, leaf, "type", "TIMESTAMP_RANGE");
    if (buf_reserve(run->out, 64) != 0)
        return OUTCOME_FULL;
    (void)buf_append(run->out, op->tag, op->tag_len);
    program_put_timestamp(seconds, nanos, run->out);
    return program_take_oneof(run, op);
}
