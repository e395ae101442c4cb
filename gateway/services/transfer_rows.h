/* Transfers between their rows and their messages, and what the methods about one transfer share.
 * Ownership: struct transfer_call is the first member of each method's call->state; messages lie in
 *   the call's arena.
 * Callbacks: through the call's steps.
 * Limits: none of its own.
 * Does not move rows: the mover does. */
#ifndef SLUICE_SERVICES_TRANSFER_ROWS_H
#define SLUICE_SERVICES_TRANSFER_ROWS_H

#include "services/admin.h"
#include "sluice/v1/transfer.pb-c.h"

struct transfer_call {
    struct admin admin; /* first */
    Sluice__V1__Transfer *transfer;
    uint8_t salt[SALT_BYTES];
};

/* The columns of a SELECT that transfer_from_row reads. */
extern const char transfer_columns[];
Sluice__V1__Transfer *transfer_from_row(struct arena *arena, const struct db_rows *rows, int row);
bool transfer_has_ended(const Sluice__V1__Transfer *transfer);

/* Take functions of admin_run: the one transfer, or NOT_FOUND/TRANSFER_NOT_FOUND. */
int transfer_take(struct call *call, const struct db_rows *rows, struct err *err);
/* Step: selects the transfer of this id, if the caller may see it; the resumed half is admin_ran. */
enum step_result transfer_select(struct call *call, const char *id);
/* Step: answers call->state's transfer. */
enum step_result transfer_answer(struct call *call);

#endif
