/* QualityService.Replay: quarantined rows read again from the owner's database and judged anew. */
#include <string.h>

#include "base/clock.h"
#include "services/quality.h"
#include "services/quarantine_item.h"

enum { PAGE_ROWS = 256 };

enum replay_phase { REPLAY_PAGE, REPLAY_LEASE, REPLAY_JUDGE, REPLAY_SAVE };

struct replay {
    struct admin admin; /* first */
    enum replay_phase phase;
    struct gateway_dataset *dataset;
    struct db_lease *lease;
    struct schema_plan *plan; /* of plan_fields: rows met by one plan stand together */
    uint8_t plan_fields[PLAN_BITMAP_BYTES];
    struct arena page; /* items, statements and answers of one page */
    bool opened;
    bool waiting;
    struct err failed;
    struct quarantine_item *items[PAGE_ROWS];
    uint64_t ids[PAGE_ROWS];
    uint64_t states[PAGE_ROWS];
    size_t count;
    size_t at;
    int64_t last_id;
    const char *read_at; /* the control database's clock when the page was read */
    Sluice__V1__ReplayProgress progress;
};

static const Sluice__V1__ReplayRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__ReplayRequest *)(const void *)call->request;
}

static enum step_result replay_check(struct call *call)
{
    const Sluice__V1__ReplayRequest *request = request_of(call);
    struct replay *replay = call->state;
    sluice__v1__replay_progress__init(&replay->progress);
    arena_init(&replay->page);
    replay->opened = true;
    return quality_own_ready(call, request->dataset, request->request_id,
                             SLUICE__V1__AUDIT_ENTRY__KIND__ADMIN, &replay->dataset);
}

/* --- a page ------------------------------------------------------------------------------------- */

static int take_page(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const struct gateway *gateway = call->context;
    struct replay *replay = call->state;
    replay->count = (size_t)db_row_count(rows);
    replay->at = 0;
    for (size_t i = 0; i < replay->count; i++) {
        replay->items[i] = quarantine_item_from_row(&replay->page, &gateway->quarantine_keys,
                                                    replay->dataset->dataset, rows, (int)i);
        replay->last_id = replay->items[i]->id;
    }
    if (replay->count > 0)
        replay->read_at = quality_text(&replay->page, rows, 0, db_column_count(rows) - 1);
    return 0;
}

static enum step_result select_page(struct call *call)
{
    const Sluice__V1__ReplayRequest *request = request_of(call);
    struct replay *replay = call->state;
    arena_fini(&replay->page);
    arena_init(&replay->page);
    const char *params[] = {
        request->dataset,
        request->code,
        request->field,
        quality_number(&replay->page, (int64_t)request->state),
        quality_number(&replay->page, replay->last_id),
        quality_number(&replay->page, PAGE_ROWS),
    };
    const char *text =
        arena_format(&replay->page,
                     "SELECT %s, clock_timestamp()::text FROM control.quarantine"
                     " WHERE dataset = $1 AND ($2 = '' OR code = $2) AND ($3 = '' OR field = $3)"
                     " AND (state = $4::integer OR ($4::integer = 0 AND state IN (1, 3)))"
                     " AND id > $5::bigint ORDER BY id LIMIT $6::bigint",
                     quarantine_columns);
    struct db_sql sql = quality_sql(&replay->page, text, params, sizeof params / sizeof params[0]);
    replay->phase = REPLAY_PAGE;
    return admin_run(call, &sql, take_page);
}

/* --- judging ------------------------------------------------------------------------------------ */

static void judge_next(struct call *call);

static void judged(struct replay *replay, enum quarantine_state state)
{
    replay->ids[replay->at] = (uint64_t)replay->items[replay->at]->id;
    replay->states[replay->at] = (uint64_t)state;
    replay->at++;
    replay->progress.judged++;
    switch (state) {
    case QUARANTINE_OPEN:
        replay->progress.open++;
        break;
    case QUARANTINE_VANISHED:
        replay->progress.vanished++;
        break;
    case QUARANTINE_CHANGED:
        replay->progress.changed++;
        break;
    case QUARANTINE_MENDED:
        replay->progress.mended++;
        break;
    }
}

/* The row fails for another reason now: that is a sighting of its own. */
static void note_other(struct call *call, const struct db_rows *rows,
                       const struct quarantine_finding *finding)
{
    const struct gateway *gateway = call->context;
    const struct replay *replay = call->state;
    const struct quarantine_item *item = replay->items[replay->at];
    struct quarantine_sighting sighting = {
        .dataset = replay->dataset->dataset,
        .plan = replay->plan,
        .fields = replay->plan_fields,
        .exchange_id = call->exchange_id,
        .field = item->field,
        .rule = finding->rule,
        .code = finding->code,
    };
    if (finding->state == QUARANTINE_CHANGED && strcmp(finding->code, item->code) != 0)
        quarantine_note(gateway->quarantine, &sighting, rows, finding->row);
}

static void page_over(struct call *call)
{
    struct replay *replay = call->state;
    replay->waiting = false;
    call_resume(call);
}

static void on_row(void *arg, const struct db_rows *rows, const struct err *err)
{
    struct call *call = arg;
    const struct gateway *gateway = call->context;
    struct replay *replay = call->state;
    struct quarantine_finding finding;
    if (err != NULL) {
        replay->failed = *err;
        page_over(call);
        return;
    }
    if (quarantine_item_judge(replay->items[replay->at], &gateway->quarantine_keys,
                              replay->dataset->dataset, replay->plan, rows, &finding,
                              &replay->failed) < 0) {
        page_over(call);
        return;
    }
    note_other(call, rows, &finding);
    judged(replay, finding.state);
    judge_next(call);
}

static int take_plan(struct replay *replay, const struct quarantine_item *item, struct err *err)
{
    if (replay->plan != NULL && memcmp(replay->plan_fields, item->fields, sizeof item->fields) == 0)
        return 0;
    schema_plan_free(&replay->plan);
    memcpy(replay->plan_fields, item->fields, sizeof item->fields);
    replay->plan = schema_plan_new(replay->dataset->dataset, item->fields, NULL, err);
    return replay->plan != NULL ? 0 : -1;
}

static void judge_next(struct call *call)
{
    struct replay *replay = call->state;
    while (replay->at < replay->count) {
        const struct quarantine_item *item = replay->items[replay->at];
        struct db_sql sql;
        struct err unfit = ERR_INIT;
        if (take_plan(replay, item, &replay->failed) < 0)
            break;
        if (item->readable &&
            schema_plan_place(replay->plan, item->place, &replay->page, &sql, &unfit) == 0) {
            db_lease_execute(replay->lease, &sql, call->deadline_us, on_row, call);
            return;
        }
        /* Under another key, or another mapping, nobody can say which row this was. */
        judged(replay, QUARANTINE_CHANGED);
    }
    page_over(call);
}

static void on_lease(void *arg, const struct err *err)
{
    struct call *call = arg;
    struct replay *replay = call->state;
    replay->waiting = false;
    if (err != NULL) {
        replay->failed = *err;
        replay->lease = NULL; /* a refused lease dies with this callback */
    }
    call_resume(call);
}

static enum step_result judge_page(struct call *call)
{
    struct replay *replay = call->state;
    replay->waiting = true;
    if (replay->lease == NULL) {
        replay->phase = REPLAY_LEASE;
        replay->lease =
            db_lease_start(replay->dataset->source->db, call->deadline_us, on_lease, call);
        return STEP_WAIT;
    }
    replay->phase = REPLAY_JUDGE;
    judge_next(call);
    return STEP_WAIT;
}

/* --- what was found ------------------------------------------------------------------------------ */

static int take_nothing(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)call;
    (void)rows;
    (void)err;
    return 0;
}

static enum step_result save_page(struct call *call)
{
    struct replay *replay = call->state;
    const char *params[] = {
        replay->dataset->dataset->name,
        quality_numbers(&replay->page, replay->ids, replay->count),
        quality_numbers(&replay->page, replay->states, replay->count),
        replay->read_at,
    };
    struct db_sql sql = quality_sql(&replay->page,
                                    "SELECT control.quarantine_judged($1, $2::bigint[],"
                                    " $3::smallint[], $4::timestamptz)",
                                    params, sizeof params / sizeof params[0]);
    replay->phase = REPLAY_SAVE;
    return admin_run(call, &sql, take_nothing);
}

/* Page, judge, save, and again until a page is empty. */
static enum step_result replay_go_on(struct call *call)
{
    struct replay *replay = call->state;
    enum step_result result = STEP_NEXT;
    if (replay->phase == REPLAY_PAGE || replay->phase == REPLAY_SAVE)
        result = admin_ran(call);
    else if (replay->waiting)
        result = STEP_WAIT;
    if (result == STEP_NEXT && replay->failed.code != ERR_OK) {
        call->err = replay->failed;
        result = STEP_FAIL;
    }
    if (result != STEP_NEXT)
        return result;
    switch (replay->phase) {
    case REPLAY_PAGE:
        return replay->count > 0 ? judge_page(call) : STEP_NEXT;
    case REPLAY_LEASE:
        return judge_page(call);
    case REPLAY_JUDGE:
        return save_page(call);
    case REPLAY_SAVE:
        (void)quality_send(call, &replay->progress.base);
        return replay->count == PAGE_ROWS ? select_page(call) : STEP_NEXT;
    }
    return STEP_NEXT;
}

static enum step_result replay_answer(struct call *call)
{
    struct replay *replay = call->state;
    db_lease_release(&replay->lease);
    replay->progress.done = true;
    return quality_send(call, &replay->progress.base) < 0 ? STEP_FAIL : STEP_NEXT;
}

static enum step_result replay_outcome(struct call *call)
{
    struct replay *replay = call->state;
    db_lease_release(&replay->lease);
    return admin_outcome(call);
}

static void replay_finish(struct call *call, bool delivered)
{
    struct replay *replay = call->state;
    db_lease_release(&replay->lease);
    schema_plan_free(&replay->plan);
    admin_finish(call, delivered);
    if (replay->opened)
        arena_fini(&replay->page);
}

static const struct step replay_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", replay_check, NULL },
    { "record", admin_record, admin_recorded },
    { "replay", select_page, replay_go_on },
    { "answer", replay_answer, NULL },
    { NULL, NULL, NULL },
};

const struct rpc_method quality_replay_method = {
    .path = "/sluice.v1.QualityService/Replay",
    .kind = RPC_SERVER_STREAM,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_CASEWORK,
    .input = &sluice__v1__replay_request__descriptor,
    .state_size = sizeof(struct replay),
    .steps = replay_steps,
    .outcome = replay_outcome,
    .finish = replay_finish,
};
