/* The master: configuration, listening sockets, generations. It parses nothing a peer sends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/generation.h"
#include "daemon/listen.h"
#include "daemon/process.h"
#include "daemon/upgrade.h"
#include "net/loop.h"
#include "schema/bundle.h"

enum {
    GENERATIONS_MAX = 3,
    RELOAD_DRAIN_MS = 3600000, /* an old generation lives until its streams end, at most an hour */
    /* A bundle that no generation can load is tried again rarely: the configuration it waits for may
     * have come with a reload, which tries at once. */
    FOLLOW_RETRY_MS = 60000,
    FOLLOW_RETRY_MS_MAX = 3600000,
    FOLLOW_WAIT_MS = 500, /* while another generation starts, or too many still run */
};

/* The bundle that is current in the control database, until the current generation serves it. */
struct follow {
    bool wanted;
    uint8_t digest[SCHEMA_DIGEST_BYTES];
    struct loop_timer timer;
    int64_t retry_ms;
};

struct master {
    struct loop *loop;
    const struct process_options *options;
    struct loop_signal on_term;
    struct loop_signal on_int;
    struct loop_signal on_hup;
    struct loop_signal on_usr2;
    struct loop_signal on_child;
    struct generation *generations[GENERATIONS_MAX + 1];
    size_t generation_count;
    struct generation *current; /* the newest READY one */
    struct follow follow;
    struct loop_timer reload_timer; /* a reload that waited until a generation was gone */
    bool reload_waits;
    struct upgrade *upgrade; /* NULL: none under way */
    int next_number;
    bool stopping;
    int exit_status;
};

/* sd_notify(3) without its library: a datagram to the socket systemd names. */
static void notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (path == NULL || strlen(path) >= sizeof address.sun_path)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, len);
    (void)close(fd);
}

static void on_schema_seen(void *arg, struct generation *generation);
static void follow_refused(struct master *master, const struct generation *generation);

static bool is_schema(const uint8_t *digest, const uint8_t *other)
{
    return digest != NULL && other != NULL && memcmp(digest, other, SCHEMA_DIGEST_BYTES) == 0;
}

static void follow_reached(struct master *master)
{
    master->follow.wanted = false;
    loop_timer_cancel(&master->follow.timer);
}

static void on_ready(void *arg, struct generation *generation)
{
    struct master *master = arg;
    struct generation *old = master->current;
    master->current = generation;
    log_event(LOG_INFO, NULL, "generation_ready",
              LOG_INT("generation", generation_number(generation)));
    notify_systemd("READY=1");
    if (is_schema(generation_schema(generation), master->follow.digest))
        follow_reached(master);
    if (old != NULL)
        generation_drain(old, RELOAD_DRAIN_MS);
    on_schema_seen(master, generation); /* what its workers saw before all of them were ready */
    if (master->stopping)
        generation_drain(generation, generation_drain_ms(generation));
}

static void on_failed(void *arg, struct generation *generation, const char *text)
{
    struct master *master = arg;
    log_event(LOG_ERROR, NULL, "generation_refused",
              LOG_INT("generation", generation_number(generation)), LOG_STR("text", text));
    if (master->current == NULL)
        master->exit_status = EXIT_CONFIG;
    else
        notify_systemd("READY=1");
    generation_drain(generation, 0);
    follow_refused(master, generation);
}

static void on_gone(void *arg, struct generation *generation)
{
    struct master *master = arg;
    if (master->current == generation)
        master->current = NULL;
    for (size_t i = 0; i < master->generation_count; i++) {
        if (master->generations[i] != generation)
            continue;
        master->generation_count--;
        memmove(&master->generations[i], &master->generations[i + 1],
                (master->generation_count - i) * sizeof master->generations[0]);
        break;
    }
    log_event(LOG_INFO, NULL, "generation_gone",
              LOG_INT("generation", generation_number(generation)));
    generation_free(&generation);
    if (master->generation_count == 0)
        loop_stop(master->loop);
    else if (master->reload_waits)
        loop_timer_start(&master->reload_timer, 0);
}

static const struct generation_handlers handlers = {
    .ready = on_ready, .failed = on_failed, .gone = on_gone, .schema_seen = on_schema_seen
};

/* `schema` NULL: the bundle that is current. */
static int start_generation(struct master *master, const uint8_t *schema, struct err *err)
{
    struct generation_options options = { .program = master->options->program,
                                          .config_file = master->options->config_file,
                                          .number = master->next_number++,
                                          .schema = schema };
    struct generation *generation =
        generation_start(master->loop, &options, &handlers, master, err);
    if (generation == NULL)
        return -1;
    master->generations[master->generation_count++] = generation;
    return 0;
}

/* --- following the current schema bundle ----------------------------------------------------- */

static bool starting(const struct master *master)
{
    for (size_t i = 0; i < master->generation_count; i++)
        if (!generation_announced(master->generations[i]))
            return true;
    return false;
}

static void follow(void *arg)
{
    struct master *master = arg;
    struct err err = ERR_INIT;
    if (!master->follow.wanted || master->stopping)
        return;
    if (starting(master) || master->generation_count >= GENERATIONS_MAX) {
        loop_timer_start(&master->follow.timer, FOLLOW_WAIT_MS);
        return;
    }
    notify_systemd("RELOADING=1");
    if (start_generation(master, master->follow.digest, &err) < 0) {
        log_error(LOG_ERROR, NULL, "schema_refused", &err);
        notify_systemd("READY=1");
        loop_timer_start(&master->follow.timer, master->follow.retry_ms);
    }
}

static void on_schema_seen(void *arg, struct generation *generation)
{
    struct master *master = arg;
    const uint8_t *digest = generation_schema_seen(generation);
    char hex[2 * SCHEMA_DIGEST_BYTES + 1] = "";
    if (generation != master->current || digest == NULL)
        return; /* without a current bundle there is nothing to go to */
    if (is_schema(digest, generation_schema(generation))) {
        follow_reached(master);
        return;
    }
    if (master->follow.wanted && is_schema(digest, master->follow.digest))
        return; /* several workers see it; one attempt is under way or waits for its turn */
    hex_encode(digest, SCHEMA_DIGEST_BYTES, hex);
    log_event(LOG_INFO, NULL, "schema_changed", LOG_STR("digest", hex));
    master->follow.wanted = true;
    memcpy(master->follow.digest, digest, SCHEMA_DIGEST_BYTES);
    master->follow.retry_ms = FOLLOW_RETRY_MS;
    loop_timer_start(&master->follow.timer, 0);
}

/* A generation failed. When its bundle was to blame, the bundle waits; when an operator's reload met
 * that bundle, the rest of the reload (certificates, configuration) still happens, with the bundle
 * that is served now. */
static void follow_refused(struct master *master, const struct generation *generation)
{
    const uint8_t *refused = generation_refused_schema(generation);
    const uint8_t *served = master->current != NULL ? generation_schema(master->current) : NULL;
    struct err err = ERR_INIT;
    bool pinned = generation_schema(generation) != NULL;
    if (master->follow.wanted) {
        loop_timer_start(&master->follow.timer, master->follow.retry_ms);
        if (master->follow.retry_ms < FOLLOW_RETRY_MS_MAX)
            master->follow.retry_ms *= 2;
    }
    if (refused == NULL || pinned || served == NULL || is_schema(refused, served) ||
        master->stopping)
        return;
    if (start_generation(master, served, &err) < 0)
        log_error(LOG_ERROR, NULL, "reload_refused", &err);
}

/* Asked for once is done once: when too many generations still run, the reload follows as soon as
 * one of them is gone, with the files as they are then. */
static void reload(void *arg)
{
    struct master *master = arg;
    struct err err = ERR_INIT;
    if (master->stopping)
        return;
    master->reload_waits = master->generation_count >= GENERATIONS_MAX;
    if (master->reload_waits) {
        log_event(LOG_WARN, NULL, "reload_waits",
                  LOG_STR("text",
                          "three generations are still running; the reload follows when the "
                          "streams of one have ended"));
        return;
    }
    notify_systemd("RELOADING=1");
    if (start_generation(master, NULL, &err) < 0) {
        log_error(LOG_ERROR, NULL, "reload_refused", &err);
        notify_systemd("READY=1");
    }
}

static void stop(void *arg)
{
    struct master *master = arg;
    if (master->stopping)
        return;
    master->stopping = true;
    log_event(LOG_INFO, NULL, "stopping", LOG_INT("generations", master->generation_count));
    notify_systemd("STOPPING=1");
    for (size_t i = 0; i < master->generation_count; i++)
        generation_drain(master->generations[i], generation_drain_ms(master->generations[i]));
}

static void reap(void *arg)
{
    struct master *master = arg;
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (upgrade_reap(master->upgrade, pid, status))
            continue;
        for (size_t i = 0; i < master->generation_count; i++)
            if (generation_reap(master->generations[i], pid, status))
                break;
    }
}

/* --- upgrade in place ------------------------------------------------------------------------- */

static bool save(void *arg, Sluice__Internal__MasterState *state, struct arena *arena,
                 struct err *err)
{
    struct master *master = arg;
    bool sent = true;
    if (master->stopping || starting(master) || master->current == NULL) {
        (void)err_set(err, ERR_UNAVAILABLE, "UPGRADE_BUSY",
                      "a generation is starting or stopping; ask again when it is done");
        return false;
    }
    state->next_number = master->next_number;
    state->current = generation_number(master->current);
    state->n_generations = master->generation_count;
    state->generations = arena_array(arena, state->n_generations, sizeof *state->generations);
    for (size_t i = 0; i < state->n_generations; i++) {
        state->generations[i] = arena_alloc(arena, sizeof **state->generations);
        sent = generation_save(master->generations[i], state->generations[i], arena) && sent;
    }
    listen_save(state, arena);
    if (!sent)
        (void)err_set(err, ERR_UNAVAILABLE, "UPGRADE_BUSY",
                      "a process does not take its messages; ask again");
    return sent;
}

static void upgrade_over(void *arg, const struct err *err)
{
    struct master *master = arg;
    log_error(LOG_ERROR, NULL, "upgrade_refused", err);
    notify_systemd("READY=1");
    upgrade_free(&master->upgrade);
}

static const struct upgrade_handlers upgrade_handlers = { .save = save, .over = upgrade_over };

static void upgrade(void *arg)
{
    struct master *master = arg;
    if (master->stopping || master->upgrade != NULL)
        return;
    log_event(LOG_INFO, NULL, "upgrade_requested", LOG_STR("program", master->options->program));
    notify_systemd("RELOADING=1");
    master->upgrade = upgrade_start(master->loop, master->options->program,
                                    master->options->config_file, &upgrade_handlers, master);
}

int master_check_state(const struct process_options *options)
{
    struct err err = ERR_INIT;
    struct conf *conf = conf_load(options->config_file, &err);
    Sluice__Internal__MasterState *state =
        conf != NULL ? upgrade_read(options->state_fd, &err) : NULL;
    if (state == NULL) {
        log_error(LOG_ERROR, NULL, "upgrade_check_failed", &err);
        return EXIT_CONFIG;
    }
    sluice__internal__master_state__free_unpacked(state, NULL);
    conf_free(&conf);
    return 0;
}

/* Takes everything over from the binary before, then brings the processes to this one. */
static int restore(struct master *master, struct err *err)
{
    Sluice__Internal__MasterState *state = upgrade_read(master->options->state_fd, err);
    if (state == NULL || state->n_generations > GENERATIONS_MAX + 1)
        return -1;
    listen_restore(state);
    master->next_number = state->next_number;
    for (size_t i = 0; i < state->n_generations; i++) {
        const Sluice__Internal__MasterState__Generation *saved = state->generations[i];
        struct generation_options options = { .program = master->options->program,
                                              .config_file = master->options->config_file,
                                              .number = saved->number };
        struct generation *generation =
            generation_restore(master->loop, &options, saved, &handlers, master);
        master->generations[master->generation_count++] = generation;
        if (saved->number == state->current)
            master->current = generation;
    }
    log_event(LOG_INFO, NULL, "upgraded", LOG_STR("version", SLUICE_VERSION),
              LOG_INT("generations", state->n_generations));
    sluice__internal__master_state__free_unpacked(state, NULL);
    reap(master); /* who ended while nobody listened */
    on_schema_seen(master, master->current);
    reload(master);
    return 0;
}

int master_main(const struct process_options *options)
{
    struct master master = { .options = options, .next_number = 1 };
    struct err err = ERR_INIT;
    struct conf *conf = conf_load(options->config_file, &err);
    if (conf == NULL) {
        log_error(LOG_ERROR, NULL, "configuration_refused", &err);
        return EXIT_CONFIG;
    }
    process_configure_log(conf, "master");
    conf_free(&conf);
    master.loop = loop_new();
    loop_signal_start(&master.on_term, master.loop, SIGTERM, stop, &master);
    loop_signal_start(&master.on_int, master.loop, SIGINT, stop, &master);
    loop_signal_start(&master.on_hup, master.loop, SIGHUP, reload, &master);
    loop_signal_start(&master.on_usr2, master.loop, SIGUSR2, upgrade, &master);
    loop_signal_start(&master.on_child, master.loop, SIGCHLD, reap, &master);
    upgrade_release_signals();
    loop_timer_init(&master.follow.timer, master.loop, follow, &master);
    loop_timer_init(&master.reload_timer, master.loop, reload, &master);
    if ((options->state_fd >= 0 ? restore(&master, &err) : start_generation(&master, NULL, &err)) <
        0) {
        log_error(LOG_ERROR, NULL, "start_refused", &err);
        master.exit_status = EXIT_CONFIG;
    } else {
        loop_run(master.loop);
    }
    log_event(LOG_INFO, NULL, "stopped", LOG_INT("status", master.exit_status));
    loop_signal_fini(&master.on_term);
    loop_signal_fini(&master.on_int);
    loop_signal_fini(&master.on_hup);
    loop_signal_fini(&master.on_usr2);
    loop_signal_fini(&master.on_child);
    upgrade_free(&master.upgrade);
    loop_timer_fini(&master.follow.timer);
    loop_timer_fini(&master.reload_timer);
    loop_free(&master.loop);
    return master.exit_status;
}
