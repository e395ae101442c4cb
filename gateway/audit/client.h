/* A worker's end of the audit log: entries go to the auditor, tickets wait until they are
 *   durable.
 * Ownership: the client owns its tickets; a caller borrows one until its callback or its cancel.
 * Callbacks: `done` never inside append, never after cancel, otherwise exactly once. They run
 *   from a task, a timer or audit_client_on_message.
 * Limits: AUDIT_UNRESOLVED_MAX entries and AUDIT_UNRESOLVED_BYTES_MAX wait at once.
 * Does not know sockets: `send` takes the bytes of one packed sluice.internal.IpcMessage and
 *   queues them (ipc_send_bytes does). An admitted entry is never dropped, whatever becomes of its
 *   call. */
#ifndef SLUICE_AUDIT_CLIENT_H
#define SLUICE_AUDIT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/entry.h"
#include "audit/salt_opener.h"
#include "base/buf.h"
#include "sluice/internal/ipc.pb-c.h"

struct err;
struct loop;

enum {
    AUDIT_UNRESOLVED_MAX = 8192,
    AUDIT_UNRESOLVED_BYTES_MAX = 32 * 1024 * 1024,
    AUDIT_SETTLED_MS = 50,
    AUDIT_FRAME_BYTES_MAX = 1024 * 1024, /* a larger flush is several frames */
};

struct audit_client_options {
    const char *origin;
    const char *instance;
    void (*send)(void *arg, const uint8_t *message, size_t len);
    /* An allowed decision became durable after its call had given up (deadline or cancel). The
     * client has already appended the DELIVERY entry that says so; this is for logs and counters.
     * May be NULL. `exchange_id` is 16 bytes or empty. */
    void (*late)(void *arg, struct slice exchange_id, int64_t index);
    void *arg;
};

struct audit_client;
struct audit_client *audit_client_new(struct loop *loop,
                                      const struct audit_client_options *options);
/* No callback fires any more; what was not sent is lost, so drain first. */
void audit_client_free(struct audit_client **client);

/* What the entry of the running callback was charged to its agreement's daily quota, and for which day
 * (days since 1970-01-01); zeros when it charged nothing. */
struct audit_charge {
    int64_t records;
    int32_t day;
};
struct audit_charge audit_client_charge(const struct audit_client *client);

/* `err` NULL: the entry is durable at `index`, covered by the signed note `checkpoint` (valid
 * during the callback). `index` -1 without an error: a denial that was counted for a shared entry.
 * Errors: RESOURCE_EXHAUSTED AUDIT_BACKLOG (too many wait; not recorded) or ENTRY_TOO_LARGE (not
 * recorded), INVALID_ARGUMENT ENTRY_INVALID (not recorded), UNAVAILABLE AUDIT_UNAVAILABLE (the
 * deadline passed: it may be recorded later), RESOURCE_EXHAUSTED QUOTA_EXHAUSTED (with an index: the
 * entry is durable, but refused; `retry_after_ms` says when the next day begins). After any error no record may leave. NULL only for
 * kinds other than DECISION whose loss would merely be logged. */
typedef void (*audit_done_fn)(void *arg, int64_t index, struct slice checkpoint,
                              const struct err *err);

/* Admits an entry. `deadline_us` is monotonic. Fields are used before the return. Never NULL. The
 * client itself marks an allowed decision whose call gave up before it was durable: do not do it
 * again. */
struct audit_ticket;
struct audit_ticket *audit_client_append(struct audit_client *client,
                                         const struct audit_entry_fields *fields,
                                         int64_t deadline_us, audit_done_fn done, void *arg);
/* The entry is still recorded; the callback never fires. Sets *ticket to NULL; accepts NULL. */
void audit_client_cancel(struct audit_ticket **ticket);

/* The answer of a recorded exchange has left: told to the auditor within AUDIT_SETTLED_MS, so that it
 * need not be named as open when this process dies. `exchange_id` has UUID_BYTES. */
void audit_client_settled(struct audit_client *client, const uint8_t *exchange_id);

/* Asks the auditor to unwrap a salt: see salt_opener_ask and salt_question_cancel. */
struct salt_question *audit_client_unwrap(struct audit_client *client, const uint8_t *entry_id,
                                          struct slice wrapped, int64_t deadline_us,
                                          salt_opened_fn done, void *arg, struct err *err);

/* What arrived from the auditor: AppendReply, AuditState and SaltUnwrapped; anything else is ignored. */
void audit_client_on_message(struct audit_client *client,
                             const Sluice__Internal__IpcMessage *message);
/* A (new) auditor can be reached: sends all that waits; what an earlier one may have, as resent. */
void audit_client_attached(struct audit_client *client);
/* The auditor is gone: entries wait for the next. */
void audit_client_detached(struct audit_client *client);

/* Whether the log takes entries now; `reason_r` (may be NULL) says why not. Borrowed. */
bool audit_client_writable(const struct audit_client *client, const char **reason_r);
/* Sends the shared denial entries now, due or not: for the end of the process. */
void audit_client_drain(struct audit_client *client);

struct audit_client_stats {
    size_t unresolved;
    size_t unresolved_bytes;
    uint64_t admitted;
    uint64_t resolved;
    uint64_t refused; /* backlog, too large, invalid */
    uint64_t expired; /* deadlines that passed */
    uint64_t late;
    uint64_t denials_shared;
};
void audit_client_stats(const struct audit_client *client, struct audit_client_stats *stats_r);

#endif
