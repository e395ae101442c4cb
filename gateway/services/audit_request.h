/* What an officer searches the audit log by: checks of a SearchAuditRequest; and what the methods
 *   that take two officers share.
 * Ownership: requests are borrowed; texts and messages lie in the arena given.
 * Never calls back.
 * Limits: AUDIT_REQUEST_TEXT_BYTES_MAX a text, as long as anything that the log holds.
 * Does not read the log, and never copies a person's identifier. */
#ifndef SLUICE_SERVICES_AUDIT_REQUEST_H
#define SLUICE_SERVICES_AUDIT_REQUEST_H

#include "base/arena.h"
#include "services/admin.h"
#include "sluice/v1/audit.pb-c.h"

struct err;

enum { AUDIT_REQUEST_TEXT_BYTES_MAX = 2048, AUDIT_REQUEST_REASON_BYTES_MAX = 512 };

/* INVALID_ARGUMENT FILTER_INVALID names the member that is wrong. */
int audit_request_check(const Sluice__V1__SearchAuditRequest *request, struct err *err);
/* Names of the members that filter, with a space between, never their values: what an officer's
 * entry says of a search. */
const char *audit_request_names(const Sluice__V1__SearchAuditRequest *request, struct arena *arena);

/* INVALID_ARGUMENT REASON: none, or longer than AUDIT_REQUEST_REASON_BYTES_MAX. */
int audit_request_reason(const char *reason, struct err *err);
/* Whether a hold's scope says anything. */
bool audit_request_scope_given(const Sluice__V1__HoldScope *scope);
/* INVALID_ARGUMENT HOLD_SCOPE names the member that is wrong. */
int audit_request_scope(const Sluice__V1__HoldScope *scope, struct err *err);
/* Step of a List method whose pages go by id: what its entry says; INVALID_ARGUMENT TOKEN_INVALID. */
enum step_result audit_request_list(struct call *call, const char *page_token);
/* A text column, in the call's arena. */
char *audit_request_text(struct call *call, const struct db_rows *rows, int row, int column);

#endif
