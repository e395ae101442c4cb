/* Notices of drift as people read them: what has changed in the owner's tables.
 * Ownership: everything is borrowed.
 * Never calls back.
 * Limits: as many as the gateway lists.
 * Does not ask the gateway: catalog.c and quality.c do. */
#ifndef SLUICE_CLI_DRIFT_NOTICES_H
#define SLUICE_CLI_DRIFT_NOTICES_H

#include <jansson.h>

/* The array `drift` of a Dataset or QualityReport, a line each on standard error. */
void drift_notices_show(const json_t *answer);

#endif
