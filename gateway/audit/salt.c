#include "audit/salt.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/ids.h"

enum { NONCE_BYTES = 12, TAG_BYTES = 16, ENTRY_ID_BYTES = 16 };

/* Each is followed by 0x00 in what it prefixes ("row" by the first byte of its index). */
static const char row_word[] = "row";
static const char filter_word[] = "filter";
static const char answer_word[] = "answer";
static const char person_word[] = "citizen-id";

void salt_make(uint8_t salt_r[SALT_BYTES])
{
    ids_random(salt_r, SALT_BYTES);
}

void salt_wipe(uint8_t salt[SALT_BYTES])
{
    OPENSSL_cleanse(salt, SALT_BYTES);
}

void salt_sub(const uint8_t salt[SALT_BYTES], uint64_t index, uint8_t sub_r[SALT_BYTES])
{
    uint8_t text[sizeof row_word - 1 + 8];
    memcpy(text, row_word, sizeof row_word - 1);
    for (unsigned i = 0; i < 8; i++)
        text[sizeof row_word - 1 + i] = (uint8_t)(index >> (56 - 8 * i));
    struct slice piece = slice_of(text, sizeof text);
    hash_hmac(salt, SALT_BYTES, &piece, 1, sub_r);
}

void salt_row_digest(const uint8_t sub[SALT_BYTES], struct slice record, uint8_t out_r[HASH_BYTES])
{
    hash_hmac(sub, SALT_BYTES, &record, 1, out_r);
}

void salt_batch_digest(const uint8_t sub[SALT_BYTES], struct slice batch, uint8_t out_r[HASH_BYTES])
{
    struct slice pieces[] = { slice_of(sub, SALT_BYTES), batch };
    hash_sha256(pieces, 2, out_r);
}

static void worded(const uint8_t *key, const char *word, size_t word_bytes, struct slice data,
                   uint8_t out_r[HASH_BYTES])
{
    struct slice pieces[] = { slice_of(word, word_bytes), data };
    hash_hmac(key, SALT_BYTES, pieces, 2, out_r);
}

void salt_filter_digest(const uint8_t salt[SALT_BYTES], struct slice text,
                        uint8_t out_r[HASH_BYTES])
{
    worded(salt, filter_word, sizeof filter_word, text, out_r);
}

void salt_answer_digest(const uint8_t salt[SALT_BYTES], struct slice answer,
                        uint8_t out_r[HASH_BYTES])
{
    worded(salt, answer_word, sizeof answer_word, answer, out_r);
}

void salt_answer_start(const uint8_t salt[SALT_BYTES], struct hash_stream *stream_r)
{
    hash_stream_init(stream_r, salt, SALT_BYTES);
    hash_stream_add(stream_r, answer_word, sizeof answer_word);
}

void salt_person_key(const uint8_t person_key[SALT_KEY_BYTES], struct slice value,
                     uint8_t out_r[HASH_BYTES])
{
    worded(person_key, person_word, sizeof person_word, value, out_r);
}

void audit_rows_init(struct audit_rows *rows, enum audit_rows_form form,
                     const uint8_t salt[SALT_BYTES])
{
    rows->form = form;
    memcpy(rows->salt, salt, SALT_BYTES);
    rows->count = 0;
    rows->bytes = 0;
    rows->batches = 0;
    merkle_frontier_init(&rows->tree);
}

static void add_digest(struct audit_rows *rows, const uint8_t digest[HASH_BYTES])
{
    uint8_t leaf_hash[MERKLE_HASH_BYTES];
    merkle_leaf_hash(digest, HASH_BYTES, leaf_hash);
    merkle_frontier_append(&rows->tree, leaf_hash);
}

int audit_rows_add(struct audit_rows *rows, struct slice record)
{
    assert(rows->form == AUDIT_ROWS_ROW);
    if (rows->count >= AUDIT_ROWS_MAX)
        return -1;
    uint8_t sub[SALT_BYTES], digest[HASH_BYTES];
    salt_sub(rows->salt, rows->tree.size, sub);
    salt_row_digest(sub, record, digest);
    salt_wipe(sub);
    add_digest(rows, digest);
    rows->count++;
    rows->bytes += record.len;
    return 0;
}

void audit_rows_add_batch(struct audit_rows *rows, struct slice batch, uint64_t records)
{
    assert(rows->form == AUDIT_ROWS_BATCH);
    uint8_t sub[SALT_BYTES], digest[HASH_BYTES];
    salt_sub(rows->salt, rows->tree.size, sub);
    salt_batch_digest(sub, batch, digest);
    salt_wipe(sub);
    add_digest(rows, digest);
    rows->count += records;
    rows->bytes += batch.len;
    rows->batches++;
}

void audit_rows_root(const struct audit_rows *rows, uint8_t out_r[MERKLE_HASH_BYTES])
{
    merkle_frontier_root(&rows->tree, out_r);
}

void audit_rows_fini(struct audit_rows *rows)
{
    salt_wipe(rows->salt);
}

static void must(int ok)
{
    if (ok != 1)
        abort();
}

static const EVP_CIPHER *cipher(void)
{
    static _Thread_local EVP_CIPHER *fetched;
    if (fetched == NULL) {
        fetched = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
        must(fetched != NULL);
    }
    return fetched;
}

static EVP_CIPHER_CTX *cipher_context(void)
{
    static _Thread_local EVP_CIPHER_CTX *context;
    if (context == NULL) {
        context = EVP_CIPHER_CTX_new();
        must(context != NULL);
    }
    return context;
}

void salt_wrap(const uint8_t key[SALT_KEY_BYTES], const uint8_t entry_id[16],
               const uint8_t salt[SALT_BYTES], uint8_t wrapped_r[SALT_WRAPPED_BYTES])
{
    EVP_CIPHER_CTX *context = cipher_context();
    int len;
    ids_random(wrapped_r, NONCE_BYTES);
    must(EVP_EncryptInit_ex2(context, cipher(), key, wrapped_r, NULL));
    must(EVP_EncryptUpdate(context, NULL, &len, entry_id, ENTRY_ID_BYTES));
    must(EVP_EncryptUpdate(context, wrapped_r + NONCE_BYTES, &len, salt, SALT_BYTES));
    must(EVP_EncryptFinal_ex(context, wrapped_r + NONCE_BYTES + SALT_BYTES, &len));
    must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES,
                             wrapped_r + NONCE_BYTES + SALT_BYTES));
    must(EVP_CIPHER_CTX_reset(context)); /* wipes the key schedule */
}

int salt_unwrap(const uint8_t key[SALT_KEY_BYTES], const uint8_t entry_id[16],
                const uint8_t *wrapped, size_t wrapped_len, uint8_t salt_r[SALT_BYTES])
{
    if (wrapped_len != SALT_WRAPPED_BYTES)
        return -1;
    EVP_CIPHER_CTX *context = cipher_context();
    uint8_t tag[TAG_BYTES], rest[TAG_BYTES];
    int len;
    memcpy(tag, wrapped + NONCE_BYTES + SALT_BYTES, TAG_BYTES);
    must(EVP_DecryptInit_ex2(context, cipher(), key, wrapped, NULL));
    must(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag));
    must(EVP_DecryptUpdate(context, NULL, &len, entry_id, ENTRY_ID_BYTES));
    must(EVP_DecryptUpdate(context, salt_r, &len, wrapped + NONCE_BYTES, SALT_BYTES));
    int genuine = EVP_DecryptFinal_ex(context, rest, &len);
    must(EVP_CIPHER_CTX_reset(context));
    if (genuine != 1) {
        salt_wipe(salt_r);
        return -1;
    }
    return 0;
}

int salt_key_load(const char *path, uint8_t key_r[SALT_KEY_BYTES], struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int cause = errno;
        (void)err_set(err, ERR_FAILED_PRECONDITION, "KEY_FILE_UNREADABLE",
                      "The key file cannot be read; check its path and permissions.");
        return err_detail(err, "%s: %s", path, strerror(cause));
    }
    uint8_t bytes[SALT_KEY_BYTES + 1];
    ssize_t len = read(fd, bytes, sizeof bytes);
    (void)close(fd);
    if (len == SALT_KEY_BYTES)
        memcpy(key_r, bytes, SALT_KEY_BYTES);
    OPENSSL_cleanse(bytes, sizeof bytes);
    if (len == SALT_KEY_BYTES)
        return 0;
    (void)err_set(err, ERR_FAILED_PRECONDITION, "KEY_FILE_INVALID",
                  "The key file must hold exactly 32 bytes; make it anew.");
    return err_detail(err, "%s: %zd bytes", path, len);
}
