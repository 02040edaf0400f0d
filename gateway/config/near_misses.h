/* What nearly matched: hosts, paths of a host, names of certificates; nearest first, each with the
 * first reason why it is not the one. */
#ifndef CONFIG_NEAR_MISSES_H
#define CONFIG_NEAR_MISSES_H

#include "routing/route_table.h"
#include "tls/cert_store.h"

enum { NEAR_MISSES_MAX = 10 };

struct near_miss {
    struct slice name;
    struct slice why;
    size_t distance; /* how far away it is; smaller is nearer */
};

struct near_misses {
    struct near_miss list[NEAR_MISSES_MAX];
    unsigned count;
};

/* Host entries beside the one that matched (`matched` empty: none did). */
void near_misses_hosts(const struct route_table *routes, struct slice host, struct slice matched,
                       struct arena *arena, struct near_misses *misses);
/* Paths of the host beside the one that matched (NULL: none did); their names are path keys. */
void near_misses_paths(const struct host *host, struct slice path, const struct route *matched,
                       struct arena *arena, struct near_misses *misses);
/* Names of certificates that a client may have been meant to find. */
void near_misses_names(const struct cert_store *store, struct slice name,
                       struct near_misses *misses);

#endif
