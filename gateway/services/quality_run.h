/* Runs of an assessment between their figures, their rows and their messages.
 * Ownership: struct quality_run_call is the first member of a method's call->state; messages lie in
 *   the call's arena.
 * Callbacks: through the call's steps.
 * Limits: QUALITY_REASONS_SHOWN_MAX reasons of a run.
 * Does not judge rows. */
#ifndef SLUICE_SERVICES_QUALITY_RUN_H
#define SLUICE_SERVICES_QUALITY_RUN_H

#include "services/quality.h"
#include "services/quality_account.h"

enum { QUALITY_REASONS_SHOWN_MAX = 50 };

struct quality_run_call {
    struct admin admin; /* first */
    const char *dataset;
    Sluice__V1__QualityRun *run;    /* the newest that ended well; NULL: there is none */
    Sluice__V1__QualityRun *before; /* the one before it, for trends */
};

/* The statement that ends a run with the figures of `account`; answers one boolean. */
struct db_sql quality_run_sql(struct arena *arena, const char *id,
                              const struct quality_account *account, const char *threshold);

/* Steps, each with admin_ran as its resumed half: fill run and before. The last one, without a wait,
 * works out shares and trends. */
enum step_result quality_run_select(struct call *call);
enum step_result quality_run_fields(struct call *call);
enum step_result quality_run_reasons(struct call *call);
enum step_result quality_run_expectations(struct call *call);
enum step_result quality_run_trends(struct call *call);

Sluice__V1__QualityAccounts *quality_accounts(struct arena *arena, const struct db_rows *rows,
                                              int row, int column);
/* Better, worse or unchanged; what does not show in six decimals is no change. */
Sluice__V1__QualityRun__Trend quality_trend(double before, double now);

#endif
