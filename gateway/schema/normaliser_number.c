/* Exact decimal numbers, and money with Chinese units. Never through double. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/normaliser_decimal.h"

struct number_config {
    int scale;
    int power; /* minor units: multiply by ten to this */
    enum rounding rounding;
};

static struct normaliser_result run_decimal(const void *config, struct buf *value)
{
    const struct number_config *options = config;
    struct decimal number;
    enum decimal_fold taken = decimal_take(value, &number);
    if (taken != DECIMAL_FOLD_OK)
        return NORMALISER_FAILS(taken == DECIMAL_FOLD_LONG ? "DECIMAL_TOO_LONG" : "DECIMAL_SYNTAX");
    if (options->power != 0)
        decimal_shift(&number, options->power);
    if (options->scale != DECIMAL_SCALE_AS_IS &&
        !decimal_round(&number, options->scale, options->rounding, false))
        return NORMALISER_FAILS("DECIMAL_SCALE");
    return decimal_become(&number, value, "DECIMAL_TOO_LONG");
}

/* Minor units become the unit again, with all their places. */
static int write_minor(const void *config, struct buf *value)
{
    const struct number_config *options = config;
    struct decimal number;
    if (options->power == 0)
        return 0;
    if (decimal_take(value, &number) != DECIMAL_FOLD_OK)
        return -1;
    decimal_shift(&number, -options->power);
    return decimal_become(&number, value, "DECIMAL_TOO_LONG").verdict == NORMALISER_ERROR ? -1 : 0;
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
    enum decimal_fold folded = decimal_fold(value, text);
    if (folded != DECIMAL_FOLD_OK)
        return NORMALISER_FAILS(folded == DECIMAL_FOLD_LONG ? "MONEY_TOO_LONG" : "MONEY_SYNTAX");
    const char *start = text;
    if (strncmp(start, "¥", strlen("¥")) == 0)
        start += strlen("¥");
    else if (strncmp(start, "￥", strlen("￥")) == 0)
        start += strlen("￥");
    struct decimal number;
    int power = 0;
    const char *rest = decimal_read(start, &number);
    if (rest == NULL || !money_unit(rest, &power))
        return NORMALISER_FAILS("MONEY_SYNTAX");
    decimal_shift(&number, power + options->power);
    if (!decimal_round(&number, options->scale, ROUND_EXACT, false))
        return NORMALISER_FAILS("MONEY_PRECISION");
    return decimal_become(&number, value, "MONEY_TOO_LONG");
}

static int configure_decimal(const struct yaml_node *at, const struct yaml_node *params,
                             const struct normaliser_env *env, void **config_r, struct err *err)
{
    (void)at;
    static const char *const keys[] = { "scale", "rounding", "minor", NULL };
    struct number_config *config = arena_alloc(env->arena, sizeof *config);
    config->scale = DECIMAL_SCALE_AS_IS;
    *config_r = config;
    if (params == NULL)
        return 0;
    if (yaml_check_keys(params, keys, err) != 0 ||
        decimal_read_scale(params, &config->scale, err) != 0 ||
        decimal_read_rounding(params, &config->rounding, err) != 0)
        return -1;
    const struct yaml_node *minor = yaml_get(params, "minor");
    if (minor != NULL) {
        int64_t power = 0;
        if (yaml_get(params, "scale") != NULL)
            return yaml_error(minor, err, "MAPPING_NORMALISER",
                              "minor units are whole numbers; give minor or scale, not both");
        if (yaml_read_int(minor, 0, DECIMAL_POWER_MAX, &power, err) != 0)
            return -1;
        config->power = (int)power;
        config->scale = 0;
    }
    if (config->scale == DECIMAL_SCALE_AS_IS && yaml_get(params, "rounding") != NULL)
        return yaml_error(yaml_get(params, "rounding"), err, "MAPPING_NORMALISER",
                          "rounding needs scale or minor: to how many places?");
    return 0;
}

static int configure_money(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    (void)at;
    static const char *const keys[] = { "minor", NULL };
    struct number_config *config = arena_alloc(env->arena, sizeof *config);
    bool minor = false;
    *config_r = config;
    if (params != NULL) {
        const struct yaml_node *node = yaml_get(params, "minor");
        if (yaml_check_keys(params, keys, err) != 0 ||
            (node != NULL && yaml_read_bool(node, &minor, err) != 0))
            return -1;
    }
    config->scale = minor ? 0 : 2;
    config->power = minor ? 2 : 0;
    return 0;
}

const struct normaliser_kind normaliser_decimal = {
    .base = { "decimal", run_decimal,
              "an exact decimal number; a fixed scale with a stated rounding, or minor units" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .write = write_minor,
    .configure = configure_decimal,
};

const struct normaliser_kind normaliser_cn_money = {
    .base = { "cn_money", run_cn_money,
              "an amount with 元, 万元 or 亿元 becomes yuan with two decimals, or integer fen" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .write = write_minor,
    .configure = configure_money,
};
