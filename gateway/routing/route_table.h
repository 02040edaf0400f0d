/* Host -> path -> route, at a cost that does not grow with the number of routes. Immutable once
 * built. */
#ifndef ROUTING_ROUTE_TABLE_H
#define ROUTING_ROUTE_TABLE_H

#include "base/arena.h"
#include "routing/route.h"

struct route_table;

/* Entries live in `arena`, which outlives the table. */
struct route_table *route_table_new(struct arena *arena);
void route_table_free(struct route_table *table);

/* `host` is a normalised key: exact, "*.x.y", or "*". Path keys as in routes/README.md: "/v1",
 * "/v1/",
 * "=/x", normalised; `path` empty: the whole host leads to `route`. False if that entry is there.
 */
bool route_table_add(struct route_table *table, struct slice host, struct slice path,
                     const struct route *route);

/* Exact host, then the longest matching wildcard, then "*"; within the host the exact path, then
 * the longest prefix. `host` empty: only "*". NULL: 404 (the host that matched, if any, in
 * *host_key). */
const struct route *route_table_find(const struct route_table *table, struct slice host,
                                     struct slice path, struct slice *host_key);

#endif
