/* Column types: names in mappings, oids in PostgreSQL. */
#include <stdio.h>
#include <string.h>

#include "conf/yaml.h"
#include "schema/mapping.h"

struct type_name {
    const char *name;
    enum column_type type;
};

/* The first name of a type is the one we say. */
static const struct type_name type_names[] = {
    { "text", COLUMN_TEXT },
    { "varchar", COLUMN_TEXT },
    { "name", COLUMN_TEXT },
    { "char", COLUMN_CHAR },
    { "smallint", COLUMN_INT2 },
    { "int2", COLUMN_INT2 },
    { "integer", COLUMN_INT4 },
    { "int4", COLUMN_INT4 },
    { "int", COLUMN_INT4 },
    { "bigint", COLUMN_INT8 },
    { "int8", COLUMN_INT8 },
    { "boolean", COLUMN_BOOL },
    { "bool", COLUMN_BOOL },
    { "real", COLUMN_FLOAT4 },
    { "float4", COLUMN_FLOAT4 },
    { "double", COLUMN_FLOAT8 },
    { "float8", COLUMN_FLOAT8 },
    { "numeric", COLUMN_NUMERIC },
    { "decimal", COLUMN_NUMERIC },
    { "date", COLUMN_DATE },
    { "time", COLUMN_TIME },
    { "timetz", COLUMN_TIMETZ },
    { "timestamp", COLUMN_TIMESTAMP },
    { "timestamptz", COLUMN_TIMESTAMPTZ },
    { "interval", COLUMN_INTERVAL },
    { "uuid", COLUMN_UUID },
    { "bytea", COLUMN_BYTEA },
    { "json", COLUMN_JSON },
    { "jsonb", COLUMN_JSONB },
    { "inet", COLUMN_INET },
    { "cidr", COLUMN_CIDR },
    { "enum", COLUMN_ENUM },
};
enum {
    TYPE_NAME_COUNT = sizeof type_names / sizeof type_names[0],
    OID_FIRST_USER = 16384, /* FirstNormalObjectId: what was made in one database */
    NAME_BYTES_MAX = 64,
};

const char *column_type_name(enum column_type type)
{
    for (size_t i = 0; i < TYPE_NAME_COUNT; i++)
        if (type_names[i].type == type)
            return type_names[i].name;
    return "unknown";
}

const char *column_full_type(const struct mapping_column *column, struct arena *arena)
{
    if (column->type != COLUMN_ARRAY)
        return column_type_name(column->type);
    return arena_format(arena, "%s[]", column_type_name(column->element));
}

/* Oids of PostgreSQL's pg_type.dat, which are fixed: of the type, then of its array. */
struct type_oids {
    uint32_t scalar[3];
    uint32_t array[3];
};

static const struct type_oids type_oids[COLUMN_TYPE_COUNT] = {
    [COLUMN_TEXT] = { { 25, 1043, 19 }, { 1009, 1015, 1003 } },
    [COLUMN_CHAR] = { { 1042 }, { 1014 } },
    [COLUMN_INT2] = { { 21 }, { 1005 } },
    [COLUMN_INT4] = { { 23 }, { 1007 } },
    [COLUMN_INT8] = { { 20 }, { 1016 } },
    [COLUMN_BOOL] = { { 16 }, { 1000 } },
    [COLUMN_FLOAT4] = { { 700 }, { 1021 } },
    [COLUMN_FLOAT8] = { { 701 }, { 1022 } },
    [COLUMN_NUMERIC] = { { 1700 }, { 1231 } },
    [COLUMN_DATE] = { { 1082 }, { 1182 } },
    [COLUMN_TIME] = { { 1083 }, { 1183 } },
    [COLUMN_TIMETZ] = { { 1266 }, { 1270 } },
    [COLUMN_TIMESTAMP] = { { 1114 }, { 1115 } },
    [COLUMN_TIMESTAMPTZ] = { { 1184 }, { 1185 } },
    [COLUMN_INTERVAL] = { { 1186 }, { 1187 } },
    [COLUMN_UUID] = { { 2950 }, { 2951 } },
    [COLUMN_BYTEA] = { { 17 }, { 1001 } },
    [COLUMN_JSON] = { { 114 }, { 199 } },
    [COLUMN_JSONB] = { { 3802 }, { 3807 } },
    [COLUMN_INET] = { { 869 }, { 1041 } },
    [COLUMN_CIDR] = { { 650 }, { 651 } },
};

static bool oid_listed(const uint32_t oids[3], uint32_t oid)
{
    return oid != 0 && (oids[0] == oid || oids[1] == oid || oids[2] == oid);
}

bool column_type_accepts(enum column_type type, uint32_t oid)
{
    return type == COLUMN_ENUM ? oid >= OID_FIRST_USER : oid_listed(type_oids[type].scalar, oid);
}

bool column_accepts(const struct mapping_column *column, uint32_t oid)
{
    if (column->type != COLUMN_ARRAY)
        return column_type_accepts(column->type, oid);
    return oid >= OID_FIRST_USER || oid_listed(type_oids[column->element].array, oid);
}

bool column_accepts_within(const struct mapping_column *column, uint32_t oid)
{
    return oid >= OID_FIRST_USER || column_accepts(column, oid);
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

/* "numeric(12, 2)[]" -> "numeric", and whether it is an array. PostgreSQL's own modifiers do not
 * change how a value is read. */
static bool plain_name(const char *text, char name_r[NAME_BYTES_MAX], bool *array_r)
{
    static const char *const aliases[][2] = {
        { "character varying", "varchar" },
        { "character", "char" },
        { "bpchar", "char" },
        { "double precision", "double" },
        { "time without time zone", "time" },
        { "time with time zone", "timetz" },
        { "timestamp without time zone", "timestamp" },
        { "timestamp with time zone", "timestamptz" },
    };
    size_t len = strlen(text);
    *array_r = len > 2 && strcmp(text + len - 2, "[]") == 0;
    len -= *array_r ? 2 : 0;
    const char *open = memchr(text, '(', len), *close = memchr(text, ')', len);
    size_t head = open != NULL && close != NULL ? (size_t)(open - text) : len;
    size_t tail = open != NULL && close != NULL ? (size_t)(text + len - close) - 1 : 0;
    if (head + tail >= NAME_BYTES_MAX || (open != NULL && (close == NULL || close < open)))
        return false;
    if (open != NULL && strspn(open + 1, "0123456789, -") != (size_t)(close - open) - 1)
        return false;
    memcpy(name_r, text, head);
    if (tail > 0)
        memcpy(name_r + head, close + 1, tail);
    name_r[head + tail] = '\0';
    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (strcmp(aliases[i][0], name_r) == 0)
            (void)snprintf(name_r, NAME_BYTES_MAX, "%s", aliases[i][1]);
    return true;
}

int column_type_read(const struct yaml_node *node, struct mapping_column *column, struct err *err)
{
    const char *names[TYPE_NAME_COUNT];
    const char *text = yaml_text(node);
    char name[NAME_BYTES_MAX];
    bool array = false, plain = plain_name(text, name, &array);
    for (size_t i = 0; i < TYPE_NAME_COUNT; i++) {
        names[i] = type_names[i].name;
        if (plain && strcmp(names[i], name) == 0) {
            column->type = array ? COLUMN_ARRAY : type_names[i].type;
            column->element = type_names[i].type;
            return 0;
        }
    }
    const char *near = yaml_nearest(text, strlen(text), names, TYPE_NAME_COUNT);
    return yaml_error(node, err, "MAPPING_COLUMN_TYPE",
                      "\"%.64s\" is no column type we read%s%s%s; write enum for an enumeration "
                      "and the base type for a domain",
                      text, near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                      near != NULL ? "\"?" : "");
}
