/* What every service of a worker shares: schema, sources, authorisation, audit, keys.
 * Ownership: the worker owns the struct and everything in it; services borrow.
 * Callbacks: gateway_* call back as pg/, authz/ and audit/ do.
 * Limits: datasets and sources as configured; one worker, one thread.
 * Does not speak HTTP and knows no process but its own. */
#ifndef SLUICE_SERVICES_GATEWAY_H
#define SLUICE_SERVICES_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/client.h"
#include "authz/authz.h"
#include "base/err.h"
#include "base/strmap.h"
#include "conf/conf.h"
#include "net/loop.h"
#include "pg/db.h"
#include "schema/bundle.h"
#include "services/drift_watch.h"
#include "services/quarantine_seal.h"

enum {
    GATEWAY_KEY_BYTES = 32,
    GATEWAY_PROBE_MS = 2000, /* between two looks at the owners' tables; a look is a few LIMIT 0 */
};

struct audit_floors;
struct audit_sums;
struct behind;
struct gateway;
struct quarantine;

/* One department database. */
struct gateway_source {
    struct gateway *gateway;
    const struct conf_source *conf;
    struct db_source *db;
    int streams;      /* running in this worker */
    struct err pools; /* code OK: its limits have room for this gateway's pools */
    /* The check of a fresh connection: which dataset is being described. */
    struct db_check *check;
    size_t checking;
    /* The same on a leased connection, every GATEWAY_PROBE_MS: drift is found, and its mending too.
     */
    struct loop_timer probe_timer;
    struct db_lease *probe;
    size_t probing;
};

/* One dataset as this worker can serve it now. */
struct gateway_dataset {
    const struct schema_dataset *dataset;
    struct gateway_source *source;
    bool judged; /* its table has been looked at since the start */
    bool ready;
    struct err closed; /* why not, when !ready */
    struct drift_watch *drift;
};

struct gateway {
    struct loop *loop;
    const struct conf *conf;
    struct schema_bundle *bundle;
    struct authz *authz;
    struct audit_client *audit; /* NULL only when audit.enabled is false (bench) */
    struct db_source *control;
    struct behind *behind;
    struct audit_sums *audit_sums;
    struct audit_floors *audit_floors;
    struct quarantine *quarantine;
    struct quarantine_keys quarantine_keys;
    struct db_check *control_check;
    bool control_judged;      /* its limits have been looked at */
    struct err control_pools; /* as gateway_source.pools; a worker is not ready with such a one */
    struct gateway_source *sources;
    size_t source_count;
    struct gateway_dataset *datasets;
    size_t dataset_count;
    struct strmap dataset_index; /* name -> struct gateway_dataset */
    uint8_t person_key[GATEWAY_KEY_BYTES];
    uint8_t token_key[GATEWAY_KEY_BYTES];
    uint8_t mask_key[GATEWAY_KEY_BYTES];
    bool masks_hash; /* mask_key is there */
    bool draining;
};

/* Reads the keys and opens the control database (connecting goes on in the background). -1 with
 * FAILED_PRECONDITION or INVALID_ARGUMENT; `err->text` names the file. */
int gateway_open(struct gateway *gateway, struct loop *loop, const struct conf *conf,
                 struct err *err);
/* Takes the bundle (whatever it answers) and opens the sources. -1 with INVALID_ARGUMENT when a
 * dataset reads a source that the configuration does not list. */
int gateway_serve(struct gateway *gateway, struct schema_bundle *bundle, struct err *err);
void gateway_fini(struct gateway *gateway);

/* NULL when the bundle has no such dataset. */
struct gateway_dataset *gateway_dataset_find(const struct gateway *gateway, const char *name);
/* Why a dataset is closed, as a consumer may read it: the owner's columns are the owner's business.
 */
void gateway_dataset_closed(const struct gateway_dataset *dataset, struct err *err);
/* The same as the owner's officer may read it: which column of which table. */
void gateway_dataset_closed_to_owner(const struct gateway_dataset *dataset, struct err *err);

#endif
