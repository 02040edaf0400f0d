#include "upstream/upstream.h"

#include "base/check.h"

#include <stdlib.h>

enum { KEEPALIVE_BUILT_IN = 32 };

static void set_up(struct upstream_spec *upstream, struct slice name)
{
    static atomic_uint_fast64_t last_serial;

    upstream->name = name;
    upstream->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    upstream->keepalive = KEEPALIVE_BUILT_IN;
}

struct upstream_spec *upstream_new(struct slice name)
{
    struct upstream_spec *upstream = memory_new(sizeof(*upstream));

    refcount_init(&upstream->references);
    arena_init_small(&upstream->arena);
    set_up(upstream, arena_copy(&upstream->arena, name));
    return upstream;
}

struct upstream_spec *upstream_new_service(struct slice name)
{
    struct upstream_spec *upstream = upstream_new(name);

    upstream->is_inline = true;
    return upstream;
}

struct upstream_spec *upstream_new_in(struct arena *arena, struct slice name)
{
    struct upstream_spec *upstream = arena_alloc(arena, sizeof(*upstream));

    set_up(upstream, name);
    upstream->is_inline = true;
    return upstream;
}

struct upstream_spec *upstream_ref(struct upstream_spec *upstream)
{
    refcount_take(&upstream->references);
    return upstream;
}

void upstream_unref(struct upstream_spec *upstream)
{
    if (!upstream || !refcount_drop(&upstream->references))
        return;
    arena_clear(&upstream->arena);
    free(upstream);
}
