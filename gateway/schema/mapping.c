#include "schema/mapping.h"

#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"
#include "schema/mapping_write.h"
#include "schema/plan_sql.h"

static const char *const root_keys[] = { "version",  "title",     "type",    "source",
                                         "schema",   "table",     "query",   "collation",
                                         "sharing",  "key",       "columns", "fields",
                                         "quality",  "freshness", "expect",  "duplicates",
                                         "escalate", "write",     NULL };

/* Everything that qualifies a column calls the source "source". */
static void make_from(struct mapping_reader *reader)
{
    struct schema_mapping *mapping = reader->mapping;
    bool alias = mapping->table_quoted == NULL;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        alias = alias || mapping->leaves[i].child != NULL;
    mapping->from_sql = !alias
                            ? mapping->source_sql
                            : arena_format(reader->arena, "%s AS \"source\"", mapping->source_sql);
}

static void open_scope(struct mapping_reader *reader, const struct yaml_node *fields)
{
    struct schema_mapping *mapping = reader->mapping;
    struct arena *arena = reader->arena;
    size_t count = yaml_count(fields);
    mapping->columns = arena_array(arena, MAPPING_COLUMNS_MAX, sizeof *mapping->columns);
    mapping->leaves = arena_array(arena, count, sizeof *mapping->leaves);
    reader->takes = arena_array(arena, count, sizeof(const struct yaml_node *));
    reader->own.message = mapping->dataset.type;
    reader->own.prefix = "";
    reader->own.columns = mapping->columns;
    reader->own.column_count = &mapping->column_count;
    reader->own.leaves = mapping->leaves;
    reader->own.leaf_count = &mapping->leaf_count;
    reader->scope = &reader->own;
}

static int read_body(struct mapping_reader *reader, const struct yaml_node *root)
{
    struct schema_mapping *mapping = reader->mapping;
    const struct yaml_node *fields = yaml_get(root, "fields");
    if (fields == NULL)
        return yaml_error(root, reader->err, "MAPPING_INVALID",
                          "the mapping has no fields; add \"fields:\"");
    if (yaml_expect(fields, YAML_MAPPING, "fields", reader->err) != 0)
        return -1;
    if (yaml_count(fields) == 0 || yaml_count(fields) > MAPPING_LEAVES_MAX)
        return yaml_error(fields, reader->err, "MAPPING_INVALID", "fields needs 1 to %d entries",
                          MAPPING_LEAVES_MAX);
    open_scope(reader, fields);
    if (mapping_read_fields(reader, fields) != 0 || mapping_resolve_takes(reader) != 0)
        return -1;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        mapping_leaf_analyse(mapping, &mapping->leaves[i]);
    if (mapping_read_key(reader, root) != 0 || mapping_read_rules(reader, root) != 0)
        return -1;
    const struct yaml_node *write = yaml_get(root, "write");
    if (write != NULL &&
        mapping_write_read(mapping, write, reader->context, &mapping->write, reader->err) != 0)
        return -1;
    return mapping_check_types(reader, &reader->own);
}

struct schema_mapping *mapping_read(const struct yaml_node *root,
                                    const struct mapping_context *context, struct err *err)
{
    struct arena *arena = context->env.arena;
    struct schema_mapping *mapping = arena_alloc(arena, sizeof *mapping);
    struct mapping_reader reader = {
        .mapping = mapping, .context = context, .arena = arena, .err = err
    };
    if (yaml_check_keys(root, root_keys, err) != 0 || mapping_read_head(&reader, root) != 0 ||
        read_body(&reader, root) != 0) {
        mapping_fini(mapping);
        return NULL;
    }
    make_from(&reader);
    mapping->probe_sql = plan_probe_sql(mapping, arena);
    mapping->dataset.mapping = mapping;
    return mapping;
}

void mapping_leaf_fini(struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->dispose != NULL && leaf->steps[i].config != NULL)
            leaf->steps[i].kind->dispose(leaf->steps[i].config);
    leaf->step_count = 0;
    for (size_t i = 0; leaf->child != NULL && i < leaf->child->leaf_count; i++)
        mapping_leaf_fini(&leaf->child->leaves[i]);
}

void mapping_fini(struct schema_mapping *mapping)
{
    for (size_t i = 0; i < mapping->leaf_count; i++)
        mapping_leaf_fini(&mapping->leaves[i]);
    mapping->leaf_count = 0;
    mapping_write_fini(mapping->write);
    mapping->write = NULL;
}

const struct mapping_leaf *mapping_leaf_of(const struct schema_mapping *mapping,
                                           const struct schema_field *field)
{
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (mapping->leaves[i].depth == 1 && mapping->leaves[i].field == field)
            return &mapping->leaves[i];
    return NULL;
}
