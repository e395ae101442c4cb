/* Whole words for others: abbreviations, old names. */
#include <string.h>
#include <utf8proc.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/yaml.h"
#include "schema/normaliser_internal.h"

enum {
    WORDS_MAX = 256,
    WORD_BYTES_MAX = 256,
    PASSES_MAX = 8, /* what one replacement puts together may be a word again, but not for ever */
};

struct word {
    const char *from;
    const char *to;
    size_t from_len;
    size_t to_len;
    bool bound_left; /* the neighbour on this side must not go on with the word */
    bool bound_right;
    struct word *next; /* same first byte, not longer */
};

struct replace_config {
    struct word *by_byte[256];
    struct buf scratch; /* kept between values */
};

/* A letter, mark or digit of a script that puts blanks between words. In Chinese and kana text
 * nothing marks a word's end: there a listed sequence is a word wherever it stands. */
static bool joins_words(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= '0' && cp <= '9') || (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') ||
               cp == '_';
    bool cjk = (cp >= 0x2E80 && cp <= 0x312F) || (cp >= 0x31A0 && cp <= 0x9FFF) ||
               (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0xFF66 && cp <= 0xFF9F) ||
               (cp >= 0x1AFF0 && cp <= 0x1B16F) || (cp >= 0x20000 && cp <= 0x3FFFF);
    if (cjk)
        return false;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

static bool joins_at(const uint8_t *data, size_t len)
{
    uint32_t cp = 0;
    return len > 0 && utf8_decode(data, len, &cp) > 0 && joins_words(cp);
}

/* Whether the character that ends before data[at] joins words. */
static bool joins_before(const uint8_t *data, size_t at)
{
    size_t start = at;
    while (start > 0 && (data[--start] & 0xC0) == 0x80)
        continue;
    return joins_at(data + start, at - start);
}

static const struct word *word_at(const struct replace_config *config, const struct buf *value,
                                  size_t at)
{
    for (const struct word *word = config->by_byte[value->data[at]]; word != NULL;
         word = word->next) {
        size_t end = at + word->from_len;
        if (end > value->len || memcmp(value->data + at, word->from, word->from_len) != 0)
            continue;
        if (word->bound_left && joins_before(value->data, at))
            continue;
        if (word->bound_right && joins_at(value->data + end, value->len - end))
            continue;
        return word;
    }
    return NULL;
}

/* One pass from left to right, the longest word first. Answers whether something changed; -1: the
 * result is too long. */
static int replace_once(struct replace_config *config, struct buf *value)
{
    struct buf *out = &config->scratch;
    size_t copied = 0;
    buf_reset(out);
    for (size_t i = 0; i < value->len;) {
        const struct word *word = word_at(config, value, i);
        if (word == NULL) {
            i++;
            continue;
        }
        if (buf_append(out, value->data + copied, i - copied) != 0 ||
            buf_append(out, word->to, word->to_len) != 0)
            return -1;
        i += word->from_len;
        copied = i;
    }
    if (copied == 0)
        return 0;
    if (buf_append(out, value->data + copied, value->len - copied) != 0)
        return -1;
    buf_reset(value);
    return buf_append(value, out->data, out->len) == 0 ? 1 : -1;
}

static struct normaliser_result run_replace(const void *config, struct buf *value)
{
    struct replace_config *replace = (struct replace_config *)(uintptr_t)config;
    for (int pass = 0; pass < PASSES_MAX; pass++) {
        int changed = replace_once(replace, value);
        if (changed < 0)
            return NORMALISER_FAILS("VALUE_TOO_LONG");
        if (changed == 0)
            return (struct normaliser_result){ pass > 0 ? NORMALISER_CHANGED : NORMALISER_OK, "" };
    }
    return NORMALISER_FAILS("REPLACE_UNSTABLE");
}

static void dispose_replace(void *config)
{
    struct replace_config *replace = config;
    buf_fini(&replace->scratch);
}

static void add_word(struct replace_config *config, struct word *word)
{
    struct word **at = &config->by_byte[(uint8_t)word->from[0]];
    while (*at != NULL && (*at)->from_len > word->from_len)
        at = &(*at)->next;
    word->next = *at;
    *at = word;
}

/* What a word becomes must not be a word again: a chain of renames is written as its last name. */
static int check_word(struct replace_config *config, const struct yaml_node *to, struct err *err)
{
    struct buf value;
    buf_init(&value, NORMALISER_VALUE_BYTES_MAX);
    (void)buf_append_str(&value, yaml_text(to));
    int changed = replace_once(config, &value);
    buf_fini(&value);
    return changed == 0 ? 0
                        : yaml_error(to, err, "MAPPING_NORMALISER",
                                     "\"%.64s\" holds a listed word itself; write the final text",
                                     yaml_text(to));
}

static int read_word(const struct yaml_node *from, const struct yaml_node *to,
                     const struct normaliser_env *env, struct replace_config *config,
                     struct err *err)
{
    if (yaml_expect(to, YAML_SCALAR, "the replacement", err) != 0)
        return -1;
    struct word *word = arena_alloc(env->arena, sizeof *word);
    word->from = arena_strdup(env->arena, yaml_text(from));
    word->to = arena_strdup(env->arena, yaml_text(to));
    word->from_len = strlen(word->from);
    word->to_len = strlen(word->to);
    if (word->from_len == 0 || word->from_len > WORD_BYTES_MAX || word->to_len > WORD_BYTES_MAX)
        return yaml_error(from, err, "MAPPING_NORMALISER", "a word has 1 to %d bytes",
                          WORD_BYTES_MAX);
    word->bound_left = joins_at((const uint8_t *)word->from, word->from_len);
    word->bound_right = joins_before((const uint8_t *)word->from, word->from_len);
    add_word(config, word);
    return 0;
}

static int configure_replace(const struct yaml_node *at, const struct yaml_node *params,
                             const struct normaliser_env *env, void **config_r, struct err *err)
{
    static const char *const keys[] = { "words", NULL };
    struct replace_config *config = arena_alloc(env->arena, sizeof *config);
    buf_init(&config->scratch, NORMALISER_VALUE_BYTES_MAX);
    *config_r = config;
    const struct yaml_node *words = params != NULL ? yaml_get(params, "words") : NULL;
    size_t count = words != NULL ? yaml_count(words) : 0;
    if (count == 0 || yaml_kind(words) != YAML_MAPPING)
        return yaml_error(params != NULL ? params : at, err, "MAPPING_NORMALISER",
                          "replace needs {words: {from: to, ...}}");
    if (count > WORDS_MAX)
        return yaml_error(words, err, "MAPPING_NORMALISER", "there are more than %d words",
                          WORDS_MAX);
    if (yaml_check_keys(params, keys, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (read_word(yaml_key(words, i), yaml_value(words, i), env, config, err) != 0)
            return -1;
    for (size_t i = 0; i < count; i++)
        if (check_word(config, yaml_value(words, i), err) != 0)
            return -1;
    return 0;
}

const struct normaliser_kind normaliser_replace = {
    .base = { "replace", run_replace,
              "whole words become others; in Chinese text a listed sequence is a word" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .configure = configure_replace,
    .dispose = dispose_replace,
};
