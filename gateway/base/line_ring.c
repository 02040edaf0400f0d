#include "base/line_ring.h"

#include "base/check.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Positions count bytes since the beginning and never wrap; masked they are places in the block.
 * Each side writes its own position alone, on a cache line of its own. */
struct line_ring {
    _Alignas(64) atomic_size_t put; /* written by the producer */
    size_t taken_seen;              /* the producer's: `taken` when it last looked */
    _Atomic uint64_t dropped;
    _Alignas(64) atomic_size_t taken; /* written by the consumer */
    _Alignas(64) size_t mask;
    char *block;
};

struct line_ring *line_ring_new(size_t bytes)
{
    size_t size = 64;
    while (size < bytes)
        size *= 2;
    struct line_ring *ring = aligned_alloc(64, sizeof(*ring));
    if (ring == NULL)
        abort();
    memset(ring, 0, sizeof(*ring));
    atomic_init(&ring->put, 0);
    atomic_init(&ring->taken, 0);
    atomic_init(&ring->dropped, 0);
    ring->mask = size - 1;
    ring->block = memory_new(size);
    return ring;
}

void line_ring_free(struct line_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->block);
    free(ring);
}

static void copy_in(struct line_ring *ring, size_t position, struct slice line)
{
    size_t at = position & ring->mask;
    size_t first = ring->mask + 1 - at;
    if (first > line.len)
        first = line.len;
    memcpy(ring->block + at, line.at, first);
    memcpy(ring->block, line.at + first, line.len - first);
}

bool line_ring_put(struct line_ring *ring, struct slice line)
{
    if (line.len == 0)
        return true;
    size_t size = ring->mask + 1;
    size_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    if (size - (put - ring->taken_seen) < line.len) {
        /* The consumer's position is looked at only when it matters: its cache line stays its own.
         */
        ring->taken_seen = atomic_load_explicit(&ring->taken, memory_order_acquire);
        if (size - (put - ring->taken_seen) < line.len) {
            atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
            return false;
        }
    }
    copy_in(ring, put, line);
    atomic_store_explicit(&ring->put, put + line.len, memory_order_release);
    return true;
}

uint64_t line_ring_dropped(const struct line_ring *ring)
{
    return atomic_load_explicit(&ring->dropped, memory_order_relaxed);
}

size_t line_ring_take(struct line_ring *ring, char *into, size_t room)
{
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    size_t bytes = atomic_load_explicit(&ring->put, memory_order_acquire) - taken;
    if (bytes > room)
        bytes = room;
    if (bytes == 0)
        return 0;
    size_t at = taken & ring->mask;
    size_t first = ring->mask + 1 - at;
    if (first > bytes)
        first = bytes;
    memcpy(into, ring->block + at, first);
    memcpy(into + first, ring->block, bytes - first);
    atomic_store_explicit(&ring->taken, taken + bytes, memory_order_release);
    return bytes;
}
