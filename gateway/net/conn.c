#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/loop.h"

enum conn_state { CONN_HANDSHAKE, CONN_OPEN, CONN_CLOSED };

struct conn {
    struct loop *loop;
    struct loop_io io;
    struct loop_timer handshake_timer;
    struct loop_task again; /* TLS holds decrypted bytes that the socket will not announce */
    struct loop_task end;
    const struct conn_handlers *handlers;
    void *arg;
    SSL *ssl;
    int fd;
    enum conn_state state;
    bool want_read;
    bool write_blocked;
    struct tls_peer peer;
    struct err why;
    char address[INET6_ADDRSTRLEN + 8];
};

static void on_io(void *arg, int ready);
static void on_handshake_timeout(void *arg);
static void on_again(void *arg);
static void on_end(void *arg);

static void describe_peer(struct conn *conn)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    if (getpeername(conn->fd, (struct sockaddr *)&address, &len) == 0) {
        if (address.ss_family == AF_INET) {
            const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&address;
            (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
            port = ntohs(in->sin_port);
        } else if (address.ss_family == AF_INET6) {
            const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)&address;
            (void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
            port = ntohs(in->sin6_port);
        }
    }
    (void)snprintf(conn->address, sizeof conn->address, "%s:%u", host, port & 0xFFFF);
}

struct conn *conn_accept(struct loop *loop, struct tls_context *tls, int fd,
                         const struct conn_handlers *handlers, void *arg)
{
    struct conn *conn = mem_zero(sizeof *conn);
    conn->loop = loop;
    conn->handlers = handlers;
    conn->arg = arg;
    conn->fd = fd;
    conn->want_read = true;
    int one = 1;
    int sndbuf = CONN_SNDBUF_BYTES;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    describe_peer(conn);
    conn->ssl = tls_accept(tls, fd);
    loop_io_init(&conn->io, loop, fd, on_io, conn);
    loop_timer_init(&conn->handshake_timer, loop, on_handshake_timeout, conn);
    loop_timer_start(&conn->handshake_timer, CONN_HANDSHAKE_MS);
    loop_task_init(&conn->again, on_again, conn);
    loop_task_init(&conn->end, on_end, conn);
    loop_io_want(&conn->io, LOOP_READ);
    return conn;
}

static void destroy(void *object)
{
    struct conn *conn = object;
    SSL_free(conn->ssl);
    if (conn->fd >= 0)
        (void)close(conn->fd);
    free(conn);
}

/* --- lingering close ------------------------------------------------------------------------- */

/* Closing a socket with unread bytes resets the connection, and the reset may destroy what we said
 * last (an alert, a GOAWAY, an answer). So our side ends first and the peer gets a moment to read.
 */
struct lingering_socket {
    struct loop_io io;
    struct loop_timer timer;
    size_t discarded;
};

static int lingering;

static void linger_end(void *arg)
{
    struct lingering_socket *socket = arg;
    struct loop *loop = socket->io.loop;
    (void)close(socket->io.fd);
    loop_io_fini(&socket->io);
    loop_timer_fini(&socket->timer);
    loop_free_later(loop, socket);
    lingering--;
}

static void linger_read(void *arg, int ready)
{
    struct lingering_socket *socket = arg;
    char bytes[4096];
    (void)ready;
    ssize_t got = read(socket->io.fd, bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        socket->discarded += (size_t)got;
    if (got <= 0 || socket->discarded > CONN_LINGER_BYTES_MAX)
        linger_end(socket);
}

static void linger_start(struct loop *loop, int fd)
{
    if (lingering >= CONN_LINGERING_MAX || shutdown(fd, SHUT_WR) != 0) {
        (void)close(fd);
        return;
    }
    struct lingering_socket *socket = mem_zero(sizeof *socket);
    loop_io_init(&socket->io, loop, fd, linger_read, socket);
    loop_timer_init(&socket->timer, loop, linger_end, socket);
    loop_io_want(&socket->io, LOOP_READ);
    loop_timer_start(&socket->timer, CONN_LINGER_MS);
    lingering++;
}

int conn_lingering(void)
{
    return lingering;
}

void conn_free(struct conn **conn_ref)
{
    struct conn *conn = *conn_ref;
    if (conn == NULL)
        return;
    *conn_ref = NULL;
    if (conn->state == CONN_OPEN)
        (void)SSL_shutdown(conn->ssl); /* close_notify, best effort */
    ERR_clear_error();
    conn->state = CONN_CLOSED;
    loop_io_fini(&conn->io);
    linger_start(conn->loop, conn->fd);
    conn->fd = -1;
    loop_timer_fini(&conn->handshake_timer);
    loop_task_cancel(&conn->again);
    loop_task_cancel(&conn->end);
    loop_destroy_later(conn->loop, destroy, conn);
}

static void update_interest(struct conn *conn)
{
    int want = LOOP_NONE;
    if (conn->want_read)
        want |= LOOP_READ;
    if (conn->write_blocked)
        want |= LOOP_WRITE;
    loop_io_want(&conn->io, want);
}

static void end_with(struct conn *conn, const char *reason, const char *text)
{
    if (conn->state == CONN_CLOSED)
        return;
    char detail[200];
    int system_error = errno;
    tls_error_text(detail, sizeof detail);
    conn->state = CONN_CLOSED;
    (void)err_set(&conn->why, ERR_UNAVAILABLE, reason, "%s", text);
    (void)err_detail(&conn->why, "%s; %s; %s", conn->address, detail,
                     system_error != 0 ? strerror(system_error) : "no system error");
    loop_io_want(&conn->io, LOOP_NONE);
    loop_timer_cancel(&conn->handshake_timer);
    loop_task_post(conn->loop, &conn->end);
}

static void on_end(void *arg)
{
    struct conn *conn = arg;
    conn->handlers->closed(conn->arg, &conn->why);
}

static void on_handshake_timeout(void *arg)
{
    errno = 0;
    end_with(arg, "TLS_HANDSHAKE_TIMEOUT", "the TLS handshake took too long");
}

static void handshake(struct conn *conn)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(conn->ssl);
    if (result == 1) {
        conn->state = CONN_OPEN;
        conn->write_blocked = false;
        loop_timer_cancel(&conn->handshake_timer);
        tls_peer_of(conn->ssl, &conn->peer);
        update_interest(conn);
        conn->handlers->ready(conn->arg);
        /* The first request often rides in the same packet as the client's Finished. */
        if (conn->state == CONN_OPEN)
            loop_task_post(conn->loop, &conn->again);
        return;
    }
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        loop_io_want(&conn->io, LOOP_READ);
        break;
    case SSL_ERROR_WANT_WRITE:
        loop_io_want(&conn->io, LOOP_WRITE);
        break;
    default: {
        long verdict = SSL_get_verify_result(conn->ssl);
        end_with(conn, "TLS_HANDSHAKE_FAILED",
                 verdict == X509_V_OK ? "the TLS handshake failed"
                                      : X509_verify_cert_error_string(verdict));
        break;
    }
    }
}

static void on_io(void *arg, int ready)
{
    struct conn *conn = arg;
    if (conn->state == CONN_HANDSHAKE) {
        handshake(conn);
        return;
    }
    if ((ready & LOOP_WRITE) != 0 && conn->state == CONN_OPEN) {
        conn->write_blocked = false;
        update_interest(conn);
        conn->handlers->writable(conn->arg);
    }
    if ((ready & LOOP_READ) != 0 && conn->state == CONN_OPEN && conn->want_read)
        conn->handlers->readable(conn->arg);
}

static void on_again(void *arg)
{
    struct conn *conn = arg;
    if (conn->state == CONN_OPEN && conn->want_read)
        conn->handlers->readable(conn->arg);
}

ssize_t conn_read(struct conn *conn, void *out, size_t size)
{
    if (conn->state != CONN_OPEN)
        return -1;
    ERR_clear_error();
    errno = 0;
    size_t got = 0;
    int result = SSL_read_ex(conn->ssl, out, size, &got);
    if (result == 1) {
        if (SSL_has_pending(conn->ssl))
            loop_task_post(conn->loop, &conn->again);
        return (ssize_t)got;
    }
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        conn->write_blocked = true;
        update_interest(conn);
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        end_with(conn, "PEER_CLOSED", "the peer closed the connection");
        return -1;
    default:
        end_with(conn, "CONNECTION_LOST", "the connection broke");
        return -1;
    }
}

ssize_t conn_write(struct conn *conn, const void *data, size_t len)
{
    if (conn->state != CONN_OPEN)
        return -1;
    if (conn->write_blocked)
        return 0;
    ERR_clear_error();
    errno = 0;
    size_t taken = 0;
    int result = SSL_write_ex(conn->ssl, data, len, &taken);
    if (result == 1)
        return (ssize_t)taken;
    switch (SSL_get_error(conn->ssl, result)) {
    case SSL_ERROR_WANT_WRITE:
    case SSL_ERROR_WANT_READ:
        conn->write_blocked = true;
        update_interest(conn);
        return 0;
    default:
        end_with(conn, "CONNECTION_LOST", "the connection broke");
        return -1;
    }
}

void conn_want_read(struct conn *conn, bool want)
{
    if (conn->want_read == want)
        return;
    conn->want_read = want;
    if (conn->state != CONN_OPEN)
        return;
    update_interest(conn);
    if (want && SSL_has_pending(conn->ssl))
        loop_task_post(conn->loop, &conn->again);
}

bool conn_peer_trusted(const struct conn *conn, const struct tls_context *tls)
{
    return conn->state != CONN_OPEN || tls_peer_trusted(tls, conn->ssl);
}

const struct tls_peer *conn_peer(const struct conn *conn)
{
    return &conn->peer;
}

const char *conn_address(const struct conn *conn)
{
    return conn->address;
}
