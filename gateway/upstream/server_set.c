#include "upstream/server_set.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/table.h"

#include <stdlib.h>

struct server_set *server_set_new(unsigned room)
{
    struct server_set *set = memory_new(sizeof(*set));

    refcount_init(&set->references);
    arena_init_shared(&set->arena); /* a worker makes it, the last one to leave clears it */
    set->servers = arena_alloc(&set->arena, (room + 1) * sizeof(*set->servers));
    return set;
}

/* By ids: they are there for all to be compared with all, names only to be sure. */
static struct server_state *find(const struct server_set *set, struct slice name, uint64_t id,
                                 unsigned likely)
{
    for (unsigned i = 0; set != NULL && i < set->count; i++) {
        struct server_state *state = set->servers[(likely + i) % set->count].state;
        if (state->id == id && slice_equal(slice_of(state->name), name))
            return state;
    }
    return NULL;
}

struct set_server *server_set_add(struct server_set *set, struct slice name,
                                  const struct server_set *before,
                                  const struct server_set *departed, unsigned likely)
{
    struct set_server *server = &set->servers[set->count];
    struct server_state *known, *state;
    uint64_t id = hash_fixed(name);

    if (find(set, name, id, 0) != NULL)
        return NULL;
    known = find(before, name, id, likely);
    state = known != NULL ? known : find(departed, name, id, 0);
    *server = (struct set_server){.state = state != NULL ? server_state_ref(state)
                                                         : server_state_new(name)};
    set->count++;
    if (known == NULL)
        atomic_store(&server->state->verdict, CHECK_UNKNOWN); /* nobody has checked it since */
    if (known == NULL && before != NULL && !before->is_awaited)
        atomic_store(&server->state->back_ms, clock_monotonic_ms());
    return server;
}

static void keep_used(struct server_set *set, const struct server_set *from,
                      const struct server_set *now)
{
    for (unsigned i = 0; from != NULL && i < from->count; i++) {
        struct server_state *state = from->servers[i].state;
        struct slice name = slice_of(state->name);
        if (server_state_is_shared(state) && find(now, name, state->id, i) == NULL)
            server_set_add(set, name, from, NULL, i);
    }
}

struct server_set *server_set_departed(const struct server_set *before,
                                       const struct server_set *departed,
                                       const struct server_set *now)
{
    unsigned room = (before != NULL ? before->count : 0) + (departed != NULL ? departed->count : 0);
    struct server_set *set = server_set_new(room);

    keep_used(set, before, now);
    keep_used(set, departed, now);
    if (set->count > 0)
        return set;
    server_set_unref(set);
    return NULL;
}

struct server_set *server_set_ref(struct server_set *set)
{
    refcount_take(&set->references);
    return set;
}

void server_set_unref(struct server_set *set)
{
    if (set == NULL || !refcount_drop(&set->references))
        return;
    for (unsigned i = 0; i < set->count; i++)
        server_state_unref(set->servers[i].state);
    arena_clear(&set->arena);
    free(set);
}
