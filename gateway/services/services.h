/* The list of all RPC methods this gateway serves; one file per service implements them.
 * Ownership: constants.
 * Callbacks: see struct rpc_method.
 * Limits: each service's own.
 * Adding a method = its file, one line in services.c, its proto. */
#ifndef SLUICE_SERVICES_SERVICES_H
#define SLUICE_SERVICES_SERVICES_H

#include "rpc/call.h"

/* NULL-terminated. */
extern const struct rpc_method *const services_methods[];

/* Serving status for grpc.health.v1: of everything ("") or of one service. */
struct gateway;
bool services_serving(const struct gateway *gateway);
/* Told when serving may have changed, so that watchers hear of it. */
void health_changed(struct gateway *gateway);

#endif
