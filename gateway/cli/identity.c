#include "cli/identity.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

static long long seconds_of(const ASN1_TIME *when)
{
    struct tm tm;

    return ASN1_TIME_to_tm(when, &tm) == 1 ? (long long)timegm(&tm) : 0;
}

static void read_uri(X509 *certificate, char uri_r[IDENTITY_URI_BYTES])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    uri_r[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        int len;

        if (name->type != GEN_URI)
            continue;
        len = ASN1_STRING_length(name->d.uniformResourceIdentifier);
        if (len < IDENTITY_URI_BYTES) {
            const unsigned char *text = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
            memcpy(uri_r, text, (size_t)len);
            uri_r[len] = '\0';
            break;
        }
    }
    GENERAL_NAMES_free(names);
}

static bool read_identity(BIO *bio, struct identity *identity_r)
{
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    if (certificate == NULL)
        return false;
    read_uri(certificate, identity_r->uri);
    identity_r->not_before = seconds_of(X509_get0_notBefore(certificate));
    identity_r->not_after = seconds_of(X509_get0_notAfter(certificate));
    X509_free(certificate);
    return true;
}

bool identity_from_file(const char *path, struct identity *identity_r)
{
    return read_identity(BIO_new_file(path, "r"), identity_r);
}

bool identity_from_pem(const char *pem, struct identity *identity_r)
{
    return read_identity(BIO_new_mem_buf(pem, -1), identity_r);
}

/* An encrypted key would ask on the terminal; libcurl cannot use it unasked either. */
static int no_password(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

bool identity_key_matches(const char *cert_path, const char *key_path)
{
    BIO *cert_file = BIO_new_file(cert_path, "r");
    BIO *key_file = BIO_new_file(key_path, "r");
    X509 *certificate = cert_file != NULL ? PEM_read_bio_X509(cert_file, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key =
        key_file != NULL ? PEM_read_bio_PrivateKey(key_file, NULL, no_password, NULL) : NULL;
    bool matches =
        certificate != NULL && key != NULL && X509_check_private_key(certificate, key) == 1;

    EVP_PKEY_free(key);
    X509_free(certificate);
    BIO_free(key_file);
    BIO_free(cert_file);
    return matches;
}

void identity_time(long long seconds, char text_r[IDENTITY_TIME_BYTES])
{
    time_t when = (time_t)seconds;
    struct tm utc;

    gmtime_r(&when, &utc);
    strftime(text_r, IDENTITY_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc);
}
