#include "daemon/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "daemon/listen.h"
#include "daemon/process.h"
#include "net/ipc.h"
#include "net/loop.h"
#include "schema/bundle.h"

enum {
    CHILD_KILL_MARGIN_MS = 2000,  /* after the drain limit */
    CHILD_START_LIMIT_MS = 20000, /* a child that reports nothing is broken */
};

enum child_state { CHILD_STARTING, CHILD_READY, CHILD_DEAD };

struct child {
    struct generation *generation;
    enum process_role role;
    int slot;
    pid_t pid;
    enum child_state state;
    struct ipc *ipc;
    struct loop_timer respawn;
};

struct generation {
    struct loop *loop;
    const struct generation_handlers *handlers;
    void *arg;
    char *program;
    char *config_file;
    int number;
    char *systems; /* addresses */
    char *officers;
    char *ops;
    int64_t drain_ms;
    int64_t kill_at_us; /* draining */
    struct child
        *children; /* [0] is the auditor, [1 + slot] the workers, the last one may be a mover */
    size_t child_count;
    bool announced; /* ready or failed was told */
    bool draining;
    bool schema_known;
    bool schema_refused;
    uint8_t schema[SCHEMA_DIGEST_BYTES];
    uint8_t refused[SCHEMA_DIGEST_BYTES];
    bool schema_seen;
    uint8_t seen[SCHEMA_DIGEST_BYTES];
    struct loop_timer kill_timer;
    struct loop_timer start_timer;
    struct loop_task gone;
};

static const char *role_name(enum process_role role)
{
    switch (role) {
    case ROLE_AUDITOR:
        return "auditor";
    case ROLE_WORKER:
        return "worker";
    case ROLE_MOVER:
        return "mover";
    case ROLE_MASTER:
        break;
    }
    return "master";
}

/* --- exec --------------------------------------------------------------------------------------- */

/* In the child: keeps `fd` across exec and tells its number. */
static void pass_fd(char *argv[], int *argc, const char *name, int fd)
{
    if (fd < 0)
        return;
    (void)fcntl(fd, F_SETFD, 0);
    argv[(*argc)++] = mem_format("--%s=%d", name, fd);
}

static void exec_child(const struct child *child, int control_fd)
{
    const struct generation *generation = child->generation;
    char *argv[16];
    int argc = 0;
    struct err err = ERR_INIT;
    argv[argc++] = generation->program;
    argv[argc++] = mem_format("--role=%s", role_name(child->role));
    argv[argc++] = mem_format("--config=%s", generation->config_file);
    argv[argc++] = mem_format("--generation=%d", generation->number);
    argv[argc++] = mem_format("--slot=%d", child->slot);
    pass_fd(argv, &argc, "control-fd", control_fd);
    if (child->role == ROLE_WORKER) {
        pass_fd(argv, &argc, "systems-fd", listen_socket(generation->systems, child->slot, &err));
        pass_fd(argv, &argc, "officers-fd", listen_socket(generation->officers, child->slot, &err));
        if (child->slot == 0)
            pass_fd(argv, &argc, "ops-fd", listen_socket(generation->ops, 0, &err));
    }
    if (child->role != ROLE_AUDITOR && generation->schema_known) {
        char hex[2 * SCHEMA_DIGEST_BYTES + 1];
        hex_encode(generation->schema, SCHEMA_DIGEST_BYTES, hex);
        argv[argc++] = mem_format("--schema=%s", hex);
    }
    argv[argc] = NULL;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* no orphans when the master is killed */
    (void)execv(generation->program, argv);
    _exit(127);
}

/* --- ties ------------------------------------------------------------------------------------ */

static void send_attach(struct ipc *ipc, Sluice__Internal__Attach__Role role, int slot, int fd)
{
    Sluice__Internal__Attach attach = SLUICE__INTERNAL__ATTACH__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    attach.role = role;
    attach.slot = (uint32_t)slot;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_ATTACH;
    message.attach = &attach;
    ipc_send_fd(ipc, &message, fd);
}

/* A fresh pair for each new partner: what an earlier one left half-sent must not be continued. */
static void tie(struct child *auditor, struct child *worker)
{
    int pair[2];
    if (auditor->ipc == NULL || worker->ipc == NULL)
        return;
    ipc_pair(pair);
    send_attach(worker->ipc, SLUICE__INTERNAL__ATTACH__ROLE__AUDITOR, 0, pair[0]);
    send_attach(auditor->ipc, SLUICE__INTERNAL__ATTACH__ROLE__WORKER, worker->slot, pair[1]);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void tie_all(struct child *child)
{
    struct generation *generation = child->generation;
    if (child->role != ROLE_AUDITOR) {
        tie(&generation->children[0], child);
        return;
    }
    for (size_t i = 1; i < generation->child_count; i++)
        tie(child, &generation->children[i]);
}

/* --- reports --------------------------------------------------------------------------------- */

static void check_ready(struct generation *generation)
{
    for (size_t i = 0; i < generation->child_count; i++)
        if (generation->children[i].state != CHILD_READY)
            return;
    if (generation->announced)
        return;
    generation->announced = true;
    loop_timer_cancel(&generation->start_timer);
    generation->handlers->ready(generation->arg, generation);
}

static void fail(struct generation *generation, const char *text)
{
    if (generation->announced) {
        log_event(LOG_ERROR, NULL, "child_failed", LOG_STR("text", text));
        return;
    }
    generation->announced = true;
    loop_timer_cancel(&generation->start_timer);
    generation->handlers->failed(generation->arg, generation, text);
}

static void on_start_limit(void *arg)
{
    fail(arg, "a process did not report within its start limit; see its log lines above");
}

static bool take_digest(const ProtobufCBinaryData *digest, uint8_t digest_r[SCHEMA_DIGEST_BYTES])
{
    if (digest->len != SCHEMA_DIGEST_BYTES)
        return false;
    memcpy(digest_r, digest->data, SCHEMA_DIGEST_BYTES);
    return true;
}

/* Process 0 of the workers answers /metrics for all. */
static void relay_stats(struct generation *generation, const struct child *from,
                        const Sluice__Internal__Stats *stats)
{
    struct child *ops = &generation->children[1];
    if (ops->ipc == NULL || ops == from)
        return;
    Sluice__Internal__Stats copy = *stats;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    copy.id = (uint64_t)(from - generation->children);
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_STATS;
    message.stats = &copy;
    ipc_send(ops->ipc, &message);
}

static void on_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    struct child *child = arg;
    struct generation *generation = child->generation;
    if (fd >= 0)
        (void)close(fd); /* children send none */
    if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_READY) {
        child->state = CHILD_READY;
        if (!generation->schema_known)
            generation->schema_known =
                take_digest(&message->ready->schema_digest, generation->schema);
        check_ready(generation);
    } else if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_FAILED) {
        generation->schema_refused =
            take_digest(&message->failed->schema_digest, generation->refused);
        fail(generation, message->failed->text);
    } else if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_SCHEMA_SEEN) {
        generation->schema_seen = take_digest(&message->schema_seen->digest, generation->seen);
        generation->handlers->schema_seen(generation->arg, generation);
    } else if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_STATS) {
        relay_stats(generation, child, message->stats);
    } else if (message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_AUDITOR_LOST &&
               child->role != ROLE_AUDITOR) {
        tie_all(child);
    }
}

static void on_closed(void *arg)
{
    struct child *child = arg;
    ipc_free(&child->ipc); /* SIGCHLD says the rest */
}

static const struct ipc_handlers tie_handlers = { .message = on_message, .closed = on_closed };

/* --- children -------------------------------------------------------------------------------- */

static void spawn(void *arg)
{
    struct child *child = arg;
    int pair[2];
    ipc_pair(pair);
    pid_t pid = fork();
    if (pid == 0)
        exec_child(child, pair[1]);
    (void)close(pair[1]);
    if (pid < 0) {
        log_event(LOG_ERROR, NULL, "fork_failed", LOG_STR("detail", strerror(errno)));
        (void)close(pair[0]);
        loop_timer_start(&child->respawn, GENERATION_RESPAWN_MS);
        return;
    }
    child->pid = pid;
    child->state = CHILD_STARTING;
    child->ipc = ipc_new(child->generation->loop, pair[0], &tie_handlers, child);
    log_event(LOG_INFO, NULL, "process_started", LOG_STR("role", role_name(child->role)),
              LOG_INT("slot", child->slot), LOG_INT("child", pid),
              LOG_INT("generation", child->generation->number));
    tie_all(child);
}

static int open_sockets(const struct conf *conf, struct err *err)
{
    for (int slot = 0; slot < conf->workers; slot++)
        if (listen_socket(conf->listen_systems, slot, err) < 0 ||
            listen_socket(conf->listen_officers, slot, err) < 0)
            return -1;
    return listen_socket(conf->listen_ops, 0, err) < 0 ? -1 : 0;
}

static void tell_gone(void *arg)
{
    struct generation *generation = arg;
    generation->handlers->gone(generation->arg, generation);
}

static void kill_children(void *arg)
{
    struct generation *generation = arg;
    for (size_t i = 0; i < generation->child_count; i++) {
        if (generation->children[i].pid <= 0)
            continue;
        log_event(LOG_WARN, NULL, "process_killed", LOG_INT("child", generation->children[i].pid));
        (void)kill(generation->children[i].pid, SIGKILL);
    }
}

static bool any_alive(const struct generation *generation)
{
    for (size_t i = 0; i < generation->child_count; i++)
        if (generation->children[i].pid > 0)
            return true;
    return false;
}

/* The auditor has slot 0 too; of those that are tied to it, each has a slot of its own. */
static struct generation *new_generation(struct loop *loop,
                                         const struct generation_options *options,
                                         size_t child_count, bool mover,
                                         const struct generation_handlers *handlers, void *arg)
{
    struct generation *generation = mem_zero(sizeof *generation);
    generation->loop = loop;
    generation->handlers = handlers;
    generation->arg = arg;
    generation->program = mem_strdup(options->program);
    generation->config_file = mem_strdup(options->config_file);
    generation->number = options->number;
    generation->schema_known = options->schema != NULL;
    if (options->schema != NULL)
        memcpy(generation->schema, options->schema, sizeof generation->schema);
    generation->child_count = child_count;
    generation->children = mem_array(child_count, sizeof *generation->children);
    loop_timer_init(&generation->kill_timer, loop, kill_children, generation);
    loop_timer_init(&generation->start_timer, loop, on_start_limit, generation);
    loop_task_init(&generation->gone, tell_gone, generation);
    for (size_t i = 0; i < child_count; i++) {
        struct child *child = &generation->children[i];
        child->generation = generation;
        child->role = i == 0                          ? ROLE_AUDITOR
                      : mover && i + 1 == child_count ? ROLE_MOVER
                                                      : ROLE_WORKER;
        child->slot = i == 0 ? 0 : (int)i - 1;
        loop_timer_init(&child->respawn, loop, spawn, child);
    }
    return generation;
}

struct generation *generation_start(struct loop *loop, const struct generation_options *options,
                                    const struct generation_handlers *handlers, void *arg,
                                    struct err *err)
{
    struct conf *conf = conf_load(options->config_file, err);
    if (conf == NULL)
        return NULL;
    if (open_sockets(conf, err) < 0) {
        conf_free(&conf);
        return NULL;
    }
    bool mover = conf->target_count > 0; /* nothing to move without */
    struct generation *generation =
        new_generation(loop, options, 1 + (size_t)conf->workers + mover, mover, handlers, arg);
    generation->systems = mem_strdup(conf->listen_systems);
    generation->officers = mem_strdup(conf->listen_officers);
    generation->ops = mem_strdup(conf->listen_ops);
    generation->drain_ms = conf->drain_ms;
    conf_free(&conf);
    loop_timer_start(&generation->start_timer, CHILD_START_LIMIT_MS);
    for (size_t i = 0; i < generation->child_count; i++)
        spawn(&generation->children[i]);
    return generation;
}

/* --- upgrade in place ------------------------------------------------------------------------- */

bool generation_save(struct generation *generation, Sluice__Internal__MasterState__Generation *out,
                     struct arena *arena)
{
    bool sent = true;
    sluice__internal__master_state__generation__init(out);
    out->number = generation->number;
    out->draining = generation->draining;
    out->kill_in_ms = (generation->kill_at_us - loop_now_us(generation->loop)) / 1000;
    out->drain_ms = generation->drain_ms;
    out->systems = generation->systems;
    out->officers = generation->officers;
    out->ops = generation->ops;
    out->schema.len = generation->schema_known ? SCHEMA_DIGEST_BYTES : 0;
    out->schema.data = generation->schema;
    out->schema_seen.len = generation->schema_seen ? SCHEMA_DIGEST_BYTES : 0;
    out->schema_seen.data = generation->seen;
    out->n_children = generation->child_count;
    out->children = arena_array(arena, out->n_children, sizeof *out->children);
    for (size_t i = 0; i < out->n_children; i++) {
        const struct child *child = &generation->children[i];
        Sluice__Internal__MasterState__Child *saved = arena_alloc(arena, sizeof *saved);
        sluice__internal__master_state__child__init(saved);
        struct slice received = { .data = NULL };
        saved->pid = child->pid;
        saved->fd = -1;
        saved->ready = child->state == CHILD_READY;
        saved->mover = child->role == ROLE_MOVER;
        sent = (child->ipc == NULL || ipc_hand_over(child->ipc, &saved->fd, &received)) && sent;
        saved->received.data = (uint8_t *)(uintptr_t)received.data;
        saved->received.len = received.len;
        out->children[i] = saved;
    }
    return sent;
}

static void restore_child(struct child *child, const Sluice__Internal__MasterState__Child *saved)
{
    child->pid = saved->pid;
    child->state = saved->pid <= 0 ? CHILD_DEAD : saved->ready ? CHILD_READY : CHILD_STARTING;
    if (saved->fd >= 0) {
        (void)fcntl(saved->fd, F_SETFD, FD_CLOEXEC);
        child->ipc = ipc_new(child->generation->loop, saved->fd, &tie_handlers, child);
        ipc_take_over(child->ipc, slice_of(saved->received.data, saved->received.len));
    }
    if (child->pid <= 0 && !child->generation->draining)
        loop_timer_start(&child->respawn, GENERATION_RESPAWN_MS);
}

struct generation *generation_restore(struct loop *loop, const struct generation_options *options,
                                      const Sluice__Internal__MasterState__Generation *state,
                                      const struct generation_handlers *handlers, void *arg)
{
    size_t count = state->n_children;
    bool mover = count > 0 && state->children[count - 1]->mover;
    struct generation *generation = new_generation(loop, options, count, mover, handlers, arg);
    generation->systems = mem_strdup(state->systems);
    generation->officers = mem_strdup(state->officers);
    generation->ops = mem_strdup(state->ops);
    generation->drain_ms = state->drain_ms;
    generation->announced = true;
    generation->draining = state->draining;
    generation->schema_known = take_digest(&state->schema, generation->schema);
    generation->schema_seen = take_digest(&state->schema_seen, generation->seen);
    for (size_t i = 0; i < generation->child_count; i++)
        restore_child(&generation->children[i], state->children[i]);
    if (generation->draining) {
        int64_t left_ms = state->kill_in_ms > 0 ? state->kill_in_ms : 0;
        generation->kill_at_us = loop_now_us(loop) + left_ms * 1000;
        loop_timer_start(&generation->kill_timer, left_ms);
        if (!any_alive(generation))
            loop_task_post(loop, &generation->gone);
    }
    return generation;
}

void generation_drain(struct generation *generation, int64_t limit_ms)
{
    generation->draining = true;
    loop_timer_cancel(&generation->start_timer);
    generation->kill_at_us =
        loop_now_us(generation->loop) + (limit_ms + CHILD_KILL_MARGIN_MS) * 1000;
    loop_timer_start(&generation->kill_timer, limit_ms + CHILD_KILL_MARGIN_MS);
    Sluice__Internal__Drain drain = SLUICE__INTERNAL__DRAIN__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    drain.limit_ms = (uint32_t)limit_ms;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_DRAIN;
    message.drain = &drain;
    for (size_t i = 0; i < generation->child_count; i++) {
        struct child *child = &generation->children[i];
        loop_timer_cancel(&child->respawn);
        /* The auditor goes when its last worker has: it sees their sockets close. */
        if (child->ipc != NULL)
            ipc_send(child->ipc, &message);
        else if (child->pid > 0)
            (void)kill(child->pid, SIGTERM);
    }
}

bool generation_reap(struct generation *generation, pid_t pid, int status)
{
    for (size_t i = 0; i < generation->child_count; i++) {
        struct child *child = &generation->children[i];
        if (child->pid != pid)
            continue;
        child->pid = 0;
        child->state = CHILD_DEAD;
        ipc_free(&child->ipc);
        bool expected = generation->draining && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        log_event(expected ? LOG_INFO : LOG_ERROR, NULL, "process_ended",
                  LOG_STR("role", role_name(child->role)), LOG_INT("child", pid),
                  LOG_INT("generation", generation->number),
                  LOG_INT("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
                  LOG_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
        if (!generation->announced)
            fail(generation, "a process ended while it started; see its log lines above");
        if (!generation->draining)
            loop_timer_start(&child->respawn, GENERATION_RESPAWN_MS);
        else if (!any_alive(generation))
            loop_task_post(generation->loop, &generation->gone);
        return true;
    }
    return false;
}

void generation_free(struct generation **generation_ref)
{
    struct generation *generation = *generation_ref;
    if (generation == NULL)
        return;
    *generation_ref = NULL;
    for (size_t i = 0; i < generation->child_count; i++) {
        ipc_free(&generation->children[i].ipc);
        loop_timer_fini(&generation->children[i].respawn);
    }
    loop_timer_fini(&generation->kill_timer);
    loop_timer_fini(&generation->start_timer);
    loop_task_cancel(&generation->gone);
    free(generation->systems);
    free(generation->officers);
    free(generation->ops);
    free(generation->program);
    free(generation->config_file);
    loop_free_later(generation->loop, generation->children);
    loop_free_later(generation->loop, generation);
}

int generation_number(const struct generation *generation)
{
    return generation->number;
}

int64_t generation_drain_ms(const struct generation *generation)
{
    return generation->drain_ms;
}

bool generation_draining(const struct generation *generation)
{
    return generation->draining;
}

bool generation_announced(const struct generation *generation)
{
    return generation->announced;
}

const uint8_t *generation_schema(const struct generation *generation)
{
    return generation->schema_known ? generation->schema : NULL;
}

const uint8_t *generation_schema_seen(const struct generation *generation)
{
    return generation->schema_seen ? generation->seen : NULL;
}

const uint8_t *generation_refused_schema(const struct generation *generation)
{
    return generation->schema_refused ? generation->refused : NULL;
}
