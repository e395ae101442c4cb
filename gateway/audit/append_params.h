/* The parameters of audit.append (schemas/control/002_audit.sql) as PostgreSQL text.
 * Ownership: the struct keeps its buffers between batches; append_params_fini frees and wipes them.
 * Never calls back.
 * Limits: one batch of the appender, whose bytes are bounded there.
 * Inside the room only. Values become array literals and hex: nothing is ever part of a statement.
 */
#ifndef SLUICE_AUDIT_APPEND_PARAMS_H
#define SLUICE_AUDIT_APPEND_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#include "audit/append_item.h"
#include "audit/merkle.h"
#include "base/buf.h"

enum { APPEND_PARAM_COUNT = 25 };

struct append_params {
    struct buf text[APPEND_PARAM_COUNT];
    const char *values[APPEND_PARAM_COUNT];
};

/* What the batch is appended to, and what comes out. */
struct append_head {
    const char *origin;
    int64_t epoch;
    const struct merkle_frontier *before;
    const struct merkle_frontier *after;
};

void append_params_init(struct append_params *params);
void append_params_fini(struct append_params *params);
/* Fills `values` for audit.append in its order of parameters. Salts are wrapped under `salt_key`.
 */
void append_params_fill(struct append_params *params, const uint8_t batch_id[UUID_BYTES],
                        const struct append_head *head, struct append_item *const *items,
                        size_t count, const uint8_t salt_key[SALT_KEY_BYTES]);
/* Fills the first APPEND_CHARGE_PARAM_COUNT `values` for audit.lock_charge: ids, agreements, records, whether
 * fewer will do, and days, of those items that charge something or give it back. */
enum { APPEND_CHARGE_PARAM_COUNT = 5 };
void append_params_charges(struct append_params *params, struct append_item *const *items,
                           size_t count);
/* Array literal of the items' ids. */
void append_params_ids(struct buf *out, struct append_item *const *items, size_t count);

#endif
