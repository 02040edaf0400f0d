/* Host -> path -> route, at a cost that does not grow with the number of routes. Immutable once
 * built. */
#ifndef ROUTING_ROUTE_TABLE_H
#define ROUTING_ROUTE_TABLE_H

#include "routing/host.h"

struct route_table;

struct route_table *route_table_new(void);
void route_table_free(struct route_table *table); /* drops its references */

/* Takes the caller's reference of `host`, also when false: a host with that key is there. */
bool route_table_add(struct route_table *table, struct host *host);
/* The host with exactly this key, as it is written ("*.x.y"); NULL. Borrowed. */
struct host *route_table_host(const struct route_table *table, struct slice key);
/* The route of exactly this name: a host's key, plus the path's where paths matched; NULL.
 * Borrowed. */
const struct route *route_table_named(const struct route_table *table, struct slice name);

/* Exact host, then the longest matching wildcard, then "*"; within the host the exact path, then
 * the longest prefix. `host` empty: only "*". NULL: 404 (the host that matched, if any, in
 * *host_key). */
const struct route *route_table_find(const struct route_table *table, struct slice host,
                                     struct slice path, struct slice *host_key);

/* For walking, in no order: the first host at or after *position, which moves behind it; NULL at
 * the end. */
const struct host *route_table_next(const struct route_table *table, size_t *position);

#endif
