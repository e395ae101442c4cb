/* What whoever checks a log pins beforehand: its origin and keys, and which witnesses must have seen
 *   it (the lines of C2SP tlog-policy).
 * Ownership: the policy owns its verifiers and names.
 * Never calls back.
 * Limits: POLICY_BYTES_MAX, POLICY_WITNESSES_MAX witnesses and as many groups; hostile input.
 * Does not read the log: keys and origin come from here only, never from what is checked.
 *
 *   log <verifier key>                     compulsory; a second one of the same name for SM2-SM3
 *   sm2-distid <identity>                  compulsory with an SM2 key
 *   witness <name> <verifier key>
 *   group <name> <k|all|any> <member>...   members are witnesses and groups named before
 *   quorum <name>|none                     compulsory */
#ifndef SLUICE_AUDIT_POLICY_H
#define SLUICE_AUDIT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "base/buf.h"

struct err;

enum {
    POLICY_BYTES_MAX = 64 * 1024,
    POLICY_KEYS_MAX = 2,       /* Ed25519 and SM2-SM3 */
    POLICY_WITNESSES_MAX = 24, /* with the keys they fit one note_open */
};

/* A witness (member_count 0) or a group. */
struct policy_voter {
    char *name;
    size_t witness; /* index of its verifier */
    unsigned needed;
    size_t member_count;
    size_t members[2 * POLICY_WITNESSES_MAX];
};

struct audit_policy {
    char *origin;
    struct note_verifier *keys[POLICY_KEYS_MAX]; /* the first is Ed25519 */
    char *key_texts[POLICY_KEYS_MAX];
    size_t key_count;
    struct note_verifier *witnesses[POLICY_WITNESSES_MAX];
    size_t witness_count;
    struct policy_voter voters[2 * POLICY_WITNESSES_MAX];
    size_t voter_count;
    long quorum; /* index of a voter; -1: none is needed */
};

/* NULL with INVALID_ARGUMENT POLICY_INVALID; the text names the line. */
struct audit_policy *audit_policy_parse(struct slice text, struct err *err);
void audit_policy_free(struct audit_policy **policy);
/* Whether these witnesses (bit i: witness i) make the quorum. */
bool audit_policy_quorum(const struct audit_policy *policy, uint32_t witnesses);
/* How many witnesses the quorum's own line needs at the least: 0 without one. */
unsigned audit_policy_needed(const struct audit_policy *policy);

#endif
