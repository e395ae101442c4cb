/* from_field: a value taken from another field's canonical text. */
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"
#include "schema/program.h"

struct take_name {
    const char *name;
    enum leaf_take take;
    const char *samples[2]; /* values of this kind, to try on the field */
};

static const struct take_name take_names[] = {
    { "birth_date", TAKE_BIRTH_DATE, { "1990-01-01", "1990-01-01" } },
    { "sex", TAKE_SEX, { "1", "2" } },
    { "division", TAKE_DIVISION, { "110105", "110105" } },
};
enum { TAKE_COUNT = sizeof take_names / sizeof take_names[0] };

static int read_what(struct mapping_reader *reader, const struct yaml_node *node,
                     struct mapping_leaf *leaf)
{
    const char *text = yaml_text(node);
    size_t index = 0;
    while (index < TAKE_COUNT && strcmp(take_names[index].name, text) != 0)
        index++;
    if (index == TAKE_COUNT)
        return yaml_error(node, reader->err, "MAPPING_FROM_FIELD",
                          "take must be birth_date, sex or division");
    leaf->take = take_names[index].take;
    for (size_t i = 0; i < 2; i++) {
        const char *sample = take_names[index].samples[i];
        struct buf unused;
        buf_init(&unused, 1024);
        const char *code =
            program_encode_text(leaf->field, (const uint8_t *)sample, strlen(sample), &unused);
        buf_fini(&unused);
        if (code != NULL || leaf->field->repeated)
            return yaml_error(node, reader->err, "MAPPING_FROM_FIELD",
                              "%s (%s) cannot hold a %s, such as %s", leaf->name,
                              schema_field_type_name(leaf->field), text, sample);
    }
    return 0;
}

static int read_decides(struct mapping_reader *reader, const struct yaml_node *take,
                        struct mapping_leaf *leaf)
{
    const struct yaml_node *node = yaml_get(take, "decides");
    const char *text = node == NULL ? "" : yaml_text(node);
    if (leaf->part_count == 0)
        return node == NULL ? 0
                            : yaml_error(node, reader->err, "MAPPING_FROM_FIELD",
                                         "decides needs a column beside it to disagree with");
    leaf->field_decides = strcmp(text, "field") == 0;
    if (!leaf->field_decides && strcmp(text, "column") != 0)
        return yaml_error(node != NULL ? node : take, reader->err, "MAPPING_FROM_FIELD",
                          "with a column beside from_field, say which decides where they disagree: "
                          "decides: field or decides: column");
    return 0;
}

int mapping_read_take(struct mapping_reader *reader, const struct yaml_node *node,
                      struct mapping_leaf *leaf)
{
    static const char *const keys[] = { "field", "take", "decides", NULL };
    if (reader->scope != &reader->own)
        return yaml_error(node, reader->err, "MAPPING_FROM_FIELD",
                          "from_field works outside child tables only");
    if (yaml_check_keys(node, keys, reader->err) != 0)
        return -1;
    if (yaml_get(node, "field") == NULL || yaml_get(node, "take") == NULL)
        return yaml_error(node, reader->err, "MAPPING_FROM_FIELD",
                          "from_field needs {field: ..., take: birth_date, sex or division}");
    reader->takes[leaf - reader->scope->leaves] = node;
    return read_what(reader, yaml_get(node, "take"), leaf) != 0 ? -1
                                                                : read_decides(reader, node, leaf);
}

static int resolve(struct mapping_reader *reader, struct mapping_leaf *leaf,
                   const struct yaml_node *node)
{
    enum { CITIZEN_ID = 1 };
    const struct schema_mapping *mapping = reader->mapping;
    const char *name = yaml_text(node);
    for (size_t i = 0; i < mapping->leaf_count; i++) {
        const struct mapping_leaf *other = &mapping->leaves[i];
        if (strcmp(other->name, name) != 0)
            continue;
        if (other->part_count == 0 || reader->takes[i] != NULL || other->field->repeated ||
            other->field->type != SCHEMA_STRING || other->field->semantic != CITIZEN_ID)
            return yaml_error(node, reader->err, "MAPPING_FROM_FIELD",
                              "\"%.64s\" is no citizen number read from a column", name);
        leaf->taken = other;
        return 0;
    }
    const char *names[MAPPING_LEAVES_MAX];
    for (size_t i = 0; i < mapping->leaf_count; i++)
        names[i] = mapping->leaves[i].name;
    const char *near = yaml_nearest(name, strlen(name), names, mapping->leaf_count);
    return yaml_error(node, reader->err, "MAPPING_FROM_FIELD",
                      "this mapping has no field \"%.64s\"%s%s%s", name,
                      near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                      near != NULL ? "\"?" : "");
}

int mapping_resolve_takes(struct mapping_reader *reader)
{
    struct schema_mapping *mapping = reader->mapping;
    for (size_t i = 0; i < mapping->leaf_count; i++)
        if (reader->takes[i] != NULL &&
            resolve(reader, &mapping->leaves[i], yaml_get(reader->takes[i], "field")) != 0)
            return -1;
    return 0;
}
