/* What a request's headers say: which protocol, which method, how long. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/internal.h"

struct content_type {
    const char *name;
    enum call_protocol protocol;
    bool json;
};

static const struct content_type content_types[] = {
    { "application/grpc", CALL_GRPC, false },
    { "application/grpc+proto", CALL_GRPC, false },
    { "application/proto", CALL_CONNECT_UNARY, false },
    { "application/json", CALL_CONNECT_UNARY, true },
    { "application/json; charset=utf-8", CALL_CONNECT_UNARY, true },
    { "application/connect+proto", CALL_CONNECT_STREAM, false },
    { "application/connect+json", CALL_CONNECT_STREAM, true },
};

/* A browser presents the officer's certificate on cross-site requests too, so a request that says
 * where it comes from must come from this very origin. */
static bool same_origin(const struct h2_stream *stream)
{
    const char *site = h2_stream_header(stream, "sec-fetch-site");
    if (site != NULL && strcmp(site, "same-origin") != 0)
        return false;
    const char *origin = h2_stream_header(stream, "origin");
    if (origin == NULL)
        return true;
    const char *authority = h2_stream_header(stream, ":authority");
    static const char scheme[] = "https://";
    return authority != NULL && strncmp(origin, scheme, sizeof scheme - 1) == 0 &&
           strcmp(origin + sizeof scheme - 1, authority) == 0;
}

int rpc_request_accept(struct rpc_server *server, struct h2_stream *stream, struct call *call)
{
    if (strcmp(h2_stream_method(stream), "POST") != 0) {
        rpc_http_error(stream, "405", "RPCs are POST requests\n");
        return -1;
    }
    const char *type = h2_stream_header(stream, "content-type");
    const struct content_type *found = NULL;
    for (size_t i = 0; type != NULL && i < sizeof content_types / sizeof content_types[0]; i++)
        if (strcasecmp(type, content_types[i].name) == 0)
            found = &content_types[i];
    if (found == NULL) {
        rpc_http_error(stream, "415",
                       "use application/grpc, application/proto, application/json, "
                       "application/connect+proto or application/connect+json\n");
        return -1;
    }
    if (server->options.listener == RPC_OFFICERS && !same_origin(stream)) {
        rpc_http_error(stream, "403", "requests from other web origins are refused\n");
        return -1;
    }
    call->protocol = found->protocol;
    call->json = found->json;
    return 0;
}

const struct rpc_route *rpc_route_of(const struct call *call)
{
    return strmap_get(&call->server->routes, h2_stream_path(call->stream));
}

/* grpc-timeout: 1 to 8 digits and a unit (gRPC over HTTP/2, Timeout). */
static int parse_grpc_timeout(const char *text, int64_t *timeout_us_r)
{
    static const struct {
        char unit;
        int64_t multiply;
        int64_t divide;
    } units[] = {
        { 'H', 3600000000, 1 }, { 'M', 60000000, 1 }, { 'S', 1000000, 1 },
        { 'm', 1000, 1 },       { 'u', 1, 1 },        { 'n', 1, 1000 },
    };
    int64_t value = 0;
    size_t digits = 0;
    while (digits < 8 && isdigit((unsigned char)text[digits]))
        value = value * 10 + (text[digits++] - '0');
    if (digits == 0 || text[digits] == '\0' || text[digits + 1] != '\0')
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].unit == text[digits]) {
            *timeout_us_r = value * units[i].multiply / units[i].divide;
            return 0;
        }
    }
    return -1;
}

static int parse_connect_timeout(const char *text, int64_t *timeout_us_r)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10 || text[digits] != '\0')
        return -1;
    *timeout_us_r = strtoll(text, NULL, 10) * 1000;
    return 0;
}

int rpc_request_deadline(struct call *call, struct err *err)
{
    const struct rpc_server_options *options = &call->server->options;
    bool stream = call->method->kind != RPC_UNARY;
    int64_t limit_us = (stream ? options->stream_ms_max : options->deadline_max_ms) * 1000;
    int64_t timeout_us = stream ? limit_us : options->deadline_default_ms * 1000;
    const char *name = call->protocol == CALL_GRPC ? "grpc-timeout" : "connect-timeout-ms";
    const char *text = h2_stream_header(call->stream, name);
    if (text != NULL) {
        int result = call->protocol == CALL_GRPC ? parse_grpc_timeout(text, &timeout_us)
                                                 : parse_connect_timeout(text, &timeout_us);
        if (result < 0)
            return err_set(err, ERR_INVALID_ARGUMENT, "TIMEOUT_INVALID",
                           "the header %s is not a time-out", name);
    }
    call->own_time_limit = stream && timeout_us >= limit_us;
    if (timeout_us > limit_us)
        timeout_us = limit_us;
    call->deadline_us = call->started_us + timeout_us;
    loop_timer_start_us(&call->deadline, timeout_us);
    return 0;
}

/* traceparent: version "-" trace-id "-" parent-id "-" flags (https://www.w3.org/TR/trace-context/).
 */
void rpc_request_trace(struct call *call)
{
    enum { VERSION = 2, TRACE = 32, PARENT = 16, FLAGS = 2 };
    const char *text = h2_stream_header(call->stream, "traceparent");
    if (text == NULL || strlen(text) != VERSION + 1 + TRACE + 1 + PARENT + 1 + FLAGS)
        return;
    const char *trace = text + VERSION + 1;
    if (trace[-1] != '-' || trace[TRACE] != '-' ||
        strspn(trace, "0123456789abcdef") != (size_t)TRACE || strspn(trace, "0") >= (size_t)TRACE)
        return;
    memcpy(call->trace_id, trace, TRACE);
    call->trace_id[TRACE] = '\0';
}
