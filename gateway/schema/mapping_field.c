/* Canonical fields and where they come from. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"

int mapping_unknown_field(struct mapping_reader *reader, const struct yaml_node *at,
                          const struct schema_message *message, const char *name, size_t len)
{
    const char *names[SCHEMA_FIELDS_MAX];
    for (size_t i = 0; i < message->field_count; i++)
        names[i] = message->fields[i].name;
    const char *near = yaml_nearest(name, len, names, message->field_count);
    return yaml_error(at, reader->err, "MAPPING_FIELD", "%s has no field \"%.*s\"%s%s%s",
                      message->full_name, (int)(len < 64 ? len : 64), name,
                      near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                      near != NULL ? "\"?" : "");
}

static int check_overlap(struct mapping_reader *reader, const struct yaml_node *key,
                         const struct mapping_leaf *leaf)
{
    const struct mapping_scope *scope = reader->scope;
    for (size_t i = 0; i < *scope->leaf_count; i++) {
        const char *other = scope->leaves[i].name;
        size_t shorter = strlen(other) < strlen(leaf->name) ? strlen(other) : strlen(leaf->name);
        if (strncmp(other, leaf->name, shorter) == 0 &&
            (other[shorter] == '.' || leaf->name[shorter] == '.'))
            return yaml_error(key, reader->err, "MAPPING_FIELD",
                              "\"%s\" and \"%s\" cannot both be given", other, leaf->name);
    }
    return 0;
}

/* "address.street" -> the fields on the way. */
int mapping_read_path(struct mapping_reader *reader, const struct yaml_node *key,
                      struct mapping_leaf *leaf)
{
    const struct schema_field *path[MAPPING_DEPTH_MAX];
    const struct schema_message *message = reader->scope->message;
    const char *name = yaml_text(key);
    leaf->name = arena_format(reader->arena, "%s%s", reader->scope->prefix, name);
    for (;;) {
        size_t len = strcspn(name, ".");
        if (leaf->depth == MAPPING_DEPTH_MAX)
            return yaml_error(key, reader->err, "MAPPING_FIELD", "the path is too deep");
        const struct schema_field *field = schema_message_field(message, name, len);
        if (field == NULL)
            return mapping_unknown_field(reader, key, message, name, len);
        path[leaf->depth++] = field;
        if (name[len] == '\0')
            break;
        if (field->type != SCHEMA_MESSAGE || field->repeated)
            return yaml_error(key, reader->err, "MAPPING_FIELD",
                              "\"%.*s\" is no single message, so nothing can follow it", (int)len,
                              name);
        message = field->message;
        name += len + 1;
    }
    leaf->path = arena_dup(reader->arena, path, leaf->depth * sizeof *path);
    leaf->field = path[leaf->depth - 1];
    return check_overlap(reader, key, leaf);
}

/* --- which columns can feed which fields -------------------------------------------------------- */

static bool is_timestamp(const struct schema_field *field)
{
    return field->type == SCHEMA_MESSAGE &&
           strcmp(field->message->full_name, "google.protobuf.Timestamp") == 0;
}

static bool is_text_map(const struct schema_field *field)
{
    const struct schema_field *value = schema_message_number(field->message, 2);
    const struct schema_field *key = schema_message_number(field->message, 1);
    return key != NULL && value != NULL && key->type == SCHEMA_STRING &&
           value->type == SCHEMA_STRING;
}

static const char *bytes_problem(const struct mapping_reader *reader,
                                 const struct mapping_leaf *leaf)
{
    bool decodes = leaf->step_count > 0 && leaf->steps[0].kind->takes_bytes;
    for (size_t i = 1; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->takes_bytes)
            return "gb18030 must be the first step";
    for (size_t i = 0; i < leaf->part_count; i++) {
        const struct mapping_column *column = &reader->scope->columns[leaf->parts[i].column];
        enum column_type type = column->type == COLUMN_ARRAY ? column->element : column->type;
        bool joined = leaf->part_count > 1 && !leaf->coalesce;
        if (joined && (column->type == COLUMN_ARRAY || type == COLUMN_BYTEA))
            return "an array or bytea column cannot be joined with others";
        if (leaf->coalesce && column->type == COLUMN_ARRAY)
            return "an array column cannot stand in coalesce";
        if (decodes && type != COLUMN_BYTEA)
            return "gb18030 reads a bytea column; declare the column's type";
        if (type == COLUMN_BYTEA && !decodes && leaf->field->type != SCHEMA_BYTES)
            return "a bytea column feeds a bytes field, or goes through gb18030";
    }
    return NULL;
}

/* A local time has no text that says when it was. */
static const char *naive_problem(const struct mapping_reader *reader,
                                 const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->part_count; i++) {
        const struct mapping_column *column = &reader->scope->columns[leaf->parts[i].column];
        bool local = column->type == COLUMN_TIMESTAMP ||
                     (column->type == COLUMN_ARRAY && column->element == COLUMN_TIMESTAMP);
        if (local && (leaf->step_count > 0 || leaf->part_count > 1 || leaf->field->repeated))
            return "a timestamp without time zone feeds one time field alone, without a chain";
    }
    return NULL;
}

static const char *shape_problem(const struct mapping_reader *reader,
                                 const struct mapping_leaf *leaf)
{
    const struct schema_field *field = leaf->field;
    enum column_type type = reader->scope->columns[leaf->parts[0].column].type;
    bool single = leaf->part_count == 1 && leaf->parts[0].kind == PART_WHOLE;
    const char *problem = bytes_problem(reader, leaf);
    if (problem != NULL)
        return problem;
    if (field->map) {
        if (!is_text_map(field) || !single || leaf->step_count > 0 ||
            (type != COLUMN_JSON && type != COLUMN_JSONB))
            return "a map field must be map<string, string> and come from one json or jsonb column "
                   "without a chain";
        return NULL;
    }
    bool many = field->repeated && !reader->scope->scalar;
    if (many != (type == COLUMN_ARRAY))
        return "a repeated field needs an array column, such as text[], or a child table, and an "
               "array column needs a repeated field";
    if (many && leaf->null_count > 0)
        return "null_values do not reach into an array; a child table's rows have them";
    if (field->type == SCHEMA_MESSAGE && !is_timestamp(field))
        return field->repeated ? "a repeated message needs a child table"
                               : "a message field is filled field by field: write "
                                 "\"message.field: ...\"";
    return is_timestamp(field) ? naive_problem(reader, leaf) : NULL;
}

/* --- one field ---------------------------------------------------------------------------------- */

static int read_origin(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf)
{
    const struct yaml_node *from = yaml_get(value, "from"), *first = yaml_get(value, "coalesce");
    const struct yaml_node *take = yaml_get(value, "from_field");
    if (from != NULL && first != NULL)
        return yaml_error(first, reader->err, "MAPPING_INVALID",
                          "from and coalesce exclude each other; keep one");
    if (from == NULL && first == NULL && take == NULL)
        return yaml_error(value, reader->err, "MAPPING_INVALID",
                          "\"from\" or \"constant\" is missing; say where %s comes from",
                          leaf->name);
    if (first != NULL) {
        if (yaml_kind(first) != YAML_SEQUENCE || yaml_count(first) < 2 ||
            yaml_get(value, "separator") != NULL)
            return yaml_error(first, reader->err, "MAPPING_PART",
                              "coalesce needs a list of two columns or more, and no separator");
        leaf->coalesce = true;
        from = first;
    }
    if (from != NULL && mapping_read_parts(reader, from, leaf) != 0)
        return -1;
    if (from == NULL && (yaml_get(value, "normalise") != NULL || yaml_get(value, "codes") != NULL))
        return yaml_error(value, reader->err, "MAPPING_NORMALISER",
                          "a chain is for a column; what is taken from a field is canonical");
    return take == NULL ? 0 : mapping_read_take(reader, take, leaf);
}

int mapping_read_value(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf)
{
    static const char *const keys[] = { "from",        "coalesce", "from_field", "separator",
                                        "normalise",   "codes",    "constant",   "default",
                                        "null_values", "required", "utc_offset", "on_error",
                                        "child",       "fields",   NULL };
    bool full = yaml_kind(value) == YAML_MAPPING;
    const struct yaml_node *constant = yaml_get(value, "constant");
    if (full && yaml_check_keys(value, keys, reader->err) != 0)
        return -1;
    if (constant != NULL && yaml_count(value) > 1)
        return yaml_error(value, reader->err, "MAPPING_INVALID",
                          "a constant field takes nothing else");
    if (constant != NULL)
        return mapping_read_fixed(reader, constant, leaf, &leaf->constant);
    if (full ? read_origin(reader, value, leaf) != 0 : mapping_read_parts(reader, value, leaf) != 0)
        return -1;
    if (mapping_read_steps(reader, value, leaf) != 0 ||
        mapping_read_options(reader, value, leaf) != 0)
        return -1;
    const char *problem = leaf->part_count == 0 ? NULL : shape_problem(reader, leaf);
    return problem == NULL ? 0 : yaml_error(value, reader->err, "MAPPING_SHAPE", "%s", problem);
}

static int read_leaf(struct mapping_reader *reader, const struct yaml_node *key,
                     const struct yaml_node *value, struct mapping_leaf *leaf)
{
    const struct yaml_node *child = yaml_get(value, "child"), *fields = yaml_get(value, "fields");
    if (mapping_read_path(reader, key, leaf) != 0)
        return -1;
    if (child != NULL)
        return mapping_read_child(reader, value, leaf);
    if (fields != NULL)
        return yaml_error(fields, reader->err, "MAPPING_CHILD",
                          "fields stand beside a child table; a nested message is written "
                          "\"message.field: ...\"");
    return mapping_read_value(reader, value, leaf);
}

int mapping_leaf_read(struct schema_mapping *mapping, const struct mapping_context *context,
                      const struct yaml_node *types, const struct yaml_node *key,
                      const struct yaml_node *value, struct mapping_leaf *leaf, struct err *err)
{
    struct mapping_reader reader = { .mapping = mapping,
                                     .context = context,
                                     .arena = context->env.arena,
                                     .err = err,
                                     .own = { .message = mapping->dataset.type,
                                              .prefix = "",
                                              .columns = mapping->columns,
                                              .column_count = &mapping->column_count,
                                              .types = types,
                                              .leaves = mapping->leaves,
                                              .leaf_count = &mapping->leaf_count } };
    reader.scope = &reader.own;
    if (yaml_get(value, "child") != NULL || yaml_get(value, "from_field") != NULL)
        return yaml_error(value, err, "MAPPING_WRITE",
                          "only columns of the table can be written: give \"from\"");
    if (read_leaf(&reader, key, value, leaf) != 0)
        return -1;
    mapping_leaf_analyse(mapping, leaf);
    return 0;
}

int mapping_read_fields(struct mapping_reader *reader, const struct yaml_node *fields)
{
    struct mapping_scope *scope = reader->scope;
    for (size_t i = 0; i < yaml_count(fields); i++) {
        struct mapping_leaf *leaf = &scope->leaves[i];
        int result = read_leaf(reader, yaml_key(fields, i), yaml_value(fields, i), leaf);
        (*scope->leaf_count)++; /* also when it failed: its steps must be disposed of */
        if (result != 0)
            return -1;
    }
    return 0;
}
