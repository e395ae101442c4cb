/* Normalisers whose rule the mapping itself carries: code tables, enums, patterns. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "conf/yaml.h"
#include "schema/code_table.h"
#include "schema/normaliser_internal.h"

/* --- codes and enum -----------------------------------------------------------------------------
 */

struct codes_config {
    const struct code_table *table;
    struct code_table *own; /* written inside the mapping: freed with the step */
};

static struct normaliser_result look_up(const struct codes_config *config, struct buf *value,
                                        const char *unknown)
{
    const char *native = value->len > 0 ? (const char *)value->data : "";
    const char *canonical = code_table_canonical(config->table, native, value->len);
    if (canonical == NULL)
        return NORMALISER_FAILS(unknown);
    return normaliser_become(value, canonical, strlen(canonical));
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
    code_table_natives(codes->table, canonical, forms);
    return forms->count > before ? 0 : -1;
}

static void dispose_codes(void *config)
{
    struct codes_config *codes = config;
    if (codes->own != NULL)
        code_table_fini(codes->own);
}

static int add_pair(const struct normaliser_env *env, struct code_table *table,
                    const struct yaml_node *native, const struct yaml_node *canonical,
                    struct err *err)
{
    if (yaml_expect(native, YAML_SCALAR, "a code", err) != 0 ||
        yaml_expect(canonical, YAML_SCALAR, "a code", err) != 0)
        return -1;
    if (!code_table_add(env->arena, table, yaml_text(native), yaml_text(canonical)))
        return yaml_error(native, err, "MAPPING_CODES", "the code \"%.64s\" is given twice",
                          yaml_text(native));
    return 0;
}

/* A table's name, or {native: canonical, ...}. */
static int configure_codes(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    struct codes_config *config = arena_alloc(env->arena, sizeof *config);
    if (params == NULL || yaml_kind(params) == YAML_SEQUENCE)
        return yaml_error(params == NULL ? at : params, err, "MAPPING_CODES",
                          "codes needs the name of a code table, or {native: canonical} pairs");
    if (yaml_kind(params) == YAML_SCALAR) {
        *config_r = config;
        config->table = code_table_named(env, params, err);
        return config->table == NULL ? -1 : 0;
    }
    config->table = config->own = code_table_new(env->arena, "inline");
    *config_r = config;
    for (size_t i = 0; i < yaml_count(params); i++)
        if (add_pair(env, config->own, yaml_key(params, i), yaml_value(params, i), err) != 0)
            return -1;
    return 0;
}

/* {CANONICAL: native} or {CANONICAL: [native, native]}. */
static int configure_enum(const struct yaml_node *at, const struct yaml_node *params,
                          const struct normaliser_env *env, void **config_r, struct err *err)
{
    struct codes_config *config = arena_alloc(env->arena, sizeof *config);
    if (params == NULL || yaml_kind(params) != YAML_MAPPING)
        return yaml_error(params == NULL ? at : params, err, "MAPPING_CODES",
                          "enum needs {CANONICAL: [native, ...]}");
    config->table = config->own = code_table_new(env->arena, "inline");
    *config_r = config;
    for (size_t i = 0; i < yaml_count(params); i++) {
        const struct yaml_node *natives = yaml_value(params, i);
        size_t count = yaml_kind(natives) == YAML_SEQUENCE ? yaml_count(natives) : 1;
        for (size_t j = 0; j < count; j++) {
            const struct yaml_node *native =
                yaml_kind(natives) == YAML_SEQUENCE ? yaml_item(natives, j) : natives;
            if (add_pair(env, config->own, native, yaml_key(params, i), err) != 0)
                return -1;
        }
    }
    return 0;
}

const struct normaliser_kind normaliser_codes = {
    .base = { "codes", run_codes, "looks the value up in a code table" },
    .back = BACK_FINITE,
    .reverse = reverse_codes,
    .configure = configure_codes,
    .dispose = dispose_codes,
};

const struct normaliser_kind normaliser_enum = {
    .base = { "enum", run_enum, "turns listed native values into one canonical name each" },
    .back = BACK_FINITE,
    .reverse = reverse_codes,
    .configure = configure_enum,
    .dispose = dispose_codes,
};

/* --- regex --------------------------------------------------------------------------------------
 */

enum {
    PATTERN_BYTES_MAX = 1024,
    MATCH_STEPS_MAX = 100000, /* an honest pattern needs a few steps a character */
    MATCH_DEPTH_MAX = 1000,
    MATCH_HEAP_KIB_MAX = 1024,
};

struct regex_config {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static struct normaliser_result run_regex(const void *config, struct buf *value)
{
    const struct regex_config *regex = config;
    int found = pcre2_match(regex->code, value->data != NULL ? value->data : (PCRE2_SPTR) "",
                            value->len, 0, 0, regex->data, regex->context);
    if (found >= 0)
        return NORMALISER_IS_OK;
    return NORMALISER_FAILS(found == PCRE2_ERROR_NOMATCH ? "REGEX_MISMATCH" : "REGEX_LIMIT");
}

static void dispose_regex(void *config)
{
    struct regex_config *regex = config;
    pcre2_match_data_free(regex->data);
    pcre2_match_context_free(regex->context);
    pcre2_code_free(regex->code);
}

static int configure_regex(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    if (params == NULL || yaml_kind(params) != YAML_SCALAR || yaml_text(params)[0] == '\0')
        return yaml_error(params == NULL ? at : params, err, "MAPPING_REGEX",
                          "regex needs a pattern, as in {regex: \"[A-Z]{2}[0-9]+\"}");
    if (strlen(yaml_text(params)) > PATTERN_BYTES_MAX)
        return yaml_error(params, err, "MAPPING_REGEX", "the pattern is longer than %d bytes",
                          PATTERN_BYTES_MAX);
    struct regex_config *regex = arena_alloc(env->arena, sizeof *regex);
    int code = 0;
    PCRE2_SIZE offset = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)yaml_text(params), PCRE2_ZERO_TERMINATED,
                                PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED |
                                    PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
                                &code, &offset, NULL);
    if (regex->code == NULL) {
        PCRE2_UCHAR text[128] = "";
        pcre2_get_error_message(code, text, sizeof text);
        return yaml_error(params, err, "MAPPING_REGEX", "the pattern is wrong at character %zu: %s",
                          (size_t)offset + 1, (const char *)text);
    }
    regex->data = pcre2_match_data_create(1, NULL);
    regex->context = pcre2_match_context_create(NULL);
    if (regex->data == NULL || regex->context == NULL) {
        dispose_regex(regex);
        return yaml_error(params, err, "MAPPING_REGEX", "the pattern needs too much memory");
    }
    pcre2_set_match_limit(regex->context, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(regex->context, MATCH_DEPTH_MAX);
    pcre2_set_heap_limit(regex->context, MATCH_HEAP_KIB_MAX);
    *config_r = regex;
    return 0;
}

const struct normaliser_kind normaliser_regex = {
    .base = { "regex", run_regex, "checks the whole value against a PCRE2 pattern, with limits" },
    .back = BACK_IDENTITY,
    .configure = configure_regex,
    .dispose = dispose_regex,
};
