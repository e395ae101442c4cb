/* Private to authz/: the grant and the tables that agreements.c fills and decide.c reads.
 * Ownership: see authz.h.
 * Callbacks: none.
 * Limits: see authz.h.
 * Not for other rooms. */
#ifndef SLUICE_AUTHZ_INTERNAL_H
#define SLUICE_AUTHZ_INTERNAL_H

#include "authz/authz.h"
#include "authz/bounds.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/strmap.h"
#include "net/loop.h"
#include "pg/db.h"

struct authz_plan {
    uint8_t fields[PLAN_BITMAP_BYTES];
    struct schema_plan *plan;
};

struct authz_grant {
    struct list link; /* its dataset's grants */
    struct arena arena;
    int refs;
    const char *id;
    const char *consumer_department;
    const char *consumer_system;          /* "*" = every system */
    const struct schema_dataset *dataset; /* NULL: the schema no longer has it */
    const char *dataset_name;
    const char *owner;
    char *const *purposes;
    size_t purpose_count;
    unsigned modes;
    int64_t valid_from_us; /* wall */
    int64_t valid_until_us;
    double rate_per_second;
    double burst;
    int64_t daily_quota;      /* records; 0: none */
    int64_t quota_shut_us;    /* monotonic: until then it counts as used up */
    int64_t quota_new_day_us; /* monotonic: when it begins anew, as last heard */
    const char *legal_basis;
    uint8_t digest[32];
    bool revoked;
    bool suspended;
    struct err broken; /* code OK: usable; else why it does not fit the current schema */
    uint8_t fields[PLAN_BITMAP_BYTES];    /* granted */
    uint8_t delivered[PLAN_BITMAP_BYTES]; /* of them, all but MASK_DROP */
    uint8_t unmasked[PLAN_BITMAP_BYTES];  /* of them, without any mask */
    struct schema_masks *masks;           /* NULL: none */
    const struct authz_network *networks;
    size_t network_count; /* 0: from everywhere */
    const char *networks_text;
    const struct authz_window *windows;
    size_t window_count; /* 0: at all times */
    const char *windows_text;
    const char *onward;
    struct schema_filter *row_filter;
    struct authz_plan plans[AUTHZ_PLANS_MAX];
    size_t plan_count;
    double tokens;
    int64_t tokens_at_us;
};

struct authz_officer {
    char *name; /* "department/name" */
    unsigned roles;
};

struct authz_dataset {
    struct list grants;
    char *name;
    int sharing; /* of its published catalogue entry, DENIED when retired; 0: there is none */
};

struct authz {
    struct loop *loop;
    struct db_source *control;
    const struct schema_bundle *bundle;
    const uint8_t *mask_key; /* NULL: none */
    authz_changed_fn changed;
    void *arg;
    struct loop_timer poll_timer;
    struct loop_timer lease_timer;
    struct db_call *call;
    int64_t poll_sent_us;
    int64_t lease_until_us;
    int64_t epoch;      /* loaded */
    int64_t epoch_next; /* being loaded */
    size_t loading;     /* which table of it */
    bool lease_lost;
    bool anything_changed;
    size_t windowed; /* agreements with windows, ever */
    int64_t minute;  /* of the wall clock, when windows were looked at last */
    /* The current schema bundle, where somebody watches it. */
    authz_schema_fn schema_seen;
    void *schema_arg;
    bool schema_some;
    uint8_t schema[SCHEMA_DIGEST_BYTES];
    struct strmap grants;      /* id -> authz_grant */
    struct strmap datasets;    /* name -> authz_dataset */
    struct strmap departments; /* name -> itself, active ones */
    struct strmap officers;    /* "department/name" -> struct authz_officer, active ones */
};

void authz_grant_unref(struct authz_grant *grant);
/* grant.c: one row of control.agreement. */
enum { GRANT_COLUMNS = 23 };
extern const char authz_grants_sql[];
struct authz_grant *authz_grant_new(const struct authz *authz, const struct db_rows *rows, int row);
/* decide.c: what the agreements say of a call at `now_us`, without anything that a call uses up. */
int authz_judge(struct authz *authz, const struct authz_ask *ask, int64_t now_us,
                struct authz_answer *answer, struct err *err);
/* grant_bounds.c: the same for networks and windows. */
void authz_grant_bind_bounds(struct authz_grant *grant, struct db_value networks,
                             struct db_value windows);
/* mask.c: texts as control.agreement has them; fills masks, delivered and unmasked, or `broken`. */
void authz_grant_bind_masks(const struct authz *authz, struct authz_grant *grant,
                            struct db_value texts, struct db_value key_check);

#endif
