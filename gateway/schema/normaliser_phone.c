/* Telephone numbers of the mainland: fixed lines with area code and extension, mobiles, 400 and 800. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

enum {
    NUMBER_DIGITS_MIN = 7,
    NUMBER_DIGITS_MAX = 8,
    EXTENSION_DIGITS_MAX = 6,
    SERVICE_DIGITS = 10,
    MOBILE_DIGITS = 11,
};

struct phone_config {
    const char *area; /* of numbers without one; NULL: they are refused */
};

/* Digits of an area code with its leading zero, 0 when there is none: 010 and 02x have three, all
 * others four. */
static size_t area_digits(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (text[0] != '0' || digits < 3)
        return 0;
    if (text[1] == '2' || (text[1] == '1' && text[2] == '0'))
        return 3;
    return text[1] >= '3' && digits >= 4 ? 4 : 0;
}

/* Digits alone, for numbers whose groups mean nothing; `room` of them at most, else room + 1. */
static size_t only_digits(const char *text, char *out, size_t room)
{
    size_t len = 0;
    for (; *text != '\0'; text++) {
        if (*text == '-')
            continue;
        if (*text < '0' || *text > '9' || len == room)
            return room + 1;
        out[len++] = *text;
    }
    out[len] = '\0';
    return len;
}

/* The mark before an extension; answers its bytes. */
static size_t extension_mark(const char *text)
{
    static const char *const marks[] = { "-", "#", "转", "EXT.", "EXT", "X" };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (strncmp(text, marks[i], strlen(marks[i])) == 0)
            return strlen(marks[i]);
    return 0;
}

/* number[-extension] behind an area code. NULL, or what is wrong. */
static const char *read_line(const char *text, size_t area_len, char out[IDENTIFIER_BYTES_MAX],
                             size_t *len_r)
{
    size_t len = *len_r, digits = strspn(text, "0123456789");
    if (digits < (area_len == 3 ? NUMBER_DIGITS_MAX : NUMBER_DIGITS_MIN) ||
        digits > NUMBER_DIGITS_MAX)
        return "CN_PHONE_LENGTH";
    if (text[0] == '0')
        return "CN_PHONE_RANGE";
    out[len++] = '-';
    memcpy(out + len, text, digits);
    len += digits;
    text += digits;
    if (*text != '\0') {
        size_t mark = extension_mark(text);
        if (mark == 0)
            return "CN_PHONE_CHARACTER";
        text += mark;
        digits = strspn(text, "0123456789");
        if (text[digits] != '\0')
            return "CN_PHONE_CHARACTER";
        if (digits == 0 || digits > EXTENSION_DIGITS_MAX)
            return "CN_PHONE_LENGTH";
        out[len++] = '-';
        memcpy(out + len, text, digits);
        len += digits;
    }
    *len_r = len;
    return NULL;
}

static const char *read_phone(const struct phone_config *config, const char *text, bool abroad,
                              char out[IDENTIFIER_BYTES_MAX], size_t *len_r)
{
    size_t digits = only_digits(text, out, MOBILE_DIGITS);
    if (digits == MOBILE_DIGITS && out[0] == '1') {
        *len_r = digits;
        return out[1] >= '3' ? NULL : "CN_PHONE_RANGE";
    }
    if (digits == SERVICE_DIGITS && (strncmp(out, "400", 3) == 0 || strncmp(out, "800", 3) == 0)) {
        *len_r = digits;
        return NULL;
    }
    char national[IDENTIFIER_BYTES_MAX + 1] = "0";
    if (abroad && text[0] != '0') { /* +86 571: the zero is for calls inside the country */
        memcpy(national + 1, text, strlen(text) + 1);
        text = national;
    }
    const char *area = text;
    size_t area_len = area_digits(text);
    if (area_len > 0) {
        text += area_len;
        text += *text == '-';
    } else if (text[0] >= '2' && text[0] <= '9') {
        if (config == NULL || config->area == NULL)
            return "CN_PHONE_AREA_MISSING";
        area = config->area;
        area_len = strlen(area);
    } else {
        return text[0] == '0'                                ? "CN_PHONE_AREA"
               : strspn(text, "0123456789-") == strlen(text) ? "CN_PHONE_LENGTH"
                                                             : "CN_PHONE_CHARACTER";
    }
    memcpy(out, area, area_len);
    *len_r = area_len;
    return read_line(text, area_len, out, len_r);
}

static struct normaliser_result run_cn_phone(const void *config, struct buf *value)
{
    char text[IDENTIFIER_BYTES_MAX], out[IDENTIFIER_BYTES_MAX];
    size_t len = normaliser_identifier(value, text), kept = 0;
    if (len == IDENTIFIER_BYTES_MAX || len + 8 > IDENTIFIER_BYTES_MAX)
        return NORMALISER_FAILS("CN_PHONE_LENGTH");
    if (strlen(text) != len)
        return NORMALISER_FAILS("CN_PHONE_CHARACTER");
    for (size_t i = 0; i < len; i++)
        if (text[i] != '(' && text[i] != ')')
            text[kept++] = text[i];
    text[kept] = '\0';
    const char *number = text;
    bool abroad = strncmp(text, "+86", 3) == 0 || strncmp(text, "0086", 4) == 0;
    if (abroad) {
        number += text[0] == '+' ? 3 : 4;
        number += *number == '-';
    }
    const char *problem = read_phone(config, number, abroad, out, &len);
    return problem != NULL ? NORMALISER_FAILS(problem) : normaliser_become(value, out, len);
}

static int configure_cn_phone(const struct yaml_node *at, const struct yaml_node *params,
                              const struct normaliser_env *env, void **config_r, struct err *err)
{
    (void)at;
    static const char *const keys[] = { "area", NULL };
    struct phone_config *config = arena_alloc(env->arena, sizeof *config);
    *config_r = config;
    if (params == NULL)
        return 0;
    if (yaml_check_keys(params, keys, err) != 0)
        return -1;
    const struct yaml_node *area = yaml_get(params, "area");
    if (area == NULL)
        return 0;
    config->area = arena_strdup(env->arena, yaml_text(area));
    size_t digits = area_digits(config->area);
    if (digits == 0 || digits != strlen(config->area))
        return yaml_error(area, err, "MAPPING_NORMALISER",
                          "expected an area code in quotes, as \"010\" or \"0571\"");
    return 0;
}

const struct normaliser_kind normaliser_cn_phone = {
    .base = { "cn_phone", run_cn_phone,
              "mainland telephone number: 0571-87654321, with -801 for an extension, a mobile, or "
              "400 and 800" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .configure = configure_cn_phone,
};
