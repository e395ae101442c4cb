/* Which departments offer the same data item.
 * Ownership: messages lie in the call's arena.
 * Never calls back.
 * Limits: the datasets of the schema bundle.
 * Does not decide: an overlap is told, never refused. */
#ifndef SLUICE_SERVICES_CATALOGUE_OVERLAP_H
#define SLUICE_SERVICES_CATALOGUE_OVERLAP_H

#include "rpc/call.h"
#include "schema/bundle.h"
#include "sluice/v1/agreement.pb-c.h"

/* Other departments' shared datasets that have fields of those named (each known to the dataset), in
 * the order of their names. From memory alone. */
Sluice__V1__AlreadyAvailable **catalogue_available(struct call *call,
                                                   const struct schema_dataset *dataset,
                                                   char *const *fields, size_t field_count,
                                                   size_t *count_r);

#endif
