/* Mappings against a live database: what of the mapped tables is not as the mapping expects it.
 * Ownership: everything is borrowed.
 * Never calls back.
 * Limits: two statements a dataset, in one read-only snapshot; see schema_place.h.
 * Knows no earlier state: what has changed since then a gateway tells (`sluice quality report`). */
#ifndef SLUICE_CLI_SCHEMA_DRIFT_H
#define SLUICE_CLI_SCHEMA_DRIFT_H

#include "cli/cli.h"
#include "schema/bundle.h"

/* Checks the datasets of the source that --source names, or of the only one there is, against --database.
 * EXIT_OK when the gateway would serve them all, else an exit status after a complaint. */
int schema_drift_check(const struct cli *cli, const struct schema_bundle *bundle);

#endif
