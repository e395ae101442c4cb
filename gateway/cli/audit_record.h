/* Entries of the audit log as rows, and searches for them as requests.
 * Ownership: rows and requests are the caller's to json_decref.
 * Never calls back.
 * Limits: none of its own.
 * Does not call the gateway. */
#ifndef SLUICE_CLI_AUDIT_RECORD_H
#define SLUICE_CLI_AUDIT_RECORD_H

#include <jansson.h>

#include "cli/cli.h"

/* `whole`: all that a file should have, else what a terminal has room for. */
void audit_record_columns(struct output *output, bool whole);
json_t *audit_record_row(const json_t *record, bool whole);

/* Puts what the options search by over what `request` has already; EXIT_OK or EXIT_USAGE after a
 * complaint. */
int audit_record_search(struct cli *cli, json_t *request);
/* "policy-change" -> "POLICY_CHANGE" of the option's words. False after a usage complaint. */
bool audit_record_word(struct cli *cli, enum cli_option option, json_t *request,
                       const char *member);

#endif
