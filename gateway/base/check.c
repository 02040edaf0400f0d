#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn static void end_for_want_of_memory(size_t size)
{
    fprintf(stderr, "sallyport: out of memory (%zu bytes were asked for)\n", size);
    abort();
}

void *memory_new(size_t size)
{
    return memory_array(1, size);
}

void *memory_array(size_t count, size_t size)
{
    /* calloc may answer NULL for nothing, which is no failure. */
    if (count == 0 || size == 0)
        count = size = 1;
    void *memory = calloc(count, size);
    if (memory == NULL)
        end_for_want_of_memory(size);
    return memory;
}

void *memory_resize(void *old, size_t size)
{
    void *memory = realloc(old, size > 0 ? size : 1);
    if (memory == NULL)
        end_for_want_of_memory(size);
    return memory;
}
