/* The auditor: orders, commits and signs audit entries. It has the signing key and no network
 * input. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/appender.h"
#include "audit/note.h"
#include "audit/open_calls.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/metrics.h"
#include "daemon/process.h"
#include "net/ipc.h"
#include "net/loop.h"
#include "pg/db.h"

enum {
    AUDITOR_READY_WAIT_MS = 1500,
    AUDITOR_READY_POLL_MS = 5,
    AUDITOR_CONNECT_TIMEOUT_MS = 2000,
    AUDITOR_STATS_INTERVAL_MS = 1000,
    AUDITOR_STATS_BYTES_MAX = 65536,
    AUDITOR_DRAIN_POLL_MS = 10,
};

struct auditor;

/* One worker of this generation. */
struct client {
    struct list link;
    struct auditor *auditor;
    struct ipc *ipc;
    struct open_calls *open;
};

struct auditor {
    struct loop *loop;
    const struct process_options *options;
    struct conf *conf;
    struct db_source *store;
    struct note_signer *signer;
    struct audit_appender *appender;
    struct audit_source source; /* of our own entries */
    struct ipc *master;
    struct list clients;
    struct loop_timer ready_timer;
    struct loop_timer stats_timer;
    struct loop_timer drain_timer;
    struct loop_signal on_term;
    int64_t ready_deadline_us;
    int64_t drain_deadline_us;
    bool draining;
};

/* --- drain: the last worker goes first ------------------------------------------------------- */

static void drain_look(void *arg)
{
    struct auditor *auditor = arg;
    bool done = list_empty(&auditor->clients) && audit_appender_idle(auditor->appender);
    if (done || loop_now_us(auditor->loop) >= auditor->drain_deadline_us)
        loop_stop(auditor->loop);
    else
        loop_timer_start(&auditor->drain_timer, AUDITOR_DRAIN_POLL_MS);
}

static void drain(struct auditor *auditor, int64_t limit_ms)
{
    int64_t deadline_us = loop_now_us(auditor->loop) + limit_ms * 1000 + 1000000;
    if (!auditor->draining || deadline_us < auditor->drain_deadline_us)
        auditor->drain_deadline_us = deadline_us;
    auditor->draining = true;
    loop_timer_start(&auditor->drain_timer, AUDITOR_DRAIN_POLL_MS);
}

static void on_term(void *arg)
{
    struct auditor *auditor = arg;
    drain(auditor, auditor->conf->drain_ms);
}

/* --- workers ------------------------------------------------------------------------------------ */

static void send_state(struct client *client, bool writable, const char *reason)
{
    Sluice__Internal__AuditState state = SLUICE__INTERNAL__AUDIT_STATE__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    state.writable = writable;
    state.reason = (char *)reason;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_AUDIT_STATE;
    message.audit_state = &state;
    ipc_send(client->ipc, &message);
}

static void unwrap(struct client *client, const Sluice__Internal__UnwrapSalt *question)
{
    Sluice__Internal__SaltUnwrapped answer = SLUICE__INTERNAL__SALT_UNWRAPPED__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    uint8_t salt[SALT_BYTES];
    answer.id = question->id;
    if (audit_appender_unwrap(client->auditor->appender,
                              slice_of(question->entry_id.data, question->entry_id.len),
                              slice_of(question->wrapped.data, question->wrapped.len), salt) == 0) {
        answer.salt.data = salt;
        answer.salt.len = sizeof salt;
    }
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_SALT_UNWRAPPED;
    message.salt_unwrapped = &answer;
    ipc_send(client->ipc, &message);
    salt_wipe(salt);
}

static void on_worker_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    struct client *client = arg;
    if (fd >= 0)
        (void)close(fd);
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPEND) {
        audit_appender_receive(client->auditor->appender, client, message->append);
        open_calls_note(client->open, message->append);
    } else if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_SETTLED) {
        open_calls_settle(client->open, message->settled->exchange_ids.data,
                          message->settled->exchange_ids.len);
    } else if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_UNWRAP_SALT) {
        unwrap(client, message->unwrap_salt);
    }
}

static void append_own(void *arg, const Sluice__Internal__AppendRequest *request)
{
    struct auditor *auditor = arg;
    audit_appender_receive(auditor->appender, NULL, request);
}

/* A worker that ends well has settled all of its calls before. */
static void recover(struct client *client)
{
    size_t count = open_calls_count(client->open);
    if (count == 0)
        return;
    log_event(LOG_WARN, NULL, "delivery_unknown", LOG_INT("calls", count));
    open_calls_recover(client->open, &client->auditor->source, append_own, client->auditor);
}

static void on_worker_closed(void *arg)
{
    struct client *client = arg;
    audit_appender_forget(client->auditor->appender, client);
    recover(client);
    open_calls_free(&client->open);
    list_remove(&client->link);
    ipc_free(&client->ipc);
    loop_free_later(client->auditor->loop, client);
}

static const struct ipc_handlers worker_handlers = { .message = on_worker_message,
                                                     .closed = on_worker_closed };

static void attach_worker(struct auditor *auditor, int fd)
{
    struct client *client = mem_zero(sizeof *client);
    const char *reason = "";
    client->auditor = auditor;
    client->open = open_calls_new();
    client->ipc = ipc_new(auditor->loop, fd, &worker_handlers, client);
    list_append(&auditor->clients, &client->link);
    bool writable = audit_appender_writable(auditor->appender, &reason);
    send_state(client, writable, reason);
}

static void appender_send(void *arg, void *worker, const uint8_t *message, size_t len)
{
    (void)arg;
    struct client *client = worker;
    ipc_send_bytes(client->ipc, message, len);
}

static void appender_state(void *arg, bool writable, const char *reason)
{
    struct auditor *auditor = arg;
    log_event(writable ? LOG_INFO : LOG_ERROR, NULL, "audit_state",
              LOG_STR("writable", writable ? "yes" : "no"), LOG_STR("text", reason));
    list_for_each(link, &auditor->clients)
        send_state(list_item(link, struct client, link), writable, reason);
}

/* --- the master --------------------------------------------------------------------------------- */

static void on_master_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    struct auditor *auditor = arg;
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_ATTACH && fd >= 0) {
        attach_worker(auditor, fd);
        return;
    }
    if (fd >= 0)
        (void)close(fd);
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_DRAIN)
        drain(auditor, message->drain->limit_ms);
}

static void on_master_closed(void *arg)
{
    struct auditor *auditor = arg;
    drain(auditor, auditor->conf->drain_ms);
}

static const struct ipc_handlers master_handlers = { .message = on_master_message,
                                                     .closed = on_master_closed };

static void send_stats(void *arg)
{
    struct auditor *auditor = arg;
    struct buf text;
    buf_init(&text, AUDITOR_STATS_BYTES_MAX);
    metrics_of_auditor(&text, "process=\"auditor\"", auditor->appender);
    process_send_stats(auditor->master, &text);
    buf_fini(&text);
    loop_timer_start(&auditor->stats_timer, AUDITOR_STATS_INTERVAL_MS);
}

/* --- start -------------------------------------------------------------------------------------- */

static void look_ready(void *arg)
{
    struct auditor *auditor = arg;
    bool warm = audit_appender_writable(auditor->appender, NULL);
    if (!warm && loop_now_us(auditor->loop) < auditor->ready_deadline_us) {
        loop_timer_start(&auditor->ready_timer, AUDITOR_READY_POLL_MS);
        return;
    }
    loop_timer_start(&auditor->stats_timer, AUDITOR_STATS_INTERVAL_MS);
    process_report(auditor->master, NULL, NULL);
}

static int open_auditor(struct auditor *auditor, struct err *err)
{
    uint8_t salt_key[SALT_KEY_BYTES];
    auditor->conf = conf_load(auditor->options->config_file, err);
    if (auditor->conf == NULL)
        return -1;
    const struct conf *conf = auditor->conf;
    process_configure_log(conf, "auditor");
    audit_source_init(&auditor->source, conf->audit_origin, conf->instance);
    auditor->signer =
        note_signer_load(conf->audit_origin, conf->audit_signing_key, conf->audit_sm2_key, err);
    if (auditor->signer == NULL || salt_key_load(conf->audit_salt_key, salt_key, err) < 0)
        return -1;
    struct db_source_options store = { .name = "audit",
                                       .conninfo = conf->audit_database,
                                       .leased_connections_max = 1,
                                       .connect_timeout_ms = AUDITOR_CONNECT_TIMEOUT_MS };
    auditor->store = db_source_new(auditor->loop, &store);
    struct audit_appender_options options = { .origin = conf->audit_origin,
                                              .signer = auditor->signer,
                                              .salt_key = salt_key,
                                              .state_path = conf->audit_checkpoint_file,
                                              .send = appender_send,
                                              .state = appender_state,
                                              .arg = auditor };
    auditor->appender = audit_appender_new(auditor->loop, auditor->store, &options, err);
    explicit_bzero(salt_key, sizeof salt_key);
    return auditor->appender != NULL ? 0 : -1;
}

int auditor_main(const struct process_options *options)
{
    struct auditor *auditor = mem_zero(sizeof *auditor);
    struct err err = ERR_INIT;
    auditor->options = options;
    auditor->loop = loop_new();
    list_init(&auditor->clients);
    auditor->master = ipc_new(auditor->loop, options->control_fd, &master_handlers, auditor);
    if (open_auditor(auditor, &err) < 0) {
        log_error(LOG_ERROR, NULL, "auditor_refused", &err);
        process_report(auditor->master, err.text, NULL);
        return EXIT_CONFIG;
    }
    loop_signal_start(&auditor->on_term, auditor->loop, SIGTERM, on_term, auditor);
    loop_timer_init(&auditor->ready_timer, auditor->loop, look_ready, auditor);
    loop_timer_init(&auditor->stats_timer, auditor->loop, send_stats, auditor);
    loop_timer_init(&auditor->drain_timer, auditor->loop, drain_look, auditor);
    auditor->ready_deadline_us = loop_now_us(auditor->loop) + (int64_t)AUDITOR_READY_WAIT_MS * 1000;
    loop_timer_start(&auditor->ready_timer, 0);
    loop_run(auditor->loop);
    process_ending();
    audit_appender_free(&auditor->appender);
    db_source_free(&auditor->store);
    note_signer_free(&auditor->signer);
    list_for_each(link, &auditor->clients)
    {
        struct client *client = list_item(link, struct client, link);
        ipc_free(&client->ipc);
        open_calls_free(&client->open);
        free(client);
    }
    ipc_free(&auditor->master);
    audit_source_fini(&auditor->source);
    loop_timer_fini(&auditor->ready_timer);
    loop_timer_fini(&auditor->stats_timer);
    loop_timer_fini(&auditor->drain_timer);
    loop_signal_fini(&auditor->on_term);
    conf_free(&auditor->conf);
    loop_free(&auditor->loop);
    free(auditor);
    return 0;
}
