#include "cli/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum {
    SAFE_TEXT_BYTES_MAX = 1024 * 1024,
    NEAREST_WORD_MAX = 32,
    NEAREST_DISTANCE_MAX = 2,
    JSON_DEPTH_MAX = 2100, /* jansson itself reads at most 2,048 levels */
};

/* --- escaping -------------------------------------------------------------------------------- */
static bool code_point_acts(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f)        /* controls, among them ESC and CSI */
           || c == 0x2028 || c == 0x2029               /* line and paragraph separator */
           || c == 0x200e || c == 0x200f || c == 0x61c /* direction marks */
           || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

int text_append_safe(struct buf *out, const char *text, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)text;
    int failed = 0;

    for (size_t at = 0; at < len && failed == 0;) {
        size_t valid = utf8_check(bytes + at, len - at);

        for (size_t end = at + valid; at < end && failed == 0;) {
            uint32_t c;
            size_t size = utf8_decode(bytes + at, end - at, &c);

            if (!code_point_acts(c))
                failed = buf_append(out, bytes + at, size);
            else if (c < 0x80)
                failed = buf_append_format(out, "\\x%02x", (unsigned)c);
            else
                failed = buf_append_format(out, "\\u{%x}", (unsigned)c);
            at += size;
        }
        if (at < len && failed == 0) {
            failed = buf_append_format(out, "\\x%02x", (unsigned)bytes[at]);
            at++;
        }
    }
    return failed;
}

char *text_safe(const char *text)
{
    struct buf out;
    size_t len;

    buf_init(&out, SAFE_TEXT_BYTES_MAX);
    (void)text_append_safe(&out, text,
                           strlen(text)); /* what does not fit is cut: it is for reading */
    (void)buf_cstr(&out);
    return (char *)buf_steal(&out, &len);
}

/* --- JSON ------------------------------------------------------------------------------------ */
static int append_string(struct buf *out, const char *text, size_t len)
{
    int failed = buf_append_byte(out, '"');

    for (size_t at = 0; at < len && failed == 0;) {
        uint32_t c;
        size_t size = utf8_decode((const uint8_t *)text + at, len - at, &c);

        if (c == '"' || c == '\\')
            failed = buf_append_format(out, "\\%c", (char)c);
        else if (c == '\n')
            failed = buf_append_str(out, "\\n");
        else if (c == '\t')
            failed = buf_append_str(out, "\\t");
        else if (code_point_acts(c)) /* all of them are in the basic plane: one \u is enough */
            failed = buf_append_format(out, "\\u%04x", (unsigned)c);
        else
            failed = buf_append(out, text + at, size);
        at += size;
    }
    return failed != 0 ? failed : buf_append_byte(out, '"');
}

static int append_real(struct buf *out, double value)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return buf_append_str(out, text);
}

static int append_break(struct buf *out, int indent, int depth)
{
    if (indent == 0)
        return 0;
    return buf_append_format(out, "\n%*s", indent * depth, "");
}

static int append_value(struct buf *out, const json_t *value, int indent, int depth);

static int append_object(struct buf *out, const json_t *object, int indent, int depth)
{
    const char *key;
    json_t *member;
    bool first = true;
    int failed = buf_append_byte(out, '{');

    json_object_foreach((json_t *)(uintptr_t)object, key, member)
    {
        failed |= first ? 0 : buf_append_str(out, indent > 0 ? "," : ", ");
        failed |= append_break(out, indent, depth + 1);
        failed |= append_string(out, key, strlen(key));
        failed |= buf_append_str(out, ": ");
        failed |= append_value(out, member, indent, depth + 1);
        first = false;
        if (failed != 0)
            return -1;
    }
    if (!first)
        failed |= append_break(out, indent, depth);
    return failed | buf_append_byte(out, '}');
}

static int append_array(struct buf *out, const json_t *array, int indent, int depth)
{
    int failed = buf_append_byte(out, '[');

    for (size_t i = 0; i < json_array_size(array) && failed == 0; i++) {
        failed |= i == 0 ? 0 : buf_append_str(out, indent > 0 ? "," : ", ");
        failed |= append_break(out, indent, depth + 1);
        failed |= append_value(out, json_array_get(array, i), indent, depth + 1);
    }
    if (json_array_size(array) > 0)
        failed |= append_break(out, indent, depth);
    return failed | buf_append_byte(out, ']');
}

static int append_value(struct buf *out, const json_t *value, int indent, int depth)
{
    if (depth > JSON_DEPTH_MAX)
        return -1;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return append_object(out, value, indent, depth);
    case JSON_ARRAY:
        return append_array(out, value, indent, depth);
    case JSON_STRING:
        return append_string(out, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return buf_append_format(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return append_real(out, json_real_value(value));
    case JSON_TRUE:
        return buf_append_str(out, "true");
    case JSON_FALSE:
        return buf_append_str(out, "false");
    case JSON_NULL:
        return buf_append_str(out, "null");
    }
    return -1;
}

int text_append_json(struct buf *out, const json_t *value, int indent)
{
    return append_value(out, value, indent, 0);
}

int text_append_cell(struct buf *out, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return 0;
    if (json_is_string(value))
        return buf_append(out, json_string_value(value), json_string_length(value));
    return text_append_json(out, value, 0);
}

/* --- small texts ----------------------------------------------------------------------------- */
void text_count(uint64_t count, char text_r[TEXT_COUNT_BYTES])
{
    char digits[24];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text_r[at++] = ',';
        text_r[at++] = digits[i];
    }
    text_r[at] = '\0';
}

static const char *skip_digits(const char *at)
{
    while (isdigit((unsigned char)*at))
        at++;
    return at;
}

void text_duration(uint64_t seconds, char text_r[TEXT_DURATION_BYTES])
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
    size_t unit = 0;

    while (units[unit].seconds > 1 && seconds < units[unit].seconds)
        unit++;
    uint64_t count = seconds / units[unit].seconds;
    uint64_t rest =
        units[unit].seconds == 1 ? 0 : seconds % units[unit].seconds / units[unit + 1].seconds;
    if (rest > 0)
        (void)snprintf(text_r, TEXT_DURATION_BYTES, "%" PRIu64 " %s %" PRIu64 " %s", count,
                       units[unit].name, rest, units[unit + 1].name);
    else
        (void)snprintf(text_r, TEXT_DURATION_BYTES, "%" PRIu64 " %s", count, units[unit].name);
}

bool text_is_number(const char *text)
{
    const char *at = text + (*text == '-' ? 1 : 0);
    const char *end = skip_digits(at);

    if (end == at)
        return false;
    if (*end == '.') {
        at = end + 1;
        end = skip_digits(at);
        if (end == at)
            return false;
    }
    if (*end == 'e' || *end == 'E') {
        at = end + (end[1] == '+' || end[1] == '-' ? 2 : 1);
        end = skip_digits(at);
        if (end == at)
            return false;
    }
    return *end == '\0';
}

char *text_lower_camel(const char *snake)
{
    char *camel = mem_zero(strlen(snake) + 1);
    size_t len = 0;

    for (const char *at = snake; *at != '\0'; at++) {
        if (*at == '_' && at > snake && at[1] >= 'a' && at[1] <= 'z') {
            at++;
            camel[len++] = (char)toupper((unsigned char)*at);
        } else {
            camel[len++] = *at;
        }
    }
    return camel;
}

char *text_field_mask(const json_t *names)
{
    char *mask = mem_strdup("");

    for (size_t i = 0; i < json_array_size(names); i++) {
        char *camel = text_lower_camel(json_string_value(json_array_get(names, i)));
        char *longer = mem_format("%s%s%s", mask, i == 0 ? "" : ",", camel);
        free(camel);
        free(mask);
        mask = longer;
    }
    return mask;
}

json_t *text_split(const char *list)
{
    json_t *parts = json_array();
    const char *at = list;

    for (;;) {
        const char *end = at + strcspn(at, ",");
        const char *next = *end == ',' ? end + 1 : NULL;

        while (at < end && isspace((unsigned char)*at))
            at++;
        while (end > at && isspace((unsigned char)end[-1]))
            end--;
        if (end == at || !utf8_valid(at, (size_t)(end - at))) {
            json_decref(parts);
            return NULL;
        }
        json_array_append_new(parts, json_stringn(at, (size_t)(end - at)));
        if (next == NULL)
            return parts;
        at = next;
    }
}

/* Damerau-Levenshtein distance without the transposition's second edit; both words are short. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    for (size_t j = 0; j <= b_len; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b_len];
}

const char *text_nearest(const char *word, const char *const *names, size_t count)
{
    size_t len = strlen(word), best = NEAREST_DISTANCE_MAX + 1;
    const char *nearest = NULL;

    if (len == 0 || len > NEAREST_WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t name_len = strlen(names[i]);
        if (name_len > NEAREST_WORD_MAX || name_len < 2)
            continue;
        size_t d = distance(word, len, names[i], name_len);
        if (d < best && d < name_len) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}
