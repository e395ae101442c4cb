/* A client of the Connect protocol (https://connectrpc.com/docs/protocol) with JSON messages: unary
 * and server-streaming calls over HTTP/2, mutual TLS 1.3.
 * Ownership: the client owns its connection, kept between calls; answers are the caller's.
 * The message callback fires inside connect_stream, once per message, in order.
 * Limits: CONNECT_MESSAGE_BYTES_MAX an answer or a stream message; only https; no redirects.
 * Does not retry and does not compress. */
#ifndef SLUICE_CLI_CONNECT_H
#define SLUICE_CLI_CONNECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "cli/problem.h"

struct cli;

enum {
    /* A batch of the gateway holds at most 1 MiB of protobuf; its JSON is several times that. */
    CONNECT_MESSAGE_BYTES_MAX = 32 * 1024 * 1024,
    CONNECT_ENVELOPE_BYTES = 5,
};

struct connect_client;

/* Where and as whom: all borrowed. */
struct connect_target {
    const char *endpoint; /* "host:port", or the same with "https://" in front */
    const char *ca;
    const char *cert;
    const char *key;
    long timeout_ms; /* of a unary call and, when `stream_deadline`, of a stream */
    bool stream_deadline;
};

/* Reads options and SLUICE_* variables. 0, or -1 after a complaint that says what is missing. */
int connect_target_get(const struct cli *cli, struct connect_target *target_r);
/* "https://host:port", to free; NULL for another scheme. */
char *connect_url(const char *endpoint);

/* NULL with `problem` when a file cannot be read. */
struct connect_client *connect_client_open(const struct connect_target *target,
                                           struct problem *problem);
void connect_client_close(struct connect_client **client);

/* What the last call's answer told about the server, for `sluice doctor`. */
struct connect_peer {
    long long date;    /* Date header, seconds since 1970; -1: none */
    long long asked;   /* our clock when the answer arrived */
    const char *http;  /* "HTTP/2" … */
    char *certificate; /* the server's own, PEM; NULL when not known; to free */
};
void connect_peer_get(struct connect_client *client, struct connect_peer *peer_r);

/* `method` is "package.Service/Method". Takes `request`. 0 and an answer to json_decref, or -1. */
int connect_unary(struct connect_client *client, const char *method, json_t *request,
                  json_t **answer_r, struct problem *problem);

/* 0 goes on; anything else stops the stream, and connect_stream answers -1 with that exit status
 * and an empty text. */
typedef int (*connect_message_fn)(void *context, json_t *message);

/* Takes `request`. 0 after an orderly end of the stream, else -1. */
int connect_stream(struct connect_client *client, const char *method, json_t *request,
                   connect_message_fn on_message, void *context, struct problem *problem);

/* --- the envelope reader, apart so that it can be tested and fuzzed -----------------------------
 */
struct connect_frames {
    struct buf pending; /* an envelope that has not arrived whole */
    bool ended;         /* EndStreamResponse was read */
    json_t *error;      /* its error, or NULL */
    connect_message_fn on_message;
    void *context;
    int stopped;       /* what on_message answered, when not 0 */
    const char *fault; /* what was wrong with the bytes, literal, or NULL */
};
void connect_frames_init(struct connect_frames *frames, connect_message_fn on_message,
                         void *context);
void connect_frames_fini(struct connect_frames *frames);
/* 0, or -1 when the stream must stop (stopped or fault says why). */
int connect_frames_feed(struct connect_frames *frames, const void *data, size_t len);

#endif
