#include "daemon/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static socklen_t parse_address(const char *text, struct sockaddr_storage *out)
{
    char host[64];
    unsigned port = 0;
    *out = (struct sockaddr_storage){ 0 };
    if (sscanf(text, "[%63[^]]]:%5u", host, &port) == 2) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? sizeof *in6 : 0;
    }
    if (sscanf(text, "%63[^:]:%5u", host, &port) == 2) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? sizeof *in : 0;
    }
    return 0;
}

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
    socklen_t len = parse_address(text, &storage);
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
    struct kept_socket *socket = mem_zero(sizeof *socket);
    socket->address = mem_strdup(address);
    socket->slot = slot;
    socket->fd = fd;
    socket->next = kept;
    kept = socket;
    return fd;
}
