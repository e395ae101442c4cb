/* Exact decimal numbers: plain, money with Chinese units, powers of ten. Never through double. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

enum {
    DIGITS_MAX = 64, /* PostgreSQL money and statistics stay far below */
    SCALE_MAX = 30,
    POWER_MAX = 18,
    SCALE_AS_IS = -1,
};

struct decimal {
    bool negative;
    char digits[DIGITS_MAX + 2 * SCALE_MAX];
    int count;
    int scale; /* of these, behind the point */
};

struct number_config {
    int64_t scale; /* SCALE_AS_IS: as delivered */
    int64_t power; /* multiply by ten to this */
    bool minor;    /* money: integer fen */
};

/* Thousands separators must stand where they belong: 1,234,567 but not 1,23. */
static const char *read_whole(const char *text, struct decimal *number, bool *grouped_r)
{
    int group = 0;
    bool grouped = false, any = false;
    for (;; text++) {
        if (*text >= '0' && *text <= '9') {
            if (number->count == DIGITS_MAX || (grouped && group == 3))
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
    *grouped_r = any;
    return grouped && group != 3 ? NULL : text;
}

/* Answers what stands behind the number, or NULL when there is none. */
static const char *read_decimal(const char *text, struct decimal *number)
{
    *number = (struct decimal){ 0 };
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
        if (number->count == DIGITS_MAX || number->scale == SCALE_MAX)
            return NULL;
        number->digits[number->count++] = *text;
        number->scale++;
    }
    return text;
}

/* Multiplies by ten to `power`, then brings the scale to `scale`; false when digits would be lost.
 */
static bool rescale(struct decimal *number, int power, int scale)
{
    number->scale -= power;
    while (number->scale < 0) {
        number->digits[number->count++] = '0';
        number->scale++;
    }
    if (scale == SCALE_AS_IS)
        return true;
    while (number->scale < scale) {
        number->digits[number->count++] = '0';
        number->scale++;
    }
    while (number->scale > scale) {
        if (number->count > 0 && number->digits[number->count - 1] != '0')
            return false;
        number->count -= number->count > 0;
        number->scale--;
    }
    return true;
}

static struct normaliser_result write_decimal(const struct decimal *number, struct buf *value)
{
    char text[DIGITS_MAX + 3 * SCALE_MAX];
    size_t len = 0;
    int first = 0;
    bool zero = true;
    for (int i = 0; i < number->count; i++)
        zero = zero && number->digits[i] == '0';
    while (first < number->count - number->scale - 1 && number->digits[first] == '0')
        first++;
    if (number->negative && !zero)
        text[len++] = '-';
    int whole = number->count - number->scale;
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

static struct normaliser_result run_decimal(const void *config, struct buf *value)
{
    const struct number_config *options = config;
    char text[IDENTIFIER_BYTES_MAX];
    if (normaliser_identifier(value, text) == IDENTIFIER_BYTES_MAX)
        return NORMALISER_FAILS("DECIMAL_TOO_LONG");
    struct decimal number;
    const char *rest = read_decimal(text, &number);
    if (rest == NULL || *rest != '\0')
        return NORMALISER_FAILS("DECIMAL_SYNTAX");
    if (!rescale(&number, (int)options->power, (int)options->scale))
        return NORMALISER_FAILS("DECIMAL_SCALE");
    return write_decimal(&number, value);
}

static bool money_unit(const char *rest, int *power_r)
{
    static const struct {
        const char *unit;
        int power;
    } units[] = { { "", 0 },     { "元", 0 }, { "圆", 0 },  { "万", 4 },
                  { "万元", 4 }, { "亿", 8 }, { "亿元", 8 } };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i].unit, rest) == 0) {
            *power_r = units[i].power;
            return true;
        }
    return false;
}

static struct normaliser_result run_cn_money(const void *config, struct buf *value)
{
    const struct number_config *options = config;
    char text[IDENTIFIER_BYTES_MAX];
    if (normaliser_identifier(value, text) == IDENTIFIER_BYTES_MAX)
        return NORMALISER_FAILS("MONEY_TOO_LONG");
    const char *start = text;
    if (strncmp(start, "¥", strlen("¥")) == 0)
        start += strlen("¥");
    else if (strncmp(start, "￥", strlen("￥")) == 0)
        start += strlen("￥");
    struct decimal number;
    int power = 0;
    const char *rest = read_decimal(start, &number);
    if (rest == NULL || !money_unit(rest, &power))
        return NORMALISER_FAILS("MONEY_SYNTAX");
    if (!rescale(&number, options->minor ? power + 2 : power, options->minor ? 0 : 2))
        return NORMALISER_FAILS("MONEY_PRECISION");
    return write_decimal(&number, value);
}

/* Divides by the power of ten again, which is always exact; zeros that only the power brought go. */
static int unscale(struct buf *value, int power)
{
    char text[IDENTIFIER_BYTES_MAX];
    if (normaliser_identifier(value, text) == IDENTIFIER_BYTES_MAX)
        return -1;
    struct decimal number;
    const char *rest = read_decimal(text, &number);
    if (rest == NULL || *rest != '\0')
        return -1;
    int scale = number.scale;
    (void)rescale(&number, -power, SCALE_AS_IS);
    while (scale == 0 && number.scale > 0 && number.digits[number.count - 1] == '0') {
        number.count--;
        number.scale--;
    }
    return write_decimal(&number, value).verdict == NORMALISER_ERROR ? -1 : 0;
}

static int write_number(const void *config, struct buf *value)
{
    const struct number_config *options = config;
    return unscale(value, (int)options->power);
}

static int write_money(const void *config, struct buf *value)
{
    const struct number_config *options = config;
    return options->minor ? unscale(value, 2) : 0;
}

static int configure_decimal(const struct yaml_node *at, const struct yaml_node *params,
                             const struct normaliser_env *env, void **config_r, struct err *err)
{
    (void)at;
    static const char *const keys[] = { "scale", NULL };
    struct number_config *config = arena_alloc(env->arena, sizeof *config);
    config->scale = SCALE_AS_IS;
    *config_r = config;
    if (params == NULL)
        return 0;
    if (yaml_check_keys(params, keys, err) != 0)
        return -1;
    const struct yaml_node *scale = yaml_get(params, "scale");
    return scale == NULL ? 0 : yaml_read_int(scale, 0, SCALE_MAX, &config->scale, err);
}

static int configure_money(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    (void)at;
    static const char *const keys[] = { "minor", NULL };
    struct number_config *config = arena_alloc(env->arena, sizeof *config);
    *config_r = config;
    if (params == NULL)
        return 0;
    if (yaml_check_keys(params, keys, err) != 0)
        return -1;
    const struct yaml_node *minor = yaml_get(params, "minor");
    return minor == NULL ? 0 : yaml_read_bool(minor, &config->minor, err);
}

static int configure_unit(const struct yaml_node *at, const struct yaml_node *params,
                          const struct normaliser_env *env, void **config_r, struct err *err)
{
    static const char *const keys[] = { "power", "scale", NULL };
    struct number_config *config = arena_alloc(env->arena, sizeof *config);
    config->scale = SCALE_AS_IS;
    *config_r = config;
    if (params == NULL || yaml_kind(params) != YAML_MAPPING || yaml_get(params, "power") == NULL)
        return yaml_error(at, err, "MAPPING_NORMALISER",
                          "unit needs the power of ten to multiply by, as in {unit: {power: 4}}");
    if (yaml_check_keys(params, keys, err) != 0 ||
        yaml_read_int(yaml_get(params, "power"), -POWER_MAX, POWER_MAX, &config->power, err) != 0)
        return -1;
    const struct yaml_node *scale = yaml_get(params, "scale");
    return scale == NULL ? 0 : yaml_read_int(scale, 0, SCALE_MAX, &config->scale, err);
}

const struct normaliser_kind normaliser_decimal = {
    .base = { "decimal", run_decimal, "an exact decimal number, optionally with a fixed scale" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .configure = configure_decimal,
};

const struct normaliser_kind normaliser_cn_money = {
    .base = { "cn_money", run_cn_money,
              "an amount with 元, 万元 or 亿元 becomes yuan with two decimals, or integer fen" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .write = write_money,
    .configure = configure_money,
};

/* The one normaliser that is not idempotent by nature: it belongs at the end of a chain, once. */
const struct normaliser_kind normaliser_unit = {
    .base = { "unit", run_decimal, "multiplies an exact decimal number by a power of ten" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .write = write_number,
    .configure = configure_unit,
};
