/* A queue of bytes in one contiguous block: appended at the end, consumed at the front.
 *
 * Blocks of the usual sizes come from a cache of the calling thread and go back to it, so a buffer
 * that is empty holds no memory and filling it again costs no malloc. A buffer belongs to one
 * thread. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/slice.h"

enum {
    BUFFER_SMALL = 16 * 1024, /* a head, one TLS record's worth of body */
    BUFFER_LARGE = 64 * 1024, /* a longer body */
    BUFFER_BULK = 240 * 1024, /* one that moves fast: 15 full TLS records, and one send of them */
};

struct buffer {
    char *base;
    uint32_t start, end, capacity; /* the content is base[start..end) */
};

static inline size_t buffer_length(const struct buffer *b)
{
    return b->end - b->start;
}

static inline struct slice buffer_content(const struct buffer *b)
{
    /* Without a block there is nothing to add to: C says so, compilers make one addition of it. */
    return slice_make(b->start == 0 ? b->base : b->base + b->start, buffer_length(b));
}

/* Where to append, and how much fits there without moving anything. */
static inline char *buffer_tail(struct buffer *b)
{
    return b->end == 0 ? b->base : b->base + b->end;
}

static inline size_t buffer_room(const struct buffer *b)
{
    return b->capacity - b->end;
}

/* All zeroes is an empty buffer too. */
void buffer_init(struct buffer *b);

/* Makes room for `bytes` more behind the content: gets a block (BUFFER_SMALL at least), moves the
 * content to its front, or grows. False, nothing changed, when there is no memory. */
bool buffer_reserve(struct buffer *b, size_t bytes);

/* For content that is small and has to wait: moves it to a block that is hardly larger. How large a
 * block there is now. */
size_t buffer_tighten(struct buffer *b);

/* Says that `bytes` were written at the tail; they fit in the room. */
void buffer_added(struct buffer *b, size_t bytes);

/* Drops `bytes` from the front. The block stays. */
void buffer_consume(struct buffer *b, size_t bytes);

/* Reserves and copies. False when there is no memory. */
bool buffer_append(struct buffer *b, struct slice bytes);
bool buffer_append_text(struct buffer *b, const char *text);
bool buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the content and gives the block back. */
void buffer_clear(struct buffer *b);

/* Gives the block back if nothing is in it. */
void buffer_rest(struct buffer *b);

/* Whether the calling thread may use one more block of BUFFER_BULK. One is held for long by a
 * connection whose peer has stopped reading: many of those have to do with smaller ones. */
bool buffer_bulk_is_left(void);
/* Has so many small and large blocks in the calling thread's cache, where served ones find them
 * when there is no other memory. False when they could not be had; then there is nothing left for
 * newcomers. */
bool buffer_cache_fill(unsigned small, unsigned large);
/* Frees the largest block of the calling thread's cache, so that malloc has its memory; false when
 * the cache is empty. */
bool buffer_cache_give_up(void);
/* Frees the calling thread's cache of blocks: for threads that used buffers, before they end. */
void buffer_cache_clear(void);

#endif
