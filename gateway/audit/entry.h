/* One audit entry: from a plain struct to the bytes that are logged and the columns to search
 *   them by.
 * Ownership: fields borrow everything for the duration of the call; output goes to the caller's
 *   buf.
 * Never calls back.
 * Limits: a leaf of AUDIT_LEAF_BYTES_MAX, texts of AUDIT_TEXT_BYTES_MAX, AUDIT_PERSONS_MAX
 *   persons.
 * Does not decide what an entry says, and never sees a record's value. Leaf and search columns
 *   are made from the same struct in one call, so they cannot differ. */
#ifndef SLUICE_AUDIT_ENTRY_H
#define SLUICE_AUDIT_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/salt.h"
#include "base/buf.h"
#include "base/ids.h"
#include "sluice/internal/ipc.pb-c.h"
#include "sluice/v1/audit_entry.pb-c.h"

struct err;

enum {
    AUDIT_LEAF_BYTES_MAX = 16 * 1024,
    /* A SPIFFE id may have 2,048 bytes, and a row of a search index has room for no more. */
    AUDIT_TEXT_BYTES_MAX = 2048,
    AUDIT_PERSONS_MAX = AUDIT_ROWS_MAX,
    AUDIT_APPEND_BYTES_MAX =
        2 * AUDIT_LEAF_BYTES_MAX + AUDIT_PERSONS_MAX * 36 + 8 * AUDIT_TEXT_BYTES_MAX,
};

/* Texts: UTF-8, NULL means empty. Slices: empty means absent. Meaning of each: audit_entry.proto.
 */
struct audit_entry_fields {
    Sluice__V1__AuditEntry__Kind kind;
    struct slice exchange_id; /* 16 bytes or empty */
    const char *trace_id;
    const char *request_id;
    const char *peer_exchange_id;
    uint64_t stands_for; /* DENIALS only */
    /* who */
    const char *subject;
    const char *department;
    struct slice credential;
    const char *auth_method;
    const char *delegate;
    /* why */
    const char *purpose;
    const char *legal_basis;
    const char *agreement;
    struct slice agreement_digest;
    /* what */
    const char *method;
    const char *dataset;
    const char *owner;
    struct slice schema_digest;
    struct slice fields; /* bitmap */
    struct slice filter_digest;
    const char *object;
    /* decision */
    Sluice__V1__AuditEntry__Outcome outcome;
    const char *rule;
    const char *reason;
    int32_t status;
    int64_t agreement_epoch;
    /* rows */
    const struct audit_rows *rows; /* NULL: none released */
    struct slice response_digest;
    uint64_t quarantined;
    /* beside the leaf */
    const uint8_t *salt;                  /* SALT_BYTES; NULL: nothing was salted */
    const uint8_t (*persons)[HASH_BYTES]; /* person-index keys, see salt_person_key */
    size_t person_count;
    /* Daily quota of `agreement`, charged in the transaction that logs the entry. When it is used up, the
     * log gets the same entry refused: AUDIT_QUOTA_REASON, no rows, no persons. */
    int64_t charge; /* records; 0: none; negative: given back */
    bool charge_partly;
    int32_t charge_day; /* only to give back */
};

#define AUDIT_QUOTA_REASON "QUOTA_EXHAUSTED"
#define AUDIT_QUOTA_RULE   "agreement.quota"

/* Where entries come from: one per process, made once at its start. */
struct audit_source {
    char *origin;
    char *instance;
    uint8_t boot_id[16];
    uint64_t counter; /* of the last entry admitted */
};
void audit_source_init(struct audit_source *source, const char *origin, const char *instance);
void audit_source_fini(struct audit_source *source);

/* Admits an entry: gives it an id, a time and the next counter, and appends to `append_r` the
 * packed sluice.internal.Append that holds the leaf. On an error no counter is used and nothing is
 * appended. Errors: INVALID_ARGUMENT ENTRY_INVALID (a text is not UTF-8 or too long, a digest has a
 * wrong size), RESOURCE_EXHAUSTED ENTRY_TOO_LARGE. */
int audit_entry_build(struct audit_source *source, const struct audit_entry_fields *fields,
                      struct buf *append_r, uint8_t id_r[UUID_BYTES], struct err *err);

/* A refused decision, which queues behind all others. */
bool audit_entry_denied(const struct audit_entry_fields *fields);

/* Fields that say again who, why and what of a logged leaf; they borrow from `entry`. Rows,
 * decision and what lies beside the leaf are left empty. */
void audit_entry_fields_from(const Sluice__V1__AuditEntry *entry,
                             struct audit_entry_fields *fields_r);

#endif
