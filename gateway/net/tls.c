#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"

struct tls_context {
    SSL_CTX *ssl;
};

void tls_error_text(char *out, unsigned long size)
{
    unsigned long code = ERR_peek_last_error();
    if (code == 0)
        (void)strncpy(out, "no TLS error", size);
    else
        ERR_error_string_n(code, out, size);
    ERR_clear_error();
}

static int config_error(struct err *err, const char *what, const char *file)
{
    char detail[200];
    tls_error_text(detail, sizeof detail);
    (void)err_set(err, ERR_INVALID_ARGUMENT, "TLS_CONFIG", "%s: %s", file, what);
    return err_detail(err, "%s", detail);
}

/* Only h2: Connect and gRPC both run over it, and one protocol is one parser. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    static const unsigned char h2[] = { 2, 'h', '2' };
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, h2, sizeof h2, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool signed_by_any(X509_CRL *crl, const STACK_OF(X509) * authorities)
{
    for (int i = 0; i < sk_X509_num(authorities); i++) {
        X509 *authority = sk_X509_value(authorities, i);
        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(authority)) == 0 &&
            X509_CRL_verify(crl, X509_get0_pubkey(authority)) == 1)
            return true;
    }
    return false;
}

/* One that is out of date would refuse every peer, one of a stranger none. */
static int check_crl(X509_CRL *crl, const STACK_OF(X509) * authorities, const char *file,
                     struct err *err)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    if (!signed_by_any(crl, authorities))
        return config_error(err, "the revocation list is not signed by a client authority", file);
    if (X509_cmp_current_time(X509_CRL_get0_lastUpdate(crl)) > 0 ||
        (next != NULL && X509_cmp_current_time(next) < 0))
        return config_error(err, "the revocation list is out of date", file);
    return 0;
}

/* Every list in the file, or nothing. */
static int add_crls(X509_STORE *store, const char *file, struct err *err)
{
    STACK_OF(X509) *authorities = X509_STORE_get1_all_certs(store);
    BIO *bio = BIO_new_file(file, "r");
    int count = 0, result = 0;
    X509_CRL *crl;
    while (bio != NULL && result == 0 &&
           (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        result = check_crl(crl, authorities, file, err);
        if (result == 0 && X509_STORE_add_crl(store, crl) != 1)
            result = config_error(err, "the revocation list cannot be used", file);
        X509_CRL_free(crl);
        count++;
    }
    /* A file that ends, ends with this; anything else is a block that cannot be read. */
    bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    sk_X509_pop_free(authorities, X509_free);
    if (result == 0 && (count == 0 || !whole))
        result = config_error(err, "cannot read the certificate revocation list", file);
    ERR_clear_error();
    (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return result;
}

/* The client authorities stay those of the start: only the lists are read again. */
int tls_context_renew_crl(struct tls_context *context, const char *crl_file, struct err *err)
{
    STACK_OF(X509) *authorities = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(context->ssl));
    X509_STORE *store = X509_STORE_new();
    if (store == NULL || authorities == NULL)
        abort();
    for (int i = 0; i < sk_X509_num(authorities); i++)
        (void)X509_STORE_add_cert(store, sk_X509_value(authorities, i));
    sk_X509_pop_free(authorities, X509_free);
    if (add_crls(store, crl_file, err) < 0) {
        X509_STORE_free(store);
        return -1;
    }
    SSL_CTX_set_cert_store(context->ssl, store);
    return 0;
}

bool tls_peer_trusted(const struct tls_context *context, const SSL *ssl)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (check == NULL)
        abort();
    bool trusted = certificate != NULL &&
                   X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context->ssl), certificate,
                                       SSL_get_peer_cert_chain(ssl)) == 1 &&
                   X509_STORE_CTX_set_purpose(check, X509_PURPOSE_SSL_CLIENT) == 1 &&
                   X509_verify_cert(check) == 1;
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return trusted;
}

static int check_key_mode(const char *file, struct err *err)
{
    struct stat info;
    if (stat(file, &info) != 0)
        return err_set(err, ERR_INVALID_ARGUMENT, "TLS_CONFIG", "%s: cannot open the private key",
                       file);
    if ((info.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        return err_set(err, ERR_INVALID_ARGUMENT, "TLS_CONFIG",
                       "%s: the private key is open to others; chmod 0600 or 0640", file);
    return 0;
}

static int load_files(SSL_CTX *ssl, const struct tls_options *options, struct err *err)
{
    if (SSL_CTX_use_certificate_chain_file(ssl, options->certificate_file) != 1)
        return config_error(err, "cannot read the server certificate chain",
                            options->certificate_file);
    if (check_key_mode(options->key_file, err) < 0)
        return -1;
    if (SSL_CTX_use_PrivateKey_file(ssl, options->key_file, SSL_FILETYPE_PEM) != 1)
        return config_error(err, "cannot read the private key", options->key_file);
    if (SSL_CTX_check_private_key(ssl) != 1)
        return config_error(err, "the private key does not belong to the certificate",
                            options->key_file);
    if (SSL_CTX_load_verify_locations(ssl, options->client_ca_file, NULL) != 1)
        return config_error(err, "cannot read the client certificate authorities",
                            options->client_ca_file);
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->client_ca_file);
    if (names != NULL)
        SSL_CTX_set_client_CA_list(ssl, names);
    return options->crl_file != NULL ? add_crls(SSL_CTX_get_cert_store(ssl), options->crl_file, err)
                                     : 0;
}

struct tls_context *tls_context_new(const struct tls_options *options, struct err *err)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    if (ssl == NULL)
        abort();
    (void)SSL_CTX_set_min_proto_version(ssl,
                                        options->allow_tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
    (void)SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20");
    (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_num_tickets(ssl, 0);
    (void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(ssl, TLS_CHAIN_DEPTH_MAX);
    (void)SSL_CTX_set_purpose(ssl, X509_PURPOSE_SSL_CLIENT);
    SSL_CTX_set_alpn_select_cb(ssl, choose_alpn, NULL);
    if (load_files(ssl, options, err) < 0) {
        SSL_CTX_free(ssl);
        return NULL;
    }
    struct tls_context *context = mem_zero(sizeof *context);
    context->ssl = ssl;
    return context;
}

void tls_context_free(struct tls_context **context)
{
    if (*context == NULL)
        return;
    SSL_CTX_free((*context)->ssl);
    free(*context);
    *context = NULL;
}

SSL *tls_accept(struct tls_context *context, int fd)
{
    SSL *ssl = SSL_new(context->ssl);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
        abort();
    SSL_set_accept_state(ssl);
    return ssl;
}

static int64_t not_after_s(const X509 *certificate)
{
    struct tm utc;
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &utc) != 1)
        return 0;
    return (int64_t)timegm(&utc);
}

int64_t tls_own_not_after_s(const struct tls_context *context)
{
    return not_after_s(SSL_CTX_get0_certificate(context->ssl));
}

/* SPIFFE (X509-SVID 2): exactly one URI SAN; a certificate with several is no identity. */
static void read_uri(const X509 *certificate, char uri_r[TLS_URI_BYTES_MAX])
{
    uri_r[0] = '\0';
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int found = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        found++;
        const unsigned char *text = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
        int len = ASN1_STRING_length(name->d.uniformResourceIdentifier);
        if (len <= 0 || len >= TLS_URI_BYTES_MAX || memchr(text, 0, (size_t)len) != NULL)
            continue;
        memcpy(uri_r, text, (size_t)len);
        uri_r[len] = '\0';
    }
    if (found != 1)
        uri_r[0] = '\0';
    GENERAL_NAMES_free(names);
}

void tls_peer_of(const SSL *ssl, struct tls_peer *peer_r)
{
    *peer_r = (struct tls_peer){ .uri = "" };
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == NULL)
        return;
    read_uri(certificate, peer_r->uri);
    unsigned int len = TLS_FINGERPRINT_BYTES;
    (void)X509_digest(certificate, EVP_sha256(), peer_r->fingerprint, &len);
    peer_r->not_after_s = not_after_s(certificate);
}
