#include "base/buffer.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum { SMALL, LARGE, BULK, SHELVES, SHELF_MOST = 256 };
enum { BULK_MOST = 16 }; /* in use by a thread */

static const struct {
    uint32_t block_bytes;
    unsigned kept; /* at most */
} shelves[SHELVES] = {
    [SMALL] = {BUFFER_SMALL, SHELF_MOST},
    [LARGE] = {BUFFER_LARGE, 64},
    [BULK] = {BUFFER_BULK, 8},
};

/* What is tight is copied each time that more comes: worth it for little alone. */
enum { TIGHT_STEP = 512, TIGHT_MOST = 4096 };

/* Blocks at rest, the one used last on top: it is the warmest in the CPU's cache. */
struct shelf {
    unsigned count;
    char *blocks[SHELF_MOST];
};

static _Thread_local struct shelf cache[SHELVES];
static _Thread_local unsigned bulk_in_use;

/* SHELVES for what is of no usual size. */
static int shelf_for(uint32_t size)
{
    int i = SMALL;
    while (i < SHELVES && shelves[i].block_bytes != size)
        i++;
    return i;
}

static char *block_take(uint32_t size)
{
    int i = shelf_for(size);
    char *block;
    if (i == SHELVES || cache[i].count == 0) {
        block = memory_try_bytes(size);
    } else {
        block = cache[i].blocks[--cache[i].count];
        ASAN_UNPOISON_MEMORY_REGION(block, size);
    }
    if (i == BULK && block != NULL)
        bulk_in_use++;
    return block;
}

static void block_give_back(char *block, uint32_t size)
{
    int i = shelf_for(size);
    if (i == BULK && bulk_in_use > 0) /* another thread may have taken it */
        bulk_in_use--;
    if (i == SHELVES || cache[i].count == shelves[i].kept) {
        free(block);
        return;
    }
    cache[i].blocks[cache[i].count++] = block;
    ASAN_POISON_MEMORY_REGION(block, size);
}

bool buffer_bulk_is_left(void)
{
    return bulk_in_use < BULK_MOST;
}

bool buffer_cache_fill(unsigned small, unsigned large)
{
    char *block;
    assert(small <= shelves[SMALL].kept && large <= shelves[LARGE].kept);
    while (cache[SMALL].count < small && (block = malloc(BUFFER_SMALL)) != NULL)
        block_give_back(block, BUFFER_SMALL);
    while (cache[LARGE].count < large && (block = malloc(BUFFER_LARGE)) != NULL)
        block_give_back(block, BUFFER_LARGE);
    return cache[SMALL].count >= small && cache[LARGE].count >= large;
}

bool buffer_cache_give_up(void)
{
    for (int i = SHELVES - 1; i >= 0; i--)
        if (cache[i].count > 0) {
            free(block_take(shelves[i].block_bytes));
            if (i == BULK)
                bulk_in_use--;
            return true;
        }
    return false;
}

void buffer_cache_clear(void)
{
    while (buffer_cache_give_up())
        continue;
}

void buffer_init(struct buffer *b)
{
    *b = (struct buffer){0};
}

/* The size of the block for `bytes`; beyond the usual ones at least double what there was, so that
 * a buffer which grows in small steps is not copied at each. */
static uint32_t block_size_for(const struct buffer *b, uint32_t bytes)
{
    if (bytes <= BUFFER_SMALL)
        return BUFFER_SMALL;
    if (bytes <= BUFFER_LARGE)
        return BUFFER_LARGE;
    if (bytes == BUFFER_BULK)
        return BUFFER_BULK;
    return bytes / 2 < b->capacity ? b->capacity * 2 : bytes;
}

bool buffer_reserve(struct buffer *b, size_t bytes)
{
    if (bytes <= buffer_room(b) && b->base != NULL)
        return true;
    size_t length = buffer_length(b);
    if (bytes > UINT32_MAX / 2 - length)
        return false;
    uint32_t needed = (uint32_t)(length + bytes);

    char *to = b->base;
    uint32_t size = b->capacity;
    if (needed > size || to == NULL) {
        size = block_size_for(b, needed);
        to = block_take(size);
        if (to == NULL)
            return false;
    }
    if (length > 0)
        memmove(to, b->base + b->start, length);
    if (b->base != NULL && b->base != to)
        block_give_back(b->base, b->capacity);
    *b = (struct buffer){.base = to, .end = (uint32_t)length, .capacity = size};
    return true;
}

size_t buffer_tighten(struct buffer *b)
{
    size_t length = buffer_length(b);
    uint32_t size = (uint32_t)(length + TIGHT_STEP - 1) / TIGHT_STEP * TIGHT_STEP;
    if (length == 0 || length > TIGHT_MOST || size > b->capacity / 2)
        return b->capacity;
    char *to = malloc(size);
    if (to == NULL)
        return b->capacity;
    memcpy(to, b->base + b->start, length);
    block_give_back(b->base, b->capacity);
    *b = (struct buffer){.base = to, .end = (uint32_t)length, .capacity = size};
    return size;
}

void buffer_added(struct buffer *b, size_t bytes)
{
    assert(bytes <= buffer_room(b));
    b->end += (uint32_t)bytes;
}

void buffer_consume(struct buffer *b, size_t bytes)
{
    assert(bytes <= buffer_length(b));
    b->start += (uint32_t)bytes;
    if (b->start == b->end)
        b->start = b->end = 0;
}

bool buffer_append(struct buffer *b, struct slice bytes)
{
    if (bytes.len == 0)
        return true;
    if (!buffer_reserve(b, bytes.len))
        return false;
    memcpy(buffer_tail(b), bytes.at, bytes.len);
    buffer_added(b, bytes.len);
    return true;
}

bool buffer_append_text(struct buffer *b, const char *text)
{
    return buffer_append(b, slice_of(text));
}

bool buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t room = b->base != NULL ? buffer_room(b) : 0;
    int length = vsnprintf(room > 0 ? buffer_tail(b) : NULL, room, format, arguments);
    /* vsnprintf wants one more for its terminator. */
    bool is_there = length >= 0 && (size_t)length < room;
    if (!is_there && length >= 0 && buffer_reserve(b, (size_t)length + 1)) {
        vsnprintf(buffer_tail(b), buffer_room(b), format, again);
        is_there = true;
    }
    if (is_there)
        buffer_added(b, (size_t)length);
    va_end(again);
    va_end(arguments);
    return is_there;
}

void buffer_clear(struct buffer *b)
{
    if (b->base != NULL)
        block_give_back(b->base, b->capacity);
    buffer_init(b);
}

void buffer_rest(struct buffer *b)
{
    if (buffer_length(b) == 0)
        buffer_clear(b);
}
