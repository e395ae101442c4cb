#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/h2_internal.h"

static size_t bytes_held;

size_t h2_bytes_held(void)
{
    return bytes_held;
}

void h2_stream_account(struct h2_stream *stream)
{
    size_t now = stream->in.len + stream->out.len;
    bytes_held = bytes_held - stream->accounted + now;
    stream->accounted = now;
}

void h2_stream_free(struct h2_stream *stream)
{
    bytes_held -= stream->accounted;
    list_remove(&stream->link);
    stream->conn->stream_count--;
    stream->conn->server->stream_count--;
    if (!stream->conn->dead)
        (void)nghttp2_session_set_stream_user_data(stream->conn->session, stream->id, NULL);
    if (stream->rest_timed)
        loop_timer_fini(&stream->rest_timer);
    buf_fini(&stream->in);
    buf_fini(&stream->out);
    arena_fini(&stream->arena);
    free(stream->headers);
    free(stream);
}

const char *h2_stream_method(const struct h2_stream *stream)
{
    return stream->method != NULL ? stream->method : "";
}

const char *h2_stream_path(const struct h2_stream *stream)
{
    return stream->path != NULL ? stream->path : "";
}

const char *h2_stream_header(const struct h2_stream *stream, const char *name)
{
    for (size_t i = 0; i < stream->header_count; i++)
        if (strcmp(stream->headers[i].name, name) == 0)
            return stream->headers[i].value;
    return NULL;
}

bool h2_stream_headers_too_large(const struct h2_stream *stream)
{
    return stream->headers_too_large;
}

const struct tls_peer *h2_stream_peer(const struct h2_stream *stream)
{
    return conn_peer(stream->conn->conn);
}

const char *h2_stream_address(const struct h2_stream *stream)
{
    return conn_address(stream->conn->conn);
}

void h2_stream_set_data(struct h2_stream *stream, void *data)
{
    stream->data = data;
}

void *h2_stream_data(const struct h2_stream *stream)
{
    return stream->data;
}

void h2_stream_consumed(struct h2_stream *stream, size_t len)
{
    if (stream->gone || stream->conn->dead || len == 0)
        return;
    (void)nghttp2_session_consume_stream(stream->conn->session, stream->id, len);
    h2_conn_wake(stream->conn);
}

/* A deferred body must be resumed once there is something to say again. */
void h2_stream_wake(struct h2_stream *stream)
{
    if (stream->gone || stream->conn->dead)
        return;
    if (stream->deferred && !stream->gated) {
        stream->deferred = false;
        (void)nghttp2_session_resume_data(stream->conn->session, stream->id);
    }
    h2_conn_wake(stream->conn);
}

int h2_stream_reserve(struct h2_stream *stream, size_t len)
{
    return buf_reserve(&stream->out, len);
}

void h2_stream_write(struct h2_stream *stream, const void *data, size_t len)
{
    if (stream->gone || stream->finished)
        return;
    if (buf_append(&stream->out, data, len) < 0) {
        stream->finished = true;
        h2_stream_discard(stream);
        h2_stream_reset(stream, NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    h2_stream_account(stream);
    if (h2_stream_unsent(stream) >= H2_STREAM_OUT_HIGH_BYTES)
        stream->above_high = true;
    h2_stream_wake(stream);
}

void h2_stream_discard(struct h2_stream *stream)
{
    buf_reset(&stream->out);
    stream->out_sent = 0;
    h2_stream_account(stream);
    stream->above_high = false;
    stream->gated = false;
    h2_stream_wake(stream);
}

void h2_stream_reset(struct h2_stream *stream, uint32_t error_code)
{
    if (stream->gone || stream->conn->dead)
        return;
    (void)nghttp2_submit_rst_stream(stream->conn->session, NGHTTP2_FLAG_NONE, stream->id,
                                    error_code);
    h2_conn_wake(stream->conn);
}

/* RFC 9113 8.1: the rest of the request is not wanted, and NO_ERROR says so. Not at once: curl 7.88
 * takes that for a failure while it still sends. Not never: such a peer would hold its stream. */
static void on_request_late(void *arg)
{
    h2_stream_reset(arg, NGHTTP2_NO_ERROR);
}

void h2_stream_await_end(struct h2_stream *stream)
{
    if (stream->rest_timed)
        return;
    stream->rest_timed = true;
    loop_timer_init(&stream->rest_timer, stream->conn->server->loop, on_request_late, stream);
    loop_timer_start(&stream->rest_timer, H2_REQUEST_REST_MS);
}

size_t h2_stream_unsent(const struct h2_stream *stream)
{
    return stream->out.len - stream->out_sent;
}
