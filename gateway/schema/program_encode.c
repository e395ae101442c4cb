/* Canonical text to protobuf bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "schema/program_run.h"

static const char *put(int result)
{
    return result == 0 ? NULL : "VALUE_TOO_LONG";
}

size_t program_tag(const struct schema_field *field, uint8_t tag_r[5])
{
    uint8_t bytes[10];
    enum schema_wire wire = field->packed ? WIRE_LEN : schema_wire_of(field->type);
    size_t len = varint_put(bytes, (uint64_t)field->number << 3 | (uint64_t)wire);
    memcpy(tag_r, bytes, len);
    return len;
}

/* --- numbers ------------------------------------------------------------------------------------
 */

/* Digits with an optional minus; nothing else, so that nothing is guessed. */
static const char *parse_integer(const uint8_t *text, size_t len, bool *negative_r,
                                 uint64_t *magnitude_r)
{
    size_t at = 0;
    uint64_t value = 0;
    *negative_r = len > 0 && text[0] == '-';
    at += *negative_r;
    if (at == len)
        return "INTEGER_SYNTAX";
    for (; at < len; at++) {
        if (text[at] < '0' || text[at] > '9')
            return "INTEGER_SYNTAX";
        uint64_t digit = (uint64_t)(text[at] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return "INTEGER_RANGE";
        value = value * 10 + digit;
    }
    *magnitude_r = value;
    return NULL;
}

static const char *signed_value(const uint8_t *text, size_t len, int64_t min, int64_t max,
                                int64_t *value_r)
{
    bool negative = false;
    uint64_t magnitude = 0;
    const char *code = parse_integer(text, len, &negative, &magnitude);
    if (code != NULL)
        return code;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return "INTEGER_RANGE";
    int64_t value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (value < min || value > max)
        return "INTEGER_RANGE";
    *value_r = value;
    return NULL;
}

static const char *unsigned_value(const uint8_t *text, size_t len, uint64_t max, uint64_t *value_r)
{
    bool negative = false;
    const char *code = parse_integer(text, len, &negative, value_r);
    if (code != NULL)
        return code;
    return (negative && *value_r != 0) || *value_r > max ? "INTEGER_RANGE" : NULL;
}

static const char *put_fixed(uint64_t bits, size_t width, struct buf *out)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(bits >> (8 * i));
    return put(buf_append(out, bytes, width));
}

/* The bits of a number in the type's range. */
static const char *put_integer(enum schema_type type, uint64_t bits, struct buf *out)
{
    if (type == SCHEMA_SINT32 || type == SCHEMA_SINT64)
        bits = bits << 1 ^ ((int64_t)bits < 0 ? UINT64_MAX : 0);
    if (type == SCHEMA_FIXED64 || type == SCHEMA_SFIXED64)
        return put_fixed(bits, 8, out);
    if (type == SCHEMA_FIXED32 || type == SCHEMA_SFIXED32)
        return put_fixed(bits & UINT32_MAX, 4, out);
    return put(buf_append_varint(out, bits));
}

const char *program_encode_integer(const struct schema_field *field, int64_t number,
                                   struct buf *out)
{
    int64_t min = INT64_MIN, max = INT64_MAX;
    enum schema_type type = field->type;
    if (type == SCHEMA_INT32 || type == SCHEMA_SINT32 || type == SCHEMA_SFIXED32) {
        min = INT32_MIN;
        max = INT32_MAX;
    } else if (type == SCHEMA_UINT32 || type == SCHEMA_FIXED32) {
        min = 0;
        max = UINT32_MAX;
    } else if (type == SCHEMA_UINT64 || type == SCHEMA_FIXED64) {
        min = 0;
    }
    return number < min || number > max ? "INTEGER_RANGE"
                                        : put_integer(type, (uint64_t)number, out);
}

static const char *encode_integer(const struct schema_field *field, const uint8_t *text, size_t len,
                                  struct buf *out)
{
    int64_t number = 0;
    uint64_t natural = 0;
    const char *code = NULL;
    if (field->type == SCHEMA_UINT64 || field->type == SCHEMA_FIXED64) {
        code = unsigned_value(text, len, UINT64_MAX, &natural);
        return code != NULL ? code : put_integer(field->type, natural, out);
    }
    code = signed_value(text, len, INT64_MIN, INT64_MAX, &number);
    return code != NULL ? code : program_encode_integer(field, number, out);
}

static const char *encode_float(bool wide, const uint8_t *text, size_t len, struct buf *out)
{
    char copy[64];
    if (len == 0 || len >= sizeof copy)
        return "NUMBER_SYNTAX";
    for (size_t i = 0; i < len; i++)
        if (strchr("0123456789+-.eE", text[i]) == NULL || text[i] == '\0')
            return "NUMBER_SYNTAX";
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *end = NULL;
    errno = 0;
    double number = strtod(copy, &end);
    if (*end != '\0' || end == copy)
        return "NUMBER_SYNTAX";
    if (number - number != 0)
        return "NUMBER_RANGE";
    if (wide) {
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        return put_fixed(bits, 8, out);
    }
    float narrow = strtof(copy, NULL);
    if (narrow - narrow != 0)
        return "NUMBER_RANGE";
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    return put_fixed(bits, 4, out);
}

/* --- enum, bool, timestamp ----------------------------------------------------------------------
 */

const struct schema_enum_value *program_enum_value(const struct schema_field *field,
                                                   const char *text, size_t len)
{
    int64_t number = 0;
    bool digits = len > 0 && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
    if (!digits) /* a name is an identifier */
        return schema_enum_by_name(field->enumeration, text, len);
    if (signed_value((const uint8_t *)text, len, INT32_MIN, INT32_MAX, &number) != NULL)
        return NULL;
    return schema_enum_by_number(field->enumeration, (int32_t)number);
}

static bool two_digits(const uint8_t *text, int min, int max, int *value_r)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return false;
    *value_r = (text[0] - '0') * 10 + (text[1] - '0');
    return *value_r >= min && *value_r <= max;
}

static bool parse_offset(const uint8_t *text, size_t len, int *seconds_r)
{
    int hours = 0, minutes = 0;
    if (len == 1 && (text[0] == 'Z' || text[0] == 'z')) {
        *seconds_r = 0;
        return true;
    }
    if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':' ||
        !two_digits(text + 1, 0, 23, &hours) || !two_digits(text + 4, 0, 59, &minutes))
        return false;
    *seconds_r = (text[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool program_parse_timestamp(const uint8_t *text, size_t len, int64_t *seconds_r, int32_t *nanos_r)
{
    int century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, offset = 0;
    if (len < 20 || text[4] != '-' || text[7] != '-' ||
        (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' ||
        text[16] != ':')
        return false;
    if (!two_digits(text, 0, 99, &century) || !two_digits(text + 2, 0, 99, &year) ||
        !two_digits(text + 5, 1, 12, &month) || !two_digits(text + 8, 1, 31, &day) ||
        !two_digits(text + 11, 0, 23, &hour) || !two_digits(text + 14, 0, 59, &minute) ||
        !two_digits(text + 17, 0, 59, &second) ||
        !normaliser_real_date(century * 100 + year, month, day))
        return false;
    size_t at = 19;
    int32_t nanos = 0;
    if (text[at] == '.') {
        int32_t unit = 100000000;
        size_t first = ++at;
        for (; at < len && text[at] >= '0' && text[at] <= '9'; at++) {
            if (unit == 0)
                return false; /* finer than nanoseconds would be cut */
            nanos += (text[at] - '0') * unit;
            unit /= 10;
        }
        if (at == first)
            return false;
    }
    if (!parse_offset(text + at, len - at, &offset))
        return false;
    *seconds_r = normaliser_days_of(century * 100 + year, month, day) * 86400 + hour * 3600 +
                 minute * 60 + second - offset;
    *nanos_r = nanos;
    return *seconds_r >= -62135596800 && *seconds_r <= 253402300799;
}

/* Length-prefixed google.protobuf.Timestamp. */
void program_put_timestamp(int64_t seconds, int32_t nanos, struct buf *out)
{
    uint8_t body[24];
    size_t len = 0;
    if (seconds != 0) {
        body[len++] = 1 << 3;
        len += varint_put(body + len, (uint64_t)seconds);
    }
    if (nanos != 0) {
        body[len++] = 2 << 3;
        len += varint_put(body + len, (uint64_t)nanos);
    }
    (void)buf_append_byte(out, (uint8_t)len);
    (void)buf_append(out, body, len);
}

static const char *encode_timestamp(const uint8_t *text, size_t len, struct buf *out)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (!program_parse_timestamp(text, len, &seconds, &nanos))
        return "TIMESTAMP_SYNTAX";
    if (buf_reserve(out, 32) != 0)
        return "VALUE_TOO_LONG";
    program_put_timestamp(seconds, nanos, out);
    return NULL;
}

static const char *encode_bool(const uint8_t *text, size_t len, struct buf *out)
{
    bool yes = len == 4 && memcmp(text, "true", 4) == 0;
    if (!yes && !(len == 5 && memcmp(text, "false", 5) == 0))
        return "BOOL_SYNTAX";
    return put(buf_append_byte(out, yes));
}

static const char *put_bytes(const uint8_t *data, size_t len, struct buf *out)
{
    if (buf_reserve(out, len + 10) != 0)
        return "VALUE_TOO_LONG";
    (void)buf_append_varint(out, len);
    return put(buf_append(out, data, len));
}

const char *program_encode_text(const struct schema_field *field, const uint8_t *text, size_t len,
                                struct buf *out)
{
    switch (field->type) {
    case SCHEMA_STRING: {
        const char *problem = program_text_problem(text, len);
        return problem != NULL ? problem : put_bytes(text, len, out);
    }
    case SCHEMA_BYTES:
        return put_bytes(text, len, out);
    case SCHEMA_ENUM: {
        const struct schema_enum_value *value = program_enum_value(field, (const char *)text, len);
        if (value == NULL)
            return "ENUM_UNKNOWN";
        return put(buf_append_varint(out, (uint64_t)(int64_t)value->number));
    }
    case SCHEMA_BOOL:
        return encode_bool(text, len, out);
    case SCHEMA_DOUBLE:
    case SCHEMA_FLOAT:
        return encode_float(field->type == SCHEMA_DOUBLE, text, len, out);
    case SCHEMA_MESSAGE:
        if (strcmp(field->message->full_name, "google.protobuf.Timestamp") != 0)
            return "TYPE_UNSUPPORTED";
        return encode_timestamp(text, len, out);
    case SCHEMA_INT64:
    case SCHEMA_UINT64:
    case SCHEMA_INT32:
    case SCHEMA_FIXED64:
    case SCHEMA_FIXED32:
    case SCHEMA_UINT32:
    case SCHEMA_SFIXED32:
    case SCHEMA_SFIXED64:
    case SCHEMA_SINT32:
    case SCHEMA_SINT64:
        return encode_integer(field, text, len, out);
    }
    return "TYPE_UNSUPPORTED";
}

bool program_encoded_default(const struct schema_field *field, const uint8_t *bytes, size_t len)
{
    if (field->has_presence)
        return false;
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true; /* an empty length, a zero number */
}

/* --- flat JSON objects --------------------------------------------------------------------------
 */

struct json {
    const uint8_t *data;
    size_t len;
    size_t at;
};

static void skip_blanks(struct json *json)
{
    while (json->at < json->len && strchr(" \t\r\n", json->data[json->at]) != NULL &&
           json->data[json->at] != '\0')
        json->at++;
}

static bool accept(struct json *json, uint8_t wanted)
{
    skip_blanks(json);
    if (json->at >= json->len || json->data[json->at] != wanted)
        return false;
    json->at++;
    return true;
}

static bool read_hex(struct json *json, uint32_t *value_r)
{
    *value_r = 0;
    for (int i = 0; i < 4; i++) {
        if (json->at >= json->len)
            return false;
        uint8_t c = json->data[json->at++];
        uint32_t digit = c >= '0' && c <= '9'   ? c - '0'
                         : c >= 'a' && c <= 'f' ? c - 'a' + 10
                         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                : 16;
        if (digit == 16)
            return false;
        *value_r = *value_r << 4 | digit;
    }
    return true;
}

static bool read_escape(struct json *json, struct buf *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (json->at >= json->len)
        return false;
    uint8_t c = json->data[json->at++];
    const char *at = c == '\0' ? NULL : strchr(names, c);
    if (at != NULL)
        return buf_append_byte(out, (uint8_t)values[at - names]) == 0;
    uint32_t cp = 0, low = 0;
    if (c != 'u' || !read_hex(json, &cp))
        return false;
    if (cp >= 0xD800 && cp <= 0xDBFF) {
        if (json->at + 2 > json->len || memcmp(json->data + json->at, "\\u", 2) != 0)
            return false;
        json->at += 2;
        if (!read_hex(json, &low) || low < 0xDC00 || low > 0xDFFF)
            return false;
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    uint8_t bytes[4];
    if (cp == 0 || (cp >= 0xDC00 && cp <= 0xDFFF))
        return false;
    return buf_append(out, bytes, utf8_encode(cp, bytes)) == 0;
}

static bool read_string(struct json *json, struct buf *out)
{
    if (!accept(json, '"'))
        return false;
    while (json->at < json->len) {
        uint8_t c = json->data[json->at++];
        if (c == '"')
            return true;
        if (c == '\\' ? !read_escape(json, out) : buf_append_byte(out, c) != 0)
            return false;
    }
    return false;
}

/* A string, or a number or truth value as it is written. */
static bool read_scalar(struct json *json, struct buf *out)
{
    skip_blanks(json);
    if (json->at < json->len && json->data[json->at] == '"')
        return read_string(json, out);
    size_t start = json->at;
    while (json->at < json->len && json->data[json->at] != '\0' &&
           strchr(",} \t\r\n", json->data[json->at]) == NULL)
        json->at++;
    size_t len = json->at - start;
    const uint8_t *text = json->data + start;
    bool number = len > 0 && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
    bool truth =
        (len == 4 && memcmp(text, "true", 4) == 0) || (len == 5 && memcmp(text, "false", 5) == 0);
    return (number || truth) && buf_append(out, text, len) == 0;
}

static const char *at_end(struct json *json)
{
    skip_blanks(json);
    return json->at == json->len ? NULL : "JSON_NOT_FLAT";
}

const char *program_encode_map(const struct schema_field *field, const uint8_t *text, size_t len,
                               struct buf *out, struct buf *scratch)
{
    struct json json = { .data = text, .len = len };
    uint8_t tag[5];
    size_t tag_len = program_tag(field, tag);
    if (!accept(&json, '{'))
        return "JSON_NOT_OBJECT";
    if (accept(&json, '}'))
        return at_end(&json);
    do {
        buf_reset(scratch);
        if (!read_string(&json, scratch) || !accept(&json, ':'))
            return "JSON_NOT_FLAT";
        size_t key_len = scratch->len;
        if (!read_scalar(&json, scratch))
            return "JSON_NOT_FLAT";
        size_t value_len = scratch->len - key_len;
        size_t body = 2 + varint_size(key_len) + key_len + varint_size(value_len) + value_len;
        if (buf_reserve(out, tag_len + 10 + body) != 0)
            return "VALUE_TOO_LONG";
        (void)buf_append(out, tag, tag_len);
        (void)buf_append_varint(out, body);
        (void)buf_append_byte(out, 1 << 3 | WIRE_LEN);
        (void)buf_append_varint(out, key_len);
        (void)buf_append(out, scratch->data, key_len);
        (void)buf_append_byte(out, 2 << 3 | WIRE_LEN);
        (void)buf_append_varint(out, value_len);
        (void)buf_append(out, scratch->data + key_len, value_len);
    } while (accept(&json, ','));
    return accept(&json, '}') ? at_end(&json) : "JSON_NOT_FLAT";
}
