/* An atomic reference count for what is shared between threads: snapshots, certificates. */
#ifndef BASE_REFCOUNT_H
#define BASE_REFCOUNT_H

#include "base/check.h"

#include <stdatomic.h>
#include <stdbool.h>

struct refcount {
    atomic_uint count;
};

static inline void refcount_init(struct refcount *r)
{
    atomic_init(&r->count, 1);
}

static inline void refcount_take(struct refcount *r)
{
    atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);
}

/* True when this was the last one: the caller frees the object. */
static inline bool refcount_drop(struct refcount *r)
{
    unsigned before = atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel);
    assert(before > 0);
    return before == 1;
}

#endif
