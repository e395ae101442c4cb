/* Loads a schema bundle that an officer sent, in a child process, to see whether it loads.
 * Ownership: the trial is its starter's until the callback or the cancel; files are used before the
 *   start returns.
 * Callbacks: once, never inside the start, never after the cancel; the result is valid meanwhile.
 * Limits: one trial a worker at a time; SCHEMA_TRIAL_MS of time.
 * Does not store anything. The child exists so that neither the time a large bundle takes nor a
 *   fault in reading it touches the calls of this worker. */
#ifndef SLUICE_SERVICES_SCHEMA_TRIAL_H
#define SLUICE_SERVICES_SCHEMA_TRIAL_H

#include <stddef.h>

#include "schema/bundle.h"
#include "sluice/internal/ipc.pb-c.h"

struct err;
struct loop;

enum { SCHEMA_TRIAL_MS = 8000 };

struct schema_trial;
/* `result->problem` is empty when the bundle loads. `err` set, `result` NULL: the trial itself
 * failed, DEADLINE_EXCEEDED/BUNDLE_TOO_SLOW or INTERNAL/BUNDLE_TRIAL. */
typedef void (*schema_trial_fn)(void *arg, const Sluice__Internal__SchemaTrial *result,
                                const struct err *err);
/* NULL with RESOURCE_EXHAUSTED/BUNDLE_TRIAL_BUSY. */
struct schema_trial *schema_trial_start(struct loop *loop, const struct schema_file *files,
                                        size_t count, schema_trial_fn done, void *arg,
                                        struct err *err);
void schema_trial_cancel(struct schema_trial **trial);

#endif
