/* One RPC in flight: its step table, its deadline, its single end.
 * Ownership: the rpc_server owns the call; a service keeps its own state in call->state (arena
 *   memory).
 * Callbacks: steps run on the loop, one at a time; `finish` of the method runs exactly once,
 *   whatever the path; the call's memory dies at the end of that loop turn.
 * Limits: the deadline is never longer than the method's; messages as rpc_server_options says.
 * Does not know datasets, agreements or audit entries: services do. */
#ifndef SLUICE_RPC_CALL_H
#define SLUICE_RPC_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "authz/identity.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/list.h"
#include "base/log.h"
#include "net/loop.h"

struct call;
struct h2_stream;
struct rpc_method;
struct rpc_server;

enum { CALL_REQUEST_ID_BYTES = 65, CALL_TRAILERS_MAX = 8 };

enum step_result {
    STEP_NEXT, /* go on with the following step */
    STEP_WAIT, /* something was started: call_resume comes later */
    STEP_FAIL, /* call->err says why */
};

/* A table of these reads downward like the method's specification; the last has a NULL name. */
struct step {
    const char *name;
    enum step_result (*run)(struct call *call);
    enum step_result (*resumed)(
        struct call *call); /* after WAIT; NULL: straight to the next step */
};

/* The four kinds of gRPC method. */
enum rpc_kind { RPC_UNARY, RPC_SERVER_STREAM, RPC_CLIENT_STREAM, RPC_BIDI_STREAM };

enum rpc_listener { RPC_SYSTEMS = 1, RPC_OFFICERS = 2, RPC_BOTH = 3 };

struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    enum rpc_kind kind;
    enum rpc_listener listeners;
    unsigned officer_roles; /* of authz/officer.h: an officer who calls it needs one of these */
    bool anonymous;         /* identity not needed (health) */
    const ProtobufCMessageDescriptor *input;
    size_t state_size;
    size_t
        request_bytes_max; /* 0: as the server's; a method may take larger messages than others */
    const struct step *steps;
    /* CLIENT_STREAM and BIDI: each message as it comes, before or while steps run. STEP_FAIL ends.
     */
    enum step_result (*message)(struct call *call, const ProtobufCMessage *message);
    /* The call did not succeed: write its audit entry. May WAIT; call->err holds the outcome. */
    enum step_result (*outcome)(struct call *call);
    /* Asked immediately before bytes are handed to TLS; NULL: always. `why` says what forbids it.
     */
    bool (*may_release)(const struct call *call, struct err *why);
    /* Unsent bytes fell below the low mark: go on producing. */
    void (*writable)(struct call *call);
    /* The last thing: cancel what is in flight, drop references. `delivered`: all was handed over.
     */
    void (*finish)(struct call *call, bool delivered);
};

enum call_phase {
    CALL_RECEIVING, /* the request message is not complete */
    CALL_RUNNING,   /* steps */
    CALL_CLOSING,   /* outcome hook of a call that did not succeed */
    CALL_ANSWERED,  /* the answer is with HTTP/2 */
    CALL_DONE,
};

enum call_protocol { CALL_GRPC, CALL_CONNECT_UNARY, CALL_CONNECT_STREAM };

struct call {
    struct list link;
    struct rpc_server *server;
    struct h2_stream *stream; /* NULL once the peer is gone */
    const struct rpc_method *method;
    void *context; /* the services' own, from rpc_server_options */
    void *state;   /* method->state_size bytes, zeroed */
    enum call_phase phase;
    enum call_protocol protocol;
    bool json;
    bool officers_port;
    size_t step;
    bool waiting;
    bool resume_pending;
    bool half_closed;
    bool headers_sent;
    bool no_answer;      /* there was no memory for it */
    bool own_time_limit; /* the deadline is the gateway's, not the caller's */
    struct arena arena;
    struct identity identity;
    char request_id[CALL_REQUEST_ID_BYTES];
    char trace_id[33];
    uint8_t exchange_id[UUID_BYTES];
    int64_t started_us;  /* monotonic */
    int64_t deadline_us; /* monotonic */
    struct loop_timer deadline;
    struct loop_task resume;
    struct buf body;           /* request bytes, framing included */
    size_t body_accounted;     /* of them, as counted in the server budget */
    ProtobufCMessage *request; /* in the arena; NULL for client streaming kinds */
    struct buf response;       /* unary: the serialised answer */
    uint64_t messages_sent;
    struct err err;
    struct {
        const char *name;
        const char *value;
    } trailers[CALL_TRAILERS_MAX];
    size_t trailer_count;
    struct log_context log;
};

/* Continues a call whose step answered WAIT; safe from any callback, runs later in the same turn.
 */
void call_resume(struct call *call);
/* Ends a call that still runs with call->err set by the caller (deadline, revocation, shutdown). */
void call_cancel(struct call *call, enum err_code code, const char *reason, const char *text);
/* Serialises `message` as the unary answer. Without memory: -1 and call->err, and the call fails at
 * its end in any case; a step that has more to do fails at once. */
int call_answer(struct call *call, const ProtobufCMessage *message);
/* RESOURCE_EXHAUSTED, WORKER_MEMORY: a peer-sized allocation was refused. Answers -1. */
int call_no_memory(struct err *err);
/* Sends one message of a server stream; the bytes are copied. */
int call_send(struct call *call, const uint8_t *data, size_t len);
/* Bytes sent and not yet handed to TLS; a producer pauses above CALL_UNSENT_HIGH_BYTES. */
size_t call_unsent(const struct call *call);
enum { CALL_UNSENT_HIGH_BYTES = 262144 };
/* Metadata behind the answer: gRPC trailers, Connect "trailer-" headers or end-of-stream metadata.
 */
void call_trailer(struct call *call, const char *name, const char *value);
/* Adopts the caller's request id when it is well-formed (1-64 printable ASCII), else
 * INVALID_ARGUMENT. */
int call_set_request_id(struct call *call, const char *text, struct err *err);

#endif
