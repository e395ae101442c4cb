/* What granting an agreement and applying for one share: checks of the terms, the one INSERT.
 * Ownership: texts lie in the call's arena.
 * Never calls back.
 * Limits: AGREEMENT_*_MAX of agreement_rows.h.
 * Does not decide who may grant or apply: agreement.c and application.c do. */
#ifndef SLUICE_SERVICES_AGREEMENT_TERMS_H
#define SLUICE_SERVICES_AGREEMENT_TERMS_H

#include "authz/authz.h"
#include "rpc/call.h"
#include "services/agreement_rows.h"

enum {
    AGREEMENT_INSERT_PARAMS = 23,
    /* A grant answers when every worker has had time to read it; a revocation or suspension when every
     * lease that could still rest on the old state has run out: after that answer no record leaves
     * anywhere. */
    GRANT_SETTLE_MS = AUTHZ_POLL_MS + 100,
    REVOKE_SETTLE_MS = AUTHZ_LEASE_MS,
};

struct agreement_consumer {
    char department[IDENTITY_NAME_BYTES];
    char system[IDENTITY_NAME_BYTES]; /* "*": every system */
};

/* The consumer's form and department, fields, purposes, modes, limits, validity, bounds, masks and row
 * filter; fills in valid_from (now) and a mask's character where they are not set. -1 with call->err,
 * INVALID_ARGUMENT and its reason. */
int agreement_check_terms(struct call *call, const struct schema_dataset *dataset,
                          Sluice__V1__Agreement *agreement, struct agreement_consumer *consumer_r);

/* The masks alone: in the limits, of granted fields, one each, fitting. -1 with call->err: INVALID_ARGUMENT
 * with MASK_*, FAILED_PRECONDITION/MASK_KEY_MISSING. */
int agreement_check_masks(struct call *call, const struct schema_dataset *dataset,
                          Sluice__V1__Agreement *agreement);
/* Networks, windows and onward supply alone: NETWORK_INVALID, WINDOW_INVALID, ONWARD_INVALID. */
int agreement_check_bounds(struct call *call, const Sluice__V1__Agreement *agreement);
/* What tells the mask key of an agreement with hashes, as bytea; NULL: it has none. */
char *agreement_mask_key_check(struct call *call, const Sluice__V1__Agreement *agreement);

/* "agr-" and 12 random characters of base 32. */
char *agreement_make_id(struct arena *arena);
/* An integer[] literal. */
char *agreement_modes_array(struct arena *arena, const Sluice__V1__Agreement *agreement);

/* INSERT INTO control.agreement … VALUES ($1 … $23), to be completed by the caller; the parameters make
 * the caller's department the owner and the caller the grantor. */
extern const char agreement_insert_sql[];
void agreement_insert_params(struct call *call, const Sluice__V1__Agreement *agreement,
                             const struct agreement_consumer *consumer,
                             const char *params_r[AGREEMENT_INSERT_PARAMS]);

#endif
