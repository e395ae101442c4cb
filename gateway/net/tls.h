/* TLS for servers: TLS 1.3 (1.2 with AEAD suites by opt-in), client certificates required.
 * Ownership: a tls_context owns its OpenSSL context; connections hold a reference of OpenSSL's own.
 * Never calls back.
 * Limits: chain depth TLS_CHAIN_DEPTH_MAX; no session tickets, no session cache, no renegotiation:
 *   resumption would skip the chain and CRL checks.
 * Does not map certificates to permissions: that is authz/. */
#ifndef SLUICE_NET_TLS_H
#define SLUICE_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ssl_st SSL;
struct err;
struct tls_context;

enum { TLS_CHAIN_DEPTH_MAX = 4, TLS_URI_BYTES_MAX = 256, TLS_FINGERPRINT_BYTES = 32 };

struct tls_options {
    const char *certificate_file; /* PEM chain, leaf first */
    const char *key_file;         /* PEM; refused when others may read it */
    const char *client_ca_file;   /* PEM, the roots that sign clients */
    const char *crl_file;         /* PEM, NULL: no revocation list */
    bool allow_tls12;
};

/* Who a verified peer is. */
struct tls_peer {
    char uri[TLS_URI_BYTES_MAX]; /* the one URI SAN; "" when there is none or more than one */
    uint8_t fingerprint[TLS_FINGERPRINT_BYTES]; /* SHA-256 of the certificate, DER */
    int64_t not_after_s;                        /* Unix time */
};

/* NULL with INVALID_ARGUMENT/TLS_CONFIG and the file's name in the text. */
struct tls_context *tls_context_new(const struct tls_options *options, struct err *err);
/* Reads the revocation list again and puts it in the place of the one before, for handshakes from
 * now on. -1 with INVALID_ARGUMENT/TLS_CONFIG when it cannot be read, is not signed by one of the
 * client authorities or is out of date; the one before stays then. */
int tls_context_renew_crl(struct tls_context *context, const char *crl_file, struct err *err);
/* Whether a peer whose handshake was done would pass it now. */
bool tls_peer_trusted(const struct tls_context *context, const SSL *ssl);
void tls_context_free(struct tls_context **context);
/* A server-side SSL on `fd`, ready for SSL_do_handshake. */
SSL *tls_accept(struct tls_context *context, int fd);
/* Days until the server's own certificate ends, for metrics and doctor. */
int64_t tls_own_not_after_s(const struct tls_context *context);

void tls_peer_of(const SSL *ssl, struct tls_peer *peer_r);
/* The newest OpenSSL error as text, for err.detail; clears the queue. */
void tls_error_text(char *out, unsigned long size);

#endif
