/* GB 18030: bytes of legacy columns to UTF-8 and back, and the fold of its old private-use points. */
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "schema/normaliser_internal.h"

/* A descriptor is opened once for the life of the process; without glibc's conversion module there
 * is none. */
static iconv_t converter(bool to_utf8)
{
    static iconv_t opened[2];
    static bool known[2];
    if (!known[to_utf8]) {
        opened[to_utf8] = to_utf8 ? iconv_open("UTF-8", "GB18030") : iconv_open("GB18030", "UTF-8");
        known[to_utf8] = true;
    }
    return opened[to_utf8];
}

static bool all_ascii(const struct buf *value)
{
    for (size_t i = 0; i < value->len; i++)
        if (value->data[i] >= 0x80)
            return false;
    return true;
}

/* Converts into a block the caller frees; NULL with a code. Either way a character grows by half at
 * most: two bytes of GB 18030 are three of UTF-8, two of UTF-8 four of GB 18030 at the worst. */
static char *convert(const struct buf *value, bool to_utf8, size_t *len_r, const char **code_r)
{
    iconv_t to = converter(to_utf8);
    *code_r = "GB18030_UNAVAILABLE";
    if (to == (iconv_t)-1)
        return NULL;
    size_t room = value->len * 2 + 4;
    *code_r = "VALUE_TOO_LONG";
    char *text = value->len > NORMALISER_VALUE_BYTES_MAX ? NULL : malloc(room);
    if (text == NULL)
        return NULL;
    char *in = (char *)value->data, *out = text;
    size_t in_left = value->len, out_left = room;
    (void)iconv(to, NULL, NULL, NULL, NULL);
    if (iconv(to, &in, &in_left, &out, &out_left) != 0 || in_left > 0) {
        *code_r = "GB18030_INVALID";
        free(text);
        return NULL;
    }
    *len_r = room - out_left;
    return text;
}

/* glibc's table maps the characters GB 18030-2022 moved out of the private use area to their
 * standard code points. */
static struct normaliser_result run_gb18030(const void *config, struct buf *value)
{
    (void)config;
    if (all_ascii(value))
        return NORMALISER_IS_OK;
    size_t len = 0;
    const char *code = NULL;
    char *text = convert(value, true, &len, &code);
    if (text == NULL)
        return NORMALISER_FAILS(code);
    struct normaliser_result result = !utf8_valid(text, len) ? NORMALISER_FAILS("GB18030_INVALID")
                                                             : normaliser_become(value, text, len);
    free(text);
    return result;
}

static int write_gb18030(const void *config, struct buf *value)
{
    (void)config;
    if (all_ascii(value))
        return 0;
    size_t len = 0;
    const char *code = NULL;
    char *bytes = convert(value, false, &len, &code);
    if (bytes == NULL)
        return -1;
    buf_reset(value);
    int result = buf_append(value, bytes, len);
    free(bytes);
    return result;
}

const struct normaliser_kind normaliser_gb18030 = {
    .base = { "gb18030", run_gb18030, "GB 18030 bytes become UTF-8; first step of a bytea column" },
    .back = BACK_NONE,
    .loss = LOSS_NATIVE,
    .write = write_gb18030,
    .takes_bytes = true,
};

/* --- private use --------------------------------------------------------------------------------
 */

/* Characters that GB 18030-2000 and -2005 had on private-use points, as older converters (PostgreSQL
 * and Python among them) still deliver, with the points of GB 18030-2022. In order of the first. */
static const struct {
    uint32_t old;
    uint32_t standard;
} moved[] = {
    { 0xE78D, 0xFE10 },  { 0xE78E, 0xFE12 },  { 0xE78F, 0xFE11 },  { 0xE790, 0xFE13 },
    { 0xE791, 0xFE14 },  { 0xE792, 0xFE15 },  { 0xE793, 0xFE16 },  { 0xE794, 0xFE17 },
    { 0xE795, 0xFE18 },  { 0xE796, 0xFE19 },  { 0xE7C7, 0x1E3F },  { 0xE816, 0x20087 },
    { 0xE817, 0x20089 }, { 0xE818, 0x200CC }, { 0xE81E, 0x9FB4 },  { 0xE826, 0x9FB5 },
    { 0xE82B, 0x9FB6 },  { 0xE82C, 0x9FB7 },  { 0xE831, 0x215D7 }, { 0xE832, 0x9FB8 },
    { 0xE83B, 0x2298F }, { 0xE843, 0x9FB9 },  { 0xE854, 0x9FBA },  { 0xE855, 0x241FE },
    { 0xE864, 0x9FBB },
};
enum { MOVED_COUNT = sizeof moved / sizeof moved[0] };

/* The standard point of a moved character, or the character. All stand in U+E78D to U+E864. */
static uint32_t standard_point(uint32_t cp)
{
    if (cp < moved[0].old || cp > moved[MOVED_COUNT - 1].old)
        return cp;
    for (size_t i = 0; i < MOVED_COUNT; i++)
        if (moved[i].old == cp)
            return moved[i].standard;
    return cp;
}

/* All begin with EE in UTF-8, as the rest of their private-use block. */
static bool may_have_moved(const struct buf *value)
{
    return value->len > 0 && memchr(value->data, 0xEE, value->len) != NULL;
}

static struct normaliser_result run_pua_fold(const void *config, struct buf *value)
{
    (void)config;
    if (!may_have_moved(value))
        return NORMALISER_IS_OK;
    struct buf out;
    buf_init(&out, value->max);
    int result = 0;
    for (size_t i = 0; i < value->len && result == 0;) {
        uint32_t cp = 0;
        uint8_t text[4];
        size_t step = utf8_decode(value->data + i, value->len - i, &cp);
        if (step == 0)
            break;
        i += step;
        result = buf_append(&out, text, utf8_encode(standard_point(cp), text));
    }
    struct normaliser_result done = result != 0
                                        ? NORMALISER_FAILS("VALUE_TOO_LONG")
                                        : normaliser_become(value, (const char *)out.data, out.len);
    buf_fini(&out);
    return done;
}

static const struct normaliser_fold pua_fold = {
    .from = "\uE78D\uE78E\uE78F\uE790\uE791\uE792\uE793\uE794\uE795\uE796\uE7C7\uE816\uE817"
            "\uE818\uE81E\uE826\uE82B\uE82C\uE831\uE832\uE83B\uE843\uE854\uE855\uE864",
    .to = "\uFE10\uFE12\uFE11\uFE13\uFE14\uFE15\uFE16\uFE17\uFE18\uFE19\u1E3F\U00020087"
          "\U00020089\U000200CC\u9FB4\u9FB5\u9FB6\u9FB7\U000215D7\u9FB8\U0002298F\u9FB9\u9FBA"
          "\U000241FE\u9FBB",
};

const struct normaliser_kind normaliser_pua_fold = {
    .base = { "pua_fold", run_pua_fold,
              "25 private-use points of older GB 18030 become those of GB 18030-2022" },
    .back = BACK_FOLD,
    .fold = &pua_fold,
    .loss = LOSS_NATIVE,
};
