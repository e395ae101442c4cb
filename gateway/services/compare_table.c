#include "services/compare_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"

enum { SLOTS_FIRST = 1024, HAS_A = 1, HAS_B = 2, BAD = 4, USED = 8 };

struct compare_slot {
    uint64_t key;
    uint64_t differs;
    uint32_t repeated[2];
    uint32_t flags;
    uint64_t fields[]; /* of the side that came first */
};

static struct compare_slot *slot_at(const struct compare_table *table, size_t index)
{
    return (struct compare_slot *)(void *)(table->slots + index * table->slot_bytes);
}

void compare_table_init(struct compare_table *table, size_t width, size_t bytes_max)
{
    assert(width <= COMPARE_FIELDS_MAX);
    *table = (struct compare_table){ .width = width, .bytes_max = bytes_max, .parts = 1 };
    table->slot_bytes = sizeof(struct compare_slot) + width * sizeof(uint64_t);
    ids_random(table->key, sizeof table->key);
    compare_table_start(table, 1, 0);
}

void compare_table_fini(struct compare_table *table)
{
    free(table->slots);
    table->slots = NULL;
    explicit_bzero(table->key, sizeof table->key);
}

void compare_table_start(struct compare_table *table, uint32_t parts, uint32_t part)
{
    free(table->slots);
    table->slot_count = SLOTS_FIRST;
    table->slots = mem_array(table->slot_count, table->slot_bytes);
    table->used = 0;
    table->parts = parts;
    table->part = part;
}

uint64_t compare_digest(const struct compare_table *table, const void *data, size_t len)
{
    uint8_t digest[HASH_BYTES];
    uint64_t number;
    struct slice piece = slice_of(data, len);
    hash_hmac(table->key, sizeof table->key, &piece, 1, digest);
    memcpy(&number, digest, sizeof number);
    return number;
}

static struct compare_slot *find_slot(const struct compare_table *table, uint64_t key)
{
    /* The lowest bits choose the part, so the place is taken from the highest. */
    size_t at = (size_t)(key >> 32) & (table->slot_count - 1);
    for (;;) {
        struct compare_slot *slot = slot_at(table, at);
        if ((slot->flags & USED) == 0 || slot->key == key)
            return slot;
        at = (at + 1) & (table->slot_count - 1);
    }
}

static void make_room(struct compare_table *table)
{
    struct compare_table old = *table;
    if (2 * old.slot_count * old.slot_bytes <= old.bytes_max)
        table->slot_count *= 2;
    else
        table->parts *= 2;
    table->slots = mem_array(table->slot_count, table->slot_bytes);
    table->used = 0;
    for (size_t i = 0; i < old.slot_count; i++) {
        const struct compare_slot *slot = slot_at(&old, i);
        if ((slot->flags & USED) == 0 || !compare_table_holds(table, slot->key))
            continue;
        memcpy(find_slot(table, slot->key), slot, table->slot_bytes);
        table->used++;
    }
    free(old.slots);
}

static uint64_t mask_of(const struct compare_table *table, const uint64_t *left,
                        const uint64_t *right)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < table->width; i++)
        if (left[i] != right[i])
            mask |= (uint64_t)1 << i;
    return mask;
}

uint64_t compare_table_add(struct compare_table *table, enum compare_side side, uint64_t key,
                           const uint64_t *fields)
{
    uint32_t own = side == COMPARE_A ? HAS_A : HAS_B;
    if (!compare_table_holds(table, key))
        return 0;
    while (table->used * 4 >= table->slot_count * 3)
        make_room(table);
    if (!compare_table_holds(table, key))
        return 0;
    struct compare_slot *slot = find_slot(table, key);
    if ((slot->flags & own) != 0) {
        slot->repeated[side]++;
        return 0;
    }
    if ((slot->flags & USED) == 0) {
        table->used++;
        slot->key = key;
        slot->flags = USED;
        if (fields != NULL)
            memcpy(slot->fields, fields, table->width * sizeof *fields);
    } else if (fields != NULL && (slot->flags & BAD) == 0) {
        slot->differs = mask_of(table, slot->fields, fields);
    }
    slot->flags |= own;
    if (fields == NULL)
        slot->flags |= BAD;
    return slot->differs;
}

void compare_table_count(const struct compare_table *table, struct compare_counts *counts)
{
    for (size_t i = 0; i < table->slot_count; i++) {
        const struct compare_slot *slot = slot_at(table, i);
        if ((slot->flags & USED) == 0)
            continue;
        counts->repeated_a += slot->repeated[COMPARE_A];
        counts->repeated_b += slot->repeated[COMPARE_B];
        if ((slot->flags & BAD) != 0)
            counts->unreadable++;
        else if ((slot->flags & HAS_B) == 0)
            counts->only_a++;
        else if ((slot->flags & HAS_A) == 0)
            counts->only_b++;
        else if (slot->differs == 0)
            counts->equal++;
        else
            counts->different++;
        for (size_t field = 0; field < table->width; field++)
            counts->fields[field] += slot->differs >> field & 1;
    }
}
