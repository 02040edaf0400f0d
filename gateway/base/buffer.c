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

enum { SMALL_KEPT = 256, LARGE_KEPT = 64 };

/* What is tight is copied each time that more comes: worth it for little alone. */
enum { TIGHT_STEP = 512, TIGHT_MOST = 4096 };

/* Blocks at rest, the one used last on top: it is the warmest in the CPU's cache. */
struct block_cache {
    unsigned small_count, large_count;
    char *small[SMALL_KEPT];
    char *large[LARGE_KEPT];
};

static _Thread_local struct block_cache cache;

static char *block_take(uint32_t size)
{
    char *block = NULL;
    if (size == BUFFER_SMALL && cache.small_count > 0)
        block = cache.small[--cache.small_count];
    else if (size == BUFFER_LARGE && cache.large_count > 0)
        block = cache.large[--cache.large_count];
    if (block == NULL)
        return memory_try_bytes(size);
    ASAN_UNPOISON_MEMORY_REGION(block, size);
    return block;
}

static void block_give_back(char *block, uint32_t size)
{
    if (size == BUFFER_SMALL && cache.small_count < SMALL_KEPT)
        cache.small[cache.small_count++] = block;
    else if (size == BUFFER_LARGE && cache.large_count < LARGE_KEPT)
        cache.large[cache.large_count++] = block;
    else {
        free(block);
        return;
    }
    ASAN_POISON_MEMORY_REGION(block, size);
}

bool buffer_cache_fill(unsigned small, unsigned large)
{
    char *block;
    assert(small <= SMALL_KEPT && large <= LARGE_KEPT);
    while (cache.small_count < small && (block = malloc(BUFFER_SMALL)) != NULL)
        block_give_back(block, BUFFER_SMALL);
    while (cache.large_count < large && (block = malloc(BUFFER_LARGE)) != NULL)
        block_give_back(block, BUFFER_LARGE);
    return cache.small_count >= small && cache.large_count >= large;
}

bool buffer_cache_give_up(void)
{
    if (cache.large_count > 0)
        free(block_take(BUFFER_LARGE));
    else if (cache.small_count > 0)
        free(block_take(BUFFER_SMALL));
    else
        return false;
    return true;
}

void buffer_cache_clear(void)
{
    while (cache.small_count > 0)
        free(block_take(BUFFER_SMALL));
    while (cache.large_count > 0)
        free(block_take(BUFFER_LARGE));
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
