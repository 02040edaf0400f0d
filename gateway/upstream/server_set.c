#include "upstream/server_set.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/table.h"

#include <stdlib.h>

struct server_set *server_set_new(unsigned room)
{
    struct server_set *set = memory_new(sizeof(*set));

    refcount_init(&set->references);
    arena_init_small(&set->arena);
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
                                  const struct server_set *before, unsigned likely)
{
    struct set_server *server = &set->servers[set->count];
    struct server_state *known;
    uint64_t id = hash_fixed(name);

    if (find(set, name, id, 0) != NULL)
        return NULL;
    known = find(before, name, id, likely);
    *server = (struct set_server){.state = known != NULL ? server_state_ref(known)
                                                         : server_state_new(name)};
    set->count++;
    if (known == NULL && before != NULL && !before->is_awaited)
        atomic_store(&server->state->back_ms, clock_monotonic_ms());
    return server;
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
