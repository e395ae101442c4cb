/* Normalisers over a list the mapping names or carries: codes and enum. */
#include <string.h>

#include "base/err.h"
#include "base/strmap.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/normaliser_internal.h"

struct codes_config {
    const struct code_table *table;
    struct code_table *own; /* written inside the mapping: freed with the step */
    struct code_view view;
};

static struct normaliser_result look_up(const struct codes_config *config, struct buf *value,
                                        const char *unknown)
{
    const char *native = value->len > 0 ? (const char *)value->data : "";
    const char *canonical = NULL;
    switch (code_table_resolve(config->table, &config->view, native, value->len, &canonical)) {
    case CODE_STATE_FOUND:
        if (canonical == native)
            return NORMALISER_IS_OK;
        return normaliser_become(value, canonical, strlen(canonical));
    case CODE_STATE_MAPPED:
        return normaliser_become_warned(value, canonical, strlen(canonical), "CODE_RETIRED_MAPPED");
    case CODE_STATE_RETIRED:
        return NORMALISER_FAILS("CODE_RETIRED");
    case CODE_STATE_SPLIT:
        return NORMALISER_FAILS("CODE_SPLIT");
    case CODE_STATE_EARLY:
        return NORMALISER_FAILS("CODE_NOT_YET_VALID");
    case CODE_STATE_UNKNOWN:
        break;
    }
    return NORMALISER_FAILS(unknown);
}

static struct normaliser_result run_codes(const void *config, struct buf *value)
{
    return look_up(config, value, "CODE_UNKNOWN");
}

static struct normaliser_result run_enum(const void *config, struct buf *value)
{
    return look_up(config, value, "ENUM_UNKNOWN");
}

static int reverse_codes(const void *config, const char *canonical, struct text_list *forms)
{
    const struct codes_config *codes = config;
    size_t before = forms->count;
    code_table_natives(codes->table, &codes->view, canonical, forms);
    return forms->count > before ? 0 : -1;
}

static int write_codes(const void *config, struct buf *value)
{
    const struct codes_config *codes = config;
    const char *canonical = value->len > 0 ? (const char *)value->data : "";
    const char *native = code_table_native(codes->table, &codes->view, canonical, value->len);
    if (native == NULL || native == canonical)
        return native == NULL ? -1 : 0;
    buf_reset(value);
    return buf_append_str(value, native);
}

static enum normaliser_loss loss_of_codes(const void *config)
{
    const struct codes_config *codes = config;
    return !codes->view.others_keep && code_table_one_to_one(codes->table) ? LOSS_NONE
                                                                           : LOSS_NATIVE;
}

static void dispose_codes(void *config)
{
    struct codes_config *codes = config;
    if (codes->own != NULL)
        code_table_fini(codes->own);
}

/* --- parameters ---------------------------------------------------------------------------------
 */

static int add_pair(const struct normaliser_env *env, struct code_table *table,
                    const struct yaml_node *native, const struct yaml_node *canonical,
                    struct err *err)
{
    if (yaml_expect(native, YAML_SCALAR, "a code", err) != 0 ||
        yaml_expect(canonical, YAML_SCALAR, "a code", err) != 0)
        return -1;
    if (code_table_add(env->arena, table, yaml_text(native), yaml_text(canonical)) == NULL)
        return yaml_error(native, err, "MAPPING_CODES", "the code \"%.64s\" is given twice",
                          yaml_text(native));
    return 0;
}

/* One of two words; absent: the first. */
static int read_choice(const struct yaml_node *node, const char *first, const char *second,
                       bool *second_r, struct err *err)
{
    *second_r = node != NULL && strcmp(yaml_text(node), second) == 0;
    if (node == NULL || *second_r || strcmp(yaml_text(node), first) == 0)
        return 0;
    return yaml_error(node, err, "MAPPING_CODES", "expected %s or %s", first, second);
}

/* {table: name, as_of: 2026-01-01, retired: successor, others: keep} */
static int configure_view(const struct yaml_node *params, const struct normaliser_env *env,
                          struct codes_config *config, struct err *err)
{
    static const char *const keys[] = { "table", "as_of", "retired", "others", NULL };
    if (yaml_check_keys(params, keys, err) != 0)
        return -1;
    const struct yaml_node *as_of = yaml_get(params, "as_of");
    if (as_of != NULL && !code_table_day(yaml_text(as_of), true, &config->view.as_of))
        return yaml_error(as_of, err, "MAPPING_CODES", "expected a day, as in 2026-01-01");
    if (read_choice(yaml_get(params, "retired"), "refuse", "successor", &config->view.successors,
                    err) != 0 ||
        read_choice(yaml_get(params, "others"), "refuse", "keep", &config->view.others_keep, err) !=
            0)
        return -1;
    config->table = code_table_named(env, yaml_get(params, "table"), err);
    return config->table == NULL ? -1 : 0;
}

/* A table's name, {table: name, ...}, or {native: canonical, ...}. */
static int configure_codes(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    struct codes_config *config = arena_alloc(env->arena, sizeof *config);
    config->view.as_of = CODE_DAY_LAST;
    if (params == NULL || yaml_kind(params) == YAML_SEQUENCE)
        return yaml_error(params == NULL ? at : params, err, "MAPPING_CODES",
                          "codes needs the name of a code table, or {native: canonical} pairs");
    *config_r = config;
    if (yaml_kind(params) == YAML_SCALAR) {
        config->table = code_table_named(env, params, err);
        return config->table == NULL ? -1 : 0;
    }
    if (yaml_get(params, "table") != NULL)
        return configure_view(params, env, config, err);
    config->table = config->own = code_table_new(env->arena, "inline");
    for (size_t i = 0; i < yaml_count(params); i++)
        if (add_pair(env, config->own, yaml_key(params, i), yaml_value(params, i), err) != 0)
            return -1;
    code_table_seal(config->own);
    return 0;
}

/* {CANONICAL: native} or {CANONICAL: [native, native]}. */
static int configure_enum(const struct yaml_node *at, const struct yaml_node *params,
                          const struct normaliser_env *env, void **config_r, struct err *err)
{
    struct codes_config *config = arena_alloc(env->arena, sizeof *config);
    config->view.as_of = CODE_DAY_LAST;
    if (params == NULL || yaml_kind(params) != YAML_MAPPING)
        return yaml_error(params == NULL ? at : params, err, "MAPPING_CODES",
                          "enum needs {CANONICAL: [native, ...]}");
    config->table = config->own = code_table_new(env->arena, "inline");
    *config_r = config;
    for (size_t i = 0; i < yaml_count(params); i++) {
        const struct yaml_node *natives = yaml_value(params, i);
        bool list = yaml_kind(natives) == YAML_SEQUENCE;
        size_t count = list ? yaml_count(natives) : 1;
        for (size_t j = 0; j < count; j++)
            if (add_pair(env, config->own, list ? yaml_item(natives, j) : natives,
                         yaml_key(params, i), err) != 0)
                return -1;
    }
    code_table_seal(config->own);
    return 0;
}

/* With more native codes for one canonical text than a filter may list there is no way back for
 * filters: a list that is cut short would miss rows. Writing needs one code only. */
static const struct normaliser_kind codes_of_many = {
    .base = { "codes", run_codes, "codes, with too many native codes of one text for a filter" },
    .back = BACK_NONE,
    .loss_of = loss_of_codes,
    .write = write_codes,
    .dispose = dispose_codes,
};

static const struct normaliser_kind *variant_of_codes(const void *config)
{
    const struct codes_config *codes = config;
    bool many = codes->table->row_count >= TEXT_LIST_MAX &&
                code_table_natives_max(codes->table, &codes->view) > TEXT_LIST_MAX;
    return many ? &codes_of_many : &normaliser_codes;
}

const struct normaliser_kind normaliser_codes = {
    .base = { "codes", run_codes,
              "looks the value up in a code table; ended codes can follow their successor" },
    .back = BACK_FINITE,
    .reverse = reverse_codes,
    .loss_of = loss_of_codes,
    .write = write_codes,
    .configure = configure_codes,
    .variant = variant_of_codes,
    .dispose = dispose_codes,
};

const struct normaliser_kind normaliser_enum = {
    .base = { "enum", run_enum, "turns listed native values into one canonical name each" },
    .back = BACK_FINITE,
    .reverse = reverse_codes,
    .loss_of = loss_of_codes,
    .write = write_codes,
    .configure = configure_enum,
    .dispose = dispose_codes,
};
