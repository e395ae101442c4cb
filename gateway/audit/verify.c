#include "audit/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static const char *const names[VERIFY_CHECK_COUNT] = {
    [VERIFY_CHECKPOINT] = "checkpoint",
    [VERIFY_WITNESSES] = "witnesses",
    [VERIFY_ROOT] = "root",
    [VERIFY_MISSING] = "missing",
    [VERIFY_LEAF] = "leaf",
    [VERIFY_ENTRY] = "entry",
    [VERIFY_COLUMNS] = "columns",
    [VERIFY_TILE] = "tile",
    [VERIFY_COUNTER_GAP] = "counter-gap",
    [VERIFY_COUNTER_TWICE] = "counter-twice",
    [VERIFY_BATCHES] = "batches",
    [VERIFY_OLDER] = "older",
    [VERIFY_PROOF] = "proof",
    [VERIFY_ROW] = "row",
    [VERIFY_MEMBER] = "member",
    [VERIFY_MANIFEST] = "manifest",
    [VERIFY_TIMESTAMP] = "timestamp",
    [VERIFY_NOTICE_TIME] = "time",
    [VERIFY_NOTICE_OPEN_GAP] = "open-gap",
    [VERIFY_NOTICE_RECOVERED] = "recovered-gap",
    [VERIFY_NOTICE_KEY] = "key-event",
    [VERIFY_NOTICE_OLD_KEY] = "old-key",
    [VERIFY_NOTICE_PARTIAL] = "partial",
};

const char *verify_check_name(enum verify_check check)
{
    return names[check];
}

void verify_report_init(struct verify_report *report)
{
    memset(report, 0, sizeof *report);
    report->first_bad = -1;
}

/* Where to keep one more: findings push notices out, so that no flood of notices hides one. */
static struct verify_finding *place(struct verify_report *report, enum verify_check check)
{
    if (report->kept < VERIFY_FINDINGS_MAX)
        return &report->findings[report->kept++];
    for (size_t i = 0; i < VERIFY_FINDINGS_MAX && check < VERIFY_NOTICES_FROM; i++) {
        if (report->findings[i].check >= VERIFY_NOTICES_FROM)
            return &report->findings[i];
    }
    return NULL;
}

void verify_report_add(struct verify_report *report, enum verify_check check, int64_t index,
                       const char *format, ...)
{
    if (check >= VERIFY_NOTICES_FROM) {
        report->notices++;
    } else {
        report->bad++;
        if (index >= 0 && (report->first_bad < 0 || index < report->first_bad))
            report->first_bad = index;
    }
    struct verify_finding *finding = place(report, check);
    if (finding == NULL)
        return;
    *finding = (struct verify_finding){ .check = check, .index = index };
    va_list args;
    va_start(args, format);
    (void)vsnprintf(finding->detail, sizeof finding->detail, format, args);
    va_end(args);
}

bool verify_checkpoint(struct verify_report *report, const struct log_keys *keys,
                       const struct audit_policy *policy, struct slice note, bool older,
                       struct checkpoint *checkpoint_r)
{
    struct err err = ERR_INIT;
    uint32_t witnesses = 0;
    size_t back = older ? keys->count : 0;
    bool opened =
        log_keys_checkpoint(keys, policy, note, back, checkpoint_r, &witnesses, &err) == 0;
    if (!opened && keys->count > 1 && !older) {
        struct err again = ERR_INIT;
        opened = log_keys_checkpoint(keys, policy, note, 1, checkpoint_r, &witnesses, &again) == 0;
        if (opened)
            verify_report_add(report, VERIFY_NOTICE_OLD_KEY, -1, "checkpoint of size %llu",
                              (unsigned long long)checkpoint_r->size);
    }
    if (!opened) {
        verify_report_add(report, older ? VERIFY_OLDER : VERIFY_CHECKPOINT, -1, "%s", err.text);
        return false;
    }
    if (older)
        return true;
    report->witnesses = (unsigned)__builtin_popcount(witnesses);
    report->witnesses_needed = audit_policy_needed(policy);
    if (!audit_policy_quorum(policy, witnesses))
        verify_report_add(report, VERIFY_WITNESSES, -1, "%u of %u required", report->witnesses,
                          report->witnesses_needed);
    return true;
}

void verify_timestamp(struct verify_report *report, struct slice reply, struct slice checkpoint,
                      const struct timestamp_trust *trust)
{
    const char *fault = timestamp_check(reply, checkpoint, trust, &report->stamped_us);
    if (fault != NULL) {
        verify_report_add(report, VERIFY_TIMESTAMP, -1, "%s", fault);
        return;
    }
    report->stamped = true;
    report->stamp_trusted = trust != NULL;
}
