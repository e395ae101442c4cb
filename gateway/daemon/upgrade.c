#include "daemon/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

enum { STATE_BYTES_MAX = 256 * 1024 * 1024 };

struct upgrade {
    struct loop *loop;
    const struct upgrade_handlers *handlers;
    void *arg;
    char *program;
    char *config_file;
    pid_t child;
    struct loop_timer limit;
    struct loop_task begin;
};

static void hold_signals(int how)
{
    static const int held[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD };
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
        (void)sigaddset(&set, held[i]);
    (void)sigprocmask(how, &set, NULL);
}

void upgrade_release_signals(void)
{
    hold_signals(SIG_UNBLOCK);
}

/* --- the state in a descriptor ----------------------------------------------------------------- */

/* Memory that an execution leaves open; -1 with an error. */
static int write_state(const Sluice__Internal__MasterState *state, struct err *err)
{
    size_t len = sluice__internal__master_state__get_packed_size(state), done = 0;
    uint8_t *bytes = mem_zero(len);
    (void)sluice__internal__master_state__pack(state, bytes);
    int fd = memfd_create("sluiced-state", 0);
    while (fd >= 0 && done < len) {
        ssize_t written = write(fd, bytes + done, len - done);
        if (written <= 0 && errno != EINTR)
            break;
        done += written > 0 ? (size_t)written : 0;
    }
    free(bytes);
    if (fd >= 0 && done == len && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    (void)err_set(err, ERR_FAILED_PRECONDITION, "UPGRADE_STATE",
                  "the state for the new binary cannot be written: %s", strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

Sluice__Internal__MasterState *upgrade_read(int fd, struct err *err)
{
    struct stat info;
    Sluice__Internal__MasterState *state = NULL;
    if (fstat(fd, &info) == 0 && info.st_size > 0 && info.st_size < STATE_BYTES_MAX) {
        size_t len = (size_t)info.st_size, done = 0;
        uint8_t *bytes = mem_zero(len);
        while (done < len) {
            ssize_t got = pread(fd, bytes + done, len - done, (off_t)done);
            if (got <= 0)
                break;
            done += (size_t)got;
        }
        if (done == len)
            state = sluice__internal__master_state__unpack(NULL, len, bytes);
        free(bytes);
    }
    (void)close(fd);
    if (state != NULL && state->version == MASTER_STATE_VERSION && state->n_generations > 0)
        return state;
    if (state != NULL)
        sluice__internal__master_state__free_unpacked(state, NULL);
    (void)err_set(
        err, ERR_FAILED_PRECONDITION, "UPGRADE_STATE",
        "this binary cannot take over from the running master: stop the service and start "
        "it again");
    return NULL;
}

/* --- the new binary ----------------------------------------------------------------------------- */

static void over(struct upgrade *upgrade, const struct err *err)
{
    upgrade->handlers->over(upgrade->arg, err);
}

/* The state as it would be handed over, or NULL with an error; -1 or its descriptor. */
static int save_state(struct upgrade *upgrade, struct arena *arena,
                      Sluice__Internal__MasterState *state, struct err *err)
{
    sluice__internal__master_state__init(state);
    state->version = MASTER_STATE_VERSION;
    return upgrade->handlers->save(upgrade->arg, state, arena, err) ? write_state(state, err) : -1;
}

static void set_inherited(const Sluice__Internal__MasterState *state, int flags)
{
    for (size_t i = 0; i < state->n_sockets; i++)
        (void)fcntl(state->sockets[i]->fd, F_SETFD, flags);
    for (size_t g = 0; g < state->n_generations; g++)
        for (size_t i = 0; i < state->generations[g]->n_children; i++)
            if (state->generations[g]->children[i]->fd >= 0)
                (void)fcntl(state->generations[g]->children[i]->fd, F_SETFD, flags);
}

/* Nothing is closed or freed before: when the execution fails, all goes on as it was. */
static void execute(struct upgrade *upgrade)
{
    struct err err = ERR_INIT;
    struct arena arena;
    Sluice__Internal__MasterState state;
    arena_init(&arena);
    int fd = save_state(upgrade, &arena, &state, &err);
    if (fd >= 0) {
        char *argv[] = { upgrade->program, mem_format("--config=%s", upgrade->config_file),
                         mem_format("--state-fd=%d", fd), NULL };
        set_inherited(&state, 0);
        hold_signals(SIG_BLOCK);
        (void)execv(upgrade->program, argv);
        (void)err_set(&err, ERR_FAILED_PRECONDITION, "UPGRADE_FAILED",
                      "the new binary cannot be executed: %s", strerror(errno));
        hold_signals(SIG_UNBLOCK);
        set_inherited(&state, FD_CLOEXEC);
        (void)close(fd);
        free(argv[1]);
        free(argv[2]);
    }
    arena_fini(&arena);
    over(upgrade, &err);
}

static void run_check(struct upgrade *upgrade, int fd)
{
    char *argv[] = { upgrade->program, mem_format("--config=%s", upgrade->config_file),
                     mem_format("--check-state-fd=%d", fd), NULL };
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execv(upgrade->program, argv);
    _exit(127);
}

static void begin(void *arg)
{
    struct upgrade *upgrade = arg;
    struct err err = ERR_INIT;
    struct arena arena;
    Sluice__Internal__MasterState state;
    arena_init(&arena);
    int fd = save_state(upgrade, &arena, &state, &err);
    arena_fini(&arena);
    if (fd < 0) {
        over(upgrade, &err);
        return;
    }
    upgrade->child = fork();
    if (upgrade->child == 0)
        run_check(upgrade, fd);
    (void)close(fd);
    if (upgrade->child > 0) {
        loop_timer_start(&upgrade->limit, UPGRADE_CHECK_MS);
        return;
    }
    (void)err_set(&err, ERR_UNAVAILABLE, "UPGRADE_FAILED", "no process for the check: %s",
                  strerror(errno));
    over(upgrade, &err);
}

static void on_limit(void *arg)
{
    struct upgrade *upgrade = arg;
    (void)kill(upgrade->child, SIGKILL); /* its end is the answer */
}

bool upgrade_reap(struct upgrade *upgrade, pid_t pid, int status)
{
    struct err err = ERR_INIT;
    if (upgrade == NULL || upgrade->child != pid)
        return false;
    upgrade->child = 0;
    loop_timer_cancel(&upgrade->limit);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        execute(upgrade);
        return true;
    }
    (void)err_set(
        &err, ERR_FAILED_PRECONDITION, "UPGRADE_REFUSED",
        "the new binary did not pass its check (exit status %d, signal %d); see its lines "
        "above",
        WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    over(upgrade, &err);
    return true;
}

struct upgrade *upgrade_start(struct loop *loop, const char *program, const char *config_file,
                              const struct upgrade_handlers *handlers, void *arg)
{
    struct upgrade *upgrade = mem_zero(sizeof *upgrade);
    upgrade->loop = loop;
    upgrade->handlers = handlers;
    upgrade->arg = arg;
    upgrade->program = mem_strdup(program);
    upgrade->config_file = mem_strdup(config_file);
    loop_timer_init(&upgrade->limit, loop, on_limit, upgrade);
    loop_task_init(&upgrade->begin, begin, upgrade);
    loop_task_post(loop, &upgrade->begin);
    return upgrade;
}

void upgrade_free(struct upgrade **upgrade_ref)
{
    struct upgrade *upgrade = *upgrade_ref;
    if (upgrade == NULL)
        return;
    *upgrade_ref = NULL;
    if (upgrade->child > 0)
        (void)kill(upgrade->child, SIGKILL);
    loop_task_cancel(&upgrade->begin);
    loop_timer_fini(&upgrade->limit);
    free(upgrade->program);
    free(upgrade->config_file);
    loop_free_later(upgrade->loop, upgrade);
}
