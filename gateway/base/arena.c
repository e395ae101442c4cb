#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct arena_block {
    struct arena_block *next;
    size_t size;
    alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *arena)
{
    *arena = (struct arena){ 0 };
}

void arena_fini(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    arena_init(arena);
}

static void *take(struct arena *arena, size_t size, bool may_fail)
{
    assert(size < SIZE_MAX / 2);
    size_t need = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (need == 0)
        need = alignof(max_align_t);
    if (arena->blocks == NULL || arena->blocks->size - arena->used < need) {
        size_t block_size = need > ARENA_BLOCK_BYTES ? need : ARENA_BLOCK_BYTES;
        size_t bytes = sizeof(struct arena_block) + block_size;
        struct arena_block *block = may_fail ? mem_zero_large(bytes) : mem_zero(bytes);
        if (block == NULL)
            return NULL;
        block->size = block_size;
        block->next = arena->blocks;
        arena->blocks = block;
        arena->used = 0;
        arena->bytes += block_size;
    }
    void *memory = arena->blocks->data + arena->used;
    arena->used += need;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return take(arena, size, false);
}

void *arena_alloc_large(struct arena *arena, size_t size)
{
    return take(arena, size, size > ARENA_BLOCK_BYTES);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    assert(size == 0 || count < SIZE_MAX / 2 / size);
    return arena_alloc(arena, count * size);
}

void *arena_dup(struct arena *arena, const void *data, size_t len)
{
    void *copy = arena_alloc(arena, len);
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    memcpy(copy, text, len);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}
