/* One pass over a canonical record: where the value of each leaf lies, without a tree of messages.
 * Ownership: a scan owns its slots and its list of elements; slices point into the record.
 * Never calls back.
 * Limits: the record has passed the pre-scan, which bounds depth, lengths and elements.
 * Private to schema/. Does not normalise (writer.c). Follows protobuf's merge rules: the last value
 *   of a singular field counts, messages merge, the last member of a oneof stays. */
#ifndef SLUICE_SCHEMA_WRITER_SCAN_H
#define SLUICE_SCHEMA_WRITER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "schema/mapping.h"

/* An element of a list, or a key and its value. */
struct scan_item {
    struct slice text;
    struct slice value;
    uint64_t bits;
    uint32_t next; /* 0: the last one; numbers count from 1 */
};

/* What a record says about one leaf. Integers, truth values and enum numbers are sign-extended into
 * `bits`; real numbers have their own bits. */
struct scan_slot {
    bool seen; /* present, and no default of a field without presence */
    uint64_t bits;
    struct slice text;
    int64_t seconds; /* of a Timestamp */
    int32_t nanos;
    uint32_t first, last, count;
};

struct scan_node;

struct scan {
    const struct mapping_leaf *const *leaves;
    size_t leaf_count;
    struct scan_node *nodes; /* 0: the record itself */
    size_t node_count;
    struct scan_slot *slots; /* one a leaf */
    struct scan_item *items; /* scratch; number 0 is not used */
    uint32_t item_count;
    uint32_t item_cap;
    uint32_t *order; /* scratch: a map's entries in order */
    uint32_t order_cap;
};

void scan_init(struct scan *scan, const struct schema_message *type,
               const struct mapping_leaf *const *leaves, size_t leaf_count, struct arena *arena);
void scan_fini(struct scan *scan);

/* Fills the slots. NULL, or a stable code why the record cannot be written as a row; *field_r is
 * then the top-level field, or NULL. */
const char *scan_record(struct scan *scan, const uint8_t *data, size_t len,
                        const struct schema_field **field_r);
/* Both scans hold the same value of this leaf. */
bool scan_slot_equal(const struct scan *a, const struct scan *b, size_t leaf);

#endif
