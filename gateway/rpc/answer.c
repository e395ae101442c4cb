/* Messages and outcomes to bytes, as gRPC and Connect want them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "rpc/internal.h"
#include "schema/json.h"

enum {
    ANSWER_HEADERS_MAX = 9 + CALL_TRAILERS_MAX,
    ANSWER_JSON_BYTES_MAX = 64 * 1024 * 1024, /* a JSON answer is built whole before it leaves */
    CONNECT_END_STREAM = 2,
    ENVELOPE_BYTES = 5,
};

static const char type_url_prefix[] = "type.googleapis.com/";
static const char error_domain[] = "sluice";

/* --- google.rpc.Status --------------------------------------------------------------------------
 */

/* ErrorInfo serialised in the call's arena. */
static ProtobufCBinaryData pack_error_info(struct call *call)
{
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    info.reason = (char *)call->err.reason;
    info.domain = (char *)error_domain;
    ProtobufCBinaryData bytes = { .len = google__rpc__error_info__get_packed_size(&info) };
    bytes.data = arena_alloc(&call->arena, bytes.len);
    (void)google__rpc__error_info__pack(&info, bytes.data);
    return bytes;
}

/* When the same call may succeed; empty when nobody knows. */
static ProtobufCBinaryData pack_retry_info(struct call *call)
{
    Google__Rpc__RetryInfo info = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    if (call->err.retry_after_ms <= 0)
        return (ProtobufCBinaryData){ .len = 0 };
    delay.seconds = call->err.retry_after_ms / 1000;
    delay.nanos = (int32_t)(call->err.retry_after_ms % 1000) * 1000000;
    info.retry_delay = &delay;
    ProtobufCBinaryData bytes = { .len = google__rpc__retry_info__get_packed_size(&info) };
    bytes.data = arena_alloc(&call->arena, bytes.len);
    (void)google__rpc__retry_info__pack(&info, bytes.data);
    return bytes;
}

static char *status_details(struct call *call)
{
    Google__Protobuf__Any info = GOOGLE__PROTOBUF__ANY__INIT, retry = GOOGLE__PROTOBUF__ANY__INIT;
    Google__Protobuf__Any *details[] = { &info, &retry };
    info.type_url = arena_format(&call->arena, "%sgoogle.rpc.ErrorInfo", type_url_prefix);
    info.value = pack_error_info(call);
    retry.type_url = arena_format(&call->arena, "%sgoogle.rpc.RetryInfo", type_url_prefix);
    retry.value = pack_retry_info(call);
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    status.code = err_grpc_status(call->err.code);
    status.message = call->err.text;
    status.n_details = retry.value.len > 0 ? 2 : 1;
    status.details = details;
    size_t len = google__rpc__status__get_packed_size(&status);
    uint8_t *bytes = arena_alloc(&call->arena, len);
    (void)google__rpc__status__pack(&status, bytes);
    char *text = arena_alloc(&call->arena, base64_size(len));
    (void)base64_encode_unpadded(bytes, len, text);
    return text;
}

/* grpc-message: percent-encoding of everything but printable ASCII without '%'. */
static char *percent_encode(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, strlen(text) * 3 + 1);
    char *p = out;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c >= 0x20 && *c <= 0x7E && *c != '%')
            *p++ = (char)*c;
        else
            p += snprintf(p, 4, "%%%02X", *c);
    }
    return out;
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void append_json_string(struct buf *out, const char *text)
{
    (void)buf_append_byte(out, '"');
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            (void)buf_append_format(out, "\\%c", *c);
        else if (*c < 0x20)
            (void)buf_append_format(out, "\\u%04x", *c);
        else
            (void)buf_append_byte(out, *c);
    }
    (void)buf_append_byte(out, '"');
}

/* {"type":…,"value":… without the closing bracket. */
static void append_detail_json(struct call *call, const char *type, ProtobufCBinaryData value,
                               struct buf *out)
{
    char *encoded = arena_alloc(&call->arena, base64_size(value.len));
    (void)base64_encode_unpadded(value.data, value.len, encoded);
    (void)buf_append_format(out, "{\"type\":\"%s\",\"value\":\"%s\"", type, encoded);
}

/* {"code":…,"message":…,"details":[…]} (Connect protocol, Error). */
static void append_error_json(struct call *call, struct buf *out)
{
    ProtobufCBinaryData retry = pack_retry_info(call);
    (void)buf_append_format(out, "{\"code\":\"%s\",\"message\":", err_connect_code(call->err.code));
    append_json_string(out, call->err.text);
    (void)buf_append_str(out, ",\"details\":[");
    append_detail_json(call, "google.rpc.ErrorInfo", pack_error_info(call), out);
    (void)buf_append_str(out, ",\"debug\":{\"reason\":");
    append_json_string(out, call->err.reason);
    (void)buf_append_format(out, ",\"domain\":\"%s\"}}", error_domain);
    if (retry.len > 0) {
        (void)buf_append_byte(out, ',');
        append_detail_json(call, "google.rpc.RetryInfo", retry, out);
        (void)buf_append_byte(out, '}');
    }
    (void)buf_append_str(out, "]}");
}

static int to_json(struct call *call, const uint8_t *data, size_t len, struct buf *out,
                   struct err *err)
{
    const struct schema_set *sets[] = { call->server->options.api_types,
                                        call->server->options.record_types };
    struct schema_json_options options = { .sets = sets, .set_count = sets[1] != NULL ? 2 : 1 };
    return schema_json_encode(&options, rpc_route_of(call)->types->output, data, len, out, err);
}

/* --- headers --------------------------------------------------------------------------------- */

struct header_list {
    struct h2_header items[ANSWER_HEADERS_MAX];
    size_t count;
};

static void add(struct header_list *list, const char *name, const char *value)
{
    list->items[list->count++] = (struct h2_header){ .name = name, .value = value };
}

static const char *content_type_of(const struct call *call)
{
    switch (call->protocol) {
    case CALL_GRPC:
        return "application/grpc+proto";
    case CALL_CONNECT_UNARY:
        return call->json ? "application/json" : "application/proto";
    case CALL_CONNECT_STREAM:
        return call->json ? "application/connect+json" : "application/connect+proto";
    }
    return "";
}

/* RFC 9110 6.6.1 wants a Date of every server that has a clock; gRPC's clients read none and would
 * pay its bytes in each answer. */
static const char *date_of(struct call *call)
{
    char text[CLOCK_TEXT_BYTES];
    clock_format_http(clock_wall_us(), text);
    return arena_strdup(&call->arena, text);
}

static void start_headers(struct call *call, struct header_list *list, const char *status)
{
    list->count = 0;
    add(list, ":status", status);
    add(list, "content-type", content_type_of(call));
    add(list, "cache-control", "no-store");
    if (call->protocol != CALL_GRPC)
        add(list, "date", date_of(call));
    if (call->protocol == CALL_GRPC)
        add(list, "grpc-accept-encoding", "identity");
    else if (call->protocol == CALL_CONNECT_STREAM)
        add(list, "connect-accept-encoding", "identity");
}

static void begin_stream_answer(struct call *call)
{
    if (call->headers_sent)
        return;
    call->headers_sent = true;
    struct header_list list;
    start_headers(call, &list, "200");
    h2_stream_respond(call->stream, list.items, list.count);
}

static void write_envelope(struct call *call, uint8_t flags, const uint8_t *data, size_t len)
{
    uint8_t head[ENVELOPE_BYTES] = { flags, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                     (uint8_t)(len >> 8), (uint8_t)len };
    h2_stream_write(call->stream, head, sizeof head);
    h2_stream_write(call->stream, data, len);
}

int rpc_write_message(struct call *call, const uint8_t *data, size_t len, struct err *err)
{
    if (call->stream == NULL)
        return err_set(err, ERR_CANCELLED, "CALLER_CANCELLED", "the caller went away");
    struct buf json;
    buf_init_large(&json, ANSWER_JSON_BYTES_MAX);
    if (call->json) {
        if (to_json(call, data, len, &json, err) < 0) {
            if (json.refused)
                (void)call_no_memory(err);
            buf_fini(&json);
            return -1;
        }
        data = json.data;
        len = json.len;
    }
    if (h2_stream_reserve(call->stream, len + ENVELOPE_BYTES) < 0) {
        buf_fini(&json);
        return call_no_memory(err);
    }
    if (call->protocol == CALL_CONNECT_UNARY) {
        struct header_list list;
        start_headers(call, &list, "200");
        for (size_t i = 0; i < call->trailer_count; i++)
            add(&list, arena_format(&call->arena, "trailer-%s", call->trailers[i].name),
                call->trailers[i].value);
        call->headers_sent = true;
        h2_stream_respond(call->stream, list.items, list.count);
        h2_stream_write(call->stream, data, len);
    } else {
        begin_stream_answer(call);
        write_envelope(call, 0, data, len);
    }
    buf_fini(&json);
    return 0;
}

/* --- ends ------------------------------------------------------------------------------------ */

static void end_grpc(struct call *call)
{
    struct header_list list = { .count = 0 };
    bool failed = call->err.code != ERR_OK;
    bool only = !call->headers_sent && failed;
    if (only)
        start_headers(call, &list, "200");
    else
        begin_stream_answer(call);
    add(&list, "grpc-status", arena_format(&call->arena, "%d", err_grpc_status(call->err.code)));
    if (failed) {
        add(&list, "grpc-message", percent_encode(&call->arena, call->err.text));
        add(&list, "grpc-status-details-bin", status_details(call));
    }
    for (size_t i = 0; i < call->trailer_count; i++)
        add(&list, call->trailers[i].name, call->trailers[i].value);
    if (only) {
        call->headers_sent = true;
        h2_stream_respond_only(call->stream, list.items, list.count);
    } else {
        h2_stream_finish(call->stream, list.items, list.count);
    }
}

static void end_connect_unary(struct call *call)
{
    if (call->err.code == ERR_OK) {
        h2_stream_finish(call->stream, NULL, 0);
        return;
    }
    char status[8];
    (void)snprintf(status, sizeof status, "%d", err_http_status(call->err.code));
    struct header_list list;
    start_headers(call, &list, arena_strdup(&call->arena, status));
    list.items[1].value = "application/json"; /* errors are JSON whatever was asked */
    for (size_t i = 0; i < call->trailer_count; i++)
        add(&list, arena_format(&call->arena, "trailer-%s", call->trailers[i].name),
            call->trailers[i].value);
    struct buf json;
    buf_init(&json, 16384);
    append_error_json(call, &json);
    call->headers_sent = true;
    h2_stream_respond(call->stream, list.items, list.count);
    h2_stream_write(call->stream, json.data, json.len);
    h2_stream_finish(call->stream, NULL, 0);
    buf_fini(&json);
}

static void end_connect_stream(struct call *call)
{
    struct buf json;
    buf_init(&json, 16384);
    begin_stream_answer(call);
    (void)buf_append_byte(&json, '{');
    if (call->err.code != ERR_OK) {
        (void)buf_append_str(&json, "\"error\":");
        append_error_json(call, &json);
    }
    if (call->trailer_count > 0) {
        (void)buf_append_format(&json, "%s\"metadata\":{", json.len > 1 ? "," : "");
        for (size_t i = 0; i < call->trailer_count; i++) {
            (void)buf_append_format(&json, "%s\"%s\":[", i > 0 ? "," : "", call->trailers[i].name);
            append_json_string(&json, call->trailers[i].value);
            (void)buf_append_byte(&json, ']');
        }
        (void)buf_append_byte(&json, '}');
    }
    (void)buf_append_byte(&json, '}');
    write_envelope(call, CONNECT_END_STREAM, json.data, json.len);
    h2_stream_finish(call->stream, NULL, 0);
    buf_fini(&json);
}

void rpc_write_end(struct call *call)
{
    if (call->stream == NULL)
        return;
    switch (call->protocol) {
    case CALL_GRPC:
        end_grpc(call);
        break;
    case CALL_CONNECT_UNARY:
        end_connect_unary(call);
        break;
    case CALL_CONNECT_STREAM:
        end_connect_stream(call);
        break;
    }
    if (!call->half_closed) /* RFC 9113 8.1: a whole answer before the whole request */
        h2_stream_consumed(call->stream, call->body.len);
}

void rpc_http_error(struct h2_stream *stream, const char *status, const char *text)
{
    char date[CLOCK_TEXT_BYTES];
    clock_format_http(clock_wall_us(), date);
    const struct h2_header headers[] = { { ":status", status },
                                         { "content-type", "text/plain; charset=utf-8" },
                                         { "date", date } };
    h2_stream_respond(stream, headers, 3);
    h2_stream_write(stream, text, strlen(text));
    h2_stream_finish(stream, NULL, 0);
}
