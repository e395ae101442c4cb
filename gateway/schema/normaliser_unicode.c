/* Normalisers by Unicode's own tables: composed forms, compatibility forms, Latin accents. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "schema/normaliser_internal.h"

/* ASCII and CJK ideographs U+4E00..9FFF stay as they are under NFC and NFKC; with `wide` the
 * full-width block too, which only NFC leaves alone. */
static bool inert(const struct buf *value, bool wide)
{
    for (size_t i = 0; i < value->len;) {
        uint32_t cp = 0;
        size_t step = normaliser_decode(value->data + i, value->len - i, &cp);
        if (step == 0)
            return false;
        if (cp >= 0x80 && !(cp >= 0x4E00 && cp <= 0x9FFF) &&
            !(wide && cp >= 0xFF01 && cp <= 0xFF5E))
            return false;
        i += step;
    }
    return true;
}

static struct normaliser_result become_form(struct buf *value, utf8proc_option_t options)
{
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t len =
        utf8proc_map(value->data, (utf8proc_ssize_t)value->len, &mapped, options);
    if (len < 0)
        return NORMALISER_FAILS("NOT_UTF8");
    struct normaliser_result result = normaliser_become(value, (const char *)mapped, (size_t)len);
    free(mapped);
    return result;
}

static struct normaliser_result run_nfc(const void *config, struct buf *value)
{
    (void)config;
    return inert(value, true) ? NORMALISER_IS_OK
                              : become_form(value, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
}

/* A stored value that loses characters for look-alikes is worth a word: ① is 1 afterwards. */
static struct normaliser_result run_nfkc(const void *config, struct buf *value)
{
    (void)config;
    if (inert(value, false))
        return NORMALISER_IS_OK;
    struct normaliser_result result =
        become_form(value, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    if (result.verdict == NORMALISER_CHANGED)
        return (struct normaliser_result){ NORMALISER_WARN, "NFKC_CHANGED" };
    return result;
}

/* --- accents ------------------------------------------------------------------------------------
 */

static bool is_latin(uint32_t cp)
{
    return (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z') ||
           (cp >= 0xC0 && cp <= 0x2AF && cp != 0xD7 && cp != 0xF7) ||
           (cp >= 0x1E00 && cp <= 0x1EFF) || (cp >= 0x2C60 && cp <= 0x2C7F) ||
           (cp >= 0xA722 && cp <= 0xA7FF) || (cp >= 0xAB30 && cp <= 0xAB6F) || cp == 0x212A ||
           cp == 0x212B; /* the signs of kelvin and ångström are letters canonically */
}

static bool is_accent(uint32_t cp)
{
    return (cp >= 0x300 && cp <= 0x36F) || (cp >= 0x1AB0 && cp <= 0x1AFF) ||
           (cp >= 0x1DC0 && cp <= 0x1DFF) || (cp >= 0x20D0 && cp <= 0x20FF);
}

/* The letter under the accents of a Latin letter. */
static uint32_t base_letter(uint32_t cp)
{
    utf8proc_int32_t parts[8];
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(
        (utf8proc_int32_t)cp, parts, 8, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
    return count > 0 && count <= 8 ? (uint32_t)parts[0] : cp;
}

/* Only Latin letters and the marks behind them are looked at, so that Hangul, kana with voiced marks
 * and the rest keep their bytes. The result is never longer. */
static struct normaliser_result run_unaccent(const void *config, struct buf *value)
{
    (void)config;
    size_t out = 0;
    bool changed = false, latin = false;
    for (size_t i = 0; i < value->len;) {
        uint32_t cp = 0;
        size_t step = normaliser_decode(value->data + i, value->len - i, &cp);
        if (step == 0)
            return NORMALISER_FAILS("NOT_UTF8");
        if (latin && is_accent(cp)) {
            i += step;
            changed = true;
            continue;
        }
        latin = is_latin(cp);
        uint32_t base = latin && cp >= 0x80 ? base_letter(cp) : cp;
        if (base != cp) {
            out += utf8_encode(base, value->data + out);
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

const struct normaliser_kind normaliser_nfc = {
    .base = { "nfc", run_nfc, "Unicode normalisation form C (UAX #15)" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
};

const struct normaliser_kind normaliser_nfkc = {
    .base = { "nfkc", run_nfkc,
              "Unicode form KC (UAX #15), for match keys; warns where it changes a value" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
};

const struct normaliser_kind normaliser_unaccent = {
    .base = { "unaccent", run_unaccent,
              "accents of Latin letters go; all other scripts stay as they are" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
};
