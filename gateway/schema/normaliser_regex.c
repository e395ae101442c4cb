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

/* A piece of a replacement: text, or a group of the pattern. */
struct regex_piece {
    const char *text; /* NULL: the group */
    uint32_t group;
    struct regex_piece *next;
};

struct regex_config {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    struct regex_piece *pieces; /* NULL: the value stays */
    bool replaces;
    struct buf scratch; /* kept between values */
};

static int match(const struct regex_config *regex, const struct buf *value)
{
    return pcre2_match(regex->code, value->data != NULL ? value->data : (PCRE2_SPTR) "", value->len,
                       0, 0, regex->data, regex->context);
}

static struct normaliser_result run_regex(const void *config, struct buf *value)
{
    int found = match(config, value);
    if (found >= 0)
        return NORMALISER_IS_OK;
    return NORMALISER_FAILS(found == PCRE2_ERROR_NOMATCH ? "REGEX_MISMATCH" : "REGEX_LIMIT");
}

static struct normaliser_result run_regex_replace(const void *config, struct buf *value)
{
    struct regex_config *regex = (struct regex_config *)(uintptr_t)config;
    struct normaliser_result checked = run_regex(config, value);
    if (checked.verdict == NORMALISER_ERROR)
        return checked;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regex->data);
    struct buf *out = &regex->scratch;
    buf_reset(out);
    int result = 0;
    for (const struct regex_piece *piece = regex->pieces; piece != NULL && result == 0;
         piece = piece->next) {
        if (piece->text != NULL) {
            result = buf_append_str(out, piece->text);
            continue;
        }
        /* A group that took no part is empty; \K in a lookahead could put the end before the start. */
        PCRE2_SIZE from = ends[(size_t)2 * piece->group], to = ends[(size_t)2 * piece->group + 1];
        if (from != PCRE2_UNSET && to > from)
            result = buf_append(out, value->data + from, to - from);
    }
    if (result != 0)
        return NORMALISER_FAILS("VALUE_TOO_LONG");
    return normaliser_become(value, out->len > 0 ? (const char *)out->data : "", out->len);
}

static void dispose_regex(void *config)
{
    struct regex_config *regex = config;
    pcre2_match_data_free(regex->data);
    pcre2_match_context_free(regex->context);
    pcre2_code_free(regex->code);
    buf_fini(&regex->scratch);
}

static int compile(const struct yaml_node *node, struct regex_config *regex, struct err *err)
{
    const char *pattern = yaml_text(node);
    if (strlen(pattern) > PATTERN_BYTES_MAX)
        return yaml_error(node, err, "MAPPING_REGEX", "the pattern is longer than %d bytes",
                          PATTERN_BYTES_MAX);
    int code = 0;
    PCRE2_SIZE offset = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED |
                                    PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
                                &code, &offset, NULL);
    if (regex->code == NULL) {
        PCRE2_UCHAR text[128] = "";
        pcre2_get_error_message(code, text, sizeof text);
        return yaml_error(node, err, "MAPPING_REGEX", "the pattern is wrong at character %zu: %s",
                          (size_t)offset + 1, (const char *)text);
    }
    regex->data = pcre2_match_data_create_from_pattern(regex->code, NULL);
    regex->context = pcre2_match_context_create(NULL);
    if (regex->data == NULL || regex->context == NULL)
        return yaml_error(node, err, "MAPPING_REGEX", "the pattern needs too much memory");
    pcre2_set_match_limit(regex->context, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(regex->context, MATCH_DEPTH_MAX);
    pcre2_set_heap_limit(regex->context, MATCH_HEAP_KIB_MAX);
    return 0;
}

/* $1, ${12} or $$ behind a dollar; answers what follows, NULL when it is none of them. */
static const char *read_group(const char *at, struct regex_piece *piece)
{
    if (*at == '$') {
        piece->text = "$";
        return at + 1;
    }
    bool braced = *at == '{';
    at += braced;
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || digits > 2 || (!braced && digits > 1) || (braced && at[digits] != '}'))
        return NULL;
    for (size_t i = 0; i < digits; i++)
        piece->group = piece->group * 10 + (uint32_t)(at[i] - '0');
    return at + digits + braced;
}

static int read_replacement(const struct yaml_node *node, const struct normaliser_env *env,
                            struct regex_config *regex, struct err *err)
{
    uint32_t groups = 0;
    struct regex_piece **last = &regex->pieces;
    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    for (const char *at = yaml_text(node); *at != '\0';) {
        struct regex_piece *piece = arena_alloc(env->arena, sizeof *piece);
        size_t plain = strcspn(at, "$");
        if (plain > 0) {
            piece->text = arena_strndup(env->arena, at, plain);
            at += plain;
        } else if ((at = read_group(at + 1, piece)) == NULL) {
            return yaml_error(node, err, "MAPPING_REGEX",
                              "behind $ stands a group's number, as $1 or ${12}, or a second $");
        } else if (piece->group > groups) {
            return yaml_error(node, err, "MAPPING_REGEX", "the pattern has %u groups, no group %u",
                              groups, piece->group);
        }
        *last = piece;
        last = &piece->next;
    }
    regex->replaces = true;
    return 0;
}

/* A pattern, or {match: pattern, replace: text with $1}. */
static int configure_regex(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    static const char *const keys[] = { "match", "replace", NULL };
    bool pair = params != NULL && yaml_kind(params) == YAML_MAPPING;
    const struct yaml_node *pattern = pair ? yaml_get(params, "match") : params;
    const struct yaml_node *replace = pair ? yaml_get(params, "replace") : NULL;
    if (pattern == NULL || yaml_text(pattern)[0] == '\0' || (pair && replace == NULL))
        return yaml_error(params == NULL ? at : params, err, "MAPPING_REGEX",
                          "regex needs a pattern, as in {regex: \"[A-Z]{2}[0-9]+\"}, or {match: "
                          "pattern, replace: \"$1\"}");
    if (pair && (yaml_check_keys(params, keys, err) != 0 ||
                 yaml_expect(replace, YAML_SCALAR, "the replacement", err) != 0))
        return -1;
    struct regex_config *regex = arena_alloc(env->arena, sizeof *regex);
    buf_init(&regex->scratch, NORMALISER_VALUE_BYTES_MAX);
    *config_r = regex;
    if (compile(pattern, regex, err) != 0)
        return -1;
    return replace != NULL ? read_replacement(replace, env, regex, err) : 0;
}

/* Not idempotent by nature, and what the groups leave out is gone: one way. */
static const struct normaliser_kind regex_replace = {
    .base = { "regex", run_regex_replace, "rebuilds the value from the groups of a pattern" },
    .back = BACK_NONE,
    .loss = LOSS_ONE_WAY,
    .dispose = dispose_regex,
};

static const struct normaliser_kind *variant_of_regex(const void *config)
{
    const struct regex_config *regex = config;
    return regex->replaces ? &regex_replace : &normaliser_regex;
}

const struct normaliser_kind normaliser_regex = {
    .base = { "regex", run_regex,
              "checks the whole value against a PCRE2 pattern, with limits; can replace by "
              "groups" },
    .back = BACK_IDENTITY,
    .loss = LOSS_NONE,
    .configure = configure_regex,
    .variant = variant_of_regex,
    .dispose = dispose_regex,
};
