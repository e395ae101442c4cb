/* Fuzzes rpc/: gRPC and Connect framing, JSON and protobuf, the pre-scan, time-outs and traces. The
 * first byte chooses the protocol and the method, the second the size of the pieces; a line of
 * text gives the time-out, one the trace, and the rest is the body. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/h2_internal.h"
#include "rpc/internal.h"
#include "services/services.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES_MAX = 64, HEADER_BYTES_MAX = 80 };

static struct rpc_server server;
static struct rpc_route *routes[128];
static size_t route_count;

static void add_route(const struct rpc_method *method)
{
    const struct schema_set *set = server.options.api_types;
    for (size_t s = 0; s < schema_set_service_count(set); s++) {
        const struct schema_service *service = schema_set_service(set, s);
        for (size_t m = 0; m < service->method_count; m++) {
            if (strcmp(service->methods[m].path, method->path) != 0)
                continue;
            struct rpc_route *route = mem_zero(sizeof *route);
            route->method = method;
            route->types = &service->methods[m];
            (void)strmap_set(&server.routes, method->path, route);
            routes[route_count++] = route;
        }
    }
}

static void start(void)
{
    server.loop = loop_new();
    server.options = (struct rpc_server_options){ .api_types = rpc_api_types(),
                                                  .request_bytes_max = 65536,
                                                  .deadline_default_ms = 1000,
                                                  .deadline_max_ms = 60000,
                                                  .stream_ms_max = 600000 };
    strmap_init(&server.routes);
    for (const struct rpc_method *const *m = services_methods; *m != NULL; m++)
        add_route(*m);
}

/* A header value up to the next line end. */
static size_t take_line(const uint8_t *data, size_t size, char out[HEADER_BYTES_MAX])
{
    const uint8_t *end = memchr(data, '\n', size);
    size_t len = end != NULL ? (size_t)(end - data) : 0;
    if (len >= HEADER_BYTES_MAX)
        len = HEADER_BYTES_MAX - 1;
    memcpy(out, data, len);
    out[len] = '\0';
    return end != NULL ? (size_t)(end - data) + 1 : 0;
}

static void check_headers(struct call *call)
{
    struct err err = ERR_INIT;
    if (rpc_request_deadline(call, &err) == 0) {
        if (call->deadline_us < call->started_us ||
            call->deadline_us - call->started_us > 600000LL * 1000)
            abort();
    } else if (err.code != ERR_INVALID_ARGUMENT) {
        abort();
    }
    rpc_request_trace(call);
    if (call->trace_id[0] != '\0' && strlen(call->trace_id) != 32)
        abort();
}

/* As server.c does it: whole messages are taken off as bytes come. */
static void take_messages(struct call *call, bool end)
{
    struct buf message;
    struct err err = ERR_INIT;
    buf_init(&message, server.options.request_bytes_max);
    for (int i = 0; i < MESSAGES_MAX; i++) {
        size_t before = call->body.len;
        int result = rpc_next_message(call, end, &message, &err);
        if (result < 0 && err.code == ERR_OK)
            abort();
        if (result <= 0)
            break;
        if (call->body.len >= before && before > 0)
            abort();
        if (rpc_unpack(call, message.data, message.len, &err) == NULL && err.code == ERR_OK)
            abort();
        if (before == 0)
            break; /* an empty Connect body is one empty message, and another, and another */
    }
    buf_fini(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (route_count == 0)
        start();
    if (size < 2)
        return 0;
    char timeout[HEADER_BYTES_MAX], trace[HEADER_BYTES_MAX];
    size_t at = 2;
    at += take_line(data + at, size - at, timeout);
    at += take_line(data + at, size - at, trace);
    struct rpc_route *route = routes[(data[0] >> 3) % route_count];
    bool grpc = data[0] % 3 == CALL_GRPC;
    struct h2_header headers[] = { { grpc ? "grpc-timeout" : "connect-timeout-ms", timeout },
                                   { "traceparent", trace } };
    struct h2_stream stream = { .path = route->method->path,
                                .headers = headers,
                                .header_count = 2 };
    struct call call = { .server = &server,
                         .stream = &stream,
                         .method = route->method,
                         .protocol = (enum call_protocol)(data[0] % 3),
                         .json = !grpc && (data[0] & 4) != 0 };
    arena_init(&call.arena);
    buf_init(&call.body, server.options.request_bytes_max + 5 + H2_WINDOW_STREAM_BYTES);
    loop_timer_init(&call.deadline, server.loop, NULL, NULL);
    check_headers(&call);
    size_t piece = data[1] > 0 ? data[1] : size;
    for (; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        if (buf_append(&call.body, data + at, len) < 0)
            break;
        take_messages(&call, false);
    }
    take_messages(&call, true);
    loop_timer_fini(&call.deadline);
    buf_fini(&call.body);
    arena_fini(&call.arena);
    return 0;
}
