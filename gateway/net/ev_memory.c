#include "net/ev_memory.h"

#include "base/check.h"

#include <ev.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* No table of libev holds more for a descriptor, be it just doubled: 16 bytes twice, for it or for
 * its one watcher that is pending. */
enum { BYTES_A_DESCRIPTOR = 32, BYTES_MORE = 8192 };

/* What a table may grow into when there is no other memory. */
struct piece {
    void *memory;
    size_t size;
};

static _Thread_local struct piece piece;

static void *take_piece(void *old, size_t size)
{
    void *memory = piece.memory;
    if (size > piece.size)
        return NULL;
    if (old != NULL) {
        size_t kept = malloc_usable_size(old);
        memcpy(memory, old, kept < size ? kept : size);
        free(old);
    }
    piece = (struct piece){0};
    return memory;
}

static void *allocate(void *old, long size)
{
    void *memory;
    if (size == 0) {
        free(old);
        return NULL;
    }
    memory = realloc(old, (size_t)size);
    if (memory != NULL)
        return memory;
    memory = take_piece(old, (size_t)size);
    return memory != NULL ? memory : memory_resize(old, (size_t)size);
}

void ev_memory_install(void)
{
    ev_set_allocator(allocate);
}

bool ev_memory_provide(int fd)
{
    size_t needed = ((size_t)fd + 1) * BYTES_A_DESCRIPTOR + BYTES_MORE;
    if (needed <= piece.size)
        return true;
    /* For a quarter more, so that this is rare. */
    needed += needed / 4;
    void *memory = malloc(needed);
    if (memory == NULL)
        return false;
    free(piece.memory);
    piece = (struct piece){.memory = memory, .size = needed};
    return true;
}

void ev_memory_clear(void)
{
    free(piece.memory);
    piece = (struct piece){0};
}
