/* One canonical field: its path, chain, codes, null values and options. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/mapping_reader.h"
#include "schema/program.h"

static const struct yaml_node *field_option(const struct yaml_node *value, const char *key)
{
    return yaml_kind(value) == YAML_MAPPING ? yaml_get(value, key) : NULL;
}

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

/* "address.street" -> the fields on the way. */
static int read_path(struct mapping_reader *reader, const struct yaml_node *key,
                     struct mapping_leaf *leaf)
{
    const struct schema_field *path[MAPPING_DEPTH_MAX];
    const struct schema_message *message = reader->mapping->dataset.type;
    const char *name = yaml_text(key);
    leaf->name = arena_strdup(reader->arena, name);
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
    for (size_t i = 0; i < reader->mapping->leaf_count; i++) {
        const char *other = reader->mapping->leaves[i].name;
        size_t shorter = strlen(other) < strlen(leaf->name) ? strlen(other) : strlen(leaf->name);
        if (strncmp(other, leaf->name, shorter) == 0 &&
            (other[shorter] == '.' || leaf->name[shorter] == '.'))
            return yaml_error(key, reader->err, "MAPPING_FIELD",
                              "\"%s\" and \"%s\" cannot both be given", other, leaf->name);
    }
    return 0;
}

static int add_step(struct mapping_reader *reader, struct mapping_leaf *leaf,
                    struct normaliser_step *steps, const struct yaml_node *node)
{
    if (leaf->step_count == MAPPING_STEPS_MAX)
        return yaml_error(node, reader->err, "MAPPING_NORMALISER", "the chain is too long");
    if (normaliser_step_read(node, &reader->context->env, &steps[leaf->step_count], reader->err) !=
        0)
        return -1;
    leaf->step_count++;
    return 0;
}

/* The chain a field gets by its meaning when the mapping gives none. */
static const struct normaliser_kind *implied_step(const struct schema_field *field)
{
    enum { CITIZEN_ID = 1, CREDIT_CODE = 2, ORG_CODE = 3, MOBILE_NUMBER = 7 };
    if (field->type != SCHEMA_STRING)
        return NULL;
    switch (field->semantic) {
    case CITIZEN_ID:
        return &normaliser_cn_id;
    case CREDIT_CODE:
        return &normaliser_cn_uscc;
    case ORG_CODE:
        return &normaliser_cn_org;
    case MOBILE_NUMBER:
        return &normaliser_cn_mobile;
    default:
        return NULL;
    }
}

static int read_steps(struct mapping_reader *reader, const struct yaml_node *value,
                      struct mapping_leaf *leaf)
{
    const struct yaml_node *chain = field_option(value, "normalise");
    const struct yaml_node *codes = field_option(value, "codes");
    struct normaliser_step *steps = arena_array(reader->arena, MAPPING_STEPS_MAX, sizeof *steps);
    leaf->steps = steps;
    if (chain != NULL && yaml_kind(chain) != YAML_SEQUENCE)
        return add_step(reader, leaf, steps, chain);
    for (size_t i = 0; chain != NULL && i < yaml_count(chain); i++)
        if (add_step(reader, leaf, steps, yaml_item(chain, i)) != 0)
            return -1;
    if (codes != NULL) {
        if (leaf->step_count == MAPPING_STEPS_MAX)
            return yaml_error(codes, reader->err, "MAPPING_NORMALISER", "the chain is too long");
        struct normaliser_step *step = &steps[leaf->step_count];
        step->kind = &normaliser_codes;
        leaf->step_count++;
        return normaliser_codes.configure(codes, codes, &reader->context->env, &step->config,
                                          reader->err);
    }
    const struct normaliser_kind *implied = implied_step(leaf->field);
    if (chain == NULL && implied != NULL)
        steps[leaf->step_count++].kind = implied;
    return 0;
}

static int read_nulls(struct mapping_reader *reader, const struct yaml_node *nulls,
                      struct mapping_leaf *leaf)
{
    if (yaml_expect(nulls, YAML_SEQUENCE, "null_values", reader->err) != 0)
        return -1;
    if (yaml_count(nulls) > MAPPING_NULLS_MAX)
        return yaml_error(nulls, reader->err, "MAPPING_INVALID", "at most %d null_values",
                          MAPPING_NULLS_MAX);
    const char **texts = arena_array(reader->arena, yaml_count(nulls), sizeof *texts);
    for (size_t i = 0; i < yaml_count(nulls); i++) {
        if (yaml_expect(yaml_item(nulls, i), YAML_SCALAR, "a null value", reader->err) != 0)
            return -1;
        texts[i] = arena_strdup(reader->arena, yaml_text(yaml_item(nulls, i)));
    }
    leaf->nulls = texts;
    leaf->null_count = yaml_count(nulls);
    return 0;
}

/* "+08:00" -> 28800. */
static int read_offset(struct mapping_reader *reader, const struct yaml_node *node,
                       struct mapping_leaf *leaf)
{
    const char *text = yaml_text(node);
    bool shaped = strlen(text) == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':' &&
                  strspn(text + 1, "0123456789") == 2 && strspn(text + 4, "0123456789") == 2;
    long hours = shaped ? strtol(text + 1, NULL, 10) : 0;
    long minutes = shaped ? strtol(text + 4, NULL, 10) : 0;
    if (!shaped || hours > 15 || minutes > 59)
        return yaml_error(node, reader->err, "MAPPING_INVALID", "utc_offset must look like +08:00");
    leaf->utc_offset_s = (int)((text[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60));
    return 0;
}

/* A constant or default must be a value of the field: found now, not in the first row. */
static int read_fixed(struct mapping_reader *reader, const struct yaml_node *node,
                      const struct mapping_leaf *leaf, const char **text_r)
{
    if (yaml_expect(node, YAML_SCALAR, "a value", reader->err) != 0)
        return -1;
    struct buf unused;
    buf_init(&unused, 64 * 1024);
    const char *code = program_encode_text(leaf->field, (const uint8_t *)yaml_text(node),
                                           strlen(yaml_text(node)), &unused);
    buf_fini(&unused);
    if (code != NULL || leaf->field->repeated)
        return yaml_error(node, reader->err, "MAPPING_VALUE", "\"%.64s\" is no value of %s (%s)",
                          yaml_text(node), leaf->name, schema_field_type_name(leaf->field));
    *text_r = arena_strdup(reader->arena, yaml_text(node));
    return 0;
}

/* Which columns can feed which fields. */
static const char *shape_problem(const struct mapping_reader *reader,
                                 const struct mapping_leaf *leaf)
{
    const struct schema_field *field = leaf->field;
    enum column_type type = reader->mapping->columns[leaf->parts[0].column].type;
    bool single = leaf->part_count == 1 && leaf->parts[0].kind == PART_WHOLE;
    for (size_t i = 0; i < leaf->part_count; i++) {
        enum column_type part = reader->mapping->columns[leaf->parts[i].column].type;
        if (!single && (part == COLUMN_TEXT_ARRAY || part == COLUMN_BYTEA))
            return "an array or bytea column cannot be joined with others";
    }
    bool decodes = leaf->step_count > 0 && leaf->steps[0].kind->takes_bytes;
    for (size_t i = 1; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->takes_bytes)
            return "gb18030 must be the first step";
    if (decodes && type != COLUMN_BYTEA)
        return "gb18030 reads a bytea column; declare the column's type";
    if (type == COLUMN_BYTEA && !decodes && field->type != SCHEMA_BYTES)
        return "a bytea column feeds a bytes field, or goes through gb18030";
    if (field->map) {
        const struct schema_field *value = schema_message_number(field->message, 2);
        const struct schema_field *key = schema_message_number(field->message, 1);
        bool strings = key != NULL && value != NULL && key->type == SCHEMA_STRING &&
                       value->type == SCHEMA_STRING;
        if (!strings || !single || leaf->step_count > 0 ||
            (type != COLUMN_JSON && type != COLUMN_JSONB))
            return "a map field must be map<string, string> and come from one json or jsonb column "
                   "without a chain";
        return NULL;
    }
    if (field->repeated != (type == COLUMN_TEXT_ARRAY))
        return "a repeated field needs a text[] column, and only it";
    if (field->type == SCHEMA_MESSAGE &&
        (field->repeated || strcmp(field->message->full_name, "google.protobuf.Timestamp") != 0))
        return "a message field is filled field by field: write \"message.field: ...\"";
    return NULL;
}

static int read_options(struct mapping_reader *reader, const struct yaml_node *value,
                        struct mapping_leaf *leaf)
{
    const struct yaml_node *node = field_option(value, "separator");
    if (node != NULL) {
        if (yaml_expect(node, YAML_SCALAR, "separator", reader->err) != 0)
            return -1;
        leaf->separator = arena_strdup(reader->arena, yaml_text(node));
    }
    if ((node = field_option(value, "null_values")) != NULL && read_nulls(reader, node, leaf) != 0)
        return -1;
    if ((node = field_option(value, "required")) != NULL &&
        yaml_read_bool(node, &leaf->required, reader->err) != 0)
        return -1;
    if ((node = field_option(value, "default")) != NULL &&
        read_fixed(reader, node, leaf, &leaf->fallback) != 0)
        return -1;
    if (leaf->required && leaf->fallback != NULL)
        return yaml_error(value, reader->err, "MAPPING_INVALID",
                          "required and default exclude each other; keep one");
    bool naive = leaf->part_count == 1 &&
                 reader->mapping->columns[leaf->parts[0].column].type == COLUMN_TIMESTAMP;
    node = field_option(value, "utc_offset");
    if (node != NULL && read_offset(reader, node, leaf) != 0)
        return -1;
    if (naive && leaf->field->type == SCHEMA_MESSAGE && node == NULL)
        return yaml_error(value, reader->err, "MAPPING_INVALID",
                          "a timestamp without time zone needs utc_offset, for example +08:00");
    return 0;
}

static int read_leaf(struct mapping_reader *reader, const struct yaml_node *key,
                     const struct yaml_node *value, struct mapping_leaf *leaf)
{
    static const char *const keys[] = { "from",       "separator", "normalise",   "codes",
                                        "constant",   "default",   "null_values", "required",
                                        "utc_offset", NULL };
    const struct yaml_node *from = value;
    if (read_path(reader, key, leaf) != 0)
        return -1;
    if (yaml_kind(value) == YAML_MAPPING) {
        if (yaml_check_keys(value, keys, reader->err) != 0)
            return -1;
        const struct yaml_node *constant = yaml_get(value, "constant");
        if (constant != NULL && yaml_count(value) > 1)
            return yaml_error(value, reader->err, "MAPPING_INVALID",
                              "a constant field takes nothing else");
        if (constant != NULL)
            return read_fixed(reader, constant, leaf, &leaf->constant);
        from = yaml_get(value, "from");
        if (from == NULL)
            return yaml_error(value, reader->err, "MAPPING_INVALID",
                              "\"from\" or \"constant\" is missing; say where %s comes from",
                              leaf->name);
    }
    if (mapping_read_parts(reader, from, leaf) != 0 || read_steps(reader, value, leaf) != 0 ||
        read_options(reader, value, leaf) != 0)
        return -1;
    const char *problem = shape_problem(reader, leaf);
    if (problem != NULL)
        return yaml_error(value, reader->err, "MAPPING_SHAPE", "%s", problem);
    return 0;
}

int mapping_leaf_read(struct schema_mapping *mapping, const struct mapping_context *context,
                      const struct yaml_node *types, const struct yaml_node *key,
                      const struct yaml_node *value, struct mapping_leaf *leaf, struct err *err)
{
    struct mapping_reader reader = { .mapping = mapping,
                                     .context = context,
                                     .arena = context->env.arena,
                                     .err = err,
                                     .types = types };
    if (read_leaf(&reader, key, value, leaf) != 0)
        return -1;
    mapping_leaf_analyse(mapping, leaf);
    return 0;
}

int mapping_read_fields(struct mapping_reader *reader, const struct yaml_node *fields)
{
    struct schema_mapping *mapping = reader->mapping;
    if (yaml_expect(fields, YAML_MAPPING, "fields", reader->err) != 0)
        return -1;
    if (yaml_count(fields) == 0 || yaml_count(fields) > MAPPING_LEAVES_MAX)
        return yaml_error(fields, reader->err, "MAPPING_INVALID", "fields needs 1 to %d entries",
                          MAPPING_LEAVES_MAX);
    mapping->columns = arena_array(reader->arena, MAPPING_COLUMNS_MAX, sizeof *mapping->columns);
    mapping->leaves = arena_array(reader->arena, yaml_count(fields), sizeof *mapping->leaves);
    for (size_t i = 0; i < yaml_count(fields); i++) {
        struct mapping_leaf *leaf = &mapping->leaves[i];
        int result = read_leaf(reader, yaml_key(fields, i), yaml_value(fields, i), leaf);
        mapping->leaf_count++; /* also when it failed: its steps must be disposed of */
        if (result != 0)
            return -1;
        mapping_leaf_analyse(mapping, leaf);
    }
    for (size_t i = 0; reader->types != NULL && i < yaml_count(reader->types); i++) {
        const struct yaml_node *name = yaml_key(reader->types, i);
        size_t j = 0;
        while (j < mapping->column_count && strcmp(mapping->columns[j].name, yaml_text(name)) != 0)
            j++;
        if (j == mapping->column_count)
            return yaml_error(name, reader->err, "MAPPING_INVALID",
                              "no field reads the column \"%.64s\"; remove it", yaml_text(name));
    }
    return 0;
}
