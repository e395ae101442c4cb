/* Fuzzes who a certificate's URI name says its bearer is. What is accepted must be exactly the URI
 * that its parts make again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authz/identity.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_peer peer = { .not_after_s = 1 };
    struct identity identity;
    struct err err = ERR_INIT;
    size_t len = size < sizeof peer.uri ? size : sizeof peer.uri - 1;
    if (len > 0)
        memcpy(peer.uri, data, len);
    if (identity_from_peer("sluice.example", &peer, &identity, &err) < 0) {
        if (err.code != ERR_UNAUTHENTICATED || identity.kind != IDENTITY_NONE)
            abort();
        return 0;
    }
    char again[2 * TLS_URI_BYTES_MAX];
    (void)snprintf(again, sizeof again, "spiffe://sluice.example/dept/%s/%s/%s",
                   identity.department, identity.kind == IDENTITY_OFFICER ? "officer" : "system",
                   identity.name);
    if (strcmp(again, peer.uri) != 0 || strcmp(identity.subject, peer.uri) != 0)
        abort();
    return 0;
}
