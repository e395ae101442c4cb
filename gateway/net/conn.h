/* One accepted TLS connection: handshake, then bytes in and out, all non-blocking.
 * Ownership: the conn takes the descriptor; the owner frees it with conn_free, never during its
 *   callback's caller: memory dies at the end of the turn.
 * Callbacks: `ready` once after the handshake, `readable` and `writable` while wanted, `closed`
 *   once.
 * Limits: CONN_HANDSHAKE_MS for the handshake; SO_SNDBUF is bounded, since what the kernel holds
 *   cannot be recalled.
 * Does not speak HTTP. */
#ifndef SLUICE_NET_CONN_H
#define SLUICE_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/tls.h"

struct conn;
struct err;
struct loop;

enum {
    CONN_HANDSHAKE_MS = 10000, /* a slow link needs three round trips, not ten seconds */
    CONN_LINGER_MS = 1000,     /* a closed connection's last words are read within a round trip */
    CONN_LINGER_BYTES_MAX = 1048576, /* and a peer that only talks is not listened to for long */
    CONN_LINGERING_MAX = 1024,
    CONN_SNDBUF_BYTES = 65536, /* Linux doubles it: 128 KiB that a revocation cannot call back */
};

struct conn_handlers {
    void (*ready)(void *arg);
    void (*readable)(void *arg);
    void (*writable)(void *arg);
    void (*closed)(void *arg, const struct err *why); /* the owner frees the conn */
};

struct conn *conn_accept(struct loop *loop, struct tls_context *tls, int fd,
                         const struct conn_handlers *handlers, void *arg);
void conn_free(struct conn **conn);

/* Bytes read, 0 when none are there now, -1 when the connection ended (`closed` follows). */
ssize_t conn_read(struct conn *conn, void *out, size_t size);
/* Bytes taken by TLS, 0 when it must wait (`writable` follows), -1 when the connection ended. */
ssize_t conn_write(struct conn *conn, const void *data, size_t len);
/* Stops or resumes `readable`. */
void conn_want_read(struct conn *conn, bool want);
/* Closed connections whose peers may still be reading: a process waits for them before it exits. */
int conn_lingering(void);
/* False when the handshake is done and the peer would not pass it now (its certificate is revoked). */
bool conn_peer_trusted(const struct conn *conn, const struct tls_context *tls);
const struct tls_peer *conn_peer(const struct conn *conn); /* valid after `ready` */
const char *conn_address(const struct conn *conn);         /* "127.0.0.1:51234" */

#endif
