#include "worker/traffic.h"

#include "base/check.h"
#include "policy/policy.h"
#include "proxy/route_counters.h"

#include <stdlib.h>

struct traffic *traffic_new(unsigned workers)
{
    struct traffic *traffic = memory_new(sizeof(*traffic));

    traffic->routes = series_new(workers, ROUTE_COUNTERS);
    traffic->policies = series_new(workers, POLICY_COUNTERS);
    server_series_init(&traffic->servers, workers);
    return traffic;
}

void traffic_free(struct traffic *traffic)
{
    if (traffic == NULL)
        return;
    series_free(traffic->routes);
    series_free(traffic->policies);
    server_series_clear(&traffic->servers);
    free(traffic);
}

void traffic_set_limit(struct traffic *traffic, uint32_t names)
{
    series_set_limit(traffic->routes, names);
    series_set_limit(traffic->policies, names);
    series_set_limit(traffic->servers.backends, names);
    series_set_limit(traffic->servers.servers, names);
}
