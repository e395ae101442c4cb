#include "daemon/auditor_link.h"

#include <stdlib.h>
#include <unistd.h>

#include "audit/client.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/ipc.h"
#include "net/loop.h"

enum {
    /* An auditor that died is back sooner by itself; one that only let go of this process is not. */
    AUDITOR_AGAIN_MS = 500,
};

struct auditor_link {
    struct loop *loop;
    struct ipc *master;
    struct ipc *auditor; /* NULL: lost, or not there yet */
    struct audit_client *client;
    struct loop_timer again;
};

static void ask_again(void *arg)
{
    struct auditor_link *link = arg;
    Sluice__Internal__AuditorLost lost = SLUICE__INTERNAL__AUDITOR_LOST__INIT;
    Sluice__Internal__IpcMessage message = SLUICE__INTERNAL__IPC_MESSAGE__INIT;
    message.body_case = SLUICE__INTERNAL__IPC_MESSAGE__BODY_AUDITOR_LOST;
    message.auditor_lost = &lost;
    ipc_send(link->master, &message);
    loop_timer_start(&link->again, AUDITOR_AGAIN_MS);
}

struct auditor_link *auditor_link_new(struct loop *loop, struct ipc *master)
{
    struct auditor_link *link = mem_zero(sizeof *link);
    link->loop = loop;
    link->master = master;
    loop_timer_init(&link->again, loop, ask_again, link);
    return link;
}

void auditor_link_free(struct auditor_link **link)
{
    if (*link == NULL)
        return;
    loop_timer_fini(&(*link)->again);
    ipc_free(&(*link)->auditor);
    free(*link);
    *link = NULL;
}

void auditor_link_serve(struct auditor_link *link, struct audit_client *client)
{
    link->client = client;
}

void auditor_link_send(void *arg, const uint8_t *message, size_t len)
{
    struct auditor_link *link = arg;
    if (link->auditor != NULL)
        ipc_send_bytes(link->auditor, message, len);
}

static void on_message(void *arg, const Sluice__Internal__IpcMessage *message, int fd)
{
    struct auditor_link *link = arg;
    if (fd >= 0)
        (void)close(fd);
    audit_client_on_message(link->client, message);
}

static void detach(struct auditor_link *link)
{
    ipc_free(&link->auditor);
    audit_client_detached(link->client);
}

static void on_closed(void *arg)
{
    struct auditor_link *link = arg;
    log_event(LOG_WARN, NULL, "auditor_gone",
              LOG_STR("effect", "nothing is released until there is one again"));
    detach(link);
    loop_timer_start(&link->again, AUDITOR_AGAIN_MS);
}

static const struct ipc_handlers handlers = { .message = on_message, .closed = on_closed };

void auditor_link_attach(struct auditor_link *link, int fd)
{
    if (link->client == NULL) {
        (void)close(fd);
        return;
    }
    loop_timer_cancel(&link->again);
    if (link->auditor != NULL)
        detach(link);
    link->auditor = ipc_new(link->loop, fd, &handlers, link);
    audit_client_attached(link->client);
}

void auditor_link_flush(struct auditor_link *link)
{
    if (link->auditor != NULL)
        ipc_flush_blocking(link->auditor);
}
