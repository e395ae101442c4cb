/* Private to rpc/: what server.c, call.c, framing.c and answer.c share.
 * Ownership: see call.h and server.h.
 * Callbacks: none of its own.
 * Limits: see server.h.
 * Not for other rooms. */
#ifndef SLUICE_RPC_INTERNAL_H
#define SLUICE_RPC_INTERNAL_H

#include "base/strmap.h"
#include "net/h2.h"
#include "rpc/call.h"
#include "rpc/server.h"
#include "schema/descriptor.h"

enum { RPC_ENVELOPE_BYTES = 5 }; /* before a message of gRPC and of Connect streams */

struct rpc_route {
    const struct rpc_method *method;
    const struct schema_method *types;
};

struct rpc_server {
    struct loop *loop;
    struct rpc_server_options options;
    struct h2_server *h2;
    struct strmap routes; /* path -> struct rpc_route */
    struct list calls;
    int call_count;
    size_t body_bytes; /* of request messages that are not complete yet */
    bool draining;
    struct rpc_stats stats;
};

/* request.c: what the headers say. */
/* 0 and call->protocol/json set; -1 when this is no RPC at all (an HTTP answer was sent). */
int rpc_request_accept(struct rpc_server *server, struct h2_stream *stream, struct call *call);
int rpc_request_deadline(struct call *call, struct err *err);
/* Adopts the trace id of a W3C traceparent header, if there is a valid one. */
void rpc_request_trace(struct call *call);
const struct rpc_route *rpc_route_of(const struct call *call);

/* framing.c: bytes to messages. */
size_t rpc_request_bytes_max(const struct call *call); /* the method's own limit, or the server's */
/* Takes the next whole message off call->body as protobuf bytes in `out`. 1 = a message, 0 = more
 * bytes needed, -1 = err. `end`: the peer sends no more. */
int rpc_next_message(struct call *call, bool end, struct buf *out, struct err *err);
/* Why `buf` took no more of a request: its ceiling, or no memory. Answers -1. */
int rpc_no_room(const struct call *call, const struct buf *buf, struct err *err);
/* Pre-scans and unpacks into the call's arena. */
ProtobufCMessage *rpc_unpack(struct call *call, const uint8_t *data, size_t len, struct err *err);

/* call.c */
void rpc_body_taken(struct call *call); /* its bytes no longer count as waiting */
struct call *call_new(struct rpc_server *server, struct h2_stream *stream);
void call_start(struct call *call);
void call_fail(struct call *call); /* call->err is set */
void call_peer_gone(struct call *call, bool delivered);

/* answer.c: messages to bytes. */
int rpc_write_message(struct call *call, const uint8_t *data, size_t len, struct err *err);
void rpc_write_end(struct call *call); /* by call->err */
void rpc_http_error(struct h2_stream *stream, const char *status, const char *text);

#endif
