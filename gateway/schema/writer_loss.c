/* What survives the way to the table and back, field by field, in words for an officer. */
#include <string.h>

#include "schema/writer_internal.h"

struct verdict {
    enum schema_lossiness_kind kind;
    const char *sentence;
    const char *sentence_zh;
};

static const struct verdict exact = { LOSSLESS, "Kept exactly, in both directions.",
                                      "双向均原样保存。" };
static const struct verdict constant = {
    LOSSLESS, "The same in every row of this table; a record with another value is quarantined.",
    "本表各行取值相同；取其他值的记录进入隔离区。"
};
static const struct verdict taken = {
    LOSSLESS, "Not stored: read from another field; a record that says otherwise is quarantined.",
    "不单独保存：由另一字段得出；与之不符的记录进入隔离区。"
};
static const struct verdict empty_is_null = {
    CANONICAL_LOSSLESS,
    "Every record that is written reads back the same. NULL and the empty value (0, false) are one "
    "value here, "
    "so an empty value of the table may become NULL.",
    "写入的每条记录读回后保持不变。NULL 与空值（0、false）在此视为同一值，表中的空值可能变为 NULL。"
};
static const struct verdict spelling = {
    CANONICAL_LOSSLESS,
    "Every record that is written reads back the same; the table gets one spelling of each value, "
    "and a value without one is quarantined.",
    "写入的每条记录读回后保持不变；每个值在表中只有一种写法，没有写法的值进入隔离区。"
};
static const struct verdict list = {
    CANONICAL_LOSSLESS,
    "The list reads back the same; NULL and the empty list are one value, and arrays count from 1.",
    "列表读回后保持不变；NULL 与空列表视为同一值，数组下标从 1 开始。"
};
static const struct verdict entries = {
    CANONICAL_LOSSLESS,
    "The entries read back the same; their order, and whether a value was a number or text, is not "
    "kept.",
    "各项读回后保持不变；不保留先后次序，也不保留值是数字还是文本。"
};
static const struct verdict pieces = {
    CANONICAL_LOSSLESS,
    "Every record that is written reads back the same; the field is a piece of a column.",
    "写入的每条记录读回后保持不变；该字段是某列的一部分。"
};
static const struct verdict json = {
    LOSSY,
    "PostgreSQL keeps jsonb in its own spelling: blanks, order of keys and doubled keys may "
    "change.",
    "PostgreSQL 以自己的写法保存 jsonb：空白、键的次序和重复的键可能改变。"
};
static const struct verdict absent = { ABSENT, "The table does not hold this field; it is dropped.",
                                       "本表不保存该字段；写入时舍去。" };
static const struct verdict skipped = { ABSENT, "The mapping leaves this field out when it writes.",
                                        "映射规定写入时不含该字段。" };

static bool is_real(const struct schema_field *field)
{
    return field->type == SCHEMA_DOUBLE || field->type == SCHEMA_FLOAT;
}

/* One native value of the column has one text, and that text is its only canonical form. */
static bool one_spelling(const struct schema_field *field, enum column_type type)
{
    if (field->type == SCHEMA_STRING || field->type == SCHEMA_BYTES)
        return true;
    if (is_real(field))
        return type == COLUMN_FLOAT4 || (type == COLUMN_FLOAT8 && field->type == SCHEMA_DOUBLE);
    if (field->type == SCHEMA_BOOL)
        return type == COLUMN_BOOL;
    if (writer_is_timestamp(field))
        return type == COLUMN_TIMESTAMP || type == COLUMN_TIMESTAMPTZ;
    return column_is_integer(type);
}

static const struct verdict *judge_alone(const struct schema_writer *writer,
                                         const struct mapping_leaf *leaf)
{
    const struct schema_field *field = leaf->field;
    if (leaf->part_count == 0)
        return leaf->taken != NULL ? &taken : &constant;
    enum column_type type = writer->target.columns[leaf->parts[0].column].type;
    enum part_kind kind = leaf->parts[0].kind;
    if (field->map)
        return &entries;
    if (field->repeated)
        return &list;
    if (type == COLUMN_JSONB)
        return &json;
    if (kind == PART_SUBSTR || kind == PART_SPLIT)
        return &pieces;
    if (!writer_chain_is_identity(leaf) || leaf->null_count > 0 || leaf->fallback != NULL ||
        !one_spelling(field, type))
        return &spelling;
    for (size_t i = 1; i < leaf->part_count; i++)
        if (leaf->parts[i].kind != PART_FIXED && leaf->parts[i].kind != PART_WHOLE)
            return &pieces;
    bool merges = !field->has_presence && !writer_is_timestamp(field) && !leaf->required &&
                  leaf->part_count == 1 && kind == PART_WHOLE;
    return merges ? &empty_is_null : &exact;
}

/* A field that only compares is kept as well as what writes its columns. */
static const struct verdict *judge(const struct schema_writer *writer, size_t index)
{
    const struct mapping_leaf *leaf = writer->leaves[index].leaf;
    const struct verdict *verdict = judge_alone(writer, leaf);
    for (size_t i = 0; i < leaf->part_count; i++)
        for (size_t j = 0; j < writer->column_count; j++) {
            const struct writer_column *column = &writer->columns[j];
            if (column->index != leaf->parts[i].column || column->source == SOURCE_FILL)
                continue;
            const struct verdict *other =
                column->source == SOURCE_PIECES
                    ? &pieces
                    : judge_alone(writer, writer->leaves[column->leaf].leaf);
            if (other->kind > verdict->kind)
                verdict = other;
        }
    return verdict;
}

static void add(struct schema_writer *writer, const char *name, const struct verdict *verdict)
{
    writer->lossiness[writer->lossiness_count++] = (struct schema_lossiness){
        .name = name,
        .kind = verdict->kind,
        .sentence = verdict->sentence,
        .sentence_zh = verdict->sentence_zh,
    };
}

/* True when some leaf, or some field the mapping leaves out, begins with this path. */
static bool leads_on(const struct schema_writer *writer, const char *path)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < writer->leaf_count; i++)
        if (strncmp(writer->leaves[i].leaf->name, path, len) == 0 &&
            writer->leaves[i].leaf->name[len] == '.')
            return true;
    return false;
}

static void walk(struct schema_writer *writer, const struct schema_message *message,
                 const char *prefix, const uint8_t *fields);

static void walk_field(struct schema_writer *writer, const struct schema_field *field,
                       const char *prefix)
{
    const char *name = arena_format(&writer->arena, "%s%s", prefix, field->name);
    for (size_t i = 0; i < writer->leaf_count; i++)
        if (strcmp(writer->leaves[i].leaf->name, name) == 0) {
            add(writer, name, judge(writer, i));
            return;
        }
    if (leads_on(writer, name)) {
        walk(writer, field->message, arena_format(&writer->arena, "%s.", name), NULL);
        return;
    }
    const struct mapping_write_field *said = mapping_write_field(writer->write, name);
    add(writer, name, said != NULL && said->kind == WRITE_SKIP ? &skipped : &absent);
}

/* The depth is that of the mapping's paths. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void walk(struct schema_writer *writer, const struct schema_message *message,
                 const char *prefix, const uint8_t *fields)
{
    for (size_t i = 0; i < message->field_count; i++)
        if (fields == NULL || plan_bit(fields, message->fields[i].position))
            walk_field(writer, &message->fields[i], prefix);
}

static const struct verdict *fill_verdict(enum mapping_fill_kind kind)
{
    static const struct verdict verdicts[] = {
        [FILL_CONSTANT] = { FILLED, "Filled with a constant of the mapping.",
                            "以映射中的常量填写。" },
        [FILL_NOW] = { FILLED, "Filled with the moment of writing.", "以写入时刻填写。" },
        [FILL_BATCH] = { FILLED, "Filled with the name of the run.", "以批次名称填写。" },
        [FILL_DEFAULT] = { FILLED, "Left to the default of the database.",
                           "由数据库的默认值填写。" },
    };
    return &verdicts[kind];
}

static size_t count_fields(const struct schema_message *message, const struct schema_writer *writer)
{
    size_t count = message->field_count + writer->target.column_count;
    for (size_t i = 0; i < writer->leaf_count; i++)
        for (size_t d = 0; d + 1 < writer->leaves[i].leaf->depth; d++)
            count += writer->leaves[i].leaf->path[d]->message->field_count;
    return count;
}

void writer_find_losses(struct schema_writer *writer, const uint8_t *fields)
{
    const struct schema_message *type = writer->dataset->type;
    writer->lossiness =
        arena_array(&writer->arena, count_fields(type, writer) + 1, sizeof *writer->lossiness);
    walk(writer, type, "", fields);
    for (size_t i = 0; writer->write != NULL && i < writer->write->fill_count; i++) {
        const struct mapping_fill *fill = &writer->write->fills[i];
        add(writer, writer->target.columns[fill->column].name, fill_verdict(fill->kind));
    }
}

const struct schema_lossiness *schema_writer_lossiness(const struct schema_writer *writer,
                                                       size_t *count_r)
{
    *count_r = writer->lossiness_count;
    return writer->lossiness;
}

const char *schema_lossiness_name(enum schema_lossiness_kind kind)
{
    static const char *const names[] = {
        [LOSSLESS] = "LOSSLESS", [CANONICAL_LOSSLESS] = "CANONICAL_LOSSLESS",
        [LOSSY] = "LOSSY",       [ABSENT] = "ABSENT",
        [FILLED] = "FILLED",
    };
    return names[kind];
}
