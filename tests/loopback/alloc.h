/* Makes the n-th large allocation of this program's own objects fail.
 * Ownership: plain counters of the program.
 * Never calls back.
 * Limits: what libraries allocate for themselves is not seen (libpq, OpenSSL, nghttp2).
 * Does nothing until it is armed. */
#ifndef SLUICE_TESTS_LOOPBACK_ALLOC_H
#define SLUICE_TESTS_LOOPBACK_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* The `nth` allocation (from 1) of `bytes` and more answers NULL, once. */
void alloc_fail(size_t bytes, unsigned nth);
/* Tables of a fixed size are nobody's wish: an array of `count` times `size` is never refused. */
void alloc_spare(size_t count, size_t size);
bool alloc_hit(void); /* one was refused since alloc_fail */
/* Ends it; true when an allocation was refused. */
bool alloc_refused(void);

#endif
