/* What a transfer would lose on its way, weighed before its first row leaves.
 * Ownership: the report lies in the arena given.
 * Never calls back.
 * Limits: what can be told from the two mappings; the table itself is looked at by the mover.
 * Does not judge values: a row that the table cannot hold is quarantined when it comes. */
#ifndef SLUICE_SERVICES_TRANSFER_LOSS_H
#define SLUICE_SERVICES_TRANSFER_LOSS_H

#include "authz/authz.h"
#include "schema/writer.h"
#include "sluice/v1/transfer.pb-c.h"

struct transfer_losses {
    Sluice__V1__TransferLoss **items;
    size_t count;
};

/* Of the fields that this grant lets move and that the source has, those the target does not keep exactly in
 * both directions. FAILED_PRECONDITION/FIELDS_LOST, which names them, when one is dropped or may read back
 * different and that was not accepted. */
int transfer_weigh(struct arena *arena, const struct authz_answer *grant,
                   const struct schema_writer *writer, bool accepted,
                   struct transfer_losses *losses_r, struct err *err);

#endif
