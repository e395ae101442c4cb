#include "schema/json_read.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "schema/json_internal.h"

enum { WHAT_BYTES_MAX = 384, NUMBER_BYTES_MAX = 512 };

/* From here on a double stands for several whole numbers: the text may have meant another. */
static const double inexact_whole = 9007199254740992.0;

/* --- places --------------------------------------------------------------------------------------
 */

/* Outermost first; a path that does not fit is cut at its end. */
static size_t write_path(const struct json_place *place, char *path, size_t len)
{
    if (place == NULL)
        return len;
    len = write_path(place->parent, path, len);
    char shown[JSON_SHOWN_TEXT_BYTES];
    int wrote;
    if (place->name == NULL)
        wrote = snprintf(path + len, JSON_PATH_BYTES_MAX - len, "[%zu]", place->index);
    else
        wrote = snprintf(path + len, JSON_PATH_BYTES_MAX - len, "%s%s", len > 0 ? "." : "",
                         json_shown(place->name, place->name_len, shown));
    if (wrote < 0 || (size_t)wrote >= JSON_PATH_BYTES_MAX - len) {
        path[len] = '\0'; /* whole parts only: half a character is not text */
        return len;
    }
    return len + (size_t)wrote;
}

int json_refuse(struct err *err, const struct json_place *place, const char *format, ...)
{
    char what[WHAT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    char path[JSON_PATH_BYTES_MAX] = "";
    (void)write_path(place, path, 0);
    if (path[0] == '\0')
        return err_set(err, ERR_INVALID_ARGUMENT, "JSON_INVALID", "In the JSON message: %s.", what);
    return err_set(err, ERR_INVALID_ARGUMENT, "JSON_INVALID", "In \"%s\": %s.", path, what);
}

static const char *syntax_problem(const json_error_t *where)
{
    enum json_error_code code = json_error_code(where);
    if (code == json_error_duplicate_key)
        return "a name stands twice in one object";
    if (code == json_error_numeric_overflow)
        return "a number is too big; write 64-bit numbers as strings";
    if (code == json_error_invalid_utf8)
        return "the text is not valid UTF-8";
    if (code == json_error_null_character || code == json_error_null_byte_in_key)
        return "text must not contain the character U+0000";
    if (code == json_error_premature_end_of_input)
        return "the text ends too early";
    return "the text is not JSON here";
}

int json_refuse_text(struct err *err, const json_error_t *where)
{
    return err_set(err, ERR_INVALID_ARGUMENT, "JSON_INVALID",
                   "The message is not valid JSON: line %d, column %d: %s.", where->line,
                   where->column, syntax_problem(where));
}

int json_check_text(struct err *err, const char *text, size_t len, size_t depth_max,
                    size_t values_max)
{
    size_t depth = 0;
    size_t values = 1;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            values++;
            if (++depth > depth_max)
                return json_refuse(err, NULL, "values are nested too deep");
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (c == ',') {
            values++;
        }
    }
    return values > values_max
               ? json_refuse(err, NULL, "it holds too many values; send less at once")
               : 0;
}

/* --- numbers -------------------------------------------------------------------------------------
 */

static size_t digits_at(const char *text, size_t len)
{
    size_t count = 0;
    while (count < len && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

/* RFC 8259 section 6; *whole_r: neither fraction nor exponent. */
static bool is_number(const char *text, size_t len, bool *whole_r)
{
    size_t i = len > 0 && text[0] == '-' ? 1 : 0;
    size_t digits = digits_at(text + i, len - i);
    if (digits == 0 || (digits > 1 && text[i] == '0'))
        return false;
    i += digits;
    *whole_r = i == len;
    if (i < len && text[i] == '.') {
        digits = digits_at(text + i + 1, len - i - 1);
        if (digits == 0)
            return false;
        i += 1 + digits;
    }
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        if (i < len && (text[i] == '+' || text[i] == '-'))
            i++;
        digits = digits_at(text + i, len - i);
        if (digits == 0)
            return false;
        i += digits;
    }
    return i == len;
}

struct whole {
    uint64_t magnitude;
    bool negative;
};

static bool whole_of_real(double value, struct whole *whole_r)
{
    if (!isfinite(value) || fabs(value) >= inexact_whole || (double)(int64_t)value != value)
        return false;
    *whole_r = (struct whole){ .magnitude = (uint64_t)fabs(value), .negative = value < 0 };
    return true;
}

static bool whole_of_text(const char *text, size_t len, struct whole *whole_r)
{
    bool plain;
    if (len > NUMBER_BYTES_MAX || !is_number(text, len, &plain))
        return false;
    if (!plain)
        return whole_of_real(strtod(text, NULL), whole_r);
    *whole_r = (struct whole){ .negative = text[0] == '-' };
    for (size_t i = whole_r->negative ? 1 : 0; i < len; i++) {
        if (__builtin_mul_overflow(whole_r->magnitude, (uint64_t)10, &whole_r->magnitude) ||
            __builtin_add_overflow(whole_r->magnitude, (uint64_t)(text[i] - '0'),
                                   &whole_r->magnitude))
            return false;
    }
    return true;
}

static bool whole_of_json(const json_t *json, struct whole *whole_r)
{
    if (json_is_string(json))
        return whole_of_text(json_string_value(json), json_string_length(json), whole_r);
    if (json_is_real(json))
        return whole_of_real(json_real_value(json), whole_r);
    if (!json_is_integer(json))
        return false;
    json_int_t value = json_integer_value(json);
    *whole_r = (struct whole){
        .magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value,
        .negative = value < 0,
    };
    return true;
}

int json_read_integer(struct err *err, const struct json_place *place, const json_t *json,
                      enum schema_type type, uint64_t *value_r)
{
    bool is_unsigned = type == SCHEMA_UINT64 || type == SCHEMA_FIXED64 || type == SCHEMA_UINT32 ||
                       type == SCHEMA_FIXED32;
    bool is_long = type == SCHEMA_INT64 || type == SCHEMA_SINT64 || type == SCHEMA_SFIXED64 ||
                   type == SCHEMA_UINT64 || type == SCHEMA_FIXED64;
    uint64_t max = is_unsigned ? (is_long ? UINT64_MAX : UINT32_MAX)
                               : (is_long ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX);
    struct whole whole;
    if (!whole_of_json(json, &whole))
        return json_refuse(err, place, "a whole number is expected; 64-bit ones stand in quotes");
    bool negative = whole.negative && whole.magnitude > 0;
    uint64_t limit = !negative ? max : is_unsigned ? 0 : max + 1;
    if (whole.magnitude > limit)
        return json_refuse(err, place, "the number is outside of %s %d-bit range",
                           is_unsigned ? "unsigned" : "signed", is_long ? 64 : 32);
    *value_r = negative ? 0 - whole.magnitude : whole.magnitude;
    return 0;
}

static bool real_of_text(const char *text, size_t len, double *value_r)
{
    bool plain;
    if (strcmp(text, "NaN") == 0)
        *value_r = (double)NAN;
    else if (strcmp(text, "Infinity") == 0)
        *value_r = HUGE_VAL;
    else if (strcmp(text, "-Infinity") == 0)
        *value_r = -HUGE_VAL;
    else if (len > NUMBER_BYTES_MAX || !is_number(text, len, &plain))
        return false;
    else
        return *value_r = strtod(text, NULL), isfinite(*value_r);
    return true;
}

int json_read_real(struct err *err, const struct json_place *place, const json_t *json,
                   bool is_float, double *value_r)
{
    bool good = json_is_number(json);
    if (good)
        *value_r = json_number_value(json);
    else if (json_is_string(json))
        good = real_of_text(json_string_value(json), json_string_length(json), value_r);
    if (!good)
        return json_refuse(err, place,
                           "a number, \"NaN\", \"Infinity\" or \"-Infinity\" is expected");
    /* Halfway to the next power of two a double no longer rounds to a finite float. */
    double float_limit = (double)FLT_MAX * (1 + (double)FLT_EPSILON / 4);
    if (is_float && isfinite(*value_r) && fabs(*value_r) >= float_limit)
        return json_refuse(err, place, "the number is outside of the range of a float");
    return 0;
}
