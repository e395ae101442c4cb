/* Rows put in place by their key: new ones are inserted, others updated where they differ, and rows that are
 * in the table only are left alone. The table is locked against writers meanwhile, so that counts are exact. */
#include <stdio.h>
#include <string.h>

#include "transfer/job.h"

static int check_key(void *arg, const struct db_rows *rows, struct err *err)
{
    (void)arg;
    if (db_bool(db_value(rows, 0, 0)))
        return 0;
    return err_set(
        err, ERR_FAILED_PRECONDITION, "TARGET_KEY_MISSING",
        "rows are updated by their key, so the target table needs a primary key or a unique "
        "index on exactly the key's columns");
}

void upsert_add_check(struct transfer_job *job, struct script *script)
{
    struct arena *arena = &job->scripts;
    struct script_step *step = script_add(
        script,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = $1::regclass AND"
        " i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS"
        " NULL AND i.indnkeyatts = $3::integer AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute "
        "a"
        " WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - "
        "1])"
        " AND pg_catalog.strpos($2, '/\"' || replace(a.attname, '\"', '\"\"') || '\"/') = 0))");
    script_param(step, schema_writer_table(job->writer));
    script_param(step, schema_writer_each(job->writer, WRITER_KEY, "/%/", "", arena));
    const char *marks = schema_writer_each(job->writer, WRITER_KEY, "k", "", arena);
    script_param(step, arena_format(arena, "%zu", strlen(marks)));
    step->check = check_key;
}

/* What will happen, counted while nobody else can write. */
static int take_forecast(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    uint64_t staged = (uint64_t)db_int8(db_value(rows, 0, 0));
    uint64_t matched = (uint64_t)db_int8(db_value(rows, 0, 1));
    if (staged + job->upserted.conflicts != job->sent.count || matched > staged)
        return err_set(err, ERR_ABORTED, "TARGET_DIFFERS",
                       "the target's database holds another number of rows than were sent");
    job->upserted.unchanged = (uint64_t)db_int8(db_value(rows, 0, 2));
    job->upserted.inserted = staged - matched;
    job->upserted.updated = matched - job->upserted.unchanged;
    return 0;
}

static int check_changed(void *arg, const struct db_rows *rows, struct err *err)
{
    const struct transfer_job *job = arg;
    char tag[40];
    (void)snprintf(tag, sizeof tag, "INSERT 0 %llu",
                   (unsigned long long)(job->upserted.inserted + job->upserted.updated));
    return script_expect(rows, tag, "TARGET_DIFFERS", err);
}

static int check_there(void *arg, const struct db_rows *rows, struct err *err)
{
    const struct transfer_job *job = arg;
    if ((uint64_t)db_int8(db_value(rows, 0, 0)) + job->upserted.conflicts == job->sent.count)
        return 0;
    return err_set(err, ERR_ABORTED, "TARGET_DIFFERS",
                   "what the target table holds is not what was sent");
}

static void add_merge(struct transfer_job *job, struct script *script)
{
    struct arena *arena = &job->scripts;
    const struct schema_writer *writer = job->writer;
    const char *columns = schema_writer_columns(writer);
    const char *set = schema_writer_each(writer, WRITER_REST, "% = excluded.%", ", ", arena);
    const char *change =
        set[0] == '\0'
            ? "NOTHING"
            : arena_format(
                  arena,
                  "UPDATE SET %s WHERE ROW(%s)::record OPERATOR(pg_catalog.*<>) ROW(%s)::record",
                  set, schema_writer_each(writer, WRITER_DATA, "t.%", ", ", arena),
                  schema_writer_each(writer, WRITER_DATA, "excluded.%", ", ", arena));
    struct script_step *step = script_add(
        script, arena_format(arena,
                             "INSERT INTO %s AS t (%s) SELECT %s FROM %s"
                             " ON CONFLICT (%s) DO %s",
                             schema_writer_table(writer), columns, columns, job->staging,
                             schema_writer_each(writer, WRITER_KEY, "%", ", ", arena), change));
    step->check = check_changed;
}

void upsert_add(struct transfer_job *job, struct script *script)
{
    struct arena *arena = &job->scripts;
    const struct schema_writer *writer = job->writer;
    const char *table = schema_writer_table(writer);
    const char *alike = schema_writer_each(writer, WRITER_KEY, "t.% = s.%", " AND ", arena);
    const char *same =
        arena_format(arena, "ROW(%s)::record OPERATOR(pg_catalog.*=) ROW(%s)::record",
                     schema_writer_each(writer, WRITER_DATA, "t.%", ", ", arena),
                     schema_writer_each(writer, WRITER_DATA, "s.%", ", ", arena));
    ledger_add_conflicts(job, script);
    struct script_step *step = script_add(
        script, arena_format(arena,
                             "SELECT count(*), count(t.ctid), count(*) FILTER (WHERE %s) FROM %s s"
                             " LEFT JOIN %s t ON %s",
                             same, job->staging, table, alike));
    step->check = take_forecast;
    add_merge(job, script);
    step =
        script_add(script, arena_format(arena, "SELECT count(*) FROM %s s JOIN %s t ON %s AND %s",
                                        job->staging, table, alike, same));
    step->check = check_there;
}
