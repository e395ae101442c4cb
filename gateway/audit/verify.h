/* Checking a log without the gateway that wrote it: what was found, and where.
 * Ownership: a report is the caller's plain struct.
 * Callbacks: `progress` during verify_log.
 * Limits: VERIFY_FINDINGS_MAX findings are kept, all are counted; memory does not grow with the log.
 * Does not speak to databases or networks; keys and origin come from the policy only. */
#ifndef SLUICE_AUDIT_VERIFY_H
#define SLUICE_AUDIT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "audit/log_keys.h"
#include "audit/policy.h"
#include "audit/timestamp.h"
#include "base/buf.h"

struct err;

enum verify_check {
    VERIFY_CHECKPOINT,    /* not a checkpoint of this log, or not signed as the policy says */
    VERIFY_WITNESSES,     /* fewer witnesses than the policy asks for */
    VERIFY_ROOT,          /* the entries do not make the root that was signed */
    VERIFY_MISSING,       /* an entry or a file is not there */
    VERIFY_LEAF,          /* an entry is not the one its hash was made of */
    VERIFY_ENTRY,         /* an entry cannot be read, or is of another log */
    VERIFY_COLUMNS,       /* what the database searches by differs from the entry */
    VERIFY_TILE,          /* a hash tile or a bundle is not what its entries make */
    VERIFY_COUNTER_GAP,   /* a gateway process counted an entry that is not in the log */
    VERIFY_COUNTER_TWICE, /* two entries bear one count of one gateway process */
    VERIFY_BATCHES,       /* the list of batches does not cover the log exactly once */
    VERIFY_OLDER,         /* the log does not begin with what an older copy or checkpoint says */
    VERIFY_PROOF,         /* a proof does not lead to the root */
    VERIFY_ROW,           /* a disclosed row is not in the answer the entry tells of */
    VERIFY_MEMBER,        /* a file of an evidence bundle is missing, foreign or changed */
    VERIFY_MANIFEST,      /* a file of an archive is missing, or not the one its manifest names */
    VERIFY_TIMESTAMP,     /* a time stamp is none, of something else, or of a stranger */
    /* Notices: worth a look, no proof of wrong. */
    VERIFY_NOTICE_TIME,     /* clocks went back by more than VERIFY_CLOCK_SLACK_US */
    VERIFY_NOTICE_OPEN_GAP, /* counted shortly before the checkpoint, perhaps still on its way */
    VERIFY_NOTICE_RECOVERED, /* counted by a process shortly before its death, which the log tells of */
    VERIFY_NOTICE_KEY,       /* a key event that the log's keys did not sign was passed over */
    VERIFY_NOTICE_OLD_KEY, /* signed by the keys before the newest change */
    VERIFY_NOTICE_PARTIAL, /* the export holds only some entries; the others' hashes were used */
    VERIFY_CHECK_COUNT,
    VERIFY_NOTICES_FROM = VERIFY_NOTICE_TIME
};

enum {
    VERIFY_FINDINGS_MAX = 100,
    VERIFY_DETAIL_BYTES = 160,
    VERIFY_ARCHIVES_MAX = 64, /* sixty years, one a year */
    /* An entry is admitted at most so long before it is in the log, clocks of gateways included. */
    VERIFY_CLOCK_SLACK_US = 60 * 1000000,
};

struct verify_finding {
    enum verify_check check;
    int64_t index; /* of the first entry concerned; -1: none in particular */
    char detail[VERIFY_DETAIL_BYTES];
};

struct verify_report {
    struct verify_finding findings[VERIFY_FINDINGS_MAX];
    size_t kept;
    uint64_t bad; /* findings that are not notices */
    uint64_t notices;
    int64_t first_bad; /* lowest index of them; -1: none has one */
    struct checkpoint checkpoint;
    bool checkpoint_read;
    uint64_t entries;                  /* whose bytes were checked */
    uint64_t covered_from, covered_to; /* of an export: the indexes whose bytes it should hold */
    uint64_t bytes;                    /* of entries */
    size_t key_changes;
    unsigned witnesses;
    unsigned witnesses_needed;
    bool stamped;       /* the checkpoint bears a time stamp that holds */
    bool stamp_trusted; /* its authority was checked too */
    int64_t stamped_us;
};

void verify_report_init(struct verify_report *report);
void verify_report_add(struct verify_report *report, enum verify_check check, int64_t index,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Stable lower-case name of a check: "leaf", "counter-gap". */
const char *verify_check_name(enum verify_check check);

/* Checks a checkpoint against keys and policy and adds what is wrong with it. `older`: any keys of
 * the chain will do, and no witnesses are asked for. False when the log's keys did not sign it. */
bool verify_checkpoint(struct verify_report *report, const struct log_keys *keys,
                       const struct audit_policy *policy, struct slice note, bool older,
                       struct checkpoint *checkpoint_r);

/* Checks a time stamp over the bytes of a checkpoint; `trust` NULL: not whose it is. */
void verify_timestamp(struct verify_report *report, struct slice reply, struct slice checkpoint,
                      const struct timestamp_trust *trust);

struct verify_log_options {
    const struct audit_policy *policy;
    /* Folders of archives, the oldest first: entries that were pruned are read from there. */
    const char *const *archives;
    size_t archive_count; /* at most VERIFY_ARCHIVES_MAX */
    const char *older;    /* folder of an earlier export, or file of a checkpoint; NULL: none */
    void (*progress)(void *arg, uint64_t entries, uint64_t of, uint64_t bytes);
    void *arg;
};
/* Reads a whole export (`sluice audit export`). 0 when it was checked, whatever was found; -1 with
 * FAILED_PRECONDITION when it could not be. */
int verify_log(const char *folder, const struct verify_log_options *options,
               struct verify_report *report, struct err *err);

#endif
