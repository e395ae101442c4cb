#include "audit/hash.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void must(int ok)
{
    if (ok != 1)
        abort();
}

/* Fetching an algorithm and making a context cost more than hashing a row, so both are kept. */
static const EVP_MD *digest(void)
{
    static _Thread_local EVP_MD *fetched;
    if (fetched == NULL) {
        fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
        must(fetched != NULL);
    }
    return fetched;
}

static EVP_MD_CTX *scratch(void)
{
    static _Thread_local EVP_MD_CTX *context;
    if (context == NULL) {
        context = EVP_MD_CTX_new();
        must(context != NULL);
        must(EVP_DigestInit_ex2(context, digest(), NULL));
    }
    /* A NULL digest starts again with the one already set. */
    must(EVP_DigestInit_ex2(context, NULL, NULL));
    return context;
}

static void add_pieces(EVP_MD_CTX *context, const struct slice *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].len > 0)
            must(EVP_DigestUpdate(context, pieces[i].data, pieces[i].len));
    }
}

void hash_sha256(const struct slice *pieces, size_t count, uint8_t out_r[HASH_BYTES])
{
    EVP_MD_CTX *context = scratch();
    add_pieces(context, pieces, count);
    must(EVP_DigestFinal_ex(context, out_r, NULL));
}

static void pad_key(uint8_t pad[HASH_BLOCK_BYTES], const uint8_t *key, size_t key_len, uint8_t fill)
{
    assert(key_len <= HASH_BLOCK_BYTES);
    memset(pad, fill, HASH_BLOCK_BYTES);
    for (size_t i = 0; i < key_len; i++)
        pad[i] ^= key[i];
}

static const uint8_t inner_fill = 0x36;
static const uint8_t outer_fill = 0x5c;

/* Two plain digests: EVP_MAC sets a key anew each time at several times this cost. */
void hash_hmac(const uint8_t *key, size_t key_len, const struct slice *pieces, size_t count,
               uint8_t out_r[HASH_BYTES])
{
    uint8_t pad[HASH_BLOCK_BYTES], inner[HASH_BYTES];
    EVP_MD_CTX *context = scratch();
    pad_key(pad, key, key_len, inner_fill);
    must(EVP_DigestUpdate(context, pad, sizeof pad));
    add_pieces(context, pieces, count);
    must(EVP_DigestFinal_ex(context, inner, NULL));

    context = scratch();
    pad_key(pad, key, key_len, outer_fill);
    must(EVP_DigestUpdate(context, pad, sizeof pad));
    must(EVP_DigestUpdate(context, inner, sizeof inner));
    must(EVP_DigestFinal_ex(context, out_r, NULL));
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(inner, sizeof inner);
}

void hash_stream_init(struct hash_stream *stream, const uint8_t *key, size_t key_len)
{
    uint8_t pad[HASH_BLOCK_BYTES];
    stream->context = EVP_MD_CTX_new();
    must(stream->context != NULL);
    must(EVP_DigestInit_ex2(stream->context, digest(), NULL));
    pad_key(pad, key, key_len, inner_fill);
    must(EVP_DigestUpdate(stream->context, pad, sizeof pad));
    OPENSSL_cleanse(pad, sizeof pad);
    pad_key(stream->outer, key, key_len, outer_fill);
}

void hash_stream_add(struct hash_stream *stream, const void *data, size_t len)
{
    if (len > 0)
        must(EVP_DigestUpdate(stream->context, data, len));
}

void hash_stream_final(struct hash_stream *stream, uint8_t out_r[HASH_BYTES])
{
    uint8_t inner[HASH_BYTES];
    must(EVP_DigestFinal_ex(stream->context, inner, NULL));
    struct slice pieces[] = { slice_of(stream->outer, sizeof stream->outer),
                              slice_of(inner, sizeof inner) };
    hash_sha256(pieces, 2, out_r);
    OPENSSL_cleanse(inner, sizeof inner);
    hash_stream_fini(stream);
}

void hash_stream_fini(struct hash_stream *stream)
{
    EVP_MD_CTX_free(stream->context); /* clears its state */
    stream->context = NULL;
    OPENSSL_cleanse(stream->outer, sizeof stream->outer);
}
