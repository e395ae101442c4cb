/* The methods of CatalogService that catalogue entries are made of; see the table in services.c.
 * Ownership: constants.
 * Callbacks: see struct rpc_method.
 * Limits: those of catalogue_rows.h.
 * Says nothing of what they do: proto/sluice/v1/catalog.proto does. */
#ifndef SLUICE_SERVICES_CATALOGUE_METHODS_H
#define SLUICE_SERVICES_CATALOGUE_METHODS_H

#include "rpc/call.h"

extern const struct rpc_method catalogue_import_method;
extern const struct rpc_method catalogue_step_method;
extern const struct rpc_method catalogue_entry_method;
extern const struct rpc_method catalogue_entries_method;
extern const struct rpc_method catalogue_overlaps_method;

#endif
