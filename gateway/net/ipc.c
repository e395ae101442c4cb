#include "net/ipc.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

enum {
    IPC_READ_BYTES = 256 * 1024,
    IPC_FDS_MAX = 16, /* descriptors received and not yet claimed by their message */
    IPC_QUEUE_BYTES_MAX = 512 * 1024 * 1024,
};

struct ipc {
    struct loop *loop;
    struct loop_io io;
    struct loop_task flush;
    struct loop_task close;
    const struct ipc_handlers *handlers;
    void *arg;
    int fd;
    bool dead;
    struct buf in;
    struct buf out;
    size_t out_sent;
    int fds[IPC_FDS_MAX];
    int fd_count;
    /* A descriptor to send with the byte at this offset of `out`. */
    int out_fd;
    size_t out_fd_at;
};

static void on_io(void *arg, int ready);
static void flush_now(void *arg);
static void close_now(void *arg);

struct ipc *ipc_new(struct loop *loop, int fd, const struct ipc_handlers *handlers, void *arg)
{
    struct ipc *ipc = mem_zero(sizeof *ipc);
    ipc->loop = loop;
    ipc->handlers = handlers;
    ipc->arg = arg;
    ipc->fd = fd;
    ipc->out_fd = -1;
    buf_init_large(&ipc->in, (size_t)IPC_FRAME_BYTES_MAX + 4);
    buf_init_large(&ipc->out, IPC_QUEUE_BYTES_MAX);
    loop_task_init(&ipc->flush, flush_now, ipc);
    loop_task_init(&ipc->close, close_now, ipc);
    loop_io_init(&ipc->io, loop, fd, on_io, ipc);
    loop_io_want(&ipc->io, LOOP_READ);
    return ipc;
}

static void destroy(void *object)
{
    struct ipc *ipc = object;
    buf_fini(&ipc->in);
    buf_fini(&ipc->out);
    free(ipc);
}

void ipc_free(struct ipc **ipc_ref)
{
    struct ipc *ipc = *ipc_ref;
    if (ipc == NULL)
        return;
    *ipc_ref = NULL;
    ipc->dead = true;
    loop_io_fini(&ipc->io);
    loop_task_cancel(&ipc->flush);
    loop_task_cancel(&ipc->close);
    (void)close(ipc->fd);
    for (int i = 0; i < ipc->fd_count; i++)
        (void)close(ipc->fds[i]);
    if (ipc->out_fd >= 0)
        (void)close(ipc->out_fd);
    loop_destroy_later(ipc->loop, destroy, ipc);
}

static void close_now(void *arg)
{
    struct ipc *ipc = arg;
    ipc->handlers->closed(ipc->arg);
}

static void fail(struct ipc *ipc)
{
    if (ipc->dead)
        return;
    ipc->dead = true;
    loop_io_want(&ipc->io, LOOP_NONE);
    loop_task_cancel(&ipc->flush);
    loop_task_post(ipc->loop, &ipc->close);
}

/* --- sending --------------------------------------------------------------------------------- */

static ssize_t send_part(struct ipc *ipc)
{
    struct iovec part = { .iov_base = ipc->out.data + ipc->out_sent,
                          .iov_len = ipc->out.len - ipc->out_sent };
    struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    bool with_fd = ipc->out_fd >= 0 && ipc->out_sent == ipc->out_fd_at;
    if (ipc->out_fd >= 0 && ipc->out_sent < ipc->out_fd_at)
        part.iov_len = ipc->out_fd_at - ipc->out_sent;
    if (with_fd) {
        memset(&control, 0, sizeof control);
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof control.bytes;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &ipc->out_fd, sizeof(int));
    }
    ssize_t sent = sendmsg(ipc->fd, &header, MSG_NOSIGNAL);
    if (sent > 0 && with_fd) {
        (void)close(ipc->out_fd);
        ipc->out_fd = -1;
    }
    return sent;
}

static void flush_now(void *arg)
{
    struct ipc *ipc = arg;
    while (!ipc->dead && ipc->out_sent < ipc->out.len) {
        ssize_t sent = send_part(ipc);
        if (sent > 0) {
            ipc->out_sent += (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            loop_io_want(&ipc->io, LOOP_READ | LOOP_WRITE);
            return;
        } else if (errno != EINTR) {
            fail(ipc);
            return;
        }
    }
    if (ipc->dead)
        return;
    buf_reset(&ipc->out);
    ipc->out_sent = 0;
    loop_io_want(&ipc->io, LOOP_READ);
}

static uint8_t *reserve_frame(struct ipc *ipc, size_t len)
{
    assert(len <= IPC_FRAME_BYTES_MAX);
    if (ipc->dead)
        return NULL;
    if (buf_reserve(&ipc->out, len + 4) < 0) {
        log_event(LOG_ERROR, NULL, "ipc_backlog_full", LOG_INT("bytes", ipc->out.len));
        fail(ipc);
        return NULL;
    }
    uint8_t *frame = ipc->out.data + ipc->out.len;
    for (int i = 0; i < 4; i++)
        frame[i] = (uint8_t)(len >> (24 - 8 * i));
    ipc->out.len += len + 4;
    loop_task_post(ipc->loop, &ipc->flush);
    return frame + 4;
}

void ipc_send(struct ipc *ipc, const Sluice__Internal__IpcMessage *message)
{
    uint8_t *frame = reserve_frame(ipc, sluice__internal__ipc_message__get_packed_size(message));
    if (frame != NULL)
        (void)sluice__internal__ipc_message__pack(message, frame);
}

void ipc_send_bytes(struct ipc *ipc, const uint8_t *data, size_t len)
{
    uint8_t *frame = reserve_frame(ipc, len);
    if (frame != NULL)
        memcpy(frame, data, len);
}

void ipc_send_fd(struct ipc *ipc, const Sluice__Internal__IpcMessage *message, int fd)
{
    if (ipc->out_fd >= 0) /* one at a time: let the earlier one go first */
        ipc_flush_blocking(ipc);
    ipc->out_fd_at = ipc->out.len;
    ipc->out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    ipc_send(ipc, message);
}

void ipc_flush_blocking(struct ipc *ipc)
{
    flush_now(ipc);
    while (!ipc->dead && ipc->out_sent < ipc->out.len) {
        struct pollfd wait = { .fd = ipc->fd, .events = POLLOUT };
        if (poll(&wait, 1, 1000) <= 0)
            return;
        flush_now(ipc);
    }
}

/* --- receiving ------------------------------------------------------------------------------- */

static void keep_descriptors(struct ipc *ipc, struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (ipc->fd_count < IPC_FDS_MAX)
                ipc->fds[ipc->fd_count++] = fd;
            else
                (void)close(fd);
        }
    }
}

static int take_descriptor(struct ipc *ipc)
{
    if (ipc->fd_count == 0)
        return -1;
    int fd = ipc->fds[0];
    ipc->fd_count--;
    memmove(ipc->fds, ipc->fds + 1, (size_t)ipc->fd_count * sizeof ipc->fds[0]);
    return fd;
}

/* Bytes of one whole frame at the front of `in`, 0 when it is not complete, -1 when it is no frame.
 */
static long frame_length(const struct ipc *ipc, size_t at)
{
    if (ipc->in.len - at < 4)
        return 0;
    const uint8_t *p = ipc->in.data + at;
    size_t len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (len > IPC_FRAME_BYTES_MAX)
        return -1;
    return ipc->in.len - at - 4 >= len ? (long)len + 4 : 0;
}

static void dispatch(struct ipc *ipc)
{
    size_t at = 0;
    long len = 0;
    while (!ipc->dead && (len = frame_length(ipc, at)) > 0) {
        Sluice__Internal__IpcMessage *message =
            sluice__internal__ipc_message__unpack(NULL, (size_t)len - 4, ipc->in.data + at + 4);
        at += (size_t)len;
        if (message == NULL) {
            len = -1;
            break;
        }
        bool attach = message->body_case == SLUICE__INTERNAL__IPC_MESSAGE__BODY_ATTACH;
        ipc->handlers->message(ipc->arg, message, attach ? take_descriptor(ipc) : -1);
        sluice__internal__ipc_message__free_unpacked(message, NULL);
    }
    if (len < 0) {
        log_event(LOG_ERROR, NULL, "ipc_frame_invalid", LOG_INT("fd", ipc->fd));
        fail(ipc);
    } else if (!ipc->dead) {
        buf_consume(&ipc->in, at);
    }
}

static bool receive(struct ipc *ipc)
{
    size_t want = IPC_READ_BYTES;
    if (want > ipc->in.max - ipc->in.len)
        want = ipc->in.max - ipc->in.len;
    if (buf_reserve(&ipc->in, want) < 0) {
        log_event(LOG_ERROR, NULL, "ipc_no_memory", LOG_INT("bytes", ipc->in.len));
        fail(ipc);
        return false;
    }
    struct iovec part = { .iov_base = ipc->in.data + ipc->in.len, .iov_len = want };
    char control[CMSG_SPACE(sizeof(int) * 4)];
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    ssize_t got = recvmsg(ipc->fd, &header, MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (got <= 0) {
        fail(ipc);
        return false;
    }
    keep_descriptors(ipc, &header);
    ipc->in.len += (size_t)got;
    return true;
}

static void on_io(void *arg, int ready)
{
    struct ipc *ipc = arg;
    if ((ready & LOOP_WRITE) != 0)
        flush_now(ipc);
    if ((ready & LOOP_READ) != 0 && !ipc->dead && receive(ipc))
        dispatch(ipc);
}

bool ipc_hand_over(struct ipc *ipc, int *fd_r, struct slice *received_r)
{
    ipc_flush_blocking(ipc);
    *fd_r = ipc->dead || ipc->out.len > 0 ? -1 : ipc->fd;
    *received_r = buf_slice(&ipc->in);
    return ipc->out.len == 0;
}

void ipc_take_over(struct ipc *ipc, struct slice received)
{
    if (buf_append(&ipc->in, received.data, received.len) < 0)
        fail(ipc);
}

void ipc_pair(int fds_r[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds_r) != 0) {
        log_event(LOG_ERROR, NULL, "socketpair_failed", LOG_STR("detail", strerror(errno)));
        abort();
    }
}
