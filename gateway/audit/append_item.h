/* One entry on its way into the store, in the auditor.
 * Ownership: an item is one block of memory that holds copies of everything; append_item_free
 *   wipes it.
 * Never calls back.
 * Limits: those of entry.h, checked again: workers are ours, but a bad value would stop the
 *   whole log.
 * Inside the room only. */
#ifndef SLUICE_AUDIT_APPEND_ITEM_H
#define SLUICE_AUDIT_APPEND_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/entry.h"
#include "base/list.h"

struct append_item {
    struct list link;
    void *worker;  /* whom to answer; NULL: nobody any more */
    int64_t index; /* -1: not in the log yet */
    bool resent;
    bool denied;
    bool salted;
    bool has_exchange;
    uint8_t id[UUID_BYTES];
    uint8_t exchange_id[UUID_BYTES];
    uint8_t salt[SALT_BYTES];
    uint8_t leaf_hash[MERKLE_HASH_BYTES];
    int64_t time_us;
    uint32_t kind;
    uint32_t outcome;
    const char *subject;
    const char *department;
    const char *owner;
    const char *dataset;
    const char *agreement;
    const char *purpose;
    struct slice leaf;
    struct slice persons; /* HASH_BYTES each */
    /* Daily quota; `refused` and `charged` are the verdict of the transaction under way. */
    int64_t charge;
    int64_t charged;
    int64_t retry_after_ms;
    int32_t charge_day;
    bool charge_partly;
    bool refused;
    uint32_t refused_outcome;
    struct slice refused_leaf;
    uint8_t refused_hash[MERKLE_HASH_BYTES];
    size_t size; /* of the whole block */
};

/* NULL with INVALID_ARGUMENT when it is not what audit_entry_build makes. */
struct append_item *append_item_new(void *worker, const Sluice__Internal__Append *append,
                                    struct err *err);
/* What is logged of it: the leaf, or the refused one. */
static inline struct slice append_item_leaf(const struct append_item *item)
{
    return item->refused ? item->refused_leaf : item->leaf;
}
static inline const uint8_t *append_item_hash(const struct append_item *item)
{
    return item->refused ? item->refused_hash : item->leaf_hash;
}
void append_item_free(struct append_item **item);

#endif
