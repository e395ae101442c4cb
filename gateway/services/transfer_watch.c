/* WatchTransfer: the job as it stands, again after each change, until it has ended. */
#include <string.h>

#include "services/transfer_rows.h"

enum { WATCH_LOOK_MS = 300 };

struct watch {
    struct transfer_call base; /* first */
    struct loop_timer timer;
    bool started;
    bool due;
    struct buf last; /* the message sent last */
    struct buf now;
};

static const char *watched_id(const struct call *call)
{
    return ((const Sluice__V1__WatchTransferRequest *)(const void *)call->request)->id;
}

static void look_again(void *arg)
{
    struct call *call = arg;
    ((struct watch *)call->state)->due = true;
    call_resume(call);
}

static enum step_result watch_start(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct watch *watch = call->state;
    loop_timer_init(&watch->timer, gateway->loop, look_again, call);
    buf_init(&watch->last, (size_t)1024 * 1024);
    buf_init(&watch->now, (size_t)1024 * 1024);
    watch->started = true;
    return transfer_select(call, watched_id(call));
}

static int send_changes(struct call *call)
{
    struct watch *watch = call->state;
    const Sluice__V1__Transfer *transfer = watch->base.transfer;
    size_t len = sluice__v1__transfer__get_packed_size(transfer);
    buf_reset(&watch->now);
    if (buf_reserve(&watch->now, len) < 0)
        return err_set(&call->err, ERR_INTERNAL, "ANSWER_TOO_LARGE",
                       "the transfer's description does not fit a message");
    watch->now.len = sluice__v1__transfer__pack(transfer, watch->now.data);
    if (watch->now.len == watch->last.len &&
        (len == 0 || memcmp(watch->now.data, watch->last.data, len) == 0))
        return 0;
    buf_reset(&watch->last);
    (void)buf_append(&watch->last, watch->now.data, watch->now.len);
    return call_send(call, watch->now.data, watch->now.len);
}

static enum step_result watch_look(struct call *call)
{
    struct watch *watch = call->state;
    if (watch->due) {
        watch->due = false;
        return transfer_select(call, watched_id(call));
    }
    if (watch->base.admin.lease == NULL && !watch->base.admin.waiting_db &&
        watch->base.admin.failed.code == ERR_OK)
        return STEP_WAIT; /* the timer runs */
    enum step_result result = admin_ran(call);
    if (result != STEP_NEXT)
        return result;
    if (send_changes(call) < 0)
        return STEP_FAIL;
    if (transfer_has_ended(watch->base.transfer))
        return STEP_NEXT;
    loop_timer_start(&watch->timer, WATCH_LOOK_MS);
    return STEP_WAIT;
}

static void watch_finish(struct call *call, bool delivered)
{
    struct watch *watch = call->state;
    admin_finish(call, delivered);
    if (!watch->started)
        return;
    loop_timer_fini(&watch->timer);
    buf_fini(&watch->last);
    buf_fini(&watch->now);
}

static const struct step watch_steps[] = {
    { "admit", admin_admit, NULL },
    { "watch", watch_start, watch_look },
    { NULL, NULL, NULL },
};

const struct rpc_method transfer_watch_method = {
    .path = "/sluice.v1.TransferService/WatchTransfer",
    .kind = RPC_SERVER_STREAM,
    .listeners = RPC_BOTH,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__watch_transfer_request__descriptor,
    .state_size = sizeof(struct watch),
    .steps = watch_steps,
    .finish = watch_finish,
};
