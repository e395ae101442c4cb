/* Fuzzes net/h2 with what a peer may send behind its handshake. The first two bytes choose how the
 * connection reads and writes, and whether a preface comes first; the handlers answer everything. */
#include <stdint.h>
#include <string.h>

#include "base/log.h"
#include "loopback/wire.h"
#include "net/h2.h"
#include "net/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { QUIET_TICKS = 3 };

static int streams_open;
static int ticks;

static void on_request(void *arg, struct h2_stream *stream)
{
    (void)arg;
    const struct h2_header headers[] = { { ":status", "200" }, { "x-path", "/" } };
    streams_open++;
    (void)h2_stream_header(stream, "content-type");
    if (strcmp(h2_stream_path(stream), "/only") == 0)
        h2_stream_respond_only(stream, headers, 1);
    else
        h2_stream_respond(stream, headers, 2);
}

static void on_data(void *arg, struct h2_stream *stream, const uint8_t *data, size_t len)
{
    (void)arg;
    h2_stream_write(stream, data, len);
    h2_stream_consumed(stream, len);
}

static void on_end(void *arg, struct h2_stream *stream)
{
    (void)arg;
    const struct h2_header trailer = { "grpc-status", "0" };
    h2_stream_finish(stream, &trailer, 1);
}

static void on_writable(void *arg, struct h2_stream *stream)
{
    (void)arg;
    (void)stream;
}

/* A path that begins with /g is held back and then given up. */
static bool on_gate(void *arg, struct h2_stream *stream)
{
    (void)arg;
    return strncmp(h2_stream_path(stream), "/g", 2) != 0;
}

static void on_gated(void *arg, struct h2_stream *stream)
{
    (void)arg;
    h2_stream_discard(stream);
    h2_stream_reset(stream, 8);
}

static void on_closed(void *arg, struct h2_stream *stream, bool sent_all, uint32_t error_code)
{
    (void)arg;
    (void)stream;
    (void)sent_all;
    (void)error_code;
    streams_open--;
}

static const struct h2_handlers handlers = { .request = on_request,
                                             .data = on_data,
                                             .end = on_end,
                                             .writable = on_writable,
                                             .gate = on_gate,
                                             .gated = on_gated,
                                             .closed = on_closed };

static struct loop *loop;
static struct loop_timer tick;

static void on_tick(void *arg)
{
    (void)arg;
    if (++ticks >= QUIET_TICKS)
        loop_stop(loop);
    else
        loop_timer_start_us(&tick, 0);
}

static void run(void)
{
    ticks = 0;
    loop_timer_start_us(&tick, 0);
    loop_run(loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
    static struct h2_server *server;
    static int listener;
    if (loop == NULL) {
        log_configure(LOG_ERROR, LOG_LOGFMT, "fuzz");
        loop = loop_new();
        loop_timer_init(&tick, loop, on_tick, NULL);
        listener = wire_listener();
        const struct h2_server_options options = { .name = "fuzz",
                                                   .connection_age_max_ms = 3600000,
                                                   .connections_max = 10 };
        server = h2_server_new(loop, listener, &options, &handlers, NULL);
    }
    if (size < 2)
        return 0;
    const struct wire_options options = { .uri = "spiffe://test.example/x", .raw = true };
    struct wire *wire = wire_open(loop, listener, &options);
    const struct wire_weather weather = { .read_max = data[0] & 0x1F,
                                          .write_max = data[1] & 0x3F,
                                          .refusals = data[1] >> 6 };
    wire_weather(wire, &weather);
    if ((data[0] & 0x80) == 0)
        wire_feed(wire, preface, sizeof preface); /* its NUL is the last byte of the frame */
    wire_feed(wire, data + 2, size - 2);
    run();
    if ((data[0] & 0x40) != 0)
        wire_drop(wire);
    run();
    wire_free(&wire);
    run();
    if (streams_open != 0 || h2_server_connections(server) != 0 || h2_bytes_held() != 0)
        __builtin_trap();
    return 0;
}
