/* json and jsonb: a text that PostgreSQL's own parser takes, checked before it sees it (RFC 8259). */
#include <string.h>

#include "base/utf8.h"
#include "schema/writer_value.h"

enum {
    DEPTH_MAX = 128,          /* PostgreSQL's parser recurses: its stack takes thousands */
    NUMBER_DIGITS_MAX = 1000, /* jsonb keeps numbers as numeric, whose range is far wider */
    EXPONENT_MAX = 1000,
    JSONB_VERSION = 1,
};

struct json {
    const uint8_t *at;
    const uint8_t *end;
    bool binary; /* jsonb: what it cannot hold is refused too */
};

static bool take(struct json *json, uint8_t wanted)
{
    if (json->at == json->end || *json->at != wanted)
        return false;
    json->at++;
    return true;
}

static void skip_blanks(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
}

static size_t skip_digits(struct json *json)
{
    const uint8_t *start = json->at;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
        json->at++;
    return (size_t)(json->at - start);
}

static bool read_hex(struct json *json, uint32_t *value_r)
{
    *value_r = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        if (json->at == json->end)
            return false;
        uint8_t c = *json->at, lower = c | 0x20;
        if (c >= '0' && c <= '9')
            *value_r = *value_r * 16 + (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            *value_r = *value_r * 16 + (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    return true;
}

static bool read_escape(struct json *json)
{
    uint32_t unit = 0, low = 0;
    if (json->at == json->end)
        return false;
    uint8_t c = *json->at++;
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    if (!read_hex(json, &unit))
        return false;
    if (!json->binary)
        return true;
    if (unit == 0 || (unit >= 0xDC00 && unit <= 0xDFFF))
        return false;
    if (unit < 0xD800 || unit > 0xDBFF)
        return true;
    return take(json, '\\') && take(json, 'u') && read_hex(json, &low) && low >= 0xDC00 &&
           low <= 0xDFFF;
}

static bool read_string(struct json *json)
{
    if (!take(json, '"'))
        return false;
    while (json->at < json->end) {
        uint8_t c = *json->at++;
        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !read_escape(json)))
            return false;
    }
    return false;
}

static bool read_number(struct json *json)
{
    (void)take(json, '-');
    bool zero = json->at < json->end && *json->at == '0';
    size_t whole = skip_digits(json), fraction = 0;
    if (whole == 0 || (zero && whole > 1))
        return false;
    if (take(json, '.') && (fraction = skip_digits(json)) == 0)
        return false;
    if (json->binary && whole + fraction > NUMBER_DIGITS_MAX)
        return false;
    if (!take(json, 'e') && !take(json, 'E'))
        return true;
    if (!take(json, '+'))
        (void)take(json, '-');
    const uint8_t *digits = json->at;
    size_t count = skip_digits(json);
    long exponent = 0;
    for (size_t i = 0; i < count && exponent <= EXPONENT_MAX; i++)
        exponent = exponent * 10 + (digits[i] - '0');
    return count > 0 && (!json->binary || exponent <= EXPONENT_MAX);
}

static bool read_word(struct json *json, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0)
        return false;
    json->at += len;
    return true;
}

static bool read_scalar(struct json *json)
{
    if (json->at == json->end)
        return false;
    switch (*json->at) {
    case '"':
        return read_string(json);
    case 't':
        return read_word(json, "true");
    case 'f':
        return read_word(json, "false");
    case 'n':
        return read_word(json, "null");
    default:
        return read_number(json);
    }
}

/* "key": of an object's next member. */
static bool read_key(struct json *json)
{
    skip_blanks(json);
    if (!read_string(json))
        return false;
    skip_blanks(json);
    return take(json, ':');
}

/* One value with all that is in it. `closers` holds the bracket each open container waits for. */
static bool read_value(struct json *json)
{
    uint8_t closers[DEPTH_MAX];
    size_t depth = 0;
    for (;;) {
        skip_blanks(json);
        bool object = take(json, '{');
        if (object || take(json, '[')) {
            uint8_t closer = object ? '}' : ']';
            skip_blanks(json);
            if (!take(json, closer)) {
                if (depth == DEPTH_MAX || (object && !read_key(json)))
                    return false;
                closers[depth++] = closer;
                continue;
            }
        } else if (!read_scalar(json)) {
            return false;
        }
        for (;;) {
            if (depth == 0)
                return true;
            skip_blanks(json);
            if (take(json, ',')) {
                if (closers[depth - 1] == '}' && !read_key(json))
                    return false;
                break;
            }
            if (!take(json, closers[--depth]))
                return false;
        }
    }
}

static const char *json_problem(struct slice text, bool binary)
{
    struct json json = { .at = text.data, .end = text.data + text.len, .binary = binary };
    if (!utf8_valid(text.data, text.len))
        return "NOT_UTF8";
    if (!read_value(&json))
        return "JSON_SYNTAX";
    skip_blanks(&json);
    return json.at == json.end ? NULL : "JSON_SYNTAX";
}

const char *writer_encode_json(struct slice text, const struct writer_limits *limits,
                               struct buf *out)
{
    const char *problem = json_problem(text, false);
    (void)limits;
    if (problem != NULL)
        return problem;
    return buf_append(out, text.data, text.len) == 0 ? NULL : "VALUE_TOO_LONG";
}

/* jsonb_recv: a version, then the text. */
const char *writer_encode_jsonb(struct slice text, const struct writer_limits *limits,
                                struct buf *out)
{
    const char *problem = json_problem(text, true);
    (void)limits;
    if (problem != NULL)
        return problem;
    if (buf_append_byte(out, JSONB_VERSION) != 0 || buf_append(out, text.data, text.len) != 0)
        return "VALUE_TOO_LONG";
    return NULL;
}
