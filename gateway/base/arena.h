/* Memory that dies together: one arena per call, per configuration, per bundle.
 * Ownership: the struct is the caller's; everything taken from it is freed by arena_fini at once.
 * Never calls back.
 * Limits: blocks grow from ARENA_BLOCK_BYTES; a single larger wish gets a block of its own. Small
 *   wishes abort without memory; a peer-sized wish is checked against a named limit by its caller.
 * Does not free single objects. */
#ifndef SLUICE_BASE_ARENA_H
#define SLUICE_BASE_ARENA_H

#include <stddef.h>

enum { ARENA_BLOCK_BYTES = 2048 };

struct arena_block;
struct arena {
    struct arena_block *blocks;
    size_t used;  /* of the newest block */
    size_t bytes; /* all memory held, for accounting */
};

void arena_init(struct arena *arena);
void arena_fini(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for any type */
/* For a size that a peer chooses: NULL without memory. */
void *arena_alloc_large(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size);
void *arena_dup(struct arena *arena, const void *data, size_t len);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
