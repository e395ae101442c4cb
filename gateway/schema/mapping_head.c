/* The head of a mapping: titles, type, source, sharing. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"

int mapping_read_text(struct mapping_reader *reader, const struct yaml_node *root, const char *key,
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

static int read_titles(struct mapping_reader *reader, const struct yaml_node *root)
{
    static const char *const keys[] = { "en", "zh", NULL };
    const struct yaml_node *title = yaml_get(root, "title");
    if (title == NULL)
        return yaml_error(root, reader->err, "MAPPING_INVALID",
                          "\"title\" is missing; add title: {en: ..., zh: ...}");
    struct schema_dataset *dataset = &reader->mapping->dataset;
    if (yaml_check_keys(title, keys, reader->err) != 0 ||
        mapping_read_text(reader, title, "en", &dataset->title) != 0 ||
        mapping_read_text(reader, title, "zh", &dataset->title_zh) != 0)
        return -1;
    return 0;
}

static int read_sharing(struct mapping_reader *reader, const struct yaml_node *root)
{
    static const char *const names[] = { "open", "conditional", "denied" };
    const char *text = NULL;
    if (mapping_read_text(reader, root, "sharing", &text) != 0)
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

int mapping_read_table(struct mapping_reader *reader, const struct yaml_node *table_node,
                       const struct yaml_node *schema_node, const char **schema_r,
                       const char **table_r, const char **quoted_r)
{
    *schema_r = "public";
    if (mapping_read_identifier(reader, table_node, "the table's name", table_r) != 0)
        return -1;
    if (schema_node != NULL &&
        mapping_read_identifier(reader, schema_node, "the schema's name", schema_r) != 0)
        return -1;
    *quoted_r = arena_format(reader->arena, "%s.%s", mapping_quote(reader->arena, *schema_r, '"'),
                             mapping_quote(reader->arena, *table_r, '"'));
    return 0;
}

static int read_source(struct mapping_reader *reader, const struct yaml_node *root)
{
    const struct yaml_node *table = yaml_get(root, "table"), *query = yaml_get(root, "query");
    const struct yaml_node *schema = yaml_get(root, "schema");
    const struct yaml_node *collation = yaml_get(root, "collation");
    const char *schema_name = NULL, *table_name = NULL;
    if (table == NULL && query == NULL)
        return yaml_error(root, reader->err, "MAPPING_INVALID",
                          "\"table\" is missing; add it, or a \"query\"");
    if (query != NULL && (table != NULL || schema != NULL))
        return yaml_error(query, reader->err, "MAPPING_INVALID",
                          "table (with schema) and query exclude each other; keep one");
    struct schema_mapping *mapping = reader->mapping;
    if (query != NULL ? mapping_read_query(reader, query) != 0
                      : mapping_read_table(reader, table, schema, &schema_name, &table_name,
                                           &mapping->table_quoted) != 0)
        return -1;
    if (query == NULL)
        mapping->source_sql = mapping->table_quoted;
    if (collation != NULL && strcmp(yaml_text(collation), "C") != 0)
        return yaml_error(collation, reader->err, "MAPPING_INVALID",
                          "collation can only be C (also for C.UTF-8 and POSIX); leave it out for "
                          "any other");
    mapping->collation_c = collation != NULL;
    return 0;
}

static int read_type_of_record(struct mapping_reader *reader, const struct yaml_node *root)
{
    const char *name = NULL;
    if (mapping_read_text(reader, root, "type", &name) != 0)
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

int mapping_read_head(struct mapping_reader *reader, const struct yaml_node *root)
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
        mapping_read_text(reader, root, "source", &dataset->source) != 0 ||
        read_source(reader, root) != 0 || read_sharing(reader, root) != 0)
        return -1;
    dataset->department = arena_strdup(reader->arena, reader->context->department);
    dataset->name =
        arena_format(reader->arena, "%s/%s", reader->context->department, reader->context->dataset);
    reader->own.types = yaml_get(root, "columns");
    if (reader->own.types != NULL &&
        yaml_expect(reader->own.types, YAML_MAPPING, "columns", reader->err) != 0)
        return -1;
    return 0;
}
