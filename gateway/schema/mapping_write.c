#include "schema/mapping_write.h"

#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"

struct section {
    struct mapping_write *write;
    const struct schema_mapping *mapping;
    const struct mapping_context *context;
    struct arena *arena;
    const struct yaml_node *types; /* write.columns, or NULL */
    struct err *err;
};

static int read_table(struct section *section, const struct yaml_node *node);
static int read_types(struct section *section);
static int read_fields(struct section *section, const struct yaml_node *node);
static int read_fills(struct section *section, const struct yaml_node *node);
static int check_types_used(struct section *section);

int mapping_write_read(const struct schema_mapping *mapping, const struct yaml_node *node,
                       const struct mapping_context *context, struct mapping_write **write_r,
                       struct err *err)
{
    static const char *const keys[] = { "schema", "table", "columns", "fields", "fill", NULL };
    struct arena *arena = context->env.arena;
    struct mapping_write *write = arena_alloc(arena, sizeof *write);
    struct section section = {
        .write = write, .mapping = mapping, .context = context, .arena = arena, .err = err
    };
    *write_r = write;
    if (yaml_check_keys(node, keys, err) != 0)
        return -1;
    write->target = *mapping;
    write->target.columns = arena_array(arena, MAPPING_COLUMNS_MAX, sizeof *write->target.columns);
    memcpy(write->target.columns, mapping->columns,
           mapping->column_count * sizeof *mapping->columns);
    section.types = yaml_get(node, "columns");
    const struct yaml_node *fields = yaml_get(node, "fields"), *fill = yaml_get(node, "fill");
    if (read_table(&section, node) != 0 || read_types(&section) != 0 ||
        (fields != NULL && read_fields(&section, fields) != 0) ||
        (fill != NULL && read_fills(&section, fill) != 0))
        return -1;
    return check_types_used(&section);
}

void mapping_write_fini(struct mapping_write *write)
{
    for (size_t i = 0; write != NULL && i < write->field_count; i++)
        mapping_leaf_fini(&write->fields[i].leaf);
}

const struct mapping_write_field *mapping_write_field(const struct mapping_write *write,
                                                      const char *name)
{
    for (size_t i = 0; write != NULL && i < write->field_count; i++)
        if (strcmp(write->fields[i].name, name) == 0)
            return &write->fields[i];
    return NULL;
}

/* --- helpers ------------------------------------------------------------------------------------
 */

static int read_name(struct section *section, const struct yaml_node *node, const char *what,
                     const char **name_r)
{
    if (yaml_expect(node, YAML_SCALAR, what, section->err) != 0)
        return -1;
    size_t len = strlen(yaml_text(node));
    if (len == 0 || len > MAPPING_IDENTIFIER_BYTES_MAX)
        return yaml_error(node, section->err, "MAPPING_INVALID",
                          "%s must have 1 to %d bytes: PostgreSQL cuts longer ones", what,
                          MAPPING_IDENTIFIER_BYTES_MAX);
    *name_r = arena_strdup(section->arena, yaml_text(node));
    return 0;
}

static size_t find_column(const struct schema_mapping *target, const char *name)
{
    size_t i = 0;
    while (i < target->column_count && strcmp(target->columns[i].name, name) != 0)
        i++;
    return i;
}

/* Both or neither: a table of the same name in another schema is written out in full. */
static int read_table(struct section *section, const struct yaml_node *node)
{
    const struct yaml_node *table = yaml_get(node, "table"), *schema = yaml_get(node, "schema");
    const char *table_name = NULL, *schema_name = "public";
    if (table == NULL && schema == NULL)
        return 0;
    if (table == NULL)
        return yaml_error(schema, section->err, "MAPPING_WRITE",
                          "\"schema\" needs \"table\" beside it");
    if (read_name(section, table, "the table's name", &table_name) != 0 ||
        (schema != NULL && read_name(section, schema, "the schema's name", &schema_name) != 0))
        return -1;
    section->write->target.table_quoted =
        arena_format(section->arena, "%s.%s", mapping_quote(section->arena, schema_name, '"'),
                     mapping_quote(section->arena, table_name, '"'));
    return 0;
}

/* Types of columns the mapping reads too may differ in the target. */
static int read_types(struct section *section)
{
    struct schema_mapping *target = &section->write->target;
    if (section->types == NULL)
        return 0;
    if (yaml_expect(section->types, YAML_MAPPING, "columns", section->err) != 0)
        return -1;
    for (size_t i = 0; i < yaml_count(section->types); i++) {
        struct mapping_column type = { 0 };
        size_t column = find_column(target, yaml_text(yaml_key(section->types, i)));
        if (column_type_read(yaml_value(section->types, i), &type, section->err) != 0)
            return -1;
        if (column < target->column_count) {
            target->columns[column].type = type.type;
            target->columns[column].element = type.element;
            target->columns[column].type_name = column_full_type(&type, section->arena);
        }
    }
    return 0;
}

/* A type written for a column that nothing writes is a slip of the pen. */
static int check_types_used(struct section *section)
{
    for (size_t i = 0; section->types != NULL && i < yaml_count(section->types); i++) {
        const struct yaml_node *name = yaml_key(section->types, i);
        if (find_column(&section->write->target, yaml_text(name)) ==
            section->write->target.column_count)
            return yaml_error(name, section->err, "MAPPING_WRITE",
                              "nothing writes the column \"%.64s\"; remove it", yaml_text(name));
    }
    return 0;
}

/* --- fields -------------------------------------------------------------------------------------
 */

static bool is_mapped(const struct schema_mapping *mapping, const char *name)
{
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (strcmp(mapping->leaves[i].name, name) == 0)
            return true;
    return false;
}

static int no_such_field(struct section *section, const struct yaml_node *key)
{
    const char *names[MAPPING_LEAVES_MAX];
    const char *name = yaml_text(key);
    for (size_t i = 0; i < section->mapping->leaf_count; i++)
        names[i] = section->mapping->leaves[i].name;
    const char *near = yaml_nearest(name, strlen(name), names, section->mapping->leaf_count);
    return yaml_error(key, section->err, "MAPPING_WRITE",
                      "\"%.64s\" is not among the fields above, so it cannot be left out or "
                      "checked%s%s%s",
                      name, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                      near != NULL ? "\"?" : "");
}

/* {skip: true} or {check: true}; anything else is read as a field of the mapping is. */
static int read_field(struct section *section, const struct yaml_node *key,
                      const struct yaml_node *value, struct mapping_write_field *field)
{
    bool map = yaml_kind(value) == YAML_MAPPING;
    const struct yaml_node *skip = map ? yaml_get(value, "skip") : NULL;
    const struct yaml_node *check = map ? yaml_get(value, "check") : NULL;
    const struct yaml_node *flag = skip != NULL ? skip : check;
    bool yes = false;
    if (flag == NULL) {
        field->kind = WRITE_INSTEAD;
        return mapping_leaf_read(&section->write->target, section->context, section->types, key,
                                 value, &field->leaf, section->err);
    }
    if (yaml_count(value) != 1 || yaml_read_bool(flag, &yes, section->err) != 0 || !yes)
        return yaml_error(value, section->err, "MAPPING_WRITE",
                          "write {skip: true}, {check: true}, or the columns of the field");
    field->kind = skip != NULL ? WRITE_SKIP : WRITE_CHECK;
    return is_mapped(section->mapping, field->name) ? 0 : no_such_field(section, key);
}

static int read_fields(struct section *section, const struct yaml_node *node)
{
    struct mapping_write *write = section->write;
    if (yaml_expect(node, YAML_MAPPING, "fields", section->err) != 0)
        return -1;
    if (yaml_count(node) > MAPPING_LEAVES_MAX)
        return yaml_error(node, section->err, "MAPPING_INVALID", "fields needs 1 to %d entries",
                          MAPPING_LEAVES_MAX);
    write->fields = arena_array(section->arena, yaml_count(node) + 1, sizeof *write->fields);
    write->target.leaf_count = 0; /* paths are compared with the fields of this section only */
    for (size_t i = 0; i < yaml_count(node); i++) {
        struct mapping_write_field *field = &write->fields[i];
        field->name = arena_strdup(section->arena, yaml_text(yaml_key(node, i)));
        write->field_count++; /* also when it fails: its steps must be disposed of */
        if (read_field(section, yaml_key(node, i), yaml_value(node, i), field) != 0)
            return -1;
    }
    return 0;
}

/* --- fills --------------------------------------------------------------------------------------
 */

static int read_fill(struct section *section, const struct yaml_node *key,
                     const struct yaml_node *value, struct mapping_fill *fill)
{
    static const char *const keys[] = { "constant", NULL };
    static const char *const words[] = { "now", "batch", "default" };
    static const enum mapping_fill_kind kinds[] = { FILL_NOW, FILL_BATCH, FILL_DEFAULT };
    if (yaml_kind(value) == YAML_MAPPING) {
        const struct yaml_node *constant = yaml_get(value, "constant");
        if (yaml_check_keys(value, keys, section->err) != 0)
            return -1;
        if (constant == NULL || yaml_kind(constant) != YAML_SCALAR)
            return yaml_error(value, section->err, "MAPPING_WRITE",
                              "write {constant: value}, now, batch or default");
        fill->kind = FILL_CONSTANT;
        fill->text = arena_strdup(section->arena, yaml_text(constant));
        return 0;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(yaml_text(value), words[i]) == 0) {
            fill->kind = kinds[i];
            return 0;
        }
    return yaml_error(value, section->err, "MAPPING_WRITE",
                      "column \"%.64s\" is filled by now, batch, default or {constant: value}",
                      yaml_text(key));
}

static int read_fills(struct section *section, const struct yaml_node *node)
{
    struct mapping_write *write = section->write;
    struct schema_mapping *target = &write->target;
    if (yaml_expect(node, YAML_MAPPING, "fill", section->err) != 0)
        return -1;
    write->fills = arena_array(section->arena, yaml_count(node) + 1, sizeof *write->fills);
    for (size_t i = 0; i < yaml_count(node); i++) {
        struct mapping_fill *fill = &write->fills[write->fill_count];
        const char *name = NULL;
        if (read_name(section, yaml_key(node, i), "a column name", &name) != 0 ||
            read_fill(section, yaml_key(node, i), yaml_value(node, i), fill) != 0)
            return -1;
        fill->column = find_column(target, name);
        if (fill->column == target->column_count) {
            if (target->column_count == MAPPING_COLUMNS_MAX)
                return yaml_error(node, section->err, "MAPPING_INVALID",
                                  "the mapping has too many columns");
            struct mapping_column column = {
                .name = name,
                .quoted = mapping_quote(section->arena, name, '"'),
                .type = fill->kind == FILL_NOW ? COLUMN_TIMESTAMPTZ : COLUMN_TEXT,
            };
            const struct yaml_node *type =
                section->types == NULL ? NULL : yaml_get(section->types, name);
            if (type != NULL && column_type_read(type, &column, section->err) != 0)
                return -1;
            column.type_name = column_full_type(&column, section->arena);
            target->columns[target->column_count++] = column;
        }
        write->fill_count++;
    }
    return 0;
}
