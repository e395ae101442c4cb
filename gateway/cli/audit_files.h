/* Small files that the audit commands read: checkpoints, policies, proofs, evidence.
 * Ownership: buffers are the caller's.
 * Never calls back; blocks.
 * Limits: each file has the limit of its buffer.
 * Does not check signatures. */
#ifndef SLUICE_CLI_AUDIT_FILES_H
#define SLUICE_CLI_AUDIT_FILES_H

#include "audit/checkpoint.h"
#include "audit/policy.h"
#include "base/buf.h"
#include "cli/cli.h"

/* EXIT_OK, or EXIT_USAGE after a complaint: absent, unreadable or over the buffer's ceiling. */
int audit_file_read(const char *path, struct buf *data_r);

/* A checkpoint from a file: a signed note, or the auditor's own state file, which holds one. */
int audit_note_file(const char *path, struct buf *note_r, struct checkpoint *checkpoint_r);
/* The newest from the gateway. */
int audit_note_ask(const struct cli *cli, struct buf *note_r, struct checkpoint *checkpoint_r);

/* The policy of --policy; NULL after a complaint. */
struct audit_policy *audit_policy_file(const struct cli *cli);

#endif
