/* Prometheus text (exposition format 0.0.4) of one process.
 * Owns nothing.
 * Never calls back. Bounded by the caller's buffer.
 * Does not listen: ops.h does. */
#ifndef SLUICE_DAEMON_METRICS_H
#define SLUICE_DAEMON_METRICS_H

#include "audit/appender.h"
#include "base/buf.h"
#include "rpc/server.h"
#include "services/gateway.h"

/* `labels` such as `process="worker",slot="0"`. */
void metrics_of_worker(struct buf *out, const char *labels, const struct gateway *gateway,
                       const struct rpc_server *systems, const struct rpc_server *officers);
/* Orders the lines of several processes by metric and says each metric's type once. */
void metrics_render(const struct buf *lines, struct buf *out);
void metrics_of_auditor(struct buf *out, const char *labels, const struct audit_appender *appender);

#endif
