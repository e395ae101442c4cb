#include "loopback/alloc.h"

#include <errno.h>

static size_t limit;
static unsigned left;
static bool refused;
static size_t spared_count, spared_size;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void alloc_fail(size_t bytes, unsigned nth)
{
    limit = bytes;
    left = nth;
    refused = false;
}

void alloc_spare(size_t count, size_t size)
{
    spared_count = count;
    spared_size = size;
}

bool alloc_hit(void)
{
    return refused;
}

bool alloc_refused(void)
{
    left = 0;
    return refused;
}

static bool refuse(size_t size)
{
    if (left == 0 || size < limit || --left > 0)
        return false;
    refused = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return refuse(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    bool spared = count == spared_count && size == spared_size;
    return !spared && refuse(count * size) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return refuse(size) ? NULL : __real_realloc(old, size);
}
