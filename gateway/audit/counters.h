/* Finds gaps and repeats in the counts that gateway processes give their entries.
 * Ownership: the struct is the caller's; counters_fini frees its tables.
 * Never calls back.
 * Limits: COUNTERS_BOOTS_MAX processes; COUNTERS_OPEN_MAX missing counts of one at a time (a gateway
 *   holds no more than AUDIT_UNRESOLVED_MAX entries that may be overtaken).
 * Does not expect order: denied entries are overtaken by allowed ones on their way. */
#ifndef SLUICE_AUDIT_COUNTERS_H
#define SLUICE_AUDIT_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COUNTERS_BOOT_BYTES = 16, COUNTERS_BOOTS_MAX = 1 << 20, COUNTERS_OPEN_MAX = 8192 };

struct counters_gap { /* counts from..to are missing */
    uint64_t from;
    uint64_t to;
    uint64_t index;  /* of the first entry behind the gap */
    int64_t time_us; /* of that entry */
};

struct counters_boot {
    uint8_t id[COUNTERS_BOOT_BYTES];
    uint64_t last;       /* the highest count seen */
    int64_t died_us;     /* when the log told of its death; 0: it did not */
    uint64_t died_index; /* of the entry that did */
    struct counters_gap *gaps;
    size_t gap_count;
    size_t gap_room;
};

struct counters {
    struct counters_boot *boots; /* open addressing; `last` 0: free */
    size_t count;
    size_t room;
};

enum counters_result { COUNTERS_OK, COUNTERS_TWICE, COUNTERS_ZERO, COUNTERS_FULL };

void counters_init(struct counters *counters);
void counters_fini(struct counters *counters);
enum counters_result counters_add(struct counters *counters,
                                  const uint8_t boot[COUNTERS_BOOT_BYTES], uint64_t count,
                                  uint64_t index, int64_t time_us);
/* The log tells that the process died; nothing happens when it counted no entry before. */
void counters_died(struct counters *counters, const uint8_t boot[COUNTERS_BOOT_BYTES],
                   uint64_t index, int64_t time_us);
/* Iterates over what is missing in the end: start with zeros; false behind the last. */
bool counters_next_gap(const struct counters *counters, size_t *boot, size_t *gap,
                       const struct counters_boot **boot_r, const struct counters_gap **gap_r);

#endif
