#include "transfer/script.h"

#include <assert.h>
#include <string.h>

enum { PUT_BYTES = 64 * 1024 }; /* at a time, so that back-pressure is asked for often */

static void run_next(struct script *script);

void script_init(struct script *script, void *arg)
{
    script->count = 0;
    script->at = 0;
    script->arg = arg;
}

struct script_step *script_add(struct script *script, const char *sql)
{
    assert(script->count < SCRIPT_STEPS_MAX);
    struct script_step *step = &script->steps[script->count++];
    *step = (struct script_step){ .sql = sql };
    return step;
}

void script_param(struct script_step *step, const char *value)
{
    assert(step->param_count < SCRIPT_PARAMS_MAX);
    step->params[step->param_count++] = value;
}

static void on_done(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct script *script = arg;
    const struct script_step *step = &script->steps[script->at];
    struct err failed = ERR_INIT;
    if (err == NULL && step->check != NULL && step->check(script->arg, rows, &failed) < 0)
        err = &failed;
    if (err != NULL) {
        script->done(script->arg, err);
        return;
    }
    script->at++;
    run_next(script);
}

static void on_row(void *arg, const struct db_rows *rows)
{
    struct script *script = arg;
    script->steps[script->at].row(script->arg, rows);
}

static void on_writable(void *arg)
{
    struct script *script = arg;
    const struct script_step *step = &script->steps[script->at];
    bool more = true;
    while (more && script->piece < SCRIPT_PIECES) {
        const struct slice *piece = &step->copy[script->piece];
        size_t len = piece->len - script->sent;
        if (len == 0) {
            script->piece++;
            script->sent = 0;
            continue;
        }
        len = len < PUT_BYTES ? len : PUT_BYTES;
        more = db_lease_copy_put(script->lease, piece->data + script->sent, len);
        script->sent += len;
    }
    if (script->piece == SCRIPT_PIECES)
        db_lease_copy_end(script->lease);
}

static void run_next(struct script *script)
{
    struct err err = ERR_INIT;
    if (script->at == script->count) {
        script->done(script->arg, NULL);
        return;
    }
    const struct script_step *step = &script->steps[script->at];
    if (step->before != NULL && step->before(script->arg, &err) < 0) {
        script->done(script->arg, &err);
        return;
    }
    if (step->is_copy) {
        script->piece = 0;
        script->sent = 0;
        db_lease_copy(script->lease, step->sql, script->deadline_us, on_writable, on_done, script);
        return;
    }
    struct db_sql sql = { .text = step->sql,
                          .param_count = step->param_count,
                          .params = step->params };
    if (step->row != NULL)
        db_lease_query(script->lease, &sql, script->deadline_us, on_row, on_done, script);
    else
        db_lease_execute(script->lease, &sql, script->deadline_us, on_done, script);
}

void script_run(struct script *script, struct db_lease *lease, int64_t deadline_us,
                script_done_fn done)
{
    assert(script->count > 0 && script->steps[0].before == NULL); /* it could end at once */
    script->lease = lease;
    script->deadline_us = deadline_us;
    script->done = done;
    run_next(script);
}

int script_expect(const struct db_rows *rows, const char *tag, const char *reason, struct err *err)
{
    if (strcmp(db_command_tag(rows), tag) == 0)
        return 0;
    (void)err_set(err, ERR_ABORTED, reason,
                  "the transfer is worked on elsewhere, or its table was changed meanwhile");
    return err_detail(err, "expected %s, found %s", tag, db_command_tag(rows));
}
