/* What the process counts by name: a view of it for each worker, read by the control thread. */
#ifndef WORKER_TRAFFIC_H
#define WORKER_TRAFFIC_H

#include "base/series.h"
#include "upstream/server_series.h"

struct traffic {
    struct series *routes;   /* of struct route_counters */
    struct series *policies; /* of struct policy_counters, by route's name */
    struct server_series servers;
};

struct traffic *traffic_new(unsigned workers);
/* After the workers have ended. */
void traffic_free(struct traffic *traffic);

/* How many routes, backends and servers have names of their own, each; the rest is "other". Any
 * thread; acts on names that are met from then on. */
void traffic_set_limit(struct traffic *traffic, uint32_t names);

#endif
