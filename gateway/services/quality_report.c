/* QualityService.GetReport: the newest run, how its figures moved, what is in quarantine, and what has
 * changed in the owner's tables. */
#include <string.h>

#include "services/quality.h"
#include "services/quality_run.h"

enum { REPORT_RUNS_DEFAULT = 10, REPORT_RUNS_MAX = 100 };

struct report {
    struct quality_run_call run; /* first */
    struct gateway_dataset *dataset;
    Sluice__V1__QualityReport *answer;
};

static enum step_result report_check(struct call *call)
{
    const Sluice__V1__GetQualityReportRequest *request =
        (const Sluice__V1__GetQualityReportRequest *)(const void *)call->request;
    struct report *report = call->state;
    report->answer = arena_alloc(&call->arena, sizeof *report->answer);
    sluice__v1__quality_report__init(report->answer);
    report->run.dataset = request->dataset;
    return quality_own(call, request->dataset, "", SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY,
                       &report->dataset);
}

static double share_delivered(const Sluice__V1__QualityAccounts *accounts)
{
    return accounts->read > 0 ? (double)accounts->delivered / (double)accounts->read : 1;
}

/* Each run is compared with the next older one that ended well. */
static void find_trends(Sluice__V1__QualityReport *answer)
{
    for (size_t i = 0; i < answer->n_runs; i++) {
        Sluice__V1__QualityRunSummary *run = answer->runs[i];
        size_t older = i + 1;
        while (older < answer->n_runs &&
               answer->runs[older]->state != SLUICE__V1__QUALITY_RUN__STATE__DONE)
            older++;
        if (run->state == SLUICE__V1__QUALITY_RUN__STATE__DONE && older < answer->n_runs)
            run->trend = quality_trend(share_delivered(answer->runs[older]->accounts),
                                       share_delivered(run->accounts));
    }
}

static int take_history(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const Sluice__V1__GetQualityReportRequest *request =
        (const Sluice__V1__GetQualityReportRequest *)(const void *)call->request;
    struct arena *arena = &call->arena;
    Sluice__V1__QualityReport *answer = ((struct report *)call->state)->answer;
    size_t shown = admin_page_size(request->runs, REPORT_RUNS_DEFAULT, REPORT_RUNS_MAX);
    answer->runs = arena_array(arena, (size_t)db_row_count(rows) + 1, sizeof *answer->runs);
    for (int i = 0; i < db_row_count(rows); i++) {
        Sluice__V1__QualityRunSummary *run = arena_alloc(arena, sizeof *run);
        sluice__v1__quality_run_summary__init(run);
        run->id = (char *)quality_uuid(arena, db_value(rows, i, 0));
        run->state = (Sluice__V1__QualityRun__State)db_int4(db_value(rows, i, 1));
        run->started_at = quality_timestamp(arena, db_value(rows, i, 2));
        run->ended_at = quality_timestamp(arena, db_value(rows, i, 3));
        run->accounts = quality_accounts(arena, rows, i, 4);
        answer->runs[answer->n_runs++] = run;
    }
    find_trends(answer);
    if (answer->n_runs > shown) /* one more was read, for the last one's trend */
        answer->n_runs = shown;
    return 0;
}

static enum step_result report_history(struct call *call)
{
    const Sluice__V1__GetQualityReportRequest *request =
        (const Sluice__V1__GetQualityReportRequest *)(const void *)call->request;
    size_t shown = admin_page_size(request->runs, REPORT_RUNS_DEFAULT, REPORT_RUNS_MAX);
    const char *params[] = { request->dataset, quality_number(&call->arena, (int64_t)shown + 1) };
    struct db_sql sql =
        quality_sql(&call->arena,
                    "SELECT id, state::integer, started_at, ended_at, rows_read, delivered,"
                    " quarantined, filtered, duplicates FROM control.quality_run"
                    " WHERE dataset = $1 ORDER BY started_at DESC, id DESC LIMIT $2::integer",
                    params, 2);
    return admin_run(call, &sql, take_history);
}

static int take_quarantine(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    struct arena *arena = &call->arena;
    Sluice__V1__QualityReport *answer = ((struct report *)call->state)->answer;
    answer->quarantine =
        arena_array(arena, (size_t)db_row_count(rows) + 1, sizeof *answer->quarantine);
    for (int i = 0; i < db_row_count(rows); i++) {
        int32_t state = db_int4(db_value(rows, i, 0));
        if (state == 0) {
            answer->quarantine_left_out = db_int8(db_value(rows, i, 1));
            continue;
        }
        Sluice__V1__QuarantineCount *count = arena_alloc(arena, sizeof *count);
        sluice__v1__quarantine_count__init(count);
        count->state = (Sluice__V1__QuarantineItem__State)state;
        count->rows = db_int8(db_value(rows, i, 1));
        answer->quarantine[answer->n_quarantine++] = count;
    }
    return 0;
}

static enum step_result report_quarantine(struct call *call)
{
    const struct report *report = call->state;
    const char *params[] = { report->run.dataset };
    struct db_sql sql = quality_sql(
        &call->arena,
        "SELECT state::integer, count(*) FROM control.quarantine WHERE dataset = $1"
        " GROUP BY 1 UNION ALL"
        " SELECT 0, left_out FROM control.quarantine_size WHERE dataset = $1 ORDER BY 1",
        params, 1);
    return admin_run(call, &sql, take_quarantine);
}

static void take_drift(struct call *call)
{
    const struct report *report = call->state;
    struct err closed = ERR_INIT;
    report->answer->drift =
        drift_watch_messages(report->dataset->drift, &call->arena, &report->answer->n_drift);
    if (report->dataset->ready)
        return;
    gateway_dataset_closed_to_owner(report->dataset, &closed);
    report->answer->closed = arena_strdup(&call->arena, closed.text);
}

static enum step_result report_answer(struct call *call)
{
    struct report *report = call->state;
    if (report->run.run == NULL && report->answer->n_runs == 0 &&
        report->answer->n_quarantine == 0) {
        (void)err_set(&call->err, ERR_NOT_FOUND, "REPORT_NOT_FOUND",
                      "this dataset has not been assessed yet; run an assessment first");
        return STEP_FAIL;
    }
    report->answer->run = report->run.run;
    take_drift(call);
    call_answer(call, &report->answer->base);
    return STEP_NEXT;
}

static const struct step report_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", report_check, NULL },
    { "record", admin_record, admin_recorded },
    { "runs", quality_run_select, admin_ran },
    { "fields", quality_run_fields, admin_ran },
    { "reasons", quality_run_reasons, admin_ran },
    { "expectations", quality_run_expectations, admin_ran },
    { "trends", quality_run_trends, NULL },
    { "history", report_history, admin_ran },
    { "quarantine", report_quarantine, admin_ran },
    { "answer", report_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method quality_report_method = {
    .path = "/sluice.v1.QualityService/GetReport",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_quality_report_request__descriptor,
    .state_size = sizeof(struct report),
    .steps = report_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
