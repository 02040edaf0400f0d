/* What the process knows of its backends: which servers each has, and how these are. One for all
 * workers and the control thread, by name, across generations.
 *
 * A backend's `server_set` is made of what its route file says (upstream_spec) and of what names
 * lead to (names.h), and made anew when either changes; then the pools of all workers are told by
 * their bells. How a server is at the moment is in its `server_state`, which everybody reads
 * without a lock.
 *
 * One lock guards all that is below, but for what is said to do without; it is never taken for a
 * request. */
#ifndef UPSTREAM_BACKEND_STATE_H
#define UPSTREAM_BACKEND_STATE_H

#include "base/table.h"
#include "net/resolver.h"
#include "upstream/bell.h"
#include "upstream/server_set.h"
#include "upstream/turns.h"
#include "upstream/upstream.h"

struct backend_states;
struct name_use;
struct server_entry;

struct backend_state {
    struct backend_states *all;
    char *name;
    unsigned users;               /* pools, and whoever else took it */
    uint64_t serial;              /* of the spec that it follows */
    struct server_entry *entries; /* what that says of servers */
    unsigned entry_count;
    struct server_set *set;
    struct server_set *departed; /* servers that it had, and that are still used; NULL: none */
    struct list pulls;           /* struct backend_pull: of pools */
    struct list_node changed_place;
    bool is_answered; /* its names may lead elsewhere than its set says */

    struct name_use *uses; /* the control thread's alone: the names of its entries */
    unsigned use_count;

    /* Without the lock, by workers: what they write for each request stands apart. */
    _Alignas(64) _Atomic unsigned requests; /* in flight, where max_requests limits them */
    struct turns turns;                     /* of the workers that hold requests for it */
};

/* A pool's, rung when something about the backend has changed. */
struct backend_pull {
    struct bell_pull pull;
    struct list_node place; /* in the backend's pulls */
};

/* Names are looked up on `control`, the loop whose thread makes and frees them. */
struct backend_states *backend_states_new(struct loop *control, struct resolver *resolver);
/* Nobody may use any any more; ends look-ups. On the control thread. */
void backend_states_free(struct backend_states *states);

/* The state of the backend with that name, made if there is none. It stays until it is dropped,
 * once for each time. Any thread. */
struct backend_state *backend_state_take(struct backend_states *states,
                                         const struct upstream_spec *spec);
void backend_state_drop(struct backend_state *state);
/* Takes over what a newer spec of it says; nothing if that is older than what it follows. Copies
 * what it needs. Any thread. */
void backend_state_follow(struct backend_state *state, const struct upstream_spec *spec);

/* Its servers as they are now; the caller's reference. Any thread. */
struct server_set *backend_state_set(struct backend_state *state);

/* Has `run` called on the bell's loop whenever the servers, or how they are, have changed. */
void backend_state_listen(struct backend_state *state, struct backend_pull *pull, struct bell *bell,
                          void (*run)(void *owner), void *owner);
void backend_state_unlisten(struct backend_state *state, struct backend_pull *pull);
/* Calls `decide` with the servers there are, while nobody else decides and no set is made. True if
 * it says so: then all pools are rung for. Any thread. */
bool backend_state_decide(struct backend_state *state,
                          bool (*decide)(const struct server_set *set, void *owner), void *owner);
/* Rings for all pools: something about the servers is other than it was. Any thread. */
void backend_state_ring(struct backend_state *state);

/* Calls `visit` for each there is, on the control thread; it may take and follow, and `states` is
 * not changed by others meanwhile. */
void backend_states_each(struct backend_states *states,
                         void (*visit)(void *owner, struct backend_state *state), void *owner);
/* How many name look-ups have ended: for tests. */
unsigned backend_states_lookups(struct backend_states *states);

#endif
