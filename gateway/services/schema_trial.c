#include "services/schema_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "net/loop.h"

enum {
    RESULT_BYTES_MAX = 16 * 1024 * 1024, /* 20,000 datasets of a few hundred bytes */
    READ_BYTES = 65536,
    SIGNALS_MAX = 32,
};

struct schema_trial {
    struct loop *loop;
    schema_trial_fn done;
    void *arg;
    pid_t child;
    int fd;
    struct loop_io io;
    struct loop_timer limit;
    struct buf result;
};

static bool running;

/* --- the child ------------------------------------------------------------------------------- */

static void write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        data += written;
        len -= (size_t)written;
    }
}

static Sluice__Internal__SchemaTrial__Dataset *describe(const struct schema_dataset *dataset)
{
    Sluice__Internal__SchemaTrial__Dataset *out = mem_zero(sizeof *out);
    sluice__internal__schema_trial__dataset__init(out);
    out->name = (char *)(uintptr_t)dataset->name;
    out->department = (char *)(uintptr_t)dataset->department;
    out->source = (char *)(uintptr_t)dataset->source;
    out->fingerprint.data = (uint8_t *)(uintptr_t)dataset->fingerprint;
    out->fingerprint.len = SCHEMA_DIGEST_BYTES;
    return out;
}

/* Memory is not given back: the process ends. */
static void try_files(int fd, const struct schema_file *files, size_t count)
{
    struct err err = ERR_INIT;
    Sluice__Internal__SchemaTrial trial = SLUICE__INTERNAL__SCHEMA_TRIAL__INIT;
    struct schema_bundle *bundle = schema_bundle_load_files(files, count, &err);
    if (bundle == NULL) {
        trial.problem = err.text;
    } else {
        trial.digest.data = (uint8_t *)(uintptr_t)schema_bundle_digest(bundle);
        trial.digest.len = SCHEMA_DIGEST_BYTES;
        trial.n_datasets = schema_bundle_count(bundle);
        trial.datasets = mem_array(trial.n_datasets + 1, sizeof *trial.datasets);
        for (size_t i = 0; i < trial.n_datasets; i++)
            trial.datasets[i] = describe(schema_bundle_at(bundle, i));
    }
    size_t len = sluice__internal__schema_trial__get_packed_size(&trial);
    uint8_t *bytes = mem_zero(len + 1);
    (void)sluice__internal__schema_trial__pack(&trial, bytes);
    write_all(fd, bytes, len);
}

/* The child has copies of every connection of the worker: it closes them, so that one which the
 * worker ends meanwhile really ends, and takes back the signals, whose handlers would wake the
 * worker's loop. */
static void run_child(int fd, const struct schema_file *files, size_t count)
{
    for (int number = 1; number < SIGNALS_MAX; number++)
        (void)signal(number, SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd > 3)
        (void)close_range(3, (unsigned)fd - 1, 0);
    (void)close_range((unsigned)fd + 1, ~0U, 0);
    (void)alarm(SCHEMA_TRIAL_MS / 1000 + 1);
    try_files(fd, files, count);
    _exit(0);
}

/* --- the worker ------------------------------------------------------------------------------ */

static void free_trial(struct schema_trial *trial)
{
    int status;
    (void)kill(trial->child, SIGKILL); /* at its end already, or no longer wanted */
    while (waitpid(trial->child, &status, 0) < 0 && errno == EINTR)
        ;
    loop_io_fini(&trial->io);
    loop_timer_fini(&trial->limit);
    (void)close(trial->fd);
    buf_fini(&trial->result);
    running = false;
    loop_free_later(trial->loop, trial);
}

static void finish(struct schema_trial *trial, const struct err *err)
{
    struct err broken = ERR_INIT;
    Sluice__Internal__SchemaTrial *result = NULL;
    if (err == NULL && trial->result.len > 0)
        result =
            sluice__internal__schema_trial__unpack(NULL, trial->result.len, trial->result.data);
    if (err == NULL && (result == NULL || (result->problem[0] == '\0' &&
                                           result->digest.len != SCHEMA_DIGEST_BYTES))) {
        (void)err_set(&broken, ERR_INTERNAL, "BUNDLE_TRIAL",
                      "the bundle could not be tried; the gateway's log says more");
        (void)err_detail(&broken, "the child process ended without a result");
        err = &broken;
    }
    trial->done(trial->arg, err == NULL ? result : NULL, err);
    if (result != NULL)
        sluice__internal__schema_trial__free_unpacked(result, NULL);
    free_trial(trial);
}

static void on_limit(void *arg)
{
    struct err err = ERR_INIT;
    (void)err_set(&err, ERR_DEADLINE_EXCEEDED, "BUNDLE_TOO_SLOW",
                  "the bundle takes longer than %d s to load; make it smaller",
                  SCHEMA_TRIAL_MS / 1000);
    finish(arg, &err);
}

static void on_readable(void *arg, int ready)
{
    (void)ready;
    struct schema_trial *trial = arg;
    uint8_t bytes[READ_BYTES];
    ssize_t got = read(trial->fd, bytes, sizeof bytes);
    if (got > 0 && buf_append(&trial->result, bytes, (size_t)got) == 0)
        return;
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got > 0)
        buf_reset(&trial->result); /* more than any result has */
    finish(trial, NULL);
}

struct schema_trial *schema_trial_start(struct loop *loop, const struct schema_file *files,
                                        size_t count, schema_trial_fn done, void *arg,
                                        struct err *err)
{
    int fds[2];
    pid_t child = -1;
    if (!running && pipe2(fds, O_CLOEXEC) == 0) {
        child = fork();
        if (child == 0)
            run_child(fds[1], files, count);
        (void)close(fds[1]);
        if (child < 0)
            (void)close(fds[0]);
    }
    if (child < 0) {
        (void)err_set(err, ERR_RESOURCE_EXHAUSTED, "BUNDLE_TRIAL_BUSY",
                      "this gateway is trying another bundle; try again");
        return NULL;
    }
    running = true;
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    struct schema_trial *trial = mem_zero(sizeof *trial);
    trial->loop = loop;
    trial->done = done;
    trial->arg = arg;
    trial->child = child;
    trial->fd = fds[0];
    buf_init(&trial->result, RESULT_BYTES_MAX);
    loop_io_init(&trial->io, loop, trial->fd, on_readable, trial);
    loop_io_want(&trial->io, LOOP_READ);
    loop_timer_init(&trial->limit, loop, on_limit, trial);
    loop_timer_start(&trial->limit, SCHEMA_TRIAL_MS);
    return trial;
}

void schema_trial_cancel(struct schema_trial **trial)
{
    if (*trial != NULL)
        free_trial(*trial);
    *trial = NULL;
}
