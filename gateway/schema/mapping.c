#include "schema/mapping.h"

#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"
#include "schema/mapping_write.h"

enum { PROBE_BYTES_MAX = 1024 * 1024 }; /* 1,600 columns and a query */

/* Everything that qualifies a column calls the source "source". */
static void make_from(struct mapping_reader *reader)
{
    struct schema_mapping *mapping = reader->mapping;
    bool plain = mapping->table_quoted != NULL;
    mapping->from_sql = plain
                            ? mapping->source_sql
                            : arena_format(reader->arena, "%s AS \"source\"", mapping->source_sql);
}

static void make_probe(struct mapping_reader *reader)
{
    struct schema_mapping *mapping = reader->mapping;
    struct buf sql;
    buf_init(&sql, PROBE_BYTES_MAX);
    buf_append_str(&sql, "SELECT ");
    for (size_t i = 0; i < mapping->column_count; i++)
        buf_append_format(&sql, "%s%s", i > 0 ? ", " : "", mapping->columns[i].quoted);
    buf_append_format(&sql, " FROM %s LIMIT 0", mapping->from_sql);
    mapping->probe_sql = arena_strndup(reader->arena, (const char *)sql.data, sql.len);
    buf_fini(&sql);
}

struct schema_mapping *mapping_read(const struct yaml_node *root,
                                    const struct mapping_context *context, struct err *err)
{
    static const char *const keys[] = { "version", "title",  "type",      "source",  "schema",
                                        "table",   "query",  "collation", "sharing", "key",
                                        "columns", "fields", "write",     NULL };
    struct arena *arena = context->env.arena;
    struct schema_mapping *mapping = arena_alloc(arena, sizeof *mapping);
    struct mapping_reader reader = {
        .mapping = mapping, .context = context, .arena = arena, .err = err
    };
    if (yaml_check_keys(root, keys, err) != 0)
        return NULL;
    const struct yaml_node *fields = yaml_get(root, "fields");
    if (mapping_read_head(&reader, root) != 0)
        return NULL;
    if (fields == NULL) {
        yaml_error(root, err, "MAPPING_INVALID", "the mapping has no fields; add \"fields:\"");
        return NULL;
    }
    const struct yaml_node *write = yaml_get(root, "write");
    if (mapping_read_fields(&reader, fields) != 0 || mapping_read_key(&reader, root) != 0 ||
        (write != NULL && mapping_write_read(mapping, write, context, &mapping->write, err) != 0)) {
        mapping_fini(mapping);
        return NULL;
    }
    make_from(&reader);
    make_probe(&reader);
    mapping->dataset.mapping = mapping;
    return mapping;
}

void mapping_leaf_fini(struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->step_count; i++)
        if (leaf->steps[i].kind->dispose != NULL && leaf->steps[i].config != NULL)
            leaf->steps[i].kind->dispose(leaf->steps[i].config);
    leaf->step_count = 0;
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
