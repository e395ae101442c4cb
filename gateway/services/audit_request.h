/* What an officer searches the audit log by: checks of a SearchAuditRequest.
 * Ownership: requests are borrowed; texts and messages lie in the arena given.
 * Never calls back.
 * Limits: AUDIT_REQUEST_TEXT_BYTES_MAX a text, as long as anything that the log holds.
 * Does not read the log, and never copies a person's identifier. */
#ifndef SLUICE_SERVICES_AUDIT_REQUEST_H
#define SLUICE_SERVICES_AUDIT_REQUEST_H

#include "base/arena.h"
#include "sluice/v1/audit.pb-c.h"

struct err;

enum { AUDIT_REQUEST_TEXT_BYTES_MAX = 2048 };

/* INVALID_ARGUMENT FILTER_INVALID names the member that is wrong. */
int audit_request_check(const Sluice__V1__SearchAuditRequest *request, struct err *err);
/* Names of the members that filter, with a space between, never their values: what an officer's
 * entry says of a search. */
const char *audit_request_names(const Sluice__V1__SearchAuditRequest *request, struct arena *arena);

#endif
