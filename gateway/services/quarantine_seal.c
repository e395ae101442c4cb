#include "services/quarantine_seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"

enum { NONCE_BYTES = 12, TAG_BYTES = 16 };

static const char seal_label[] = "sluice quarantine seal v1";
static const char digest_label[] = "sluice quarantine digest v1";
static const char place_word[] = "place"; /* each followed by its 0x00 */
static const char row_word[] = "row";

static void must(int ok)
{
    if (ok != 1)
        abort();
}

static void derive(const uint8_t *key, const char *label, uint8_t out_r[QUARANTINE_KEY_BYTES])
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, QUARANTINE_KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)label, strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    must(context != NULL);
    must(EVP_KDF_derive(context, out_r, QUARANTINE_KEY_BYTES, params));
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

void quarantine_keys_derive(const uint8_t person_key[QUARANTINE_KEY_BYTES],
                            struct quarantine_keys *keys_r)
{
    derive(person_key, seal_label, keys_r->seal);
    derive(person_key, digest_label, keys_r->digest);
}

void quarantine_keys_wipe(struct quarantine_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof *keys);
}

void quarantine_key_digest(const struct quarantine_keys *keys, const char *dataset,
                           const char *place, uint8_t out_r[HASH_BYTES])
{
    struct slice pieces[] = { slice_of(place_word, sizeof place_word),
                              slice_of(dataset, strlen(dataset) + 1),
                              slice_of(place, strlen(place)) };
    hash_hmac(keys->digest, sizeof keys->digest, pieces, 3, out_r);
}

void quarantine_row_digest(const struct quarantine_keys *keys, const struct db_rows *rows, int row,
                           uint8_t out_r[HASH_BYTES])
{
    struct hash_stream stream;
    hash_stream_init(&stream, keys->digest, sizeof keys->digest);
    hash_stream_add(&stream, row_word, sizeof row_word);
    for (int i = 0; i < db_column_count(rows); i++) {
        struct db_value value = db_value(rows, row, i);
        uint8_t head[5] = { value.data != NULL, (uint8_t)(value.len >> 24),
                            (uint8_t)(value.len >> 16), (uint8_t)(value.len >> 8),
                            (uint8_t)value.len };
        hash_stream_add(&stream, head, value.data != NULL ? sizeof head : 1);
        if (value.data != NULL)
            hash_stream_add(&stream, value.data, value.len);
    }
    hash_stream_final(&stream, out_r);
}

size_t quarantine_seal(const struct quarantine_keys *keys, const uint8_t key_digest[HASH_BYTES],
                       const char *place, uint8_t sealed_r[QUARANTINE_SEALED_BYTES_MAX])
{
    size_t place_len = strlen(place);
    uint8_t *text = sealed_r + NONCE_BYTES;
    int len = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    must(context != NULL);
    ids_random(sealed_r, NONCE_BYTES);
    must(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, keys->seal, sealed_r));
    must(EVP_EncryptUpdate(context, NULL, &len, key_digest, HASH_BYTES));
    must(EVP_EncryptUpdate(context, text, &len, (const uint8_t *)place, (int)place_len));
    must(EVP_EncryptFinal_ex(context, text + place_len, &len));
    must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + place_len));
    EVP_CIPHER_CTX_free(context);
    return NONCE_BYTES + place_len + TAG_BYTES;
}

int quarantine_open(const struct quarantine_keys *keys, const uint8_t key_digest[HASH_BYTES],
                    const uint8_t *sealed, size_t sealed_len, char place_r[PLAN_KEY_TEXT_BYTES_MAX])
{
    uint8_t rest[TAG_BYTES], tag[TAG_BYTES];
    int len = 0;
    if (sealed_len < NONCE_BYTES + TAG_BYTES ||
        sealed_len - NONCE_BYTES - TAG_BYTES >= PLAN_KEY_TEXT_BYTES_MAX)
        return -1;
    size_t place_len = sealed_len - NONCE_BYTES - TAG_BYTES;
    memcpy(tag, sealed + NONCE_BYTES + place_len, TAG_BYTES);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    must(context != NULL);
    must(EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, keys->seal, sealed));
    must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag));
    must(EVP_DecryptUpdate(context, NULL, &len, key_digest, HASH_BYTES));
    must(
        EVP_DecryptUpdate(context, (uint8_t *)place_r, &len, sealed + NONCE_BYTES, (int)place_len));
    bool genuine = EVP_DecryptFinal_ex(context, rest, &len) == 1;
    EVP_CIPHER_CTX_free(context);
    place_r[genuine ? place_len : 0] = '\0';
    if (!genuine)
        OPENSSL_cleanse(place_r, PLAN_KEY_TEXT_BYTES_MAX);
    return genuine ? 0 : -1;
}
