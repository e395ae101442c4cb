#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/h2_internal.h"

enum {
    H2_READ_BYTES = 16384,
    H2_READS_PER_TURN = 4, /* then the other connections have their turn */
    H2_ACCEPTS_PER_TURN = 16,
};

static void conn_close(struct h2_conn *conn);
static void on_pump(void *arg);

void h2_conn_record(struct h2_conn *conn, enum h2_event_kind kind, struct h2_stream *stream,
                    size_t len, uint32_t error_code)
{
    if (conn->event_count == conn->event_cap) {
        conn->event_cap = conn->event_cap > 0 ? conn->event_cap * 2 : 16;
        conn->events = mem_resize(conn->events, conn->event_cap * sizeof *conn->events);
    }
    conn->events[conn->event_count++] =
        (struct h2_event){ .kind = kind, .stream = stream, .len = len, .error_code = error_code };
}

void h2_conn_wake(struct h2_conn *conn)
{
    if (!conn->dead)
        loop_task_post(conn->server->loop, &conn->pump);
}

/* --- events to the handlers ------------------------------------------------------------------ */

static void tell_closed(struct h2_stream *stream, uint32_t error_code)
{
    struct h2_server *server = stream->conn->server;
    if (stream->announced) {
        stream->announced = false;
        server->handlers->closed(server->arg, stream, stream->sent_all, error_code);
    }
    h2_stream_free(stream);
}

static void deliver(struct h2_server *server, const struct h2_event *event)
{
    struct h2_stream *stream = event->stream;
    switch (event->kind) {
    case H2_EVENT_REQUEST:
        server->handlers->request(server->arg, stream);
        break;
    case H2_EVENT_DATA:
        server->handlers->data(server->arg, stream, stream->in.data, event->len);
        buf_consume(&stream->in, event->len);
        h2_stream_account(stream);
        break;
    case H2_EVENT_END:
        server->handlers->end(server->arg, stream);
        break;
    case H2_EVENT_CLOSED:
        tell_closed(stream, event->error_code);
        break;
    }
}

static void dispatch(struct h2_conn *conn)
{
    /* Handlers only submit work to the session, which may record nothing before the next pull. */
    for (size_t i = 0; i < conn->event_count; i++) {
        struct h2_event event = conn->events[i];
        deliver(conn->server, &event);
    }
    conn->event_count = 0;
}

/* After a pull: who may write again, whose answer was held back. */
static void tell_writers(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;
    list_for_each(link, &conn->streams)
    {
        struct h2_stream *stream = list_item(link, struct h2_stream, link);
        if (stream->gone || !stream->announced)
            continue;
        if (stream->gated && !stream->gated_told) {
            stream->gated_told = true;
            server->handlers->gated(server->arg, stream);
        } else if (stream->above_high && h2_stream_unsent(stream) <= H2_STREAM_OUT_HIGH_BYTES / 4) {
            stream->above_high = false;
            server->handlers->writable(server->arg, stream);
        }
    }
}

/* --- life ------------------------------------------------------------------------------------ */

/* The time-out runs from the last stream's end: what else a peer sends does not keep it alive. */
static void update_idle_timer(struct h2_conn *conn)
{
    bool busy = conn->stream_count > 0;
    if (busy == conn->busy)
        return;
    conn->busy = busy;
    if (busy)
        loop_timer_cancel(&conn->idle_timer);
    else
        loop_timer_start(&conn->idle_timer, H2_IDLE_MS);
}

/* A stream counts from its first header byte, so a client that drips its headers would never be
 * idle; and nothing else may come before their end. Runs only for headers that came in parts. */
static void update_header_timer(struct h2_conn *conn)
{
    bool open = conn->header_stream != 0;
    if (open == conn->header_timed)
        return;
    conn->header_timed = open;
    if (open)
        loop_timer_start(&conn->header_timer, H2_HEADERS_MS);
    else
        loop_timer_cancel(&conn->header_timer);
}

static void on_headers_late(void *arg)
{
    struct h2_conn *conn = arg;
    log_event(LOG_INFO, NULL, "http2_headers_late", LOG_STR("peer", conn_address(conn->conn)));
    h2_session_terminate(conn, NGHTTP2_ENHANCE_YOUR_CALM);
    conn_want_read(conn->conn, false);
    h2_conn_wake(conn);
}

static void send_final_goaway(void *arg)
{
    struct h2_conn *conn = arg;
    if (conn->final_goaway)
        return;
    conn->final_goaway = true;
    (void)nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(conn->session),
                                NGHTTP2_NO_ERROR, NULL, 0);
    h2_conn_wake(conn);
}

/* RFC 9113 6.8: first a notice with the highest id, one round trip later the real last id. */
static void go_away(void *arg)
{
    struct h2_conn *conn = arg;
    if (conn->going_away || conn->dead)
        return;
    conn->going_away = true;
    (void)nghttp2_submit_shutdown_notice(conn->session);
    loop_timer_start(&conn->goaway_timer, H2_GOAWAY_ROUND_TRIP_MS);
    h2_conn_wake(conn);
}

static void on_idle(void *arg)
{
    struct h2_conn *conn = arg;
    if (conn->going_away) {
        conn_close(conn);
        return;
    }
    go_away(conn);
    loop_timer_start(&conn->idle_timer, 2 * H2_GOAWAY_ROUND_TRIP_MS);
}

static void on_certificate_expired(void *arg)
{
    struct h2_conn *conn = arg;
    log_event(LOG_INFO, NULL,
              conn->distrusted ? "peer_certificate_revoked_end" : "peer_certificate_expired",
              LOG_STR("peer", conn_peer(conn->conn)->uri));
    h2_session_terminate(conn, NGHTTP2_NO_ERROR);
    h2_conn_wake(conn);
}

static void distrust(struct h2_conn *conn)
{
    log_event(LOG_WARN, NULL, "peer_certificate_revoked",
              LOG_STR("peer", conn_peer(conn->conn)->uri));
    conn->distrusted = true;
    conn->going_away = true;
    send_final_goaway(conn);
    loop_timer_start(&conn->expiry_timer, H2_DISTRUST_MS);
    h2_conn_wake(conn);
}

static void destroy(void *object)
{
    struct h2_conn *conn = object;
    nghttp2_session_del(conn->session);
    buf_fini(&conn->out);
    free(conn->events);
    free(conn);
}

static void conn_close(struct h2_conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    loop_task_cancel(&conn->pump);
    loop_timer_fini(&conn->idle_timer);
    loop_timer_fini(&conn->age_timer);
    loop_timer_fini(&conn->expiry_timer);
    loop_timer_fini(&conn->goaway_timer);
    loop_timer_fini(&conn->header_timer);
    list_for_each(link, &conn->streams)
    {
        struct h2_stream *stream = list_item(link, struct h2_stream, link);
        stream->gone = true;
        tell_closed(stream, NGHTTP2_CANCEL);
    }
    conn_free(&conn->conn);
    list_remove(&conn->link);
    conn->server->conn_count--;
    if (!conn->server->draining && conn->server->conn_count < conn->server->options.connections_max)
        loop_io_want(&conn->server->listen_io, LOOP_READ);
    loop_destroy_later(conn->server->loop, destroy, conn);
}

/* Pulls frames for about one TLS record, hands it over, and so on until TLS must wait. */
static void write_out(struct h2_conn *conn)
{
    for (;;) {
        if (conn->out_sent == conn->out.len) {
            buf_reset(&conn->out);
            conn->out_sent = 0;
            if (h2_session_pull(conn) < 0) {
                conn_close(conn);
                return;
            }
            if (conn->out.len == 0)
                return;
        }
        ssize_t taken =
            conn_write(conn->conn, conn->out.data + conn->out_sent, conn->out.len - conn->out_sent);
        if (taken <= 0)
            return;
        conn->out_sent += (size_t)taken;
    }
}

static void on_pump(void *arg)
{
    struct h2_conn *conn = arg;
    dispatch(conn);
    write_out(conn);
    if (conn->dead)
        return;
    dispatch(conn); /* streams that ended by what was just sent */
    tell_writers(conn);
    update_idle_timer(conn);
    update_header_timer(conn);
    bool done = nghttp2_session_want_read(conn->session) == 0 &&
                nghttp2_session_want_write(conn->session) == 0 && conn->out_sent == conn->out.len;
    if (done || (conn->final_goaway && conn->stream_count == 0 && conn->out_sent == conn->out.len))
        conn_close(conn);
}

static void on_ready(void *arg)
{
    struct h2_conn *conn = arg;
    const struct tls_peer *peer = conn_peer(conn->conn);
    int64_t life_ms = peer->not_after_s * 1000 - clock_wall_us() / 1000;
    int64_t month_ms = 30LL * 24 * 3600 * 1000; /* a timer longer than any connection is needless */
    loop_timer_start(&conn->expiry_timer, life_ms < month_ms ? life_ms : month_ms);
    uint16_t random;
    ids_random(&random, sizeof random);
    int64_t age_ms = conn->server->options.connection_age_max_ms;
    loop_timer_start(&conn->age_timer, age_ms * 9 / 10 + age_ms * random / 5 / 65536);
    loop_timer_start(&conn->idle_timer, H2_PREFACE_MS);
    h2_conn_wake(conn);
}

static void on_readable(void *arg)
{
    struct h2_conn *conn = arg;
    static uint8_t bytes[H2_READ_BYTES]; /* one loop, one thread: shared by all connections */
    for (int i = 0; i < H2_READS_PER_TURN; i++) {
        ssize_t got = conn_read(conn->conn, bytes, sizeof bytes);
        if (got <= 0)
            break;
        conn->in_session = true;
        ssize_t used = nghttp2_session_mem_recv(conn->session, bytes, (size_t)got);
        conn->in_session = false;
        if (used < 0) {
            log_event(LOG_WARN, NULL, "http2_peer_refused",
                      LOG_STR("peer", conn_address(conn->conn)),
                      LOG_STR("detail", nghttp2_strerror((int)used)));
            h2_session_terminate(conn,
                                 used == NGHTTP2_ERR_FLOODED || used == NGHTTP2_ERR_CALLBACK_FAILURE
                                     ? NGHTTP2_ENHANCE_YOUR_CALM
                                     : NGHTTP2_PROTOCOL_ERROR);
            conn_want_read(conn->conn, false);
            break;
        }
    }
    h2_conn_wake(conn);
}

static void on_closed(void *arg, const struct err *why)
{
    struct h2_conn *conn = arg;
    if (strcmp(why->reason, "PEER_CLOSED") != 0)
        log_error(strcmp(why->reason, "TLS_HANDSHAKE_FAILED") == 0 ? LOG_INFO : LOG_DEBUG, NULL,
                  "connection_ended", why);
    conn_close(conn);
}

static const struct conn_handlers conn_events = {
    .ready = on_ready, .readable = on_readable, .writable = on_pump, .closed = on_closed
};

/* --- the server ------------------------------------------------------------------------------ */

static void add_conn(struct h2_server *server, int fd)
{
    struct h2_conn *conn = mem_zero(sizeof *conn);
    conn->server = server;
    list_init(&conn->streams);
    buf_init(&conn->out, (size_t)H2_PULL_BYTES * 64);
    loop_task_init(&conn->pump, on_pump, conn);
    loop_timer_init(&conn->idle_timer, server->loop, on_idle, conn);
    loop_timer_init(&conn->age_timer, server->loop, go_away, conn);
    loop_timer_init(&conn->expiry_timer, server->loop, on_certificate_expired, conn);
    loop_timer_init(&conn->goaway_timer, server->loop, send_final_goaway, conn);
    loop_timer_init(&conn->header_timer, server->loop, on_headers_late, conn);
    conn->session = h2_session_new(conn);
    list_append(&server->conns, &conn->link);
    server->conn_count++;
    conn->conn = conn_accept(server->loop, server->options.tls, fd, &conn_events, conn);
}

static void on_accept(void *arg, int ready)
{
    (void)ready;
    struct h2_server *server = arg;
    for (int i = 0; i < H2_ACCEPTS_PER_TURN; i++) {
        if (server->conn_count >= server->options.connections_max) {
            loop_io_want(&server->listen_io, LOOP_NONE);
            log_event(LOG_WARN, NULL, "connections_full", LOG_STR("listener", server->options.name),
                      LOG_INT("connections", server->conn_count));
            return;
        }
        int fd = accept4(server->listen_io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED)
                log_event(LOG_WARN, NULL, "accept_failed", LOG_STR("detail", strerror(errno)));
            return;
        }
        add_conn(server, fd);
    }
}

struct h2_server *h2_server_new(struct loop *loop, int listen_fd,
                                const struct h2_server_options *options,
                                const struct h2_handlers *handlers, void *arg)
{
    struct h2_server *server = mem_zero(sizeof *server);
    server->loop = loop;
    server->options = *options;
    server->handlers = handlers;
    server->arg = arg;
    list_init(&server->conns);
    loop_io_init(&server->listen_io, loop, listen_fd, on_accept, server);
    loop_io_want(&server->listen_io, LOOP_READ);
    return server;
}

void h2_server_drain(struct h2_server *server)
{
    if (server->draining)
        return;
    server->draining = true;
    loop_io_want(&server->listen_io, LOOP_NONE);
    list_for_each(link, &server->conns) go_away(list_item(link, struct h2_conn, link));
}

void h2_server_recheck(struct h2_server *server)
{
    list_for_each(link, &server->conns)
    {
        struct h2_conn *conn = list_item(link, struct h2_conn, link);
        if (!conn->distrusted && !conn_peer_trusted(conn->conn, server->options.tls))
            distrust(conn);
    }
}

bool h2_stream_distrusted(const struct h2_stream *stream)
{
    return stream->conn->distrusted;
}

int h2_server_connections(const struct h2_server *server)
{
    return server->conn_count;
}

int h2_server_streams(const struct h2_server *server)
{
    return server->stream_count;
}

void h2_server_free(struct h2_server **server_ref)
{
    struct h2_server *server = *server_ref;
    if (server == NULL)
        return;
    *server_ref = NULL;
    server->draining = true;
    list_for_each(link, &server->conns) conn_close(list_item(link, struct h2_conn, link));
    loop_io_fini(&server->listen_io);
    loop_free_later(server->loop, server);
}
