#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (memory == NULL) {
        (void)fputs("sluice: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *mem_zero(size_t size)
{
    return checked(calloc(1, size > 0 ? size : 1));
}

void *mem_array(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *mem_resize(void *old, size_t size)
{
    return checked(realloc(old, size > 0 ? size : 1));
}

void *mem_zero_large(size_t size)
{
    return calloc(1, size > 0 ? size : 1);
}

void *mem_resize_large(void *old, size_t size)
{
    return realloc(old, size > 0 ? size : 1);
}

char *mem_strdup(const char *text)
{
    return checked(strdup(text));
}

char *mem_strndup(const char *text, size_t len)
{
    return checked(strndup(text, len));
}

char *mem_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return checked(len < 0 ? NULL : text);
}

void *mem_dup(const void *data, size_t len)
{
    void *copy = checked(malloc(len > 0 ? len : 1));
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}
