/* One host of the route file with its paths: shared by the generations that say the same of it, and
 * all of a generation that a request needs once it is routed. Immutable once built. */
#ifndef ROUTING_HOST_H
#define ROUTING_HOST_H

#include "base/refcount.h"
#include "base/table.h"
#include "routing/route.h"
#include "tls/client_policy.h"

struct host {
    struct refcount references;
    struct arena arena;   /* its routes live here */
    struct slice key;     /* exact, "*.x.y", or "*" */
    uint64_t fingerprint; /* of what was written of it and what that was read with */
    bool is_shareable;    /* nothing was said of it that a load would have to say again */
    const struct client_rule *clients; /* of its own, in the arena; NULL: the file's */
    const struct route *whole;         /* leads everywhere; NULL: by path */
    struct table exact;                /* "/x" of "=/x" */
    struct table prefixes;             /* "/v1", "/v1/" */
    size_t longest_prefix; /* nothing longer is looked up, however long the request's path */

    struct upstream_spec **backends; /* that its routes lead to: a reference each */
    unsigned backend_count;
    struct upstream_spec **inlines; /* of targets written in it; in the arena */
    unsigned inline_count;
    struct policy **policies; /* that its routes have: a reference each */
    unsigned policy_count;
    unsigned route_count;
};

/* With one reference. The key is copied. */
struct host *host_new(struct slice key);
struct host *host_ref(struct host *host);
void host_unref(struct host *host);

/* Adds a route, which lives in the host's arena, under a path key as in routes/README.md: "/v1",
 * "/v1/", "=/x", normalised; empty: the whole host. False if that entry is there. */
bool host_add(struct host *host, struct slice path, struct route *route);
/* Takes a reference of a backend that a route leads to; nothing if it is there already. */
void host_add_backend(struct host *host, struct upstream_spec *upstream);
void host_add_inline(struct host *host, struct upstream_spec *upstream);
/* Takes a reference of each policy that its routes have; `policies` may be NULL. */
void host_add_policies(struct host *host, const struct policies *policies);

/* The route under exactly this key; NULL. */
const struct route *host_entry(const struct host *host, struct slice path);

/* The exact path, else the longest prefix; NULL: 404. */
const struct route *host_find(const struct host *host, struct slice path);

/* Every route of it, in the order of the file; `list` has room for route_count. */
void host_routes(const struct host *host, const struct route **list);

#endif
