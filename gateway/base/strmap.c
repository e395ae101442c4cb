#include "base/strmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { STRMAP_FIRST_SLOTS = 16 };

/* FNV-1a: keys are configuration names and ids that we made, not attacker-chosen at scale. */
static uint32_t hash_of(const char *key, size_t len)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)key[i]) * 16777619U;
    return hash;
}

void strmap_init(struct strmap *map)
{
    *map = (struct strmap){ 0 };
}

void strmap_fini(struct strmap *map)
{
    free(map->slots);
    strmap_init(map);
}

static size_t find(const struct strmap *map, const char *key, size_t len, uint32_t hash)
{
    size_t i = hash & (map->cap - 1);
    while (map->slots[i].key != NULL) {
        const struct strmap_slot *slot = &map->slots[i];
        if (slot->hash == hash && strlen(slot->key) == len && memcmp(slot->key, key, len) == 0)
            return i;
        i = (i + 1) & (map->cap - 1);
    }
    return i;
}

static void grow(struct strmap *map)
{
    struct strmap old = *map;
    map->cap = old.cap > 0 ? old.cap * 2 : STRMAP_FIRST_SLOTS;
    map->slots = mem_array(map->cap, sizeof *map->slots);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].key == NULL)
            continue;
        size_t at = find(map, old.slots[i].key, strlen(old.slots[i].key), old.slots[i].hash);
        map->slots[at] = old.slots[i];
    }
    free(old.slots);
}

bool strmap_set(struct strmap *map, const char *key, void *value)
{
    if ((map->count + 1) * 4 > map->cap * 3)
        grow(map);
    size_t len = strlen(key);
    uint32_t hash = hash_of(key, len);
    struct strmap_slot *slot = &map->slots[find(map, key, len, hash)];
    bool fresh = slot->key == NULL;
    *slot = (struct strmap_slot){ .key = key, .value = value, .hash = hash };
    if (fresh)
        map->count++;
    return fresh;
}

void *strmap_get_n(const struct strmap *map, const char *key, size_t len)
{
    if (map->count == 0)
        return NULL;
    const struct strmap_slot *slot = &map->slots[find(map, key, len, hash_of(key, len))];
    return slot->key != NULL ? slot->value : NULL;
}

void *strmap_get(const struct strmap *map, const char *key)
{
    return strmap_get_n(map, key, strlen(key));
}

void *strmap_remove(struct strmap *map, const char *key)
{
    if (map->count == 0)
        return NULL;
    size_t len = strlen(key);
    size_t hole = find(map, key, len, hash_of(key, len));
    if (map->slots[hole].key == NULL)
        return NULL;
    void *value = map->slots[hole].value;
    map->count--;
    /* Close the gap: move back every follower whose home lies at or before the hole. */
    for (size_t i = (hole + 1) & (map->cap - 1); map->slots[i].key != NULL;
         i = (i + 1) & (map->cap - 1)) {
        size_t home = map->slots[i].hash & (map->cap - 1);
        if (((i - home) & (map->cap - 1)) >= ((i - hole) & (map->cap - 1))) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct strmap_slot){ 0 };
    return value;
}

bool strmap_next(const struct strmap *map, size_t *pos, const char **key_r, void **value_r)
{
    for (; *pos < map->cap; (*pos)++) {
        if (map->slots[*pos].key == NULL)
            continue;
        *key_r = map->slots[*pos].key;
        *value_r = map->slots[*pos].value;
        (*pos)++;
        return true;
    }
    return false;
}
