/* The key of a mapping: canonical fields that lead back to columns. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"

static int key_error(struct mapping_reader *reader, const struct yaml_node *root,
                     const char *sentence)
{
    const struct yaml_node *key = yaml_get(root, "key");
    return yaml_error(key != NULL ? key : root, reader->err, "MAPPING_KEY", "%s", sentence);
}

static int collect_key(struct mapping_reader *reader, const struct yaml_node *root,
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
                return mapping_unknown_field(reader, yaml_item(key, count), type, name,
                                             strlen(name));
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

/* Of these a literal that cannot be a value is known before it is sent, and an index finds it. */
static bool columns_are_keys(const struct schema_mapping *mapping, const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->part_count; i++) {
        enum column_type type = mapping->columns[leaf->parts[i].column].type;
        if (!column_is_text(type) && !column_is_integer(type) && type != COLUMN_UUID &&
            type != COLUMN_DATE && type != COLUMN_NUMERIC)
            return false;
    }
    return true;
}

int mapping_read_key(struct mapping_reader *reader, const struct yaml_node *root)
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
            (leaf->back == LEAF_NATIVE || leaf->back == LEAF_FORMS || leaf->back == LEAF_PARTS) &&
            !leaf->coalesce && columns_are_keys(mapping, leaf);
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
