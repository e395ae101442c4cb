/* A program is built once for a plan: leaves in field order, nested messages opened and closed around
 * them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/program.h"

enum {
    SCRATCH_BYTES = 256,
    OID_RECORD_ARRAY = 2287, /* pg_type.dat */
};

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

static bool whole_column(const struct mapping_leaf *leaf)
{
    return leaf->part_count == 1 && leaf->parts[0].kind == PART_WHOLE;
}

static bool may_be_settled(const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->settled == NULL)
            return false;
    return leaf->step_count > 0;
}

static bool is_integer(const struct schema_field *field)
{
    switch (field->type) {
    case SCHEMA_INT64:
    case SCHEMA_INT32:
    case SCHEMA_UINT64:
    case SCHEMA_UINT32:
    case SCHEMA_SINT64:
    case SCHEMA_SINT32:
    case SCHEMA_FIXED64:
    case SCHEMA_FIXED32:
    case SCHEMA_SFIXED64:
    case SCHEMA_SFIXED32:
        return true;
    case SCHEMA_DOUBLE:
    case SCHEMA_FLOAT:
    case SCHEMA_BOOL:
    case SCHEMA_STRING:
    case SCHEMA_MESSAGE:
    case SCHEMA_BYTES:
    case SCHEMA_ENUM:
        break;
    }
    return false;
}

static enum program_op_kind leaf_kind(const struct program *program,
                                      const struct mapping_leaf *leaf)
{
    const struct schema_field *field = leaf->field;
    if (leaf->child != NULL)
        return OP_CHILD;
    if (leaf->constant != NULL)
        return OP_CONSTANT;
    if (leaf->taken != NULL)
        return OP_TAKEN;
    enum column_type type = program->columns[leaf->parts[0].column].type;
    if (type == COLUMN_ARRAY)
        return OP_ARRAY;
    if (!whole_column(leaf) || field->map || field->repeated)
        return OP_LEAF;
    bool text = type == COLUMN_TEXT || type == COLUMN_CHAR || type == COLUMN_ENUM;
    if (field->type == SCHEMA_STRING && text && (leaf->step_count > 0 || leaf->null_count > 0))
        return OP_CHAIN;
    if (leaf->step_count > 0)
        return OP_LEAF;
    if (field->type == SCHEMA_MESSAGE && (type == COLUMN_TIMESTAMP || type == COLUMN_TIMESTAMPTZ))
        return OP_INSTANT;
    if (leaf->null_count > 0)
        return OP_LEAF;
    if (field->type == SCHEMA_STRING && type == COLUMN_TEXT)
        return OP_TEXT;
    return column_is_integer(type) && is_integer(field) ? OP_INTEGER : OP_LEAF;
}

static void build(struct program *program, const struct mapping_leaf **leaves, size_t count,
                  struct arena *arena);

/* A child's row is a record of all its columns, in their order. */
static struct program *child_program(const struct program *parent, const struct mapping_leaf *leaf,
                                     struct arena *arena)
{
    const struct mapping_child *child = leaf->child;
    struct program *program = arena_alloc(arena, sizeof *program);
    int *columns = arena_array(arena, child->column_count + 1, sizeof *columns);
    const struct mapping_leaf **leaves = arena_array(arena, child->leaf_count + 1, sizeof *leaves);
    for (size_t i = 0; i < child->column_count; i++)
        columns[i] = (int)i;
    for (size_t i = 0; i < child->leaf_count; i++)
        leaves[i] = &child->leaves[i];
    *program = (struct program){
        .mapping = parent->mapping,
        .columns = child->columns,
        .column_count = child->column_count,
        .result = { .column = columns, .rank = -1 },
        .cells = arena_array(arena, child->column_count + 1, sizeof(struct db_value)),
    };
    build(program, leaves, child->leaf_count, arena);
    return program;
}

static void leaf_op(struct program *program, struct program_op *op, const struct mapping_leaf *leaf,
                    struct arena *arena)
{
    op->leaf = leaf;
    op->tag_len = (uint8_t)program_tag(leaf->field, op->tag);
    op->kind = leaf_kind(program, leaf);
    op->columns = part_columns(leaf, program->result.column, arena);
    op->column = op->columns[0];
    op->checked_text = op->kind == OP_LEAF && leaf->field->type == SCHEMA_STRING;
    for (size_t i = 0; i < leaf->part_count; i++)
        if (program->columns[leaf->parts[i].column].type == COLUMN_BYTEA)
            op->checked_text = false;
    op->padded =
        op->kind == OP_CHAIN && program->columns[leaf->parts[0].column].type == COLUMN_CHAR;
    op->may_be_settled = op->kind == OP_CHAIN && may_be_settled(leaf);
    if (op->kind == OP_CONSTANT)
        constant_op(op, leaf, arena);
    if (op->kind == OP_TAKEN)
        op->taken_columns = part_columns(leaf->taken, program->result.column, arena);
    if (op->kind == OP_CHILD) {
        op->column = program->result.child[leaf - program->mapping->leaves];
        op->child = child_program(program, leaf, arena);
    }
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
                      struct arena *arena)
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
        leaf_op(program, op, leaf, arena);
    }
    for (size_t d = count == 0 ? 0 : leaves[count - 1]->depth - 1; d > 0; d--)
        open_or_close(program, OP_CLOSE, leaves[count - 1], d - 1,
                      oneofs[(count - 1) * MAPPING_DEPTH_MAX + d - 1]);
    program->oneof_taken = arena_array(arena, program->oneof_count + 1, sizeof(bool));
}

static void build(struct program *program, const struct mapping_leaf **leaves, size_t count,
                  struct arena *arena)
{
    qsort(leaves, count, sizeof *leaves, compare_leaves);
    build_ops(program, leaves, count, arena);
    buf_init(&program->value, NORMALISER_VALUE_BYTES_MAX);
    buf_init(&program->joined, PLAN_RECORD_BYTES_MAX);
    buf_init(&program->judged, PLAN_RECORD_BYTES_MAX);
    /* An empty value still has an address: nothing that runs asks whether there is memory. */
    (void)buf_reserve(&program->value, SCRATCH_BYTES);
    (void)buf_reserve(&program->joined, SCRATCH_BYTES);
}

void program_init(struct program *program, const struct schema_mapping *mapping,
                  const uint8_t *wanted, const struct program_columns *result, struct arena *arena)
{
    *program = (struct program){ .mapping = mapping,
                                 .columns = mapping->columns,
                                 .column_count = mapping->column_count,
                                 .result = *result };
    const struct mapping_leaf **leaves =
        arena_array(arena, mapping->leaf_count + 1, sizeof *leaves);
    size_t count = 0;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (plan_bit(wanted, mapping->leaves[i].path[0]->position))
            leaves[count++] = &mapping->leaves[i];
    build(program, leaves, count, arena);

    size_t keys = mapping->dataset.key_count;
    const int **key_columns = arena_array(arena, keys + 1, sizeof *key_columns);
    for (size_t i = 0; i < keys; i++)
        key_columns[i] = part_columns(mapping->key[i], result->column, arena);
    program->key_columns = key_columns;
}

void program_fini(struct program *program)
{
    for (size_t i = 0; i < program->op_count; i++)
        if (program->ops[i].child != NULL)
            program_fini(program->ops[i].child);
    buf_fini(&program->value);
    buf_fini(&program->joined);
    buf_fini(&program->judged);
}

const struct mapping_column *program_check_types(const struct program *program,
                                                 const struct db_rows *rows)
{
    for (size_t i = 0; i < program->column_count; i++) {
        int column = program->result.column[i];
        uint32_t oid = column < 0 ? 0 : db_column_type(rows, column);
        if (oid != 0 && !column_accepts(&program->columns[i], oid))
            return &program->columns[i];
    }
    for (size_t i = 0; i < program->op_count; i++)
        if (program->ops[i].kind == OP_CHILD) {
            uint32_t oid = db_column_type(rows, program->ops[i].column);
            if (oid != 0 && oid != OID_RECORD_ARRAY)
                return &program->ops[i].child->columns[0];
        }
    return NULL;
}
