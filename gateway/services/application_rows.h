/* Applications between their rows, their messages and what the state machine asks.
 * Ownership: texts and messages lie in the arena given; the calendar is the caller's.
 * Never calls back.
 * Limits: APPLICATION_*_MAX.
 * Does not decide who may take a step: authz/application.h and application.c do. */
#ifndef SLUICE_SERVICES_APPLICATION_ROWS_H
#define SLUICE_SERVICES_APPLICATION_ROWS_H

#include "authz/application.h"
#include "authz/calendar.h"
#include "base/arena.h"
#include "pg/db.h"
#include "sluice/v1/agreement.pb-c.h"

enum {
    APPLICATION_TEXT_BYTES_MAX = 1024, /* as the database has it */
    APPLICATION_ID_BYTES_MAX = 16,
    APPLICATION_STEPS_MAX = 1000, /* shown of one application, the latest */
};

struct application_row {
    Sluice__V1__Application *message;
    enum application_state state; /* as stored: an ACTIVE one may be over */
    bool over;                    /* the time applied for has ended */
    const char *requester;
    const char *extension_asked_by; /* "": nobody */
    const char *authority;          /* department, "": none */
    int64_t now_us;                 /* by the database's clock */
    /* The deadline that runs. */
    bool runs;
    int64_t clock_from_us;
    int clock_days;
    bool due_stored;
    int32_t due;
    /* The operator's policy. */
    int answer_days;
    int extension_days;
    int provide_days;
    bool clock_from_completed;
    bool repeated; /* the step of the call's request id stands already */
};

/* The select list that application_from_row reads, of FROM control.application AS a,
 * control.application_policy AS p; $1 is the caller's subject, $2 its request id, $3 an event. */
extern const char application_columns[];
/* WHERE: the caller's department ($4) may know of `a`. */
extern const char application_visible[];
/* The state as shown: what is over is EXPIRED. */
extern const char application_shown[];

/* Row 0 carries the calendar: it is loaded into `calendar` first. The deadline is filled in. */
struct application_row application_from_row(struct arena *arena, const struct db_rows *rows,
                                            int row, struct calendar *calendar);
/* The steps of a SELECT of application_step_columns. */
extern const char application_step_columns[];
void application_take_steps(struct arena *arena, const struct db_rows *rows,
                            Sluice__V1__Application *message);

/* The last day of the deadline that runs once `event` has led to `next`, as text; NULL when none runs
 * or a year of the calendar is missing. `days`: of the step itself. */
const char *application_next_due(struct arena *arena, const struct application_row *row,
                                 const struct calendar *calendar, enum application_event event,
                                 enum application_state next, int days);

/* "app-", then when it was made and chance, so that ids sort by time in collation C. */
char *application_make_id(struct arena *arena, int64_t wall_us);

#endif
