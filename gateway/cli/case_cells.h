/* Cells that rows of applications and of catalogue entries share: members as they are, the deadline, the steps.
 * Ownership: `row` is the caller's; what is read is borrowed.
 * Never calls back.
 * Limits: those of the answer.
 * Does not print but for a notice when a year has no calendar. */
#ifndef SLUICE_CLI_CASE_CELLS_H
#define SLUICE_CLI_CASE_CELLS_H

#include "cli/remote.h"

/* The member of an object under a name of the row's; "" when it is not there. */
void case_copy(json_t *row, const char *name, const json_t *object, const char *member);
/* Notes that a year has no calendar; 0: none lacks one. */
void case_note_missing(long long year);
/* due, workingDaysLeft, overdue: a deadline's last day, what is left of it, and why it cannot be told. */
void case_add_deadline(json_t *row, const json_t *object);
/* step 1, step 2, ...: "2026-11-24T08:00:00Z SUBMIT spiffe://...: text (late)". */
void case_add_steps(json_t *row, const json_t *object);

#endif
