#include "services/quality_run.h"

#include <stdlib.h>
#include <string.h>

#include "services/agreement_rows.h"

static struct quality_run_call *state_of(const struct call *call)
{
    return call->state;
}

/* --- writing ------------------------------------------------------------------------------------ */

struct field_arrays {
    char **names;
    uint64_t *present;
    uint64_t *rejected;
    uint64_t *missing;
    uint64_t *warned;
    size_t count;
};

static struct field_arrays gather_fields(struct arena *arena, const struct quality_account *account)
{
    const struct schema_message *type = account->dataset->type;
    struct field_arrays out = {
        .names = arena_array(arena, type->field_count, sizeof *out.names),
        .present = arena_array(arena, type->field_count, sizeof *out.present),
        .rejected = arena_array(arena, type->field_count, sizeof *out.rejected),
        .missing = arena_array(arena, type->field_count, sizeof *out.missing),
        .warned = arena_array(arena, type->field_count, sizeof *out.warned),
    };
    for (size_t i = 0; i < type->field_count; i++) {
        const struct quality_field *field = &account->fields[i];
        if (!field->mapped)
            continue;
        out.names[out.count] = (char *)type->fields[i].name;
        out.present[out.count] = field->present;
        out.rejected[out.count] = field->rejected;
        out.missing[out.count] = field->missing;
        out.warned[out.count++] = field->warned;
    }
    return out;
}

static const char *reason_array(struct arena *arena, const struct quality_account *account,
                                int part)
{
    char **texts = arena_array(arena, account->reason_count, sizeof *texts);
    for (size_t i = 0; i < account->reason_count; i++) {
        const struct quality_reason *reason = &account->reasons[i];
        const char *field = reason->field != NULL ? reason->field->name : "";
        texts[i] = (char *)(part == 0 ? field : part == 1 ? reason->rule : reason->code);
    }
    return agreement_array(arena, texts, account->reason_count);
}

static const char *reason_counts(struct arena *arena, const struct quality_account *account)
{
    uint64_t *counts = arena_array(arena, account->reason_count, sizeof *counts);
    for (size_t i = 0; i < account->reason_count; i++)
        counts[i] = account->reasons[i].count;
    return quality_numbers(arena, counts, account->reason_count);
}

struct expectation_arrays {
    char **fields;
    uint64_t *kinds;
    uint64_t *bounds;
    char **found; /* may be negative */
    char **met;
    size_t count;
};

static struct expectation_arrays gather_expectations(struct arena *arena,
                                                     const struct quality_account *account)
{
    size_t room = account->dataset->expectation_count + 1;
    struct quality_expectation *all = arena_array(arena, room, sizeof *all);
    struct expectation_arrays out = {
        .fields = arena_array(arena, room, sizeof *out.fields),
        .kinds = arena_array(arena, room, sizeof *out.kinds),
        .bounds = arena_array(arena, room, sizeof *out.bounds),
        .found = arena_array(arena, room, sizeof *out.found),
        .met = arena_array(arena, room, sizeof *out.met),
        .count = quality_account_expectations(account, all),
    };
    for (size_t i = 0; i < out.count; i++) {
        out.fields[i] = (char *)all[i].field->name;
        out.kinds[i] = (uint64_t)all[i].kind;
        out.bounds[i] = (uint64_t)all[i].bound;
        out.found[i] = (char *)quality_number(arena, all[i].found);
        out.met[i] = all[i].met ? "t" : "f";
    }
    return out;
}

struct db_sql quality_run_sql(struct arena *arena, const char *id,
                              const struct quality_account *account, const char *threshold)
{
    struct field_arrays fields = gather_fields(arena, account);
    struct expectation_arrays expected = gather_expectations(arena, account);
    const struct quality_rows *rows = &account->rows;
    bool dated = account->newest_s != INT64_MIN;
    const char *params[] = {
        id,
        quality_number(arena, (int64_t)rows->read),
        quality_number(arena, (int64_t)rows->delivered),
        quality_number(arena, (int64_t)rows->quarantined),
        quality_number(arena, (int64_t)rows->filtered),
        quality_number(arena, (int64_t)rows->duplicates),
        threshold,
        quality_number(arena, (int64_t)account->keys.rows),
        quality_number(arena, (int64_t)account->keys.keys),
        quality_number(arena, (int64_t)account->keys.repeated),
        quality_number(arena, (int64_t)account->keys.sampled),
        dated ? account->vintage->name : "",
        dated ? quality_number(arena, account->newest_s) : NULL,
        quality_numbers(arena, account->ages, dated ? QUALITY_AGE_BUCKETS : 0),
        agreement_array(arena, fields.names, fields.count),
        quality_numbers(arena, fields.present, fields.count),
        quality_numbers(arena, fields.rejected, fields.count),
        quality_numbers(arena, fields.missing, fields.count),
        quality_numbers(arena, fields.warned, fields.count),
        reason_array(arena, account, 0),
        reason_array(arena, account, 1),
        reason_array(arena, account, 2),
        reason_counts(arena, account),
        quality_numbers(arena, expected.kinds, expected.count),
        agreement_array(arena, expected.fields, expected.count),
        quality_numbers(arena, expected.bounds, expected.count),
        agreement_array(arena, expected.found, expected.count),
        agreement_array(arena, expected.met, expected.count),
    };
    return quality_sql(
        arena,
        "SELECT CASE WHEN control.quality_finish($1::uuid, $2::bigint, $3::bigint, $4::bigint, "
        "$5::bigint,"
        " $6::bigint, $7, $8::bigint, $9::bigint, $10::bigint, $11::integer, $12, $13::bigint,"
        " $14::bigint[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[],"
        " $20::text[], $21::text[], $22::text[], $23::bigint[])"
        " THEN control.quality_expect($1::uuid, $24::smallint[], $25::text[], $26::bigint[],"
        " $27::bigint[], $28::boolean[]) ELSE false END",
        params, sizeof params / sizeof params[0]);
}

/* --- reading ------------------------------------------------------------------------------------ */

Sluice__V1__QualityAccounts *quality_accounts(struct arena *arena, const struct db_rows *rows,
                                              int row, int column)
{
    Sluice__V1__QualityAccounts *out = arena_alloc(arena, sizeof *out);
    sluice__v1__quality_accounts__init(out);
    out->read = db_int8(db_value(rows, row, column));
    out->delivered = db_int8(db_value(rows, row, column + 1));
    out->quarantined = db_int8(db_value(rows, row, column + 2));
    out->filtered = db_int8(db_value(rows, row, column + 3));
    out->duplicates = db_int8(db_value(rows, row, column + 4));
    return out;
}

static Sluice__V1__KeyQuality *key_of_row(struct arena *arena, const struct db_rows *rows, int row)
{
    Sluice__V1__KeyQuality *key = arena_alloc(arena, sizeof *key);
    sluice__v1__key_quality__init(key);
    key->rows = db_int8(db_value(rows, row, 11));
    key->keys = db_int8(db_value(rows, row, 12));
    key->repeated = db_int8(db_value(rows, row, 13));
    key->sampled_one_in = db_int4(db_value(rows, row, 14));
    key->uniqueness = key->rows > 0 ? (double)key->keys / (double)key->rows : 1;
    return key;
}

/* `ages` comes as text "{1,2,…}", which needs no array decoding. */
static Sluice__V1__AgeQuality *age_of_row(struct arena *arena, const struct db_rows *rows, int row)
{
    uint64_t ages[QUALITY_AGE_BUCKETS] = { 0 };
    const char *at = quality_text(arena, rows, row, 17);
    if (db_value(rows, row, 16).data == NULL)
        return NULL;
    Sluice__V1__AgeQuality *age = arena_alloc(arena, sizeof *age);
    sluice__v1__age_quality__init(age);
    age->field = (char *)quality_text(arena, rows, row, 15);
    age->newest = quality_timestamp(arena, db_value(rows, row, 16));
    age->buckets = arena_array(arena, QUALITY_AGE_BUCKETS, sizeof *age->buckets);
    for (size_t i = 0; i < QUALITY_AGE_BUCKETS && (*at == '{' || *at == ','); i++) {
        char *end;
        ages[i] = strtoull(at + 1, &end, 10);
        at = end;
        Sluice__V1__AgeBucket *bucket = arena_alloc(arena, sizeof *bucket);
        sluice__v1__age_bucket__init(bucket);
        bucket->label = (char *)quality_age_label(i);
        bucket->rows = (int64_t)ages[i];
        age->rows += bucket->rows;
        age->buckets[age->n_buckets++] = bucket;
    }
    age->within_7_days = quality_age_within(ages, 7);
    age->within_30_days = quality_age_within(ages, 30);
    age->within_365_days = quality_age_within(ages, 365);
    age->median = (char *)quality_age_label(quality_age_median(ages));
    return age;
}

static Sluice__V1__QualityRun *run_of_row(struct call *call, const struct db_rows *rows, int row)
{
    struct arena *arena = &call->arena;
    Sluice__V1__QualityRun *run = arena_alloc(arena, sizeof *run);
    struct db_value digest = db_value(rows, row, 5);
    char *hex = arena_alloc(arena, 2 * (size_t)digest.len + 1);
    sluice__v1__quality_run__init(run);
    hex_encode(digest.data, digest.len, hex);
    run->id = (char *)quality_uuid(arena, db_value(rows, row, 0));
    run->dataset = (char *)state_of(call)->dataset;
    run->state = SLUICE__V1__QUALITY_RUN__STATE__DONE;
    run->started_at = quality_timestamp(arena, db_value(rows, row, 2));
    run->ended_at = quality_timestamp(arena, db_value(rows, row, 3));
    run->started_by = (char *)quality_text(arena, rows, row, 4);
    run->schema_digest = hex;
    run->accounts = quality_accounts(arena, rows, row, 6);
    run->threshold_exceeded = (char *)quality_text(arena, rows, row, 1);
    run->key = key_of_row(arena, rows, row);
    run->age = age_of_row(arena, rows, row);
    return run;
}

static int take_runs(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct quality_run_call *state = state_of(call);
    if (db_row_count(rows) > 0)
        state->run = run_of_row(call, rows, 0);
    if (db_row_count(rows) > 1)
        state->before = run_of_row(call, rows, 1);
    return 0;
}

enum step_result quality_run_select(struct call *call)
{
    const char *params[] = { state_of(call)->dataset };
    struct db_sql sql = quality_sql(
        &call->arena,
        "SELECT id, exceeded, started_at, ended_at, started_by, schema_digest, rows_read,"
        " delivered, quarantined, filtered, duplicates, keyed, keys, repeated, sampled, vintage,"
        " newest, ages::text FROM control.quality_run WHERE dataset = $1 AND state = 2"
        " ORDER BY started_at DESC, id DESC LIMIT 2",
        params, 1);
    return admin_run(call, &sql, take_runs);
}

/* In millionths, rounded down: what is not whole never reads 1. */
static double share(int64_t part, int64_t whole)
{
    int64_t millionths = whole > 0 ? (int64_t)((__int128)part * 1000000 / whole) : 1000000;
    return (double)millionths / 1e6;
}

static Sluice__V1__FieldQuality *field_of_row(struct arena *arena, const struct db_rows *rows,
                                              int row, int64_t rows_read)
{
    Sluice__V1__FieldQuality *field = arena_alloc(arena, sizeof *field);
    sluice__v1__field_quality__init(field);
    field->field = (char *)quality_text(arena, rows, row, 1);
    field->rows = rows_read;
    field->present = db_int8(db_value(rows, row, 2));
    field->rejected = db_int8(db_value(rows, row, 3));
    field->missing = db_int8(db_value(rows, row, 4));
    field->warned = db_int8(db_value(rows, row, 5));
    field->completeness = share(field->present, rows_read);
    field->validity = share(field->present - field->rejected, field->present);
    return field;
}

static int take_fields(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct quality_run_call *state = state_of(call);
    Sluice__V1__QualityRun *runs[] = { state->run, state->before };
    for (size_t i = 0; i < 2; i++)
        if (runs[i] != NULL)
            runs[i]->fields =
                arena_array(&call->arena, (size_t)db_row_count(rows) + 1, sizeof *runs[i]->fields);
    for (int i = 0; i < db_row_count(rows); i++) {
        Sluice__V1__QualityRun *run = runs[db_bool(db_value(rows, i, 0)) ? 0 : 1];
        if (run != NULL)
            run->fields[run->n_fields++] = field_of_row(&call->arena, rows, i, run->accounts->read);
    }
    return 0;
}

enum step_result quality_run_fields(struct call *call)
{
    const struct quality_run_call *state = state_of(call);
    if (state->run == NULL)
        return STEP_NEXT;
    const char *params[] = { state->run->id, state->before != NULL ? state->before->id : NULL };
    struct db_sql sql = quality_sql(&call->arena,
                                    "SELECT run = $1::uuid, field, present, rejected, missing,"
                                    " warned FROM control.quality_field"
                                    " WHERE run IN ($1::uuid, $2::uuid) ORDER BY position",
                                    params, 2);
    return admin_run(call, &sql, take_fields);
}

static int take_reasons(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    Sluice__V1__QualityRun *run = state_of(call)->run;
    run->reasons = arena_array(&call->arena, (size_t)db_row_count(rows) + 1, sizeof *run->reasons);
    for (int i = 0; i < db_row_count(rows); i++) {
        Sluice__V1__ReasonCount *reason = arena_alloc(&call->arena, sizeof *reason);
        sluice__v1__reason_count__init(reason);
        reason->field = (char *)quality_text(&call->arena, rows, i, 0);
        reason->rule = (char *)quality_text(&call->arena, rows, i, 1);
        reason->code = (char *)quality_text(&call->arena, rows, i, 2);
        reason->count = db_int8(db_value(rows, i, 3));
        run->reasons[run->n_reasons++] = reason;
    }
    return 0;
}

enum step_result quality_run_reasons(struct call *call)
{
    const struct quality_run_call *state = state_of(call);
    if (state->run == NULL)
        return STEP_NEXT;
    const char *params[] = { state->run->id,
                             quality_number(&call->arena, QUALITY_REASONS_SHOWN_MAX) };
    struct db_sql sql = quality_sql(&call->arena,
                                    "SELECT field, rule, code, count FROM control.quality_reason"
                                    " WHERE run = $1::uuid ORDER BY count DESC, field, rule, code"
                                    " LIMIT $2::integer",
                                    params, 2);
    return admin_run(call, &sql, take_reasons);
}

static Sluice__V1__ExpectationResult *expectation_of_row(struct arena *arena,
                                                         const struct db_rows *rows, int row)
{
    Sluice__V1__ExpectationResult *out = arena_alloc(arena, sizeof *out);
    int64_t bound = db_int8(db_value(rows, row, 2)), found = db_int8(db_value(rows, row, 3));
    sluice__v1__expectation_result__init(out);
    out->kind = (Sluice__V1__ExpectationResult__Kind)db_int4(db_value(rows, row, 0));
    out->field = (char *)quality_text(arena, rows, row, 1);
    out->met = db_bool(db_value(rows, row, 4));
    out->nothing_found = found == QUALITY_NOTHING_FOUND;
    found = out->nothing_found ? 0 : found;
    if (out->kind == SLUICE__V1__EXPECTATION_RESULT__KIND__FRESHNESS) {
        out->max_age_seconds = bound;
        out->age_seconds = found;
    } else {
        out->present_min = (double)bound / 1e6;
        out->present = (double)found / 1e6;
    }
    return out;
}

static int take_expectations(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    Sluice__V1__QualityRun *run = state_of(call)->run;
    run->expectations =
        arena_array(&call->arena, (size_t)db_row_count(rows) + 1, sizeof *run->expectations);
    for (int i = 0; i < db_row_count(rows); i++)
        run->expectations[run->n_expectations++] = expectation_of_row(&call->arena, rows, i);
    return 0;
}

enum step_result quality_run_expectations(struct call *call)
{
    const struct quality_run_call *state = state_of(call);
    if (state->run == NULL)
        return STEP_NEXT;
    const char *params[] = { state->run->id };
    struct db_sql sql = quality_sql(&call->arena,
                                    "SELECT kind::integer, field, bound, found, met"
                                    " FROM control.quality_expectation WHERE run = $1::uuid"
                                    " ORDER BY position",
                                    params, 1);
    return admin_run(call, &sql, take_expectations);
}

/* --- trends -------------------------------------------------------------------------------------- */

Sluice__V1__QualityRun__Trend quality_trend(double before, double now)
{
    double change = now - before;
    if (change > 5e-7)
        return SLUICE__V1__QUALITY_RUN__TREND__BETTER;
    return change < -5e-7 ? SLUICE__V1__QUALITY_RUN__TREND__WORSE
                          : SLUICE__V1__QUALITY_RUN__TREND__UNCHANGED;
}

static const Sluice__V1__FieldQuality *field_before(const Sluice__V1__QualityRun *before,
                                                    const char *name)
{
    for (size_t i = 0; i < before->n_fields; i++)
        if (strcmp(before->fields[i]->field, name) == 0)
            return before->fields[i];
    return NULL;
}

enum step_result quality_run_trends(struct call *call)
{
    const struct quality_run_call *state = state_of(call);
    Sluice__V1__QualityRun *run = state->run;
    const Sluice__V1__QualityRun *before = state->before;
    if (run == NULL || before == NULL)
        return STEP_NEXT;
    for (size_t i = 0; i < run->n_fields; i++) {
        Sluice__V1__FieldQuality *field = run->fields[i];
        const Sluice__V1__FieldQuality *then = field_before(before, field->field);
        if (then == NULL)
            continue;
        field->completeness_trend = quality_trend(then->completeness, field->completeness);
        field->validity_trend = quality_trend(then->validity, field->validity);
    }
    run->key->trend = quality_trend(before->key->uniqueness, run->key->uniqueness);
    if (run->age != NULL && before->age != NULL)
        run->age->trend = quality_trend(before->age->within_365_days, run->age->within_365_days);
    return STEP_NEXT;
}
