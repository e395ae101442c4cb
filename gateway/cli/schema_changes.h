/* Changes between two versions as rows of an answer, for `schema check --against` and `schema diff`.
 * Ownership: a list owns its changes; texts are copied in.
 * Never calls back; schema_changes_add is itself a compare_fn.
 * Limits: memory grows with the number of changes, which files bound.
 * Does not compare anything (schema/compare.h does). */
#ifndef SLUICE_CLI_SCHEMA_CHANGES_H
#define SLUICE_CLI_SCHEMA_CHANGES_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "schema/compare.h"

struct schema_changes {
    json_t *rows;
    size_t breaking;
    const struct schema_set *types;      /* of the old version; NULL: subjects are datasets */
    const struct dictionary *dictionary; /* whose datasets are affected by a type's change */
};

void schema_changes_add(void *arg, const struct compare_change *change);

/* Adds what changed between two serialised descriptor sets; EXIT_OK or an exit status after a
 * complaint. Needs `dictionary`. */
int schema_changes_types(struct schema_changes *changes, struct slice before, struct slice after);

/* Prints the rows, ends with a note of the counts; EXIT_OK or EXIT_FAILED when printing failed. */
int schema_changes_print(const struct cli *cli, const struct schema_changes *changes);

#endif
