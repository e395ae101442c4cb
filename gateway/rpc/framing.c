/* Bytes of a request to protobuf messages: gRPC and Connect envelopes, JSON, the pre-scan. */
#include <string.h>

#include "rpc/internal.h"
#include "schema/json.h"
#include "schema/prescan.h"

int call_no_memory(struct err *err)
{
    return err_set(err, ERR_RESOURCE_EXHAUSTED, "WORKER_MEMORY",
                   "this gateway process has no memory left for this call; try again");
}

static int too_large(const struct call *call, struct err *err)
{
    return err_set(err, ERR_RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE",
                   "a request message may have at most %zu bytes", rpc_request_bytes_max(call));
}

size_t rpc_request_bytes_max(const struct call *call)
{
    const struct rpc_method *method = call->method;
    return method != NULL && method->request_bytes_max > 0
               ? method->request_bytes_max
               : call->server->options.request_bytes_max;
}

int rpc_no_room(const struct call *call, const struct buf *buf, struct err *err)
{
    return buf->refused ? call_no_memory(err) : too_large(call, err);
}

static int to_protobuf(struct call *call, const uint8_t *data, size_t len, struct buf *out,
                       struct err *err)
{
    buf_reset(out);
    if (!call->json)
        return buf_append(out, data, len) < 0 ? rpc_no_room(call, out, err) : 0;
    const struct schema_set *sets[] = { call->server->options.api_types,
                                        call->server->options.record_types };
    struct schema_json_options options = { .sets = sets, .set_count = sets[1] != NULL ? 2 : 1 };
    const struct rpc_route *route = rpc_route_of(call);
    int result =
        schema_json_decode(&options, route->types->input, (const char *)data, len, out, err);
    return out->refused ? call_no_memory(err) : result;
}

/* Connect unary: the body is the message. */
static int next_plain(struct call *call, bool end, struct buf *out, struct err *err)
{
    if (call->body.len > rpc_request_bytes_max(call))
        return too_large(call, err);
    if (!end)
        return 0;
    if (to_protobuf(call, call->body.data, call->body.len, out, err) < 0)
        return -1;
    buf_reset(&call->body);
    return 1;
}

/* gRPC and Connect streams: one flag byte, four length bytes, the message. */
static int next_enveloped(struct call *call, bool end, struct buf *out, struct err *err)
{
    const uint8_t *p = call->body.data;
    if (call->body.len < RPC_ENVELOPE_BYTES) {
        if (end && call->body.len > 0)
            return err_set(err, ERR_INVALID_ARGUMENT, "MESSAGE_TRUNCATED",
                           "the request ends inside a message header");
        return 0;
    }
    size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] == 1)
        return err_set(err, ERR_UNIMPLEMENTED, "ENCODING_UNSUPPORTED",
                       "compressed messages are not supported; send identity");
    if (p[0] != 0)
        return err_set(err, ERR_INVALID_ARGUMENT, "MESSAGE_FLAGS",
                       "unknown flags in a message header");
    if (len > rpc_request_bytes_max(call))
        return too_large(call, err);
    if (call->body.len - RPC_ENVELOPE_BYTES < len) {
        if (end)
            return err_set(err, ERR_INVALID_ARGUMENT, "MESSAGE_TRUNCATED",
                           "the request ends inside a message");
        return 0;
    }
    if (to_protobuf(call, p + RPC_ENVELOPE_BYTES, len, out, err) < 0)
        return -1;
    buf_consume(&call->body, RPC_ENVELOPE_BYTES + len);
    return 1;
}

int rpc_next_message(struct call *call, bool end, struct buf *out, struct err *err)
{
    if (call->protocol == CALL_CONNECT_UNARY)
        return next_plain(call, end, out, err);
    return next_enveloped(call, end, out, err);
}

struct unpacking {
    struct arena *arena;
    bool no_memory;
};

static void *arena_allocate(void *data, size_t size)
{
    struct unpacking *unpacking = data;
    void *memory = arena_alloc_large(unpacking->arena, size);
    if (memory == NULL)
        unpacking->no_memory = true;
    return memory;
}

static void arena_release(void *data, void *memory)
{
    (void)data;
    (void)memory; /* the arena frees everything at once */
}

ProtobufCMessage *rpc_unpack(struct call *call, const uint8_t *data, size_t len, struct err *err)
{
    const struct rpc_route *route = rpc_route_of(call);
    if (schema_prescan(route->types->input, data, len, err) < 0)
        return NULL;
    struct unpacking unpacking = { .arena = &call->arena };
    ProtobufCAllocator allocator = { .alloc = arena_allocate,
                                     .free = arena_release,
                                     .allocator_data = &unpacking };
    ProtobufCMessage *message =
        protobuf_c_message_unpack(call->method->input, &allocator, len, data);
    if (unpacking.no_memory)
        (void)call_no_memory(err);
    else if (message == NULL)
        (void)err_set(err, ERR_INVALID_ARGUMENT, "MESSAGE_MALFORMED",
                      "the request is not a valid %s", route->types->input->full_name);
    return message;
}
