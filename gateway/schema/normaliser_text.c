/* Normalisers of plain text: blanks, width, case. */
#include <string.h>

#include "base/utf8.h"
#include "schema/normaliser_internal.h"

static struct normaliser_result run_trim(const void *config, struct buf *value)
{
    (void)config;
    size_t start = 0, end = value->len;
    while (start < end) {
        uint32_t cp = 0;
        size_t step = normaliser_decode(value->data + start, end - start, &cp);
        if (step == 0 || !normaliser_blank(cp))
            break;
        start += step;
    }
    while (end > start) {
        size_t last = end - 1;
        while (last > start && (value->data[last] & 0xC0) == 0x80)
            last--;
        uint32_t cp = 0;
        if (normaliser_decode(value->data + last, end - last, &cp) == 0 || !normaliser_blank(cp))
            break;
        end = last;
    }
    if (start == 0 && end == value->len)
        return NORMALISER_IS_OK;
    memmove(value->data, value->data + start, end - start);
    value->len = end - start;
    return (struct normaliser_result){ NORMALISER_CHANGED, "" };
}

static const struct normaliser_fold trim_fold = { .trim = true, .variants = VARIANT_BLANK };

const struct normaliser_kind normaliser_trim = {
    .base = { "trim", run_trim,
              "removes blanks (Unicode White_Space, U+200B, U+FEFF) at both ends" },
    .back = BACK_FOLD,
    .loss = LOSS_NATIVE,
    .fold = &trim_fold,
};

/* Full-width forms begin with EF in UTF-8 and U+3000 with E3; no ideograph of U+4E00..9FFF does. */
static size_t first_wide(const struct buf *value)
{
    size_t at = 0;
    while (at < value->len && value->data[at] != 0xEF && value->data[at] != 0xE3)
        at++;
    return at;
}

/* Full-width forms U+FF01..FF5E and U+3000 become ASCII; the result is never longer. */
static struct normaliser_result run_width_fold(const void *config, struct buf *value)
{
    (void)config;
    bool changed = false;
    size_t start = first_wide(value), out = start;
    for (size_t i = start; i < value->len;) {
        if (value->data[i] < 0x80) {
            value->data[out++] = value->data[i++];
            continue;
        }
        uint32_t cp = 0;
        size_t step = normaliser_decode(value->data + i, value->len - i, &cp);
        if (step == 0)
            return NORMALISER_FAILS("NOT_UTF8");
        if (cp == 0x3000 || (cp >= 0xFF01 && cp <= 0xFF5E)) {
            value->data[out++] = cp == 0x3000 ? ' ' : (uint8_t)(cp - 0xFEE0);
            changed = true;
        } else {
            memmove(value->data + out, value->data + i, step);
            out += step;
        }
        i += step;
    }
    value->len = out;
    return (struct normaliser_result){ changed ? NORMALISER_CHANGED : NORMALISER_OK, "" };
}

static const struct normaliser_fold width_fold = {
    .from = "　！＂＃＄％＆＇（）＊＋，－．／" TEXT_DIGITS_WIDE "：；＜＝＞？＠" TEXT_UPPER_WIDE
            "［＼］＾＿｀" TEXT_LOWER_WIDE "｛｜｝～",
    .to = " !\"#$%&'()*+,-./" TEXT_DIGITS ":;<=>?@" TEXT_UPPER "[\\]^_`" TEXT_LOWER "{|}~",
    .variants = VARIANT_WIDE,
};

const struct normaliser_kind normaliser_width_fold = {
    .base = { "width_fold", run_width_fold,
              "full-width ASCII (U+FF01 to FF5E) and U+3000 become ASCII; nothing else changes" },
    .back = BACK_FOLD,
    .loss = LOSS_NATIVE,
    .fold = &width_fold,
};

static struct normaliser_result change_case(struct buf *value, char first, char last, int by)
{
    bool changed = false;
    for (size_t i = 0; i < value->len; i++)
        if (value->data[i] >= (uint8_t)first && value->data[i] <= (uint8_t)last) {
            value->data[i] = (uint8_t)(value->data[i] + by);
            changed = true;
        }
    return (struct normaliser_result){ changed ? NORMALISER_CHANGED : NORMALISER_OK, "" };
}

static struct normaliser_result run_upper(const void *config, struct buf *value)
{
    (void)config;
    return change_case(value, 'a', 'z', 'A' - 'a');
}

static struct normaliser_result run_lower(const void *config, struct buf *value)
{
    (void)config;
    return change_case(value, 'A', 'Z', 'a' - 'A');
}

static const struct normaliser_fold upper_fold = { .from = TEXT_LOWER,
                                                   .to = TEXT_UPPER,
                                                   .variants = VARIANT_LOWER };
static const struct normaliser_fold lower_fold = { .from = TEXT_UPPER, .to = TEXT_LOWER };

const struct normaliser_kind normaliser_upper = {
    .base = { "upper", run_upper, "ASCII letters become upper case" },
    .back = BACK_FOLD,
    .loss = LOSS_NATIVE,
    .fold = &upper_fold,
};
const struct normaliser_kind normaliser_lower = {
    .base = { "lower", run_lower, "ASCII letters become lower case" },
    .back = BACK_FOLD,
    .loss = LOSS_NATIVE,
    .fold = &lower_fold,
};
