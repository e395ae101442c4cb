/* QualityService.Assess: a whole dataset read once, every field of every row judged. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "services/behind.h"
#include "services/quality.h"
#include "services/quality_account.h"
#include "services/quality_reader.h"
#include "services/quality_run.h"
#include "services/quarantine.h"

enum {
    PROGRESS_US = 500000,
    BEAT_US = 5000000,
    STALE_S = 30,    /* a run without a beat for so long has no process any more */
    RUNS_KEPT = 400, /* of one dataset: a year of daily runs */
};

struct assess {
    struct quality_run_call run; /* first */
    struct gateway_dataset *dataset;
    struct schema_plan *plan;
    uint8_t fields[PLAN_BITMAP_BYTES];
    struct quality_reader reader;
    struct quality_account account;
    struct buf record; /* scratch of one */
    int64_t rate;
    int64_t pace; /* that was kept */
    int64_t progress_us;
    int64_t beat_us;
    bool opened;
    bool started; /* the run stands in the control database */
    bool stored;
    char threshold[QUALITY_SENTENCE_BYTES];
    struct quarantine_wait wait; /* for the store of the notes */
    bool waits;
    bool noted;
};

static const Sluice__V1__AssessRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__AssessRequest *)(const void *)call->request;
}

static const char *run_id(struct call *call)
{
    char *id = arena_alloc(&call->arena, UUID_TEXT_BYTES);
    uuid_format(call->exchange_id, id);
    return id;
}

static enum step_result assess_check(struct call *call)
{
    const Sluice__V1__AssessRequest *request = request_of(call);
    struct assess *assess = call->state;
    if (quality_own_ready(call, request->dataset, request->request_id,
                          SLUICE__V1__AUDIT_ENTRY__KIND__ADMIN, &assess->dataset) == STEP_FAIL)
        return STEP_FAIL;
    if (quality_rate(request->rows_per_second, &assess->rate, &call->err) < 0)
        return STEP_FAIL;
    assess->plan = quality_whole_plan(assess->dataset->dataset, assess->fields, &call->err);
    if (assess->plan == NULL)
        return STEP_FAIL;
    quality_account_init(&assess->account, assess->dataset->dataset, clock_wall_us() / 1000000);
    buf_init(&assess->record, PLAN_RECORD_BYTES_MAX);
    assess->opened = true;
    assess->run.admin.object = run_id(call);
    assess->run.dataset = assess->dataset->dataset->name;
    return STEP_NEXT;
}

static int take_started(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct assess *assess = call->state;
    assess->started = db_row_count(rows) == 1 && db_bool(db_value(rows, 0, 0));
    if (assess->started)
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, "ASSESSMENT_RUNNING",
                   "this dataset is being assessed already; wait for that run to end");
}

static enum step_result assess_start(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct assess *assess = call->state;
    const char *params[] = {
        run_id(call),
        assess->dataset->dataset->name,
        call->identity.subject,
        quality_bytea(&call->arena, schema_bundle_digest(gateway->bundle), SCHEMA_DIGEST_BYTES),
        quality_number(&call->arena, STALE_S),
        quality_number(&call->arena, RUNS_KEPT),
    };
    struct db_sql sql = quality_sql(&call->arena,
                                    "SELECT control.quality_start($1::uuid, $2, $3, $4::bytea,"
                                    " $5::integer, $6::integer)",
                                    params, sizeof params / sizeof params[0]);
    return admin_run(call, &sql, take_started);
}

/* --- rows --------------------------------------------------------------------------------------- */

/* Every rejected field of the row is met, not only the first: a replay judges each by itself. */
static void note_row(struct call *call, const struct db_rows *row,
                     const struct schema_row_report *report)
{
    const struct gateway *gateway = call->context;
    const struct assess *assess = call->state;
    const struct schema_dataset *dataset = assess->dataset->dataset;
    struct quarantine_sighting sighting = {
        .dataset = dataset,
        .plan = assess->plan,
        .fields = assess->fields,
        .exchange_id = call->exchange_id,
        .rule = report->rule,
        .code = report->code,
    };
    if (report->field == NULL)
        quarantine_note(gateway->quarantine, &sighting, row, 0);
    for (size_t i = 0; i < dataset->type->field_count; i++) {
        const struct schema_verdict *verdict = &assess->account.verdicts[i];
        if (verdict->state != VERDICT_REJECTED)
            continue;
        sighting.field = &dataset->type->fields[i];
        sighting.rule = verdict->rule;
        sighting.code = verdict->code;
        quarantine_note(gateway->quarantine, &sighting, row, 0);
    }
}

static void assess_row(struct call *call, const struct db_rows *row)
{
    const struct gateway *gateway = call->context;
    struct assess *assess = call->state;
    struct schema_row_report report;
    struct err err = ERR_INIT;
    buf_reset(&assess->record);
    if (schema_plan_row(assess->plan, row, 0, &assess->record, &report, &err) < 0 ||
        quality_account_row(&assess->account, assess->plan, row, 0, &report,
                            buf_slice(&assess->record), &err) < 0) {
        quality_reader_fail(&assess->reader, &err);
        return;
    }
    if (report.state != ROW_QUARANTINED)
        return;
    note_row(call, row, &report);
    if (quarantine_busy(gateway->quarantine))
        quality_reader_hold(&assess->reader);
}

static void beat(struct call *call)
{
    const struct gateway *gateway = call->context;
    const struct assess *assess = call->state;
    const char *params[] = { run_id(call),
                             quality_number(&call->arena, (int64_t)assess->account.rows.read) };
    struct db_sql sql = { .text = "SELECT control.quality_beat($1::uuid, $2::bigint)",
                          .param_count = 2,
                          .params = params };
    (void)behind_run(gateway->behind, &sql, NULL, NULL);
}

static bool assess_tick(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct assess *assess = call->state;
    int64_t now = loop_now_us(gateway->loop);
    if (now - assess->progress_us >= PROGRESS_US) {
        Sluice__V1__AssessProgress progress = SLUICE__V1__ASSESS_PROGRESS__INIT;
        progress.rows = (int64_t)assess->account.rows.read;
        progress.rows_per_second = quality_reader_pace(&assess->reader);
        assess->progress_us = now;
        (void)quality_send(call, &progress.base);
    }
    if (now - assess->beat_us >= BEAT_US) {
        assess->beat_us = now;
        beat(call);
    }
    return quarantine_busy(gateway->quarantine);
}

static enum step_result assess_read(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct assess *assess = call->state;
    struct db_sql sql;
    assess->beat_us = assess->progress_us = loop_now_us(gateway->loop);
    assess->reader.on_row = assess_row;
    assess->reader.on_tick = assess_tick;
    if (schema_plan_query(assess->plan, NULL, NULL, 0, &call->arena, &sql, &call->err) < 0 ||
        quality_reader_start(&assess->reader, call, assess->dataset->source, &sql, assess->rate,
                             &call->err) < 0)
        return STEP_FAIL;
    return STEP_WAIT;
}

static enum step_result assess_was_read(struct call *call)
{
    struct assess *assess = call->state;
    enum step_result result = quality_reader_result(&assess->reader);
    if (result == STEP_NEXT) {
        assess->pace = quality_reader_pace(&assess->reader);
        quality_reader_stop(&assess->reader);
    }
    return result;
}

/* --- the end ------------------------------------------------------------------------------------ */

static void on_noted(void *arg)
{
    struct call *call = arg;
    struct assess *assess = call->state;
    assess->noted = true;
    call_resume(call);
}

/* The list of the quarantine is whole when the assessment says that it has ended. */
static enum step_result assess_note(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct assess *assess = call->state;
    quarantine_wait_start(gateway->quarantine, &assess->wait, assess->dataset->dataset->name,
                          on_noted, call);
    assess->waits = true;
    return STEP_WAIT;
}

static enum step_result assess_noted(struct call *call)
{
    const struct assess *assess = call->state;
    return assess->noted ? STEP_NEXT : STEP_WAIT;
}

static int take_stored(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct assess *assess = call->state;
    assess->stored = db_row_count(rows) == 1 && db_bool(db_value(rows, 0, 0));
    if (assess->stored)
        return 0;
    return err_set(err, ERR_ABORTED, "ASSESSMENT_ABANDONED",
                   "the run was given up, because the control database heard nothing of it for %d "
                   "seconds; start it again",
                   STALE_S);
}

static enum step_result assess_store(struct call *call)
{
    struct assess *assess = call->state;
    (void)quality_thresholds_exceeded(&assess->dataset->dataset->thresholds, &assess->account.rows,
                                      true, assess->threshold);
    struct db_sql sql =
        quality_run_sql(&call->arena, run_id(call), &assess->account, assess->threshold);
    return admin_run(call, &sql, take_stored);
}

static enum step_result assess_answer(struct call *call)
{
    struct assess *assess = call->state;
    Sluice__V1__AssessProgress last = SLUICE__V1__ASSESS_PROGRESS__INIT;
    last.rows = (int64_t)assess->account.rows.read;
    last.rows_per_second = assess->pace;
    last.run = assess->run.run;
    return quality_send(call, &last.base) < 0 ? STEP_FAIL : STEP_NEXT;
}

static enum step_result assess_outcome(struct call *call)
{
    const struct gateway *gateway = call->context;
    struct assess *assess = call->state;
    quality_reader_stop(&assess->reader);
    if (assess->started && !assess->stored) {
        bool cancelled = call->err.code == ERR_CANCELLED;
        const char *params[] = { run_id(call), cancelled ? "4" : "3" };
        struct db_sql sql = { .text = "SELECT control.quality_end($1::uuid, $2::smallint)",
                              .param_count = 2,
                              .params = params };
        (void)behind_run(gateway->behind, &sql, NULL, NULL);
    }
    return admin_outcome(call);
}

static void assess_finish(struct call *call, bool delivered)
{
    struct assess *assess = call->state;
    quality_reader_stop(&assess->reader);
    if (assess->waits)
        quarantine_wait_cancel(&assess->wait);
    schema_plan_free(&assess->plan);
    if (assess->opened) {
        quality_account_fini(&assess->account);
        buf_fini(&assess->record);
    }
    admin_finish(call, delivered);
}

static const struct step assess_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", assess_check, NULL },
    { "record", admin_record, admin_recorded },
    { "start", assess_start, admin_ran }, /* one run a dataset, on whatever gateway */
    { "read", assess_read, assess_was_read },
    { "note", assess_note, assess_noted },
    { "store", assess_store, admin_ran },
    { "runs", quality_run_select, admin_ran }, /* what is answered is what is stored */
    { "fields", quality_run_fields, admin_ran },
    { "reasons", quality_run_reasons, admin_ran },
    { "expectations", quality_run_expectations, admin_ran },
    { "trends", quality_run_trends, NULL },
    { "answer", assess_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method quality_assess_method = {
    .path = "/sluice.v1.QualityService/Assess",
    .kind = RPC_SERVER_STREAM,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_CASEWORK,
    .input = &sluice__v1__assess_request__descriptor,
    .state_size = sizeof(struct assess),
    .steps = assess_steps,
    .outcome = assess_outcome,
    .finish = assess_finish,
};
