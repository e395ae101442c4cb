/* What stands beside a field's columns: chain, codes, null values, constants, options. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/mapping_reader.h"
#include "schema/program.h"

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

int mapping_read_steps(struct mapping_reader *reader, const struct yaml_node *value,
                       struct mapping_leaf *leaf)
{
    const struct yaml_node *chain = yaml_get(value, "normalise");
    const struct yaml_node *codes = yaml_get(value, "codes");
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
        if (normaliser_step_configure(&normaliser_codes, codes, codes, &reader->context->env,
                                      &steps[leaf->step_count], reader->err) != 0)
            return -1;
        leaf->step_count++;
        return 0;
    }
    const struct normaliser_kind *implied = implied_step(leaf->field);
    if (chain == NULL && implied != NULL && leaf->part_count > 0)
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
int mapping_read_fixed(struct mapping_reader *reader, const struct yaml_node *node,
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

/* A bad value is left out only where the mapping says so, and never where the field must be there. */
static int read_on_error(struct mapping_reader *reader, const struct yaml_node *node,
                         struct mapping_leaf *leaf)
{
    const char *text = yaml_text(node);
    leaf->absent_on_error = strcmp(text, "absent") == 0;
    if (!leaf->absent_on_error && strcmp(text, "quarantine") != 0)
        return yaml_error(node, reader->err, "MAPPING_INVALID",
                          "on_error must be quarantine or absent");
    if (leaf->absent_on_error && leaf->required)
        return yaml_error(node, reader->err, "MAPPING_INVALID",
                          "a required field cannot be left out: on_error must be quarantine");
    return 0;
}

static bool naive(const struct mapping_reader *reader, const struct mapping_leaf *leaf)
{
    for (size_t i = 0; i < leaf->part_count; i++)
        if (reader->scope->columns[leaf->parts[i].column].type == COLUMN_TIMESTAMP)
            return true;
    return false;
}

int mapping_read_options(struct mapping_reader *reader, const struct yaml_node *value,
                         struct mapping_leaf *leaf)
{
    const struct yaml_node *node = yaml_get(value, "separator");
    if (node != NULL) {
        if (yaml_expect(node, YAML_SCALAR, "separator", reader->err) != 0)
            return -1;
        leaf->separator = arena_strdup(reader->arena, yaml_text(node));
    }
    if ((node = yaml_get(value, "null_values")) != NULL && read_nulls(reader, node, leaf) != 0)
        return -1;
    if ((node = yaml_get(value, "required")) != NULL &&
        yaml_read_bool(node, &leaf->required, reader->err) != 0)
        return -1;
    if ((node = yaml_get(value, "default")) != NULL &&
        mapping_read_fixed(reader, node, leaf, &leaf->fallback) != 0)
        return -1;
    if (leaf->required && leaf->fallback != NULL)
        return yaml_error(value, reader->err, "MAPPING_INVALID",
                          "required and default exclude each other; keep one");
    if ((node = yaml_get(value, "on_error")) != NULL && read_on_error(reader, node, leaf) != 0)
        return -1;
    node = yaml_get(value, "utc_offset");
    if (node != NULL && read_offset(reader, node, leaf) != 0)
        return -1;
    if (naive(reader, leaf) && leaf->field->type == SCHEMA_MESSAGE && node == NULL)
        return yaml_error(value, reader->err, "MAPPING_INVALID",
                          "a timestamp without time zone needs utc_offset, for example +08:00");
    return 0;
}
