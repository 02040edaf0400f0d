#include "routing/route_table.h"

#include "base/check.h"
#include "base/table.h"

#include <stdlib.h>

/* What one host key leads to: one route for all of it, or routes by path. */
struct host {
    struct slice key;
    const struct route *whole;
    struct table exact;    /* "/x" of "=/x" */
    struct table prefixes; /* "/v1", "/v1/" */
    size_t longest_prefix; /* nothing longer is looked up, however long the request's path */
};

struct route_table {
    struct arena *arena;
    struct table exact;     /* whole names */
    struct table wildcards; /* "x.y" of "*.x.y" */
    size_t most_dots;       /* in a wildcard's "x.y": nothing deeper is looked up */
    struct host *any;       /* "*" */
};

static size_t count_dots(struct slice name)
{
    size_t dots = 0;

    for (size_t i = 0; i < name.len; i++)
        dots += name.at[i] == '.';
    return dots;
}

struct route_table *route_table_new(struct arena *arena)
{
    struct route_table *table = memory_new(sizeof(*table));

    table->arena = arena;
    return table;
}

static void clear_host(struct host *host)
{
    table_clear(&host->exact);
    table_clear(&host->prefixes);
}

static void clear_hosts(struct table *hosts)
{
    size_t position = 0;

    for (struct table_entry *entry; (entry = table_next(hosts, &position)) != NULL;)
        clear_host(entry->value);
    table_clear(hosts);
}

void route_table_free(struct route_table *table)
{
    if (!table)
        return;
    clear_hosts(&table->exact);
    clear_hosts(&table->wildcards);
    if (table->any)
        clear_host(table->any);
    free(table);
}

/* The host under `name` in `hosts`, made if it is not there. */
static struct host *host_in(struct route_table *table, struct table *hosts, struct slice name,
                            struct slice key)
{
    struct host *host = table_get(hosts, name);

    if (!host) {
        host = arena_alloc(table->arena, sizeof(*host));
        host->key = key;
        table_put(hosts, name, host);
    }
    return host;
}

static struct host *host_for(struct route_table *table, struct slice key)
{
    if (slice_equal(key, slice_of("*"))) {
        if (!table->any) {
            table->any = arena_alloc(table->arena, sizeof(*table->any));
            table->any->key = arena_copy(table->arena, key);
        }
        return table->any;
    }
    struct slice copy = arena_copy(table->arena, key);
    if (!slice_starts_with(key, slice_of("*.")))
        return host_in(table, &table->exact, copy, copy);
    struct slice name = slice_skip(copy, 2);
    size_t dots = count_dots(name);
    if (dots > table->most_dots)
        table->most_dots = dots;
    return host_in(table, &table->wildcards, name, copy);
}

bool route_table_add(struct route_table *table, struct slice host_key, struct slice path,
                     const struct route *route)
{
    struct host *host = host_for(table, host_key);

    if (slice_is_empty(path)) {
        if (host->whole)
            return false;
        host->whole = route;
        return true;
    }
    bool is_exact = path.at[0] == '=';
    struct table *paths = is_exact ? &host->exact : &host->prefixes;
    struct slice key = arena_copy(table->arena, is_exact ? slice_skip(path, 1) : path);
    if (table_get(paths, key))
        return false;
    /* Tables hold what may change; routes do not, but nobody writes through this pointer. */
    table_put(paths, key, (void *)route);
    if (!is_exact && key.len > host->longest_prefix)
        host->longest_prefix = key.len;
    return true;
}

/* The longest wildcard that has `name` below it. */
static const struct host *find_wildcard(const struct route_table *table, struct slice name)
{
    if (table->wildcards.count == 0)
        return NULL;
    for (size_t dots = count_dots(name); dots > 0; dots--) {
        name = slice_skip(name, (size_t)slice_find(name, '.') + 1);
        if (dots - 1 > table->most_dots)
            continue;
        const struct host *host = table_get(&table->wildcards, name);
        if (host)
            return host;
    }
    return NULL;
}

static const struct host *find_host(const struct route_table *table, struct slice name)
{
    const struct host *host = NULL;

    if (!slice_is_empty(name)) {
        host = table_get(&table->exact, name);
        if (!host)
            host = find_wildcard(table, name);
    }
    return host ? host : table->any;
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

const struct route *route_table_find(const struct route_table *table, struct slice host_name,
                                     struct slice path, struct slice *host_key)
{
    const struct host *host = find_host(table, host_name);

    if (host_key)
        *host_key = host ? host->key : slice_make(NULL, 0);
    if (!host)
        return NULL;
    if (host->whole)
        return host->whole;
    const struct route *route = table_get(&host->exact, path);
    return route ? route : find_prefix(host, path);
}
