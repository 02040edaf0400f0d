/* One route: what a host, or a path of it, leads to. Immutable. */
#ifndef ROUTING_ROUTE_H
#define ROUTING_ROUTE_H

#include "http/message.h"
#include "policy/template.h"
#include "routing/settings.h"
#include "upstream/upstream.h"

enum route_kind { ROUTE_TO, ROUTE_REDIRECT, ROUTE_RESPOND };

/* One share of a split; most routes have exactly one. */
struct route_target {
    const struct upstream_spec *upstream;
    uint32_t weight;
    struct settings settings;
};

struct host;

struct route {
    struct slice name; /* host key, plus the path key where paths matched */
    struct host *host; /* that it belongs to, and in whose arena it lives */
    unsigned place;    /* among its host's routes, in the order of the file */
    enum route_kind kind;

    /* ROUTE_TO */
    struct route_target *targets;
    unsigned target_count;
    uint64_t total_weight;
    struct affinity split_on; /* which clients get the same share again and again; NONE: in turn */
    enum setting_place split_on_from;

    /* ROUTE_REDIRECT and ROUTE_RESPOND */
    int status;
    struct template redirect; /* scheme, host, path, query, uri */
    struct http_fields respond_fields;
    struct slice respond_body;
    struct settings settings; /* without a backend's share */
};

/* Writes the redirect's Location for a request. */
struct slice route_location(const struct route *route, struct arena *arena, bool is_tls,
                            struct slice host, struct slice path, struct slice query);

/* The target for the n-th request of this route on a worker: exact shares per total_weight
 * requests, smoothly interleaved for small totals. */
const struct route_target *route_pick_target(const struct route *route, uint64_t n);
/* The target for a client, by what tells it from others (upstream/affinity.h): the same again and
 * again, on every gateway. Clients fall on the shares in the order of the file, so that a change of
 * weights moves no more of them than it must. */
const struct route_target *route_pick_target_for(const struct route *route, uint64_t key);

#endif
