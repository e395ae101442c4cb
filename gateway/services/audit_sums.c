#include "services/audit_sums.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"

struct audit_sums {
    struct behind *behind;
    struct loop_timer timer;
    bool running;
};

static void on_summed(void *arg, const struct err *err)
{
    struct audit_sums *sums = arg;
    (void)err; /* is in the log; the next round tries again */
    sums->running = false;
}

static void on_time(void *arg)
{
    struct audit_sums *sums = arg;
    char blocks[12];
    const char *params[] = { blocks };
    struct db_sql sql = { .text = "SELECT audit.summarise($1::integer)",
                          .param_count = 1,
                          .params = params };
    (void)snprintf(blocks, sizeof blocks, "%d", AUDIT_SUMS_BLOCKS);
    if (!sums->running)
        sums->running = behind_run(sums->behind, &sql, on_summed, sums) == 0;
    loop_timer_start(&sums->timer, AUDIT_SUMS_EVERY_MS);
}

struct audit_sums *audit_sums_new(struct loop *loop, struct behind *behind)
{
    struct audit_sums *sums = mem_zero(sizeof *sums);
    sums->behind = behind;
    loop_timer_init(&sums->timer, loop, on_time, sums);
    loop_timer_start(&sums->timer, AUDIT_SUMS_EVERY_MS);
    return sums;
}

void audit_sums_stop(struct audit_sums *sums)
{
    if (sums != NULL)
        loop_timer_cancel(&sums->timer);
}

void audit_sums_free(struct audit_sums **sums)
{
    if (*sums == NULL)
        return;
    loop_timer_fini(&(*sums)->timer);
    free(*sums);
    *sums = NULL;
}
