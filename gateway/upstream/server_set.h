/* The servers that a backend has now: what its route file says, and what names lead to. Immutable;
 * another one takes its place when either changes. */
#ifndef UPSTREAM_SERVER_SET_H
#define UPSTREAM_SERVER_SET_H

#include "base/arena.h"
#include "net/address.h"
#include "upstream/server_state.h"

enum addresses_known {
    ADDRESSES_KNOWN,
    ADDRESSES_AWAITED, /* the name is being looked up for the first time */
    ADDRESSES_MISSING, /* it does not resolve, and never did */
};

struct set_server {
    struct server_state *state; /* a reference */
    const char *host;           /* what `"host": "backend"` puts into Host */
    uint16_t weight;
    bool is_backup;
    enum addresses_known known;
    struct address *addresses;
    int address_count;
};

struct server_set {
    struct refcount references;
    struct arena arena; /* everything below lives here */
    struct set_server *servers;
    unsigned count;
    uint64_t serial; /* of the spec that it was made by */
    bool is_awaited; /* there may be more: an SRV name is being looked up for the first time */
};

/* Empty, with room for so many. One reference is the caller's. */
struct server_set *server_set_new(unsigned room);
/* The place behind the last one, with this name; its state is that of `before` (NULL: no such set)
 * if that has the name, where `likely` is where to look first. Else its state is that of `departed`
 * (NULL: none), or a new one, and it has just come unless there was no set before, or not yet a
 * whole one. NULL: the name is there already. */
struct set_server *server_set_add(struct server_set *set, struct slice name,
                                  const struct server_set *before,
                                  const struct server_set *departed, unsigned likely);
/* Those of both (NULL: none) that `now` has not and that somebody still uses: a server that comes
 * back while requests of before are out has as much room as they leave it. NULL: there are none. */
struct server_set *server_set_departed(const struct server_set *before,
                                       const struct server_set *departed,
                                       const struct server_set *now);
struct server_set *server_set_ref(struct server_set *set);
/* Any thread. */
void server_set_unref(struct server_set *set);

#endif
