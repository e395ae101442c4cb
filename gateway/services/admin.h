/* What the catalogue and the officers' services share: admission, one control statement, one entry.
 * Ownership: struct admin is the first member of each such method's call->state.
 * Callbacks: through the call's steps.
 * Limits: ADMIN_AUDIT_WAIT_MS for an entry.
 * Does not decide what an officer may do to an agreement: agreement.c does. */
#ifndef SLUICE_SERVICES_ADMIN_H
#define SLUICE_SERVICES_ADMIN_H

#include "rpc/call.h"
#include "services/gateway.h"

struct admin {
    struct db_lease *lease;
    struct db_call *db;
    struct audit_ticket *ticket;
    bool waiting_db;
    bool waiting_entry;
    struct loop_timer settle;
    bool settling;
    bool recorded;
    int64_t index; /* of the entry, once recorded */
    char *note;    /* the signed checkpoint that covers the entry, once recorded */
    /* What the call's entry says; set before admin_record. */
    Sluice__V1__AuditEntry__Kind kind;
    const char *dataset;
    const char *owner;
    const char *agreement;
    const char *object;
    const char *rule;
    const char *purpose; /* a reason that the officer stated */
    const uint8_t (*persons)[HASH_BYTES];
    size_t person_count;
    struct err failed;
};

/* Step: the caller's department (and officer, on the officers' port) is registered. */
enum step_result admin_admit(struct call *call);

/* Runs one statement of the control database on a leased connection; `take` sees the rows. The step
 * answers WAIT; its resumed half is admin_ran. */
typedef int (*admin_take_fn)(struct call *call, const struct db_rows *rows, struct err *err);
enum step_result admin_run(struct call *call, const struct db_sql *sql, admin_take_fn take);
enum step_result admin_ran(struct call *call);

/* Appends the call's entry (ALLOWED) and waits; the resumed half is admin_recorded. */
enum step_result admin_record(struct call *call);
enum step_result admin_recorded(struct call *call);

/* Waits until what the answer says is true everywhere; the resumed half is admin_settled. */
enum step_result admin_settle(struct call *call, int64_t delay_ms);
enum step_result admin_settled(struct call *call);

/* Hooks of struct rpc_method for methods that are recorded. */
enum step_result admin_outcome(struct call *call);
void admin_finish(struct call *call, bool delivered);

size_t admin_page_size(int32_t asked, size_t fallback, size_t max);

#endif
