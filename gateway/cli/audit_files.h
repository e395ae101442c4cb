/* Small files that the audit commands read: checkpoints, policies, proofs, evidence.
 * Ownership: buffers are the caller's.
 * Never calls back; blocks.
 * Limits: each file has the limit of its buffer.
 * Does not check signatures. */
#ifndef SLUICE_CLI_AUDIT_FILES_H
#define SLUICE_CLI_AUDIT_FILES_H

#include "audit/checkpoint.h"
#include "audit/policy.h"
#include "audit/timestamp.h"
#include "base/buf.h"
#include "cli/cli.h"

/* EXIT_OK, or EXIT_USAGE after a complaint: absent, unreadable or over the buffer's ceiling. */
int audit_file_read(const char *path, struct buf *data_r);

/* Written whole under another name and put in place, so that no half of it is ever there. EXIT_OK, or
 * EXIT_FAILED after a complaint. */
int audit_file_write(const char *path, const struct buf *data);

/* A checkpoint from a file: a signed note, or the auditor's own state file, which holds one. */
int audit_note_file(const char *path, struct buf *note_r, struct checkpoint *checkpoint_r);
/* The newest from the gateway. */
int audit_note_ask(const struct cli *cli, struct buf *note_r, struct checkpoint *checkpoint_r);

/* Whose time stamps --timestamp-ca trusts. NULL when the option is not there, or after a complaint: then
 * `status_r` is not EXIT_OK. */
struct timestamp_trust *audit_timestamp_trust(const struct cli *cli, int *status_r);

/* Splits "A,B" at its commas into at most VERIFY_ARCHIVES_MAX names, which lie in it; NULL: none. EXIT_OK, or
 * EXIT_USAGE after a complaint. */
int audit_archive_names(char *names, const char **names_r, size_t *count_r);

/* The policy of --policy; NULL after a complaint. */
struct audit_policy *audit_policy_file(const struct cli *cli);

#endif
