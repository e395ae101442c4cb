/* sluice.v1.AgreementService: what is due, and how a month's deadlines were kept. */
#include <string.h>

#include "services/admin.h"
#include "services/application_steps.h"
#include "services/calendar_rows.h"
#include "services/timestamps.h"

enum { DUE_MAX = 1000, MONTH_BYTES = 7 };

struct due_call {
    struct admin admin; /* first */
    struct calendar *calendar;
    const char *month;    /* "2026-11" */
    int calendar_missing; /* its year, 0: it is loaded */
};

static void due_finish(struct call *call, bool delivered)
{
    struct due_call *state = call->state;
    calendar_free(&state->calendar);
    admin_finish(call, delivered);
}

/* --- ListDue -------------------------------------------------------------------------------------- */

/* Whose turn it is: while a supplement is asked for, the requester's, though the owner's clock runs. */
static const char due_sql[] =
    "WITH waiting AS (SELECT a.id AS application, '' AS entry, a.dataset, a.state, a.clock,"
    " a.clock_from, a.clock_days, a.due_on FROM control.application AS a"
    " WHERE a.clock IS NOT NULL AND $1 = CASE WHEN a.clock = 'DISPOSE' OR"
    " a.state = 'SUPPLEMENT_ASKED' THEN a.requester_department ELSE a.owner_department END"
    " UNION ALL SELECT '', e.dataset, e.dataset, e.state, e.clock, e.clock_from, e.clock_days,"
    " e.due_on FROM control.catalogue_entry AS e, control.application_policy AS p"
    " WHERE e.clock = 'UPDATE' AND e.department = $1 OR e.clock = 'REVIEW' AND p.authority = $1),"
    " first AS (SELECT w.*, row_number() OVER (ORDER BY w.due_on NULLS FIRST,"
    " w.application COLLATE \"C\", w.entry COLLATE \"C\") AS n FROM waiting AS w)"
    " SELECT application, entry, dataset, state, clock,"
    " (extract(epoch FROM clock_from) * 1000000)::bigint, clock_days, due_on - date '1970-01-01',"
    " (extract(epoch FROM now()) * 1000000)::bigint,"
    " coalesce(CASE WHEN n = 1 THEN (" CALENDAR_YEARS_SQL ") END, ''),"
    " coalesce(CASE WHEN n = 1 THEN (" CALENDAR_OFF_SQL ") END, ''),"
    " coalesce(CASE WHEN n = 1 THEN (" CALENDAR_WORK_SQL ") END, '')"
    " FROM first WHERE n <= $2::bigint ORDER BY n";
enum { DUE_CALENDAR_COLUMN = 9 };

static Sluice__V1__Due *due_from_row(struct arena *arena, const struct db_rows *rows, int row,
                                     const struct calendar *calendar)
{
    Sluice__V1__Due *out = arena_alloc(arena, sizeof *out);
    sluice__v1__due__init(out);
    out->application = db_text(arena, db_value(rows, row, 0));
    out->entry = db_text(arena, db_value(rows, row, 1));
    out->dataset = db_text(arena, db_value(rows, row, 2));
    out->state = db_text(arena, db_value(rows, row, 3));
    struct db_value due = db_value(rows, row, 7);
    struct calendar_clock clock = { .name = db_text(arena, db_value(rows, row, 4)),
                                    .from_us = db_int8(db_value(rows, row, 5)),
                                    .days = db_int4(db_value(rows, row, 6)),
                                    .due_stored = due.data != NULL,
                                    .due = db_int4(due) };
    out->deadline = calendar_deadline(arena, &clock, db_int8(db_value(rows, row, 8)), calendar);
    return out;
}

static int take_due(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const Sluice__V1__ListDueRequest *request =
        (const Sluice__V1__ListDueRequest *)(const void *)call->request;
    const struct due_call *state = call->state;
    int count = db_row_count(rows);
    Sluice__V1__ListDueResponse answer = SLUICE__V1__LIST_DUE_RESPONSE__INIT;
    answer.due = arena_array(&call->arena, (size_t)count, sizeof *answer.due);
    for (int i = 0; i < count; i++) {
        if (i == 0)
            calendar_take(&call->arena, rows, i, DUE_CALENDAR_COLUMN, state->calendar);
        Sluice__V1__Due *due = due_from_row(&call->arena, rows, i, state->calendar);
        const Sluice__V1__ApplicationDeadline *deadline = due->deadline;
        if (request->within == 0 || deadline->overdue || deadline->calendar_missing != 0 ||
            deadline->working_days_left <= request->within)
            answer.due[answer.n_due++] = due;
    }
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result due_select(struct call *call)
{
    const Sluice__V1__ListDueRequest *request =
        (const Sluice__V1__ListDueRequest *)(const void *)call->request;
    struct due_call *state = call->state;
    if (request->within < 0 || request->within > CALENDAR_DAYS_MAX) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "DAYS_INVALID",
                      "list what is due within 1 to 366 working days, or 0 for all");
        return STEP_FAIL;
    }
    state->calendar = calendar_new();
    const char *params[] = { call->identity.department, arena_format(&call->arena, "%d", DUE_MAX) };
    struct db_sql sql = { .text = due_sql,
                          .param_count = sizeof params / sizeof params[0],
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_due);
}

static const struct step due_steps[] = {
    { "admit", admin_admit, NULL },
    { "select", due_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method deadlines_due_method = {
    .path = "/sluice.v1.AgreementService/ListDue",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__list_due_request__descriptor,
    .state_size = sizeof(struct due_call),
    .steps = due_steps,
    .finish = due_finish,
};

/* --- GetScorecard --------------------------------------------------------------------------------- */

/* A step ended the deadline that ran until then; the step before it says which day was the last. */
static const char scorecard_sql[] =
    "WITH month AS (SELECT m.first, (m.first + interval '1 month')::date AS next FROM"
    " (SELECT ($2 || '-01')::date AS first) AS m),"
    " ended AS (SELECT CASE WHEN s.event = 'CONFIRM_DISPOSAL' THEN a.requester_department"
    " ELSE a.owner_department END AS department, CASE s.event WHEN 'ACTIVATE' THEN 'PROVIDE'"
    " WHEN 'CONFIRM_DISPOSAL' THEN 'DISPOSE' ELSE 'ANSWER' END AS kind, s.at, s.late,"
    " b.due_on IS NULL AS untold FROM control.application_step AS s"
    " JOIN control.application AS a ON a.id = s.application"
    " JOIN control.application_step AS b ON b.application = s.application AND b.n = s.n - 1"
    " WHERE s.event IN ('AGREE', 'REFUSE', 'ACTIVATE', 'CONFIRM_DISPOSAL')"
    " UNION ALL SELECT CASE s.state_from WHEN 'CHANGE_DUE' THEN e.department ELSE s.department END,"
    " CASE s.state_from WHEN 'CHANGE_DUE' THEN 'UPDATE' ELSE 'REVIEW' END, s.at, s.late,"
    " b.due_on IS NULL FROM control.catalogue_step AS s"
    " JOIN control.catalogue_entry AS e ON e.dataset = s.dataset"
    " JOIN control.catalogue_step AS b ON b.dataset = s.dataset AND b.n = s.n - 1"
    " WHERE s.state_from = 'CHANGE_DUE' AND s.event IN ('SUBMIT', 'RETIRE')"
    " OR s.state_from = 'SUBMITTED' AND b.state_from = 'CHANGE_DUE'),"
    " running AS (SELECT CASE a.clock WHEN 'DISPOSE' THEN a.requester_department"
    " ELSE a.owner_department END AS department, a.clock AS kind, a.due_on"
    " FROM control.application AS a WHERE a.clock IS NOT NULL UNION ALL"
    " SELECT CASE e.clock WHEN 'REVIEW' THEN p.authority ELSE e.department END, e.clock, e.due_on"
    " FROM control.catalogue_entry AS e, control.application_policy AS p"
    " WHERE e.clock IS NOT NULL),"
    " line AS (SELECT d.department, d.kind, 1 AS ended, d.late::integer AS late,"
    " d.untold::integer AS untold, 0 AS overdue FROM ended AS d, month AS m"
    " WHERE (d.at AT TIME ZONE 'Asia/Shanghai')::date >= m.first"
    " AND (d.at AT TIME ZONE 'Asia/Shanghai')::date < m.next"
    " UNION ALL SELECT r.department, r.kind, 0, 0, 0, 1 FROM running AS r, month AS m"
    " WHERE r.due_on >= m.first AND r.due_on < m.next"
    " AND r.due_on < (now() AT TIME ZONE 'Asia/Shanghai')::date)"
    " SELECT l.department, l.kind, sum(l.ended)::integer, sum(l.late)::integer,"
    " sum(l.untold)::integer, sum(l.overdue)::integer FROM line AS l,"
    " control.application_policy AS p WHERE l.department = $1 OR p.authority = $1"
    " GROUP BY l.department, l.kind ORDER BY l.department COLLATE \"C\", l.kind COLLATE \"C\"";

static Sluice__V1__ScorecardLine *line_from_row(struct arena *arena, const struct db_rows *rows,
                                                int row)
{
    Sluice__V1__ScorecardLine *out = arena_alloc(arena, sizeof *out);
    sluice__v1__scorecard_line__init(out);
    const ProtobufCEnumValue *kind = protobuf_c_enum_descriptor_get_value_by_name(
        &sluice__v1__application_deadline__kind__descriptor,
        db_text(arena, db_value(rows, row, 1)));
    out->department = db_text(arena, db_value(rows, row, 0));
    if (kind != NULL)
        out->kind = (Sluice__V1__ApplicationDeadline__Kind)kind->value;
    out->ended = db_int4(db_value(rows, row, 2));
    out->late = db_int4(db_value(rows, row, 3));
    out->untold = db_int4(db_value(rows, row, 4));
    out->overdue = db_int4(db_value(rows, row, 5));
    return out;
}

static bool is_month(const char *month)
{
    char date[CALENDAR_DATE_BYTES];
    int32_t day;
    if (strlen(month) != MONTH_BYTES)
        return false;
    memcpy(date, month, MONTH_BYTES);
    memcpy(date + MONTH_BYTES, "-01", sizeof "-01");
    return calendar_date_parse(date, MONTH_BYTES + 3, &day);
}

static int take_month(struct call *call, const struct db_rows *rows, struct err *err)
{
    struct due_call *state = call->state;
    if (db_row_count(rows) != 1)
        return err_set(err, ERR_INTERNAL, "SCORECARD_MONTH", "the month is not known; try again");
    state->month = db_text(&call->arena, db_value(rows, 0, 0));
    state->calendar_missing = db_int4(db_value(rows, 0, 1));
    return 0;
}

static enum step_result scorecard_month(struct call *call)
{
    const Sluice__V1__GetScorecardRequest *request =
        (const Sluice__V1__GetScorecardRequest *)(const void *)call->request;
    if (request->month[0] != '\0' && !is_month(request->month)) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "MONTH_INVALID",
                      "a month is written 2026-11");
        return STEP_FAIL;
    }
    const char *params[] = { request->month };
    struct db_sql sql = {
        .text = "SELECT m.month, CASE WHEN EXISTS (SELECT FROM control.workday_year AS y"
                " WHERE y.year = left(m.month, 4)::integer) THEN 0"
                " ELSE left(m.month, 4)::integer END FROM (SELECT CASE $1 WHEN '' THEN"
                " to_char(now() AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') ELSE $1 END AS month)"
                " AS m",
        .param_count = 1,
        .params = arena_dup(&call->arena, params, sizeof params),
    };
    return admin_run(call, &sql, take_month);
}

static int take_scorecard(struct call *call, const struct db_rows *rows, struct err *err)
{
    (void)err;
    const struct due_call *state = call->state;
    Sluice__V1__Scorecard answer = SLUICE__V1__SCORECARD__INIT;
    answer.month = (char *)state->month;
    answer.calendar_missing = state->calendar_missing;
    answer.n_lines = (size_t)db_row_count(rows);
    answer.lines = arena_array(&call->arena, answer.n_lines, sizeof *answer.lines);
    for (size_t i = 0; i < answer.n_lines; i++)
        answer.lines[i] = line_from_row(&call->arena, rows, (int)i);
    call_answer(call, &answer.base);
    return 0;
}

static enum step_result scorecard_select(struct call *call)
{
    const struct due_call *state = call->state;
    const char *params[] = { call->identity.department, state->month };
    struct db_sql sql = { .text = scorecard_sql,
                          .param_count = sizeof params / sizeof params[0],
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_scorecard);
}

static const struct step scorecard_steps[] = {
    { "admit", admin_admit, NULL },
    { "month", scorecard_month, admin_ran },
    { "select", scorecard_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method deadlines_scorecard_method = {
    .path = "/sluice.v1.AgreementService/GetScorecard",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_EVERY,
    .input = &sluice__v1__get_scorecard_request__descriptor,
    .state_size = sizeof(struct due_call),
    .steps = scorecard_steps,
    .finish = due_finish,
};
