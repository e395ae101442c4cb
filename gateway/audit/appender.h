/* The auditor's work: takes entries from workers, commits them in groups, signs, then answers.
 * Ownership: the appender owns what it queued and one leased connection of `source`; the signer and
 * the source are borrowed and outlive it; worker handles are the owner's and only passed back.
 * Callbacks: `send` and `state` run from a task, a timer or a database answer, never inside
 *   audit_appender_receive.
 * Limits: a batch of APPENDER_BATCH_MAX entries and APPENDER_BATCH_BYTES_MAX; the queue is bounded
 * by the workers' tickets. Does not make entries, and answers nobody before COMMIT is certain and
 * the checkpoint is signed and kept. */
#ifndef SLUICE_AUDIT_APPENDER_H
#define SLUICE_AUDIT_APPENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "audit/salt.h"
#include "base/buf.h"
#include "sluice/internal/ipc.pb-c.h"

struct db_source;
struct err;
struct loop;

enum {
    APPENDER_BATCH_MAX = 512,
    APPENDER_BATCH_BYTES_MAX = 4 * 1024 * 1024,
    /* Of each batch, kept for denied entries when some wait, so that they are late but never lost.
     */
    APPENDER_DENIED_SHARE = 32,
};

struct audit_appender_options {
    const char *origin;
    const struct note_signer *signer;
    const uint8_t *salt_key; /* SALT_KEY_BYTES, copied */
    const char *state_path;  /* file of the last signed checkpoint; its folder must be writable */
    /* One packed sluice.internal.IpcMessage (AppendReply) for `worker`. */
    void (*send)(void *arg, void *worker, const uint8_t *message, size_t len);
    /* On each change: tell every worker (AuditState). The reason is a short sentence, empty when
     * writable. */
    void (*state)(void *arg, bool writable, const char *reason);
    void *arg;
};

struct audit_appender;
/* Options are copied, except the signer. NULL with FAILED_PRECONDITION when the state file is
 * damaged or of another log. Starts by checking that the store extends the state file. `source` has
 * room for one leased connection, logged in as a member of sluice_auditor on the writable primary.
 */
struct audit_appender *audit_appender_new(struct loop *loop, struct db_source *source,
                                          const struct audit_appender_options *options,
                                          struct err *err);
/* What waits is dropped unanswered: workers send it again to the next auditor. */
void audit_appender_free(struct audit_appender **appender);

/* Copies the entries of one worker into the queue. Invalid ones are logged and never answered. */
void audit_appender_receive(struct audit_appender *appender, void *worker,
                            const Sluice__Internal__AppendRequest *request);
/* The worker is gone: its entries are still appended, nothing is sent to it any more. */
void audit_appender_forget(struct audit_appender *appender, void *worker);

/* Unwraps a stored salt. -1 when the key, the entry's id and the bytes do not belong together. */
int audit_appender_unwrap(const struct audit_appender *appender, struct slice entry_id,
                          struct slice wrapped, uint8_t salt_r[SALT_BYTES]);

bool audit_appender_writable(const struct audit_appender *appender, const char **reason_r);
/* Nothing waits and nothing is under way: the process may end. */
bool audit_appender_idle(const struct audit_appender *appender);
/* The newest signed checkpoint, empty before the first; borrowed until the next turn of the loop.
 */
struct slice audit_appender_checkpoint(const struct audit_appender *appender);

struct audit_appender_stats {
    uint64_t size; /* of the log as last seen */
    size_t queued;
    uint64_t batches;
    uint64_t entries;
    uint64_t known;     /* entries sent again that were in the log already */
    uint64_t contended; /* batches that found another gateway's head */
    uint64_t failures;  /* batches or checks that had to be tried again */
    uint64_t invalid;
};
void audit_appender_stats(const struct audit_appender *appender,
                          struct audit_appender_stats *stats_r);

#endif
