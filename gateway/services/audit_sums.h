/* Keeps the sums of the audit log up to date in the background, for search and statistics.
 * Ownership: the owner holds the struct; `behind` must outlive it.
 * Never calls back.
 * Limits: AUDIT_SUMS_BLOCKS blocks of 1,024 entries each AUDIT_SUMS_EVERY_MS and worker.
 * Does not matter to what is answered: entries without sums are read one by one, which is slower. */
#ifndef SLUICE_SERVICES_AUDIT_SUMS_H
#define SLUICE_SERVICES_AUDIT_SUMS_H

#include "services/behind.h"

enum {
    AUDIT_SUMS_EVERY_MS = 15000,
    AUDIT_SUMS_BLOCKS = 256, /* 262,144 entries, about a second: more than a gateway logs in 15 s */
};

struct audit_sums;
struct audit_sums *audit_sums_new(struct loop *loop, struct behind *behind);
/* No further round: for a worker that drains. Accepts NULL. */
void audit_sums_stop(struct audit_sums *sums);
void audit_sums_free(struct audit_sums **sums);

#endif
