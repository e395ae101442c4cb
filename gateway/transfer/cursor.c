/* The watermark of a cursor: rows that commit later than our snapshot carry the time at which their transaction
 * began, or a later one. So the next copy begins at the oldest transaction that is open before this one's
 * snapshot is taken, and reads rows again rather than leave one out. */
#include "transfer/cursor.h"

#include <stdio.h>
#include <string.h>

#include "audit/hash.h"
#include "base/clock.h"
#include "transfer/job.h"

/* A transaction takes its time a moment before others can see that it runs; a busy machine may let it wait
 * there. */
enum { MARGIN_S = 10 };
#define TABLE_WATERMARKS "\"sluice\".\"transfer_watermark\""

int transfer_cursor_check(const struct schema_dataset *dataset, const char *field,
                          const uint8_t *granted, struct err *err)
{
    const struct schema_field *found = schema_message_field(dataset->type, field, strlen(field));
    struct err why = ERR_INIT;
    struct arena arena;
    struct schema_filter *filter = NULL;
    arena_init(&arena);
    if (found != NULL && !found->repeated &&
        strcmp(schema_field_type_name(found), "google.protobuf.Timestamp") == 0)
        filter = schema_filter_parse(dataset, transfer_cursor_filter(&arena, "", field, 0), granted,
                                     &why);
    arena_fini(&arena);
    if (filter == NULL)
        return err_set(
            err, ERR_INVALID_ARGUMENT, "CURSOR_FIELD",
            "the cursor must be a field of type Timestamp that your agreement grants and "
            "the owner's table can be filtered by");
    schema_filter_free(&filter);
    return 0;
}

const char *transfer_cursor_filter(struct arena *arena, const char *filter, const char *field,
                                   int64_t from_us)
{
    char when[CLOCK_TEXT_BYTES];
    clock_format(from_us, when);
    if (filter[0] == '\0')
        return arena_format(arena, "%s >= \"%s\"", field, when);
    return arena_format(arena, "(%s) AND %s >= \"%s\"", filter, field, when);
}

/* --- what the target remembers -------------------------------------------------------------------------- */

/* What one watermark stands for: another filter, other fields or another agreement may show rows that were
 * not seen before, however old they are. */
static const char *stream_of(struct transfer_job *job)
{
    struct buf all;
    uint8_t digest[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    buf_init(&all, (size_t)1024 * 1024);
    (void)buf_append_format(&all, "%s\n%s\n%s\n", job->dataset_name, job->cursor.field,
                            job->filter_text);
    for (size_t i = 0; i < job->copied_count; i++)
        (void)buf_append_format(&all, "%s\n", job->copied[i]);
    (void)buf_append(&all, authz_grant_digest(job->grant.grant), HASH_BYTES);
    struct slice piece = buf_slice(&all);
    hash_sha256(&piece, 1, digest);
    buf_fini(&all);
    hex_encode(digest, sizeof digest, hex);
    return arena_strdup(&job->arena, hex);
}

static int take_last(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    (void)err;
    job->cursor.has_from = db_row_count(rows) == 1;
    if (job->cursor.has_from)
        job->cursor.from_us = db_int8(db_value(rows, 0, 0));
    return 0;
}

void cursor_add_look(struct transfer_job *job, struct script *script)
{
    job->cursor.stream = stream_of(job);
    struct script_step *step =
        script_add(script, "SELECT (extract(epoch FROM watermark) * 1000000)::bigint FROM"
                           " " TABLE_WATERMARKS " WHERE target = $1 AND stream = $2");
    script_param(step, schema_writer_table(job->writer));
    script_param(step, job->cursor.stream);
    step->check = take_last;
}

/* Rows that came by another way may be older than a watermark says: the next copy reads all. */
void cursor_add_keep(struct transfer_job *job, struct script *script)
{
    struct script_step *step;
    if (job->mode != SLUICE__V1__TRANSFER_MODE__CURSOR) {
        step = script_add(script, "DELETE FROM " TABLE_WATERMARKS " WHERE target = $1");
        script_param(step, schema_writer_table(job->writer));
        return;
    }
    if (!job->cursor.has_next)
        return;
    step = script_add(script, "INSERT INTO " TABLE_WATERMARKS " (target, stream, job, watermark)"
                              " VALUES ($1, $2, $3::uuid, 'epoch'::timestamptz +"
                              " $4::bigint * interval '1 microsecond') ON CONFLICT (target, stream)"
                              " DO UPDATE SET job = excluded.job, watermark = excluded.watermark,"
                              " at = now()");
    script_param(step, schema_writer_table(job->writer));
    script_param(step, job->cursor.stream);
    script_param(step, job->id);
    script_param(step, arena_format(&job->scripts, "%lld", (long long)job->cursor.next_us));
}

/* --- the source's transactions -------------------------------------------------------------------------- */

/* now() is taken before the transactions are looked at, so that one that begins meanwhile is later. */
static const char watermark_sql[] =
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),"
    " pg_catalog.quote_ident(current_user), (extract(epoch FROM least(now(), (SELECT "
    "min(xact_start) FROM pg_catalog.pg_stat_activity"
    " WHERE datname = pg_catalog.current_database() AND backend_type NOT IN ('autovacuum worker',"
    " 'walsender'))) - $1::bigint * interval '1 second') * 1000000)::bigint";

/* Asked behind that, since a transaction goes from there to here. Nobody knows when such a one began, only
 * that it was not before the last watermark. */
static const char prepared_sql[] = "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE"
                                   " database = pg_catalog.current_database())";

static int take_watermark(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    struct job_cursor *cursor = &job->cursor;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "SOURCE_ERROR", "the owner's database gave no watermark");
    if (db_bool(db_value(rows, 0, 0)))
        return err_set(
            err, ERR_FAILED_PRECONDITION, "SOURCE_IS_STANDBY",
            "a standby does not tell which transactions its primary has open, so that late "
            "commits could be missed; configure the primary, or copy everything");
    if (!db_bool(db_value(rows, 0, 1)))
        return err_set(
            err, ERR_FAILED_PRECONDITION, "SOURCE_STATS_DENIED",
            "the gateway's role may not see when other transactions of the owner's database "
            "began, so that late commits could be missed; its administrator runs: GRANT "
            "pg_read_all_stats TO %.120s",
            db_text(&job->arena, db_value(rows, 0, 2)));
    cursor->has_next = true;
    cursor->next_us = db_int8(db_value(rows, 0, 3));
    return 0;
}

static int take_prepared(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    (void)err;
    job->cursor.held_back = db_bool(db_value(rows, 0, 0));
    if (!job->cursor.held_back)
        return 0;
    job->cursor.has_next = job->cursor.has_from;
    job->cursor.next_us = job->cursor.from_us;
    return 0;
}

static int take_index(void *arg, const struct db_rows *rows, struct err *err)
{
    struct transfer_job *job = arg;
    (void)err;
    job->cursor.index_missing = !db_bool(db_value(rows, 0, 0));
    return 0;
}

void cursor_add_watermark(struct transfer_job *job, struct script *script)
{
    const char *table, *column;
    struct script_step *step = script_add(script, watermark_sql);
    script_param(step, arena_format(&job->arena, "%d", MARGIN_S));
    step->check = take_watermark;
    script_add(script, prepared_sql)->check = take_prepared;
    if (!schema_dataset_column(job->grant.dataset, job->cursor.field, &table, &column))
        return; /* a query: what could be indexed is its author's to know */
    step = script_add(
        script, "SELECT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute"
                " a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indrelid ="
                " pg_catalog.to_regclass($1) AND a.attname = $2 AND i.indisvalid) OR NOT EXISTS"
                " (SELECT FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1) AND"
                " relkind IN ('r', 'p', 'm'))");
    script_param(step, table);
    script_param(step, column);
    step->check = take_index;
}

int cursor_open(struct transfer_job *job, struct err *err)
{
    if (!job->cursor.has_from)
        return 0;
    job->filter_text = transfer_cursor_filter(&job->arena, job->filter_text, job->cursor.field,
                                              job->cursor.from_us);
    schema_filter_free(&job->filter);
    job->filter = schema_filter_parse(job->grant.dataset, job->filter_text,
                                      authz_answer_granted(&job->grant), err);
    return job->filter != NULL ? 0 : -1;
}

/* --- the manifest ----------------------------------------------------------------------------------------- */

static Google__Protobuf__Timestamp *time_of(struct arena *arena, int64_t us)
{
    Google__Protobuf__Timestamp *at = arena_alloc(arena, sizeof *at);
    google__protobuf__timestamp__init(at);
    at->seconds = us / 1000000;
    at->nanos = (int32_t)(us % 1000000) * 1000;
    return at;
}

Sluice__V1__TransferCursor *cursor_manifest(struct transfer_job *job)
{
    const struct job_cursor *cursor = &job->cursor;
    struct arena *arena = &job->scripts;
    Sluice__V1__TransferCursor *out = arena_alloc(arena, sizeof *out);
    sluice__v1__transfer_cursor__init(out);
    out->field = (char *)(uintptr_t)cursor->field;
    if (cursor->has_from)
        out->from = time_of(arena, cursor->from_us);
    if (cursor->has_next)
        out->next = time_of(arena, cursor->next_us);
    out->advice = arena_array(arena, 2, sizeof *out->advice);
    if (cursor->held_back)
        out->advice[out->n_advice++] = arena_strdup(
            arena,
            "the owner's database has prepared transactions open, so the watermark stays where "
            "it was and rows are read again; see pg_prepared_xacts there");
    if (cursor->index_missing)
        out->advice[out->n_advice++] = arena_strdup(
            arena, "the owner's table has no index that begins with the cursor's column, so "
                   "every copy reads the whole table; ask its owner for one");
    return out;
}
