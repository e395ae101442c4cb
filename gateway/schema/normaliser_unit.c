/* Numbers from one unit of measure to another by exact ratios, or by a power of ten. */
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/normaliser_decimal.h"

enum dimension { MONEY, LENGTH, AREA, VOLUME, MASS, DURATION, ENERGY, COUNT, SHARE };

/* How many of its dimension's base unit one of it is: yuan, metre, square metre, litre, kilogram,
 * second, kilowatt-hour, one, one. 市制 units as the State Council fixed them in 1959: 1 尺 = 1/3 m. */
static const struct unit {
    const char *name;
    enum dimension dimension;
    int64_t num;
    int64_t den;
} units[] = {
    { "元", MONEY, 1, 1 },
    { "角", MONEY, 1, 10 },
    { "分", MONEY, 1, 100 },
    { "千元", MONEY, 1000, 1 },
    { "万元", MONEY, 10000, 1 },
    { "百万元", MONEY, 1000000, 1 },
    { "千万元", MONEY, 10000000, 1 },
    { "亿元", MONEY, 100000000, 1 },
    { "mm", LENGTH, 1, 1000 },
    { "毫米", LENGTH, 1, 1000 },
    { "cm", LENGTH, 1, 100 },
    { "厘米", LENGTH, 1, 100 },
    { "dm", LENGTH, 1, 10 },
    { "分米", LENGTH, 1, 10 },
    { "m", LENGTH, 1, 1 },
    { "米", LENGTH, 1, 1 },
    { "km", LENGTH, 1000, 1 },
    { "千米", LENGTH, 1000, 1 },
    { "公里", LENGTH, 1000, 1 },
    { "里", LENGTH, 500, 1 },
    { "丈", LENGTH, 10, 3 },
    { "尺", LENGTH, 1, 3 },
    { "寸", LENGTH, 1, 30 },
    { "cm2", AREA, 1, 10000 },
    { "平方厘米", AREA, 1, 10000 },
    { "m2", AREA, 1, 1 },
    { "平方米", AREA, 1, 1 },
    { "亩", AREA, 2000, 3 },
    { "万亩", AREA, 20000000, 3 },
    { "ha", AREA, 10000, 1 },
    { "公顷", AREA, 10000, 1 },
    { "万公顷", AREA, 100000000, 1 },
    { "km2", AREA, 1000000, 1 },
    { "平方千米", AREA, 1000000, 1 },
    { "平方公里", AREA, 1000000, 1 },
    { "mL", VOLUME, 1, 1000 },
    { "毫升", VOLUME, 1, 1000 },
    { "L", VOLUME, 1, 1 },
    { "升", VOLUME, 1, 1 },
    { "m3", VOLUME, 1000, 1 },
    { "立方米", VOLUME, 1000, 1 },
    { "万立方米", VOLUME, 10000000, 1 },
    { "mg", MASS, 1, 1000000 },
    { "毫克", MASS, 1, 1000000 },
    { "g", MASS, 1, 1000 },
    { "克", MASS, 1, 1000 },
    { "两", MASS, 1, 20 },
    { "斤", MASS, 1, 2 },
    { "kg", MASS, 1, 1 },
    { "千克", MASS, 1, 1 },
    { "公斤", MASS, 1, 1 },
    { "t", MASS, 1000, 1 },
    { "吨", MASS, 1000, 1 },
    { "万吨", MASS, 10000000, 1 },
    { "s", DURATION, 1, 1 },
    { "秒", DURATION, 1, 1 },
    { "min", DURATION, 60, 1 },
    { "分钟", DURATION, 60, 1 },
    { "h", DURATION, 3600, 1 },
    { "小时", DURATION, 3600, 1 },
    { "天", DURATION, 86400, 1 },
    { "kWh", ENERGY, 1, 1 },
    { "千瓦时", ENERGY, 1, 1 },
    { "度", ENERGY, 1, 1 },
    { "万千瓦时", ENERGY, 10000, 1 },
    { "MWh", ENERGY, 1000, 1 },
    { "一", COUNT, 1, 1 },
    { "千", COUNT, 1000, 1 },
    { "万", COUNT, 10000, 1 },
    { "亿", COUNT, 100000000, 1 },
    { "人", COUNT, 1, 1 },
    { "万人", COUNT, 10000, 1 },
    { "户", COUNT, 1, 1 },
    { "万户", COUNT, 10000, 1 },
    { "1", SHARE, 1, 1 },
    { "%", SHARE, 1, 100 },
    { "‰", SHARE, 1, 1000 },
};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

struct unit_config {
    struct ratio ratio; /* num 0: a power of ten, which keeps the places delivered */
    int power;
    int scale;
    enum rounding rounding;
};

static struct normaliser_result run_unit(const void *config, struct buf *value)
{
    const struct unit_config *unit = config;
    struct decimal number;
    enum decimal_fold taken = decimal_take(value, &number);
    if (taken != DECIMAL_FOLD_OK)
        return NORMALISER_FAILS(taken == DECIMAL_FOLD_LONG ? "DECIMAL_TOO_LONG" : "DECIMAL_SYNTAX");
    if (unit->ratio.num == 0) {
        decimal_shift(&number, unit->power);
        if (unit->scale != DECIMAL_SCALE_AS_IS &&
            !decimal_round(&number, unit->scale, unit->rounding, false))
            return NORMALISER_FAILS("DECIMAL_SCALE");
    } else if (!decimal_times(&number, unit->ratio, unit->scale, unit->rounding)) {
        return NORMALISER_FAILS(unit->scale == DECIMAL_SCALE_AS_IS ? "UNIT_INEXACT"
                                                                   : "DECIMAL_SCALE");
    }
    return decimal_become(&number, value, "DECIMAL_TOO_LONG");
}

/* The inverse, when it has an end. A power of ten keeps as many places as reading it needs. */
static int write_unit(const void *config, struct buf *value)
{
    const struct unit_config *unit = config;
    struct decimal number;
    if (decimal_take(value, &number) != DECIMAL_FOLD_OK)
        return -1;
    bool whole = number.scale == 0 || unit->scale != DECIMAL_SCALE_AS_IS;
    if (unit->ratio.num != 0) {
        struct ratio inverse = { unit->ratio.den, unit->ratio.num };
        if (!decimal_times(&number, inverse, DECIMAL_SCALE_AS_IS, ROUND_EXACT))
            return -1;
    } else {
        decimal_shift(&number, -unit->power);
        if (whole)
            decimal_trim(&number);
    }
    return decimal_become(&number, value, "DECIMAL_TOO_LONG").verdict == NORMALISER_ERROR ? -1 : 0;
}

/* Places that division by `num` adds; -1: it need not have an end. */
static int places_of(int64_t num)
{
    int twos = 0, fives = 0;
    for (; num % 2 == 0; num /= 2)
        twos++;
    for (; num % 5 == 0; num /= 5)
        fives++;
    return num != 1 ? -1 : twos > fives ? twos : fives;
}

/* An exact result leads back to what it came from. A rounded one came from something else: it leads
 * back when division by the ratio has an end within the places a number may have. */
static enum normaliser_loss loss_of_unit(const void *config)
{
    const struct unit_config *unit = config;
    if (unit->scale == DECIMAL_SCALE_AS_IS || unit->rounding == ROUND_EXACT)
        return LOSS_NATIVE;
    int places = unit->ratio.num != 0 ? places_of(unit->ratio.num)
                 : unit->power > 0    ? unit->power
                                      : 0;
    return places < 0 || unit->scale + places > DECIMAL_SCALE_MAX ? LOSS_SOME_VALUES : LOSS_NATIVE;
}

/* --- parameters ---------------------------------------------------------------------------------
 */

static const struct unit *find_unit(const struct yaml_node *node, struct err *err)
{
    const char *name = yaml_text(node), *names[UNIT_COUNT];
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        names[i] = units[i].name;
        if (strcmp(name, units[i].name) == 0)
            return &units[i];
    }
    const char *near = yaml_nearest(name, strlen(name), names, UNIT_COUNT);
    (void)yaml_error(node, err, "MAPPING_NORMALISER", "there is no unit \"%.64s\"%s%s%s", name,
                     near != NULL ? "; did you mean \"" : "",
                     near != NULL ? near : "; give the power of ten instead",
                     near != NULL ? "\"?" : "");
    return NULL;
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int configure_names(const struct yaml_node *from, const struct yaml_node *to,
                           struct unit_config *config, struct err *err)
{
    const struct unit *a = find_unit(from, err);
    const struct unit *b = a != NULL ? find_unit(to, err) : NULL;
    if (b == NULL)
        return -1;
    if (a->dimension != b->dimension)
        return yaml_error(to, err, "MAPPING_NORMALISER",
                          "%s and %s measure different things; no number leads from one to the "
                          "other",
                          a->name, b->name);
    int64_t num = a->num * b->den, den = a->den * b->num; /* at most 10^8 times 10^6 */
    int64_t divisor = common_divisor(num, den);
    config->ratio = (struct ratio){ num / divisor, den / divisor };
    return 0;
}

static int configure_unit(const struct yaml_node *at, const struct yaml_node *params,
                          const struct normaliser_env *env, void **config_r, struct err *err)
{
    static const char *const keys[] = { "power", "from", "to", "scale", "rounding", NULL };
    struct unit_config *config = arena_alloc(env->arena, sizeof *config);
    config->scale = DECIMAL_SCALE_AS_IS;
    *config_r = config;
    const struct yaml_node *power = params != NULL ? yaml_get(params, "power") : NULL;
    const struct yaml_node *from = params != NULL ? yaml_get(params, "from") : NULL;
    const struct yaml_node *to = params != NULL ? yaml_get(params, "to") : NULL;
    bool named = from != NULL && to != NULL;
    if ((power != NULL) == (from != NULL || to != NULL) || (power == NULL && !named))
        return yaml_error(params != NULL ? params : at, err, "MAPPING_NORMALISER",
                          "unit needs two units, as in {unit: {from: 万元, to: 元}}, or the power "
                          "of ten to multiply by, as in {unit: {power: 4}}");
    if (yaml_check_keys(params, keys, err) != 0 ||
        decimal_read_scale(params, &config->scale, err) != 0 ||
        decimal_read_rounding(params, &config->rounding, err) != 0)
        return -1;
    if (config->scale == DECIMAL_SCALE_AS_IS && yaml_get(params, "rounding") != NULL)
        return yaml_error(yaml_get(params, "rounding"), err, "MAPPING_NORMALISER",
                          "rounding needs scale: to how many places?");
    if (named)
        return configure_names(from, to, config, err);
    int64_t ten = 0;
    if (yaml_read_int(power, -DECIMAL_POWER_MAX, DECIMAL_POWER_MAX, &ten, err) != 0)
        return -1;
    config->power = (int)ten;
    return 0;
}

/* Not idempotent by nature: it belongs into a chain once. */
const struct normaliser_kind normaliser_unit = {
    .base = { "unit", run_unit,
              "an exact number from one unit to another, as 万元 to 元 or cm to mm" },
    .back = BACK_NONE,
    .loss_of = loss_of_unit,
    .write = write_unit,
    .configure = configure_unit,
};
