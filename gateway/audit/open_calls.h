/* The calls of one worker that were decided and of which the auditor does not know yet that their
 *   answer left: when the worker dies, each gets an entry that says so.
 * Ownership: copies the leaves of the decisions; the owner frees it with its worker.
 * Callbacks: `take` of open_calls_recover, inside it.
 * Limits: OPEN_CALLS_MAX calls; beyond, they are only counted. OPEN_CALLS_NAMED_MAX get an entry of
 *   their own, all are in the one entry that sums up.
 * Does not know what left: a call is open until the worker says that it is settled, at most
 *   AUDIT_SETTLED_MS later, so some that are called open did leave. "May be undelivered", never the
 *   other way round. An auditor that dies with its workers takes this knowledge along. */
#ifndef SLUICE_AUDIT_OPEN_CALLS_H
#define SLUICE_AUDIT_OPEN_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "audit/entry.h"

enum { OPEN_CALLS_MAX = 65536, OPEN_CALLS_NAMED_MAX = 1000 };

struct open_calls;
struct open_calls *open_calls_new(void);
void open_calls_free(struct open_calls **open);

/* Entries of the worker as they arrive: an allowed decision opens its exchange, a delivery entry
 * settles it. */
void open_calls_note(struct open_calls *open, const Sluice__Internal__AppendRequest *request);
/* Exchange ids of UUID_BYTES each whose answers have left. */
void open_calls_settle(struct open_calls *open, const uint8_t *ids, size_t len);
size_t open_calls_count(const struct open_calls *open);

/* Makes the RECOVERY entries and forgets the calls: for each named call one with the exchange, who,
 * why and what of its decision, outcome FAILED, reason DELIVERY_UNKNOWN; and, first, one that says
 * how many there are (stands_for) of which boot id (object, hex). None when nothing is open. */
typedef void (*open_calls_fn)(void *arg, const Sluice__Internal__AppendRequest *request);
void open_calls_recover(struct open_calls *open, struct audit_source *source, open_calls_fn take,
                        void *arg);

#endif
