/* Column types: names in mappings, oids in PostgreSQL. */
#include <string.h>

#include "conf/yaml.h"
#include "schema/mapping.h"

struct type_name {
    const char *name;
    enum column_type type;
};

static const struct type_name type_names[] = {
    { "text", COLUMN_TEXT },
    { "varchar", COLUMN_TEXT },
    { "char", COLUMN_CHAR },
    { "smallint", COLUMN_INT2 },
    { "int2", COLUMN_INT2 },
    { "integer", COLUMN_INT4 },
    { "int4", COLUMN_INT4 },
    { "bigint", COLUMN_INT8 },
    { "int8", COLUMN_INT8 },
    { "boolean", COLUMN_BOOL },
    { "bool", COLUMN_BOOL },
    { "real", COLUMN_FLOAT4 },
    { "float4", COLUMN_FLOAT4 },
    { "double", COLUMN_FLOAT8 },
    { "float8", COLUMN_FLOAT8 },
    { "numeric", COLUMN_NUMERIC },
    { "date", COLUMN_DATE },
    { "timestamp", COLUMN_TIMESTAMP },
    { "timestamptz", COLUMN_TIMESTAMPTZ },
    { "uuid", COLUMN_UUID },
    { "bytea", COLUMN_BYTEA },
    { "json", COLUMN_JSON },
    { "jsonb", COLUMN_JSONB },
    { "text[]", COLUMN_TEXT_ARRAY },
};
enum { TYPE_NAME_COUNT = sizeof type_names / sizeof type_names[0] };

const char *column_type_name(enum column_type type)
{
    for (size_t i = 0; i < TYPE_NAME_COUNT; i++)
        if (type_names[i].type == type)
            return type_names[i].name;
    return "unknown";
}

/* Type oids of PostgreSQL's pg_type.dat; they are fixed. */
bool column_type_accepts(enum column_type type, uint32_t oid)
{
    static const uint32_t oids[COLUMN_TYPE_COUNT][3] = {
        [COLUMN_TEXT] = { 25, 1043, 19 },
        [COLUMN_CHAR] = { 1042 },
        [COLUMN_INT2] = { 21 },
        [COLUMN_INT4] = { 23 },
        [COLUMN_INT8] = { 20 },
        [COLUMN_BOOL] = { 16 },
        [COLUMN_FLOAT4] = { 700 },
        [COLUMN_FLOAT8] = { 701 },
        [COLUMN_NUMERIC] = { 1700 },
        [COLUMN_DATE] = { 1082 },
        [COLUMN_TIMESTAMP] = { 1114 },
        [COLUMN_TIMESTAMPTZ] = { 1184 },
        [COLUMN_UUID] = { 2950 },
        [COLUMN_BYTEA] = { 17 },
        [COLUMN_JSON] = { 114 },
        [COLUMN_JSONB] = { 3802 },
        [COLUMN_TEXT_ARRAY] = { 1009, 1015 },
    };
    for (size_t i = 0; i < 3; i++)
        if (oid != 0 && oids[type][i] == oid)
            return true;
    return false;
}

bool column_is_text(enum column_type type)
{
    return type == COLUMN_TEXT || type == COLUMN_CHAR;
}

bool column_is_integer(enum column_type type)
{
    return type == COLUMN_INT2 || type == COLUMN_INT4 || type == COLUMN_INT8;
}

char *mapping_quote(struct arena *arena, const char *text, char quote)
{
    size_t len = strlen(text), out = 0;
    char *quoted = arena_alloc(arena, 2 * len + 3);
    quoted[out++] = quote;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == quote)
            quoted[out++] = quote;
        quoted[out++] = text[i];
    }
    quoted[out] = quote;
    return quoted;
}

int column_type_read(const struct yaml_node *node, enum column_type *type_r, struct err *err)
{
    const char *names[TYPE_NAME_COUNT];
    const char *text = yaml_text(node);
    for (size_t i = 0; i < TYPE_NAME_COUNT; i++) {
        names[i] = type_names[i].name;
        if (strcmp(names[i], text) == 0) {
            *type_r = type_names[i].type;
            return 0;
        }
    }
    const char *near = yaml_nearest(text, strlen(text), names, TYPE_NAME_COUNT);
    return yaml_error(node, err, "MAPPING_COLUMN_TYPE", "\"%.64s\" is no column type we read%s%s%s",
                      text, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                      near != NULL ? "\"?" : "");
}
