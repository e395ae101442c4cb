/* Denial coalescing: after DENIALS_SEPARATE denials of a subject within DENIALS_WINDOW_US its
 * further ones share one entry per window, so that a flood of refused calls cannot fill the log.
 * Ownership: the table owns its subjects and copies what it keeps.
 * Callbacks: `share` is called by denials_flush only.
 * Limits: DENIALS_SUBJECTS_MAX subjects; beyond, denials are entered one by one.
 * Does not set timers: denials_due_us says when to flush. Times are monotonic microseconds. */
#ifndef SLUICE_AUDIT_DENIALS_H
#define SLUICE_AUDIT_DENIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/entry.h"

enum { DENIALS_SEPARATE = 20, DENIALS_WINDOW_US = 10 * 1000 * 1000, DENIALS_SUBJECTS_MAX = 4096 };

struct denials;
struct denials *denials_new(void);
void denials_free(struct denials **denials);

/* Counts one denial. True: it is in a shared entry that is yet to come; false: enter it by itself.
 */
bool denials_count(struct denials *denials, const struct audit_entry_fields *fields,
                   int64_t now_us);
/* When the next shared entry is due; -1: none is waiting. */
int64_t denials_due_us(const struct denials *denials);
/* Hands out the shared entries that are due (all, with INT64_MAX): kind DENIALS, stands_for set,
 * and whatever all denials in it had in common. The fields are borrowed for the call. */
typedef void (*denials_share_fn)(void *arg, const struct audit_entry_fields *fields);
void denials_flush(struct denials *denials, int64_t now_us, denials_share_fn share, void *arg);

#endif
