#include "schema/program.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

enum {
    SCRATCH_BYTES = 256,
    ARRAY_HEADER_BYTES = 12,
    ARRAY_ELEMENTS_MAX = 65536, /* what the pre-scan of a receiver accepts */
};

/* What happened to one value. */
enum outcome { OUTCOME_DONE, OUTCOME_REJECTED, OUTCOME_MALFORMED, OUTCOME_FULL };

struct run {
    struct program *program;
    const struct db_rows *rows;
    int row;
    struct buf *out;
    struct schema_row_report *report;
};

static enum outcome run_op(struct run *run, const struct program_op *op);

/* --- building -----------------------------------------------------------------------------------
 */

static int compare_leaves(const void *a, const void *b)
{
    const struct mapping_leaf *left = *(const struct mapping_leaf *const *)a;
    const struct mapping_leaf *right = *(const struct mapping_leaf *const *)b;
    for (size_t i = 0; i < left->depth && i < right->depth; i++)
        if (left->path[i]->number != right->path[i]->number)
            return left->path[i]->number < right->path[i]->number ? -1 : 1;
    return 0;
}

/* Two leaves meet in the same message down to this depth. */
static size_t shared_depth(const struct mapping_leaf *a, const struct mapping_leaf *b)
{
    size_t depth = 0;
    while (a != NULL && b != NULL && depth + 1 < a->depth && depth + 1 < b->depth &&
           a->path[depth] == b->path[depth])
        depth++;
    return depth;
}

/* Index of the oneof that path[depth] is a member of, unique in the program, or -1. */
static int32_t oneof_of(struct program *program, const struct mapping_leaf **leaves, size_t at,
                        size_t depth, const int32_t *known)
{
    const struct schema_field *field = leaves[at]->path[depth];
    if (field->oneof < 0)
        return -1;
    for (size_t i = 0; i < at; i++) {
        if (leaves[i]->depth <= depth || leaves[i]->path[depth]->oneof != field->oneof)
            continue;
        size_t same = 0;
        while (same < depth && leaves[i]->path[same] == leaves[at]->path[same])
            same++;
        if (same == depth && known[i * MAPPING_DEPTH_MAX + depth] >= 0)
            return known[i * MAPPING_DEPTH_MAX + depth];
    }
    return (int32_t)program->oneof_count++;
}

static void constant_op(struct program_op *op, const struct mapping_leaf *leaf, struct arena *arena)
{
    struct buf bytes;
    buf_init(&bytes, PLAN_RECORD_BYTES_MAX);
    (void)buf_append(&bytes, op->tag, op->tag_len);
    const char *code = program_encode_text(leaf->field, (const uint8_t *)leaf->constant,
                                           strlen(leaf->constant), &bytes);
    assert(code == NULL); /* the mapping loader has tried it */
    bool dropped =
        program_encoded_default(leaf->field, bytes.data + op->tag_len, bytes.len - op->tag_len);
    op->kind = OP_CONSTANT;
    op->bytes_len = dropped ? 0 : bytes.len;
    op->bytes = arena_dup(arena, bytes.data, op->bytes_len);
    buf_fini(&bytes);
}

static const int *part_columns(const struct mapping_leaf *leaf, const int *result_column,
                               struct arena *arena)
{
    int *columns = arena_array(arena, leaf->part_count + 1, sizeof *columns);
    for (size_t i = 0; i < leaf->part_count; i++)
        columns[i] = result_column[leaf->parts[i].column];
    return columns;
}

static void leaf_op(struct program *program, struct program_op *op, const struct mapping_leaf *leaf,
                    const int *result_column, struct arena *arena)
{
    op->leaf = leaf;
    op->tag_len = (uint8_t)program_tag(leaf->field, op->tag);
    if (leaf->part_count == 0) {
        constant_op(op, leaf, arena);
        return;
    }
    enum column_type type = program->mapping->columns[leaf->parts[0].column].type;
    bool plain = leaf->part_count == 1 && leaf->parts[0].kind == PART_WHOLE &&
                 leaf->step_count == 0 && leaf->null_count == 0 && leaf->fallback == NULL &&
                 leaf->field->type == SCHEMA_STRING && type == COLUMN_TEXT;
    op->kind = plain ? OP_TEXT : OP_LEAF;
    op->columns = part_columns(leaf, result_column, arena);
    op->column = op->columns[0];
}

static void open_or_close(struct program *program, enum program_op_kind kind,
                          const struct mapping_leaf *leaf, size_t depth, int32_t oneof)
{
    struct program_op *op = &program->ops[program->op_count++];
    op->kind = kind;
    op->leaf = leaf;
    op->oneof = oneof;
    op->tag_len = (uint8_t)program_tag(leaf->path[depth], op->tag);
}

static void build_ops(struct program *program, const struct mapping_leaf **leaves, size_t count,
                      const int *result_column, struct arena *arena)
{
    int32_t *oneofs = arena_array(arena, (count + 1) * MAPPING_DEPTH_MAX, sizeof *oneofs);
    program->ops =
        arena_array(arena, (count + 1) * (2 * MAPPING_DEPTH_MAX + 1), sizeof *program->ops);
    for (size_t i = 0; i < count; i++) {
        const struct mapping_leaf *leaf = leaves[i], *before = i > 0 ? leaves[i - 1] : NULL;
        for (size_t d = 0; d < leaf->depth; d++)
            oneofs[i * MAPPING_DEPTH_MAX + d] = oneof_of(program, leaves, i, d, oneofs);
        size_t shared = shared_depth(before, leaf);
        for (size_t d = before == NULL ? 0 : before->depth - 1; d > shared; d--)
            open_or_close(program, OP_CLOSE, before, d - 1,
                          oneofs[(i - 1) * MAPPING_DEPTH_MAX + d - 1]);
        for (size_t d = shared; d + 1 < leaf->depth; d++)
            open_or_close(program, OP_OPEN, leaf, d, -1);
        struct program_op *op = &program->ops[program->op_count++];
        op->oneof = oneofs[i * MAPPING_DEPTH_MAX + leaf->depth - 1];
        leaf_op(program, op, leaf, result_column, arena);
    }
    for (size_t d = count == 0 ? 0 : leaves[count - 1]->depth - 1; d > 0; d--)
        open_or_close(program, OP_CLOSE, leaves[count - 1], d - 1,
                      oneofs[(count - 1) * MAPPING_DEPTH_MAX + d - 1]);
    program->oneof_taken = arena_array(arena, program->oneof_count + 1, sizeof(bool));
}

void program_init(struct program *program, const struct schema_mapping *mapping,
                  const uint8_t *wanted, const int *result_column, struct arena *arena)
{
    *program = (struct program){ .mapping = mapping, .result_column = result_column };
    const struct mapping_leaf **leaves =
        arena_array(arena, mapping->leaf_count + 1, sizeof *leaves);
    size_t count = 0;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (plan_bit(wanted, mapping->leaves[i].path[0]->position))
            leaves[count++] = &mapping->leaves[i];
    qsort(leaves, count, sizeof *leaves, compare_leaves);
    build_ops(program, leaves, count, result_column, arena);

    size_t keys = mapping->dataset.key_count;
    const int **key_columns = arena_array(arena, keys + 1, sizeof *key_columns);
    for (size_t i = 0; i < keys; i++)
        key_columns[i] = part_columns(mapping->key[i], result_column, arena);
    program->key_columns = key_columns;
    buf_init(&program->value, NORMALISER_VALUE_BYTES_MAX);
    buf_init(&program->joined, PLAN_RECORD_BYTES_MAX);
    /* An empty value still has an address: nothing below asks whether there is memory. */
    (void)buf_reserve(&program->value, SCRATCH_BYTES);
    (void)buf_reserve(&program->joined, SCRATCH_BYTES);
}

void program_fini(struct program *program)
{
    buf_fini(&program->value);
    buf_fini(&program->joined);
}

/* --- values -------------------------------------------------------------------------------------
 */

static enum outcome reject(struct run *run, const struct mapping_leaf *leaf, const char *rule,
                           const char *code)
{
    run->report->state = ROW_QUARANTINED;
    run->report->field = leaf == NULL ? NULL : leaf->path[0];
    run->report->rule = rule;
    run->report->code = code;
    return OUTCOME_REJECTED;
}

static void warn(struct run *run, const struct mapping_leaf *leaf, const char *code)
{
    size_t room = sizeof run->report->warnings / sizeof run->report->warnings[0];
    if (run->report->warning_count < room)
        run->report->warnings[run->report->warning_count] =
            (struct schema_warning){ .field = leaf->path[0], .code = code };
    run->report->warning_count++;
}

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
    struct db_value value = db_value(run->rows, run->row, column);
    size_t before = program->value.len;
    enum value_state state = program_value_text(program->mapping->columns[part->column].type, value,
                                                &program->value, code_r);
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

static bool is_null_value(const struct mapping_leaf *leaf, const struct buf *value)
{
    if (leaf->null_count == 0)
        return false;
    size_t start = 0, end = value->len;
    while (start < end) {
        uint32_t cp = 0;
        size_t step = utf8_decode(value->data + start, end - start, &cp);
        if (step == 0 || !normaliser_blank(cp))
            break;
        start += step;
    }
    while (end > start) {
        size_t last = end - 1;
        uint32_t cp = 0;
        while (last > start && (value->data[last] & 0xC0) == 0x80)
            last--;
        if (utf8_decode(value->data + last, end - last, &cp) == 0 || !normaliser_blank(cp))
            break;
        end = last;
    }
    size_t len = end - start;
    for (size_t i = 0; i < leaf->null_count; i++)
        if (strlen(leaf->nulls[i]) == len &&
            (len == 0 || memcmp(leaf->nulls[i], value->data + start, len) == 0))
            return true;
    return false;
}

/* Delivered text of a leaf, parts joined, into program->value. */
static enum value_state leaf_text(struct run *run, const struct mapping_leaf *leaf,
                                  const int *columns, const char **code_r)
{
    struct program *program = run->program;
    size_t nulls = 0;
    buf_reset(&program->value);
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
    if (nulls == leaf->part_count)
        return VALUE_NULL;
    if (nulls > 0) {
        *code_r = "PART_NULL";
        return VALUE_REJECTED;
    }
    return is_null_value(leaf, &program->value) ? VALUE_NULL : VALUE_TEXT;
}

/* Runs the chain over program->value. */
static enum outcome run_steps(struct run *run, const struct mapping_leaf *leaf)
{
    struct program *program = run->program;
    for (size_t i = 0; i < leaf->step_count; i++) {
        const struct normaliser_step *step = &leaf->steps[i];
        struct normaliser_result result = normaliser_run(step, &program->value);
        if (result.verdict == NORMALISER_ERROR)
            return reject(run, leaf, step->kind->base.name, result.code);
        if (result.verdict == NORMALISER_WARN)
            warn(run, leaf, result.code);
    }
    return OUTCOME_DONE;
}

/* --- encoding -----------------------------------------------------------------------------------
 */

static enum outcome take_oneof(struct run *run, const struct program_op *op)
{
    if (op->oneof < 0)
        return OUTCOME_DONE;
    if (run->program->oneof_taken[op->oneof])
        return reject(run, op->leaf, "oneof", "ONEOF_CONFLICT");
    run->program->oneof_taken[op->oneof] = true;
    return OUTCOME_DONE;
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
        return reject(run, op->leaf, "type", code);
    if (program_encoded_default(op->leaf->field, out->data + before + op->tag_len,
                                out->len - before - op->tag_len)) {
        out->len = before;
        return OUTCOME_DONE;
    }
    return take_oneof(run, op);
}

static enum outcome absent(struct run *run, const struct program_op *op)
{
    const struct mapping_leaf *leaf = op->leaf;
    if (leaf->required)
        return reject(run, leaf, "required", "REQUIRED_MISSING");
    if (leaf->fallback == NULL)
        return OUTCOME_DONE;
    return encode(run, op, (const uint8_t *)leaf->fallback, strlen(leaf->fallback));
}

/* Numbers and instants that need no text on the way. */
static bool direct(struct run *run, const struct program_op *op, struct db_value value,
                   enum outcome *outcome_r)
{
    const struct mapping_leaf *leaf = op->leaf;
    enum column_type type = run->program->mapping->columns[leaf->parts[0].column].type;
    bool instant = leaf->field->type == SCHEMA_MESSAGE && !leaf->field->map &&
                   (type == COLUMN_TIMESTAMPTZ || type == COLUMN_TIMESTAMP);
    if (!instant || leaf->part_count != 1 || leaf->step_count > 0 || leaf->null_count > 0 ||
        value.data == NULL || value.len != 8)
        return false;
    int64_t seconds = 0;
    int32_t nanos = 0;
    const char *code = NULL;
    *outcome_r = OUTCOME_FULL;
    if (!program_value_timestamp(value, &seconds, &nanos, &code)) {
        *outcome_r = reject(run, leaf, "type", code);
    } else if (buf_reserve(run->out, 64) == 0) {
        (void)buf_append(run->out, op->tag, op->tag_len);
        program_put_timestamp(seconds - leaf->utc_offset_s, nanos, run->out);
        *outcome_r = take_oneof(run, op);
    }
    return true;
}

static uint32_t read32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static enum outcome encode_element(struct run *run, const struct program_op *op, struct slice text,
                                   struct buf *packed)
{
    struct program *program = run->program;
    const char *code = NULL;
    buf_reset(&program->value);
    enum value_state state = program_value_text(
        COLUMN_TEXT, (struct db_value){ text.data, (uint32_t)text.len }, &program->value, &code);
    if (state != VALUE_TEXT)
        return reject(run, op->leaf, "type", code);
    enum outcome outcome = run_steps(run, op->leaf);
    if (outcome != OUTCOME_DONE)
        return outcome;
    struct buf *out = op->leaf->field->packed ? packed : run->out;
    if (buf_reserve(out, program->value.len + 32) != 0)
        return OUTCOME_FULL;
    if (!op->leaf->field->packed)
        (void)buf_append(out, op->tag, op->tag_len);
    code = program_encode_text(op->leaf->field, program->value.data, program->value.len, out);
    return code == NULL ? OUTCOME_DONE : reject(run, op->leaf, "type", code);
}

/* array_send: dimensions, has-null flag, element type, then length and lower bound per dimension.
 */
static enum outcome run_array(struct run *run, const struct program_op *op, struct db_value value)
{
    struct buf *packed = &run->program->joined;
    if (value.data == NULL)
        return absent(run, op);
    if (value.len < ARRAY_HEADER_BYTES)
        return OUTCOME_MALFORMED;
    uint32_t dimensions = read32(value.data);
    if (dimensions == 0)
        return OUTCOME_DONE;
    if (dimensions > 1)
        return reject(run, op->leaf, "array", "ARRAY_DIMENSIONS");
    if (value.len < ARRAY_HEADER_BYTES + 8)
        return OUTCOME_MALFORMED;
    uint32_t count = read32(value.data + ARRAY_HEADER_BYTES);
    if (count > ARRAY_ELEMENTS_MAX)
        return reject(run, op->leaf, "array", "ARRAY_TOO_LONG");
    size_t at = ARRAY_HEADER_BYTES + 8;
    buf_reset(packed);
    for (uint32_t i = 0; i < count; i++) {
        if (value.len - at < 4)
            return OUTCOME_MALFORMED;
        uint32_t len = read32(value.data + at);
        at += 4;
        if (len == UINT32_MAX)
            return reject(run, op->leaf, "array", "ARRAY_NULL_ELEMENT");
        if (len > value.len - at)
            return OUTCOME_MALFORMED;
        enum outcome outcome = encode_element(run, op, slice_of(value.data + at, len), packed);
        if (outcome != OUTCOME_DONE)
            return outcome;
        at += len;
    }
    if (packed->len == 0)
        return OUTCOME_DONE;
    if (buf_reserve(run->out, packed->len + 32) != 0)
        return OUTCOME_FULL;
    (void)buf_append(run->out, op->tag, op->tag_len);
    (void)buf_append_varint(run->out, packed->len);
    (void)buf_append(run->out, packed->data, packed->len);
    return OUTCOME_DONE;
}

static enum outcome run_map(struct run *run, const struct program_op *op)
{
    struct program *program = run->program;
    /* An entry's tags and lengths take at most four times what its JSON takes. */
    if (buf_reserve(run->out, 4 * program->value.len + 64) != 0)
        return OUTCOME_FULL;
    const char *code = program_encode_map(op->leaf->field, program->value.data, program->value.len,
                                          run->out, &program->joined);
    return code == NULL ? OUTCOME_DONE : reject(run, op->leaf, "type", code);
}

static enum outcome run_leaf(struct run *run, const struct program_op *op)
{
    const struct mapping_leaf *leaf = op->leaf;
    struct program *program = run->program;
    const char *code = NULL;
    enum outcome outcome;
    struct db_value first = db_value(run->rows, run->row, op->column);
    if (leaf->field->repeated && !leaf->field->map)
        return run_array(run, op, first);
    if (direct(run, op, first, &outcome))
        return outcome;
    switch (leaf_text(run, leaf, op->columns, &code)) {
    case VALUE_NULL:
        return absent(run, op);
    case VALUE_MALFORMED:
        return OUTCOME_MALFORMED;
    case VALUE_REJECTED:
        return reject(run, leaf, strncmp(code, "PART_", 5) == 0 ? "from" : "type", code);
    case VALUE_TEXT:
        break;
    }
    if (leaf->field->map)
        return run_map(run, op);
    outcome = run_steps(run, leaf);
    if (outcome != OUTCOME_DONE)
        return outcome;
    return encode(run, op, program->value.data, program->value.len);
}

/* The fast path: one copy, and the check that it is text. */
static enum outcome run_text(struct run *run, const struct program_op *op)
{
    struct db_value value = db_value(run->rows, run->row, op->column);
    struct buf *out = run->out;
    if (value.data == NULL)
        return absent(run, op);
    if (!utf8_valid(value.data, value.len))
        return reject(run, op->leaf, "type", "NOT_UTF8");
    if (value.len == 0 && !op->leaf->field->has_presence)
        return OUTCOME_DONE;
    if (value.len > PLAN_RECORD_BYTES_MAX)
        return reject(run, op->leaf, "record", "RECORD_TOO_LARGE");
    if (buf_reserve(out, value.len + 16) != 0)
        return OUTCOME_FULL;
    uint8_t *at = out->data + out->len;
    memcpy(at, op->tag, op->tag_len);
    at += op->tag_len;
    at += varint_put(at, value.len);
    memcpy(at, value.data, value.len);
    out->len = (size_t)(at - out->data) + value.len;
    return op->oneof < 0 ? OUTCOME_DONE : take_oneof(run, op);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static enum outcome run_op(struct run *run, const struct program_op *op)
{
    if (op->kind == OP_TEXT)
        return run_text(run, op);
    if (op->kind == OP_LEAF)
        return run_leaf(run, op);
    /* OP_CONSTANT */
    if (op->bytes_len == 0)
        return OUTCOME_DONE;
    if (buf_append(run->out, op->bytes, op->bytes_len) != 0)
        return OUTCOME_FULL;
    return take_oneof(run, op);
}

/* Puts tag and length in front of a finished nested message, or nothing around an empty one. */
static enum outcome close_message(struct run *run, const struct program_op *op, size_t start)
{
    struct buf *out = run->out;
    size_t len = out->len - start;
    if (len == 0)
        return OUTCOME_DONE;
    size_t head = op->tag_len + varint_size(len);
    if (buf_reserve(out, head) != 0)
        return OUTCOME_FULL;
    memmove(out->data + start + head, out->data + start, len);
    memcpy(out->data + start, op->tag, op->tag_len);
    (void)varint_put(out->data + start + op->tag_len, len);
    out->len += head;
    return take_oneof(run, op);
}

static enum outcome run_ops(struct run *run)
{
    struct program *program = run->program;
    size_t starts[MAPPING_DEPTH_MAX], depth = 0;
    enum outcome outcome = OUTCOME_DONE;
    if (program->oneof_count > 0)
        memset(program->oneof_taken, 0, program->oneof_count * sizeof(bool));
    for (size_t i = 0; i < program->op_count && outcome == OUTCOME_DONE; i++) {
        const struct program_op *op = &program->ops[i];
        if (op->kind == OP_OPEN)
            starts[depth++] = run->out->len;
        else if (op->kind == OP_CLOSE)
            /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the compiler pairs OPEN and CLOSE */
            outcome = close_message(run, op, starts[--depth]);
        else
            outcome = run_op(run, op);
    }
    return outcome;
}

static int malformed(struct err *err)
{
    return err_set(err, ERR_DATA_LOSS, "SOURCE_MALFORMED",
                   "The owner's database answered in a form the gateway does not understand; the "
                   "owner must check the mapping.");
}

int program_run(struct program *program, const struct db_rows *rows, int row, struct buf *out,
                struct schema_row_report *report_r, struct err *err)
{
    size_t before = out->len;
    struct run run = {
        .program = program, .rows = rows, .row = row, .out = out, .report = report_r
    };
    report_r->state = ROW_DELIVERED;
    report_r->field = NULL;
    report_r->rule = "";
    report_r->code = "";
    report_r->warning_count = 0;
    enum outcome outcome = run_ops(&run);
    if (outcome == OUTCOME_DONE && out->len - before > PLAN_RECORD_BYTES_MAX)
        outcome = reject(&run, NULL, "record", "RECORD_TOO_LARGE");
    if (outcome == OUTCOME_DONE)
        return 0;
    out->len = before;
    if (outcome == OUTCOME_REJECTED)
        return 0;
    if (outcome == OUTCOME_MALFORMED)
        return malformed(err);
    return err_set(err, ERR_RESOURCE_EXHAUSTED, "OUTPUT_FULL",
                   "The answer is larger than one message may be; ask for fewer records.");
}

/* Several key fields are joined with '/', where '~' is ~0 and '/' is ~1 (as RFC 6901 escapes). */
static bool add_key_text(const struct buf *value, bool escape, char *key, size_t *len)
{
    for (size_t i = 0; i < value->len; i++) {
        uint8_t c = value->data[i];
        if (c < 0x20 || c == 0x7f || *len + 3 > PLAN_KEY_TEXT_BYTES_MAX)
            return false;
        if (escape && (c == '~' || c == '/')) {
            key[(*len)++] = '~';
            c = c == '~' ? '0' : '1';
        }
        key[(*len)++] = (char)c;
    }
    return true;
}

bool program_key(struct program *program, const struct db_rows *rows, int row,
                 char key_r[PLAN_KEY_TEXT_BYTES_MAX])
{
    struct schema_row_report report = { .state = ROW_DELIVERED };
    struct run run = { .program = program, .rows = rows, .row = row, .report = &report };
    size_t len = 0, count = program->mapping->dataset.key_count;
    const char *code = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct mapping_leaf *leaf = program->mapping->key[i];
        if (len + 2 > PLAN_KEY_TEXT_BYTES_MAX)
            return false;
        if (i > 0)
            key_r[len++] = '/';
        if (leaf_text(&run, leaf, program->key_columns[i], &code) != VALUE_TEXT ||
            run_steps(&run, leaf) != OUTCOME_DONE ||
            !add_key_text(&program->value, count > 1, key_r, &len))
            return false;
    }
    key_r[len] = '\0';
    return len > 0;
}
