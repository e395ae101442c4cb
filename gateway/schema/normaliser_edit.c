/* Normalisers that edit text by the mapping's own rules: strip, replace, split, concat. */
#include <string.h>
#include <utf8proc.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

/* --- strip --------------------------------------------------------------------------------------
 */

enum {
    CLASS_BLANK = 1,
    CLASS_CONTROL = 2,
    CLASS_DIGIT = 4,
    CLASS_LETTER = 8,
    CLASS_MARK = 16,
    CLASS_PUNCTUATION = 32,
    CLASS_SYMBOL = 64,
};

struct strip_config {
    unsigned classes;
    const char *characters; /* "" when none are listed */
    bool ascii[128];        /* what goes, worked out at load */
};

static unsigned class_of(uint32_t cp)
{
    unsigned blank = normaliser_blank(cp) ? CLASS_BLANK : 0;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
        return blank | CLASS_LETTER;
    if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME)
        return blank | CLASS_MARK;
    if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
        return blank | (category == UTF8PROC_CATEGORY_ND ? CLASS_DIGIT : 0);
    if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO)
        return blank | CLASS_PUNCTUATION;
    if (category >= UTF8PROC_CATEGORY_SM && category <= UTF8PROC_CATEGORY_SO)
        return blank | CLASS_SYMBOL;
    if (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF)
        return blank | CLASS_CONTROL;
    return blank;
}

static bool goes(const struct strip_config *strip, uint32_t cp)
{
    if ((class_of(cp) & strip->classes) != 0)
        return true;
    const uint8_t *at = (const uint8_t *)strip->characters;
    for (size_t left = strlen(strip->characters); left > 0;) {
        uint32_t listed = 0;
        size_t step = utf8_decode(at, left, &listed);
        if (listed == cp)
            return true;
        at += step;
        left -= step;
    }
    return false;
}

static struct normaliser_result run_strip(const void *config, struct buf *value)
{
    const struct strip_config *strip = config;
    size_t out = 0;
    for (size_t i = 0; i < value->len;) {
        uint32_t cp = 0;
        size_t step = normaliser_decode(value->data + i, value->len - i, &cp);
        if (step == 0)
            return NORMALISER_FAILS("NOT_UTF8");
        if (!(cp < 0x80 ? strip->ascii[cp] : goes(strip, cp))) {
            memmove(value->data + out, value->data + i, step);
            out += step;
        }
        i += step;
    }
    bool changed = out != value->len;
    value->len = out;
    return (struct normaliser_result){ changed ? NORMALISER_CHANGED : NORMALISER_OK, "" };
}

static int read_class(const struct yaml_node *node, unsigned *classes, struct err *err)
{
    static const char *const names[] = { "blank", "control",     "digit", "letter",
                                         "mark",  "punctuation", "symbol" };
    size_t count = sizeof names / sizeof names[0];
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], yaml_text(node)) == 0) {
            *classes |= 1U << i;
            return 0;
        }
    return yaml_error(node, err, "MAPPING_NORMALISER",
                      "a class is blank, control, digit, letter, mark, punctuation or symbol");
}

static int configure_strip(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    static const char *const keys[] = { "classes", "characters", NULL };
    struct strip_config *strip = arena_alloc(env->arena, sizeof *strip);
    *config_r = strip;
    strip->characters = "";
    if (params == NULL || yaml_count(params) == 0)
        return yaml_error(at, err, "MAPPING_NORMALISER",
                          "strip needs {classes: [blank, ...]} or {characters: \"...\"}");
    if (yaml_check_keys(params, keys, err) != 0)
        return -1;
    const struct yaml_node *classes = yaml_get(params, "classes");
    const struct yaml_node *characters = yaml_get(params, "characters");
    if (classes != NULL && yaml_expect(classes, YAML_SEQUENCE, "classes", err) != 0)
        return -1;
    for (size_t i = 0; classes != NULL && i < yaml_count(classes); i++)
        if (read_class(yaml_item(classes, i), &strip->classes, err) != 0)
            return -1;
    if (characters != NULL) {
        if (yaml_expect(characters, YAML_SCALAR, "characters", err) != 0)
            return -1;
        strip->characters = arena_strdup(env->arena, yaml_text(characters));
    }
    for (uint32_t cp = 0; cp < 128; cp++)
        strip->ascii[cp] = goes(strip, cp);
    return 0;
}

const struct normaliser_kind normaliser_strip = {
    .base = { "strip", run_strip, "characters of the listed classes, or listed ones, go" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .configure = configure_strip,
};

/* --- split --------------------------------------------------------------------------------------
 */

struct split_config {
    const char *separator;
    int64_t item; /* from 1; -1 is the last */
};
enum { SPLIT_ITEM_MAX = 1000 };

static const uint8_t *find_text(const uint8_t *data, size_t len, const char *text)
{
    return len == 0 ? NULL : memmem(data, len, text, strlen(text));
}

static struct normaliser_result run_split(const void *config, struct buf *value)
{
    const struct split_config *split = config;
    const uint8_t *data = value->len > 0 ? value->data : (const uint8_t *)"";
    const uint8_t *start = data, *end = data + value->len, *next;
    size_t gap = strlen(split->separator);
    int64_t item = 1;
    while (item != split->item &&
           (next = find_text(start, (size_t)(end - start), split->separator)) != NULL) {
        start = next + gap;
        item++;
    }
    if (split->item > 0 && item != split->item)
        return NORMALISER_FAILS("SPLIT_MISSING");
    next = split->item > 0 ? find_text(start, (size_t)(end - start), split->separator) : NULL;
    size_t len = (size_t)((next != NULL ? next : end) - start);
    if (len == value->len)
        return NORMALISER_IS_OK;
    memmove(value->data, start, len);
    value->len = len;
    return (struct normaliser_result){ NORMALISER_CHANGED, "" };
}

static int configure_split(const struct yaml_node *at, const struct yaml_node *params,
                           const struct normaliser_env *env, void **config_r, struct err *err)
{
    static const char *const keys[] = { "separator", "item", NULL };
    struct split_config *split = arena_alloc(env->arena, sizeof *split);
    *config_r = split;
    const struct yaml_node *separator = params != NULL ? yaml_get(params, "separator") : NULL;
    const struct yaml_node *item = params != NULL ? yaml_get(params, "item") : NULL;
    if (separator == NULL || item == NULL || yaml_text(separator)[0] == '\0')
        return yaml_error(params != NULL ? params : at, err, "MAPPING_NORMALISER",
                          "split needs a separator and the number of the item, as in "
                          "{split: {separator: \"/\", item: 2}}; -1 is the last");
    split->separator = arena_strdup(env->arena, yaml_text(separator));
    if (yaml_check_keys(params, keys, err) != 0 ||
        yaml_read_int(item, -1, SPLIT_ITEM_MAX, &split->item, err) != 0)
        return -1;
    return split->item != 0
               ? 0
               : yaml_error(item, err, "MAPPING_NORMALISER", "items count from 1; -1 is the last");
}

const struct normaliser_kind normaliser_split = {
    .base = { "split", run_split, "one item of a text with separators" },
    .back = BACK_NONE,
    .loss = LOSS_ONE_WAY,
    .configure = configure_split,
};

/* --- concat -------------------------------------------------------------------------------------
 */

struct concat_config {
    const char *prefix;
    const char *suffix;
};

static struct normaliser_result run_concat(const void *config, struct buf *value)
{
    const struct concat_config *concat = config;
    size_t prefix = strlen(concat->prefix), suffix = strlen(concat->suffix);
    if (buf_reserve(value, prefix + suffix) != 0)
        return NORMALISER_FAILS("VALUE_TOO_LONG");
    memmove(value->data + prefix, value->data, value->len);
    memcpy(value->data, concat->prefix, prefix);
    memcpy(value->data + prefix + value->len, concat->suffix, suffix);
    value->len += prefix + suffix;
    return (struct normaliser_result){ NORMALISER_CHANGED, "" };
}

static bool is_between(const struct concat_config *concat, const char *text, size_t len)
{
    size_t prefix = strlen(concat->prefix), suffix = strlen(concat->suffix);
    return len >= prefix + suffix && memcmp(text, concat->prefix, prefix) == 0 &&
           memcmp(text + len - suffix, concat->suffix, suffix) == 0;
}

static int write_concat(const void *config, struct buf *value)
{
    const struct concat_config *concat = config;
    size_t prefix = strlen(concat->prefix), suffix = strlen(concat->suffix);
    if (value->len == 0 || !is_between(concat, (const char *)value->data, value->len))
        return -1;
    value->len -= suffix;
    buf_consume(value, prefix);
    return 0;
}

static int reverse_concat(const void *config, const char *canonical, struct text_list *forms)
{
    const struct concat_config *concat = config;
    size_t len = strlen(canonical), prefix = strlen(concat->prefix);
    if (!is_between(concat, canonical, len))
        return -1;
    const char *native =
        arena_strndup(forms->arena, canonical + prefix, len - prefix - strlen(concat->suffix));
    return text_list_add(forms, native) ? 0 : -1;
}

static int configure_concat(const struct yaml_node *at, const struct yaml_node *params,
                            const struct normaliser_env *env, void **config_r, struct err *err)
{
    static const char *const keys[] = { "prefix", "suffix", NULL };
    struct concat_config *concat = arena_alloc(env->arena, sizeof *concat);
    *config_r = concat;
    const struct yaml_node *prefix = params != NULL ? yaml_get(params, "prefix") : NULL;
    const struct yaml_node *suffix = params != NULL ? yaml_get(params, "suffix") : NULL;
    concat->prefix = prefix != NULL ? arena_strdup(env->arena, yaml_text(prefix)) : "";
    concat->suffix = suffix != NULL ? arena_strdup(env->arena, yaml_text(suffix)) : "";
    if (concat->prefix[0] == '\0' && concat->suffix[0] == '\0')
        return yaml_error(params != NULL ? params : at, err, "MAPPING_NORMALISER",
                          "concat needs a prefix, a suffix or both, as in {concat: {prefix: "
                          "\"G\"}}");
    return yaml_check_keys(params, keys, err);
}

/* Not idempotent by nature: it belongs into a chain once. */
const struct normaliser_kind normaliser_concat = {
    .base = { "concat", run_concat, "puts a fixed text before or behind the value" },
    .back = BACK_FINITE,
    .reverse = reverse_concat,
    .loss = LOSS_NONE,
    .write = write_concat,
    .configure = configure_concat,
};
