/* Tells the control database how long this gateway's configuration wants the audit log kept.
 * Ownership: the owner holds the struct; `behind` must outlive it.
 * Never calls back.
 * Limits: one statement, again every AUDIT_FLOORS_AGAIN_MS until the database has taken it.
 * Does not shorten anything: the database takes what is longer, and the law's floors are its own. */
#ifndef SLUICE_SERVICES_AUDIT_FLOORS_H
#define SLUICE_SERVICES_AUDIT_FLOORS_H

#include <stdint.h>

#include "services/behind.h"

enum { AUDIT_FLOORS_AGAIN_MS = 15000 };

struct audit_floors;
struct audit_floors *audit_floors_new(struct loop *loop, struct behind *behind, int64_t usage_days,
                                      int64_t network_days);
void audit_floors_free(struct audit_floors **floors);

#endif
