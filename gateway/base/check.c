#include "base/check.h"

#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A flood takes what there is and gives it back: 5 s in all. */
enum { TRIES = 500, PAUSE_MS = 10 };

_Noreturn static void end_for_want_of_memory(size_t size)
{
    fprintf(stderr, "sallyport: out of memory (%zu bytes were asked for)\n", size);
    abort();
}

/* What the thread has to spare goes first. */
static void pause_for_memory(void)
{
    buffer_cache_clear();
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

void *memory_try(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    if (memory == NULL && buffer_cache_give_up())
        memory = calloc(1, size > 0 ? size : 1);
    return memory;
}

void *memory_try_bytes(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL && buffer_cache_give_up())
        memory = malloc(size);
    return memory;
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
    for (int tries = 0; tries < TRIES; tries++) {
        void *memory = calloc(count, size);
        if (memory != NULL)
            return memory;
        pause_for_memory();
    }
    end_for_want_of_memory(size);
}

void *memory_resize(void *old, size_t size)
{
    for (int tries = 0; tries < TRIES; tries++) {
        void *memory = realloc(old, size > 0 ? size : 1);
        if (memory != NULL)
            return memory;
        pause_for_memory();
    }
    end_for_want_of_memory(size);
}

char *memory_print_list(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    assert(length >= 0); /* the formats are ours */
    char *text = memory_new((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *memory_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = memory_print_list(format, arguments);
    va_end(arguments);
    return text;
}
