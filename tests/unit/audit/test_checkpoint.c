#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "audit/checkpoint.h"
#include "audit/note.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/ids.h"

#define ORIGIN "log.example/sluice"

static struct slice text_slice(const char *text)
{
    return slice_of(text, strlen(text));
}

static void pem_of(EVP_PKEY *pkey, struct buf *out)
{
    char *data;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &data);
    buf_init(out, 4096);
    assert_int_equal(buf_append(out, data, (size_t)len), 0);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
}

static struct note_signer *make_signer(const char *name, bool sm2)
{
    struct buf ed25519_pem, sm2_pem = { 0 };
    struct err err = ERR_INIT;
    pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &ed25519_pem);
    if (sm2)
        pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "SM2"), &sm2_pem);
    struct note_signer *signer =
        note_signer_new(name, buf_slice(&ed25519_pem), buf_slice(&sm2_pem), &err);
    assert_non_null(signer);
    buf_fini(&ed25519_pem);
    buf_fini(&sm2_pem);
    return signer;
}

static struct note_verifier *verifier_of(const struct note_signer *signer, bool sm2)
{
    struct buf text;
    struct err err = ERR_INIT;
    buf_init(&text, 1024);
    assert_int_equal(
        sm2 ? note_signer_sm2_text(signer, &text) : note_signer_ed25519_text(signer, &text), 0);
    struct note_verifier *verifier = note_verifier_new(buf_cstr(&text), &err);
    assert_non_null(verifier);
    buf_fini(&text);
    return verifier;
}

/* The example of golang.org/x/mod/sumdb/note, made by an independent implementation. */
static const char go_verifier[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char go_seed[] = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
static const char go_text[] = "If you think cryptography is the answer to your problem,\n"
                              "then you don't know what your problem is.\n";
static const char go_note[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/"
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

static void go_example_verifies(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct slice text;
    uint32_t verified;
    struct note_verifier *verifier = note_verifier_new(go_verifier, &err);
    assert_non_null(verifier);
    const struct note_verifier *list[] = { verifier };
    assert_int_equal(note_open(text_slice(go_note), list, 1, &text, &verified, &err), 0);
    assert_int_equal(verified, 1);
    assert_int_equal(text.len, strlen(go_text));
    assert_memory_equal(text.data, go_text, text.len);
    note_verifier_free(&verifier);
}

static void go_example_signs(void **state)
{
    (void)state;
    uint8_t seed[64];
    struct buf pem, note, text;
    struct err err = ERR_INIT;
    assert_int_equal(base64_decode(go_seed, strlen(go_seed), seed), 33);
    pem_of(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed + 1, 32), &pem);
    struct note_signer *signer =
        note_signer_new("PeterNeumann", buf_slice(&pem), slice_of(NULL, 0), &err);
    assert_non_null(signer);
    buf_init(&note, 4096);
    buf_init(&text, 4096);
    assert_int_equal(note_sign(signer, text_slice(go_text), &note), 0);
    assert_string_equal(buf_cstr(&note), go_note);
    assert_int_equal(note_signer_ed25519_text(signer, &text), 0);
    assert_string_equal(buf_cstr(&text), go_verifier);
    assert_int_equal(note_signer_sm2_text(signer, &text), -1);
    note_signer_free(&signer);
    buf_fini(&pem);
    buf_fini(&note);
    buf_fini(&text);
}

static void round_trip(void **state)
{
    (void)state;
    struct checkpoint checkpoint = { .origin = ORIGIN, .size = 1048576 }, again;
    struct note_signer *signer = make_signer(ORIGIN, true);
    struct note_verifier *ed25519 = verifier_of(signer, false), *sm2 = verifier_of(signer, true);
    const struct note_verifier *list[] = { ed25519, sm2 };
    struct buf note;
    struct err err = ERR_INIT;
    uint32_t verified;
    ids_random(checkpoint.root, sizeof checkpoint.root);
    buf_init(&note, NOTE_BYTES_MAX);
    assert_int_equal(checkpoint_sign(signer, &checkpoint, &note), 0);
    assert_int_equal(checkpoint_open(buf_slice(&note), ORIGIN, list, 2, &again, &verified, &err),
                     0);
    assert_int_equal(verified, 3);
    assert_int_equal(again.size, checkpoint.size);
    assert_string_equal(again.origin, ORIGIN);
    assert_memory_equal(again.root, checkpoint.root, 32);
    /* Each key alone is enough, since lines of unknown keys are ignored. */
    assert_int_equal(
        checkpoint_open(buf_slice(&note), ORIGIN, list + 1, 1, &again, &verified, &err), 0);
    assert_int_equal(verified, 1);
    assert_int_equal(
        checkpoint_open(buf_slice(&note), "other.example", list, 2, &again, &verified, &err), -1);
    assert_string_equal(err.reason, "CHECKPOINT_ORIGIN_WRONG");
    assert_int_equal(checkpoint_open(buf_slice(&note), ORIGIN, NULL, 0, &again, &verified, &err),
                     -1);
    assert_string_equal(err.reason, "NOTE_UNSIGNED");
    buf_fini(&note);
    note_verifier_free(&ed25519);
    note_verifier_free(&sm2);
    note_signer_free(&signer);
}

/* Every single bit matters: no flipped note may open as a checkpoint with other content. */
static void every_bit_matters(void **state)
{
    (void)state;
    struct checkpoint checkpoint = { .origin = ORIGIN, .size = 42 }, again;
    struct note_signer *signer = make_signer(ORIGIN, false);
    struct note_verifier *verifier = verifier_of(signer, false);
    const struct note_verifier *list[] = { verifier };
    struct buf note;
    struct err err = ERR_INIT;
    uint32_t verified;
    ids_random(checkpoint.root, sizeof checkpoint.root);
    buf_init(&note, NOTE_BYTES_MAX);
    assert_int_equal(checkpoint_sign(signer, &checkpoint, &note), 0);
    for (size_t bit = 0; bit < note.len * 8; bit++) {
        note.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(
            checkpoint_open(buf_slice(&note), ORIGIN, list, 1, &again, &verified, &err), -1);
        note.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t len = 0; len < note.len; len++)
        assert_int_equal(
            checkpoint_open(slice_of(note.data, len), ORIGIN, list, 1, &again, &verified, &err),
            -1);
    buf_fini(&note);
    note_verifier_free(&verifier);
    note_signer_free(&signer);
}

#define ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void checkpoint_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "o\n0\n" ROOT "\n", true },
        { "o\n1099511627775\n" ROOT "\n", true },
        { "o\n7\n" ROOT "\nextension line\nanother\n", true },
        { "", false },
        { "\n0\n" ROOT "\n", false },
        { "o\n", false },
        { "o\n\n" ROOT "\n", false },
        { "o\n00\n" ROOT "\n", false },
        { "o\n-1\n" ROOT "\n", false },
        { "o\n+1\n" ROOT "\n", false },
        { "o\n 1\n" ROOT "\n", false },
        { "o\n1099511627776\n" ROOT "\n", false },
        { "o\n18446744073709551617\n" ROOT "\n", false },
        { "o\n0x1\n" ROOT "\n", false },
        { "o\n0\n" ROOT, false },
        { "o\n0\n47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=\n", false }, /* URL alphabet */
        { "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n", false },  /* no padding */
        { "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n", false }, /* stray bits */
        { "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA\n", false }, /* 33 bytes */
        { "o\n0\n" ROOT "\n\n", false },
        { "o\n0\n" ROOT "\nextension cut short", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checkpoint checkpoint;
        struct err err = ERR_INIT;
        int result = checkpoint_parse(text_slice(cases[i].text), &checkpoint, &err);
        if (result != (cases[i].good ? 0 : -1))
            fail_msg("case %zu", i);
    }
    char origin[300];
    struct checkpoint checkpoint;
    struct err err = ERR_INIT;
    memset(origin, 'a', sizeof origin);
    (void)snprintf(origin + 255, 45, "%s", "\n0\n");
    struct buf text;
    buf_init(&text, 1024);
    (void)buf_append_format(&text, "%s" ROOT "\n", origin);
    assert_int_equal(checkpoint_parse(buf_slice(&text), &checkpoint, &err), 0);
    assert_int_equal(strlen(checkpoint.origin), 255);
    buf_reset(&text);
    (void)buf_append_format(&text, "a%s" ROOT "\n", origin);
    assert_int_equal(checkpoint_parse(buf_slice(&text), &checkpoint, &err), -1);
    buf_fini(&text);
}

#define DASH "\xe2\x80\x94 "

static void malformed_notes(void **state)
{
    (void)state;
    static const char *const notes[] = {
        "",
        "\n",
        "\n\n",
        "text\n",
        "text\n\n",
        "text\n" DASH "k AAAAAAA=\n",
        "text\n\n" DASH "k AAAAAAA=",
        "text\n\n" DASH "k AAAAAAA\n",
        "text\n\n" DASH "k AAAA\n",
        "text\n\n" DASH "k AAAAAA==\n", /* a key id and nothing else */
        "text\n\n" DASH "k \n",
        "text\n\n" DASH "k\n",
        "text\n\n" DASH " AAAAAAA=\n",
        "text\n\n" DASH "k+ AAAAAAA=\n",
        "text\n\n- k AAAAAAA=\n",
        "text\n\n" DASH "k AAAAAAA= \n",
        "text\n\nk AAAAAAA=\n",
        "te\txt\n\n" DASH "k AAAAAAA=\n",
        "te\xff"
        "xt\n\n" DASH "k AAAAAAA=\n",
        "text\n\n" DASH "k\xc2\xa0k AAAAAAA=\n",
        "text\n\n" DASH "k AAAA-AA=\n",
    };
    struct err err = ERR_INIT;
    struct note_verifier *verifier = note_verifier_new(go_verifier, &err);
    const struct note_verifier *list[] = { verifier };
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        struct slice text;
        uint32_t verified;
        if (note_open(text_slice(notes[i]), list, 1, &text, &verified, &err) != -1 ||
            err.code != ERR_INVALID_ARGUMENT)
            fail_msg("case %zu", i);
    }
    /* Well-formed, but of nobody we know. */
    struct slice text;
    uint32_t verified;
    assert_int_equal(
        note_open(text_slice("text\n\n" DASH "k AAAAAAA=\n"), list, 1, &text, &verified, &err), -1);
    assert_int_equal(err.code, ERR_PERMISSION_DENIED);
    note_verifier_free(&verifier);
}

static void too_many_and_too_long(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct note_verifier *verifier = note_verifier_new(go_verifier, &err);
    const struct note_verifier *list[] = { verifier };
    struct buf note;
    struct slice text;
    uint32_t verified;
    buf_init(&note, 1024 * 1024);
    (void)buf_append_str(&note, go_note);
    for (int i = 1; i < NOTE_SIGNATURES_MAX; i++)
        (void)buf_append_str(&note, DASH "k AAAAAAA=\n");
    assert_int_equal(note_open(buf_slice(&note), list, 1, &text, &verified, &err), 0);
    (void)buf_append_str(&note, DASH "k AAAAAAA=\n");
    assert_int_equal(note_open(buf_slice(&note), list, 1, &text, &verified, &err), -1);
    buf_reset(&note);
    while (note.len <= NOTE_BYTES_MAX)
        (void)buf_append_str(&note, "text\n");
    (void)buf_append_str(&note, go_note);
    assert_int_equal(note_open(buf_slice(&note), list, 1, &text, &verified, &err), -1);
    assert_int_equal(err.code, ERR_INVALID_ARGUMENT);
    buf_fini(&note);
    note_verifier_free(&verifier);
}

static void verifier_texts(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumanm+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = ERR_INIT;
        struct note_verifier *verifier = note_verifier_new(bad[i], &err);
        if (verifier != NULL)
            fail_msg("case %zu", i);
        assert_string_equal(err.reason, "VERIFIER_KEY_INVALID");
    }
}

static void key_files(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf sm2, rsa, ed25519;
    pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "SM2"), &sm2);
    pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), &rsa);
    pem_of(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &ed25519);
    const struct slice bad[] = { buf_slice(&sm2), buf_slice(&rsa), text_slice("no key"),
                                 slice_of(ed25519.data, ed25519.len / 2), slice_of(NULL, 0) };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_null(note_signer_new("log", bad[i], slice_of(NULL, 0), &err));
        assert_string_equal(err.reason, "KEY_FILE_INVALID");
    }
    assert_null(note_signer_new("log", buf_slice(&ed25519), buf_slice(&ed25519), &err));
    assert_null(note_signer_new("a log", buf_slice(&ed25519), slice_of(NULL, 0), &err));
    assert_string_equal(err.reason, "KEY_NAME_INVALID");

    char path[] = "/tmp/sluice-pem-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, ed25519.data, ed25519.len), ed25519.len);
    (void)close(fd);
    struct note_signer *signer = note_signer_load("log", path, NULL, &err);
    assert_non_null(signer);
    assert_string_equal(note_signer_name(signer), "log");
    note_signer_free(&signer);
    (void)unlink(path);
    assert_null(note_signer_load("log", path, NULL, &err));
    assert_string_equal(err.reason, "KEY_FILE_UNREADABLE");
    assert_null(strstr(err.text, "/tmp"));
    buf_fini(&sm2);
    buf_fini(&rsa);
    buf_fini(&ed25519);
}

static void cost(void **state)
{
    (void)state;
    enum { ROUNDS = 2000 };
    struct checkpoint checkpoint = { .origin = ORIGIN, .size = 1048576 };
    for (int sm2 = 0; sm2 < 2; sm2++) {
        struct note_signer *signer = make_signer(ORIGIN, sm2 == 1);
        struct buf note;
        buf_init(&note, NOTE_BYTES_MAX);
        int64_t start_us = clock_monotonic_us();
        for (int i = 0; i < ROUNDS; i++) {
            buf_reset(&note);
            assert_int_equal(checkpoint_sign(signer, &checkpoint, &note), 0);
        }
        print_message("signed checkpoint%s: %.1f us\n", sm2 ? " with SM2" : "",
                      (double)(clock_monotonic_us() - start_us) / ROUNDS);
        buf_fini(&note);
        note_signer_free(&signer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(go_example_verifies),
        cmocka_unit_test(go_example_signs),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_bit_matters),
        cmocka_unit_test(checkpoint_texts),
        cmocka_unit_test(malformed_notes),
        cmocka_unit_test(too_many_and_too_long),
        cmocka_unit_test(verifier_texts),
        cmocka_unit_test(key_files),
        cmocka_unit_test(cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
