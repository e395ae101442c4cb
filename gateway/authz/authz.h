/* The authorisation room: agreements as the control database has them, a lease, one decision.
 * Ownership: authz owns all grants; an answer holds a reference that authz_answer_fini gives back.
 * Callbacks: `changed` after any change of what may be released (a revocation, an expired lease, a
 *   lease that came back), never inside a call into this header.
 * Limits: the epoch is read every AUTHZ_POLL_MS; a lease lasts AUTHZ_LEASE_MS from when the
 * successful read was sent, so a revocation is in force within a second whatever breaks. Does not
 * write: services change agreements; this room sees them come back by the epoch. */
#ifndef SLUICE_AUTHZ_AUTHZ_H
#define SLUICE_AUTHZ_AUTHZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "authz/identity.h"
#include "authz/officer.h"
#include "schema/bundle.h"
#include "schema/mask.h"
#include "schema/plan.h"

struct authz;
struct authz_grant;
struct db_source;
struct err;
struct loop;

enum {
    AUTHZ_POLL_MS = 250,
    AUTHZ_LEASE_MS = 900,
    /* Short, because a stream that ends gives back what it reserved and did not deliver. */
    AUTHZ_QUOTA_SHUT_MS = 1000,
    AUTHZ_PLANS_MAX = 32, /* field sets cached for one agreement; further ones are made per call */
};

/* Bits of an agreement's modes: 1 << sluice.v1.AgreementMode. */
enum authz_mode {
    AUTHZ_LOOKUP = 1 << 1,
    AUTHZ_QUERY = 1 << 2,
    AUTHZ_VERIFY = 1 << 3,
    AUTHZ_TRANSFER = 1 << 4,
};

typedef void (*authz_changed_fn)(void *arg);

struct authz *authz_new(struct loop *loop, struct db_source *control,
                        const struct schema_bundle *bundle, authz_changed_fn changed, void *arg);
void authz_free(struct authz **authz);
/* The gateways' mask key, SCHEMA_MASK_KEY_BYTES; borrowed. Without it agreements with hash masks are
 * refused. Before the first turn of the loop. */
void authz_use_mask_key(struct authz *authz, const uint8_t *key);
/* Also reads, with the epoch, which schema bundle of the control database is current, and tells when
 * that changes: `digest` has SCHEMA_DIGEST_BYTES, NULL: there is none. The bundle of authz_new counts
 * as seen. */
typedef void (*authz_schema_fn)(void *arg, const uint8_t *digest);
void authz_watch_schema(struct authz *authz, authz_schema_fn seen, void *arg);
/* Agreements are loaded and the lease runs. */
bool authz_ready(const struct authz *authz);
int64_t authz_epoch(const struct authz *authz);

struct authz_ask {
    const struct identity *who;
    const char *dataset;
    const char *agreement; /* "" = the only live one */
    const char *purpose;
    enum authz_mode mode;
    bool for_department; /* an officer uses what is granted to the whole department, <dept>/'*' */
    bool
        resumed; /* admitted before: a mover goes on, and nobody is at the other end to be asked where from */
    const char *const *fields; /* canonical names; none = all that are granted */
    size_t field_count;
};

struct authz_answer {
    const struct schema_dataset *dataset; /* NULL: unknown to the caller */
    struct authz_grant *grant;            /* may be set on a refusal too, for the audit entry */
    struct schema_plan *plan;
    bool own_plan;
    const char *rule;                  /* literal: the rule that decided */
    uint8_t fields[PLAN_BITMAP_BYTES]; /* that may leave; MASK_DROP is not among them */
    int64_t epoch;
    int64_t retry_after_ms; /* with RATE_LIMITED */
};

/* The one decision. 0 = allowed. Refusals: NOT_FOUND/DATASET_NOT_FOUND (hidden and absent alike),
 * PERMISSION_DENIED/AGREEMENT_NOT_FOUND, AGREEMENT_REVOKED, AGREEMENT_SUSPENDED, AGREEMENT_EXPIRED,
 * AGREEMENT_NOT_YET_VALID, WINDOW_CLOSED, NETWORK_NOT_GRANTED, PURPOSE_NOT_GRANTED, MODE_NOT_GRANTED,
 * FIELD_NOT_GRANTED,
 * FIELD_MASKED (verifying), DEPARTMENT_UNKNOWN; INVALID_ARGUMENT/FIELD_UNKNOWN, AGREEMENT_AMBIGUOUS;
 * RESOURCE_EXHAUSTED/RATE_LIMITED, QUOTA_EXHAUSTED; FAILED_PRECONDITION/AGREEMENT_OUTDATED,
 * MASK_KEY_MISSING, MASK_KEY_CHANGED;
 * UNAVAILABLE/LEASE_EXPIRED. */
int authz_decide(struct authz *authz, const struct authz_ask *ask, struct authz_answer *answer_r,
                 struct err *err);
/* The same for a call that is not made: no lease, no token, no quota, no plan; answer_r->plan stays NULL.
 * What would be allowed instead is written to would_r, in words. */
enum { AUTHZ_WOULD_BYTES = 512 };
int authz_explain(struct authz *authz, const struct authz_ask *ask, struct authz_answer *answer_r,
                  char would_r[AUTHZ_WOULD_BYTES], struct err *err);
/* Asked immediately before every hand-over: lease, revocation, validity, window. `err` says which failed.
 */
bool authz_live(const struct authz *authz, const struct authz_answer *answer, struct err *err);
void authz_answer_fini(struct authz *authz, struct authz_answer *answer);

/* Every field whose value the agreement lets out as it is, whatever this call asked for: a filter or a
 * comparison may use these. Of a masked field neither may, or its value could be guessed. */
const uint8_t *authz_answer_granted(const struct authz_answer *answer);
/* The caller's filter over them. NULL with INVALID_ARGUMENT: FIELD_MASKED, or as schema_filter_parse. */
struct schema_filter *authz_answer_filter(const struct authz_answer *answer, const char *text,
                                          struct err *err);
/* PERMISSION_DENIED/FIELD_MASKED when the agreement masks this field. */
int authz_answer_unmasked(const struct authz_answer *answer, const struct schema_field *field,
                          struct err *err);
/* What an entry says of an allowed call: "agreement", with masks as obligations "agreement.masks". */
const char *authz_answer_rule(const struct authz_answer *answer);

/* Whether an agreement of these modes may have this mask: as schema_mask_check; INVALID_ARGUMENT/MASK_KEY
 * where a field of the key may not be masked, MASK_MODE where no record leaves at all. */
int authz_check_mask(const struct schema_dataset *dataset, unsigned modes,
                     const struct schema_field *field, const struct schema_mask *mask,
                     struct err *err);

/* What an entry cites. */
const char *authz_grant_id(const struct authz_grant *grant);
const char *authz_grant_legal_basis(const struct authz_grant *grant);
/* Who else may receive the data; "": nobody. */
const char *authz_grant_onward(const struct authz_grant *grant);
const uint8_t *authz_grant_digest(const struct authz_grant *grant); /* 32 bytes */

/* Records a day, 0: no limit. The audit transaction counts them, not this room. */
int64_t authz_grant_daily_quota(const struct authz_grant *grant);
/* The audit transaction refused even one record: for AUTHZ_QUOTA_SHUT_MS the decision refuses by itself,
 * so that a caller who goes on asking costs its owner nothing. `left_ms`: until the next day. */
void authz_quota_used_up(struct authz *authz, const struct authz_answer *answer, int64_t left_ms);

/* True when a live agreement lets the caller see the dataset at all (or, for officers, when their
 * department owns it or is its consumer); `granted_r` (may be NULL) gets the union of granted
 * fields. */
bool authz_sees_dataset(const struct authz *authz, const struct identity *who,
                        const struct schema_dataset *dataset, uint8_t *granted_r);
/* Owner of the dataset, or consumer of an agreement about it, whatever has become of that. */
bool authz_party_to_dataset(const struct authz *authz, const char *department,
                            const struct schema_dataset *dataset);
/* Bits of enum authz_mode: what those live agreements allow, of all that concern the caller. */
unsigned authz_granted_modes(const struct authz *authz, const struct identity *who,
                             const struct schema_dataset *dataset);
/* Name of the dataset that an agreement of this owner is about; NULL when there is none. */
const char *authz_agreement_dataset(const struct authz *authz, const char *id, const char *owner);
/* How a dataset is shared now: as its mapping says, or as its published catalogue entry where that is
 * stricter; DENIED when the entry is retired. */
enum schema_sharing authz_sharing(const struct authz *authz, const struct schema_dataset *dataset);
/* A published catalogue entry says that the dataset is not shared, or no longer: nothing of it is granted. */
bool authz_catalogue_forbids(const struct authz *authz, const char *dataset);
/* Registered and not disabled. */
bool authz_department_known(const struct authz *authz, const char *department);
int authz_check_officer(const struct authz *authz, const struct identity *who, unsigned roles,
                        struct err *err);

#endif
