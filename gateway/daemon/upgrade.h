/* The master's upgrade in place: the new binary on disk is tried, then executed under the same pid.
 * Ownership: the upgrade is the master's; the state it hands over borrows from the master.
 * Callbacks: `save` when the new binary has passed its check, `over` when the upgrade did not happen.
 * Limits: one at a time; UPGRADE_CHECK_MS for the check.
 * Does not know what the state says: master.c, generation.c and listen.c do. */
#ifndef SLUICE_DAEMON_UPGRADE_H
#define SLUICE_DAEMON_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "sluice/internal/ipc.pb-c.h"

struct err;
struct loop;

enum { UPGRADE_CHECK_MS = 10000, MASTER_STATE_VERSION = 1 };

struct upgrade_handlers {
    /* Fills the state; false with an error: not now. */
    bool (*save)(void *arg, Sluice__Internal__MasterState *state, struct arena *arena,
                 struct err *err);
    void (*over)(void *arg, const struct err *err);
};

struct upgrade;
/* Asks the binary at `program` whether it can take over; the rest follows by itself. */
struct upgrade *upgrade_start(struct loop *loop, const char *program, const char *config_file,
                              const struct upgrade_handlers *handlers, void *arg);
/* True when the pid was the check's. */
bool upgrade_reap(struct upgrade *upgrade, pid_t pid, int status);
void upgrade_free(struct upgrade **upgrade);

/* The state behind a descriptor, closed then; NULL with FAILED_PRECONDITION/UPGRADE_STATE. Free it
 * with sluice__internal__master_state__free_unpacked. */
Sluice__Internal__MasterState *upgrade_read(int fd, struct err *err);
/* Signals that must not end a binary before it has said what it does with them are held back
 * across the execution; this lets them come. */
void upgrade_release_signals(void);

#endif
