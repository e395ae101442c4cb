/* Certificates on disk and from the wire: whose they are and how long they last.
 * Owns nothing; output goes to the caller's memory.
 * Never calls back.
 * Limits: the first certificate of a file; a URI of at most IDENTITY_URI_BYTES.
 * Does not verify a chain: that is the TLS connection's work. */
#ifndef SLUICE_CLI_IDENTITY_H
#define SLUICE_CLI_IDENTITY_H

#include <stdbool.h>

enum { IDENTITY_URI_BYTES = 512, IDENTITY_TIME_BYTES = 32 };

struct identity {
    char uri[IDENTITY_URI_BYTES]; /* first URI SAN, "" when there is none */
    long long not_before;         /* seconds since 1970 */
    long long not_after;
};

/* From a PEM file or PEM text. False when it holds no certificate. */
bool identity_from_file(const char *path, struct identity *identity_r);
bool identity_from_pem(const char *pem, struct identity *identity_r);

/* True when the private key in `key_path` belongs to the certificate in `cert_path`. */
bool identity_key_matches(const char *cert_path, const char *key_path);

/* "2027-01-31T00:00:00Z" */
void identity_time(long long seconds, char text_r[IDENTITY_TIME_BYTES]);

#endif
