/* Finds the way back of a mapping: which field writes which column, or why there is none. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "schema/writer_internal.h"

/* --- leaves -------------------------------------------------------------------------------------
 */

static int compare_paths(const void *a, const void *b)
{
    const struct writer_leaf *x = a, *y = b;
    for (size_t i = 0; i < x->leaf->depth && i < y->leaf->depth; i++)
        if (x->leaf->path[i]->number != y->leaf->path[i]->number)
            return x->leaf->path[i]->number < y->leaf->path[i]->number ? -1 : 1;
    return 0;
}

static bool is_key(const struct schema_writer *writer, const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < writer->dataset->key_count; i++)
        if (leaf->depth == 1 && leaf->field == writer->dataset->key[i])
            return true;
    return false;
}

static int one_way(const struct schema_writer *writer, struct err *err, const char *name,
                   const char *what)
{
    return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                   "%s cannot be written: \"%s\" %s.", writer->dataset->name, name, what);
}

static void collect_leaves(struct schema_writer *writer, const uint8_t *fields)
{
    const struct schema_mapping *mapping = writer->dataset->mapping;
    const struct mapping_write *write = writer->write;
    size_t most = mapping->leaf_count + (write != NULL ? write->field_count : 0);
    writer->leaves = arena_array(&writer->arena, most + 1, sizeof *writer->leaves);
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping_write_field(write, mapping->leaves[i].name) == NULL ||
            mapping_write_field(write, mapping->leaves[i].name)->kind == WRITE_CHECK)
            writer->leaves[writer->leaf_count++].leaf = &mapping->leaves[i];
    for (size_t i = 0; write != NULL && i < write->field_count; i++)
        if (write->fields[i].kind == WRITE_INSTEAD)
            writer->leaves[writer->leaf_count++].leaf = &write->fields[i].leaf;
    size_t kept = 0;
    for (size_t i = 0; i < writer->leaf_count; i++)
        if (fields == NULL || plan_bit(fields, writer->leaves[i].leaf->path[0]->position))
            writer->leaves[kept++] = writer->leaves[i];
    writer->leaf_count = kept;
    qsort(writer->leaves, kept, sizeof *writer->leaves, compare_paths);
}

static int check_leaves(const struct schema_writer *writer, struct err *err)
{
    for (size_t i = 0; i < writer->leaf_count; i++) {
        const struct mapping_leaf *leaf = writer->leaves[i].leaf;
        bool messages =
            leaf->field->type == SCHEMA_MESSAGE && leaf->field->repeated && !leaf->field->map;
        if (messages || leaf->child != NULL)
            return one_way(writer, err, leaf->name,
                           "is a list of rows, and child tables are not written yet; leave "
                           "it out with write: {fields: {<field>: {skip: true}}}");
    }
    for (size_t i = 0; i < writer->dataset->key_count; i++) {
        size_t j = 0;
        while (j < writer->leaf_count && writer->leaves[j].leaf->path[0] != writer->dataset->key[i])
            j++;
        if (j == writer->leaf_count)
            return one_way(writer, err, writer->dataset->key[i]->name,
                           "is part of the key and must be among the fields that are written");
    }
    return 0;
}

bool writer_chain_is_identity(const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (normaliser_loss(&leaf->steps[i]) != LOSS_NONE)
            return false;
    return true;
}

static const struct normaliser_step *one_way_step(const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (normaliser_loss(&leaf->steps[i]) == LOSS_ONE_WAY)
            return &leaf->steps[i];
    return NULL;
}

/* --- columns ------------------------------------------------------------------------------------
 */

/* A native text falls into the parts of this leaf in one way only. */
static bool splits(const struct mapping_leaf *leaf)
{
    if (leaf->part_count == 1)
        return true;
    for (size_t i = 0; i < leaf->part_count; i++) {
        bool last = i + 1 == leaf->part_count;
        enum part_kind kind = leaf->parts[i].kind;
        if (kind != PART_FIXED && (kind != PART_WHOLE || (!last && leaf->separator == NULL)))
            return false;
    }
    return true;
}

enum rank {
    RANK_EXACT, /* the column's text, letter for letter */
    RANK_CHAIN, /* the column's text behind a chain */
    RANK_PART,  /* together with other columns */
    RANK_PIECE, /* some of it */
    RANK_NONE,
};

static enum rank rank_of(const struct schema_writer *writer, const struct mapping_leaf *leaf,
                         size_t part)
{
    const struct mapping_write_field *said = mapping_write_field(writer->write, leaf->name);
    if (said != NULL && said->kind == WRITE_CHECK)
        return RANK_NONE;
    enum part_kind kind = leaf->parts[part].kind;
    if (kind == PART_SUBSTR || kind == PART_SPLIT)
        return leaf->part_count == 1 ? RANK_PIECE : RANK_NONE;
    if (leaf->part_count > 1)
        return splits(leaf) ? RANK_PART : RANK_NONE;
    return writer_chain_is_identity(leaf) ? RANK_EXACT : RANK_CHAIN;
}

static bool same_chain(const struct mapping_leaf *a, const struct mapping_leaf *b)
{
    if (a->step_count != b->step_count)
        return false;
    for (size_t i = 0; i < a->step_count; i++)
        if (a->steps[i].kind != b->steps[i].kind || a->steps[i].config != b->steps[i].config)
            return false;
    return true;
}

/* The field that knows most of the column's text writes it; the key goes first among equals, and
 * all others are compared with what it wrote. */
static int choose_source(struct schema_writer *writer, struct writer_column *column,
                         struct err *err)
{
    enum rank best = RANK_NONE;
    const struct mapping_leaf *chosen = NULL;
    for (size_t i = 0; i < writer->leaf_count; i++) {
        const struct mapping_leaf *leaf = writer->leaves[i].leaf;
        for (size_t j = 0; j < leaf->part_count; j++) {
            if (leaf->parts[j].column != column->index)
                continue;
            enum rank rank = rank_of(writer, leaf, j);
            if (rank == RANK_NONE)
                continue;
            if (rank == best && rank == RANK_CHAIN && !same_chain(leaf, chosen))
                return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                               "%s cannot be written: \"%s\" and \"%s\" both write column \"%s\", "
                               "each in its own way; say which one only compares, with write: "
                               "{fields: {<field>: {check: true}}}.",
                               writer->dataset->name, chosen->name, leaf->name,
                               column->column->name);
            if (rank > best || (rank == best && (!is_key(writer, leaf) || is_key(writer, chosen))))
                continue;
            best = rank;
            chosen = leaf;
            column->leaf = i;
            column->part = j;
        }
    }
    column->source = best == RANK_PIECE ? SOURCE_PIECES : SOURCE_PART;
    if (best != RANK_NONE)
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                   "%s cannot be written: no field says what column \"%s\" holds as a whole; map "
                   "it, or leave out the fields that read it with write: {fields: {<field>: "
                   "{skip: true}}}.",
                   writer->dataset->name, column->column->name);
}

static int compare_starts(const void *a, const void *b, void *leaves)
{
    const struct writer_leaf *all = leaves;
    const struct mapping_part *x = &all[*(const size_t *)a].leaf->parts[0];
    const struct mapping_part *y = &all[*(const size_t *)b].leaf->parts[0];
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Pieces make a column when they follow each other without a gap. */
static int collect_pieces(struct schema_writer *writer, struct writer_column *column,
                          struct err *err)
{
    const struct mapping_part *first = NULL;
    uint32_t next = 0;
    bool tiled = true;
    column->pieces = arena_array(&writer->arena, writer->leaf_count, sizeof *column->pieces);
    for (size_t i = 0; i < writer->leaf_count; i++) {
        const struct mapping_leaf *leaf = writer->leaves[i].leaf;
        if (leaf->part_count == 1 && leaf->parts[0].column == column->index &&
            rank_of(writer, leaf, 0) == RANK_PIECE)
            column->pieces[column->piece_count++] = i;
    }
    qsort_r(column->pieces, column->piece_count, sizeof *column->pieces, compare_starts,
            writer->leaves);
    for (size_t i = 0; i < column->piece_count; i++) {
        const struct mapping_part *part = &writer->leaves[column->pieces[i]].leaf->parts[0];
        first = first == NULL ? part : first;
        tiled = tiled && part->kind == first->kind && part->start == next &&
                (part->kind == PART_SUBSTR || strcmp(part->rest, first->rest) == 0);
        next = part->start + (part->kind == PART_SUBSTR ? part->length : 1);
    }
    column->separator = first != NULL && first->kind == PART_SPLIT ? first->rest : "";
    if (tiled)
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                   "%s cannot be written: column \"%s\" is read in pieces that overlap or leave "
                   "gaps, so nothing says the whole of it; map the whole column, or leave its "
                   "fields out with write: {fields: {<field>: {skip: true}}}.",
                   writer->dataset->name, column->column->name);
}

static int add_column(struct schema_writer *writer, size_t index, const struct mapping_fill *fill,
                      struct err *err)
{
    struct writer_column *column = &writer->columns[writer->column_count];
    column->column = &writer->target.columns[index];
    column->index = index;
    column->limits = (struct writer_limits){ .modifier = WRITER_NO_MODIFIER };
    const char *type_name = column_full_type(column->column, &writer->arena);
    column->type = writer_type_find(type_name);
    column->fill = fill;
    column->source = SOURCE_FILL;
    if (column->type == NULL)
        return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                       "%s cannot be written: column \"%s\" is %s, and values of that type are "
                       "not written yet.",
                       writer->dataset->name, column->column->name, type_name);
    writer->column_count++;
    if (fill != NULL)
        return 0;
    if (choose_source(writer, column, err) != 0)
        return -1;
    return column->source == SOURCE_PIECES ? collect_pieces(writer, column, err) : 0;
}

static const struct mapping_fill *fill_of(const struct schema_writer *writer, size_t index)
{
    const struct mapping_write *write = writer->write;
    for (size_t i = 0; write != NULL && i < write->fill_count; i++)
        if (write->fills[i].column == index)
            return &write->fills[i];
    return NULL;
}

static bool is_read(const struct schema_writer *writer, size_t index)
{
    for (size_t i = 0; i < writer->leaf_count; i++)
        for (size_t j = 0; j < writer->leaves[i].leaf->part_count; j++)
            if (writer->leaves[i].leaf->parts[j].column == index)
                return true;
    return false;
}

/* Leaf by leaf, so that a tuple is written from front to back; pieces and fills behind them. */
static int compare_columns(const void *a, const void *b)
{
    const struct writer_column *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    if (x->source == SOURCE_PART && x->leaf != y->leaf)
        return x->leaf < y->leaf ? -1 : 1;
    if (x->source == SOURCE_PART && x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int collect_columns(struct schema_writer *writer, struct err *err)
{
    writer->columns =
        arena_array(&writer->arena, writer->target.column_count + 1, sizeof *writer->columns);
    for (size_t i = 0; i < writer->target.column_count; i++) {
        const struct mapping_fill *fill = fill_of(writer, i);
        bool read = is_read(writer, i);
        if (fill != NULL && read)
            return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                           "%s cannot be written: column \"%s\" is filled and also read by a "
                           "field; keep one of them.",
                           writer->dataset->name, writer->target.columns[i].name);
        if ((!read && fill == NULL) || (fill != NULL && fill->kind == FILL_DEFAULT))
            continue;
        if (add_column(writer, i, fill, err) != 0)
            return -1;
    }
    qsort(writer->columns, writer->column_count, sizeof *writer->columns, compare_columns);
    for (size_t i = 0; i < writer->column_count; i++) {
        const struct writer_column *column = &writer->columns[i];
        if (column->source == SOURCE_PART) {
            writer->leaves[column->leaf].columns[column->part] = (int)i;
            writer->leaves[column->leaf].writes = true;
        }
        for (size_t j = 0; j < column->piece_count; j++)
            writer->leaves[column->pieces[j]].writes = true;
    }
    return 0;
}

static int check_chains(const struct schema_writer *writer, struct err *err)
{
    for (size_t i = 0; i < writer->leaf_count; i++) {
        const struct mapping_leaf *leaf = writer->leaves[i].leaf;
        const struct normaliser_step *step = one_way_step(leaf);
        if (!writer->leaves[i].writes || step == NULL)
            continue;
        return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                       "%s cannot be written: the normaliser %s of \"%s\" has no way back; give "
                       "the field a chain of its own under write: {fields: ...}, or leave it out "
                       "there with {skip: true}.",
                       writer->dataset->name, step->kind->base.name, leaf->name);
    }
    return 0;
}

/* --- choices ------------------------------------------------------------------------------------
 */

/* The way out makes this number of that text. */
static bool leads_to(const struct mapping_leaf *leaf, const struct buf *native, int64_t number)
{
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    bool fine = buf_append(&value, native->data, native->len) == 0;
    for (size_t i = 0; fine && i < leaf->step_count; i++)
        fine = normaliser_run(&leaf->steps[i], &value).verdict != NORMALISER_ERROR;
    if (fine && leaf->field->type == SCHEMA_BOOL)
        fine = strcmp(buf_cstr(&value), number != 0 ? "true" : "false") == 0;
    if (fine && leaf->field->type == SCHEMA_ENUM) {
        const struct schema_enum_value *found =
            program_enum_value(leaf->field, buf_cstr(&value), value.len);
        fine = found != NULL && found->number == number;
    }
    buf_fini(&value);
    return fine;
}

/* True when the way out leads from this native text to the choice, and the column's type takes it. */
static bool try_native(struct schema_writer *writer, const struct mapping_leaf *leaf,
                       const struct buf *native, struct writer_choice *choice)
{
    const struct writer_type *type = writer_type_find(
        column_full_type(&writer->target.columns[leaf->parts[0].column], &writer->arena));
    const struct writer_limits limits = { .modifier = WRITER_NO_MODIFIER };
    struct buf unused;
    buf_init(&unused, NORMALISER_VALUE_BYTES_MAX);
    bool fine = leads_to(leaf, native, choice->number) &&
                (leaf->part_count > 1 || type == NULL ||
                 type->encode(buf_slice(native), &limits, &unused) == NULL);
    if (fine) {
        choice->native = arena_strndup(&writer->arena, (const char *)native->data, native->len);
        choice->len = native->len;
    }
    buf_fini(&unused);
    return fine;
}

/* Tries one canonical spelling. Of several native forms the first that the column takes is written:
 * a truth value goes to an integer column as 1, to a text column as true. */
static bool try_spelling(struct schema_writer *writer, const struct mapping_leaf *leaf,
                         const char *spelling, struct writer_choice *choice)
{
    struct text_list forms = { .arena = &writer->arena };
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    (void)buf_reserve(&value, 1);
    bool fine = buf_append_str(&value, spelling) == 0 && writer_chain(leaf, &value) == NULL &&
                try_native(writer, leaf, &value, choice);
    const struct normaliser_step *step = leaf->step_count == 1 ? &leaf->steps[0] : NULL;
    if (!fine && step != NULL && step->kind->reverse != NULL &&
        step->kind->reverse(step->config, spelling, &forms) == 0)
        for (size_t i = 0; !fine && i < forms.count; i++) {
            buf_reset(&value);
            fine = buf_append_str(&value, forms.items[i]) == 0 &&
                   try_native(writer, leaf, &value, choice);
        }
    buf_fini(&value);
    return fine;
}

static int compare_choices(const void *a, const void *b)
{
    const struct writer_choice *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* A chain may end in a value's name or in its number, and aliases share a number. */
static void enum_choices(struct schema_writer *writer, struct writer_leaf *leaf)
{
    const struct schema_enum *e = leaf->leaf->field->enumeration;
    struct writer_choice *choices =
        arena_array(&writer->arena, e->value_count + 1, sizeof *choices);
    for (size_t i = 0; i < e->value_count; i++) {
        size_t at = 0;
        while (at < leaf->choice_count && choices[at].number != e->values[i].number)
            at++;
        struct writer_choice *choice = &choices[at];
        choice->number = e->values[i].number;
        if (at == leaf->choice_count)
            leaf->choice_count++;
        if (choice->native == NULL)
            (void)try_spelling(writer, leaf->leaf, e->values[i].name, choice);
    }
    for (size_t i = 0; i < leaf->choice_count; i++)
        if (choices[i].native == NULL)
            (void)try_spelling(writer, leaf->leaf,
                               arena_format(&writer->arena, "%" PRId64, choices[i].number),
                               &choices[i]);
    qsort(choices, leaf->choice_count, sizeof *choices, compare_choices);
    leaf->choices = choices;
}

static void bool_choices(struct schema_writer *writer, struct writer_leaf *leaf)
{
    struct writer_choice *choices = arena_array(&writer->arena, 2, sizeof *choices);
    choices[1].number = 1;
    (void)try_spelling(writer, leaf->leaf, "false", &choices[0]);
    (void)try_spelling(writer, leaf->leaf, "true", &choices[1]);
    leaf->choices = choices;
    leaf->choice_count = 2;
}

static void prepare_leaf(struct schema_writer *writer, struct writer_leaf *leaf)
{
    const struct schema_field *field = leaf->leaf->field;
    if (!leaf->writes)
        return;
    enum column_type type = writer->target.columns[leaf->leaf->parts[0].column].type;
    bool whole = leaf->leaf->part_count == 1 && leaf->leaf->parts[0].kind == PART_WHOLE;
    bool bare = whole && leaf->leaf->step_count == 0;
    leaf->plain =
        bare && !field->repeated && (field->type == SCHEMA_STRING || field->type == SCHEMA_BYTES);
    leaf->instant = bare && writer_is_timestamp(field) &&
                    (type == COLUMN_TIMESTAMP || type == COLUMN_TIMESTAMPTZ);
    if (field->type == SCHEMA_ENUM && !field->repeated)
        enum_choices(writer, leaf);
    else if (field->type == SCHEMA_BOOL && !field->repeated)
        bool_choices(writer, leaf);
}

/* --- the program --------------------------------------------------------------------------------
 */

/* What is read back: the target's columns in the order they are written. */
static void build_reader(struct schema_writer *writer)
{
    struct arena *arena = &writer->arena;
    struct mapping_leaf *leaves = arena_array(arena, writer->leaf_count + 1, sizeof *leaves);
    const struct mapping_leaf **list = arena_array(arena, writer->leaf_count + 1, sizeof *list);
    int *result_column = arena_array(arena, writer->target.column_count + 1, sizeof *result_column);
    int *no_child = arena_array(arena, writer->leaf_count + 1, sizeof *no_child);
    uint8_t *wanted = arena_alloc(arena, PLAN_BITMAP_BYTES);
    memset(wanted, 0xff, PLAN_BITMAP_BYTES);
    for (size_t i = 0; i < writer->leaf_count; i++) {
        leaves[i] = *writer->leaves[i].leaf;
        list[i] = &leaves[i];
    }
    for (size_t i = 0; i < writer->target.column_count; i++)
        result_column[i] = NO_COLUMN;
    for (size_t i = 0; i < writer->column_count; i++)
        result_column[writer->columns[i].index] = (int)i;
    writer->target.leaves = leaves;
    writer->target.leaf_count = writer->leaf_count;
    writer->target.dataset.key_count = 0; /* rows have keys, what is read back needs none */
    writer->result = (struct program_columns){ result_column, no_child, NO_COLUMN };
    program_init(&writer->program, &writer->target, wanted, &writer->result, arena);
    scan_init(&writer->given, writer->dataset->type, list, writer->leaf_count, arena);
    scan_init(&writer->seen, writer->dataset->type, list, writer->leaf_count, arena);
    writer->values = arena_array(arena, writer->column_count + 1, sizeof *writer->values);
}

static void list_columns(struct schema_writer *writer)
{
    struct buf list;
    buf_init(&list, (size_t)MAPPING_COLUMNS_MAX * 160);
    for (size_t i = 0; i < writer->column_count; i++)
        (void)buf_append_format(&list, "%s%s", i > 0 ? ", " : "",
                                writer->columns[i].column->quoted);
    writer->column_list = arena_strndup(&writer->arena, buf_cstr(&list), list.len);
    buf_fini(&list);
}

int writer_compile(struct schema_writer *writer, const uint8_t *fields, struct err *err)
{
    const struct schema_mapping *mapping = writer->dataset->mapping;
    writer->write = mapping->write;
    writer->target = writer->write != NULL ? writer->write->target : *mapping;
    writer->target.write = NULL;
    if (writer->target.table_quoted == NULL)
        return err_set(err, ERR_FAILED_PRECONDITION, "MAPPING_ONE_WAY",
                       "%s reads a query, which cannot be written; name its table with write: "
                       "{table: ...}.",
                       writer->dataset->name);
    collect_leaves(writer, fields);
    for (size_t i = 0; i < writer->leaf_count; i++)
        for (size_t j = 0; j < MAPPING_PARTS_MAX; j++)
            writer->leaves[i].columns[j] = NO_COLUMN;
    if (check_leaves(writer, err) != 0 || collect_columns(writer, err) != 0 ||
        check_chains(writer, err) != 0)
        return -1;
    for (size_t i = 0; i < writer->leaf_count; i++)
        prepare_leaf(writer, &writer->leaves[i]);
    list_columns(writer);
    build_reader(writer);
    writer_find_losses(writer, fields);
    return 0;
}
