/* A worker and an auditor without processes, sockets or TLS: rpc/ and services/ as they are, with a
 *   real control database, source and audit log behind them.
 * Ownership: one server for the program; each case opens and closes its own gateway.
 * Callbacks: hooks of a cut run inside the step they were asked for.
 * Limits: whatever does not come within LOOPBACK_PATIENCE_MS fails the running case.
 * Does not reload, drain or serve metrics. */
#ifndef SLUICE_TESTS_LOOPBACK_LOOPBACK_H
#define SLUICE_TESTS_LOOPBACK_LOOPBACK_H

#include <stdbool.h>

#include "base/buf.h"
#include "loopback/wire.h"
#include "net/loop.h"
#include "rpc/call.h"
#include "services/gateway.h"
#include "support/postgres.h"

#define LOOPBACK_SUBJECT "spiffe://test.example/dept/health/system/triage"
#define LOOPBACK_TOWNS   "registry/towns"
#define LOOPBACK_PURPOSE "service-desk"
#define LOOPBACK_LOOKUP  "/sluice.v1.ExchangeService/Lookup"
#define LOOPBACK_BATCH   "/sluice.v1.ExchangeService/BatchLookup"
#define LOOPBACK_QUERY   "/sluice.v1.ExchangeService/Query"

enum { LOOPBACK_PATIENCE_MS = 20000, LOOPBACK_TOWN_COUNT = 20000 };

struct loopback;
typedef void (*loopback_hook)(struct loopback *world, struct call *call);

/* Runs `hook` once, right after the named step ran (or was resumed, whichever is asked for). */
struct loopback_cut {
    const char *step;
    bool resumed;
    loopback_hook hook;
};

struct loopback {
    struct postgres *postgres;
    struct loop *loop;
    struct conf_source source;
    struct conf conf;
    struct gateway gateway;
    struct db_source *audit_source;
    struct audit_appender *appender;
    struct rpc_server *systems;
    int listener;
    struct wire *wire;
    struct loopback_cut cut;
    int cuts; /* how often the hook ran */
    uint64_t entries_before;
    struct loop_timer patience;
    struct loop_timer tick;
    bool (*until)(struct loopback *world);
    struct wire_call *call; /* of the helpers below */
};

/* Group setup and teardown of cmocka; `*state` is the struct loopback. */
int loopback_start(void **state);
int loopback_stop(void **state);
/* Case setup and teardown: a fresh gateway and one wire. */
int loopback_open(void **state);
int loopback_close(void **state);
/* Instead of the wire that loopback_open made. */
void loopback_rewire(struct loopback *world, const struct wire_options *options);

void loopback_until(struct loopback *world, bool (*until)(struct loopback *world));
/* Until the call is over for the client, the server and the audit log. */
void loopback_settle(struct loopback *world);
/* Runs statements as the owner of everything. */
void loopback_sql(struct loopback *world, const char *sql);
void loopback_revoke(struct loopback *world); /* the one agreement */

/* Protobuf requests; bytes belong to the caller's buf. */
struct loopback_ask {
    const char *dataset; /* NULL: LOOPBACK_TOWNS */
    const char *key;     /* Lookup */
    const char *filter;  /* Query */
    const char *purpose; /* NULL: LOOPBACK_PURPOSE */
    const char *request_id;
    int32_t page_size;
};
void loopback_lookup_bytes(const struct loopback_ask *ask, struct buf *out);
void loopback_query_bytes(const struct loopback_ask *ask, struct buf *out);
/* `count` keys from the first town on. */
void loopback_batch_bytes(size_t count, struct buf *out);
/* A gRPC or Connect stream envelope around `message`. */
void loopback_envelope(const struct buf *message, struct buf *out);

/* Sends a whole request and settles. */
struct wire_call *loopback_call(struct loopback *world, const char *path, const char *content_type,
                                const char *const *headers, const void *body, size_t len);
/* A Lookup as gRPC. */
struct wire_call *loopback_lookup(struct loopback *world, const char *key);

/* gRPC status of the answer, or the status that Connect's code stands for; -1: no answer. */
int loopback_status(const struct wire_call *call);
/* ErrorInfo reason, "" when there is none. */
const char *loopback_reason(const struct wire_call *call);
/* The entries of this case, in the order of the log, for example
 * "DECISION ALLOWED, DELIVERY CANCELLED CALLER_CANCELLED". */
const char *loopback_entries(struct loopback *world);

#endif
