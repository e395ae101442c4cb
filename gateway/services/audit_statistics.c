/* sluice.v1.AuditService/GetStatistics: sums that equal the log. */
#include <string.h>

#include "services/admin.h"
#include "services/agreement_rows.h"
#include "services/audit_request.h"

enum { GROUPS_MAX = 10000, DAY_BYTES = 10 };

/* In the order of GetStatisticsRequest.Column and of audit.statistics. */
static const char *const columns[] = { NULL,      "day",  "department", "owner",
                                       "dataset", "kind", "outcome" };

static const Sluice__V1__GetStatisticsRequest *request_of(const struct call *call)
{
    return (const Sluice__V1__GetStatisticsRequest *)(const void *)call->request;
}

/* "2026-11-24", a day that the month has. */
static bool is_day(const char *text)
{
    static const char days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    static const char shape[] = "dddd-dd-dd";
    if (strlen(text) != DAY_BYTES)
        return false;
    for (size_t i = 0; i < DAY_BYTES; i++) {
        if (shape[i] == '-' ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return false;
    }
    int year =
        (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0';
    int month = (text[5] - '0') * 10 + text[6] - '0';
    int day = (text[8] - '0') * 10 + text[9] - '0';
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
           (month != 2 || day < 29 || leap);
}

static enum step_result statistics_check(struct call *call)
{
    const Sluice__V1__GetStatisticsRequest *request = request_of(call);
    struct admin *admin = call->state;
    admin->kind = SLUICE__V1__AUDIT_ENTRY__KIND__OFFICER_QUERY;
    admin->rule = "officer";
    admin->owner = call->identity.department;
    if ((request->day_from[0] != '\0' && !is_day(request->day_from)) ||
        (request->day_to[0] != '\0' && !is_day(request->day_to))) {
        (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "DAY",
                      "day_from and day_to are days such as 2026-11-24");
        return STEP_FAIL;
    }
    for (size_t i = 0; i < request->n_by; i++) {
        if (request->by[i] <= 0 || (size_t)request->by[i] >= sizeof columns / sizeof *columns) {
            (void)err_set(&call->err, ERR_INVALID_ARGUMENT, "COLUMN",
                          "there is no such column to sum by");
            return STEP_FAIL;
        }
    }
    return STEP_NEXT;
}

static char *text_at(struct call *call, const struct db_rows *rows, int row, int column)
{
    struct db_value value = db_value(rows, row, column);
    return arena_strndup(&call->arena, value.data != NULL ? (const char *)value.data : "",
                         value.len);
}

static Sluice__V1__Statistic *statistic_at(struct call *call, const struct db_rows *rows, int row)
{
    Sluice__V1__Statistic *statistic = arena_alloc(&call->arena, sizeof *statistic);
    sluice__v1__statistic__init(statistic);
    statistic->day = text_at(call, rows, row, 1);
    statistic->department = text_at(call, rows, row, 2);
    statistic->owner = text_at(call, rows, row, 3);
    statistic->dataset = text_at(call, rows, row, 4);
    statistic->kind = (Sluice__V1__AuditEntry__Kind)db_int8(db_value(rows, row, 5));
    statistic->outcome = (Sluice__V1__AuditEntry__Outcome)db_int8(db_value(rows, row, 6));
    statistic->entries = db_int8(db_value(rows, row, 7));
    statistic->calls = db_int8(db_value(rows, row, 8));
    return statistic;
}

static int take_statistics(struct call *call, const struct db_rows *rows, struct err *err)
{
    Sluice__V1__GetStatisticsResponse answer = SLUICE__V1__GET_STATISTICS_RESPONSE__INIT;
    int count = db_row_count(rows);
    if (count > GROUPS_MAX)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, "TOO_MANY_GROUPS",
                       "more than %d sums; ask for fewer days or columns", GROUPS_MAX);
    if (count > 0)
        answer.log_size = db_int8(db_value(rows, 0, 0));
    answer.statistics = arena_array(&call->arena, (size_t)count + 1, sizeof *answer.statistics);
    for (int i = 0; i < count; i++) {
        if (db_value(rows, i, 7).data !=
            NULL) /* no entry at all: one row that tells the log's size */
            answer.statistics[answer.n_statistics++] = statistic_at(call, rows, i);
    }
    call_answer(call, &answer.base);
    return 0;
}

static const char statistics_sql[] =
    "SELECT log_size, day::text, department, owner, dataset, coalesce(kind, 0)::bigint,"
    " coalesce(outcome, 0)::bigint, entries, calls"
    " FROM audit.statistics($1, $2::date, $3::date, $4::text[], $5::bigint)";

static enum step_result statistics_select(struct call *call)
{
    const Sluice__V1__GetStatisticsRequest *request = request_of(call);
    char *by[sizeof columns / sizeof *columns];
    size_t by_count = 0;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        for (size_t j = 0; j < request->n_by; j++) {
            if ((size_t)request->by[j] == i) {
                by[by_count++] = (char *)columns[i];
                break;
            }
        }
    }
    const char *params[] = { call->identity.department,
                             request->day_from[0] != '\0' ? request->day_from : NULL,
                             request->day_to[0] != '\0' ? request->day_to : NULL,
                             agreement_array(&call->arena, by, by_count),
                             arena_format(&call->arena, "%d", GROUPS_MAX + 1) };
    struct db_sql sql = { .text = statistics_sql,
                          .param_count = 5,
                          .params = arena_dup(&call->arena, params, sizeof params) };
    return admin_run(call, &sql, take_statistics);
}

static const struct step statistics_steps[] = {
    { "admit", admin_admit, NULL },
    { "check", statistics_check, NULL },
    { "record", admin_record, admin_recorded },
    { "select", statistics_select, admin_ran },
    { NULL, NULL, NULL },
};

const struct rpc_method audit_statistics_method = {
    .path = "/sluice.v1.AuditService/GetStatistics",
    .kind = RPC_UNARY,
    .listeners = RPC_OFFICERS,
    .officer_roles = OFFICER_AUDITOR,
    .input = &sluice__v1__get_statistics_request__descriptor,
    .state_size = sizeof(struct admin),
    .steps = statistics_steps,
    .outcome = admin_outcome,
    .finish = admin_finish,
};
