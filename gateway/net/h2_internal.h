/* Private to net/h2*.c: the connection, its streams and the record of what nghttp2 reported.
 * Ownership: see h2.h.
 * Callbacks: nghttp2's only append to `events`; h2_dispatch runs them outside the session.
 * Limits: see h2.h.
 * Not for other rooms. */
#ifndef SLUICE_NET_H2_INTERNAL_H
#define SLUICE_NET_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/conn.h"
#include "net/h2.h"
#include "net/loop.h"

enum h2_event_kind { H2_EVENT_REQUEST, H2_EVENT_DATA, H2_EVENT_END, H2_EVENT_CLOSED };

struct h2_event {
    enum h2_event_kind kind;
    struct h2_stream *stream;
    uint32_t error_code; /* CLOSED */
    size_t len;          /* DATA: bytes at the front of stream->in */
};

struct h2_stream {
    struct list link; /* conn->streams */
    struct h2_conn *conn;
    int32_t id;
    struct arena arena; /* headers in and out */
    const char *method;
    const char *path;
    struct h2_header *headers;
    size_t header_count;
    size_t header_bytes;
    bool headers_too_large;
    bool announced; /* `request` ran, so `closed` must */
    bool gone;      /* nghttp2 has closed it */
    struct buf in;
    bool in_lost; /* there was no memory for the body: the stream is being reset */
    struct buf out;
    size_t out_sent;
    size_t accounted; /* bytes of in and out, as counted in h2_bytes_held */
    bool responded;
    bool finished;
    bool sent_all;
    bool deferred;
    bool gated;
    bool gated_told;
    bool above_high;
    struct loop_timer rest_timer; /* runs only when the answer came before the request's end */
    bool rest_timed;
    nghttp2_nv *trailers;
    size_t trailer_count;
    void *data;
};

struct h2_conn {
    struct list link; /* server->conns */
    struct h2_server *server;
    struct conn *conn;
    nghttp2_session *session;
    struct list streams;
    size_t stream_count;
    struct h2_event *events;
    size_t event_count;
    size_t event_cap;
    struct buf out; /* pulled frames on their way to TLS */
    size_t out_sent;
    struct loop_task pump;
    struct loop_timer idle_timer;
    struct loop_timer age_timer;
    struct loop_timer expiry_timer;
    struct loop_timer goaway_timer;
    struct loop_timer header_timer;
    int32_t header_stream; /* whose header block has begun and not ended; 0: none */
    bool header_timed;
    bool busy; /* has streams */
    bool going_away;
    bool final_goaway;
    bool distrusted; /* its certificate was revoked */
    bool in_session; /* inside nghttp2: nothing may be freed */
    bool dead;
    int flood_frames;
    int64_t flood_since_us;
};

struct h2_server {
    struct loop *loop;
    struct loop_io listen_io;
    struct h2_server_options options;
    const struct h2_handlers *handlers;
    void *arg;
    struct list conns;
    int conn_count;
    int stream_count;
    bool draining;
};

/* h2_session.c: the nghttp2 side. */
nghttp2_session *h2_session_new(struct h2_conn *conn);
void h2_session_terminate(struct h2_conn *conn, uint32_t error_code);
/* Appends frames to conn->out until H2_PULL_BYTES or nothing is left; -1 on a fatal error. */
int h2_session_pull(struct h2_conn *conn);
void h2_stream_free(struct h2_stream *stream);

/* h2_stream.c */
void h2_stream_account(struct h2_stream *stream); /* after each change of in or out */
void h2_stream_wake(struct h2_stream *stream);
/* The answer is whole, the request is not: the peer has H2_REQUEST_REST_MS to end it. */
void h2_stream_await_end(struct h2_stream *stream);

/* h2_conn.c */
void h2_conn_wake(struct h2_conn *conn);
void h2_conn_record(struct h2_conn *conn, enum h2_event_kind kind, struct h2_stream *stream,
                    size_t len, uint32_t error_code);

#endif
