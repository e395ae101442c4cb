/* A generation: one full set of processes under one configuration, as the master sees it.
 * Ownership: the master owns generations; a generation owns its children, their ties and its
 *   conf.
 * Callbacks: `ready` once all children reported READY; `failed` once when the first start failed
 *   or a child reported FAILED; `gone` when the last child has been reaped. Never inside
 *   generation_start.
 * Limits: a child that dies is started again, at most once in RESPAWN_MS.
 * Does not read what peers send. */
#ifndef SLUICE_DAEMON_GENERATION_H
#define SLUICE_DAEMON_GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/list.h"
#include "sluice/internal/ipc.pb-c.h"

struct err;
struct generation;
struct loop;

enum { GENERATION_RESPAWN_MS = 200 };

struct generation_handlers {
    void (*ready)(void *arg, struct generation *generation);
    void (*failed)(void *arg, struct generation *generation, const char *text);
    void (*gone)(void *arg, struct generation *generation);
    /* A worker saw another schema bundle current in the control database: generation_schema_seen. */
    void (*schema_seen)(void *arg, struct generation *generation);
};

struct generation_options {
    const char *program; /* the binary on disk */
    const char *config_file;
    int number;
    const uint8_t *schema; /* digest of the bundle to serve; NULL: the current one */
};

/* NULL with an error when configuration or sockets are unusable; nothing was started then. */
struct generation *generation_start(struct loop *loop, const struct generation_options *options,
                                    const struct generation_handlers *handlers, void *arg,
                                    struct err *err);
/* For the master's upgrade in place. Saving fails while a message to a child cannot be sent; the
 * state borrows from the generation and `arena`. A restored one goes on as it was. */
bool generation_save(struct generation *generation, Sluice__Internal__MasterState__Generation *out,
                     struct arena *arena);
struct generation *generation_restore(struct loop *loop, const struct generation_options *options,
                                      const Sluice__Internal__MasterState__Generation *state,
                                      const struct generation_handlers *handlers, void *arg);
/* Asks every child to finish within `limit_ms`; children are killed a little later. */
void generation_drain(struct generation *generation, int64_t limit_ms);
/* True when the pid was a child of this generation. */
bool generation_reap(struct generation *generation, pid_t pid, int status);
void generation_free(struct generation **generation);
int generation_number(const struct generation *generation);
int64_t generation_drain_ms(const struct generation *generation); /* configured */
bool generation_draining(const struct generation *generation);
bool generation_announced(const struct generation *generation); /* ready or failed was told */
/* The digest of the bundle it serves or was told to serve; NULL while unknown. A child that is
 * started again loads the same. */
const uint8_t *generation_schema(const struct generation *generation);
/* The bundle that its workers last saw current; NULL: none, or no news since it started. */
const uint8_t *generation_schema_seen(const struct generation *generation);
/* The bundle that `failed` was about; NULL when something else was wrong. */
const uint8_t *generation_refused_schema(const struct generation *generation);

#endif
