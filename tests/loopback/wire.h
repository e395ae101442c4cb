/* HTTP/2 in memory: stands in for net/conn.h, so that net/h2, rpc/ and services/ run as they are
 *   with a client of nghttp2's own on the other side, and neither sockets nor TLS between.
 * Ownership: the test owns each wire and frees it; calls belong to their wire.
 * Callbacks: none; the test runs the loop and looks at the calls.
 * Limits: WIRE_SNDBUF_BYTES wait for a client that does not read, as in the kernel.
 * Does not check certificates: a wire says who it is. */
#ifndef SLUICE_TESTS_LOOPBACK_WIRE_H
#define SLUICE_TESTS_LOOPBACK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct loop;
struct wire;

enum { WIRE_SNDBUF_BYTES = 128 * 1024, WIRE_CALLS_MAX = 64 };

/* A descriptor to give to rpc_server_new or h2_server_new. */
int wire_listener(void);
void wire_listener_free(int listener);

struct wire_options {
    const char *uri;       /* of the client's certificate */
    bool raw;              /* no client: the test feeds bytes itself */
    uint32_t window_bytes; /* of each stream; 0: the client takes no body at all */
    size_t room;           /* the far side's buffers begin with it, so that only ours grow */
};
struct wire *wire_open(struct loop *loop, int listener, const struct wire_options *options);
void wire_free(struct wire **wire);

/* The client's socket breaks: the server reads an end. */
void wire_drop(struct wire *wire);
bool wire_accepted(const struct wire *wire);
/* The server has closed its side. */
bool wire_ended(const struct wire *wire);
/* A client that reads nothing at all, until it is told to again. */
void wire_stall(struct wire *wire, bool stalled);
/* Raw wires: bytes to the server; what came back so far. */
void wire_feed(struct wire *wire, const void *data, size_t len);
const struct buf *wire_received(const struct wire *wire);

/* How the server's side behaves from now on: at most so many bytes a read and a write (0: no
 * limit), and before each write that many refusals. */
struct wire_weather {
    size_t read_max;
    size_t write_max;
    unsigned refusals;
};
void wire_weather(struct wire *wire, const struct wire_weather *weather);
uint64_t wire_refusals(const struct wire *wire);

/* One request and what came back. */
struct wire_call {
    struct wire *wire;
    int32_t id;
    struct buf headers; /* "name: value\n" of the answer's headers and trailers */
    struct buf body;
    struct buf request;
    size_t request_sent;
    size_t piece; /* bytes of a DATA frame; 0: as many as fit */
    bool request_over;
    bool waits; /* for more of the request */
    bool ended; /* the answer is complete */
    bool closed;
    uint32_t error_code; /* of RST_STREAM, once closed */
};

/* Headers; NULL-terminated pairs beyond :method, :path, content-type and te. */
struct wire_call *wire_request(struct wire *wire, const char *path, const char *content_type,
                               const char *const *headers);
void wire_send(struct wire_call *call, const void *data, size_t len, bool end);
void wire_reset(struct wire_call *call, uint32_t error_code);
/* Lets a stream opened with a small window take this many bytes more. */
void wire_allow(struct wire_call *call, int32_t bytes);
/* Value of a header or trailer in the caller's buffer, "" when absent. */
const char *wire_header(const struct wire_call *call, const char *name, char *out, size_t size);

#endif
