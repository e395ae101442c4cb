/* Rows of another table as the elements of a repeated field. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"

enum {
    CHILD_ROWS_DEFAULT = 256,
    CHILD_ROWS_MAX = 65536, /* what the pre-scan of a receiver accepts */
};

/* {child column: column of the dataset's own table} */
static int read_join(struct mapping_reader *reader, const struct yaml_node *join,
                     struct mapping_child *child)
{
    size_t count = yaml_count(join);
    if (yaml_kind(join) != YAML_MAPPING || count == 0 || count > MAPPING_PARTS_MAX)
        return yaml_error(join, reader->err, "MAPPING_CHILD",
                          "join needs 1 to %d pairs {column of the child: column of the table}",
                          MAPPING_PARTS_MAX);
    const char **names = arena_array(reader->arena, count, sizeof *names);
    const char **quoted = arena_array(reader->arena, count, sizeof *quoted);
    size_t *columns = arena_array(reader->arena, count, sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        if (mapping_read_identifier(reader, yaml_key(join, i), "a column name", &names[i]) != 0 ||
            mapping_read_column(reader, yaml_value(join, i), &columns[i]) != 0)
            return -1;
        quoted[i] = mapping_quote(reader->arena, names[i], '"');
    }
    child->join_names = names;
    child->join_quoted = quoted;
    child->join = columns;
    child->join_count = count;
    return 0;
}

static int read_order(struct mapping_reader *reader, const struct yaml_node *order,
                      struct mapping_child *child)
{
    size_t count = yaml_count(order);
    if (yaml_kind(order) != YAML_SEQUENCE || count == 0 || count > MAPPING_PARTS_MAX)
        return yaml_error(order, reader->err, "MAPPING_CHILD",
                          "order needs a list of 1 to %d columns of the child", MAPPING_PARTS_MAX);
    const char **names = arena_array(reader->arena, count, sizeof *names);
    const char **quoted = arena_array(reader->arena, count, sizeof *quoted);
    for (size_t i = 0; i < count; i++) {
        if (mapping_read_identifier(reader, yaml_item(order, i), "a column name", &names[i]) != 0)
            return -1;
        quoted[i] = mapping_quote(reader->arena, names[i], '"');
    }
    child->order_names = names;
    child->order_quoted = quoted;
    child->order_count = count;
    return 0;
}

/* The child's table; its columns of joins belong to the dataset's scope. */
static int read_table(struct mapping_reader *reader, const struct yaml_node *node,
                      struct mapping_child *child)
{
    static const char *const keys[] = {
        "table", "schema", "join", "order", "max", "columns", NULL
    };
    static const char *const needed[] = { "table", "join", "order" };
    const struct yaml_node *types = yaml_get(node, "columns"), *max = yaml_get(node, "max");
    int64_t rows = CHILD_ROWS_DEFAULT;
    if (yaml_check_keys(node, keys, reader->err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (yaml_get(node, needed[i]) == NULL)
            return yaml_error(node, reader->err, "MAPPING_CHILD", "\"%s\" is missing; add it",
                              needed[i]);
    if (mapping_read_table(reader, yaml_get(node, "table"), yaml_get(node, "schema"),
                           &child->schema, &child->table, &child->table_quoted) != 0 ||
        read_join(reader, yaml_get(node, "join"), child) != 0 ||
        read_order(reader, yaml_get(node, "order"), child) != 0 ||
        (max != NULL && yaml_read_int(max, 1, CHILD_ROWS_MAX, &rows, reader->err) != 0) ||
        (types != NULL && yaml_expect(types, YAML_MAPPING, "columns", reader->err) != 0))
        return -1;
    child->rows_max = (uint32_t)rows;
    return 0;
}

/* One leaf for each field of the element's message. */
static int read_message(struct mapping_reader *reader, const struct yaml_node *value,
                        struct mapping_leaf *leaf, struct mapping_scope *scope)
{
    static const char *const keys[] = { "child", "fields", "required", NULL };
    const struct yaml_node *fields = yaml_get(value, "fields");
    const struct yaml_node *required = yaml_get(value, "required");
    if (yaml_check_keys(value, keys, reader->err) != 0)
        return -1;
    if (fields == NULL || yaml_kind(fields) != YAML_MAPPING || yaml_count(fields) == 0 ||
        yaml_count(fields) > MAPPING_LEAVES_MAX)
        return yaml_error(fields != NULL ? fields : value, reader->err, "MAPPING_CHILD",
                          "a repeated message needs \"fields\" beside \"child\"");
    if (required != NULL && yaml_read_bool(required, &leaf->required, reader->err) != 0)
        return -1;
    scope->message = leaf->field->message;
    scope->prefix = arena_format(reader->arena, "%s.", leaf->name);
    scope->leaves = arena_array(reader->arena, yaml_count(fields), sizeof *scope->leaves);
    reader->scope = scope;
    return mapping_read_fields(reader, fields);
}

/* The element is the value itself: "from" and its options stand beside "child". */
static int read_scalar(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf, struct mapping_scope *scope)
{
    scope->scalar = true;
    scope->leaves = arena_array(reader->arena, 1, sizeof *scope->leaves);
    scope->leaves[0] = (struct mapping_leaf){ .path = arena_dup(reader->arena, &leaf->field,
                                                                sizeof(struct schema_field *)),
                                              .depth = 1,
                                              .field = leaf->field,
                                              .name = leaf->name };
    *scope->leaf_count = 1;
    reader->scope = scope;
    if (yaml_get(value, "fields") != NULL)
        return yaml_error(value, reader->err, "MAPPING_CHILD",
                          "%s is no message; write \"from\" instead of \"fields\"", leaf->name);
    if (mapping_read_value(reader, value, &scope->leaves[0]) != 0)
        return -1;
    struct mapping_leaf *element = &scope->leaves[0];
    if (element->part_count == 0 || element->absent_on_error || element->fallback != NULL)
        return yaml_error(value, reader->err, "MAPPING_CHILD",
                          "an element needs \"from\" or \"coalesce\" and takes neither default nor "
                          "on_error: absent");
    leaf->required = element->required;
    return 0;
}

int mapping_read_child(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf)
{
    const struct yaml_node *node = yaml_get(value, "child");
    const struct schema_field *field = leaf->field;
    if (reader->scope != &reader->own)
        return yaml_error(node, reader->err, "MAPPING_CHILD",
                          "a child table has no child tables of its own; use a query");
    if (!field->repeated || field->map)
        return yaml_error(node, reader->err, "MAPPING_CHILD",
                          "%s is no repeated field, so it cannot hold a child table's rows",
                          leaf->name);
    struct mapping_child *child = arena_alloc(reader->arena, sizeof *child);
    child->columns = arena_array(reader->arena, MAPPING_COLUMNS_MAX, sizeof *child->columns);
    leaf->child = child;
    if (read_table(reader, node, child) != 0)
        return -1;
    struct mapping_scope scope = { .columns = child->columns,
                                   .column_count = &child->column_count,
                                   .types = yaml_get(node, "columns"),
                                   .child = child,
                                   .leaf_count = &child->leaf_count,
                                   .prefix = "" };
    bool message = field->type == SCHEMA_MESSAGE &&
                   strcmp(field->message->full_name, "google.protobuf.Timestamp") != 0;
    int result = message ? read_message(reader, value, leaf, &scope)
                         : read_scalar(reader, value, leaf, &scope);
    child->leaves = scope.leaves;
    child->scalar = scope.scalar;
    reader->scope = &reader->own;
    if (result == 0 && child->column_count == 0)
        return yaml_error(node, reader->err, "MAPPING_CHILD",
                          "no field reads a column of the child");
    return result == 0 ? mapping_check_types(reader, &scope) : -1;
}
