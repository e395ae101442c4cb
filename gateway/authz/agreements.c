/* Keeps agreements, departments and officers as the control database has them: poll, load, lease.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authz/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { POLL_DEADLINE_MS = AUTHZ_LEASE_MS };

static const char epoch_sql[] = "SELECT n FROM control.agreement_epoch";
static const char epoch_and_schema_sql[] =
    "SELECT n, (SELECT digest FROM control.schema_current) FROM control.agreement_epoch";
static const char departments_sql[] = "SELECT name, disabled_at IS NOT NULL FROM control.department"
                                      " WHERE epoch > $1::bigint";
static const char officers_sql[] = "SELECT department || '/' || name, disabled_at IS NOT NULL,"
                                   " array_to_string(roles, ',')"
                                   " FROM control.officer WHERE epoch > $1::bigint";

static const char catalogue_sql[] = "SELECT dataset, CASE WHEN retired THEN 'DENIED' ELSE sharing "
                                    "END FROM control.catalogue_in_force"
                                    " WHERE epoch > $1::bigint";

static void poll_now(void *arg);

static void run(struct authz *authz, const char *text, bool with_epoch, db_done_fn done)
{
    char epoch[24];
    (void)snprintf(epoch, sizeof epoch, "%lld", (long long)authz->epoch);
    const char *params[] = { epoch };
    struct db_sql sql = { .text = text, .param_count = with_epoch ? 1 : 0, .params = params };
    authz->call =
        db_call_start(authz->control, &sql,
                      loop_now_us(authz->loop) + (int64_t)POLL_DEADLINE_MS * 1000, done, authz);
}

static void poll_failed(struct authz *authz, const struct err *err)
{
    log_error(LOG_WARN, NULL, "agreements_unreadable", err);
    loop_timer_start(&authz->poll_timer, AUTHZ_POLL_MS);
}

/* --- the lease ------------------------------------------------------------------------------- */

static void lease_expired(void *arg)
{
    struct authz *authz = arg;
    authz->lease_lost = true;
    log_event(LOG_ERROR, NULL, "lease_expired",
              LOG_STR("effect", "no record leaves until the control database answers"));
    authz->changed(authz->arg);
}

static void lease_renewed(struct authz *authz)
{
    authz->lease_until_us = authz->poll_sent_us + (int64_t)AUTHZ_LEASE_MS * 1000;
    loop_timer_start_us(&authz->lease_timer, authz->lease_until_us - loop_now_us(authz->loop));
    loop_timer_start(&authz->poll_timer, AUTHZ_POLL_MS);
    /* Whatever runs under an agreement whose window has closed is told within one poll. */
    int64_t minute = clock_wall_us() / 60000000;
    if (authz->windowed > 0 && minute != authz->minute)
        authz->anything_changed = true;
    authz->minute = minute;
    bool tell = authz->lease_lost || authz->anything_changed;
    if (authz->lease_lost)
        log_event(LOG_INFO, NULL, "lease_renewed", LOG_INT("epoch", authz->epoch));
    authz->lease_lost = false;
    authz->anything_changed = false;
    if (tell)
        authz->changed(authz->arg);
}

/* --- loading --------------------------------------------------------------------------------- */

static void set_member(struct strmap *map, struct db_value name, bool active)
{
    char *key = mem_strndup((const char *)name.data, name.len);
    char *old = strmap_remove(map, key);
    free(old);
    if (active)
        (void)strmap_set(map, key, key);
    else
        free(key);
}

static struct authz_dataset *dataset_of(struct authz *authz, const char *name)
{
    struct authz_dataset *dataset = strmap_get(&authz->datasets, name);
    if (dataset == NULL) {
        dataset = mem_zero(sizeof *dataset);
        dataset->name = mem_strdup(name);
        list_init(&dataset->grants);
        (void)strmap_set(&authz->datasets, dataset->name, dataset);
    }
    return dataset;
}

static void officer_free(struct authz_officer *officer)
{
    if (officer == NULL)
        return;
    free(officer->name);
    free(officer);
}

/* Agreements never change but by revocation and suspension, so a known one only takes over these. */
static void take_grant(struct authz *authz, const struct db_rows *rows, int row)
{
    struct authz_grant *fresh = authz_grant_new(authz, rows, row);
    struct authz_grant *known = strmap_get(&authz->grants, fresh->id);
    if (known != NULL) {
        known->revoked = known->revoked || fresh->revoked;
        known->suspended = fresh->suspended;
        authz_grant_unref(fresh);
        return;
    }
    authz->windowed += fresh->window_count > 0;
    (void)strmap_set(&authz->grants, fresh->id, fresh);
    list_append(&dataset_of(authz, fresh->dataset_name)->grants, &fresh->link);
}

static void take_catalogue(struct authz *authz, const struct db_rows *rows, int row)
{
    static const char *const names[] = { "OPEN", "CONDITIONAL", "DENIED" };
    struct db_value dataset = db_value(rows, row, 0), sharing = db_value(rows, row, 1);
    char *name = mem_strndup((const char *)dataset.data, dataset.len);
    struct authz_dataset *known = dataset_of(authz, name);
    free(name);
    known->sharing = SHARING_DENIED; /* a word that this version does not know is no leave */
    for (int i = 0; i < 3; i++)
        if (strlen(names[i]) == (size_t)sharing.len &&
            memcmp(names[i], sharing.data, sharing.len) == 0)
            known->sharing = i + SHARING_OPEN;
}

static void take_department(struct authz *authz, const struct db_rows *rows, int row)
{
    set_member(&authz->departments, db_value(rows, row, 0), !db_bool(db_value(rows, row, 1)));
}

static void take_officer(struct authz *authz, const struct db_rows *rows, int row)
{
    struct db_value name = db_value(rows, row, 0), roles = db_value(rows, row, 2);
    struct authz_officer *officer = mem_zero(sizeof *officer);
    officer->name = mem_strndup((const char *)name.data, name.len);
    officer->roles = officer_roles_parse((const char *)roles.data, roles.len);
    officer_free(strmap_remove(&authz->officers, officer->name));
    if (db_bool(db_value(rows, row, 1)))
        officer_free(officer);
    else
        (void)strmap_set(&authz->officers, officer->name, officer);
}

/* What changed behind an epoch, one table after the other. */
static const struct load {
    const char *sql;
    void (*take)(struct authz *authz, const struct db_rows *rows, int row);
} loads[] = {
    { departments_sql, take_department },
    { officers_sql, take_officer },
    { authz_grants_sql, take_grant },
    { catalogue_sql, take_catalogue },
};
enum { LOADS = sizeof loads / sizeof loads[0] };

static void on_loaded(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct authz *authz = arg;
    authz->call = NULL;
    if (err != NULL) {
        poll_failed(authz, err);
        return;
    }
    for (int i = 0; i < db_row_count(rows); i++)
        loads[authz->loading].take(authz, rows, i);
    if (++authz->loading < LOADS) {
        run(authz, loads[authz->loading].sql, true, on_loaded);
        return;
    }
    authz->epoch = authz->epoch_next;
    authz->anything_changed = true;
    log_event(LOG_INFO, NULL, "agreements_loaded", LOG_INT("epoch", authz->epoch),
              LOG_INT("changed", db_row_count(rows)), LOG_INT("known", authz->grants.count));
    lease_renewed(authz);
}

/* Told once a change: what follows from it is the watcher's business. */
static void look_at_schema(struct authz *authz, struct db_value digest)
{
    bool some = digest.data != NULL && digest.len == sizeof authz->schema;
    if (some == authz->schema_some &&
        (!some || memcmp(authz->schema, digest.data, sizeof authz->schema) == 0))
        return;
    authz->schema_some = some;
    if (some)
        memcpy(authz->schema, digest.data, sizeof authz->schema);
    authz->schema_seen(authz->schema_arg, some ? authz->schema : NULL);
}

static void on_epoch(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct authz *authz = arg;
    authz->call = NULL;
    if (err == NULL && db_row_count(rows) != 1) {
        struct err missing = ERR_INIT;
        (void)err_set(&missing, ERR_FAILED_PRECONDITION, "CONTROL_DATABASE",
                      "the control database has no agreement epoch; run sluice control migrate");
        poll_failed(authz, &missing);
        return;
    }
    if (err != NULL) {
        poll_failed(authz, err);
        return;
    }
    if (authz->schema_seen != NULL)
        look_at_schema(authz, db_value(rows, 0, 1));
    authz->epoch_next = db_int8(db_value(rows, 0, 0));
    if (authz->epoch_next == authz->epoch) {
        lease_renewed(authz);
        return;
    }
    authz->loading = 0;
    run(authz, loads[0].sql, true, on_loaded);
}

static void poll_now(void *arg)
{
    struct authz *authz = arg;
    authz->poll_sent_us = loop_now_us(authz->loop);
    run(authz, authz->schema_seen != NULL ? epoch_and_schema_sql : epoch_sql, false, on_epoch);
}

void authz_use_mask_key(struct authz *authz, const uint8_t *key)
{
    authz->mask_key = key;
}

void authz_watch_schema(struct authz *authz, authz_schema_fn seen, void *arg)
{
    authz->schema_seen = seen;
    authz->schema_arg = arg;
    authz->schema_some = schema_bundle_count(authz->bundle) > 0;
    memcpy(authz->schema, schema_bundle_digest(authz->bundle), sizeof authz->schema);
}

/* --- life ------------------------------------------------------------------------------------ */

struct authz *authz_new(struct loop *loop, struct db_source *control,
                        const struct schema_bundle *bundle, authz_changed_fn changed, void *arg)
{
    struct authz *authz = mem_zero(sizeof *authz);
    authz->loop = loop;
    authz->control = control;
    authz->bundle = bundle;
    authz->changed = changed;
    authz->arg = arg;
    strmap_init(&authz->grants);
    strmap_init(&authz->datasets);
    strmap_init(&authz->departments);
    strmap_init(&authz->officers);
    loop_timer_init(&authz->poll_timer, loop, poll_now, authz);
    loop_timer_init(&authz->lease_timer, loop, lease_expired, authz);
    loop_timer_start(&authz->poll_timer, 0);
    return authz;
}

static void free_officers(struct strmap *map)
{
    size_t pos = 0;
    const char *key;
    void *value;
    while (strmap_next(map, &pos, &key, &value))
        officer_free(value);
    strmap_fini(map);
}

static void free_members(struct strmap *map)
{
    size_t pos = 0;
    const char *key;
    void *value;
    while (strmap_next(map, &pos, &key, &value))
        free(value);
    strmap_fini(map);
}

void authz_free(struct authz **authz_ref)
{
    struct authz *authz = *authz_ref;
    if (authz == NULL)
        return;
    *authz_ref = NULL;
    db_call_cancel(&authz->call);
    loop_timer_fini(&authz->poll_timer);
    loop_timer_fini(&authz->lease_timer);
    size_t pos = 0;
    const char *key;
    void *value;
    while (strmap_next(&authz->grants, &pos, &key, &value))
        authz_grant_unref(value);
    strmap_fini(&authz->grants);
    pos = 0;
    while (strmap_next(&authz->datasets, &pos, &key, &value)) {
        struct authz_dataset *dataset = value;
        free(dataset->name);
        free(dataset);
    }
    strmap_fini(&authz->datasets);
    free_members(&authz->departments);
    free_officers(&authz->officers);
    free(authz);
}

bool authz_ready(const struct authz *authz)
{
    /* The clock itself, not the turn's: this is asked immediately before bytes leave. */
    return authz->epoch > 0 && clock_monotonic_us() < authz->lease_until_us;
}

int64_t authz_epoch(const struct authz *authz)
{
    return authz->epoch;
}
