#include "rpc/server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/internal.h"

/* --- the method table ------------------------------------------------------------------------ */

static const struct schema_method *find_types(const struct schema_set *set, const char *path)
{
    for (size_t s = 0; s < schema_set_service_count(set); s++) {
        const struct schema_service *service = schema_set_service(set, s);
        for (size_t m = 0; m < service->method_count; m++)
            if (strcmp(service->methods[m].path, path) == 0)
                return &service->methods[m];
    }
    return NULL;
}

static void add_routes(struct rpc_server *server)
{
    strmap_init(&server->routes);
    for (const struct rpc_method *const *method = server->options.methods; *method != NULL;
         method++) {
        if (((*method)->listeners & server->options.listener) == 0)
            continue;
        struct rpc_route *route = mem_zero(sizeof *route);
        route->method = *method;
        route->types = find_types(server->options.api_types, (*method)->path);
        assert(route->types != NULL);
        (void)strmap_set(&server->routes, (*method)->path, route);
    }
}

/* --- requests -------------------------------------------------------------------------------- */

static int check_identity(struct call *call)
{
    const struct rpc_server_options *options = &call->server->options;
    if (identity_from_peer(options->trust_domain, h2_stream_peer(call->stream), &call->identity,
                           &call->err) < 0)
        return call->method->anonymous ? 0 : -1;
    (void)snprintf(call->identity.address, sizeof call->identity.address, "%s",
                   h2_stream_address(call->stream));
    bool officer = call->identity.kind == IDENTITY_OFFICER;
    if (officer != (options->listener == RPC_OFFICERS) && !call->method->anonymous)
        return err_set(&call->err, ERR_PERMISSION_DENIED, "WRONG_PORT",
                       officer ? "officers use the officers' port"
                               : "systems use the systems' port");
    return 0;
}

static int check_memory(struct call *call)
{
    if (h2_bytes_held() + call->server->body_bytes <= RPC_BYTES_MAX)
        return 0;
    return err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "WORKER_MEMORY",
                   "this gateway process holds as many unread answers as it may; read them, or try "
                   "again");
}

static int prepare(struct call *call)
{
    struct h2_stream *stream = call->stream;
    if (h2_stream_headers_too_large(stream))
        return err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "METADATA_TOO_LARGE",
                       "the request's metadata exceed %d bytes or %d fields", H2_HEADER_LIST_BYTES,
                       H2_HEADERS_MAX);
    const struct rpc_route *route = rpc_route_of(call);
    if (route == NULL)
        return err_set(&call->err, ERR_UNIMPLEMENTED, "METHOD_UNKNOWN",
                       "this port has no method of that name");
    call->method = route->method;
    call->log.method = call->method->path;
    /* From here on a refusal has its entry: the method's hooks find their state. */
    call->state = arena_alloc(&call->arena, call->method->state_size);
    rpc_request_trace(call);
    if ((call->protocol == CALL_CONNECT_UNARY) != (call->method->kind == RPC_UNARY) &&
        call->protocol != CALL_GRPC)
        return err_set(&call->err, ERR_INVALID_ARGUMENT, "CONTENT_TYPE",
                       "unary methods take application/json or application/proto, streaming ones "
                       "application/connect+json or application/connect+proto");
    const char *encoding =
        h2_stream_header(stream, call->protocol == CALL_GRPC ? "grpc-encoding"
                                                             : (call->protocol == CALL_CONNECT_UNARY
                                                                    ? "content-encoding"
                                                                    : "connect-content-encoding"));
    if (encoding != NULL && strcmp(encoding, "identity") != 0)
        return err_set(&call->err, ERR_UNIMPLEMENTED, "ENCODING_UNSUPPORTED",
                       "the message encoding is not supported; send identity");
    if (check_memory(call) < 0)
        return -1;
    return rpc_request_deadline(call, &call->err);
}

static void on_request(void *arg, struct h2_stream *stream)
{
    struct rpc_server *server = arg;
    struct call *call = call_new(server, stream);
    if (rpc_request_accept(server, stream, call) < 0) {
        h2_stream_set_data(stream, NULL);
        call->stream = NULL;
        call_peer_gone(call, true);
        return;
    }
    if (prepare(call) < 0 || check_identity(call) < 0) {
        call_fail(call);
        return;
    }
    if (server->draining && call->method->kind != RPC_UNARY) {
        (void)err_set(&call->err, ERR_UNAVAILABLE, "SHUTTING_DOWN",
                      "this gateway process is going away; connect again");
        call_fail(call);
        return;
    }
    call->body.max = rpc_request_bytes_max(call) + RPC_ENVELOPE_BYTES + H2_WINDOW_STREAM_BYTES;
    /* Client streams begin to run at once, their messages come while they do. */
    if (call->method->kind == RPC_CLIENT_STREAM || call->method->kind == RPC_BIDI_STREAM)
        call_start(call);
}

/* One request message, then the steps. */
static void take_single(struct call *call)
{
    struct buf message;
    buf_init_large(&message, rpc_request_bytes_max(call));
    int result = rpc_next_message(call, call->half_closed, &message, &call->err);
    if (result > 0 && call->half_closed && call->body.len > 0)
        result = err_set(&call->err, ERR_INVALID_ARGUMENT, "MESSAGE_TRAILING",
                         "this method takes exactly one request message");
    if (result == 0 && call->half_closed)
        result = err_set(&call->err, ERR_INVALID_ARGUMENT, "MESSAGE_MISSING",
                         "the request has no message");
    if (result > 0) {
        call->request = rpc_unpack(call, message.data, message.len, &call->err);
        result = call->request != NULL ? 1 : -1;
    }
    buf_fini(&message);
    if (result < 0)
        call_fail(call);
    else if (result > 0)
        call_start(call);
}

static void take_many(struct call *call)
{
    struct buf message;
    buf_init_large(&message, rpc_request_bytes_max(call));
    while (call->phase == CALL_RUNNING) {
        int result = rpc_next_message(call, call->half_closed, &message, &call->err);
        if (result == 0)
            break;
        ProtobufCMessage *unpacked =
            result > 0 ? rpc_unpack(call, message.data, message.len, &call->err) : NULL;
        if (unpacked == NULL || call->method->message(call, unpacked) == STEP_FAIL) {
            call_fail(call);
            break;
        }
    }
    buf_fini(&message);
    if (call->phase == CALL_RUNNING && call->half_closed)
        call_resume(call);
}

static void take_messages(struct call *call)
{
    if (call->method->kind == RPC_CLIENT_STREAM || call->method->kind == RPC_BIDI_STREAM)
        take_many(call);
    else if (call->phase == CALL_RECEIVING && call->half_closed)
        take_single(call);
    else if (call->phase == CALL_RECEIVING &&
             call->body.len > rpc_request_bytes_max(call) + RPC_ENVELOPE_BYTES) {
        (void)err_set(&call->err, ERR_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                      "a request message may have at most %zu bytes", rpc_request_bytes_max(call));
        call_fail(call);
    }
}

static void on_data(void *arg, struct h2_stream *stream, const uint8_t *data, size_t len)
{
    (void)arg;
    struct call *call = h2_stream_data(stream);
    if (call == NULL || call->phase > CALL_RUNNING) {
        h2_stream_consumed(stream, len); /* let the peer finish sending what nobody reads */
        return;
    }
    if (buf_append(&call->body, data, len) < 0) {
        (void)rpc_no_room(call, &call->body, &call->err);
        call_fail(call);
        return;
    }
    call->server->body_bytes += len;
    call->body_accounted += len;
    h2_stream_consumed(stream, len);
    if (check_memory(call) < 0)
        call_fail(call);
    else
        take_messages(call);
    if (call->phase != CALL_RECEIVING)
        rpc_body_taken(call);
}

static void on_end(void *arg, struct h2_stream *stream)
{
    (void)arg;
    struct call *call = h2_stream_data(stream);
    if (call == NULL || call->phase > CALL_RUNNING)
        return;
    call->half_closed = true;
    take_messages(call);
    rpc_body_taken(call);
}

static void on_writable(void *arg, struct h2_stream *stream)
{
    (void)arg;
    struct call *call = h2_stream_data(stream);
    if (call != NULL && call->phase == CALL_RUNNING && call->method->writable != NULL)
        call->method->writable(call);
}

/* A refusal carries no record, so it may always leave. */
static bool may_release(const struct call *call, struct err *why)
{
    return call->err.code != ERR_OK || call->method == NULL || call->state == NULL ||
           call->method->may_release == NULL || call->method->may_release(call, why);
}

static bool on_gate(void *arg, struct h2_stream *stream)
{
    (void)arg;
    const struct call *call = h2_stream_data(stream);
    return call == NULL || may_release(call, NULL);
}

static void end_unless_released(struct call *call)
{
    struct err why = ERR_INIT;
    if (!may_release(call, &why))
        call_cancel(call, why.code, why.reason, why.text);
}

static void on_gated(void *arg, struct h2_stream *stream)
{
    (void)arg;
    struct call *call = h2_stream_data(stream);
    if (call != NULL)
        end_unless_released(call);
}

static void on_closed(void *arg, struct h2_stream *stream, bool sent_all, uint32_t error_code)
{
    (void)arg;
    struct call *call = h2_stream_data(stream);
    if (call != NULL)
        call_peer_gone(call, sent_all && error_code == 0);
}

static const struct h2_handlers handlers = {
    .request = on_request,
    .data = on_data,
    .end = on_end,
    .writable = on_writable,
    .gate = on_gate,
    .gated = on_gated,
    .closed = on_closed,
};

/* --- the server ------------------------------------------------------------------------------ */

struct rpc_server *rpc_server_new(struct loop *loop, int listen_fd,
                                  const struct rpc_server_options *options)
{
    struct rpc_server *server = mem_zero(sizeof *server);
    server->loop = loop;
    server->options = *options;
    list_init(&server->calls);
    add_routes(server);
    struct h2_server_options h2_options = { .name = options->name,
                                            .tls = options->tls,
                                            .connection_age_max_ms = options->connection_age_max_ms,
                                            .connections_max = options->connections_max };
    server->h2 = h2_server_new(loop, listen_fd, &h2_options, &handlers, server);
    return server;
}

void rpc_server_free(struct rpc_server **server_ref)
{
    struct rpc_server *server = *server_ref;
    if (server == NULL)
        return;
    *server_ref = NULL;
    h2_server_free(&server->h2);
    size_t pos = 0;
    const char *path;
    void *route;
    while (strmap_next(&server->routes, &pos, &path, &route))
        free(route);
    strmap_fini(&server->routes);
    loop_free_later(server->loop, server);
}

void rpc_server_drain(struct rpc_server *server)
{
    server->draining = true;
    h2_server_drain(server->h2);
}

bool rpc_server_draining(const struct rpc_server *server)
{
    return server->draining;
}

bool rpc_server_idle(const struct rpc_server *server)
{
    return h2_server_connections(server->h2) == 0 && server->call_count == 0;
}

void rpc_server_sweep(struct rpc_server *server)
{
    list_for_each(link, &server->calls)
    {
        struct call *call = list_item(link, struct call, link);
        if (call->phase == CALL_RUNNING || call->phase == CALL_ANSWERED)
            end_unless_released(call);
    }
}

void rpc_server_recheck(struct rpc_server *server)
{
    h2_server_recheck(server->h2);
    list_for_each(link, &server->calls)
    {
        struct call *call = list_item(link, struct call, link);
        if (call->stream != NULL && h2_stream_distrusted(call->stream) &&
            (call->phase == CALL_RUNNING || call->phase == CALL_ANSWERED))
            call_cancel(call, ERR_UNAUTHENTICATED, "CERTIFICATE_REVOKED",
                        "the client certificate was revoked; ask for a new one");
    }
}

void rpc_server_end_calls(struct rpc_server *server)
{
    list_for_each(link, &server->calls)
    {
        struct call *call = list_item(link, struct call, link);
        if (call->phase == CALL_RUNNING)
            call_cancel(call, ERR_UNAVAILABLE, "SHUTTING_DOWN",
                        "this gateway process is going away; connect again");
    }
}

void rpc_server_stats(const struct rpc_server *server, struct rpc_stats *stats_r)
{
    *stats_r = server->stats;
    stats_r->calls = server->call_count;
    stats_r->connections = h2_server_connections(server->h2);
}

const struct rpc_server_options *rpc_server_options_of(const struct rpc_server *server)
{
    return &server->options;
}
