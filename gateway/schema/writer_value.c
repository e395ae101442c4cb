#include "schema/writer_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum {
    HEADER_BYTES = 4,    /* VARHDRSZ, which a modifier of text types includes */
    NAME_BYTES_MAX = 63, /* NAMEDATALEN - 1 */
    NUMBER_TEXT_BYTES_MAX = 64,
    OID_NAME = 19,
    OID_TEXT = 25,
    OID_VARCHAR = 1043,
    OID_VARCHAR_ARRAY = 1015,
    INET_FAMILY_4 = 2, /* PGSQL_AF_INET, on every platform */
    INET_FAMILY_6 = 3,
};

static const char *put(const void *data, size_t len, struct buf *out)
{
    return buf_append(out, data, len) == 0 ? NULL : "VALUE_TOO_LONG";
}

/* --- text ---------------------------------------------------------------------------------------
 */

static size_t characters(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count;
}

static const char *text_problem(struct slice text)
{
    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        return "TEXT_HAS_NUL"; /* PostgreSQL has no such text */
    return utf8_valid(text.data, text.len) ? NULL : "NOT_UTF8";
}

const char *writer_encode_text(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    const char *problem = text_problem(text);
    if (problem != NULL)
        return problem;
    if (limits->oid == OID_NAME && text.len > NAME_BYTES_MAX)
        return "COLUMN_TOO_NARROW";
    if (limits->modifier >= HEADER_BYTES &&
        characters(text) > (size_t)(limits->modifier - HEADER_BYTES))
        return "COLUMN_TOO_NARROW";
    return put(text.data, text.len, out);
}

/* Blanks behind are padding: they neither count nor come back. */
static const char *encode_char(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    struct slice body = text;
    while (body.len > 0 && body.data[body.len - 1] == ' ')
        body.len--;
    return writer_encode_text(body, limits, out);
}

/* The labels stand between 0x01 bytes; a label that holds one is never found, and so refused. */
static const char *encode_enum(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    const char *problem = text_problem(text);
    if (problem != NULL)
        return problem;
    if (text.len == 0 || text.len > NAME_BYTES_MAX)
        return "ENUM_LABEL_UNKNOWN";
    if (limits->labels != NULL) {
        char wanted[NAME_BYTES_MAX + 3];
        wanted[0] = '\x01';
        memcpy(wanted + 1, text.data, text.len);
        wanted[text.len + 1] = '\x01';
        wanted[text.len + 2] = '\0';
        if (strstr(limits->labels, wanted) == NULL)
            return "ENUM_LABEL_UNKNOWN";
    }
    return put(text.data, text.len, out);
}

static const char *encode_bytea(struct slice text, const struct writer_limits *limits,
                                struct buf *out)
{
    (void)limits;
    return put(text.data, text.len, out);
}

/* --- numbers ------------------------------------------------------------------------------------
 */

static const char *parse_integer(struct slice text, int64_t min, int64_t max, int64_t *value_r)
{
    size_t at = text.len > 0 && text.data[0] == '-';
    bool negative = at > 0;
    int64_t value = 0; /* counted downwards: INT64_MIN has no positive */
    if (at == text.len)
        return "INTEGER_SYNTAX";
    for (; at < text.len; at++) {
        if (text.data[at] < '0' || text.data[at] > '9')
            return "INTEGER_SYNTAX";
        int digit = text.data[at] - '0';
        if (value < (INT64_MIN + digit) / 10)
            return "INTEGER_RANGE";
        value = value * 10 - digit;
    }
    if (!negative && value == INT64_MIN)
        return "INTEGER_RANGE";
    *value_r = negative ? value : -value;
    return *value_r < min || *value_r > max ? "INTEGER_RANGE" : NULL;
}

static const char *encode_int2(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    int64_t value = 0;
    (void)limits;
    const char *problem = parse_integer(text, INT16_MIN, INT16_MAX, &value);
    return problem != NULL ? problem : writer_put16((uint16_t)value, out);
}

static const char *encode_int4(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    int64_t value = 0;
    (void)limits;
    const char *problem = parse_integer(text, INT32_MIN, INT32_MAX, &value);
    return problem != NULL ? problem : writer_put32((uint32_t)value, out);
}

static const char *encode_int8(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    int64_t value = 0;
    (void)limits;
    const char *problem = parse_integer(text, INT64_MIN, INT64_MAX, &value);
    return problem != NULL ? problem : writer_put64((uint64_t)value, out);
}

static const char *encode_bool(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    bool yes = text.len == 4 && memcmp(text.data, "true", 4) == 0;
    (void)limits;
    if (!yes && !(text.len == 5 && memcmp(text.data, "false", 5) == 0))
        return "BOOL_SYNTAX";
    return put(yes ? "\x01" : "\x00", 1, out);
}

/* A C string of a number, without the words and hexadecimal forms strtod takes. */
static bool number_text(struct slice text, char copy_r[NUMBER_TEXT_BYTES_MAX])
{
    if (text.len == 0 || text.len >= NUMBER_TEXT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\0' || strchr("0123456789+-.eE", text.data[i]) == NULL)
            return false;
        copy_r[i] = (char)text.data[i];
    }
    copy_r[text.len] = '\0';
    return true;
}

static const char *encode_float8(struct slice text, const struct writer_limits *limits,
                                 struct buf *out)
{
    char copy[NUMBER_TEXT_BYTES_MAX], *end = NULL;
    uint64_t bits;
    (void)limits;
    if (!number_text(text, copy))
        return "NUMBER_SYNTAX";
    double number = strtod(copy, &end);
    if (end == copy || *end != '\0')
        return "NUMBER_SYNTAX";
    if (number - number != 0)
        return "NUMBER_RANGE";
    memcpy(&bits, &number, sizeof bits);
    return writer_put64(bits, out);
}

static const char *encode_float4(struct slice text, const struct writer_limits *limits,
                                 struct buf *out)
{
    char copy[NUMBER_TEXT_BYTES_MAX], *end = NULL;
    uint32_t bits;
    (void)limits;
    if (!number_text(text, copy))
        return "NUMBER_SYNTAX";
    float number = strtof(copy, &end);
    if (end == copy || *end != '\0')
        return "NUMBER_SYNTAX";
    if (number - number != 0)
        return "NUMBER_RANGE";
    memcpy(&bits, &number, sizeof bits);
    return writer_put32(bits, out);
}

/* --- uuid, inet ---------------------------------------------------------------------------------
 */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *encode_uuid(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    uint8_t bytes[16];
    size_t at = 0;
    (void)limits;
    if (text.len != 36)
        return "UUID_SYNTAX";
    for (size_t i = 0; i < sizeof bytes; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && text.data[at++] != '-')
            return "UUID_SYNTAX";
        int high = hex_digit(text.data[at]), low = hex_digit(text.data[at + 1]);
        if (high < 0 || low < 0)
            return "UUID_SYNTAX";
        bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return put(bytes, sizeof bytes, out);
}

/* inet_recv: family, bits, whether it is a cidr, length, address. */
const char *writer_encode_inet(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    char copy[INET6_ADDRSTRLEN + 4];
    uint8_t bytes[4 + 16];
    (void)limits;
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len) != NULL)
        return "INET_SYNTAX";
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    bool six = strchr(copy, ':') != NULL;
    long width = six ? 128 : 32, bits = width;
    char *slash = strchr(copy, '/');
    if (slash != NULL) {
        size_t digits = strspn(slash + 1, "0123456789");
        bits = strtol(slash + 1, NULL, 10);
        if (digits == 0 || digits > 3 || slash[1 + digits] != '\0' || bits > width)
            return "INET_SYNTAX";
        *slash = '\0';
    }
    if (inet_pton(six ? AF_INET6 : AF_INET, copy, bytes + 4) != 1)
        return "INET_SYNTAX";
    bytes[0] = six ? INET_FAMILY_6 : INET_FAMILY_4;
    bytes[1] = (uint8_t)bits;
    bytes[2] = 0;
    bytes[3] = six ? 16 : 4;
    return put(bytes, 4 + (size_t)bytes[3], out);
}

/* --- table --------------------------------------------------------------------------------------
 */

static const struct writer_type types[] = {
    { "text", writer_encode_text, { 25, 1043, 19 }, true },
    { "char", encode_char, { 1042 }, true },
    { "smallint", encode_int2, { 21 }, false },
    { "integer", encode_int4, { 23 }, false },
    { "bigint", encode_int8, { 20 }, false },
    { "boolean", encode_bool, { 16 }, false },
    { "real", encode_float4, { 700 }, false },
    { "double", encode_float8, { 701 }, false },
    { "numeric", writer_encode_numeric, { 1700 }, false },
    { "date", writer_encode_date, { 1082 }, false },
    { "time", writer_encode_time, { 1083 }, false },
    { "timestamp", writer_encode_timestamp, { 1114 }, false },
    { "timestamptz", writer_encode_timestamptz, { 1184 }, false },
    { "uuid", encode_uuid, { 2950 }, false },
    { "bytea", encode_bytea, { 17 }, true },
    { "json", writer_encode_json, { 114 }, true },
    { "jsonb", writer_encode_jsonb, { 3802 }, false },
    { "text[]", writer_encode_text, { 1009, 1015 }, true }, /* of each element */
    { "inet", writer_encode_inet, { 869 }, false },
    { "enum", encode_enum, { 0 }, true },
};

const struct writer_type *writer_type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool writer_type_accepts(const struct writer_type *type, uint32_t oid, bool is_enum)
{
    if (is_enum || type->oids[0] == 0)
        return is_enum && type->oids[0] == 0;
    for (size_t i = 0; i < sizeof type->oids / sizeof type->oids[0]; i++)
        if (oid != 0 && type->oids[i] == oid)
            return true;
    return false;
}

const char *writer_type_of_oid(uint32_t oid)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (writer_type_accepts(&types[i], oid, false))
            return types[i].name;
    return NULL;
}

void writer_array_begin(uint32_t count, uint32_t oid, struct buf *out)
{
    (void)writer_put32(count > 0 ? 1 : 0, out); /* dimensions */
    (void)writer_put32(0, out);                 /* no NULL among them */
    (void)writer_put32(oid == OID_VARCHAR_ARRAY ? OID_VARCHAR : OID_TEXT, out);
    if (count == 0)
        return;
    (void)writer_put32(count, out);
    (void)writer_put32(1, out); /* the first has number 1 */
}
