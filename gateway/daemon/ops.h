/* The ops listener: /healthz, /readyz and /metrics over plain HTTP/1.1 on loopback (libevent's
 *   evhttp).
 * Ownership: the worker of slot 0 owns it; the listening socket is inherited.
 * Callbacks: `collect` for each request, on the loop.
 * Limits: requests of OPS_REQUEST_BYTES_MAX; only GET. Shows counters and states, never data,
 *   subjects or SQL. */
#ifndef SLUICE_DAEMON_OPS_H
#define SLUICE_DAEMON_OPS_H

#include <stdbool.h>

#include "base/buf.h"

struct loop;
struct ops;

struct ops_handlers {
    /* Appends Prometheus text of all processes. */
    void (*metrics)(void *arg, struct buf *out);
    /* Appends a JSON object; answers whether everything is ready. */
    bool (*readiness)(void *arg, struct buf *out);
};

struct ops *ops_new(struct loop *loop, int listen_fd, const struct ops_handlers *handlers,
                    void *arg);
void ops_free(struct ops **ops);

#endif
