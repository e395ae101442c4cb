/* Which keys two streams of records share, and in which fields they differ, in bounded memory.
 * Ownership: the table owns its slots; keys are digested, never kept.
 * Never calls back.
 * Limits: `bytes_max` of slots and COMPARE_FIELDS_MAX fields. When they are full, the table keeps the
 *   half of the keys whose digests end in one bit and says so in `parts`: the other half is for
 *   another pass over both streams. What a pass has counted is exact for its part.
 * Does not read records. Digests are 64 bits of HMAC-SHA-256 under a key of the table's own, so that
 *   nobody can make two keys meet on purpose. */
#ifndef SLUICE_SERVICES_COMPARE_TABLE_H
#define SLUICE_SERVICES_COMPARE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/hash.h"

enum { COMPARE_FIELDS_MAX = 64 };
enum compare_side { COMPARE_A, COMPARE_B };

struct compare_table {
    size_t width; /* fields */
    size_t slot_bytes;
    size_t bytes_max;
    uint8_t *slots;
    size_t slot_count;
    size_t used;
    uint32_t parts; /* a power of two */
    uint32_t part;  /* keys whose digest modulo `parts` is this are kept */
    uint8_t key[HASH_BYTES];
};

void compare_table_init(struct compare_table *table, size_t width, size_t bytes_max);
void compare_table_fini(struct compare_table *table);
/* Forgets everything and begins with this part. */
void compare_table_start(struct compare_table *table, uint32_t parts, uint32_t part);

uint64_t compare_digest(const struct compare_table *table, const void *data, size_t len);
static inline bool compare_table_holds(const struct compare_table *table, uint64_t digest)
{
    return digest % table->parts == table->part;
}
/* One record of a side: the digest of its key and one of each field. NULL fields: the row could not
 * be read. Answers a mask of the fields in which it differs from the other side's; 0 as long as only
 * one side has it. A key that came before on the same side counts as repeated. */
uint64_t compare_table_add(struct compare_table *table, enum compare_side side, uint64_t key,
                           const uint64_t *fields);

/* `different` is of keys; `unreadable` of keys that one side could not read. */
struct compare_counts {
    uint64_t only_a;
    uint64_t only_b;
    uint64_t equal;
    uint64_t different;
    uint64_t unreadable;
    uint64_t repeated_a;
    uint64_t repeated_b;
    uint64_t fields[COMPARE_FIELDS_MAX];
};
/* Adds what this pass has found. */
void compare_table_count(const struct compare_table *table, struct compare_counts *counts);

#endif
