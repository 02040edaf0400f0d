#include "base/arena.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BLOCK_USUAL = 4096, /* with its head: holds a typical request */
    BLOCK_SMALL = 256,
    BLOCK_OWN = 1024,
    ALIGNMENT = _Alignof(max_align_t),
};

struct arena_block {
    struct arena_block *older;
    size_t size; /* of `bytes` */
    _Alignas(max_align_t) char bytes[];
};

static const size_t usual_bytes = BLOCK_USUAL - sizeof(struct arena_block);

void arena_init(struct arena *arena)
{
    *arena = (struct arena){0};
}

void arena_init_small(struct arena *arena)
{
    *arena = (struct arena){.next_block = BLOCK_SMALL};
}

void arena_init_shared(struct arena *arena)
{
    *arena = (struct arena){.next_block = BLOCK_SMALL, .is_shared = true};
}

/* --- the reserve ---------------------------------------------------------------------------------
 */

/* Handed out from front to back; all of it again once nobody holds any. */
struct reserve {
    char *memory;
    size_t size, used;
    unsigned holders; /* blocks */
};

static _Thread_local struct reserve reserve;

void arena_reserve_init(size_t bytes)
{
    reserve = (struct reserve){.memory = memory_new(bytes), .size = bytes};
}

void arena_reserve_clear(void)
{
    assert(reserve.holders == 0);
    free(reserve.memory);
    reserve = (struct reserve){0};
}

bool arena_reserve_is_low(void)
{
    return reserve.used > reserve.size / 2;
}

static struct arena_block *reserve_take(size_t bytes)
{
    char *at = reserve.memory + reserve.used;
    bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (bytes > reserve.size - reserve.used)
        return NULL;
    reserve.used += bytes;
    reserve.holders++;
    return (struct arena_block *)(void *)at;
}

static bool is_of_reserve(const struct arena_block *block)
{
    const char *at = (const char *)block;
    return reserve.memory != NULL && at >= reserve.memory && at < reserve.memory + reserve.size;
}

static void block_free(struct arena_block *block)
{
    if (!is_of_reserve(block))
        free(block);
    else if (--reserve.holders == 0)
        reserve.used = 0;
}

/* --- blocks --------------------------------------------------------------------------------------
 */

static struct arena_block *block_new(struct arena *arena, size_t size)
{
    size_t bytes = sizeof(struct arena_block) + size;
    struct arena_block *block = memory_try_bytes(bytes);
    if (block == NULL && !arena->is_shared) {
        block = reserve_take(bytes);
        arena->is_short |= block != NULL;
    }
    if (block == NULL)
        block = memory_resize(NULL, bytes);
    block->size = size;
    return block;
}

static void use_block(struct arena *arena, struct arena_block *block)
{
    arena->newest = block;
    arena->next = block->bytes;
    arena->limit = block->bytes + block->size;
}

/* A block for one large piece goes behind the newest, whose rest stays in use. */
static char *take_own_block(struct arena *arena, size_t bytes)
{
    struct arena_block *block = block_new(arena, bytes);
    if (arena->newest == NULL) {
        block->older = NULL;
        use_block(arena, block);
        arena->next = arena->limit;
    } else {
        block->older = arena->newest->older;
        arena->newest->older = block;
    }
    return block->bytes;
}

static struct arena_block *next_block(struct arena *arena)
{
    size_t size = arena->next_block;
    if (size == 0)
        return block_new(arena, usual_bytes);
    arena->next_block = size < usual_bytes / 2 ? size * 2 : 0;
    return block_new(arena, size);
}

/* What is larger, and does not fit, gets a block of its own. */
static size_t own_block_from(const struct arena *arena)
{
    return arena->next_block != 0 ? arena->next_block / 2 : BLOCK_OWN;
}

static char *take(struct arena *arena, size_t bytes, size_t alignment)
{
    assert(bytes < SIZE_MAX / 2);
    arena->total_bytes += bytes;
    size_t gap = -(uintptr_t)arena->next & (alignment - 1);
    size_t room = (size_t)(arena->limit - arena->next);
    if (arena->newest == NULL || gap + bytes > room) {
        if (bytes > own_block_from(arena))
            return take_own_block(arena, bytes);
        struct arena_block *block = next_block(arena);
        block->older = arena->newest;
        use_block(arena, block);
        gap = 0;
    }
    char *taken = arena->next + gap;
    arena->next = taken + bytes;
    return taken;
}

bool arena_provide(struct arena *arena, size_t bytes)
{
    if (arena->newest != NULL && bytes <= (size_t)(arena->limit - arena->next))
        return true;
    size_t size = bytes > usual_bytes ? bytes : usual_bytes;
    struct arena_block *block = memory_try_bytes(sizeof(*block) + size);
    if (block == NULL)
        return false;
    block->size = size;
    block->older = arena->newest;
    use_block(arena, block);
    return true;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return memset(take(arena, bytes, ALIGNMENT), 0, bytes);
}

char *arena_bytes(struct arena *arena, size_t bytes)
{
    return take(arena, bytes, 1);
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    if (bytes.len == 0)
        return slice_make("", 0);
    return slice_make(memcpy(arena_bytes(arena, bytes.len), bytes.at, bytes.len), bytes.len);
}

char *arena_text(struct arena *arena, struct slice bytes)
{
    char *text = arena_bytes(arena, bytes.len + 1);
    slice_copy_text(bytes, text, bytes.len + 1);
    return text;
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    char counted[1];
    int length = vsnprintf(counted, sizeof(counted), format, arguments);
    assert(length >= 0);
    char *text = arena_bytes(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return slice_make(text, (size_t)length);
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *older = block->older;
        block_free(block);
        block = older;
    }
}

void arena_reset(struct arena *arena)
{
    struct arena_block **link = &arena->newest;
    while (*link != NULL && ((*link)->size != usual_bytes || is_of_reserve(*link)))
        link = &(*link)->older;
    struct arena_block *kept = *link;
    if (kept != NULL) {
        *link = kept->older;
        kept->older = NULL;
    }
    free_blocks(arena->newest);
    arena_init(arena);
    if (kept != NULL)
        use_block(arena, kept);
}

void arena_clear(struct arena *arena)
{
    free_blocks(arena->newest);
    arena_init(arena);
}
