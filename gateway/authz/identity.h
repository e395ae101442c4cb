/* Who a caller is: the SPIFFE id in the URI SAN of its verified certificate.
 * Ownership: plain values, copied.
 * Never calls back.
 * Limits: names are lower-case letters, digits, '-' and '.', at most 63 characters.
 * Does not know whether the department is registered: authz.h does. */
#ifndef SLUICE_AUTHZ_IDENTITY_H
#define SLUICE_AUTHZ_IDENTITY_H

#include <stdint.h>

#include "net/tls.h"

struct err;

enum { IDENTITY_NAME_BYTES = 64, IDENTITY_ADDRESS_BYTES = 56 };
enum identity_kind { IDENTITY_NONE, IDENTITY_SYSTEM, IDENTITY_OFFICER };

struct identity {
    enum identity_kind kind;
    char subject[TLS_URI_BYTES_MAX]; /* the whole SPIFFE id */
    char department[IDENTITY_NAME_BYTES];
    char name[IDENTITY_NAME_BYTES];
    uint8_t credential[TLS_FINGERPRINT_BYTES];
    char address[IDENTITY_ADDRESS_BYTES]; /* the connection's, as net/conn.h writes it */
};

/* spiffe://<trust-domain>/dept/<department>/system/<name> or …/officer/<name>.
 * UNAUTHENTICATED with reason IDENTITY_MISSING, IDENTITY_TRUST_DOMAIN or IDENTITY_INVALID. */
int identity_from_peer(const char *trust_domain, const struct tls_peer *peer,
                       struct identity *identity_r, struct err *err);

#endif
