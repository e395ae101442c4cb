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
