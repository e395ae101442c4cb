/* What holds for a whole dataset: duplicates, warnings that reject, thresholds, freshness. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/mapping_reader.h"

enum {
    CODES_MAX = 64,
    CODE_BYTES_MAX = 64,
    EXPECTATIONS_MAX = 64,
    MILLION = 1000000,
};

/* --- duplicates --------------------------------------------------------------------------------- */

static bool is_ordered(enum column_type type)
{
    return type != COLUMN_JSON && type != COLUMN_JSONB && type != COLUMN_ARRAY &&
           type != COLUMN_BYTEA;
}

static int read_duplicates(struct mapping_reader *reader, const struct yaml_node *node)
{
    static const char *const keys[] = { "keep", "by", NULL };
    struct schema_mapping *mapping = reader->mapping;
    if (yaml_kind(node) == YAML_SCALAR && strcmp(yaml_text(node), "reject") == 0) {
        mapping->duplicates = DUPLICATES_REJECT;
        return 0;
    }
    if (yaml_kind(node) != YAML_MAPPING)
        return yaml_error(node, reader->err, "MAPPING_DUPLICATES",
                          "duplicates must be reject or {keep: first, last or newest, by: column}");
    const struct yaml_node *keep = yaml_get(node, "keep"), *by = yaml_get(node, "by");
    if (yaml_check_keys(node, keys, reader->err) != 0)
        return -1;
    const char *text = keep == NULL ? "" : yaml_text(keep);
    bool newest = strcmp(text, "newest") == 0;
    if (strcmp(text, "first") == 0)
        mapping->duplicates = DUPLICATES_FIRST;
    else if (newest || strcmp(text, "last") == 0)
        mapping->duplicates = DUPLICATES_LAST;
    else
        return yaml_error(keep != NULL ? keep : node, reader->err, "MAPPING_DUPLICATES",
                          "keep must be first, last or newest");
    if (by == NULL)
        return yaml_error(node, reader->err, "MAPPING_DUPLICATES",
                          "\"by\" is missing: rows have no order of their own; name a column");
    if (mapping_read_column(reader, by, &mapping->duplicates_column) != 0)
        return -1;
    enum column_type type = mapping->columns[mapping->duplicates_column].type;
    if (newest && type != COLUMN_DATE && type != COLUMN_TIMESTAMP && type != COLUMN_TIMESTAMPTZ)
        return yaml_error(by, reader->err, "MAPPING_DUPLICATES",
                          "newest needs a date or timestamp column; declare the column's type, or "
                          "use last");
    if (!is_ordered(type))
        return yaml_error(by, reader->err, "MAPPING_DUPLICATES",
                          "a column of this type does not order rows");
    return 0;
}

/* --- warnings that reject ----------------------------------------------------------------------- */

static int read_escalate(struct mapping_reader *reader, const struct yaml_node *node)
{
    if (yaml_kind(node) != YAML_SEQUENCE || yaml_count(node) > CODES_MAX)
        return yaml_error(node, reader->err, "MAPPING_INVALID",
                          "escalate needs a list of at most %d warning codes", CODES_MAX);
    const char **codes = arena_array(reader->arena, yaml_count(node) + 1, sizeof *codes);
    for (size_t i = 0; i < yaml_count(node); i++) {
        const char *text = yaml_text(yaml_item(node, i));
        size_t len = strlen(text);
        if (len == 0 || len > CODE_BYTES_MAX ||
            strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != len)
            return yaml_error(yaml_item(node, i), reader->err, "MAPPING_INVALID",
                              "a code looks like CN_ID_CENTURY");
        codes[i] = arena_strdup(reader->arena, text);
    }
    reader->mapping->escalated = codes;
    reader->mapping->escalated_count = yaml_count(node);
    return 0;
}

/* --- quality ------------------------------------------------------------------------------------ */

/* "1%", "0.25%" exactly, as parts of a million. */
static int read_share(struct mapping_reader *reader, const struct yaml_node *node,
                      uint32_t *millionths_r)
{
    const char *at = yaml_text(node);
    uint64_t value = 0;
    int decimals = -1;
    bool any = false;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && decimals < 0 && any); at++) {
        if (*at == '.') {
            decimals = 0;
            continue;
        }
        any = true;
        decimals += decimals >= 0;
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > MILLION)
            break;
    }
    bool shaped = any && decimals != 0 && decimals <= 4 && strcmp(at, "%") == 0;
    for (int i = decimals < 0 ? 0 : decimals; i < 4; i++)
        value *= 10;
    if (!shaped || value > MILLION)
        return yaml_error(node, reader->err, "MAPPING_QUALITY",
                          "expected a share from 0%% to 100%% with at most four decimals, such as "
                          "\"0.5%%\"");
    *millionths_r = (uint32_t)value;
    return 0;
}

static int read_count(struct mapping_reader *reader, const struct yaml_node *node,
                      uint64_t *count_r)
{
    int64_t value = 0;
    if (yaml_read_int(node, 0, INT64_MAX, &value, reader->err) != 0)
        return -1;
    *count_r = (uint64_t)value;
    return 0;
}

static int read_quality(struct mapping_reader *reader, const struct yaml_node *node)
{
    static const char *const keys[] = { "quarantined_max", "quarantined_rows_max", "rows_min",
                                        NULL };
    struct schema_thresholds *limits = &reader->mapping->dataset.thresholds;
    const struct yaml_node *share = yaml_get(node, "quarantined_max");
    const struct yaml_node *rows = yaml_get(node, "quarantined_rows_max");
    const struct yaml_node *min = yaml_get(node, "rows_min");
    if (yaml_check_keys(node, keys, reader->err) != 0)
        return -1;
    if ((share != NULL && read_share(reader, share, &limits->quarantined_per_million_max) != 0) ||
        (rows != NULL && read_count(reader, rows, &limits->quarantined_rows_max) != 0) ||
        (min != NULL && read_count(reader, min, &limits->rows_min) != 0))
        return -1;
    if ((share != NULL && limits->quarantined_per_million_max == 0) ||
        (rows != NULL && limits->quarantined_rows_max == 0))
        return yaml_error(share != NULL ? share : rows, reader->err, "MAPPING_QUALITY",
                          "a limit must be above 0; the smallest share is \"0.0001%%\"");
    return 0;
}

/* --- freshness and completeness ----------------------------------------------------------------- */

/* A mapped top-level field by its name. */
static const struct schema_field *read_field(struct mapping_reader *reader,
                                             const struct yaml_node *node)
{
    const struct schema_message *type = reader->mapping->dataset.type;
    const char *name = yaml_text(node);
    const struct schema_field *field = schema_message_field(type, name, strlen(name));
    if (field == NULL) {
        (void)mapping_unknown_field(reader, node, type, name, strlen(name));
        return NULL;
    }
    for (size_t i = 0; i < reader->mapping->leaf_count; i++)
        if (reader->mapping->leaves[i].path[0] == field)
            return field;
    (void)yaml_error(node, reader->err, "MAPPING_QUALITY", "%s is not mapped in this dataset",
                     name);
    return NULL;
}

/* "7d" -> 604800; s, m, h, d, w. */
static int read_age(struct mapping_reader *reader, const struct yaml_node *node, int64_t *seconds_r)
{
    static const char units[] = "smhdw";
    static const int64_t seconds[] = { 1, 60, 3600, 86400, 7 * 86400 };
    const char *text = yaml_text(node);
    size_t digits = strspn(text, "0123456789");
    const char *unit = digits > 0 && digits <= 6 && text[digits] != '\0' && text[digits + 1] == '\0'
                           ? strchr(units, text[digits])
                           : NULL;
    int64_t value = 0;
    for (size_t i = 0; i < digits && unit != NULL; i++)
        value = value * 10 + (text[i] - '0');
    if (unit == NULL || value == 0)
        return yaml_error(node, reader->err, "MAPPING_QUALITY",
                          "max_age needs a number and a unit (s, m, h, d, w), such as 7d");
    *seconds_r = value * seconds[unit - units];
    return 0;
}

static int read_freshness(struct mapping_reader *reader, const struct yaml_node *node)
{
    enum { DATE = 8 };
    static const char *const keys[] = { "field", "max_age", NULL };
    struct schema_freshness *freshness = &reader->mapping->dataset.freshness;
    if (yaml_check_keys(node, keys, reader->err) != 0)
        return -1;
    if (yaml_get(node, "field") == NULL || yaml_get(node, "max_age") == NULL)
        return yaml_error(node, reader->err, "MAPPING_QUALITY",
                          "freshness needs {field: ..., max_age: ...}");
    freshness->field = read_field(reader, yaml_get(node, "field"));
    if (freshness->field == NULL ||
        read_age(reader, yaml_get(node, "max_age"), &freshness->max_age_s) != 0)
        return -1;
    const struct schema_field *field = freshness->field;
    bool instant = field->type == SCHEMA_MESSAGE &&
                   strcmp(field->message->full_name, "google.protobuf.Timestamp") == 0;
    bool date = field->type == SCHEMA_STRING && field->semantic == DATE;
    return !field->repeated && (instant || date)
               ? 0
               : yaml_error(yaml_get(node, "field"), reader->err, "MAPPING_QUALITY",
                            "freshness needs a time or a date field");
}

static int read_expect(struct mapping_reader *reader, const struct yaml_node *node)
{
    static const char *const keys[] = { "field", "present_min", NULL };
    struct schema_dataset *dataset = &reader->mapping->dataset;
    size_t count = yaml_count(node);
    if (yaml_kind(node) != YAML_SEQUENCE || count > EXPECTATIONS_MAX)
        return yaml_error(node, reader->err, "MAPPING_QUALITY",
                          "expect needs a list of at most %d entries {field: ..., present_min: "
                          "\"95%%\"}",
                          EXPECTATIONS_MAX);
    struct schema_expectation *list = arena_array(reader->arena, count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *item = yaml_item(node, i);
        if (yaml_check_keys(item, keys, reader->err) != 0)
            return -1;
        if (yaml_get(item, "field") == NULL || yaml_get(item, "present_min") == NULL)
            return yaml_error(item, reader->err, "MAPPING_QUALITY",
                              "an expectation needs {field: ..., present_min: ...}");
        list[i].field = read_field(reader, yaml_get(item, "field"));
        if (list[i].field == NULL || read_share(reader, yaml_get(item, "present_min"),
                                                &list[i].present_per_million_min) != 0)
            return -1;
    }
    dataset->expectations = list;
    dataset->expectation_count = count;
    return 0;
}

int mapping_read_rules(struct mapping_reader *reader, const struct yaml_node *root)
{
    static const struct {
        const char *key;
        int (*read)(struct mapping_reader *reader, const struct yaml_node *node);
    } rules[] = {
        { "duplicates", read_duplicates }, { "escalate", read_escalate },
        { "quality", read_quality },       { "freshness", read_freshness },
        { "expect", read_expect },
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct yaml_node *node = yaml_get(root, rules[i].key);
        if (node != NULL && rules[i].read(reader, node) != 0)
            return -1;
    }
    return 0;
}
