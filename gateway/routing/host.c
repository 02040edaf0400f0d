#include "routing/host.h"

#include <stdlib.h>

enum { LOOKED_AT_MOST = 64 }; /* of a host's policies, for one more */

struct host *host_new(struct slice key)
{
    struct host *host = memory_new(sizeof(*host));

    refcount_init(&host->references);
    arena_init_small(&host->arena);
    host->key = arena_copy(&host->arena, key);
    return host;
}

struct host *host_ref(struct host *host)
{
    refcount_take(&host->references);
    return host;
}

void host_unref(struct host *host)
{
    if (!host || !refcount_drop(&host->references))
        return;
    for (unsigned i = 0; i < host->backend_count; i++)
        upstream_unref(host->backends[i]);
    free(host->backends);
    free(host->inlines);
    for (unsigned i = 0; i < host->policy_count; i++)
        policy_unref(host->policies[i]);
    free(host->policies);
    table_clear(&host->exact);
    table_clear(&host->prefixes);
    arena_clear(&host->arena);
    free(host);
}

static bool is_exact_key(struct slice path)
{
    return path.len > 0 && path.at[0] == '=';
}

const struct route *host_entry(const struct host *host, struct slice path)
{
    if (slice_is_empty(path))
        return host->whole;
    return is_exact_key(path) ? table_get(&host->exact, slice_skip(path, 1))
                              : table_get(&host->prefixes, path);
}

bool host_add(struct host *host, struct slice path, struct route *route)
{
    bool is_exact = is_exact_key(path);
    struct table *paths = is_exact ? &host->exact : &host->prefixes;
    struct slice key = is_exact ? slice_skip(path, 1) : path;

    if (host_entry(host, path) != NULL)
        return false;
    route->host = host;
    route->place = host->route_count++;
    if (slice_is_empty(path)) {
        host->whole = route;
        return true;
    }
    table_put(paths, arena_copy(&host->arena, key), route);
    if (!is_exact && key.len > host->longest_prefix)
        host->longest_prefix = key.len;
    return true;
}

static void add(struct upstream_spec ***list, unsigned *count, struct upstream_spec *upstream)
{
    *list = memory_resize(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = upstream;
}

void host_add_backend(struct host *host, struct upstream_spec *upstream)
{
    for (unsigned i = 0; i < host->backend_count; i++)
        if (host->backends[i] == upstream)
            return;
    add(&host->backends, &host->backend_count, upstream_ref(upstream));
}

void host_add_inline(struct host *host, struct upstream_spec *upstream)
{
    add(&host->inlines, &host->inline_count, upstream);
}

/* What routes inherit comes with each of them: it is found among the last. Once in a while it is
 * held once more, which costs less than to look through all of many. */
static void add_policy(struct host *host, struct policy *policy)
{
    unsigned looked_at = 0;

    for (unsigned i = host->policy_count; i > 0 && looked_at < LOOKED_AT_MOST; looked_at++)
        if (host->policies[--i] == policy)
            return;
    host->policies =
        memory_resize(host->policies, (host->policy_count + 1) * sizeof(struct policy *));
    host->policies[host->policy_count++] = policy_ref(policy);
}

void host_add_policies(struct host *host, const struct policies *policies)
{
    for (enum policy_kind kind = 0; policies && kind < POLICY_KINDS; kind++)
        if (policies->of[kind])
            add_policy(host, policies->of[kind]);
}

/* Every key that can match ends where the path ends or at one of its slashes, with or without it.
 */
static const struct route *find_prefix(const struct host *host, struct slice path)
{
    size_t end = path.len < host->longest_prefix ? path.len : host->longest_prefix;

    for (size_t length = end; length > 0; length--) {
        bool ends_segment = length == path.len || path.at[length] == '/';
        if (!ends_segment && path.at[length - 1] != '/')
            continue;
        const struct route *route = table_get(&host->prefixes, slice_make(path.at, length));
        if (route)
            return route;
    }
    return NULL;
}

const struct route *host_find(const struct host *host, struct slice path)
{
    if (host->whole)
        return host->whole;
    const struct route *route = table_get(&host->exact, path);
    return route ? route : find_prefix(host, path);
}

static void list_paths(const struct table *paths, const struct route **list)
{
    size_t position = 0;

    for (struct table_entry *entry; (entry = table_next(paths, &position)) != NULL;) {
        const struct route *route = entry->value;
        list[route->place] = route;
    }
}

void host_routes(const struct host *host, const struct route **list)
{
    if (host->whole)
        list[host->whole->place] = host->whole;
    list_paths(&host->exact, list);
    list_paths(&host->prefixes, list);
}
