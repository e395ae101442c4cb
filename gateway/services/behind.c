#include "services/behind.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

struct behind {
    struct loop *loop;
    struct db_source *control;
    struct list running;
    int count;
};

struct behind_statement {
    struct list link;
    struct behind *behind;
    struct arena arena;
    struct db_sql sql;
    struct db_lease *lease;
    int64_t deadline_us;
    behind_done_fn done;
    void *arg;
};

struct behind *behind_new(struct loop *loop, struct db_source *control)
{
    struct behind *behind = mem_zero(sizeof *behind);
    behind->loop = loop;
    behind->control = control;
    list_init(&behind->running);
    return behind;
}

static void destroy(void *object)
{
    struct behind_statement *statement = object;
    arena_fini(&statement->arena);
    free(statement);
}

static void drop(struct behind_statement *statement)
{
    db_lease_release(&statement->lease);
    list_remove(&statement->link);
    statement->behind->count--;
}

void behind_free(struct behind **behind)
{
    if (*behind == NULL)
        return;
    list_for_each(link, &(*behind)->running)
    {
        struct behind_statement *statement = list_item(link, struct behind_statement, link);
        drop(statement);
        destroy(statement);
    }
    free(*behind);
    *behind = NULL;
}

static void finish(struct behind_statement *statement, const struct err *err)
{
    drop(statement);
    if (err != NULL)
        log_error(LOG_WARN, NULL, "control_statement_lost", err);
    if (statement->done != NULL)
        statement->done(statement->arg, err);
    loop_destroy_later(statement->behind->loop, destroy, statement);
}

static void on_done(void *arg, const struct db_rows *rows, const struct err *err)
{
    (void)rows;
    finish(arg, err);
}

static void on_lease(void *arg, const struct err *err)
{
    struct behind_statement *statement = arg;
    if (err != NULL) {
        statement->lease = NULL; /* a refused lease dies with this callback */
        finish(statement, err);
        return;
    }
    db_lease_execute(statement->lease, &statement->sql, statement->deadline_us, on_done, statement);
}

int behind_run(struct behind *behind, const struct db_sql *sql, behind_done_fn done, void *arg)
{
    if (behind->count == BEHIND_MAX)
        return -1;
    struct behind_statement *statement = mem_zero(sizeof *statement);
    arena_init(&statement->arena);
    const char **params =
        arena_array(&statement->arena, (size_t)sql->param_count + 1, sizeof *params);
    for (int i = 0; i < sql->param_count; i++)
        params[i] = sql->params[i] != NULL ? arena_strdup(&statement->arena, sql->params[i]) : NULL;
    statement->behind = behind;
    statement->sql =
        (struct db_sql){ .text = sql->text, .param_count = sql->param_count, .params = params };
    statement->done = done;
    statement->arg = arg;
    statement->deadline_us = loop_now_us(behind->loop) + (int64_t)BEHIND_WAIT_MS * 1000;
    list_append(&behind->running, &statement->link);
    behind->count++;
    statement->lease = db_lease_start(behind->control, statement->deadline_us, on_lease, statement);
    return 0;
}
