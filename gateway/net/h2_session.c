#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/h2_internal.h"

/* --- what nghttp2 tells us: recorded, never acted on here ------------------------------------ */

/* Frames that cost us work and carry nothing: too many of them end the connection. */
static int count_flood(struct h2_conn *conn)
{
    int64_t now = loop_now_us(conn->server->loop);
    if (now - conn->flood_since_us > (int64_t)H2_FLOOD_WINDOW_MS * 1000) {
        conn->flood_since_us = now;
        conn->flood_frames = 0;
    }
    return ++conn->flood_frames > H2_FLOOD_FRAMES_MAX ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *conn = arg;
    conn->header_stream = frame->hd.stream_id;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_stream *stream = mem_zero(sizeof *stream);
    stream->conn = conn;
    stream->id = frame->hd.stream_id;
    arena_init(&stream->arena);
    buf_init_large(&stream->in, (size_t)H2_WINDOW_STREAM_BYTES * 2);
    buf_init_large(&stream->out,
                   SIZE_MAX / 4); /* bounded by the writer, see H2_STREAM_OUT_HIGH_BYTES */
    list_append(&conn->streams, &stream->link);
    conn->stream_count++;
    conn->server->stream_count++;
    (void)nghttp2_session_set_stream_user_data(session, stream->id, stream);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    (void)flags;
    (void)arg;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL || stream->announced)
        return 0; /* request trailers carry nothing that we use */
    stream->header_bytes += name_len + value_len + 32;
    if (stream->header_bytes > H2_HEADER_LIST_BYTES || stream->header_count >= H2_HEADERS_MAX) {
        stream->headers_too_large = true;
        return 0;
    }
    if (stream->headers == NULL)
        stream->headers = mem_array(H2_HEADERS_MAX, sizeof *stream->headers);
    struct h2_header *header = &stream->headers[stream->header_count++];
    header->name = arena_strndup(&stream->arena, (const char *)name, name_len);
    header->value = arena_strndup(&stream->arena, (const char *)value, value_len);
    if (strcmp(header->name, ":method") == 0) {
        stream->method = header->value;
    } else if (strcmp(header->name, ":path") == 0) {
        size_t end = strcspn(header->value, "?#");
        stream->path = arena_strndup(&stream->arena, header->value, end);
    }
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_conn *conn = arg;
    switch ((nghttp2_frame_type)frame->hd.type) {
    case NGHTTP2_HEADERS:
        conn->header_stream = 0;
        break;
    case NGHTTP2_DATA:
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING:
        return count_flood(conn);
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_GOAWAY:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_ALTSVC:
    case NGHTTP2_ORIGIN:
    case NGHTTP2_PRIORITY_UPDATE:
    default:
        return 0;
    }
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        stream->announced = true;
        h2_conn_record(conn, H2_EVENT_REQUEST, stream, 0, 0);
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && !stream->in_lost)
        h2_conn_record(conn, H2_EVENT_END, stream, 0, 0);
    else if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0)
        return count_flood(conn);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                         const uint8_t *data, size_t len, void *arg)
{
    (void)flags;
    struct h2_conn *conn = arg;
    /* The connection's window opens at once: one stalled stream starves no other. */
    (void)nghttp2_session_consume_connection(session, len);
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, stream_id);
    if (stream == NULL)
        return 0;
    if (stream->in_lost)
        return 0;
    if (buf_append(&stream->in, data, len) < 0) {
        /* No memory for this one; gRPC reads the code as RESOURCE_EXHAUSTED. */
        stream->in_lost = true;
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream_id,
                                        NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    h2_stream_account(stream);
    h2_conn_record(conn, H2_EVENT_DATA, stream, len, 0);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *arg)
{
    struct h2_conn *conn = arg;
    if (conn->header_stream == stream_id)
        conn->header_stream = 0; /* refused in the middle of its headers */
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, stream_id);
    if (stream == NULL)
        return 0;
    stream->gone = true;
    h2_conn_record(conn, H2_EVENT_CLOSED, stream, 0, error_code);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)arg;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream != NULL)
        stream->sent_all = true;
    if (stream != NULL && nghttp2_session_get_stream_remote_close(session, stream->id) == 0)
        h2_stream_await_end(stream);
    return 0;
}

/* --- frames out ---------------------------------------------------------------------------------
 */

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
                       void *arg)
{
    (void)session;
    (void)flags;
    struct h2_conn *conn = arg;
    if (conn->out.len >= H2_PULL_BYTES)
        return NGHTTP2_ERR_WOULDBLOCK;
    if (buf_append(&conn->out, data, len) < 0)
        return NGHTTP2_ERR_WOULDBLOCK;
    return (ssize_t)len;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)frame;
    struct h2_conn *conn = arg;
    struct h2_stream *stream = source->ptr;
    /* What on_read_body promised is taken at once: a frame that waited here would be sent from a body
     * that may have been discarded meanwhile. */
    assert(len <= stream->out.len - stream->out_sent);
    (void)buf_append(&conn->out, head, 9);
    (void)buf_append(&conn->out, stream->out.data + stream->out_sent, len);
    stream->out_sent += len;
    if (stream->out_sent == stream->out.len) {
        buf_reset(&stream->out);
        stream->out_sent = 0;
    } else if (stream->out_sent >= H2_STREAM_OUT_HIGH_BYTES / 2) {
        buf_consume(&stream->out, stream->out_sent);
        stream->out_sent = 0;
    }
    h2_stream_account(stream);
    return conn->out.len >= H2_PULL_BYTES ? NGHTTP2_ERR_PAUSE : 0; /* enough for this pull */
}

static ssize_t on_read_body(nghttp2_session *session, int32_t stream_id, uint8_t *unused,
                            size_t len, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)unused;
    (void)arg;
    struct h2_stream *stream = source->ptr;
    size_t unsent = stream->out.len - stream->out_sent;
    if (unsent > 0 && !stream->conn->server->handlers->gate(stream->conn->server->arg, stream)) {
        stream->gated = true;
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (unsent == 0 && !stream->finished) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (len > unsent)
        len = unsent;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (len == unsent && stream->finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (stream->trailer_count > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            (void)nghttp2_submit_trailer(session, stream_id, stream->trailers,
                                         stream->trailer_count);
        }
    }
    return (ssize_t)len;
}

int h2_session_pull(struct h2_conn *conn)
{
    conn->in_session = true;
    int result = nghttp2_session_send(conn->session);
    conn->in_session = false;
    return result == 0 ? 0 : -1;
}

/* --- responses ----------------------------------------------------------------------------------
 */

static nghttp2_nv *copy_headers(struct arena *arena, const struct h2_header *headers, size_t count)
{
    nghttp2_nv *out = arena_array(arena, count, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        out[i].name = (uint8_t *)arena_strdup(arena, headers[i].name);
        out[i].namelen = strlen(headers[i].name);
        out[i].value = (uint8_t *)arena_strdup(arena, headers[i].value);
        out[i].valuelen = strlen(headers[i].value);
    }
    return out;
}

static void submit(struct h2_stream *stream, const struct h2_header *headers, size_t count,
                   bool with_body)
{
    if (stream->gone || stream->responded || stream->conn->dead)
        return;
    stream->responded = true;
    nghttp2_nv *fields = copy_headers(&stream->arena, headers, count);
    nghttp2_data_provider body = { .source.ptr = stream, .read_callback = on_read_body };
    (void)nghttp2_submit_response(stream->conn->session, stream->id, fields, count,
                                  with_body ? &body : NULL);
    h2_conn_wake(stream->conn);
}

void h2_stream_respond(struct h2_stream *stream, const struct h2_header *headers, size_t count)
{
    submit(stream, headers, count, true);
}

void h2_stream_respond_only(struct h2_stream *stream, const struct h2_header *headers, size_t count)
{
    stream->finished = true;
    submit(stream, headers, count, false);
}

void h2_stream_finish(struct h2_stream *stream, const struct h2_header *trailers, size_t count)
{
    if (stream->gone || stream->finished)
        return;
    stream->trailers = copy_headers(&stream->arena, trailers, count);
    stream->trailer_count = count;
    stream->finished = true;
    h2_stream_wake(stream);
}

/* --- the session --------------------------------------------------------------------------------
 */

static nghttp2_session_callbacks *make_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort();
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    return callbacks;
}

nghttp2_session *h2_session_new(struct h2_conn *conn)
{
    nghttp2_session_callbacks *callbacks = make_callbacks();
    nghttp2_option *option;
    nghttp2_session *session;
    if (nghttp2_option_new(&option) != 0)
        abort();
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, H2_FLOOD_FRAMES_MAX);
    if (nghttp2_session_server_new2(&session, callbacks, conn, option) != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW_STREAM_BYTES },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_HEADER_LIST_BYTES },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 0 },
    };
    (void)nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings,
                                  sizeof settings / sizeof settings[0]);
    (void)nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                H2_WINDOW_CONN_BYTES);
    return session;
}

void h2_session_terminate(struct h2_conn *conn, uint32_t error_code)
{
    (void)nghttp2_session_terminate_session(conn->session, error_code);
}
