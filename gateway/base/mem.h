/* Allocation that aborts when the machine has no memory left for our own small objects.
 * Ownership: what is returned is the caller's, freed with free().
 * Never calls back.
 * Limits: none of its own; lengths that come from outside are checked by the caller first, and
 *   mem_zero_large and mem_resize_large are for them.
 * Does not count or pool. */
#ifndef SLUICE_BASE_MEM_H
#define SLUICE_BASE_MEM_H

#include <stddef.h>

void *mem_zero(size_t size);                /* zeroed */
void *mem_array(size_t count, size_t size); /* zeroed, checked against overflow */
void *mem_resize(void *old, size_t size);
/* For lengths that a peer chooses: NULL without memory, and `old` is as it was. */
void *mem_zero_large(size_t size);
void *mem_resize_large(void *old, size_t size);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *mem_dup(const void *data, size_t len);

#endif
