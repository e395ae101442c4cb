/* The mover: runs transfers, so that bulk work never slows lookups. It listens on nothing. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/client.h"
#include "authz/authz.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/auditor_link.h"
#include "daemon/process.h"
#include "net/ipc.h"
#include "net/loop.h"
#include "pg/db.h"
#include "services/quality_account.h"
#include "services/schema_store.h"
#include "transfer/transfer.h"

enum {
    MOVER_CONNECT_TIMEOUT_MS = 3000,
    MOVER_CONTROL_TIMEOUT_MS = 800, /* below the agreements' lease */
    MOVER_CONTROL_IN_FLIGHT = 64,
    MOVER_CONTROL_LEASED = 2,
    MOVER_SCHEMA_RETRY_MS = 250,
    MOVER_DRAIN_POLL_MS = 20,
};

/* One department database, opened when it is first needed. */
struct place {
    const char *name;
    const char *conninfo;
    bool write;
    struct db_source *db;
};

struct mover {
    struct loop *loop;
    const struct process_options *options;
    struct conf *conf;
    struct schema_bundle *bundle;
    struct db_source *control;
    struct authz *authz;
    uint8_t mask_key[SALT_KEY_BYTES];
    struct audit_client *audit;
    struct transfer_mover *transfers;
    struct place *places;
    size_t place_count;
    struct ipc *master;
    struct auditor_link *auditor;
    struct schema_fetch *fetch;
    bool schema_pinned;
    uint8_t schema[SCHEMA_DIGEST_BYTES];
    struct loop_timer schema_timer;
    struct loop_timer drain_timer;
    struct loop_signal on_term;
    int64_t drain_deadline_us;
    bool draining;
};

/* --- drain -------------------------------------------------------------------------------------------- */

static void drain_look(void *arg)
{
    struct mover *mover = arg;
    bool idle = mover->transfers == NULL || transfer_mover_idle(mover->transfers);
    if (!idle && loop_now_us(mover->loop) < mover->drain_deadline_us) {
        loop_timer_start(&mover->drain_timer, MOVER_DRAIN_POLL_MS);
        return;
    }
    if (mover->audit != NULL)
        audit_client_drain(mover->audit);
    auditor_link_flush(mover->auditor);
    loop_stop(mover->loop);
}

static void drain(struct mover *mover, int64_t limit_ms)
{
    int64_t deadline_us = loop_now_us(mover->loop) + limit_ms * 1000;
    if (mover->draining) {
        if (deadline_us < mover->drain_deadline_us)
            mover->drain_deadline_us = deadline_us;
        return;
    }
    log_event(LOG_INFO, NULL, "draining", LOG_INT("limit_ms", limit_ms));
    mover->draining = true;
    mover->drain_deadline_us = deadline_us;
    if (mover->transfers != NULL)
        transfer_mover_drain(mover->transfers);
    loop_timer_start(&mover->drain_timer, 0);
}

static void on_term(void *arg)
{
    struct mover *mover = arg;
    drain(mover, mover->conf->drain_ms);
}

/* --- the master ------------------------------------------------------------------------------------- */

static void on_master_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    struct mover *mover = arg;
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_ATTACH && fd >= 0) {
        auditor_link_attach(mover->auditor, fd);
        return;
    }
    if (fd >= 0)
        (void)close(fd);
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_DRAIN)
        drain(mover, message->drain->limit_ms);
}

static void on_master_closed(void *arg)
{
    struct mover *mover = arg;
    log_event(LOG_WARN, NULL, "master_gone", LOG_STR("effect", "this process drains"));
    drain(mover, mover->conf != NULL ? mover->conf->drain_ms : 0);
}

static const struct ipc_handlers master_handlers = { .message = on_master_message,
                                                     .closed = on_master_closed };

/* --- what the transfers need --------------------------------------------------------------------------- */

static void list_places(struct mover *mover)
{
    const struct conf *conf = mover->conf;
    mover->place_count = conf->source_count + conf->target_count;
    mover->places = mem_array(mover->place_count, sizeof *mover->places);
    struct place *place = mover->places;
    for (size_t i = 0; i < conf->source_count; i++)
        *place++ =
            (struct place){ .name = conf->sources[i].name, .conninfo = conf->sources[i].database };
    for (size_t i = 0; i < conf->target_count; i++)
        *place++ = (struct place){ .name = conf->targets[i].name,
                                   .conninfo = conf->targets[i].database,
                                   .write = true };
}

static struct db_source *get_database(void *arg, const char *name, bool write)
{
    struct mover *mover = arg;
    for (size_t i = 0; i < mover->place_count; i++) {
        struct place *place = &mover->places[i];
        if (place->write != write || strcmp(place->name, name) != 0)
            continue;
        struct db_source_options options = { .name = place->name,
                                             .conninfo = place->conninfo,
                                             .leased_connections_max = TRANSFER_CONNECTIONS,
                                             .connect_timeout_ms = MOVER_CONNECT_TIMEOUT_MS,
                                             .read_only = !write };
        if (place->db == NULL)
            place->db = db_source_new(mover->loop, &options);
        return place->db;
    }
    return NULL;
}

static bool is_exceeded(const struct schema_thresholds *thresholds,
                        const struct transfer_counts *counts, bool whole,
                        char sentence_r[TRANSFER_SENTENCE_BYTES])
{
    _Static_assert((int)TRANSFER_SENTENCE_BYTES >= (int)QUALITY_SENTENCE_BYTES, "it must fit");
    struct quality_rows rows = { .read = counts->read,
                                 .delivered = counts->delivered,
                                 .quarantined = counts->quarantined,
                                 .filtered = counts->filtered,
                                 .duplicates = counts->duplicates };
    return quality_thresholds_exceeded(thresholds, &rows, whole, sentence_r);
}

static void on_authz_changed(void *arg)
{
    struct mover *mover = arg;
    if (mover->transfers != NULL)
        transfer_mover_recheck(mover->transfers);
}

static void serve(struct mover *mover, struct schema_bundle *bundle)
{
    mover->bundle = bundle;
    mover->authz = authz_new(mover->loop, mover->control, bundle, on_authz_changed, mover);
    if (mover->conf->mask_key[0] != '\0')
        authz_use_mask_key(mover->authz, mover->mask_key);
    struct transfer_options options = { .loop = mover->loop,
                                        .instance = mover->conf->instance,
                                        .control = mover->control,
                                        .bundle = bundle,
                                        .authz = mover->authz,
                                        .audit = mover->audit,
                                        .database = get_database,
                                        .exceeded = is_exceeded,
                                        .arg = mover };
    mover->transfers = transfer_mover_new(&options);
    process_report(mover->master, NULL, NULL);
}

/* --- the schema bundle: the workers report one that cannot be loaded --------------------------------- */

static void on_bundle(void *arg, struct schema_bundle *bundle, const uint8_t *digest,
                      const struct err *err)
{
    struct mover *mover = arg;
    (void)digest;
    mover->fetch = NULL;
    if (bundle != NULL) {
        serve(mover, bundle);
        return;
    }
    log_error(LOG_WARN, NULL, "schema_not_fetched", err);
    if (!mover->draining)
        loop_timer_start(&mover->schema_timer, MOVER_SCHEMA_RETRY_MS);
}

static void fetch_schema(void *arg)
{
    struct mover *mover = arg;
    mover->fetch = schema_fetch_start(
        mover->loop, mover->control, mover->schema_pinned ? mover->schema : NULL, on_bundle, mover);
}

static int open_schema(struct mover *mover, struct err *err)
{
    const struct conf *conf = mover->conf;
    const char *pinned = mover->options->schema;
    if (!conf_schemas_in_control(conf)) {
        struct schema_bundle *bundle =
            schema_bundle_load(conf->schemas_directory, conf->schemas_descriptors, err);
        if (bundle == NULL)
            return -1;
        serve(mover, bundle);
        return 0;
    }
    if (pinned != NULL && strlen(pinned) == 2 * (size_t)SCHEMA_DIGEST_BYTES)
        mover->schema_pinned = hex_decode(pinned, strlen(pinned), mover->schema);
    loop_timer_start(&mover->schema_timer, 0);
    return 0;
}

/* --- start ---------------------------------------------------------------------------------------------- */

static int open_mover(struct mover *mover, struct err *err)
{
    mover->conf = conf_load(mover->options->config_file, err);
    if (mover->conf == NULL)
        return -1;
    const struct conf *conf = mover->conf;
    process_configure_log(conf, "mover");
    if (conf->mask_key[0] != '\0' && salt_key_load(conf->mask_key, mover->mask_key, err) < 0)
        return -1;
    struct db_source_options control = { .name = "control",
                                         .conninfo = conf->control_database,
                                         .shared_connections = 1,
                                         .leased_connections_max = MOVER_CONTROL_LEASED,
                                         .connect_timeout_ms = MOVER_CONNECT_TIMEOUT_MS,
                                         .shared_statement_timeout_ms = MOVER_CONTROL_TIMEOUT_MS,
                                         .shared_in_flight_max = MOVER_CONTROL_IN_FLIGHT };
    mover->control = db_source_new(mover->loop, &control);
    list_places(mover);
    if (conf->audit_enabled) {
        struct audit_client_options audit = { .origin = conf->audit_origin,
                                              .instance = conf->instance,
                                              .send = auditor_link_send,
                                              .arg = mover->auditor };
        mover->audit = audit_client_new(mover->loop, &audit);
        auditor_link_serve(mover->auditor, mover->audit);
    }
    return open_schema(mover, err);
}

static void close_mover(struct mover *mover)
{
    schema_fetch_cancel(&mover->fetch);
    transfer_mover_free(&mover->transfers);
    auditor_link_free(&mover->auditor);
    authz_free(&mover->authz);
    audit_client_free(&mover->audit);
    for (size_t i = 0; i < mover->place_count; i++)
        db_source_free(&mover->places[i].db);
    free(mover->places);
    db_source_free(&mover->control);
    schema_bundle_free(&mover->bundle);
    explicit_bzero(mover->mask_key, sizeof mover->mask_key);
    ipc_free(&mover->master);
    loop_timer_fini(&mover->schema_timer);
    loop_timer_fini(&mover->drain_timer);
    loop_signal_fini(&mover->on_term);
    conf_free(&mover->conf);
    loop_free(&mover->loop);
    free(mover);
}

int mover_main(const struct process_options *options)
{
    struct mover *mover = mem_zero(sizeof *mover);
    struct err err = ERR_INIT;
    mover->options = options;
    mover->loop = loop_new();
    mover->master = ipc_new(mover->loop, options->control_fd, &master_handlers, mover);
    mover->auditor = auditor_link_new(mover->loop, mover->master);
    loop_timer_init(&mover->schema_timer, mover->loop, fetch_schema, mover);
    loop_timer_init(&mover->drain_timer, mover->loop, drain_look, mover);
    if (open_mover(mover, &err) < 0) {
        log_error(LOG_ERROR, NULL, "mover_refused", &err);
        process_report(mover->master, err.text, NULL);
        return EXIT_CONFIG;
    }
    loop_signal_start(&mover->on_term, mover->loop, SIGTERM, on_term, mover);
    loop_run(mover->loop);
    process_ending();
    close_mover(mover);
    return 0;
}
