#include "daemon/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/err.h"
#include "base/mem.h"

enum { LISTEN_BACKLOG = 4096 };

struct kept_socket {
    struct kept_socket *next;
    char *address;
    int slot;
    int fd;
};

static struct kept_socket *kept;

/* SO_REUSEPORT would let a second gateway of the same user share the port unnoticed, so the first
 * socket of an address binds without it once. */
static int probe(const struct sockaddr *address, socklen_t len)
{
    int one = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int result = bind(fd, address, len);
    if (result == 0)
        result = listen(fd, 1);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return result;
}

static int open_socket(const char *text, bool first, struct err *err)
{
    struct sockaddr_storage storage;
    const struct sockaddr *address = (const struct sockaddr *)&storage;
    socklen_t len = address_parse(text, &storage);
    int one = 1;
    int fd = -1;
    if (len > 0 && (!first || probe(address, len) == 0)) {
        fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        if (fd >= 0 && bind(fd, address, len) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
            return fd;
    }
    int saved = errno;
    if (fd >= 0)
        (void)close(fd);
    if (saved == EADDRINUSE)
        return err_set(err, ERR_FAILED_PRECONDITION, "ADDRESS_IN_USE",
                       "another process already listens on %s; stop it or choose another port",
                       text);
    return err_set(err, ERR_FAILED_PRECONDITION, "ADDRESS_UNUSABLE", "cannot listen on %s: %s",
                   text, strerror(saved));
}

static void keep(const char *address, int slot, int fd)
{
    struct kept_socket *socket = mem_zero(sizeof *socket);
    socket->address = mem_strdup(address);
    socket->slot = slot;
    socket->fd = fd;
    socket->next = kept;
    kept = socket;
}

void listen_save(Sluice__Internal__MasterState *state, struct arena *arena)
{
    size_t count = 0;
    for (const struct kept_socket *s = kept; s != NULL; s = s->next)
        count++;
    state->sockets = arena_array(arena, count, sizeof *state->sockets);
    for (const struct kept_socket *s = kept; s != NULL; s = s->next) {
        Sluice__Internal__MasterState__Socket *out = arena_alloc(arena, sizeof *out);
        sluice__internal__master_state__socket__init(out);
        out->address = s->address;
        out->slot = s->slot;
        out->fd = s->fd;
        state->sockets[state->n_sockets++] = out;
    }
}

void listen_restore(const Sluice__Internal__MasterState *state)
{
    for (size_t i = 0; i < state->n_sockets; i++) {
        const Sluice__Internal__MasterState__Socket *socket = state->sockets[i];
        (void)fcntl(socket->fd, F_SETFD, FD_CLOEXEC);
        keep(socket->address, socket->slot, socket->fd);
    }
}

int listen_socket(const char *address, int slot, struct err *err)
{
    bool first = true;
    for (const struct kept_socket *s = kept; s != NULL; s = s->next) {
        if (strcmp(s->address, address) != 0)
            continue;
        first = false;
        if (s->slot == slot)
            return s->fd;
    }
    int fd = open_socket(address, first, err);
    if (fd < 0)
        return -1;
    keep(address, slot, fd);
    return fd;
}
