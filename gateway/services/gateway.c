#include "services/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "schema/plan.h"
#include "services/audit_floors.h"
#include "services/audit_sums.h"
#include "services/behind.h"
#include "services/pools.h"
#include "services/quarantine.h"

enum {
    SOURCE_CONNECT_TIMEOUT_MS = 3000,
    SOURCE_IN_FLIGHT_MAX = 4096,        /* lookups waiting on one shared connection */
    CONTROL_STATEMENT_TIMEOUT_MS = 800, /* below the lease */
    CONTROL_LEASED_MAX = 3,             /* officers' calls, and one for what is written behind */
    CONTROL_SHARED = 1,
    CANCELLING_CONNECTIONS = 1, /* what pg/ opens to cancel statements */
};

/* --- drift: every fresh connection describes what the mappings were compiled for ------------- */

static void check_next(struct gateway_source *source);
static void probe(void *arg);

/* What has just closed or opened is looked at closely, at once: its owner wants to know why. */
static void look_soon(struct gateway_dataset *dataset)
{
    struct gateway_source *source = dataset->source;
    drift_watch_soon(dataset->drift);
    if (source->probe == NULL)
        loop_timer_start(&source->probe_timer, 0);
}

static void set_dataset_state(struct gateway_dataset *dataset, const struct err *problem)
{
    bool ready = problem == NULL;
    bool changed = !dataset->judged || ready != dataset->ready;
    bool told = !changed && (ready || (strcmp(problem->text, dataset->closed.text) == 0 &&
                                       strcmp(problem->detail, dataset->closed.detail) == 0));
    dataset->judged = true;
    dataset->ready = ready;
    if (!ready)
        dataset->closed = *problem;
    if (changed)
        look_soon(dataset);
    if (told)
        return;
    if (ready)
        log_event(LOG_INFO, NULL, "dataset_ready", LOG_STR("dataset", dataset->dataset->name));
    else
        log_error(LOG_WARN, NULL, "dataset_closed", &dataset->closed);
}

/* A source whose limits are too narrow stays closed: during a reload its connections would fail in
 * turn, now for this call, now for that. */
static void take_pools(const struct gateway *gateway, const char *what, int64_t pool,
                       const struct db_rows *rows, const struct err *err, struct err *pools)
{
    struct pools_limits limits;
    if (err != NULL) { /* a server without these catalogues has limits of its own */
        log_error(LOG_DEBUG, NULL, "pool_limits_unknown", err);
        return;
    }
    struct err problem = ERR_INIT;
    pools_limits_from_row(rows, &limits);
    if (pools_check(what, gateway->conf->workers, pool, &limits, &problem) < 0 &&
        pools->code == ERR_OK)
        log_error(LOG_ERROR, NULL, "pool_limit", &problem);
    *pools = problem;
}

static void take_source_pools(struct gateway_source *source, const struct db_rows *rows,
                              const struct err *err)
{
    char what[96];
    (void)snprintf(what, sizeof what, "source %s", source->conf->name);
    take_pools(source->gateway, what,
               source->conf->shared_connections + source->conf->leased_connections +
                   CANCELLING_CONNECTIONS,
               rows, err, &source->pools);
}

/* What a description or an empty result says about a dataset. False: it says nothing, try later. */
static bool judge(struct gateway_dataset *dataset, const struct db_rows *rows,
                  const struct err *err)
{
    struct err problem = ERR_INIT;
    if (err == NULL && dataset->source->pools.code != ERR_OK) {
        set_dataset_state(dataset, &dataset->source->pools);
        return true;
    }
    if (err == NULL) {
        bool fits = schema_dataset_check_probe(dataset->dataset, rows, &problem) == 0;
        set_dataset_state(dataset, fits ? NULL : &problem);
        return true;
    }
    if (err->code != ERR_FAILED_PRECONDITION)
        return false;
    (void)err_set(&problem, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT",
                  strcmp(err->reason, "SOURCE_PERMISSION") == 0
                      ? "%s: the gateway's role may not read all mapped columns; `sluice schema "
                        "grants` says what it needs"
                      : "%s: the owner's table no longer fits the mapping",
                  dataset->dataset->name);
    (void)err_detail(&problem, "%s", err->detail);
    set_dataset_state(dataset, &problem);
    return true;
}

/* The next dataset of this source from position `at`, or dataset_count. */
static size_t next_dataset(const struct gateway_source *source, size_t at)
{
    const struct gateway *gateway = source->gateway;
    while (at < gateway->dataset_count && gateway->datasets[at].source != source)
        at++;
    return at;
}

static void on_described(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct gateway_source *source = arg;
    if (!judge(&source->gateway->datasets[source->checking], rows, err)) {
        struct db_check *check = source->check;
        source->check = NULL;
        db_check_end(check, err);
        return;
    }
    source->checking++;
    check_next(source);
}

static void check_next(struct gateway_source *source)
{
    struct gateway *gateway = source->gateway;
    source->checking = next_dataset(source, source->checking);
    if (source->checking == gateway->dataset_count) {
        struct db_check *check = source->check;
        source->check = NULL;
        db_check_end(check, NULL);
        return;
    }
    db_check_describe(source->check,
                      schema_dataset_probe_sql(gateway->datasets[source->checking].dataset),
                      on_described, source);
}

static void on_check_pools(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct gateway_source *source = arg;
    if (err != NULL && err->code != ERR_FAILED_PRECONDITION) {
        struct db_check *check = source->check;
        source->check = NULL;
        db_check_end(check, err);
        return;
    }
    take_source_pools(source, rows, err);
    check_next(source);
}

/* A drifted dataset closes by itself; the connection serves the others. */
static void on_connected(void *arg, struct db_check *check)
{
    struct gateway_source *source = arg;
    if (source->check != NULL) { /* one check at a time is enough: the other one is just as fresh */
        db_check_end(check, NULL);
        return;
    }
    struct db_sql sql = { .text = pools_sql };
    source->check = check;
    source->checking = 0;
    db_check_query(check, &sql, on_check_pools, source);
}

/* --- drift between connections ------------------------------------------------------------ */

static void probe_next(struct gateway_source *source);

static void probe_over(struct gateway_source *source)
{
    db_lease_release(&source->probe);
    loop_timer_start(&source->probe_timer, GATEWAY_PROBE_MS);
}

static void on_catalogue(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct gateway_source *source = arg;
    const struct gateway_dataset *dataset = &source->gateway->datasets[source->probing];
    drift_watch_take(dataset->drift, rows, err, dataset->ready, loop_now_us(source->gateway->loop));
    source->probing++;
    probe_next(source);
}

static void on_probed(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct gateway_source *source = arg;
    struct gateway_dataset *dataset = &source->gateway->datasets[source->probing];
    int64_t now = loop_now_us(source->gateway->loop);
    if (!judge(dataset, rows, err)) {
        probe_over(source);
        return;
    }
    const struct db_sql *catalogue = drift_watch_due(dataset->drift, now);
    if (catalogue != NULL) {
        db_lease_execute(source->probe, catalogue, now + (int64_t)GATEWAY_PROBE_MS * 1000,
                         on_catalogue, source);
        return;
    }
    source->probing++;
    probe_next(source);
}

static void on_probe_row(void *arg, const struct db_rows *row)
{
    (void)arg;
    (void)row; /* there is none: the statement asks for columns */
}

/* Not prepared by name: a plan that was made before the table was altered would answer with an error. */
static void probe_next(struct gateway_source *source)
{
    struct gateway *gateway = source->gateway;
    source->probing = next_dataset(source, source->probing);
    if (source->probing == gateway->dataset_count) {
        probe_over(source);
        return;
    }
    struct db_sql sql = { .text = schema_dataset_probe_sql(
                              gateway->datasets[source->probing].dataset) };
    db_lease_query(source->probe, &sql,
                   loop_now_us(gateway->loop) + (int64_t)GATEWAY_PROBE_MS * 1000, on_probe_row,
                   on_probed, source);
}

static void on_probed_pools(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct gateway_source *source = arg;
    if (err != NULL && err->code != ERR_FAILED_PRECONDITION) {
        probe_over(source);
        return;
    }
    take_source_pools(source, rows, err);
    probe_next(source);
}

static void on_probe_lease(void *arg, const struct err *err)
{
    struct gateway_source *source = arg;
    if (err == NULL) {
        struct db_sql sql = { .text = pools_sql };
        db_lease_execute(source->probe, &sql,
                         loop_now_us(source->gateway->loop) + (int64_t)GATEWAY_PROBE_MS * 1000,
                         on_probed_pools, source);
        return;
    }
    source->probe = NULL; /* a refused lease dies with this callback */
    probe_over(source);
}

static void probe(void *arg)
{
    struct gateway_source *source = arg;
    const struct gateway *gateway = source->gateway;
    source->probing = 0;
    source->probe =
        db_lease_start(source->db, loop_now_us(gateway->loop) + (int64_t)GATEWAY_PROBE_MS * 1000,
                       on_probe_lease, source);
}

/* --- life ------------------------------------------------------------------------------------ */

static void open_source(struct gateway *gateway, struct gateway_source *source,
                        const struct conf_source *conf)
{
    source->gateway = gateway;
    source->conf = conf;
    struct db_source_options options = {
        .name = conf->name,
        .conninfo = conf->database,
        .shared_connections = (int)conf->shared_connections,
        .leased_connections_max = (int)conf->leased_connections,
        .connect_timeout_ms = SOURCE_CONNECT_TIMEOUT_MS,
        .shared_statement_timeout_ms = (int)gateway->conf->lookup_timeout_ms,
        .shared_in_flight_max = SOURCE_IN_FLIGHT_MAX,
        .read_only = true,
    };
    source->db = db_source_new(gateway->loop, &options);
    db_source_on_connected(source->db, on_connected, source);
    loop_timer_init(&source->probe_timer, gateway->loop, probe, source);
    loop_timer_start(&source->probe_timer, GATEWAY_PROBE_MS);
}

static struct gateway_source *find_source(struct gateway *gateway, const char *name)
{
    for (size_t i = 0; i < gateway->source_count; i++)
        if (strcmp(gateway->conf->sources[i].name, name) == 0)
            return &gateway->sources[i];
    return NULL;
}

static int bind_datasets(struct gateway *gateway, struct err *err)
{
    gateway->source_count = gateway->conf->source_count;
    gateway->sources = mem_array(gateway->source_count, sizeof *gateway->sources);
    gateway->dataset_count = schema_bundle_count(gateway->bundle);
    gateway->datasets = mem_array(gateway->dataset_count, sizeof *gateway->datasets);
    for (size_t i = 0; i < gateway->dataset_count; i++) {
        struct gateway_dataset *dataset = &gateway->datasets[i];
        dataset->dataset = schema_bundle_at(gateway->bundle, i);
        dataset->source = find_source(gateway, dataset->dataset->source);
        if (dataset->source == NULL)
            return err_set(err, ERR_INVALID_ARGUMENT, "CONFIG_INVALID",
                           "%s reads the source \"%s\", which the configuration does not list",
                           dataset->dataset->name, dataset->dataset->source);
        dataset->drift = drift_watch_new(dataset->dataset);
        (void)err_set(&dataset->closed, ERR_UNAVAILABLE, "SOURCE_UNAVAILABLE",
                      "the owner's database has not been reached yet; try again");
        (void)strmap_set(&gateway->dataset_index, dataset->dataset->name, dataset);
    }
    return 0;
}

static void on_control_pools(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct gateway *gateway = arg;
    struct db_check *check = gateway->control_check;
    gateway->control_check = NULL;
    gateway->control_judged = err == NULL || err->code == ERR_FAILED_PRECONDITION;
    if (err == NULL || err->code == ERR_FAILED_PRECONDITION)
        take_pools(gateway, "control database",
                   CONTROL_SHARED + CONTROL_LEASED_MAX + CANCELLING_CONNECTIONS, rows, err,
                   &gateway->control_pools);
    db_check_end(check, err != NULL && err->code != ERR_FAILED_PRECONDITION ? err : NULL);
}

static void on_control_connected(void *arg, struct db_check *check)
{
    struct gateway *gateway = arg;
    struct db_sql sql = { .text = pools_sql };
    if (gateway->control_check != NULL) {
        db_check_end(check, NULL);
        return;
    }
    gateway->control_check = check;
    db_check_query(check, &sql, on_control_pools, gateway);
}

static void open_control(struct gateway *gateway)
{
    struct db_source_options options = {
        .name = "control",
        .conninfo = gateway->conf->control_database,
        .shared_connections = CONTROL_SHARED,
        .leased_connections_max = CONTROL_LEASED_MAX,
        .connect_timeout_ms = SOURCE_CONNECT_TIMEOUT_MS,
        .shared_statement_timeout_ms = CONTROL_STATEMENT_TIMEOUT_MS,
        .shared_in_flight_max = SOURCE_IN_FLIGHT_MAX,
    };
    gateway->control = db_source_new(gateway->loop, &options);
    db_source_on_connected(gateway->control, on_control_connected, gateway);
}

int gateway_open(struct gateway *gateway, struct loop *loop, const struct conf *conf,
                 struct err *err)
{
    gateway->loop = loop;
    gateway->conf = conf;
    strmap_init(&gateway->dataset_index);
    if (salt_key_load(conf->audit_person_key, gateway->person_key, err) < 0 ||
        salt_key_load(conf->token_key, gateway->token_key, err) < 0)
        return -1;
    gateway->masks_hash = conf->mask_key != NULL && conf->mask_key[0] != '\0';
    if (gateway->masks_hash && salt_key_load(conf->mask_key, gateway->mask_key, err) < 0)
        return -1;
    open_control(gateway);
    quarantine_keys_derive(gateway->person_key, &gateway->quarantine_keys);
    gateway->behind = behind_new(loop, gateway->control);
    gateway->audit_sums = audit_sums_new(loop, gateway->behind);
    gateway->audit_floors =
        audit_floors_new(loop, gateway->behind, conf->audit_usage_days, conf->audit_network_days);
    gateway->quarantine = quarantine_new(loop, gateway->behind, &gateway->quarantine_keys);
    return 0;
}

int gateway_serve(struct gateway *gateway, struct schema_bundle *bundle, struct err *err)
{
    gateway->bundle = bundle;
    if (bind_datasets(gateway, err) < 0)
        return -1;
    for (size_t i = 0; i < gateway->source_count; i++)
        open_source(gateway, &gateway->sources[i], &gateway->conf->sources[i]);
    return 0;
}

void gateway_fini(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->source_count && gateway->sources != NULL; i++) {
        if (gateway->sources[i].db == NULL)
            continue; /* refused before it was opened */
        loop_timer_fini(&gateway->sources[i].probe_timer);
        db_lease_release(&gateway->sources[i].probe);
        db_source_free(&gateway->sources[i].db);
    }
    authz_free(&gateway->authz);
    audit_client_free(&gateway->audit);
    quarantine_free(&gateway->quarantine);
    behind_free(&gateway->behind);
    audit_sums_free(&gateway->audit_sums);
    audit_floors_free(&gateway->audit_floors);
    db_source_free(&gateway->control);
    for (size_t i = 0; i < gateway->dataset_count && gateway->datasets != NULL; i++)
        drift_watch_free(&gateway->datasets[i].drift);
    free(gateway->sources);
    free(gateway->datasets);
    strmap_fini(&gateway->dataset_index);
    schema_bundle_free(&gateway->bundle);
    explicit_bzero(gateway->person_key, sizeof gateway->person_key);
    quarantine_keys_wipe(&gateway->quarantine_keys);
    explicit_bzero(gateway->token_key, sizeof gateway->token_key);
    explicit_bzero(gateway->mask_key, sizeof gateway->mask_key);
}

struct gateway_dataset *gateway_dataset_find(const struct gateway *gateway, const char *name)
{
    return strmap_get(&gateway->dataset_index, name);
}

void gateway_dataset_closed(const struct gateway_dataset *dataset, struct err *err)
{
    *err = dataset->closed;
    if (strcmp(dataset->closed.reason, "POOL_LIMIT") == 0) {
        (void)err_set(err, ERR_FAILED_PRECONDITION, "POOL_LIMIT",
                      "%s is closed: this gateway's connections do not fit the limits of the "
                      "owner's database; the gateway's operator must mend it",
                      dataset->dataset->name);
        (void)err_detail(err, "%s", dataset->closed.text);
        return;
    }
    if (strcmp(dataset->closed.reason, "SCHEMA_DRIFT") != 0)
        return;
    (void)err_set(
        err, ERR_FAILED_PRECONDITION, "SCHEMA_DRIFT",
        "%s is paused: its owner's table no longer fits the mapping; the owner must mend it",
        dataset->dataset->name);
    (void)err_detail(err, "%s", dataset->closed.text);
}

void gateway_dataset_closed_to_owner(const struct gateway_dataset *dataset, struct err *err)
{
    *err = dataset->closed;
    drift_watch_explain(dataset->drift, err);
}
