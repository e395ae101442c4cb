/* What the target's database remembers of transfers from one to the next, beside each job's progress: how
 * often rows were put into a table, and in which transactions, so that a row that somebody else wrote since
 * can be told by its xmin; and rows that were held back for that. */
#include <stdio.h>
#include <string.h>

#include "transfer/job.h"

#define TABLE_PUBLISHED "\"sluice\".\"transfer_table\""
#define TABLE_WRITES    "\"sluice\".\"transfer_write\""
#define TABLE_CONFLICTS "\"sluice\".\"transfer_conflict\""
#define TABLE_LAST      "\"sluice\".\"transfer_watermark\"" /* the last to be made */

/* Two jobs that come first at the same moment would both create; the lock lets one of them find it done. */
static const char tables_sql[] =
    "DO $$ BEGIN"
    " IF pg_catalog.to_regclass('" TABLE_LAST "') IS NOT NULL THEN RETURN; END IF;"
    " PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('sluice.transfer'));"
    " CREATE TABLE IF NOT EXISTS " TRANSFER_PROGRESS
    " (job uuid PRIMARY KEY, epoch bigint NOT NULL,"
    " chunks bigint NOT NULL DEFAULT 0, manifest bytea,"
    " updated_at timestamptz NOT NULL DEFAULT now());"
    " CREATE TABLE IF NOT EXISTS " TABLE_PUBLISHED " (target text PRIMARY KEY,"
    " published bigint NOT NULL);"
    " CREATE TABLE IF NOT EXISTS " TABLE_WRITES " (target text, xid xid8, at timestamptz NOT NULL"
    " DEFAULT now(), PRIMARY KEY (target, xid));"
    " CREATE TABLE IF NOT EXISTS " TABLE_CONFLICTS " (target text, key jsonb, job uuid NOT NULL,"
    " held jsonb NOT NULL, sent jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (target, key));"
    " CREATE TABLE IF NOT EXISTS " TABLE_LAST " (target text, stream text, job uuid NOT NULL,"
    " watermark timestamptz NOT NULL, at timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (target, stream));"
    " END $$";

void ledger_add_tables(struct script *script)
{
    (void)script_add(script, tables_sql);
}

/* --- who comes first ------------------------------------------------------------------------------------ */

static int take_seen(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    (void)err;
    job->published_before = db_int8(db_value(rows, 0, 0));
    return 0;
}

void ledger_add_look(struct transfer_job *job, struct script *script)
{
    struct script_step *step = script_add(
        script, "SELECT coalesce(max(published), 0) FROM " TABLE_PUBLISHED " WHERE target = $1");
    script_param(step, schema_writer_table(job->writer));
    step->check = take_seen;
}

static int check_first(void *arg, const struct db_rows *rows, struct err *err)
{
    (void)arg;
    if (strcmp(db_command_tag(rows), "INSERT 0 1") == 0)
        return 0;
    return err_set(err, ERR_ABORTED, "TARGET_OVERTAKEN",
                   "another transfer put rows into the table since this one looked at its source");
}

/* The first lock of those who put rows into the table, so that they wait for each other in one order. Rows
 * of an older snapshot must not cover those of a newer one, unless all of them are replaced. */
void ledger_add_turn(struct transfer_job *job, struct script *script)
{
    struct script_step *step =
        script_add(script, "INSERT INTO " TABLE_PUBLISHED " AS t (target, published) VALUES ($1, 1)"
                           " ON CONFLICT (target) DO UPDATE SET published = t.published + 1"
                           " WHERE NOT $2::boolean OR t.published = $3::bigint");
    script_param(step, schema_writer_table(job->writer));
    script_param(step, job_by_key(job) ? "true" : "false");
    script_param(step, arena_format(&job->scripts, "%lld", (long long)job->published_before));
    step->check = check_first;
}

void ledger_add_write(struct transfer_job *job, struct script *script)
{
    struct script_step *step;
    if (job->mode == SLUICE__V1__TRANSFER_MODE__REPLACE) { /* no row of an older one is left */
        step = script_add(script, "DELETE FROM " TABLE_WRITES " WHERE target = $1");
        script_param(step, schema_writer_table(job->writer));
    }
    step = script_add(script, "INSERT INTO " TABLE_WRITES
                              " (target, xid) VALUES ($1, pg_catalog.pg_current_xact_id())");
    script_param(step, schema_writer_table(job->writer));
}

/* --- conflicts ------------------------------------------------------------------------------------------ */

static int check_conflicts(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    (void)err;
    job->upserted.conflicts = (uint64_t)db_int8(db_value(rows, 0, 0));
    return 0;
}

/* Conflicts of keys that are sent now are settled or found again. A row is somebody else's work when the
 * transaction that wrote it is none of ours: it stays, and what was sent is kept beside it. */
void ledger_add_conflicts(struct transfer_job *job, struct script *script)
{
    struct arena *arena = &job->scripts;
    const struct schema_writer *writer = job->writer;
    const char *key = schema_writer_each(writer, WRITER_KEY, "s.%", ", ", arena);
    struct script_step *step = script_add(
        script, arena_format(arena,
                             "DELETE FROM " TABLE_CONFLICTS " c USING %s s WHERE c.target = $1 AND"
                             " c.key = pg_catalog.to_jsonb((SELECT k FROM (SELECT %s) k))",
                             job->staging, key));
    script_param(step, schema_writer_table(writer));
    const char *alike = schema_writer_each(writer, WRITER_KEY, "t.% = s.%", " AND ", arena);
    step = script_add(
        script,
        arena_format(arena,
                     "WITH clash AS (DELETE FROM %s s USING %s t WHERE %s AND ROW(%s)::record "
                     "OPERATOR(pg_catalog.*<>)"
                     " ROW(%s)::record AND t.xmin NOT IN (SELECT xid::xid FROM " TABLE_WRITES
                     " WHERE target = $1)"
                     " RETURNING pg_catalog.to_jsonb((SELECT k FROM (SELECT %s) k)) AS key,"
                     " pg_catalog.to_jsonb((SELECT k FROM (SELECT %s) k)) AS held,"
                     " pg_catalog.to_jsonb((SELECT k FROM (SELECT %s) k)) AS sent),"
                     " kept AS (INSERT INTO " TABLE_CONFLICTS " (target, key, job, held, sent)"
                     " SELECT $1, key, $2::uuid, held, sent FROM clash RETURNING 1)"
                     " SELECT count(*) FROM kept",
                     job->staging, schema_writer_table(writer), alike,
                     schema_writer_each(writer, WRITER_DATA, "t.%", ", ", arena),
                     schema_writer_each(writer, WRITER_DATA, "s.%", ", ", arena), key,
                     schema_writer_each(writer, WRITER_DATA, "t.%", ", ", arena),
                     schema_writer_each(writer, WRITER_DATA, "s.%", ", ", arena)));
    script_param(step, schema_writer_table(writer));
    script_param(step, job->id);
    step->check = check_conflicts;
}
