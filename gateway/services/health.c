/* grpc.health.v1.Health: Check and Watch. */
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "rpc/server.h"
#include "schema/descriptor.h"
#include "services/gateway.h"
#include "services/services.h"

typedef Grpc__Health__V1__HealthCheckRequest health_request;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus health_status;

enum {
    HEALTH_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
    HEALTH_NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
    HEALTH_SERVICE_UNKNOWN =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
    HEALTH_WATCH_INTERVAL_MS = 250, /* as often as agreements are polled */
};

bool services_serving(const struct gateway *gateway)
{
    return !gateway->draining && gateway->authz != NULL && authz_ready(gateway->authz) &&
           (gateway->audit == NULL || audit_client_writable(gateway->audit, NULL));
}

static bool known_service(const char *name)
{
    if (name[0] == '\0')
        return true;
    const struct schema_set *types = rpc_api_types();
    for (size_t i = 0; i < schema_set_service_count(types); i++)
        if (strcmp(schema_set_service(types, i)->full_name, name) == 0)
            return true;
    return false;
}

static health_status status_of(const struct call *call)
{
    const health_request *request = (const health_request *)(const void *)call->request;
    if (!known_service(request->service))
        return (health_status)HEALTH_SERVICE_UNKNOWN;
    return (health_status)(services_serving(call->context) ? HEALTH_SERVING : HEALTH_NOT_SERVING);
}

static enum step_result check_answer(struct call *call)
{
    Grpc__Health__V1__HealthCheckResponse answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    answer.status = status_of(call);
    if (answer.status == (health_status)HEALTH_SERVICE_UNKNOWN) {
        (void)err_set(&call->err, ERR_NOT_FOUND, "SERVICE_UNKNOWN",
                      "this gateway has no service of that name");
        return STEP_FAIL;
    }
    call_answer(call, &answer.base);
    return STEP_NEXT;
}

static const struct step check_steps[] = {
    { "answer", check_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method health_check_method = {
    .path = "/grpc.health.v1.Health/Check",
    .kind = RPC_UNARY,
    .listeners = RPC_BOTH,
    .anonymous = true,
    .input = &grpc__health__v1__health_check_request__descriptor,
    .steps = check_steps,
};

/* --- Watch -------------------------------------------------------------------------------------- */

struct watch {
    struct loop_timer timer;
    bool started;
    health_status last;
};

static void send_status(struct call *call, health_status status)
{
    struct watch *watch = call->state;
    Grpc__Health__V1__HealthCheckResponse answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    uint8_t bytes[16];
    answer.status = status;
    watch->last = status;
    (void)call_send(call, bytes, grpc__health__v1__health_check_response__pack(&answer, bytes));
}

static void look_again(void *arg)
{
    struct call *call = arg;
    struct watch *watch = call->state;
    health_status status = status_of(call);
    if (status != watch->last)
        send_status(call, status);
    loop_timer_start(&watch->timer, HEALTH_WATCH_INTERVAL_MS);
}

static enum step_result watch_start(struct call *call)
{
    struct watch *watch = call->state;
    const struct gateway *gateway = call->context;
    loop_timer_init(&watch->timer, gateway->loop, look_again, call);
    watch->started = true;
    send_status(call, status_of(call));
    loop_timer_start(&watch->timer, HEALTH_WATCH_INTERVAL_MS);
    return STEP_WAIT;
}

static enum step_result watch_on(struct call *call)
{
    (void)call;
    return STEP_WAIT; /* until the caller or the process goes */
}

static void watch_finish(struct call *call, bool delivered)
{
    (void)delivered;
    struct watch *watch = call->state;
    if (watch->started)
        loop_timer_fini(&watch->timer);
}

static const struct step watch_steps[] = {
    { "watch", watch_start, watch_on },
    { NULL, NULL, NULL },
};

const struct rpc_method health_watch_method = {
    .path = "/grpc.health.v1.Health/Watch",
    .kind = RPC_SERVER_STREAM,
    .listeners = RPC_BOTH,
    .anonymous = true,
    .input = &grpc__health__v1__health_check_request__descriptor,
    .state_size = sizeof(struct watch),
    .steps = watch_steps,
    .finish = watch_finish,
};
