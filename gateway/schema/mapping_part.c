/* Columns, and how a field is put together from them. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"

int mapping_read_identifier(struct mapping_reader *reader, const struct yaml_node *node,
                            const char *what, const char **name_r)
{
    if (yaml_expect(node, YAML_SCALAR, what, reader->err) != 0)
        return -1;
    size_t len = strlen(yaml_text(node));
    if (len == 0 || len > MAPPING_IDENTIFIER_BYTES_MAX)
        return yaml_error(node, reader->err, "MAPPING_INVALID",
                          "%s must have 1 to %d bytes: PostgreSQL cuts longer ones", what,
                          MAPPING_IDENTIFIER_BYTES_MAX);
    *name_r = arena_strdup(reader->arena, yaml_text(node));
    return 0;
}

/* Finds or adds a column. */
int mapping_read_column(struct mapping_reader *reader, const struct yaml_node *node,
                        size_t *column_r)
{
    struct mapping_scope *scope = reader->scope;
    const char *name = NULL;
    if (mapping_read_identifier(reader, node, "a column name", &name) != 0)
        return -1;
    for (size_t i = 0; i < *scope->column_count; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): set when the reader answers 0 */
        if (strcmp(scope->columns[i].name, name) == 0) {
            *column_r = i;
            return 0;
        }
    if (*scope->column_count == MAPPING_COLUMNS_MAX)
        return yaml_error(node, reader->err, "MAPPING_INVALID", "the mapping has too many columns");
    struct mapping_column column = { .name = name,
                                     .quoted = mapping_quote(reader->arena, name, '"') };
    const struct yaml_node *type = scope->types == NULL ? NULL : yaml_get(scope->types, name);
    if (type != NULL && column_type_read(type, &column, reader->err) != 0)
        return -1;
    column.type_name = column_full_type(&column, reader->arena);
    *column_r = *scope->column_count;
    scope->columns[(*scope->column_count)++] = column;
    return 0;
}

/* A child's rows are found and put in order by columns that no field may read. */
static bool child_names(const struct mapping_child *child, const char *name)
{
    for (size_t i = 0; child != NULL && i < child->join_count; i++)
        if (strcmp(child->join_names[i], name) == 0)
            return true;
    for (size_t i = 0; child != NULL && i < child->order_count; i++)
        if (strcmp(child->order_names[i], name) == 0)
            return true;
    return false;
}

/* A type for a column that nothing reads is a slip of the pen. */
int mapping_check_types(struct mapping_reader *reader, const struct mapping_scope *scope)
{
    for (size_t i = 0; scope->types != NULL && i < yaml_count(scope->types); i++) {
        const struct yaml_node *name = yaml_key(scope->types, i);
        size_t j = 0;
        while (j < *scope->column_count && strcmp(scope->columns[j].name, yaml_text(name)) != 0)
            j++;
        if (j == *scope->column_count && !child_names(scope->child, yaml_text(name)))
            return yaml_error(name, reader->err, "MAPPING_INVALID",
                              "no field reads the column \"%.64s\"; remove it", yaml_text(name));
    }
    return 0;
}

static int read_part_shape(struct mapping_reader *reader, const struct yaml_node *node,
                           struct mapping_part *part)
{
    static const char *const keys[] = { "column", "length", "rest", "substr", "split", NULL };
    static const char *const split_keys[] = { "separator", "item", NULL };
    const struct yaml_node *length = yaml_get(node, "length"), *rest = yaml_get(node, "rest");
    const struct yaml_node *substr = yaml_get(node, "substr"), *split = yaml_get(node, "split");
    int64_t a = 0, b = 0;
    if (yaml_check_keys(node, keys, reader->err) != 0)
        return -1;
    if ((length != NULL) + (substr != NULL) + (split != NULL) > 1 ||
        (rest != NULL && length == NULL))
        return yaml_error(node, reader->err, "MAPPING_PART",
                          "give one of length (with rest), substr or split");
    if (length != NULL) {
        if (yaml_read_int(length, 1, 4096, &a, reader->err) != 0 ||
            (rest != NULL && yaml_expect(rest, YAML_SCALAR, "rest", reader->err) != 0))
            return -1;
        part->kind = PART_FIXED;
        part->length = (uint32_t)a;
        part->rest = arena_strdup(reader->arena, rest == NULL ? "" : yaml_text(rest));
    } else if (substr != NULL) {
        if (yaml_kind(substr) != YAML_SEQUENCE || yaml_count(substr) != 2)
            return yaml_error(substr, reader->err, "MAPPING_PART",
                              "substr needs [first character from 1, length]");
        if (yaml_read_int(yaml_item(substr, 0), 1, 4096, &a, reader->err) != 0 ||
            yaml_read_int(yaml_item(substr, 1), 1, 4096, &b, reader->err) != 0)
            return -1;
        part->kind = PART_SUBSTR;
        part->start = (uint32_t)(a - 1);
        part->length = (uint32_t)b;
    } else if (split != NULL) {
        if (yaml_check_keys(split, split_keys, reader->err) != 0 ||
            mapping_read_text(reader, split, "separator", &part->rest) != 0)
            return -1;
        const struct yaml_node *item = yaml_get(split, "item");
        if (item == NULL || yaml_read_int(item, 1, 4096, &a, reader->err) != 0)
            return item != NULL ? -1
                                : yaml_error(split, reader->err, "MAPPING_PART",
                                             "split needs item, counted from 1");
        part->kind = PART_SPLIT;
        part->start = (uint32_t)(a - 1);
    }
    return 0;
}

static int read_part(struct mapping_reader *reader, const struct yaml_node *node,
                     struct mapping_part *part)
{
    const struct yaml_node *column = node;
    if (yaml_kind(node) == YAML_MAPPING) {
        if (read_part_shape(reader, node, part) != 0)
            return -1;
        column = yaml_get(node, "column");
        if (column == NULL)
            return yaml_error(node, reader->err, "MAPPING_PART", "\"column\" is missing; add it");
    }
    if (mapping_read_column(reader, column, &part->column) != 0)
        return -1;
    if (part->kind != PART_WHOLE && !column_is_text(reader->scope->columns[part->column].type))
        return yaml_error(column, reader->err, "MAPPING_PART", "only a text column can be cut");
    return 0;
}

int mapping_read_parts(struct mapping_reader *reader, const struct yaml_node *from,
                       struct mapping_leaf *leaf)
{
    bool list = yaml_kind(from) == YAML_SEQUENCE;
    size_t count = list ? yaml_count(from) : 1;
    if (count == 0 || count > MAPPING_PARTS_MAX)
        return yaml_error(from, reader->err, "MAPPING_PART", "from needs 1 to %d columns",
                          MAPPING_PARTS_MAX);
    struct mapping_part *parts = arena_array(reader->arena, count, sizeof *parts);
    for (size_t i = 0; i < count; i++)
        if (read_part(reader, list ? yaml_item(from, i) : from, &parts[i]) != 0)
            return -1;
    leaf->parts = parts;
    leaf->part_count = count;
    return 0;
}
