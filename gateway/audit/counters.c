#include "audit/counters.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { ROOM_FIRST = 64 };

void counters_init(struct counters *counters)
{
    counters->count = 0;
    counters->room = ROOM_FIRST;
    counters->boots = mem_array(counters->room, sizeof *counters->boots);
}

void counters_fini(struct counters *counters)
{
    for (size_t i = 0; i < counters->room; i++)
        free(counters->boots[i].gaps);
    free(counters->boots);
    memset(counters, 0, sizeof *counters);
}

/* Boot ids are random bytes; whoever forges them to collide slows only the check of a forgery. */
static struct counters_boot *slot(struct counters_boot *boots, size_t room, const uint8_t *id)
{
    uint64_t hash;
    memcpy(&hash, id, sizeof hash);
    size_t at = (size_t)hash & (room - 1);
    while (boots[at].last != 0 && memcmp(boots[at].id, id, COUNTERS_BOOT_BYTES) != 0)
        at = (at + 1) & (room - 1);
    return &boots[at];
}

static void grow(struct counters *counters)
{
    size_t room = counters->room * 2;
    struct counters_boot *boots = mem_array(room, sizeof *boots);
    for (size_t i = 0; i < counters->room; i++) {
        if (counters->boots[i].last != 0)
            *slot(boots, room, counters->boots[i].id) = counters->boots[i];
    }
    free(counters->boots);
    counters->boots = boots;
    counters->room = room;
}

static void add_gap(struct counters_boot *boot, const struct counters_gap *gap, size_t at)
{
    if (boot->gap_count == boot->gap_room) {
        boot->gap_room = boot->gap_room > 0 ? boot->gap_room * 2 : 4;
        boot->gaps = mem_resize(boot->gaps, boot->gap_room * sizeof *boot->gaps);
    }
    memmove(&boot->gaps[at + 1], &boot->gaps[at], (boot->gap_count - at) * sizeof *boot->gaps);
    boot->gaps[at] = *gap;
    boot->gap_count++;
}

/* A count below the highest: one that is missing, or a repeat. */
static enum counters_result fill(struct counters_boot *boot, uint64_t count)
{
    for (size_t i = boot->gap_count; i > 0; i--) {
        struct counters_gap *gap = &boot->gaps[i - 1];
        if (count < gap->from)
            continue;
        if (count > gap->to)
            return COUNTERS_TWICE;
        struct counters_gap behind = *gap;
        behind.from = count + 1;
        if (gap->from == gap->to) {
            memmove(gap, gap + 1, (boot->gap_count - i) * sizeof *gap);
            boot->gap_count--;
        } else if (count == gap->from) {
            gap->from++;
        } else if (count == gap->to) {
            gap->to--;
        } else {
            gap->to = count - 1;
            add_gap(boot, &behind, i);
        }
        return COUNTERS_OK;
    }
    return COUNTERS_TWICE;
}

enum counters_result counters_add(struct counters *counters, const uint8_t id[COUNTERS_BOOT_BYTES],
                                  uint64_t count, uint64_t index, int64_t time_us)
{
    if (count == 0)
        return COUNTERS_ZERO;
    struct counters_boot *boot = slot(counters->boots, counters->room, id);
    if (boot->last == 0) {
        if (counters->count == COUNTERS_BOOTS_MAX)
            return COUNTERS_FULL;
        if ((counters->count + 1) * 4 > counters->room * 3) {
            grow(counters);
            boot = slot(counters->boots, counters->room, id);
        }
        memcpy(boot->id, id, COUNTERS_BOOT_BYTES);
        counters->count++;
    }
    if (count <= boot->last)
        return fill(boot, count);
    if (count > boot->last + 1) {
        if (boot->gap_count == COUNTERS_OPEN_MAX)
            return COUNTERS_FULL;
        struct counters_gap gap = {
            .from = boot->last + 1, .to = count - 1, .index = index, .time_us = time_us
        };
        add_gap(boot, &gap, boot->gap_count);
    }
    boot->last = count;
    return COUNTERS_OK;
}

void counters_died(struct counters *counters, const uint8_t id[COUNTERS_BOOT_BYTES], uint64_t index,
                   int64_t time_us)
{
    struct counters_boot *boot = slot(counters->boots, counters->room, id);
    if (boot->last == 0)
        return;
    boot->died_us = time_us;
    boot->died_index = index;
}

bool counters_next_gap(const struct counters *counters, size_t *boot, size_t *gap,
                       const struct counters_boot **boot_r, const struct counters_gap **gap_r)
{
    for (; *boot < counters->room; (*boot)++, *gap = 0) {
        const struct counters_boot *here = &counters->boots[*boot];
        if (*gap < here->gap_count) {
            *boot_r = here;
            *gap_r = &here->gaps[(*gap)++];
            return true;
        }
    }
    return false;
}
