/* A proxy between the auditor and its server, that a test may have cut the connection at a message of
 *   its choice.
 * Ownership: the test's own struct; proxy_start and proxy_stop around one gateway.
 * Callbacks: `cuts` is asked for each piece of bytes before it is passed on; true swallows it.
 * Limits: PROXY_LINKS_MAX connections in its life.
 * Does not understand the protocol: the hook looks for command tags. */
#ifndef SLUICE_TESTS_FAULT_TEST_AUDIT_PROXY_H
#define SLUICE_TESTS_FAULT_TEST_AUDIT_PROXY_H

#include <arpa/inet.h>
#include <sys/socket.h>

#include "fault/test_audit_gateway.h"

enum { PROXY_LINKS_MAX = 64 };

struct proxy;
struct proxy_link {
    struct proxy *proxy;
    struct loop_io from_client, from_server;
    int client, server;
    bool began, appended; /* for hooks: how far the transaction is */
};
struct proxy {
    struct loop *loop;
    struct loop_io io;
    int fd;
    struct proxy_link links[PROXY_LINKS_MAX];
    size_t used;
    bool (*cuts)(struct proxy_link *link, bool from_server, const char *bytes, size_t len);
    unsigned seen, swallowed;
};

static inline bool proxy_has(const char *bytes, size_t len, const char *tag)
{
    return memmem(bytes, len, tag, strlen(tag) + 1) != NULL;
}

static inline void proxy_cut(struct proxy_link *link)
{
    loop_io_fini(&link->from_client);
    loop_io_fini(&link->from_server);
    (void)close(link->client);
    (void)close(link->server);
    link->client = -1;
}

static inline void proxy_pass(struct proxy_link *link, int from, int to)
{
    char bytes[16384];
    ssize_t len = recv(from, bytes, sizeof bytes, 0);
    bool swallow = len > 0 && link->proxy->cuts(link, from == link->server, bytes, (size_t)len);
    if (swallow)
        link->proxy->swallowed++;
    if (len <= 0 || swallow || send(to, bytes, (size_t)len, MSG_NOSIGNAL) != len)
        proxy_cut(link);
}

static inline void proxy_client_bytes(void *arg, int ready)
{
    struct proxy_link *link = arg;
    (void)ready;
    proxy_pass(link, link->client, link->server);
}

static inline void proxy_server_bytes(void *arg, int ready)
{
    struct proxy_link *link = arg;
    (void)ready;
    proxy_pass(link, link->server, link->client);
}

static inline int loopback_socket(int port, struct sockaddr_in *address_r)
{
    *address_r = (struct sockaddr_in){ .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static inline void proxy_client(void *arg, int ready)
{
    struct proxy *proxy = arg;
    struct sockaddr_in address;
    (void)ready;
    assert_true(proxy->used < PROXY_LINKS_MAX);
    struct proxy_link *link = &proxy->links[proxy->used++];
    link->proxy = proxy;
    link->client = accept(proxy->fd, NULL, NULL);
    link->server = loopback_socket(postgres_port(postgres), &address);
    assert_int_equal(connect(link->server, (struct sockaddr *)&address, sizeof address), 0);
    loop_io_init(&link->from_client, proxy->loop, link->client, proxy_client_bytes, link);
    loop_io_init(&link->from_server, proxy->loop, link->server, proxy_server_bytes, link);
    loop_io_want(&link->from_client, LOOP_READ);
    loop_io_want(&link->from_server, LOOP_READ);
}

/* Opens `gateway` behind the proxy. */
static inline void proxy_start(struct proxy *proxy, struct gateway *gateway)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    proxy->fd = loopback_socket(0, &address);
    assert_int_equal(bind(proxy->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(proxy->fd, 8), 0);
    assert_int_equal(getsockname(proxy->fd, (struct sockaddr *)&address, &len), 0);
    proxy_port = ntohs(address.sin_port);
    gateway_open(gateway);
    proxy->loop = gateway->loop;
    loop_io_init(&proxy->io, gateway->loop, proxy->fd, proxy_client, proxy);
    loop_io_want(&proxy->io, LOOP_READ);
}

static inline void proxy_stop(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->used; i++) {
        if (proxy->links[i].client >= 0)
            proxy_cut(&proxy->links[i]);
    }
    loop_io_fini(&proxy->io);
    (void)close(proxy->fd);
    proxy_port = 0;
}

#endif
