#include "services/token.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/ids.h"

enum { NONCE_BYTES = 12, TAG_BYTES = 16 };

/* One context for the process: tokens are made once a batch. */
static EVP_CIPHER_CTX *start(const uint8_t key[32], const uint8_t *nonce, const uint8_t *query,
                             int encrypt)
{
    static EVP_CIPHER_CTX *context;
    int unused;
    if (context == NULL)
        context = EVP_CIPHER_CTX_new();
    if (context == NULL ||
        EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, encrypt) != 1 ||
        EVP_CipherUpdate(context, NULL, &unused, query, TOKEN_DIGEST_BYTES) != 1)
        abort();
    return context;
}

void token_seal(const uint8_t key[32], const uint8_t query[TOKEN_DIGEST_BYTES],
                const char *record_key, char text_r[TOKEN_TEXT_BYTES_MAX])
{
    uint8_t sealed[NONCE_BYTES + PLAN_KEY_TEXT_BYTES_MAX + TAG_BYTES];
    int len = 0;
    int rest = 0;
    ids_random(sealed, NONCE_BYTES);
    EVP_CIPHER_CTX *context = start(key, sealed, query, 1);
    if (EVP_CipherUpdate(context, sealed + NONCE_BYTES, &len, (const uint8_t *)record_key,
                         (int)strlen(record_key)) != 1 ||
        EVP_CipherFinal_ex(context, sealed + NONCE_BYTES + len, &rest) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, sealed + NONCE_BYTES + len) !=
            1)
        abort();
    (void)base64_encode_unpadded(sealed, (size_t)(NONCE_BYTES + len + TAG_BYTES), text_r);
    for (char *p = text_r; *p != '\0'; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
}

int token_open(const uint8_t key[32], const uint8_t query[TOKEN_DIGEST_BYTES], const char *text,
               char record_key_r[PLAN_KEY_TEXT_BYTES_MAX], struct err *err)
{
    uint8_t sealed[TOKEN_TEXT_BYTES_MAX];
    size_t text_len = strlen(text);
    long sealed_len = text_len < TOKEN_TEXT_BYTES_MAX ? base64_decode(text, text_len, sealed) : -1;
    long key_len = sealed_len - NONCE_BYTES - TAG_BYTES;
    int len = 0;
    int rest = 0;
    if (key_len >= 0 && key_len < PLAN_KEY_TEXT_BYTES_MAX) {
        EVP_CIPHER_CTX *context = start(key, sealed, query, 0);
        if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
                                sealed + NONCE_BYTES + key_len) == 1 &&
            EVP_CipherUpdate(context, (uint8_t *)record_key_r, &len, sealed + NONCE_BYTES,
                             (int)key_len) == 1 &&
            EVP_CipherFinal_ex(context, (uint8_t *)record_key_r + len, &rest) == 1) {
            record_key_r[key_len] = '\0';
            return 0;
        }
    }
    return err_set(err, ERR_INVALID_ARGUMENT, "TOKEN_INVALID",
                   "the token does not belong to this query and caller; start without one");
}
