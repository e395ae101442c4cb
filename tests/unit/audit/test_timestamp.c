/* Time stamps of RFC 3161, made by an authority of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ts.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "audit/timestamp.h"
#include "base/err.h"

enum { DAY = 24 * 3600 };

static const char data_text[] = "log.example/test\n7\nroot\n\n- signature\n";

struct authority {
    EVP_PKEY *key;
    X509 *certificate; /* signs itself */
    char file[64];
    struct timestamp_trust *trust;
};

static struct slice data_of(const char *text)
{
    return slice_of(text, strlen(text));
}

static void extend(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void authority_init(struct authority *authority, long from, long until)
{
    struct err err = ERR_INIT;
    X509 *certificate = X509_new();
    authority->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    authority->certificate = certificate;
    assert_int_equal(X509_set_version(certificate, 2), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), until);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"Test TSA", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, authority->key);
    extend(certificate, NID_ext_key_usage, "critical,timeStamping");
    extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(certificate, authority->key, EVP_sha256()) > 0);
    (void)snprintf(authority->file, sizeof authority->file, "/tmp/sluice-tsa-XXXXXX");
    int fd = mkstemp(authority->file);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
    authority->trust = timestamp_trust_load(authority->file, &err);
    assert_non_null(authority->trust);
}

static void authority_fini(struct authority *authority)
{
    timestamp_trust_free(&authority->trust);
    (void)unlink(authority->file);
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

static ASN1_INTEGER *serial(TS_RESP_CTX *context, void *arg)
{
    (void)context;
    (void)arg;
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_INTEGER_set(number, 1);
    return number;
}

/* The authority's clock, in seconds from now. */
static long clock_skew;

static int clock_of_authority(TS_RESP_CTX *context, void *arg, long *seconds, long *microseconds)
{
    (void)context;
    (void)arg;
    *seconds = (long)time(NULL) + clock_skew;
    *microseconds = 0;
    return 1;
}

static void answer(const struct authority *authority, struct slice request, struct buf *reply)
{
    TS_RESP_CTX *context = TS_RESP_CTX_new();
    ASN1_OBJECT *policy = OBJ_txt2obj("1.2.3.4.1", 1);
    BIO *in = BIO_new_mem_buf(request.data, (int)request.len);
    unsigned char *der = NULL;
    assert_int_equal(TS_RESP_CTX_set_signer_cert(context, authority->certificate), 1);
    assert_int_equal(TS_RESP_CTX_set_signer_key(context, authority->key), 1);
    assert_int_equal(TS_RESP_CTX_set_signer_digest(context, EVP_sha256()), 1);
    assert_int_equal(TS_RESP_CTX_set_ess_cert_id_digest(context, EVP_sha256()), 1);
    assert_int_equal(TS_RESP_CTX_set_def_policy(context, policy), 1);
    assert_int_equal(TS_RESP_CTX_add_md(context, EVP_sha256()), 1);
    assert_int_equal(TS_RESP_CTX_add_md(context, EVP_sha1()), 1);
    TS_RESP_CTX_set_serial_cb(context, serial, NULL);
    TS_RESP_CTX_set_time_cb(context, clock_of_authority, NULL);
    TS_RESP *response = TS_RESP_create_response(context, in);
    assert_non_null(response);
    int len = i2d_TS_RESP(response, &der);
    assert_true(len > 0);
    buf_reset(reply);
    assert_int_equal(buf_append(reply, der, (size_t)len), 0);
    OPENSSL_free(der);
    TS_RESP_free(response);
    BIO_free(in);
    ASN1_OBJECT_free(policy);
    TS_RESP_CTX_free(context);
}

struct setup {
    struct authority authority;
    struct buf request;
    struct buf reply;
};

static void setup_init(struct setup *setup, long from, long until, long skew)
{
    struct err err = ERR_INIT;
    clock_skew = skew;
    authority_init(&setup->authority, from, until);
    buf_init(&setup->request, TIMESTAMP_BYTES_MAX);
    buf_init(&setup->reply, TIMESTAMP_BYTES_MAX);
    assert_int_equal(timestamp_request(data_of(data_text), &setup->request, &err), 0);
    answer(&setup->authority, buf_slice(&setup->request), &setup->reply);
}

static void setup_fini(struct setup *setup)
{
    authority_fini(&setup->authority);
    buf_fini(&setup->request);
    buf_fini(&setup->reply);
}

static void test_a_stamp_is_asked_for_and_holds(void **state)
{
    (void)state;
    struct setup setup;
    struct err err = ERR_INIT;
    int64_t at_us = 0;
    setup_init(&setup, -DAY, DAY, 0);
    struct slice reply = buf_slice(&setup.reply);
    assert_int_equal(timestamp_accept(reply, buf_slice(&setup.request), &err), 0);
    assert_null(timestamp_check(reply, data_of(data_text), setup.authority.trust, &at_us));
    assert_null(timestamp_check(reply, data_of(data_text), NULL, &at_us));
    assert_in_range(at_us / 1000000, time(NULL) - 60, time(NULL) + 1);
    assert_non_null(timestamp_check(reply, data_of("another"), NULL, &at_us));

    /* The answer to an earlier request has another nonce. */
    struct buf again;
    buf_init(&again, TIMESTAMP_BYTES_MAX);
    assert_int_equal(timestamp_request(data_of(data_text), &again, &err), 0);
    assert_int_equal(timestamp_accept(reply, buf_slice(&again), &err), -1);
    assert_string_equal(err.reason, "TIMESTAMP_INVALID");
    buf_fini(&again);
    setup_fini(&setup);
}

static void test_a_stranger_is_not_believed(void **state)
{
    (void)state;
    struct setup setup;
    struct authority stranger;
    struct err err = ERR_INIT;
    int64_t at_us;
    setup_init(&setup, -DAY, DAY, 0);
    authority_init(&stranger, -DAY, DAY);
    assert_non_null(
        timestamp_check(buf_slice(&setup.reply), data_of(data_text), stranger.trust, &at_us));
    authority_fini(&stranger);
    assert_null(timestamp_trust_load("/nowhere", &err));
    assert_string_equal(err.reason, "TIMESTAMP_TRUST_INVALID");
    setup_fini(&setup);
}

/* What was said while the certificate was valid stays said. */
static void test_the_chain_is_judged_at_the_stamped_time(void **state)
{
    (void)state;
    struct setup setup;
    int64_t at_us;
    setup_init(&setup, -30 * DAY, -10 * DAY, -20 * DAY);
    assert_null(timestamp_check(buf_slice(&setup.reply), data_of(data_text), setup.authority.trust,
                                &at_us));
    setup_fini(&setup);
    setup_init(&setup, -30 * DAY, -10 * DAY, 0);
    assert_non_null(timestamp_check(buf_slice(&setup.reply), data_of(data_text),
                                    setup.authority.trust, &at_us));
    setup_fini(&setup);
}

static void test_a_refusal_is_told_apart(void **state)
{
    (void)state;
    struct setup setup;
    struct err err = ERR_INIT;
    int64_t at_us;
    setup_init(&setup, -DAY, DAY, 0);
    answer(&setup.authority, data_of("no request"), &setup.reply);
    assert_int_equal(timestamp_accept(buf_slice(&setup.reply), buf_slice(&setup.request), &err),
                     -1);
    assert_string_equal(err.reason, "TIMESTAMP_REFUSED");
    assert_non_null(timestamp_check(buf_slice(&setup.reply), data_of(data_text), NULL, &at_us));
    setup_fini(&setup);
}

/* SHA-1 over the same bytes: somebody else's checkpoint could have that digest. */
static void test_a_weak_digest_is_refused(void **state)
{
    (void)state;
    struct setup setup;
    int64_t at_us;
    setup_init(&setup, -DAY, DAY, 0);
    const unsigned char *at = setup.request.data;
    TS_REQ *request = d2i_TS_REQ(NULL, &at, (long)setup.request.len);
    TS_MSG_IMPRINT *imprint = TS_REQ_get_msg_imprint(request);
    X509_ALGOR *algorithm = X509_ALGOR_new();
    uint8_t digest[20];
    unsigned char *der = NULL;
    assert_int_equal(EVP_Q_digest(NULL, "SHA1", NULL, data_text, strlen(data_text), digest, NULL),
                     1);
    X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha1), V_ASN1_NULL, NULL);
    TS_MSG_IMPRINT_set_algo(imprint, algorithm);
    TS_MSG_IMPRINT_set_msg(imprint, digest, sizeof digest);
    int len = i2d_TS_REQ(request, &der);
    answer(&setup.authority, slice_of(der, (size_t)len), &setup.reply);
    assert_string_equal(
        timestamp_check(buf_slice(&setup.reply), data_of(data_text), setup.authority.trust, &at_us),
        "it was made with a digest that is too weak");
    OPENSSL_free(der);
    X509_ALGOR_free(algorithm);
    TS_REQ_free(request);
    setup_fini(&setup);
}

/* Cut anywhere it is none. A flipped bit ends the stamp, or is one that the signature does not cover:
 * then the time is the same. */
static void test_damage_is_found(void **state)
{
    (void)state;
    struct setup setup;
    int64_t at_us = 0, changed_us = 0;
    size_t harmless = 0;
    setup_init(&setup, -DAY, DAY, 0);
    struct slice reply = buf_slice(&setup.reply);
    assert_null(timestamp_check(reply, data_of(data_text), setup.authority.trust, &at_us));
    for (size_t len = 0; len < reply.len; len++)
        assert_non_null(timestamp_check(slice_of(reply.data, len), data_of(data_text),
                                        setup.authority.trust, &changed_us));
    for (size_t bit = 0; bit < 8 * reply.len; bit++) {
        setup.reply.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (timestamp_check(reply, data_of(data_text), setup.authority.trust, &changed_us) ==
            NULL) {
            assert_int_equal(changed_us, at_us);
            harmless++;
        }
        setup.reply.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_true(harmless < reply.len); /* of eight times as many */
    (void)buf_append_byte(&setup.reply, 0);
    assert_non_null(timestamp_check(buf_slice(&setup.reply), data_of(data_text), NULL, &at_us));
    setup_fini(&setup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stamp_is_asked_for_and_holds),
        cmocka_unit_test(test_a_stranger_is_not_believed),
        cmocka_unit_test(test_the_chain_is_judged_at_the_stamped_time),
        cmocka_unit_test(test_a_refusal_is_told_apart),
        cmocka_unit_test(test_a_weak_digest_is_refused),
        cmocka_unit_test(test_damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
