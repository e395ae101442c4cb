/* What stands between a plan's records and their way out: the masks, and whom a record is about.
 * Ownership: borrows the set of masks; owns its scratch.
 * Never calls back.
 * Limits: PLAN_RECORD_BYTES_MAX a record, masked too.
 * Private to schema/. */
#ifndef SLUICE_SCHEMA_PLAN_MASK_H
#define SLUICE_SCHEMA_PLAN_MASK_H

#include "schema/mask.h"
#include "schema/plan.h"

struct plan_masks;

struct plan_masks *plan_masks_new(const struct schema_masks *set);
void plan_masks_free(struct plan_masks **masks);
/* The record behind `before` in `out`, which nobody has seen yet, becomes what may leave. One that grows
 * too large is quarantined. -1 as schema_plan_row. */
int plan_masks_run(struct plan_masks *masks, size_t before, struct buf *out,
                   struct schema_row_report *report, struct err *err);
/* As schema_plan_masked_persons, schema_plan_persons. */
size_t plan_masks_persons(const struct plan_masks *masks, struct slice *values_r, size_t max);
size_t plan_persons(const struct schema_message *type, const struct plan_masks *masks,
                    struct slice record, struct slice *values_r, size_t max);

#endif
