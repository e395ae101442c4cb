/* HTTP/2 server connections over TLS (RFC 9113, nghttp2): streams in, typed events out.
 * Ownership: the h2_server owns its connections, a connection its streams; a handler holds a
 *   borrowed stream until `closed`, after which it must not touch it.
 * Callbacks: never inside an h2_* call of the handler and never inside nghttp2; `closed` exactly
 *   once for each stream that `request` announced.
 * Limits: the H2_* constants; memory held for one stream <= its window in and
 *   H2_STREAM_OUT_HIGH_BYTES out.
 * Does not know gRPC or Connect. */
#ifndef SLUICE_NET_H2_H
#define SLUICE_NET_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "net/tls.h"

struct h2_conn;
struct h2_server;
struct h2_stream;
struct loop;

enum {
    H2_STREAMS_MAX = 256,            /* concurrent on one connection; a client opens another one */
    H2_WINDOW_STREAM_BYTES = 262144, /* what one request may send before it is read */
    H2_WINDOW_CONN_BYTES = 4194304,
    H2_HEADER_LIST_BYTES = 16384, /* names + values + 32 each (RFC 9113 6.5.2) */
    H2_HEADERS_MAX = 100,
    H2_PULL_BYTES = 16384, /* frames are pulled for one TLS record at a time, so that little is
                              handed over before a revocation is seen */
    H2_STREAM_OUT_HIGH_BYTES = 262144, /* a writer stops here and resumes below a quarter of it */
    H2_FLOOD_FRAMES_MAX = 1000,        /* PING, SETTINGS, RST, empty DATA, PRIORITY in one window */
    H2_FLOOD_WINDOW_MS = 10000,
    H2_IDLE_MS = 300000,            /* no stream open */
    H2_PREFACE_MS = 10000,          /* from handshake to the first request */
    H2_HEADERS_MS = 10000,          /* from a header block's first byte to its last */
    H2_DISTRUST_MS = 1000,          /* for the last status of the calls of a revoked peer */
    H2_REQUEST_REST_MS = 5000,      /* from a whole answer to the end of its request */
    H2_GOAWAY_ROUND_TRIP_MS = 1000, /* between the shutdown notice and the final GOAWAY */
};

struct h2_header {
    const char *name; /* lower case */
    const char *value;
};

struct h2_handlers {
    /* Headers are complete. */
    void (*request)(void *arg, struct h2_stream *stream);
    /* Body bytes; the peer's window opens again by h2_stream_consumed. */
    void (*data)(void *arg, struct h2_stream *stream, const uint8_t *data, size_t len);
    void (*end)(void *arg, struct h2_stream *stream);      /* the peer's last byte was delivered */
    void (*writable)(void *arg, struct h2_stream *stream); /* unsent fell below the low mark */
    /* Asked before bytes of the stream are handed to TLS: false holds them and `gated` follows. */
    bool (*gate)(void *arg, struct h2_stream *stream);
    void (*gated)(void *arg, struct h2_stream *stream);
    /* `sent_all`: the whole response incl. trailers was handed to TLS. error: HTTP/2 code. */
    void (*closed)(void *arg, struct h2_stream *stream, bool sent_all, uint32_t error_code);
};

struct h2_server_options {
    const char *name; /* of the listener, for logs */
    struct tls_context *tls;
    int64_t connection_age_max_ms; /* +- 10 % each, so that peers do not return all at once */
    int connections_max;           /* accepting pauses beyond */
};

/* Takes accepted connections of one listening socket, which stays the caller's. */
struct h2_server *h2_server_new(struct loop *loop, int listen_fd,
                                const struct h2_server_options *options,
                                const struct h2_handlers *handlers, void *arg);
/* Accepts nothing new, tells peers to go (two-step GOAWAY); connections end with their last stream.
 */
void h2_server_drain(struct h2_server *server);
/* After a new revocation list: connections of peers that would no longer pass the handshake take no
 * new stream, and end with their last one, at the latest after H2_DISTRUST_MS. */
void h2_server_recheck(struct h2_server *server);
bool h2_stream_distrusted(const struct h2_stream *stream); /* it is on such a connection */
int h2_server_connections(const struct h2_server *server);
int h2_server_streams(const struct h2_server *server);
/* Resets what is left. `closed` fires for each stream before this returns to the loop. */
void h2_server_free(struct h2_server **server);

/* --- streams --------------------------------------------------------------------------------- */
const char *h2_stream_method(const struct h2_stream *stream);
const char *h2_stream_path(const struct h2_stream *stream); /* without the query string */
/* NULL when absent; of several, the first. */
const char *h2_stream_header(const struct h2_stream *stream, const char *name);
bool h2_stream_headers_too_large(const struct h2_stream *stream);
const struct tls_peer *h2_stream_peer(const struct h2_stream *stream);
const char *h2_stream_address(const struct h2_stream *stream);
void h2_stream_set_data(struct h2_stream *stream, void *data);
void *h2_stream_data(const struct h2_stream *stream);
void h2_stream_consumed(struct h2_stream *stream, size_t len);

/* Response: headers once, then bytes, then h2_stream_finish. Header texts are copied.
 * `trailers` may be NULL; a response without body and trailers ends with its headers. */
void h2_stream_respond(struct h2_stream *stream, const struct h2_header *headers, size_t count);
/* Headers that are the whole response (gRPC trailers-only, or an empty body). */
void h2_stream_respond_only(struct h2_stream *stream, const struct h2_header *headers,
                            size_t count);
/* Makes room for `len` bytes; -1 without memory. A write behind it does not fail; one without that
 * has no memory resets the stream with ENHANCE_YOUR_CALM, so that nothing is sent in part. */
int h2_stream_reserve(struct h2_stream *stream, size_t len);
void h2_stream_write(struct h2_stream *stream, const void *data, size_t len);
void h2_stream_finish(struct h2_stream *stream, const struct h2_header *trailers, size_t count);
void h2_stream_reset(struct h2_stream *stream, uint32_t error_code);
/* Drops body bytes that were not handed to TLS yet (a revoked answer). */
void h2_stream_discard(struct h2_stream *stream);
/* Bytes of request bodies and answers that all streams of this process hold now. */
size_t h2_bytes_held(void);
/* Bytes written and not yet handed to TLS. */
size_t h2_stream_unsent(const struct h2_stream *stream);

#endif
