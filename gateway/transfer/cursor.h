/* Incremental copies: rows whose cursor field says that they may have changed since the last time.
 * Ownership: texts lie in the arena given.
 * Never calls back.
 * Limits: the cursor is one Timestamp field that the source's own clock sets at every insert and update.
 * Does not see deletes: the result is never equal to the source, only no older than its watermark. */
#ifndef SLUICE_TRANSFER_CURSOR_H
#define SLUICE_TRANSFER_CURSOR_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "schema/bundle.h"

/* INVALID_ARGUMENT/CURSOR_FIELD unless `field` is a Timestamp by which the dataset can be filtered;
 * `granted` has PLAN_BITMAP_BYTES: a field that is not granted answers like an unknown one. */
int transfer_cursor_check(const struct schema_dataset *dataset, const char *field,
                          const uint8_t *granted, struct err *err);
/* The filter's text and, behind it, that the field is not before `from_us` (microseconds since 1970). */
const char *transfer_cursor_filter(struct arena *arena, const char *filter, const char *field,
                                   int64_t from_us);

#endif
