/* What a job does in the target's database: prepare, one chunk, clean (publish.c puts in place). Every transaction first
 * touches the job's row of sluice.transfer_progress under its epoch, and holds that row to its end: a mover
 * that lost the job finds no such row and writes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/log.h"
#include "transfer/job.h"

/* A database that restarts is back in seconds; the source's snapshot is held for no longer than that. */
enum { RESOLUTIONS_MAX = 20, RESOLVE_MS = 500 };

/* What the room pg says of a source, said of a target. */
static const struct {
    const char *from;
    const char *reason;
    const char *text;
} renames[] = {
    { "SOURCE_UNAVAILABLE", "TARGET_UNAVAILABLE", "the target's database cannot be reached" },
    { "SOURCE_BUSY", "TARGET_BUSY", "no connection to the target's database became free" },
    { "SOURCE_TIMEOUT", "TARGET_TIMEOUT", "the target's database did not answer in time" },
    { "SOURCE_READ_ONLY", "TARGET_READ_ONLY", "the target's database accepts no writes now" },
    { "SOURCE_EXHAUSTED", "TARGET_EXHAUSTED",
      "the target's database is short of disk, memory or connections" },
    { "SOURCE_CONFLICT", "TARGET_LOCKED",
      "somebody else holds what the transfer needs to lock in the target's database" },
    { "SOURCE_PERMISSION", "TARGET_PERMISSION",
      "the target's database does not let the gateway's role write there; see docs/transfer.md for "
      "what it needs" },
    { "SCHEMA_DRIFT", "TARGET_CHANGED", "the target table no longer fits its mapping" },
    { "VALUE_INVALID", "TARGET_VALUE", "the target's database refuses a value" },
    { "DUPLICATE_KEY", "TARGET_CONSTRAINT",
      "the target table has a row of the same key already, so that nothing was put in place" },
    { "KEY_TWICE", "TARGET_CONSTRAINT",
      "two of the rows that were sent have one key in the target table, so that nothing was put in "
      "place" },
    { "CONSTRAINT_VIOLATED", "TARGET_CONSTRAINT",
      "the target table refuses the rows by one of its constraints, so that nothing was put in "
      "place" },
};

static struct err as_target(const struct err *err)
{
    struct err out = *err;
    for (size_t i = 0; i < sizeof renames / sizeof renames[0]; i++)
        if (strcmp(err->reason, renames[i].from) == 0) {
            (void)err_set(&out, err->code, renames[i].reason, "%s", renames[i].text);
            (void)err_detail(&out, "%s", err->detail);
            break;
        }
    return out;
}

void target_fail(struct transfer_job *job, const struct err *err)
{
    struct err told = as_target(err);
    job_fail(job, &told);
}

/* --- the connection -------------------------------------------------------------------------------- */

struct script *target_script(struct transfer_job *job)
{
    arena_fini(&job->scripts);
    arena_init(&job->scripts);
    script_init(&job->script, job);
    return &job->script;
}

static void on_lease(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL) {
        job->dest = NULL; /* a refused lease dies with this callback */
        target_fail(job, err);
        return;
    }
    script_run(&job->script, job->dest, job_deadline(job, JOB_STATEMENT_MS), job->script.done);
}

/* Opens a connection, then runs the script that stands ready. */
static void run_on_new_lease(struct transfer_job *job, script_done_fn done)
{
    struct db_source *database =
        job->options->database(job->options->arg, job->target->source, true);
    struct err err = ERR_INIT;
    if (database == NULL) {
        (void)err_set(&err, ERR_FAILED_PRECONDITION, "TARGET_NOT_CONFIGURED",
                      "this gateway has no target \"%.60s\" to write to; its operator adds one",
                      job->target->source);
        job_fail(job, &err);
        return;
    }
    job->script.done = done;
    job->dest = db_lease_start(database, job_deadline(job, JOB_CONNECT_MS), on_lease, job);
}

/* The first transaction of a connection. A mover that stands still must not hold the job's row for ever. */
static void add_first_begin(struct script *script)
{
    (void)script_add(script, "SET idle_in_transaction_session_timeout = '30s'");
    (void)script_add(script, "SET lock_timeout = '60s'");
    (void)script_add(script, "BEGIN");
}

void target_add_fence(struct transfer_job *job, struct script_step *step)
{
    script_param(step, job->id);
    script_param(step, job->epoch);
}

int target_check_fenced(void *arg, const struct db_rows *rows, struct err *err)
{
    (void)arg;
    return script_expect(rows, "UPDATE 1", "TRANSFER_LOST", err);
}

int target_check_live(void *arg, struct err *err)
{
    const struct transfer_job *job = arg;
    return authz_live(job->options->authz, &job->grant, err) ? 0 : -1;
}

bool target_take_manifest(struct transfer_job *job, struct db_value value)
{
    if (value.data == NULL)
        return false;
    buf_reset(&job->manifest);
    (void)buf_append(&job->manifest, value.data, value.len);
    job->published = true;
    return true;
}

/* --- prepare ------------------------------------------------------------------------------------------ */

static int check_table(void *arg, const struct db_rows *rows, struct err *err)
{
    const struct transfer_job *job = arg;
    return schema_writer_check_target(job->writer, rows, err);
}

static int check_rights(void *arg, const struct db_rows *rows, struct err *err)
{
    (void)arg;
    if (!db_bool(db_value(rows, 0, 0)))
        return err_set(
            err, ERR_FAILED_PRECONDITION, "TARGET_PERMISSION",
            "the gateway's role may not read and change the target table as the mode needs "
            "it; grant it SELECT, INSERT and, to replace, DELETE or, to upsert, UPDATE");
    if (!db_bool(db_value(rows, 0, 1)))
        return err_set(err, ERR_FAILED_PRECONDITION, "TARGET_NOT_PREPARED",
                       "the target's database has no schema \"" TRANSFER_SCHEMA
                       "\" in which the gateway's role may create tables; see docs/transfer.md");
    return 0;
}

static int check_claimed(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_ABORTED, "TRANSFER_LOST",
                       "the transfer is worked on elsewhere by now");
    (void)target_take_manifest(job, db_value(rows, 0, 0));
    return 0;
}

static void on_prepared(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL)
        target_fail(job, err);
    else if (job->published)
        job_published(job);
    else
        copy_begin(job);
}

/* The transaction goes on: an earlier attempt's rows go, this one's place is made. */
static void on_claimed(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL) {
        target_fail(job, err);
        return;
    }
    struct script *script = target_script(job);
    if (!job->published) {
        (void)script_add(script,
                         arena_format(&job->scripts, "DROP TABLE IF EXISTS %s", job->staging));
        (void)script_add(script,
                         arena_format(&job->scripts,
                                      "CREATE UNLOGGED TABLE %s AS SELECT %s FROM %s WITH NO DATA",
                                      job->staging, schema_writer_columns(job->writer),
                                      schema_writer_table(job->writer)));
    }
    (void)script_add(script, "COMMIT");
    script_run(script, job->dest, job_deadline(job, JOB_STATEMENT_MS), on_prepared);
}

void target_prepare(struct transfer_job *job)
{
    struct script *script = target_script(job);
    struct db_sql describe;
    struct err err = ERR_INIT;
    if (schema_writer_target(job->writer, &job->scripts, &describe, &err) < 0) {
        job_fail(job, &err);
        return;
    }
    add_first_begin(script);
    struct script_step *step = script_add(script, describe.text);
    script_param(step, describe.params[0]);
    step->check = check_table;
    step = script_add(
        script,
        "SELECT pg_catalog.has_table_privilege($1, 'SELECT') AND pg_catalog.has_table_privilege($1,"
        " 'INSERT') AND ($2 = '' OR pg_catalog.has_table_privilege($1, $2)),"
        " coalesce((SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') FROM"
        " pg_catalog.pg_namespace WHERE nspname = '" TRANSFER_SCHEMA "'), false)");
    script_param(step, schema_writer_table(job->writer));
    script_param(step, job_by_key(job)                                   ? "UPDATE"
                       : job->mode == SLUICE__V1__TRANSFER_MODE__REPLACE ? "DELETE"
                                                                         : "");
    step->check = check_rights;
    if (job_by_key(job))
        upsert_add_check(job, script);
    ledger_add_tables(script);
    ledger_add_look(job, script);
    if (job->cursor.field[0] != '\0')
        cursor_add_look(job, script);
    step =
        script_add(script, "INSERT INTO " TRANSFER_PROGRESS " AS p (job, epoch) VALUES ($1::uuid,"
                           " $2::bigint) ON CONFLICT (job) DO UPDATE SET epoch = excluded.epoch,"
                           " chunks = 0, updated_at = now() WHERE p.epoch < excluded.epoch"
                           " RETURNING manifest");
    target_add_fence(job, step);
    step->check = check_claimed;
    run_on_new_lease(job, on_claimed);
}

/* --- one chunk ---------------------------------------------------------------------------------------- */

static void on_sent(void *arg, const struct err *err);

static int check_copied(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    char tag[40];
    (void)snprintf(tag, sizeof tag, "COPY %llu", (unsigned long long)job_chunk_sent(job)->rows);
    return script_expect(rows, tag, "TARGET_CHANGED", err);
}

static void add_chunk(struct transfer_job *job)
{
    struct script *script = target_script(job);
    struct arena *arena = &job->scripts;
    (void)script_add(script, "BEGIN");
    struct script_step *step =
        script_add(script, "UPDATE " TRANSFER_PROGRESS " SET chunks = chunks + 1, updated_at ="
                           " now() WHERE job = $1::uuid AND epoch = $2::bigint AND chunks ="
                           " $3::bigint AND manifest IS NULL");
    target_add_fence(job, step);
    script_param(step, arena_format(arena, "%llu", (unsigned long long)job->chunks));
    step->check = target_check_fenced;
    step = script_add(script, arena_format(arena, "COPY %s (%s) FROM STDIN (FORMAT binary)",
                                           job->staging, schema_writer_columns(job->writer)));
    step->is_copy = true;
    step->copy[0] = schema_writer_header;
    step->copy[1] = buf_slice(&job_chunk_sent(job)->tuples);
    step->copy[2] = schema_writer_trailer;
    step->check = check_copied;
    step = script_add(script, "COMMIT");
    step->before = target_check_live;
}

void target_send(struct transfer_job *job)
{
    add_chunk(job);
    script_run(&job->script, job->dest, job_deadline(job, JOB_STATEMENT_MS), on_sent);
}

/* Whether the chunk in hand is in: the row says, once whoever holds it has let go. */
static int check_chunks(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_ABORTED, "TRANSFER_LOST",
                       "the transfer is worked on elsewhere by now");
    job->resolving = (uint64_t)db_int8(db_value(rows, 0, 0)) == job->chunks;
    return 0;
}

static int check_published(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_ABORTED, "TRANSFER_LOST",
                       "the transfer is worked on elsewhere by now");
    (void)target_take_manifest(job, db_value(rows, 0, 1));
    return 0;
}

/* A connection that was lost, before or in the COMMIT. */
bool target_may_resolve(struct transfer_job *job, const struct err *err)
{
    if (err->code != ERR_WRITE_UNCERTAIN && strcmp(err->reason, "SOURCE_UNAVAILABLE") != 0)
        return false;
    return job->resolutions++ < RESOLUTIONS_MAX;
}

static void on_chunk_resolved(void *arg, const struct err *err);

/* Looks a little later, on a new connection, what the job's row says. */
void target_resolve_later(struct transfer_job *job, const struct err *err, script_done_fn resolved)
{
    log_error(LOG_WARN, NULL, "transfer_uncertain", err);
    db_lease_release(&job->dest);
    job->resolved = resolved;
    loop_timer_start(&job->resolve, job->resolutions > 1 ? RESOLVE_MS : 0);
}

static void on_resolve_lease(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err == NULL) {
        script_run(&job->script, job->dest, job_deadline(job, JOB_STATEMENT_MS), job->resolved);
        return;
    }
    job->dest = NULL; /* a refused lease dies with this callback */
    job->resolved(job, err);
}

void target_resolve(void *arg)
{
    struct transfer_job *job = arg;
    struct script *script = target_script(job);
    add_first_begin(script);
    struct script_step *step =
        script_add(script, "SELECT chunks, manifest FROM " TRANSFER_PROGRESS
                           " WHERE job = $1::uuid AND epoch = $2::bigint FOR UPDATE");
    target_add_fence(job, step);
    step->check = job->resolved == on_chunk_resolved ? check_chunks : check_published;
    (void)script_add(script, "COMMIT");
    struct db_source *database =
        job->options->database(job->options->arg, job->target->source, true);
    job->dest = db_lease_start(database, job_deadline(job, JOB_CONNECT_MS), on_resolve_lease, job);
}

static void on_chunk_resolved(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL && target_may_resolve(job, err))
        target_resolve_later(job, err, on_chunk_resolved);
    else if (err != NULL)
        target_fail(job, err);
    else if (job->resolving)
        target_send(job); /* it is not in: once more */
    else
        copy_chunk_committed(job);
}

static void on_sent(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err == NULL)
        copy_chunk_committed(job);
    else if (target_may_resolve(job, err))
        target_resolve_later(job, err, on_chunk_resolved);
    else
        target_fail(job, err);
}

/* --- clean -------------------------------------------------------------------------------------------- */

static int check_unpublished(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    if (db_row_count(rows) == 1 && !target_take_manifest(job, db_value(rows, 0, 0)))
        return 0;
    return err_set(err, ERR_ABORTED, "TRANSFER_LOST", "there is nothing to clean");
}

static void on_cleaned(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    bool gone = err == NULL || strcmp(err->reason, "TRANSFER_LOST") == 0 ||
                err->code == ERR_FAILED_PRECONDITION; /* never prepared */
    if (!gone)
        log_error(LOG_WARN, NULL, "transfer_not_cleaned", err);
    if (!gone && job->fate == FATE_CANCELLED)
        job->fate = FATE_AGAIN; /* it may have been published: nobody knows yet */
    db_lease_release(&job->dest);
    if (job->published)
        job_published(job);
    else
        loop_task_post(job->options->loop, &job->end);
}

static void on_clean_lease(void *arg, const struct err *err)
{
    struct transfer_job *job = arg;
    if (err != NULL) {
        job->dest = NULL;
        on_cleaned(job, err);
        return;
    }
    script_run(&job->script, job->dest, job_deadline(job, JOB_STATEMENT_MS), on_cleaned);
}

void target_clean(struct transfer_job *job)
{
    struct db_source *database =
        job->target != NULL ? job->options->database(job->options->arg, job->target->source, true)
                            : NULL;
    if (database == NULL) {
        loop_task_post(job->options->loop, &job->end);
        return;
    }
    struct script *script = target_script(job);
    add_first_begin(script);
    struct script_step *step =
        script_add(script, "UPDATE " TRANSFER_PROGRESS " SET epoch = $2::bigint WHERE job ="
                           " $1::uuid AND epoch <= $2::bigint RETURNING manifest");
    target_add_fence(job, step);
    step->check = check_unpublished;
    (void)script_add(script, arena_format(&job->scripts, "DROP TABLE IF EXISTS %s", job->staging));
    step = script_add(script, "DELETE FROM " TRANSFER_PROGRESS " WHERE job = $1::uuid");
    script_param(step, job->id);
    (void)script_add(script, "COMMIT");
    job->dest = db_lease_start(database, job_deadline(job, JOB_CONNECT_MS), on_clean_lease, job);
}
