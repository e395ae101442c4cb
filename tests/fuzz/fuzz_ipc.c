/* Fuzzes the frames between our own processes, and what the auditor and a worker do with them. The
 * first byte is the size of the pieces in which the bytes come. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/append_item.h"
#include "audit/client.h"
#include "base/err.h"
#include "base/log.h"
#include "net/ipc.h"
#include "net/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct audit_client *client;
static struct ipc *ipc;
static int closed;

static void on_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    (void)arg;
    if (fd >= 0)
        abort(); /* none was sent */
    audit_client_on_message(client, message);
    if (message->body_case != SLUICE__INTERNAL__IPC_MESSAGE__BODY_APPEND)
        return;
    for (size_t i = 0; i < message->append->n_entries; i++) {
        struct err err = ERR_INIT;
        struct append_item *item = append_item_new(NULL, message->append->entries[i], &err);
        if (item == NULL && err.code != ERR_INVALID_ARGUMENT)
            abort();
        append_item_free(&item);
    }
}

static void on_closed(void *arg)
{
    (void)arg;
    closed++;
    ipc_free(&ipc);
    loop_stop(loop);
}

static void discard(void *arg, const uint8_t *message, size_t len)
{
    (void)arg;
    (void)message;
    (void)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ipc_handlers handlers = { .message = on_message, .closed = on_closed };
    if (loop == NULL) {
        log_configure(LOG_ERROR + 1, LOG_LOGFMT, "fuzz");
        loop = loop_new();
        struct audit_client_options options = { .origin = "o", .instance = "i", .send = discard };
        client = audit_client_new(loop, &options);
        audit_client_attached(client);
    }
    if (size < 1)
        return 0;
    int fds[2];
    ipc_pair(fds);
    ipc = ipc_new(loop, fds[0], &handlers, NULL);
    closed = 0;
    size_t piece = data[0] > 0 ? data[0] : size;
    for (size_t at = 1; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        if (send(fds[1], data + at, len, MSG_NOSIGNAL) != (ssize_t)len)
            break;
    }
    (void)close(fds[1]);
    loop_run(loop);
    if (closed != 1)
        abort();
    return 0;
}
