#include "upstream/server_state.h"

#include "base/check.h"
#include "base/table.h"

#include <stdlib.h>

struct server_state *server_state_new(struct slice name)
{
    struct server_state *state = aligned_alloc(64, sizeof(*state));

    assert(state != NULL);
    memset(state, 0, sizeof(*state));
    refcount_init(&state->references);
    state->name = slice_duplicate(name);
    state->id = hash_fixed(name);
    return state;
}

struct server_state *server_state_ref(struct server_state *state)
{
    refcount_take(&state->references);
    return state;
}

bool server_state_is_shared(const struct server_state *state)
{
    return atomic_load(&state->references.count) > 1;
}

void server_state_unref(struct server_state *state)
{
    if (state == NULL || !refcount_drop(&state->references))
        return;
    free(state->name);
    free(state);
}
