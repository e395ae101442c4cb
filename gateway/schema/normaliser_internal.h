/* Inside of the normalisers: parameters, reversal, and the helpers they share.
 * Ownership: configurations live in the arena of the bundle; what an arena cannot free has dispose.
 * Never calls back.
 * Limits: TEXT_LIST_MAX native forms of one canonical value; identifiers are IDENTIFIER_BYTES_MAX.
 * Private to schema/. */
#ifndef SLUICE_SCHEMA_NORMALISER_INTERNAL_H
#define SLUICE_SCHEMA_NORMALISER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "schema/normaliser.h"

struct err;
struct strmap;
struct yaml_node;

enum {
    IDENTIFIER_BYTES_MAX = 96, /* the longest identifier spelling we accept, with room */
    TEXT_LIST_MAX = 1024,
};

/* Texts in an arena, for instance every stored form of one canonical value. */
struct text_list {
    struct arena *arena;
    const char **items;
    size_t count;
    size_t cap;
};

/* Adds a text once; beyond TEXT_LIST_MAX nothing is added and `false` is answered. */
bool text_list_add(struct text_list *list, const char *text);
bool text_list_has(const struct text_list *list, const char *text);

/* What a normaliser does to a value before it compares it with its finite set of forms, in terms
 * that PostgreSQL computes alike: trim first, then replace or drop single characters. */
struct normaliser_fold {
    bool trim;
    const char *from; /* translate(x, from, to); NULL: none. Characters without a partner go away */
    const char *to;
    unsigned variants; /* VARIANT_*: stored forms an index look-up tries */
};
enum { VARIANT_LOWER = 1, VARIANT_WIDE = 2, VARIANT_BLANK = 4 };

enum normaliser_back {
    BACK_NONE,     /* cannot be reversed */
    BACK_IDENTITY, /* a valid value is its own canonical form */
    BACK_FOLD,     /* output = fold(input) */
    BACK_FINITE,   /* fold(input) is one of the forms that `reverse` lists */
};

/* What writing keeps: canonical -> native -> canonical, judged when a mapping is loaded. "Every value"
 * means every value the step can produce; of rounded numbers those of at most 40 digits, because a
 * native number has at most 64. */
enum normaliser_loss {
    LOSS_ONE_WAY = 0, /* nothing can be written: normaliser_write always answers -1 */
    LOSS_SOME_VALUES, /* what can be written reads back as itself; some values have no native text */
    LOSS_NATIVE,      /* every value reads back as itself; the native text read once may differ */
    LOSS_NONE,        /* the same, and the native text comes back as it was */
};

/* Where configurations come from while a bundle loads. */
struct normaliser_env {
    struct arena *arena;
    const struct strmap *code_tables; /* name -> struct code_table */
};

struct normaliser_kind {
    struct normaliser base;
    enum normaliser_back back;
    const struct normaliser_fold *fold;
    /* Appends every folded form that becomes `canonical`; -1 when it is no canonical value. */
    int (*reverse)(const void *config, const char *canonical, struct text_list *forms);
    /* Of every configuration, unless loss_of knows better. */
    enum normaliser_loss loss;
    enum normaliser_loss (*loss_of)(const void *config);
    /* Native text of a canonical value; -1 for a value that has none. NULL: a canonical value is its
     * own native text, unless the kind is LOSS_ONE_WAY. */
    int (*write)(const void *config, struct buf *value);
    /* NULL: takes no parameters. `params` NULL: named without parameters. */
    int (*configure)(const struct yaml_node *at, const struct yaml_node *params,
                     const struct normaliser_env *env, void **config_r, struct err *err);
    /* The kind a step becomes by its parameters, when they change what the step is. */
    const struct normaliser_kind *(*variant)(const void *config);
    void (*dispose)(void *config);
    bool takes_bytes; /* input need not be UTF-8 */
    /* True only of ASCII text without U+0000 that `run` answers with OK and leaves as it is; may miss
     * some. Where every step says so, a value goes from the row to the record without a copy. */
    bool (*settled)(const void *config, const char *text, size_t len);
};

/* A normaliser with its parameters, as one link of a chain. */
struct normaliser_step {
    const struct normaliser_kind *kind;
    void *config;
};

const struct normaliser_kind *normaliser_kind_find(const char *name);
/* Names for suggestions; NULL-terminated, *count_r without it. */
const char *const *normaliser_names(size_t *count_r);
/* "name" or {name: {params}} -> step. */
int normaliser_step_read(const struct yaml_node *node, const struct normaliser_env *env,
                         struct normaliser_step *step_r, struct err *err);

/* The same of a kind that is known; `at` is where faults without parameters are told. */
int normaliser_step_configure(const struct normaliser_kind *kind, const struct yaml_node *at,
                              const struct yaml_node *params, const struct normaliser_env *env,
                              struct normaliser_step *step_r, struct err *err);

static inline struct normaliser_result normaliser_run(const struct normaliser_step *step,
                                                      struct buf *value)
{
    return step->kind->base.run(step->config, value);
}

/* What this step, with its parameters, keeps when it is written through. A chain keeps the least of
 * its steps. */
enum normaliser_loss normaliser_loss(const struct normaliser_step *step);
const char *normaliser_loss_name(enum normaliser_loss loss); /* for reports: "one way" */

/* Replaces a canonical value by its native text. 0 promises that running the step on the result gives
 * the value again, for any input: it is tried before the answer. -1: this value cannot be written
 * (it is not canonical, or has no native text), and `value` is as it was. */
int normaliser_write(const struct normaliser_step *step, struct buf *value);

/* Adds the stored forms an index look-up tries for what is in the list already. */
void normaliser_widen(const struct normaliser_fold *fold, struct text_list *forms);

/* --- helpers of the normalisers -----------------------------------------------------------------
 */
#define NORMALISER_IS_OK                                                                           \
    (struct normaliser_result)                                                                     \
    {                                                                                              \
        NORMALISER_OK, ""                                                                          \
    }
#define NORMALISER_FAILS(code_)                                                                    \
    (struct normaliser_result)                                                                     \
    {                                                                                              \
        NORMALISER_ERROR, (code_)                                                                  \
    }

/* The characters of TEXT_BLANKS; what most text is made of is answered first. */
static inline bool normaliser_blank(uint32_t cp)
{
    if ((cp > ' ' && cp < 0x85) || (cp > 0x3000 && cp < 0xFEFF))
        return false;
    return cp == ' ' || (cp >= '\t' && cp <= '\r') || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200B) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F ||
           cp == 0x205F || cp == 0x3000 || cp == 0xFEFF;
}

/* utf8_decode with the usual cases in line: ASCII, and three bytes as Han characters have. */
static inline size_t normaliser_decode(const uint8_t *data, size_t len, uint32_t *cp_r)
{
    if (len > 0 && data[0] < 0x80) {
        *cp_r = data[0];
        return 1;
    }
    if (len >= 3 && data[0] > 0xE0 && data[0] < 0xED && (data[1] & 0xC0) == 0x80 &&
        (data[2] & 0xC0) == 0x80) {
        *cp_r = (uint32_t)(data[0] & 0x0F) << 12 | (uint32_t)(data[1] & 0x3F) << 6 |
                (uint32_t)(data[2] & 0x3F);
        return 3;
    }
    return utf8_decode(data, len, cp_r);
}
/* Width-folds, drops blanks everywhere and upper-cases (ASCII). Answers the length, or
 * IDENTIFIER_BYTES_MAX when the text is longer than any identifier. NUL-terminated. */
size_t normaliser_identifier(const struct buf *value, char out[IDENTIFIER_BYTES_MAX]);
/* OK when `text` is the value already; otherwise the value becomes `text`: CHANGED. */
struct normaliser_result normaliser_become(struct buf *value, const char *text, size_t len);
struct normaliser_result normaliser_become_warned(struct buf *value, const char *text, size_t len,
                                                  const char *code);
/* Without a branch a digit: nearly every text asked about is one, and short. */
static inline bool normaliser_all_digits(const char *text, size_t len)
{
    unsigned others = 0;
    for (size_t i = 0; i < len; i++)
        others |= (unsigned)((unsigned char)text[i] - '0') > 9;
    return others == 0;
}
bool normaliser_real_date(int year, int month, int day);
/* Proleptic Gregorian days since 1970-01-01, and back. */
int64_t normaliser_days_of(int year, int month, int day);
void normaliser_date_of(int64_t days, int *year_r, int *month_r, int *day_r);

/* Characters PostgreSQL's btrim and translate get for the folds. */
#define TEXT_BLANKS                                                                                \
    " \t\n\v\f\r\xc2\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"  \
    "\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
#define TEXT_DIGITS      "0123456789"
#define TEXT_DIGITS_WIDE "０１２３４５６７８９"
#define TEXT_UPPER       "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TEXT_LOWER       "abcdefghijklmnopqrstuvwxyz"
#define TEXT_UPPER_WIDE  "ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ"
#define TEXT_LOWER_WIDE  "ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ"
/* Case, width and blanks of identifiers. */
#define FOLD_IDENTIFIER_FROM TEXT_DIGITS_WIDE TEXT_LOWER TEXT_UPPER_WIDE TEXT_LOWER_WIDE TEXT_BLANKS
#define FOLD_IDENTIFIER_TO   TEXT_DIGITS TEXT_UPPER TEXT_UPPER TEXT_UPPER

/* The kinds, by file. */
extern const struct normaliser_kind normaliser_trim, normaliser_width_fold, normaliser_upper,
    normaliser_lower;
extern const struct normaliser_kind normaliser_nfc, normaliser_nfkc, normaliser_unaccent;
extern const struct normaliser_kind normaliser_gb18030, normaliser_pua_fold;
extern const struct normaliser_kind normaliser_strip, normaliser_split, normaliser_concat;
extern const struct normaliser_kind normaliser_replace, normaliser_regex;
extern const struct normaliser_kind normaliser_cn_id, normaliser_cn_uscc, normaliser_cn_org,
    normaliser_cn_mobile, normaliser_cn_phone, normaliser_cn_division;
extern const struct normaliser_kind normaliser_cn_sex, normaliser_cn_ethnic, normaliser_cn_marital,
    normaliser_bool;
extern const struct normaliser_kind normaliser_cn_date;
extern const struct normaliser_kind normaliser_decimal, normaliser_cn_money, normaliser_unit;
extern const struct normaliser_kind normaliser_codes, normaliser_enum;

#endif
