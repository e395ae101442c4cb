/* Turns HTTP/2 streams into calls: protocol detection, framing, limits, dispatch by path.
 * Ownership: the server owns its calls and h2_server; the method table is borrowed and constant.
 * Callbacks: those of struct rpc_method.
 * Limits: request_bytes_max a message; content types and methods as the protocols say.
 * Does not authorise: methods do, by the identity that is set here from the certificate. */
#ifndef SLUICE_RPC_SERVER_H
#define SLUICE_RPC_SERVER_H

#include "rpc/call.h"

struct schema_set;
struct tls_context;

/* Requests and answers of all streams of a worker; design promise 5. Beyond it calls are refused.
 */
enum { RPC_BYTES_MAX = 64 * 1024 * 1024 };

struct rpc_server_options {
    const char *name; /* "systems" or "officers" */
    enum rpc_listener listener;
    const struct rpc_method *const *methods; /* NULL-terminated */
    void *context;
    const char *trust_domain;
    struct tls_context *tls;
    const struct schema_set *api_types; /* of the RPC messages */
    const struct schema_set *record_types;
    size_t request_bytes_max;
    int64_t deadline_default_ms;
    int64_t deadline_max_ms;
    int64_t stream_ms_max;
    int64_t connection_age_max_ms;
    int connections_max;
};

struct rpc_server *rpc_server_new(struct loop *loop, int listen_fd,
                                  const struct rpc_server_options *options);
void rpc_server_free(struct rpc_server **server);
/* Accepts nothing new; running calls finish. */
void rpc_server_drain(struct rpc_server *server);
bool rpc_server_draining(const struct rpc_server *server);
bool rpc_server_idle(const struct rpc_server *server); /* no connection left */
/* Ends every call whose method may no longer release (after a revocation or a lost lease). */
void rpc_server_sweep(struct rpc_server *server);
/* After a new revocation list: ends the calls of peers whose certificate is no longer good,
 * UNAUTHENTICATED/CERTIFICATE_REVOKED, and then their connections. */
void rpc_server_recheck(struct rpc_server *server);
/* Ends every running call: UNAVAILABLE, reason SHUTTING_DOWN. */
void rpc_server_end_calls(struct rpc_server *server);

struct rpc_stats {
    uint64_t calls_by_status[17];
    int calls;
    int connections;
};
void rpc_server_stats(const struct rpc_server *server, struct rpc_stats *stats_r);
const struct rpc_server_options *rpc_server_options_of(const struct rpc_server *server);

/* The RPC messages' own descriptors, compiled into the binary; loaded once, aborts when broken. */
const struct schema_set *rpc_api_types(void);

#endif
