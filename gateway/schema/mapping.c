#include "schema/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/program.h"

struct reader {
    struct schema_mapping *mapping;
    const struct mapping_context *context;
    struct arena *arena;
    struct err *err;
    const struct yaml_node *types; /* the `columns` mapping, or NULL */
};

static int read_head(struct reader *reader, const struct yaml_node *root);
static int read_fields(struct reader *reader, const struct yaml_node *fields);
static int read_key(struct reader *reader, const struct yaml_node *root);
static void make_probe(struct reader *reader);

struct schema_mapping *mapping_read(const struct yaml_node *root,
                                    const struct mapping_context *context, struct err *err)
{
    static const char *const keys[] = { "version", "title",   "type",      "source",
                                        "schema",  "table",   "collation", "sharing",
                                        "key",     "columns", "fields",    NULL };
    struct arena *arena = context->env.arena;
    struct schema_mapping *mapping = arena_alloc(arena, sizeof *mapping);
    struct reader reader = { .mapping = mapping, .context = context, .arena = arena, .err = err };
    if (yaml_check_keys(root, keys, err) != 0)
        return NULL;
    const struct yaml_node *fields = yaml_get(root, "fields");
    if (read_head(&reader, root) != 0)
        return NULL;
    if (fields == NULL) {
        yaml_error(root, err, "MAPPING_INVALID", "the mapping has no fields; add \"fields:\"");
        return NULL;
    }
    if (read_fields(&reader, fields) != 0 || read_key(&reader, root) != 0) {
        mapping_fini(mapping);
        return NULL;
    }
    make_probe(&reader);
    mapping->dataset.mapping = mapping;
    return mapping;
}

void mapping_fini(struct schema_mapping *mapping)
{
    for (size_t i = 0; i < mapping->leaf_count; i++)
        for (size_t j = 0; j < mapping->leaves[i].step_count; j++) {
            const struct normaliser_step *step = &mapping->leaves[i].steps[j];
            if (step->kind->dispose != NULL && step->config != NULL)
                step->kind->dispose(step->config);
        }
    mapping->leaf_count = 0;
}

const struct mapping_leaf *mapping_leaf_of(const struct schema_mapping *mapping,
                                           const struct schema_field *field)
{
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].depth == 1 && mapping->leaves[i].field == field)
            return &mapping->leaves[i];
    return NULL;
}

/* --- columns ------------------------------------------------------------------------------------
 */

static int read_identifier(struct reader *reader, const struct yaml_node *node, const char *what,
                           const char **name_r)
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
static int read_column(struct reader *reader, const struct yaml_node *node, size_t *column_r)
{
    struct schema_mapping *mapping = reader->mapping;
    const char *name = NULL;
    if (read_identifier(reader, node, "a column name", &name) != 0)
        return -1;
    for (size_t i = 0; i < mapping->column_count; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): set when the reader answers 0 */
        if (strcmp(mapping->columns[i].name, name) == 0) {
            *column_r = i;
            return 0;
        }
    if (mapping->column_count == MAPPING_COLUMNS_MAX)
        return yaml_error(node, reader->err, "MAPPING_INVALID", "the mapping has too many columns");
    struct mapping_column column = { .name = name,
                                     .quoted = mapping_quote(reader->arena, name, '"') };
    const struct yaml_node *type = reader->types == NULL ? NULL : yaml_get(reader->types, name);
    if (type != NULL && column_type_read(type, &column.type, reader->err) != 0)
        return -1;
    *column_r = mapping->column_count;
    mapping->columns[mapping->column_count++] = column;
    return 0;
}

/* --- head ---------------------------------------------------------------------------------------
 */

static int read_text(struct reader *reader, const struct yaml_node *root, const char *key,
                     const char **text_r)
{
    const struct yaml_node *node = yaml_get(root, key);
    if (node == NULL)
        return yaml_error(root, reader->err, "MAPPING_INVALID", "\"%s\" is missing; add it", key);
    if (yaml_expect(node, YAML_SCALAR, key, reader->err) != 0)
        return -1;
    if (yaml_text(node)[0] == '\0')
        return yaml_error(node, reader->err, "MAPPING_INVALID", "\"%s\" is empty", key);
    *text_r = arena_strdup(reader->arena, yaml_text(node));
    return 0;
}

static int read_titles(struct reader *reader, const struct yaml_node *root)
{
    static const char *const keys[] = { "en", "zh", NULL };
    const struct yaml_node *title = yaml_get(root, "title");
    if (title == NULL)
        return yaml_error(root, reader->err, "MAPPING_INVALID",
                          "\"title\" is missing; add title: {en: ..., zh: ...}");
    struct schema_dataset *dataset = &reader->mapping->dataset;
    if (yaml_check_keys(title, keys, reader->err) != 0 ||
        read_text(reader, title, "en", &dataset->title) != 0 ||
        read_text(reader, title, "zh", &dataset->title_zh) != 0)
        return -1;
    return 0;
}

static int read_sharing(struct reader *reader, const struct yaml_node *root)
{
    static const char *const names[] = { "open", "conditional", "denied" };
    const char *text = NULL;
    if (read_text(reader, root, "sharing", &text) != 0)
        return -1;
    for (size_t i = 0; i < 3; i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): set when the reader answers 0 */
        if (strcmp(names[i], text) == 0) {
            reader->mapping->dataset.sharing = (enum schema_sharing)(i + 1);
            return 0;
        }
    return yaml_error(yaml_get(root, "sharing"), reader->err, "MAPPING_INVALID",
                      "sharing must be open, conditional or denied");
}

static int read_table(struct reader *reader, const struct yaml_node *root)
{
    const char *schema = "public", *table = NULL;
    const struct yaml_node *node = yaml_get(root, "table");
    if (node == NULL)
        return yaml_error(root, reader->err, "MAPPING_INVALID", "\"table\" is missing; add it");
    if (read_identifier(reader, node, "the table's name", &table) != 0)
        return -1;
    node = yaml_get(root, "schema");
    if (node != NULL && read_identifier(reader, node, "the schema's name", &schema) != 0)
        return -1;
    reader->mapping->table_quoted =
        arena_format(reader->arena, "%s.%s", mapping_quote(reader->arena, schema, '"'),
                     mapping_quote(reader->arena, table, '"'));
    node = yaml_get(root, "collation");
    if (node != NULL && strcmp(yaml_text(node), "C") != 0)
        return yaml_error(node, reader->err, "MAPPING_INVALID",
                          "collation can only be C (also for C.UTF-8 and POSIX); leave it out for "
                          "any other");
    reader->mapping->collation_c = node != NULL;
    return 0;
}

static int read_type_of_record(struct reader *reader, const struct yaml_node *root)
{
    const char *name = NULL;
    if (read_text(reader, root, "type", &name) != 0)
        return -1;
    const struct schema_message *type = schema_set_message(reader->context->types, name);
    if (type == NULL)
        return yaml_error(yaml_get(root, "type"), reader->err, "MAPPING_TYPE",
                          "there is no canonical type \"%.128s\"; write its full name, such as "
                          "gov.division.v1.Division",
                          name);
    reader->mapping->dataset.type = type;
    return 0;
}

static int read_head(struct reader *reader, const struct yaml_node *root)
{
    struct schema_dataset *dataset = &reader->mapping->dataset;
    const struct yaml_node *version = yaml_get(root, "version");
    int64_t number = 0;
    if (version == NULL)
        return yaml_error(root, reader->err, "MAPPING_INVALID",
                          "\"version\" is missing; add version: 1");
    if (yaml_read_int(version, 1, 1, &number, reader->err) != 0)
        return -1;
    if (read_titles(reader, root) != 0 || read_type_of_record(reader, root) != 0 ||
        read_text(reader, root, "source", &dataset->source) != 0 || read_table(reader, root) != 0 ||
        read_sharing(reader, root) != 0)
        return -1;
    dataset->department = arena_strdup(reader->arena, reader->context->department);
    dataset->name =
        arena_format(reader->arena, "%s/%s", reader->context->department, reader->context->dataset);
    reader->types = yaml_get(root, "columns");
    if (reader->types != NULL &&
        yaml_expect(reader->types, YAML_MAPPING, "columns", reader->err) != 0)
        return -1;
    return 0;
}

/* --- one field ----------------------------------------------------------------------------------
 */

static const struct yaml_node *field_option(const struct yaml_node *value, const char *key)
{
    return yaml_kind(value) == YAML_MAPPING ? yaml_get(value, key) : NULL;
}

static int unknown_field(struct reader *reader, const struct yaml_node *at,
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
static int read_path(struct reader *reader, const struct yaml_node *key, struct mapping_leaf *leaf)
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
            return unknown_field(reader, key, message, name, len);
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

static int read_part_shape(struct reader *reader, const struct yaml_node *node,
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
            read_text(reader, split, "separator", &part->rest) != 0)
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

static int read_part(struct reader *reader, const struct yaml_node *node, struct mapping_part *part)
{
    const struct yaml_node *column = node;
    if (yaml_kind(node) == YAML_MAPPING) {
        if (read_part_shape(reader, node, part) != 0)
            return -1;
        column = yaml_get(node, "column");
        if (column == NULL)
            return yaml_error(node, reader->err, "MAPPING_PART", "\"column\" is missing; add it");
    }
    if (read_column(reader, column, &part->column) != 0)
        return -1;
    if (part->kind != PART_WHOLE && !column_is_text(reader->mapping->columns[part->column].type))
        return yaml_error(column, reader->err, "MAPPING_PART", "only a text column can be cut");
    return 0;
}

static int read_parts(struct reader *reader, const struct yaml_node *from,
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

static int add_step(struct reader *reader, struct mapping_leaf *leaf, struct normaliser_step *steps,
                    const struct yaml_node *node)
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

static int read_steps(struct reader *reader, const struct yaml_node *value,
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

static int read_nulls(struct reader *reader, const struct yaml_node *nulls,
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
static int read_offset(struct reader *reader, const struct yaml_node *node,
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
static int read_fixed(struct reader *reader, const struct yaml_node *node,
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
static const char *shape_problem(const struct reader *reader, const struct mapping_leaf *leaf)
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

static int read_options(struct reader *reader, const struct yaml_node *value,
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

static int read_leaf(struct reader *reader, const struct yaml_node *key,
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
    if (read_parts(reader, from, leaf) != 0 || read_steps(reader, value, leaf) != 0 ||
        read_options(reader, value, leaf) != 0)
        return -1;
    const char *problem = shape_problem(reader, leaf);
    if (problem != NULL)
        return yaml_error(value, reader->err, "MAPPING_SHAPE", "%s", problem);
    return 0;
}

static int read_fields(struct reader *reader, const struct yaml_node *fields)
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

/* --- key ----------------------------------------------------------------------------------------
 */

static int key_error(struct reader *reader, const struct yaml_node *root, const char *sentence)
{
    const struct yaml_node *key = yaml_get(root, "key");
    return yaml_error(key != NULL ? key : root, reader->err, "MAPPING_KEY", "%s", sentence);
}

static int collect_key(struct reader *reader, const struct yaml_node *root,
                       const struct schema_field **fields, size_t *count_r)
{
    const struct schema_message *type = reader->mapping->dataset.type;
    const struct yaml_node *key = yaml_get(root, "key");
    size_t count = 0;
    if (key != NULL) {
        if (yaml_expect(key, YAML_SEQUENCE, "key", reader->err) != 0)
            return -1;
        for (; count < yaml_count(key) && count < MAPPING_PARTS_MAX; count++) {
            const char *name = yaml_text(yaml_item(key, count));
            fields[count] = schema_message_field(type, name, strlen(name));
            if (fields[count] == NULL)
                return unknown_field(reader, yaml_item(key, count), type, name, strlen(name));
        }
    } else {
        for (uint32_t wanted = 1; wanted <= MAPPING_PARTS_MAX; wanted++)
            for (size_t i = 0; i < type->field_count; i++)
                if (type->fields[i].key == wanted && count < MAPPING_PARTS_MAX)
                    fields[count++] = &type->fields[i];
    }
    *count_r = count;
    return count > 0 ? 0 : key_error(reader, root, "no field is the key; add key: [field]");
}

static bool key_type_fits(const struct schema_field *field)
{
    return !field->repeated && (field->type == SCHEMA_STRING || field->type == SCHEMA_INT64 ||
                                field->type == SCHEMA_INT32 || field->type == SCHEMA_UINT64 ||
                                field->type == SCHEMA_UINT32);
}

static int read_key(struct reader *reader, const struct yaml_node *root)
{
    struct schema_mapping *mapping = reader->mapping;
    const struct schema_field *fields[MAPPING_PARTS_MAX];
    size_t count = 0, order_count = 0;
    if (collect_key(reader, root, fields, &count) != 0)
        return -1;
    mapping->key = arena_array(reader->arena, count, sizeof *mapping->key);
    size_t *order = arena_array(reader->arena, count * MAPPING_PARTS_MAX, sizeof *order);
    mapping->key_exact = true;
    for (size_t i = 0; i < count; i++) {
        struct mapping_leaf *leaf = NULL;
        for (size_t j = 0; j < mapping->leaf_count; j++)
            if (mapping->leaves[j].depth == 1 && mapping->leaves[j].field == fields[i])
                leaf = &mapping->leaves[j];
        if (leaf == NULL)
            return key_error(reader, root, "a key field is not mapped; map it");
        bool reversible =
            leaf->back == LEAF_NATIVE || leaf->back == LEAF_FORMS || leaf->back == LEAF_PARTS;
        if (!key_type_fits(leaf->field) || !reversible || leaf->fallback != NULL)
            return key_error(
                reader, root,
                "a key field cannot be looked up: its mapping must lead back to columns "
                "(fixed-width parts, cn_id, codes or none) and have no default");
        leaf->required = true;
        mapping->key[i] = leaf;
        mapping->key_exact = mapping->key_exact && mapping_leaf_exact(leaf);
        for (size_t j = 0; j < leaf->part_count; j++) {
            size_t k = 0;
            while (k < order_count && order[k] != leaf->parts[j].column)
                k++;
            if (k < order_count)
                return key_error(reader, root, "a column may be used once in the key");
            order[order_count++] = leaf->parts[j].column;
        }
    }
    mapping->order = order;
    mapping->order_count = order_count;
    mapping->dataset.key = arena_dup(reader->arena, fields, count * sizeof *fields);
    mapping->dataset.key_count = count;
    return 0;
}

static void make_probe(struct reader *reader)
{
    struct schema_mapping *mapping = reader->mapping;
    struct buf sql;
    buf_init(&sql, MAPPING_COLUMNS_MAX * 160);
    buf_append_str(&sql, "SELECT ");
    for (size_t i = 0; i < mapping->column_count; i++)
        buf_append_format(&sql, "%s%s", i > 0 ? ", " : "", mapping->columns[i].quoted);
    buf_append_format(&sql, " FROM %s LIMIT 0", mapping->table_quoted);
    mapping->probe_sql = arena_strndup(reader->arena, (const char *)sql.data, sql.len);
    buf_fini(&sql);
}
