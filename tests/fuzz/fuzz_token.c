/* Fuzzes page and resume tokens: no text that we did not make opens, and what we made opens only
 * unchanged. The first byte chooses: a text as it comes, or a key to seal and a place to spoil. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "services/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32] = { 7 };
static const uint8_t query[TOKEN_DIGEST_BYTES] = { 9 };

static void fuzz_text(const uint8_t *data, size_t size)
{
    char back[PLAN_KEY_TEXT_BYTES_MAX];
    struct err err = ERR_INIT;
    char *text = strndup((const char *)data, size);
    if (text == NULL)
        abort();
    if (token_open(key, query, text, back, &err) == 0 || err.code != ERR_INVALID_ARGUMENT)
        abort();
    free(text);
}

static void fuzz_seal(const uint8_t *data, size_t size)
{
    char record_key[PLAN_KEY_TEXT_BYTES_MAX] = "";
    char back[PLAN_KEY_TEXT_BYTES_MAX];
    char text[TOKEN_TEXT_BYTES_MAX];
    struct err err = ERR_INIT;
    size_t len = size - 1 < sizeof record_key ? size - 1 : sizeof record_key - 1;
    memcpy(record_key, data + 1, len);
    token_seal(key, query, record_key, text);
    if (token_open(key, query, text, back, &err) != 0 || strcmp(back, record_key) != 0)
        abort();
    /* All but the last character: its low bits may be padding. */
    size_t place = data[0] % (strlen(text) - 1);
    text[place] = text[place] == 'A' ? 'B' : 'A';
    if (token_open(key, query, text, back, &err) == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] % 2 == 0)
        fuzz_text(data + 1, size - 1);
    else
        fuzz_seal(data + 1, size - 1);
    return 0;
}
