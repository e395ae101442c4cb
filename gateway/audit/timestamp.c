#include "audit/timestamp.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit/hash.h"
#include "base/err.h"
#include "base/mem.h"

enum {
    NONCE_BYTES = 8, /* as openssl-ts(1) sends; RFC 3161 2.4.1 wants "a large random number" */
    TIME_BYTES = 20, /* "20261124120000.123456" is cut to its seconds */
};

struct timestamp_trust {
    X509_STORE *store;
};

/* --- asking --------------------------------------------------------------------------------------- */

static bool set_imprint(TS_REQ *request, struct slice data)
{
    uint8_t digest[HASH_BYTES];
    TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
    X509_ALGOR *algorithm = X509_ALGOR_new();
    hash_sha256(&data, 1, digest);
    bool set = imprint != NULL && algorithm != NULL &&
               X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) == 1 &&
               TS_MSG_IMPRINT_set_algo(imprint, algorithm) == 1 &&
               TS_MSG_IMPRINT_set_msg(imprint, digest, sizeof digest) == 1 &&
               TS_REQ_set_msg_imprint(request, imprint) == 1;
    X509_ALGOR_free(algorithm);
    TS_MSG_IMPRINT_free(imprint);
    return set;
}

static bool set_nonce(TS_REQ *request)
{
    uint8_t bytes[NONCE_BYTES];
    BIGNUM *number = NULL;
    ASN1_INTEGER *nonce = NULL;
    bool set = RAND_bytes(bytes, sizeof bytes) == 1 &&
               (number = BN_bin2bn(bytes, sizeof bytes, NULL)) != NULL &&
               (nonce = BN_to_ASN1_INTEGER(number, NULL)) != NULL &&
               TS_REQ_set_nonce(request, nonce) == 1;
    ASN1_INTEGER_free(nonce);
    BN_free(number);
    return set;
}

int timestamp_request(struct slice data, struct buf *out, struct err *err)
{
    TS_REQ *request = TS_REQ_new();
    unsigned char *der = NULL;
    int len = -1;
    if (request != NULL && TS_REQ_set_version(request, 1) == 1 && set_imprint(request, data) &&
        set_nonce(request) && TS_REQ_set_cert_req(request, 1) == 1)
        len = i2d_TS_REQ(request, &der);
    bool made = len > 0 && buf_append(out, der, (size_t)len) == 0;
    OPENSSL_free(der);
    TS_REQ_free(request);
    return made ? 0
                : err_set(err, ERR_INTERNAL, "TIMESTAMP_FAILED",
                          "the request for a time stamp could not be made");
}

/* --- the answer ----------------------------------------------------------------------------------- */

/* NULL unless the bytes are one TimeStampResp and nothing else. */
static TS_RESP *read_reply(struct slice bytes)
{
    const unsigned char *at = bytes.data;
    TS_RESP *reply = NULL;
    if (bytes.len > 0 && bytes.len <= TIMESTAMP_BYTES_MAX)
        reply = d2i_TS_RESP(NULL, &at, (long)bytes.len);
    if (reply != NULL && at != bytes.data + bytes.len) {
        TS_RESP_free(reply);
        reply = NULL;
    }
    ERR_clear_error();
    return reply;
}

/* RFC 3161 2.4.2: 0 granted, 1 granted with modifications; only then is there a token. */
static bool granted(TS_RESP *reply)
{
    const ASN1_INTEGER *status = TS_STATUS_INFO_get0_status(TS_RESP_get_status_info(reply));
    int64_t value = -1;
    return ASN1_INTEGER_get_int64(&value, status) == 1 && (value == 0 || value == 1) &&
           TS_RESP_get_tst_info(reply) != NULL;
}

int timestamp_accept(struct slice reply_bytes, struct slice request_bytes, struct err *err)
{
    const unsigned char *at = request_bytes.data;
    TS_REQ *request = d2i_TS_REQ(NULL, &at, (long)request_bytes.len);
    TS_RESP *reply = read_reply(reply_bytes);
    TS_VERIFY_CTX *context = request != NULL ? TS_REQ_to_TS_VERIFY_CTX(request, NULL) : NULL;
    int result = 0;
    if (reply != NULL && !granted(reply))
        result = err_set(err, ERR_FAILED_PRECONDITION, "TIMESTAMP_REFUSED",
                         "the time-stamping authority refused the request");
    else if (reply == NULL || context == NULL || TS_RESP_verify_response(context, reply) != 1)
        result =
            err_set(err, ERR_DATA_LOSS, "TIMESTAMP_INVALID",
                    "the time-stamping authority did not answer with a stamp of what was asked");
    ERR_clear_error();
    TS_VERIFY_CTX_free(context);
    TS_RESP_free(reply);
    TS_REQ_free(request);
    return result;
}

/* --- whom to believe ------------------------------------------------------------------------------ */

struct timestamp_trust *timestamp_trust_load(const char *path, struct err *err)
{
    struct timestamp_trust *trust = mem_zero(sizeof *trust);
    trust->store = X509_STORE_new();
    if (trust->store == NULL)
        abort(); /* no memory */
    if (X509_STORE_load_file(trust->store, path) != 1) {
        timestamp_trust_free(&trust);
        (void)err_set(err, ERR_INVALID_ARGUMENT, "TIMESTAMP_TRUST_INVALID",
                      "\"%s\" holds no certificates in PEM", path);
    }
    ERR_clear_error();
    return trust;
}

void timestamp_trust_free(struct timestamp_trust **trust)
{
    if (*trust == NULL)
        return;
    X509_STORE_free((*trust)->store);
    free(*trust);
    *trust = NULL;
}

/* --- checking ------------------------------------------------------------------------------------- */

static bool strong_imprint(TS_TST_INFO *info)
{
    const ASN1_OBJECT *algorithm;
    X509_ALGOR_get0(&algorithm, NULL, NULL,
                    TS_MSG_IMPRINT_get_algo(TS_TST_INFO_get_msg_imprint(info)));
    switch (OBJ_obj2nid(algorithm)) {
    case NID_sha256:
    case NID_sha384:
    case NID_sha512:
    case NID_sm3:
        return true;
    default:
        return false; /* somebody else's bytes could have the same digest */
    }
}

static bool read_time(TS_TST_INFO *info, int64_t *time_us_r)
{
    struct tm when;
    memset(&when, 0, sizeof when);
    if (ASN1_TIME_to_tm(TS_TST_INFO_get_time(info), &when) != 1)
        return false;
    *time_us_r = (int64_t)timegm(&when) * 1000000;
    return true;
}

/* A chain that has expired since still says what it said: it is judged as of the stamped time. */
static bool verify(TS_RESP *reply, struct slice data, const struct timestamp_trust *trust,
                   int64_t time_us)
{
    TS_VERIFY_CTX *context = TS_VERIFY_CTX_new();
    BIO *bytes = BIO_new_mem_buf(data.data, (int)data.len);
    if (context == NULL || bytes == NULL)
        abort(); /* no memory */
    (void)TS_VERIFY_CTX_set_data(context, bytes);
    if (trust != NULL) {
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(trust->store),
                                   (time_t)(time_us / 1000000));
        X509_STORE_up_ref(trust->store);
        (void)TS_VERIFY_CTX_set_store(context, trust->store);
    }
    TS_VERIFY_CTX_set_flags(context,
                            TS_VFY_VERSION | TS_VFY_DATA | (trust != NULL ? TS_VFY_SIGNATURE : 0));
    bool holds = TS_RESP_verify_response(context, reply) == 1;
    TS_VERIFY_CTX_free(context);
    return holds;
}

const char *timestamp_check(struct slice reply_bytes, struct slice data,
                            const struct timestamp_trust *trust, int64_t *time_us_r)
{
    TS_RESP *reply = read_reply(reply_bytes);
    const char *fault = NULL;
    if (reply == NULL || !granted(reply) || !read_time(TS_RESP_get_tst_info(reply), time_us_r))
        fault = "it is no time stamp (RFC 3161)";
    else if (!strong_imprint(TS_RESP_get_tst_info(reply)))
        fault = "it was made with a digest that is too weak";
    else if (!verify(reply, data, NULL, *time_us_r))
        fault = "it stamps something else";
    else if (trust != NULL && !verify(reply, data, trust, *time_us_r))
        fault = "no authority that is trusted has signed it";
    ERR_clear_error();
    TS_RESP_free(reply);
    return fault;
}
