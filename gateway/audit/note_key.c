#include "audit/note_key.h"

#include <inttypes.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "audit/hash.h"
#include "base/err.h"

enum {
    ED25519_BYTES = 32,
    ED25519_SIGNATURE_BYTES = 64,
    COSIGNATURE_TIME_BYTES = 8,
    SM2_POINT_BYTES = 65,
};

/* GM/T 0009: the identity both sides use when none was agreed. Given explicitly everywhere, because
 * the default of libraries has changed between versions. */
static char sm2_identity[] = "1234567812345678";

struct algorithm {
    const char *pkey_type;
    const char *digest; /* NULL: built in */
    const char *prefix; /* type byte, then the long identifier of type 0xff */
    size_t prefix_len;
    size_t public_len;
};

static const struct algorithm algorithms[] = {
    [NOTE_ED25519] = { "ED25519", NULL, "\x01", 1, ED25519_BYTES },
    [NOTE_SM2] = { "SM2", "SM3", "\xffsm2-sm3", 8, SM2_POINT_BYTES },
    [NOTE_COSIGNATURE] = { "ED25519", NULL, "\x04", 1, ED25519_BYTES },
};

static void set_id(struct note_key *key, const char *name)
{
    uint8_t digest[HASH_BYTES];
    struct slice pieces[] = { slice_of(name, strlen(name)), slice_of("\n", 1),
                              slice_of(key->encoded, key->encoded_len) };
    hash_sha256(pieces, 3, digest);
    memcpy(key->id, digest, NOTE_KEY_ID_BYTES);
}

static int refuse_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static size_t public_bytes(enum note_algorithm algorithm, EVP_PKEY *pkey, uint8_t *out, size_t room)
{
    size_t len = room;
    if (algorithm == NOTE_ED25519)
        return EVP_PKEY_get_raw_public_key(pkey, out, &len) == 1 ? len : 0;
    unsigned char *point = NULL;
    len = EVP_PKEY_get1_encoded_public_key(pkey, &point);
    if (len > 0 && len <= room)
        memcpy(out, point, len);
    OPENSSL_free(point);
    return len <= room ? len : 0;
}

int note_key_from_pem(struct note_key *key_r, enum note_algorithm algorithm, const char *name,
                      struct slice pem, struct err *err)
{
    const struct algorithm *kind = &algorithms[algorithm];
    memset(key_r, 0, sizeof *key_r);
    if (pem.len == 0 || pem.len > NOTE_BYTES_MAX)
        return err_set(err, ERR_FAILED_PRECONDITION, "KEY_FILE_INVALID",
                       "The signing key file is empty or too large to be a key.");
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    if (bio == NULL)
        abort();
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey_ex(bio, NULL, refuse_passphrase, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    key_r->algorithm = algorithm;
    key_r->pkey = pkey;
    memcpy(key_r->encoded, kind->prefix, kind->prefix_len);
    bool fits = pkey != NULL && EVP_PKEY_is_a(pkey, kind->pkey_type) == 1 &&
                public_bytes(algorithm, pkey, key_r->encoded + kind->prefix_len,
                             sizeof key_r->encoded - kind->prefix_len) == kind->public_len;
    if (!fits) {
        note_key_fini(key_r);
        return err_set(err, ERR_FAILED_PRECONDITION, "KEY_FILE_INVALID",
                       "The signing key must be a PKCS#8 PEM %s key without a passphrase.",
                       kind->pkey_type);
    }
    key_r->encoded_len = kind->prefix_len + kind->public_len;
    set_id(key_r, name);
    return 0;
}

static EVP_PKEY *sm2_public(const uint8_t *point, size_t len)
{
    char group[] = "SM2";
    uint8_t copy[SM2_POINT_BYTES];
    memcpy(copy, point, len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, len),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
    if (context == NULL)
        abort();
    if (EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(context);
    return pkey;
}

int note_key_from_encoded(struct note_key *key_r, const char *name, struct slice encoded)
{
    memset(key_r, 0, sizeof *key_r);
    for (enum note_algorithm algorithm = NOTE_ED25519; algorithm <= NOTE_COSIGNATURE; algorithm++) {
        const struct algorithm *kind = &algorithms[algorithm];
        if (encoded.len != kind->prefix_len + kind->public_len ||
            memcmp(encoded.data, kind->prefix, kind->prefix_len) != 0)
            continue;
        const uint8_t *point = encoded.data + kind->prefix_len;
        key_r->algorithm = algorithm;
        key_r->pkey = algorithm == NOTE_SM2 ? sm2_public(point, SM2_POINT_BYTES)
                                            : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
                                                                          point, ED25519_BYTES);
        ERR_clear_error();
        if (key_r->pkey == NULL)
            return -1;
        memcpy(key_r->encoded, encoded.data, encoded.len);
        key_r->encoded_len = encoded.len;
        set_id(key_r, name);
        return 0;
    }
    return -1;
}

void note_key_fini(struct note_key *key)
{
    EVP_PKEY_free(key->pkey); /* clears private keys */
    key->pkey = NULL;
}

static const OSSL_PARAM *sign_params(const struct note_key *key, OSSL_PARAM storage[2])
{
    if (key->algorithm != NOTE_SM2)
        return NULL;
    storage[0] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_DIST_ID, sm2_identity,
                                                   sizeof sm2_identity - 1);
    storage[1] = OSSL_PARAM_construct_end();
    return storage;
}

static EVP_MD_CTX *new_context(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL)
        abort();
    return context;
}

size_t note_key_sign(const struct note_key *key, struct slice text,
                     uint8_t signature_r[NOTE_SIGNATURE_BYTES_MAX])
{
    OSSL_PARAM storage[2];
    size_t len = NOTE_SIGNATURE_BYTES_MAX;
    EVP_MD_CTX *context = new_context();
    if (EVP_DigestSignInit_ex(context, NULL, algorithms[key->algorithm].digest, NULL, NULL,
                              key->pkey, sign_params(key, storage)) != 1 ||
        EVP_DigestSign(context, signature_r, &len, text.data, text.len) != 1)
        abort();
    EVP_MD_CTX_free(context);
    return len;
}

const char *note_sm2_identity(void)
{
    return sm2_identity;
}

static bool verify(const struct note_key *key, struct slice text, struct slice signature)
{
    OSSL_PARAM storage[2];
    EVP_MD_CTX *context = new_context();
    if (EVP_DigestVerifyInit_ex(context, NULL, algorithms[key->algorithm].digest, NULL, NULL,
                                key->pkey, sign_params(key, storage)) != 1)
        abort();
    bool good = EVP_DigestVerify(context, signature.data, signature.len, text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

/* C2SP tlog-cosignature: the signature stands behind a time in seconds, which it covers. */
static bool verify_cosignature(const struct note_key *key, struct slice text,
                               struct slice signature)
{
    if (signature.len != COSIGNATURE_TIME_BYTES + ED25519_SIGNATURE_BYTES)
        return false;
    uint64_t time = 0;
    for (size_t i = 0; i < COSIGNATURE_TIME_BYTES; i++)
        time = time << 8 | signature.data[i];
    struct buf message;
    buf_init(&message, NOTE_BYTES_MAX + 64);
    bool good = buf_append_format(&message, "cosignature/v1\ntime %" PRIu64 "\n", time) == 0 &&
                buf_append(&message, text.data, text.len) == 0 &&
                verify(key, buf_slice(&message),
                       slice_of(signature.data + COSIGNATURE_TIME_BYTES, ED25519_SIGNATURE_BYTES));
    buf_fini(&message);
    return good;
}

bool note_key_verify(const struct note_key *key, struct slice text, struct slice signature)
{
    return key->algorithm == NOTE_COSIGNATURE ? verify_cosignature(key, text, signature)
                                              : verify(key, text, signature);
}
