/* Frames between our own processes over a Unix socketpair: 4-byte big-endian length, then one
 * sluice.internal.IpcMessage. A descriptor may ride along (SCM_RIGHTS).
 * Ownership: the ipc takes the socket; a received descriptor belongs to the handler.
 * Callbacks: one message at a time, never inside ipc_send; `closed` once, after the last message.
 * Limits: IPC_FRAME_BYTES_MAX a frame; what is queued is bounded by who sends (audit tickets).
 * Does not retry: a closed pipe means the other process died, and the master makes a new one. */
#ifndef SLUICE_NET_IPC_H
#define SLUICE_NET_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sluice/internal/ipc.pb-c.h"

struct ipc;
struct loop;

/* 512 audit entries of 16 KiB and their search columns. */
enum { IPC_FRAME_BYTES_MAX = 16 * 1024 * 1024 };

struct ipc_handlers {
    /* `fd` is -1 unless the message is Attach; the handler owns it. */
    void (*message)(void *arg, const Sluice__Internal__IpcMessage *message, int fd);
    void (*closed)(void *arg);
};

struct ipc *ipc_new(struct loop *loop, int fd, const struct ipc_handlers *handlers, void *arg);
void ipc_free(struct ipc **ipc);
/* Queued and written at the end of the loop turn, many messages in one write. */
void ipc_send(struct ipc *ipc, const Sluice__Internal__IpcMessage *message);
/* The descriptor is duplicated by the kernel; the caller still closes its own. */
void ipc_send_fd(struct ipc *ipc, const Sluice__Internal__IpcMessage *message, int fd);
/* Same as ipc_send for an already serialised IpcMessage. */
void ipc_send_bytes(struct ipc *ipc, const uint8_t *data, size_t len);
/* Blocks until what is queued is written or the other side is gone: for the last words of a
 * process. */
void ipc_flush_blocking(struct ipc *ipc);

/* For a process that executes a new binary in place: the socket, and what was received of a frame
 * that is not complete (borrowed). False while something waits to be sent; the socket is -1 then. */
bool ipc_hand_over(struct ipc *ipc, int *fd_r, struct slice *received_r);
/* The new binary's half, right after ipc_new. */
void ipc_take_over(struct ipc *ipc, struct slice received);

/* Two connected, close-on-exec, non-blocking stream sockets; aborts when the system has none left.
 */
void ipc_pair(int fds_r[2]);

#endif
