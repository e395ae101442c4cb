/* A worker: TLS, HTTP/2, RPC, authorisation, lookups and queries. It never has the signing key. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/auditor_link.h"
#include "daemon/metrics.h"
#include "daemon/ops.h"
#include "daemon/process.h"
#include "net/conn.h"
#include "net/ipc.h"
#include "net/loop.h"
#include "net/tls.h"
#include "rpc/server.h"
#include "services/audit_sums.h"
#include "services/gateway.h"
#include "services/schema_store.h"
#include "services/services.h"

enum {
    READY_WAIT_MS = 2000, /* an unreachable database delays a reload no longer than this */
    READY_POLL_MS = 5,
    STATS_INTERVAL_MS = 1000,
    DRAIN_POLL_MS = 20,
    STATS_BYTES_MAX = 256 * 1024,
    SCHEMA_RETRY_MS = 250,  /* while the control database cannot say which bundle to serve */
    SCHEMA_WAIT_MS = 15000, /* below the master's start limit, so that the reason is told */
    SCHEMA_REPORT_MS = 30000,
    CRL_LOOK_MS = 2000, /* a new revocation list counts this long after it was put there */
};

struct worker {
    struct loop *loop;
    const struct process_options *options;
    struct conf *conf;
    struct tls_context *tls;
    struct gateway gateway;
    struct rpc_server *systems;
    struct rpc_server *officers;
    struct ops *ops;
    struct ipc *master;
    struct auditor_link *auditor;
    struct loop_timer ready_timer;
    struct loop_timer stats_timer;
    struct loop_timer drain_timer;
    struct loop_timer schema_timer;
    struct loop_timer crl_timer;
    struct stat crl; /* of the revocation list that was read last */
    struct loop_signal on_term;
    struct schema_fetch *fetch;
    struct schema_report *report;
    bool schema_pinned;
    uint8_t schema[SCHEMA_DIGEST_BYTES]; /* to load, or refused */
    struct err failure;                  /* why this process ends before it was ready */
    int64_t schema_deadline_us;
    int64_t ready_deadline_us;
    int64_t drain_deadline_us;
    bool reported;
    bool draining;
    struct buf
        others[1 + CONF_WORKERS_MAX]; /* newest metrics of the other processes, by child id */
};

/* --- drain -------------------------------------------------------------------------------------- */

static void drain_look(void *arg)
{
    struct worker *worker = arg;
    bool idle = rpc_server_idle(worker->systems) && rpc_server_idle(worker->officers) &&
                conn_lingering() == 0;
    if (!idle && loop_now_us(worker->loop) < worker->drain_deadline_us) {
        loop_timer_start(&worker->drain_timer, DRAIN_POLL_MS);
        return;
    }
    if (!idle) {
        log_event(LOG_WARN, NULL, "drain_limit", LOG_STR("effect", "the remaining calls end now"));
        rpc_server_end_calls(worker->systems);
        rpc_server_end_calls(worker->officers);
    }
    if (worker->gateway.audit != NULL)
        audit_client_drain(worker->gateway.audit);
    auditor_link_flush(worker->auditor); /* what is settled must not be taken for open */
    loop_stop(worker->loop);
}

static void drain(struct worker *worker, int64_t limit_ms)
{
    int64_t deadline_us = loop_now_us(worker->loop) + limit_ms * 1000;
    if (worker->draining) { /* SIGTERM may shorten a reload's drain */
        if (deadline_us < worker->drain_deadline_us)
            worker->drain_deadline_us = deadline_us;
        return;
    }
    log_event(LOG_INFO, NULL, "draining", LOG_INT("limit_ms", limit_ms));
    worker->draining = true;
    worker->drain_deadline_us = deadline_us;
    worker->gateway.draining = true;
    audit_sums_stop(worker->gateway.audit_sums);
    if (worker->systems == NULL) { /* not open yet: nobody is being served */
        if (worker->failure.code == ERR_OK)
            loop_stop(worker->loop); /* else it ends by itself, once the reason is written down */
        return;
    }
    loop_timer_cancel(&worker->schema_timer);
    rpc_server_drain(worker->systems);
    rpc_server_drain(worker->officers);
    ops_free(&worker->ops);
    for (size_t i = 0; i < worker->gateway.source_count; i++)
        db_source_drain(worker->gateway.sources[i].db);
    loop_timer_start(&worker->drain_timer, DRAIN_POLL_MS);
}

static void on_term(void *arg)
{
    struct worker *worker = arg;
    drain(worker, worker->conf->drain_ms);
}

/* --- the revocation list --------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Looked at while draining too: old streams belong to revoked peers as well as new ones. A file that
 * is being written is refused, and read again when it has changed once more. */
static void look_at_crl(void *arg)
{
    struct worker *worker = arg;
    struct stat now;
    struct err err = ERR_INIT;
    loop_timer_start(&worker->crl_timer, CRL_LOOK_MS);
    if (stat(worker->conf->tls_crl, &now) != 0)
        memset(&now, 0, sizeof now); /* gone: the list that was read stays in force */
    if (same_file(&now, &worker->crl))
        return;
    worker->crl = now;
    if (tls_context_renew_crl(worker->tls, worker->conf->tls_crl, &err) < 0) {
        (void)err_detail(&err, "the list read before stays in force");
        log_error(LOG_ERROR, NULL, "crl_refused", &err);
        return;
    }
    log_event(LOG_INFO, NULL, "crl_renewed", LOG_STR("file", worker->conf->tls_crl));
    if (worker->systems == NULL)
        return;
    rpc_server_recheck(worker->systems);
    rpc_server_recheck(worker->officers);
}

static void audit_late(void *arg, struct slice exchange_id, int64_t index)
{
    (void)arg;
    char id[UUID_TEXT_BYTES] = "";
    if (exchange_id.len == UUID_BYTES)
        uuid_format(exchange_id.data, id);
    log_event(LOG_WARN, NULL, "audit_late", LOG_STR("exchange", id), LOG_INT("index", index));
}

/* --- the master --------------------------------------------------------------------------------- */

static void keep_stats(struct worker *worker, const Sluice__Internal__Stats *stats)
{
    if (stats->id >= sizeof worker->others / sizeof worker->others[0])
        return;
    struct buf *kept = &worker->others[stats->id];
    kept->max = STATS_BYTES_MAX;
    buf_reset(kept);
    (void)buf_append(kept, stats->text.data, stats->text.len);
}

static void on_master_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    struct worker *worker = arg;
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_ATTACH && fd >= 0) {
        auditor_link_attach(worker->auditor, fd);
        return;
    }
    if (fd >= 0)
        (void)close(fd);
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_DRAIN)
        drain(worker, message->drain->limit_ms);
    else if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_STATS)
        keep_stats(worker, message->stats);
}

static void on_master_closed(void *arg)
{
    struct worker *worker = arg;
    log_event(LOG_WARN, NULL, "master_gone", LOG_STR("effect", "this process drains"));
    drain(worker, worker->conf->drain_ms);
}

static const struct ipc_handlers master_handlers = { .message = on_master_message,
                                                     .closed = on_master_closed };

/* --- ops ---------------------------------------------------------------------------------------- */

static void append_own_metrics(struct worker *worker, struct buf *out)
{
    char labels[64];
    (void)snprintf(labels, sizeof labels, "process=\"worker\",slot=\"%d\"", worker->options->slot);
    metrics_of_worker(out, labels, &worker->gateway, worker->systems, worker->officers);
}

static void ops_metrics(void *arg, struct buf *out)
{
    struct worker *worker = arg;
    struct buf lines;
    buf_init(&lines, (size_t)STATS_BYTES_MAX * (2 + CONF_WORKERS_MAX));
    append_own_metrics(worker, &lines);
    for (size_t i = 0; i < sizeof worker->others / sizeof worker->others[0]; i++)
        (void)buf_append(&lines, worker->others[i].data, worker->others[i].len);
    metrics_render(&lines, out);
    buf_fini(&lines);
}

static void append_check(struct buf *out, const char *name, bool good, const char *reason)
{
    (void)buf_append_format(out, "%s\"%s\":{\"ready\":%s,\"reason\":\"%s\"}",
                            out->data[out->len - 1] == '{' ? "" : ",", name,
                            good ? "true" : "false", good ? "" : reason);
}

/* Sources do not decide: a department's outage must not take the whole gateway out of a balancer.
 */
static bool ops_readiness(void *arg, struct buf *out)
{
    struct worker *worker = arg;
    struct gateway *gateway = &worker->gateway;
    bool lease = authz_ready(gateway->authz);
    bool writable = gateway->audit == NULL || audit_client_writable(gateway->audit, NULL);
    bool ready = lease && writable && !worker->draining;
    (void)buf_append_format(out, "{\"ready\":%s,\"checks\":{", ready ? "true" : "false");
    append_check(out, "control_database", lease, "agreements cannot be read");
    append_check(out, "audit_log", writable, "the audit log takes no entries");
    for (size_t i = 0; i < gateway->source_count; i++)
        append_check(out, gateway->sources[i].conf->name, db_source_up(gateway->sources[i].db),
                     "the source database cannot be reached");
    (void)buf_append_str(out, "}}\n");
    return ready;
}

static const struct ops_handlers ops_handlers = { .metrics = ops_metrics,
                                                  .readiness = ops_readiness };

static void send_stats(void *arg)
{
    struct worker *worker = arg;
    struct buf text;
    buf_init(&text, STATS_BYTES_MAX);
    append_own_metrics(worker, &text);
    process_send_stats(worker->master, &text);
    buf_fini(&text);
    loop_timer_start(&worker->stats_timer, STATS_INTERVAL_MS);
}

/* --- start -------------------------------------------------------------------------------------- */

static struct rpc_server *open_server(struct worker *worker, const char *name,
                                      enum rpc_listener listener, int fd)
{
    const struct conf *conf = worker->conf;
    struct rpc_server_options options = {
        .name = name,
        .listener = listener,
        .methods = services_methods,
        .context = &worker->gateway,
        .trust_domain = conf->trust_domain,
        .tls = worker->tls,
        .api_types = rpc_api_types(),
        .record_types = schema_bundle_types(worker->gateway.bundle),
        .request_bytes_max = (size_t)conf->request_bytes_max,
        .deadline_default_ms = conf->deadline_default_ms,
        .deadline_max_ms = conf->deadline_max_ms,
        .stream_ms_max = conf->stream_seconds_max * 1000,
        .connection_age_max_ms = conf->connection_age_max_ms,
        .connections_max = (int)conf->connections_max,
    };
    return rpc_server_new(worker->loop, fd, &options);
}

/* A revocation or a lost lease ends what must not go on, at once. */
static void on_authz_changed(void *arg)
{
    struct worker *worker = arg;
    if (worker->systems == NULL)
        return;
    rpc_server_sweep(worker->systems);
    rpc_server_sweep(worker->officers);
}

/* A second connection may be up before the first has described the tables: both are waited for. */
static bool sources_up(const struct worker *worker)
{
    const struct gateway *gateway = &worker->gateway;
    for (size_t i = 0; i < gateway->source_count; i++)
        if (!db_source_up(gateway->sources[i].db))
            return false;
    for (size_t i = 0; i < gateway->dataset_count; i++)
        if (!gateway->datasets[i].judged)
            return false;
    return true;
}

/* Ready = checked and warm: only then may an older generation stop accepting. */
static void look_ready(void *arg)
{
    struct worker *worker = arg;
    struct gateway *gateway = &worker->gateway;
    if (gateway->control_pools.code != ERR_OK) {
        worker->failure = gateway->control_pools;
        log_error(LOG_ERROR, NULL, "worker_refused", &worker->failure);
        process_report(worker->master, worker->failure.text, NULL);
        loop_stop(worker->loop);
        return;
    }
    bool warm = authz_ready(gateway->authz) && gateway->control_judged && sources_up(worker) &&
                (gateway->audit == NULL || audit_client_writable(gateway->audit, NULL));
    if (!warm && loop_now_us(worker->loop) < worker->ready_deadline_us) {
        loop_timer_start(&worker->ready_timer, READY_POLL_MS);
        return;
    }
    if (!warm)
        log_event(LOG_WARN, NULL, "started_not_warm",
                  LOG_STR("effect", "calls that need what is missing answer UNAVAILABLE"));
    worker->systems = open_server(worker, "systems", RPC_SYSTEMS, worker->options->systems_fd);
    worker->officers = open_server(worker, "officers", RPC_OFFICERS, worker->options->officers_fd);
    if (worker->options->ops_fd >= 0)
        worker->ops = ops_new(worker->loop, worker->options->ops_fd, &ops_handlers, worker);
    loop_timer_start(&worker->stats_timer, STATS_INTERVAL_MS);
    worker->reported = true;
    process_report(worker->master, NULL, schema_bundle_digest(gateway->bundle));
    if (conf_schemas_in_control(worker->conf) && worker->options->slot == 0 && !worker->draining)
        loop_timer_start(&worker->schema_timer, 0);
}

/* --- the schema bundle ----------------------------------------------------------------------- */

/* The rest of the start, once the bundle is there. */
static int serve(struct worker *worker, struct schema_bundle *bundle, struct err *err)
{
    if (gateway_serve(&worker->gateway, bundle, err) < 0)
        return -1;
    worker->gateway.authz = authz_new(worker->loop, worker->gateway.control, worker->gateway.bundle,
                                      on_authz_changed, worker);
    if (worker->gateway.masks_hash)
        authz_use_mask_key(worker->gateway.authz, worker->gateway.mask_key);
    worker->ready_deadline_us = loop_now_us(worker->loop) + (int64_t)READY_WAIT_MS * 1000;
    loop_timer_start(&worker->ready_timer, 0);
    return 0;
}

static void on_schema_seen(void *arg, const uint8_t *digest)
{
    struct worker *worker = arg;
    Sluice__Internal__SchemaSeen seen = SLUICE__INTERNAL__SCHEMA_SEEN__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    if (worker->draining)
        return; /* a newer generation looks after it */
    seen.digest.len = digest != NULL ? SCHEMA_DIGEST_BYTES : 0;
    seen.digest.data = (uint8_t *)(uintptr_t)digest;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_SCHEMA_SEEN;
    message.schema_seen = &seen;
    ipc_send(worker->master, &message);
}

static void end_refused(void *arg, const struct err *err)
{
    struct worker *worker = arg;
    worker->report = NULL;
    if (err != NULL)
        log_error(LOG_WARN, NULL, "schema_report_failed", err);
    process_report(worker->master, worker->failure.text, worker->schema);
    loop_stop(worker->loop);
}

/* The officers read the reason through any gateway, so it is written before this process ends; by
 * each worker that comes so far, since the first one's end ends the others. */
static void refuse_schema(struct worker *worker, const uint8_t *digest, const struct err *err)
{
    char hex[2 * SCHEMA_DIGEST_BYTES + 1];
    worker->failure = *err;
    memcpy(worker->schema, digest, sizeof worker->schema);
    hex_encode(digest, SCHEMA_DIGEST_BYTES, hex);
    log_event(LOG_ERROR, NULL, "schema_refused", LOG_STR("digest", hex), LOG_STR("text", err->text),
              LOG_STR("detail", err->detail));
    worker->report =
        schema_report_start(worker->loop, worker->gateway.control, worker->conf->instance,
                            worker->schema, err->text, end_refused, worker);
}

static void on_bundle(void *arg, struct schema_bundle *bundle, const uint8_t *digest,
                      const struct err *err)
{
    struct worker *worker = arg;
    struct err refused = ERR_INIT;
    worker->fetch = NULL;
    if (bundle != NULL) {
        uint8_t served[SCHEMA_DIGEST_BYTES];
        memcpy(served, schema_bundle_digest(bundle), sizeof served);
        if (serve(worker, bundle, &refused) < 0)
            refuse_schema(worker, served, &refused);
        else
            authz_watch_schema(worker->gateway.authz, on_schema_seen, worker);
    } else if (digest != NULL) {
        refuse_schema(worker, digest, err);
    } else if (loop_now_us(worker->loop) < worker->schema_deadline_us) {
        loop_timer_start(&worker->schema_timer, SCHEMA_RETRY_MS);
    } else {
        (void)err_set(&worker->failure, ERR_UNAVAILABLE, "CONTROL_DATABASE",
                      "the schema bundle cannot be read from the control database: %.200s",
                      err->text);
        (void)err_detail(&worker->failure, "%s", err->detail);
        log_error(LOG_ERROR, NULL, "worker_refused", &worker->failure);
        process_report(worker->master, worker->failure.text, NULL);
        loop_stop(worker->loop);
    }
}

static void said_serving(void *arg, const struct err *err)
{
    struct worker *worker = arg;
    worker->report = NULL;
    if (err != NULL)
        log_error(LOG_WARN, NULL, "schema_report_failed", err);
    if (!worker->draining)
        loop_timer_start(&worker->schema_timer, SCHEMA_REPORT_MS);
}

/* Before the bundle is there: fetches it. Afterwards: says, as a sign of life, what is served. */
static void schema_turn(void *arg)
{
    struct worker *worker = arg;
    if (worker->gateway.bundle == NULL)
        worker->fetch =
            schema_fetch_start(worker->loop, worker->gateway.control,
                               worker->schema_pinned ? worker->schema : NULL, on_bundle, worker);
    else if (worker->report == NULL)
        worker->report = schema_report_start(
            worker->loop, worker->gateway.control, worker->conf->instance,
            schema_bundle_digest(worker->gateway.bundle), "", said_serving, worker);
}

static int open_schema(struct worker *worker, struct err *err)
{
    const struct conf *conf = worker->conf;
    const char *pinned = worker->options->schema;
    if (!conf_schemas_in_control(conf)) {
        struct schema_bundle *bundle =
            schema_bundle_load(conf->schemas_directory, conf->schemas_descriptors, err);
        return bundle != NULL ? serve(worker, bundle, err) : -1;
    }
    if (pinned != NULL && strlen(pinned) == 2 * (size_t)SCHEMA_DIGEST_BYTES)
        worker->schema_pinned = hex_decode(pinned, strlen(pinned), worker->schema);
    worker->schema_deadline_us = loop_now_us(worker->loop) + (int64_t)SCHEMA_WAIT_MS * 1000;
    loop_timer_start(&worker->schema_timer, 0);
    return 0;
}

static void open_audit(struct worker *worker)
{
    const struct conf *conf = worker->conf;
    if (!conf->audit_enabled) {
        log_event(LOG_WARN, NULL, "audit_disabled",
                  LOG_STR("effect", "records leave WITHOUT an audit entry; for benchmarks only"));
        return;
    }
    struct audit_client_options audit = { .origin = conf->audit_origin,
                                          .instance = conf->instance,
                                          .send = auditor_link_send,
                                          .late = audit_late,
                                          .arg = worker->auditor };
    worker->gateway.audit = audit_client_new(worker->loop, &audit);
    auditor_link_serve(worker->auditor, worker->gateway.audit);
}

static int open_worker(struct worker *worker, struct err *err)
{
    worker->conf = conf_load(worker->options->config_file, err);
    if (worker->conf == NULL)
        return -1;
    const struct conf *conf = worker->conf;
    process_configure_log(conf, "worker");
    struct tls_options tls = { .certificate_file = conf->tls_certificate,
                               .key_file = conf->tls_key,
                               .client_ca_file = conf->tls_client_ca,
                               .crl_file = conf->tls_crl,
                               .allow_tls12 = conf->tls_allow_tls12 };
    worker->tls = tls_context_new(&tls, err);
    if (worker->tls == NULL || gateway_open(&worker->gateway, worker->loop, conf, err) < 0)
        return -1;
    worker->crl.st_size =
        -1; /* no file is like this: the first look reads, or says that it is gone */
    if (conf->tls_crl != NULL)
        loop_timer_start(&worker->crl_timer, CRL_LOOK_MS);
    open_audit(worker);
    return open_schema(worker, err);
}

int worker_main(const struct process_options *options)
{
    struct worker *worker = mem_zero(sizeof *worker);
    struct err err = ERR_INIT;
    worker->options = options;
    worker->loop = loop_new();
    worker->master = ipc_new(worker->loop, options->control_fd, &master_handlers, worker);
    worker->auditor = auditor_link_new(worker->loop, worker->master);
    loop_timer_init(&worker->ready_timer, worker->loop, look_ready, worker);
    loop_timer_init(&worker->stats_timer, worker->loop, send_stats, worker);
    loop_timer_init(&worker->drain_timer, worker->loop, drain_look, worker);
    loop_timer_init(&worker->schema_timer, worker->loop, schema_turn, worker);
    loop_timer_init(&worker->crl_timer, worker->loop, look_at_crl, worker);
    if (open_worker(worker, &err) < 0) {
        log_error(LOG_ERROR, NULL, "worker_refused", &err);
        process_report(worker->master, err.text, NULL);
        return EXIT_CONFIG;
    }
    loop_signal_start(&worker->on_term, worker->loop, SIGTERM, on_term, worker);
    loop_run(worker->loop);
    process_ending();
    int status = worker->failure.code != ERR_OK ? EXIT_CONFIG : 0;
    schema_fetch_cancel(&worker->fetch);
    schema_report_cancel(&worker->report);
    rpc_server_free(&worker->systems);
    rpc_server_free(&worker->officers);
    auditor_link_free(&worker->auditor);
    gateway_fini(&worker->gateway);
    ipc_free(&worker->master);
    loop_timer_fini(&worker->ready_timer);
    loop_timer_fini(&worker->stats_timer);
    loop_timer_fini(&worker->drain_timer);
    loop_timer_fini(&worker->schema_timer);
    loop_timer_fini(&worker->crl_timer);
    loop_signal_fini(&worker->on_term);
    for (size_t i = 0; i < sizeof worker->others / sizeof worker->others[0]; i++)
        buf_fini(&worker->others[i]);
    tls_context_free(&worker->tls);
    conf_free(&worker->conf);
    loop_free(&worker->loop);
    free(worker);
    return status;
}
