/* Patterns: PCRE2 with limits. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/err.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

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
    .loss = LOSS_NONE,
    .configure = configure_regex,
    .dispose = dispose_regex,
};
