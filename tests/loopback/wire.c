#include "loopback/wire.h"

#include <assert.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/loop.h"

enum { WIRE_BYTES_MAX = 256 * 1024 * 1024, WIRE_WINDOW_BYTES = 64 * 1024 * 1024 };

/* The server's half. */
struct conn {
    struct loop *loop;
    struct wire *wire; /* NULL: the test has freed it */
    const struct conn_handlers *handlers;
    void *arg;
    struct tls_peer peer;
    struct loop_task ready;
    struct loop_task readable;
    struct loop_task writable;
    struct loop_task end;
    struct err why;
    struct buf in; /* from the client */
    struct wire_weather weather;
    unsigned refused;
    uint64_t refusals;
    bool open;
    bool want_read;
    bool write_blocked;
};

struct wire {
    struct list link; /* waits to be accepted */
    struct loop *loop;
    int listener;
    struct wire_options options;
    struct conn *conn; /* NULL before accept and after conn_free */
    bool ended;
    bool stalled;
    bool dropped;
    struct buf waiting;  /* fed before the server accepted */
    struct buf received; /* raw: everything; else what the client has not read yet */
    struct wire_weather weather;
    nghttp2_session *session;
    struct loop_task pump;
    struct wire_call calls[WIRE_CALLS_MAX];
    size_t call_count;
};

static struct list pending = { &pending, &pending };
static struct wire *accepted;

/* --- the listener ------------------------------------------------------------------------------ */

int wire_listener(void)
{
    int fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    assert(fd >= 0);
    return fd;
}

void wire_listener_free(int listener)
{
    (void)close(listener);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    (void)address;
    (void)len;
    (void)flags;
    list_for_each(link, &pending)
    {
        struct wire *wire = list_item(link, struct wire, link);
        uint64_t one;
        if (wire->listener != fd)
            continue;
        list_remove(&wire->link);
        if (read(fd, &one, sizeof one) != (ssize_t)sizeof one)
            break;
        accepted = wire;
        return fd; /* a name only: the server never touches it but through conn_accept */
    }
    errno = EAGAIN;
    return -1;
}

/* --- net/conn.h, in memory --------------------------------------------------------------------- */

static void conn_ready(void *arg)
{
    struct conn *conn = arg;
    conn->handlers->ready(conn->arg);
    if (conn->open && conn->in.len > 0)
        loop_task_post(conn->loop, &conn->readable);
}

static void conn_readable(void *arg)
{
    struct conn *conn = arg;
    if (conn->open && conn->want_read)
        conn->handlers->readable(conn->arg);
}

static void conn_writable(void *arg)
{
    struct conn *conn = arg;
    conn->write_blocked = false;
    if (conn->open)
        conn->handlers->writable(conn->arg);
}

static void conn_end(void *arg)
{
    struct conn *conn = arg;
    conn->open = false;
    (void)err_set(&conn->why, ERR_UNAVAILABLE, "PEER_CLOSED", "the peer closed the connection");
    conn->handlers->closed(conn->arg, &conn->why);
}

struct conn *conn_accept(struct loop *loop, struct tls_context *tls, int fd,
                         const struct conn_handlers *handlers, void *arg)
{
    (void)tls;
    (void)fd;
    struct wire *wire = accepted;
    struct conn *conn = mem_zero(sizeof *conn);
    conn->loop = loop;
    conn->wire = wire;
    conn->handlers = handlers;
    conn->arg = arg;
    conn->open = true;
    conn->want_read = true;
    conn->weather = wire->weather;
    (void)snprintf(conn->peer.uri, sizeof conn->peer.uri, "%s", wire->options.uri);
    conn->peer.not_after_s = time(NULL) + 86400;
    buf_init(&conn->in, WIRE_BYTES_MAX);
    (void)buf_reserve(&conn->in, wire->options.room);
    (void)buf_append(&conn->in, wire->waiting.data, wire->waiting.len);
    buf_reset(&wire->waiting);
    loop_task_init(&conn->ready, conn_ready, conn);
    loop_task_init(&conn->readable, conn_readable, conn);
    loop_task_init(&conn->writable, conn_writable, conn);
    loop_task_init(&conn->end, conn_end, conn);
    loop_task_post(loop, wire->dropped ? &conn->end : &conn->ready);
    wire->conn = conn;
    return conn;
}

static void conn_destroy(void *object)
{
    struct conn *conn = object;
    buf_fini(&conn->in);
    free(conn);
}

void conn_free(struct conn **conn_ref)
{
    struct conn *conn = *conn_ref;
    if (conn == NULL)
        return;
    *conn_ref = NULL;
    conn->open = false;
    loop_task_cancel(&conn->ready);
    loop_task_cancel(&conn->readable);
    loop_task_cancel(&conn->writable);
    loop_task_cancel(&conn->end);
    if (conn->wire != NULL) {
        conn->wire->ended = true;
        conn->wire->conn = NULL;
    }
    loop_destroy_later(conn->loop, conn_destroy, conn);
}

ssize_t conn_read(struct conn *conn, void *out, size_t size)
{
    if (!conn->open)
        return -1;
    size_t len = conn->in.len < size ? conn->in.len : size;
    if (conn->weather.read_max > 0 && len > conn->weather.read_max)
        len = conn->weather.read_max;
    if (len == 0)
        return 0;
    memcpy(out, conn->in.data, len);
    buf_consume(&conn->in, len);
    if (conn->in.len > 0)
        loop_task_post(conn->loop, &conn->readable);
    return (ssize_t)len;
}

static bool must_wait(struct conn *conn)
{
    struct wire *wire = conn->wire;
    if (!wire->options.raw && wire->received.len >= WIRE_SNDBUF_BYTES)
        return true;
    if (conn->refused >= conn->weather.refusals) {
        conn->refused = 0;
        return false;
    }
    conn->refused++;
    conn->refusals++;
    loop_task_post(conn->loop, &conn->writable);
    return true;
}

ssize_t conn_write(struct conn *conn, const void *data, size_t len)
{
    if (!conn->open || conn->wire == NULL)
        return -1;
    if (conn->write_blocked)
        return 0;
    if (must_wait(conn)) {
        conn->write_blocked = true;
        return 0;
    }
    struct wire *wire = conn->wire;
    if (conn->weather.write_max > 0 && len > conn->weather.write_max)
        len = conn->weather.write_max;
    (void)buf_append(&wire->received, data, len);
    loop_task_post(conn->loop, &wire->pump);
    return (ssize_t)len;
}

void conn_want_read(struct conn *conn, bool want)
{
    conn->want_read = want;
    if (want && conn->in.len > 0)
        loop_task_post(conn->loop, &conn->readable);
}

int conn_lingering(void)
{
    return 0;
}

const struct tls_peer *conn_peer(const struct conn *conn)
{
    return &conn->peer;
}

bool conn_peer_trusted(const struct conn *conn, const struct tls_context *tls)
{
    (void)conn;
    (void)tls;
    return true;
}

const char *conn_address(const struct conn *conn)
{
    (void)conn;
    return "memory:1";
}

/* --- the client's half ------------------------------------------------------------------------- */

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                       size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                       void *arg)
{
    (void)flags;
    (void)arg;
    struct wire_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call == NULL)
        return 0;
    (void)buf_append(&call->headers, name, name_len);
    (void)buf_append_str(&call->headers, ": ");
    (void)buf_append(&call->headers, value, value_len);
    (void)buf_append_byte(&call->headers, '\n');
    return 0;
}

static int take_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                     size_t len, void *arg)
{
    (void)flags;
    struct wire *wire = arg;
    struct wire_call *call = nghttp2_session_get_stream_user_data(session, id);
    (void)nghttp2_session_consume_connection(session, len);
    if (wire->options.window_bytes > 0)
        (void)nghttp2_session_consume_stream(session, id, len);
    if (call != NULL)
        (void)buf_append(&call->body, data, len);
    return 0;
}

static int take_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)arg;
    struct wire_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 &&
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
        call->ended = true;
    return 0;
}

static int take_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *arg)
{
    (void)arg;
    struct wire_call *call = nghttp2_session_get_stream_user_data(session, id);
    if (call != NULL) {
        call->closed = true;
        call->error_code = error_code;
    }
    return 0;
}

static ssize_t give_request(nghttp2_session *session, int32_t id, uint8_t *out, size_t size,
                            uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session;
    (void)id;
    (void)arg;
    struct wire_call *call = source->ptr;
    size_t len = call->request.len - call->request_sent;
    if (len == 0 && !call->request_over) {
        call->waits = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (len > size)
        len = size;
    if (call->piece > 0 && len > call->piece)
        len = call->piece;
    if (len > 0)
        memcpy(out, call->request.data + call->request_sent, len);
    call->request_sent += len;
    if (call->request_over && call->request_sent == call->request.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

static void feed(struct wire *wire, const void *data, size_t len)
{
    if (wire->conn == NULL) {
        if (!wire->ended)
            (void)buf_append(&wire->waiting, data, len);
        return;
    }
    (void)buf_append(&wire->conn->in, data, len);
    loop_task_post(wire->loop, &wire->conn->readable);
}

/* Reads what the server wrote, says what the client has to say. */
static void pump(void *arg)
{
    struct wire *wire = arg;
    if (wire->session == NULL || wire->dropped)
        return;
    if (!wire->stalled && wire->received.len > 0) {
        ssize_t used =
            nghttp2_session_mem_recv(wire->session, wire->received.data, wire->received.len);
        assert(used == (ssize_t)wire->received.len);
        buf_reset(&wire->received);
        if (wire->conn != NULL)
            loop_task_post(wire->loop, &wire->conn->writable);
    }
    const uint8_t *data;
    for (ssize_t len; (len = nghttp2_session_mem_send(wire->session, &data)) > 0;)
        feed(wire, data, (size_t)len);
}

static nghttp2_session *make_session(struct wire *wire)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
        abort();
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, take_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, take_close);
    nghttp2_option_set_no_auto_window_update(option, 1);
    if (nghttp2_session_client_new2(&session, callbacks, wire, option) != 0)
        abort();
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, wire->options.window_bytes },
    };
    (void)nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2);
    /* Streams are held by their own windows, not by the connection's. */
    (void)nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, WIRE_WINDOW_BYTES);
    return session;
}

struct wire *wire_open(struct loop *loop, int listener, const struct wire_options *options)
{
    struct wire *wire = mem_zero(sizeof *wire);
    uint64_t one = 1;
    wire->loop = loop;
    wire->listener = listener;
    wire->options = *options;
    list_init(&wire->link);
    buf_init(&wire->waiting, WIRE_BYTES_MAX);
    buf_init(&wire->received, WIRE_BYTES_MAX);
    (void)buf_reserve(&wire->received, options->room);
    (void)buf_reserve(&wire->waiting, options->room);
    loop_task_init(&wire->pump, pump, wire);
    if (!options->raw)
        wire->session = make_session(wire);
    list_append(&pending, &wire->link);
    if (write(listener, &one, sizeof one) != (ssize_t)sizeof one)
        abort();
    loop_task_post(loop, &wire->pump);
    return wire;
}

void wire_free(struct wire **wire_ref)
{
    struct wire *wire = *wire_ref;
    if (wire == NULL)
        return;
    *wire_ref = NULL;
    wire_drop(wire);
    if (wire->conn != NULL)
        wire->conn->wire = NULL;
    list_remove(&wire->link);
    loop_task_cancel(&wire->pump);
    nghttp2_session_del(wire->session);
    for (size_t i = 0; i < wire->call_count; i++) {
        buf_fini(&wire->calls[i].headers);
        buf_fini(&wire->calls[i].body);
        buf_fini(&wire->calls[i].request);
    }
    buf_fini(&wire->waiting);
    buf_fini(&wire->received);
    free(wire);
}

void wire_drop(struct wire *wire)
{
    wire->dropped = true;
    if (wire->conn != NULL && wire->conn->open) {
        loop_task_cancel(&wire->conn->ready);
        loop_task_post(wire->loop, &wire->conn->end);
    }
}

bool wire_accepted(const struct wire *wire)
{
    return wire->conn != NULL || wire->ended;
}

bool wire_ended(const struct wire *wire)
{
    return wire->ended;
}

void wire_stall(struct wire *wire, bool stalled)
{
    wire->stalled = stalled;
    loop_task_post(wire->loop, &wire->pump);
}

void wire_feed(struct wire *wire, const void *data, size_t len)
{
    feed(wire, data, len);
}

const struct buf *wire_received(const struct wire *wire)
{
    return &wire->received;
}

void wire_weather(struct wire *wire, const struct wire_weather *weather)
{
    wire->weather = *weather;
    if (wire->conn != NULL)
        wire->conn->weather = *weather;
}

uint64_t wire_refusals(const struct wire *wire)
{
    return wire->conn != NULL ? wire->conn->refusals : 0;
}

/* --- calls ------------------------------------------------------------------------------------- */

static void set_header(nghttp2_nv *out, const char *name, const char *value)
{
    *out = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
                         .value = (uint8_t *)(uintptr_t)value,
                         .namelen = strlen(name),
                         .valuelen = strlen(value) };
}

struct wire_call *wire_request(struct wire *wire, const char *path, const char *content_type,
                               const char *const *headers)
{
    enum { FIXED = 6, EXTRA_MAX = 120 };
    nghttp2_nv fields[FIXED + EXTRA_MAX];
    size_t count = 0;
    assert(wire->call_count < WIRE_CALLS_MAX);
    struct wire_call *call = &wire->calls[wire->call_count++];
    *call = (struct wire_call){ .wire = wire };
    buf_init(&call->headers, WIRE_BYTES_MAX);
    buf_init(&call->body, WIRE_BYTES_MAX);
    buf_init(&call->request, WIRE_BYTES_MAX);
    (void)buf_reserve(&call->body, wire->options.room);
    (void)buf_reserve(&call->request, wire->options.room);
    set_header(&fields[count++], ":method", "POST");
    set_header(&fields[count++], ":scheme", "https");
    set_header(&fields[count++], ":authority", "gateway.test");
    set_header(&fields[count++], ":path", path);
    if (content_type != NULL)
        set_header(&fields[count++], "content-type", content_type);
    set_header(&fields[count++], "te", "trailers");
    for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2) {
        assert(count < FIXED + EXTRA_MAX);
        set_header(&fields[count++], headers[i], headers[i + 1]);
    }
    nghttp2_data_provider body = { .source.ptr = call, .read_callback = give_request };
    call->id = nghttp2_submit_request(wire->session, NULL, fields, count, &body, call);
    assert(call->id > 0);
    loop_task_post(wire->loop, &wire->pump);
    return call;
}

void wire_send(struct wire_call *call, const void *data, size_t len, bool end)
{
    (void)buf_append(&call->request, data, len);
    call->request_over = end;
    if (call->waits)
        (void)nghttp2_session_resume_data(call->wire->session, call->id);
    call->waits = false;
    loop_task_post(call->wire->loop, &call->wire->pump);
}

void wire_reset(struct wire_call *call, uint32_t error_code)
{
    (void)nghttp2_submit_rst_stream(call->wire->session, NGHTTP2_FLAG_NONE, call->id, error_code);
    loop_task_post(call->wire->loop, &call->wire->pump);
}

void wire_allow(struct wire_call *call, int32_t bytes)
{
    (void)nghttp2_submit_window_update(call->wire->session, NGHTTP2_FLAG_NONE, call->id, bytes);
    loop_task_post(call->wire->loop, &call->wire->pump);
}

const char *wire_header(const struct wire_call *call, const char *name, char *out, size_t size)
{
    const char *text = (const char *)call->headers.data;
    const char *end = text + call->headers.len;
    size_t name_len = strlen(name);
    out[0] = '\0';
    for (const char *line = text; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)(stop - line);
        if (len > name_len + 1 && memcmp(line, name, name_len) == 0 && line[name_len] == ':') {
            size_t value = len - name_len - 2;
            (void)snprintf(out, size, "%.*s", (int)value, line + name_len + 2);
        }
        line = stop + 1;
    }
    return out;
}
