/* What the command line says of an agreement's terms, for granting one and for applying for one.
 * Ownership: the object is the caller's to json_decref.
 * Never calls back.
 * Limits: those of the options.
 * Does not read --fields: granting knows the word "all", applying does not. */
#ifndef SLUICE_CLI_AGREEMENT_H
#define SLUICE_CLI_AGREEMENT_H

#include <jansson.h>

#include "cli/cli.h"

/* A sluice.v1.Agreement without its fields; NULL after a usage complaint. */
json_t *agreement_terms(struct cli *cli);
/* --masks into the terms; -1 after a usage complaint. */
int agreement_add_masks(struct cli *cli, json_t *terms);
/* For people masks read as --masks takes them; JSON stays as it is. */
void agreement_show_masks(const struct cli *cli, json_t *terms);

#endif
