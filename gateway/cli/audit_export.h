/* Writing the log's files from the control database, for exports and archives.
 * Ownership: everything is borrowed.
 * Never calls back; blocks.
 * Limits: none of its own; see log_writer.h.
 * Does not judge what it writes beyond the checkpoint's root. */
#ifndef SLUICE_CLI_AUDIT_EXPORT_H
#define SLUICE_CLI_AUDIT_EXPORT_H

#include "audit/log_writer.h"
#include "cli/cli.h"

/* `range` NULL: all entries that were not pruned. An exit status, after a complaint when not EXIT_OK. */
int audit_export_folder(const struct cli *cli, const char *folder,
                        const struct log_writer_range *range);

#endif
