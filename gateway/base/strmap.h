/* A hash table from text to a borrowed pointer.
 * Ownership: keys and values stay the caller's and must outlive the map; the table is the map's.
 * Never calls back.
 * Limits: open addressing, grows at 3/4; keys from peers are bounded by their own named limits.
 * Does not keep an order. */
#ifndef SLUICE_BASE_STRMAP_H
#define SLUICE_BASE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strmap_slot {
    const char *key;
    void *value;
    uint32_t hash;
};

struct strmap {
    struct strmap_slot *slots;
    size_t cap;
    size_t count;
};

void strmap_init(struct strmap *map);
void strmap_fini(struct strmap *map);
/* Sets or replaces; answers false when the key was there already (the value is replaced). */
bool strmap_set(struct strmap *map, const char *key, void *value);
void *strmap_get(const struct strmap *map, const char *key); /* NULL when absent */
void *strmap_get_n(const struct strmap *map, const char *key, size_t len);
void *strmap_remove(struct strmap *map, const char *key); /* the value, or NULL */
/* Iterates: start with *pos = 0; false at the end. Do not change the map meanwhile. */
bool strmap_next(const struct strmap *map, size_t *pos, const char **key_r, void **value_r);

#endif
