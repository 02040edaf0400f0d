#include "http/h2_memory.h"

#include "base/check.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- the reserve ---------------------------------------------------------------------------------
 * Handed out from the front, and all of it is there again once nothing of it is held. */

struct reserve {
    char *memory;
    size_t size, used;
    unsigned holders;
};

static _Thread_local struct reserve reserve;

enum { HEADER = 16 }; /* before each block: its size; keeps blocks aligned */

void h2_reserve_init(size_t bytes)
{
    reserve = (struct reserve){.memory = memory_new(bytes), .size = bytes};
}

void h2_reserve_clear(void)
{
    assert(reserve.holders == 0);
    free(reserve.memory);
    reserve = (struct reserve){0};
}

static bool is_of_reserve(const void *block)
{
    const char *at = block;

    return reserve.memory != NULL && at >= reserve.memory && at < reserve.memory + reserve.size;
}

static size_t size_in_reserve(const void *block)
{
    size_t bytes;

    memcpy(&bytes, (const char *)block - HEADER, sizeof(bytes));
    return bytes;
}

static void *take(size_t bytes, bool *is_short)
{
    size_t whole = HEADER + (bytes + HEADER - 1) / HEADER * HEADER;
    char *block;

    *is_short = true;
    if (bytes > reserve.size || whole > reserve.size - reserve.used)
        return NULL;
    block = reserve.memory + reserve.used + HEADER;
    memcpy(block - HEADER, &bytes, sizeof(bytes));
    reserve.used += whole;
    reserve.holders++;
    return block;
}

static void give_back(void)
{
    if (--reserve.holders == 0)
        reserve.used = 0;
}

/* --- what nghttp2 calls --------------------------------------------------------------------------
 */

static void *get_memory(size_t bytes, void *is_short)
{
    void *memory = memory_try_bytes(bytes);

    return memory != NULL || bytes == 0 ? memory : take(bytes, is_short);
}

static void *get_array(size_t count, size_t bytes, void *is_short)
{
    void *memory;

    if (bytes != 0 && count > SIZE_MAX / bytes)
        return NULL;
    memory = memory_try(count * bytes);
    if (memory != NULL || count * bytes == 0)
        return memory;
    memory = take(count * bytes, is_short);
    if (memory != NULL)
        memset(memory, 0, count * bytes);
    return memory;
}

static void give_memory(void *memory, void *is_short)
{
    (void)is_short;
    if (is_of_reserve(memory))
        give_back();
    else
        free(memory);
}

/* Without realloc, whose old block may lie in the reserve, as its new one may. */
static void *get_more(void *old, size_t bytes, void *is_short)
{
    size_t there = is_of_reserve(old) ? size_in_reserve(old) : malloc_usable_size(old);
    void *memory;

    if (old != NULL && bytes <= there)
        return old;
    memory = get_memory(bytes, is_short);
    if (memory == NULL || old == NULL)
        return memory;
    memcpy(memory, old, there);
    give_memory(old, is_short);
    return memory;
}

nghttp2_mem h2_memory(bool *is_short)
{
    return (nghttp2_mem){.mem_user_data = is_short,
                         .malloc = get_memory,
                         .free = give_memory,
                         .calloc = get_array,
                         .realloc = get_more};
}
