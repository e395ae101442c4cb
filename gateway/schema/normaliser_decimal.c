/* Digits as characters: what a person would do on paper, so that no value is ever a double. */
#include "schema/normaliser_decimal.h"

#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/yaml.h"

/* Thousands separators must stand where they belong: 1,234,567 but not 1,23. */
static const char *read_whole(const char *text, struct decimal *number, bool *any_r)
{
    int group = 0;
    bool grouped = false, any = false;
    for (;; text++) {
        if (*text >= '0' && *text <= '9') {
            if (number->count == DECIMAL_DIGITS_MAX || (grouped && group == 3))
                return NULL;
            number->digits[number->count++] = *text;
            group++;
            any = true;
        } else if (*text == ',') {
            if (!any || (grouped ? group != 3 : group > 3))
                return NULL;
            grouped = true;
            group = 0;
        } else {
            break;
        }
    }
    *any_r = any;
    return grouped && group != 3 ? NULL : text;
}

const char *decimal_read(const char *text, struct decimal *number)
{
    number->count = number->scale = 0;
    number->negative = false;
    bool any = false;
    if (*text == '-' || *text == '+')
        number->negative = *text++ == '-';
    text = read_whole(text, number, &any);
    if (text == NULL)
        return NULL;
    if (*text != '.')
        return any ? text : NULL;
    text++;
    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (number->count == DECIMAL_DIGITS_MAX || number->scale == DECIMAL_SCALE_MAX)
            return NULL;
        number->digits[number->count++] = *text;
        number->scale++;
    }
    return text;
}

static bool is_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

enum decimal_fold decimal_fold(const struct buf *value, char out[IDENTIFIER_BYTES_MAX])
{
    size_t len = 0;
    bool blank = false;
    for (size_t i = 0; i < value->len;) {
        uint32_t cp = value->data[i];
        if (cp > ' ' && cp < 0x7f && !blank && len + 5 <= IDENTIFIER_BYTES_MAX) {
            out[len++] = (char)cp; /* nearly all there is */
            i++;
            continue;
        }
        size_t step = normaliser_decode(value->data + i, value->len - i, &cp);
        if (step == 0 || cp == 0)
            return DECIMAL_FOLD_SYNTAX;
        i += step;
        if (normaliser_blank(cp)) {
            blank = true;
            continue;
        }
        if (cp >= 0xFF01 && cp <= 0xFF5E)
            cp -= 0xFEE0;
        if (len + 5 > IDENTIFIER_BYTES_MAX)
            return DECIMAL_FOLD_LONG;
        if (blank && len > 0 && is_digit(cp) && is_digit((unsigned char)out[len - 1]))
            return DECIMAL_FOLD_SYNTAX;
        blank = false;
        if (cp < 0x80)
            out[len++] = (char)cp;
        else
            len += utf8_encode(cp, (uint8_t *)out + len);
    }
    out[len] = '\0';
    return DECIMAL_FOLD_OK;
}

enum decimal_fold decimal_take(const struct buf *value, struct decimal *number)
{
    char text[IDENTIFIER_BYTES_MAX];
    enum decimal_fold folded = decimal_fold(value, text);
    if (folded != DECIMAL_FOLD_OK)
        return folded;
    const char *rest = decimal_read(text, number);
    return rest != NULL && *rest == '\0' ? DECIMAL_FOLD_OK : DECIMAL_FOLD_SYNTAX;
}

static bool is_zero(const struct decimal *number)
{
    for (int i = 0; i < number->count; i++)
        if (number->digits[i] != '0')
            return false;
    return true;
}

struct normaliser_result decimal_become(const struct decimal *number, struct buf *value,
                                        const char *too_long)
{
    char text[DECIMAL_ROOM + DECIMAL_SCALE_MAX + 4];
    size_t len = 0;
    int first = 0;
    while (first < number->count - number->scale - 1 && number->digits[first] == '0')
        first++;
    int whole = number->count - number->scale;
    if (number->scale > DECIMAL_SCALE_MAX ||
        (whole > first ? whole - first : 1) + number->scale > DECIMAL_DIGITS_MAX)
        return NORMALISER_FAILS(too_long);
    if (number->negative && !is_zero(number))
        text[len++] = '-';
    if (whole <= 0)
        text[len++] = '0';
    for (int i = first; i < whole; i++)
        text[len++] = number->digits[i];
    if (number->scale > 0)
        text[len++] = '.';
    for (int i = whole; i < 0; i++)
        text[len++] = '0';
    for (int i = whole > 0 ? whole : 0; i < number->count; i++)
        text[len++] = number->digits[i];
    return normaliser_become(value, text, len);
}

static void append_zeros(struct decimal *number, int zeros)
{
    for (int i = 0; i < zeros; i++)
        number->digits[number->count++] = '0';
}

void decimal_shift(struct decimal *number, int power)
{
    number->scale -= power;
    if (number->scale < 0) {
        append_zeros(number, -number->scale);
        number->scale = 0;
    }
}

void decimal_trim(struct decimal *number)
{
    while (number->scale > 0 && (number->count == 0 || number->digits[number->count - 1] == '0')) {
        number->count -= number->count > 0;
        number->scale--;
    }
}

/* One unit of the last place more. */
static void increment(struct decimal *number)
{
    int at = number->count;
    while (at > 0 && number->digits[at - 1] == '9')
        number->digits[--at] = '0';
    if (at > 0) {
        number->digits[at - 1]++;
        return;
    }
    memmove(number->digits + 1, number->digits, (size_t)number->count);
    number->digits[0] = '1';
    number->count++;
}

/* `first` is the first digit that goes, `rest`: something other than zero stands behind it. */
static bool rounds_away(enum rounding rounding, char first, bool rest, bool odd)
{
    switch (rounding) {
    case ROUND_HALF_UP:
        return first >= '5';
    case ROUND_HALF_EVEN:
        return first > '5' || (first == '5' && (rest || odd));
    case ROUND_UP:
        return first > '0' || rest;
    case ROUND_DOWN:
    case ROUND_EXACT:
        break;
    }
    return false;
}

bool decimal_round(struct decimal *number, int scale, enum rounding rounding, bool sticky)
{
    if (number->scale < scale && !sticky) {
        append_zeros(number, scale - number->scale);
        number->scale = scale;
    }
    char first = '0';
    bool rest = sticky;
    for (; number->scale > scale; number->scale--) {
        rest = rest || first != '0';
        first = number->count > 0 ? number->digits[number->count - 1] : '0';
        number->count -= number->count > 0;
    }
    if (rounding == ROUND_EXACT)
        return first == '0' && !rest;
    bool odd = number->count > 0 && (number->digits[number->count - 1] - '0') % 2 != 0;
    if (rounds_away(rounding, first, rest, odd))
        increment(number);
    return true;
}

static void multiply(struct decimal *number, int64_t factor)
{
    char product[DECIMAL_ROOM];
    int at = DECIMAL_ROOM;
    uint64_t carry = 0;
    for (int i = number->count; i > 0 || carry > 0; i--) {
        uint64_t digit = i > 0 ? (uint64_t)(number->digits[i - 1] - '0') : 0;
        uint64_t sum = digit * (uint64_t)factor + carry;
        product[--at] = (char)('0' + sum % 10);
        carry = sum / 10;
    }
    number->count = DECIMAL_ROOM - at;
    memcpy(number->digits, product + at, (size_t)number->count);
}

/* Long division down to `scale` places; answers the remainder. */
static uint64_t divide(struct decimal *number, int64_t divisor, int scale)
{
    uint64_t remainder = 0, by = (uint64_t)divisor;
    int out = 0, places = 0, whole = number->count - number->scale;
    char quotient[DECIMAL_ROOM];
    for (int i = 0; i < number->count || (places < scale && remainder > 0); i++) {
        uint64_t digit = i < number->count ? (uint64_t)(number->digits[i] - '0') : 0;
        remainder = remainder * 10 + digit;
        quotient[out++] = (char)('0' + remainder / by);
        remainder %= by;
        places = i + 1 - whole;
    }
    number->count = out;
    number->scale = places > 0 ? places : number->scale;
    memcpy(number->digits, quotient, (size_t)out);
    return remainder;
}

bool decimal_times(struct decimal *number, struct ratio ratio, int scale, enum rounding rounding)
{
    if (ratio.num != 1)
        multiply(number, ratio.num);
    bool sticky = false;
    /* Two places more than are kept: enough to see a half, what is behind them is only zero or not. */
    if (ratio.den != 1)
        sticky = divide(number, ratio.den,
                        (scale == DECIMAL_SCALE_AS_IS ? DECIMAL_SCALE_MAX : scale) + 2) != 0;
    if (scale != DECIMAL_SCALE_AS_IS)
        return decimal_round(number, scale, rounding, sticky);
    decimal_trim(number);
    return !sticky && number->scale <= DECIMAL_SCALE_MAX;
}

int decimal_read_scale(const struct yaml_node *params, int *scale_r, struct err *err)
{
    const struct yaml_node *node = yaml_get(params, "scale");
    int64_t scale = 0;
    if (node == NULL)
        return 0;
    if (yaml_read_int(node, 0, DECIMAL_SCALE_MAX, &scale, err) != 0)
        return -1;
    *scale_r = (int)scale;
    return 0;
}

int decimal_read_rounding(const struct yaml_node *params, enum rounding *rounding_r,
                          struct err *err)
{
    static const char *const names[] = { "exact", "half_up", "half_even", "down", "up" };
    const struct yaml_node *node = yaml_get(params, "rounding");
    if (node == NULL)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], yaml_text(node)) == 0) {
            *rounding_r = (enum rounding)i;
            return 0;
        }
    return yaml_error(node, err, "MAPPING_NORMALISER",
                      "rounding is exact, half_up, half_even, down or up");
}
