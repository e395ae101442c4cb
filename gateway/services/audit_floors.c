#include "services/audit_floors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"

struct audit_floors {
    struct behind *behind;
    struct loop_timer timer;
    int64_t usage_days;
    int64_t network_days;
};

static void on_told(void *arg, const struct err *err)
{
    struct audit_floors *floors = arg;
    if (err != NULL) /* is in the log */
        loop_timer_start(&floors->timer, AUDIT_FLOORS_AGAIN_MS);
}

static void on_time(void *arg)
{
    struct audit_floors *floors = arg;
    char usage[24], network[24];
    const char *params[] = { usage, network };
    struct db_sql sql = { .text = "SELECT audit.keep_longer($1::integer, $2::integer)",
                          .param_count = 2,
                          .params = params };
    (void)snprintf(usage, sizeof usage, "%" PRId64, floors->usage_days);
    (void)snprintf(network, sizeof network, "%" PRId64, floors->network_days);
    if (behind_run(floors->behind, &sql, on_told, floors) != 0)
        loop_timer_start(&floors->timer, AUDIT_FLOORS_AGAIN_MS);
}

struct audit_floors *audit_floors_new(struct loop *loop, struct behind *behind, int64_t usage_days,
                                      int64_t network_days)
{
    struct audit_floors *floors = mem_zero(sizeof *floors);
    floors->behind = behind;
    floors->usage_days = usage_days;
    floors->network_days = network_days;
    loop_timer_init(&floors->timer, loop, on_time, floors);
    loop_timer_start(&floors->timer, 0);
    return floors;
}

void audit_floors_free(struct audit_floors **floors)
{
    if (*floors == NULL)
        return;
    loop_timer_fini(&(*floors)->timer);
    free(*floors);
    *floors = NULL;
}
