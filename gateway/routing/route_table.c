#include "routing/route_table.h"

#include <stdlib.h>

struct route_table {
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

struct route_table *route_table_new(void)
{
    return memory_new(sizeof(struct route_table));
}

static void clear_hosts(struct table *hosts)
{
    size_t position = 0;

    for (struct table_entry *entry; (entry = table_next(hosts, &position)) != NULL;)
        host_unref(entry->value);
    table_clear(hosts);
}

void route_table_free(struct route_table *table)
{
    if (!table)
        return;
    clear_hosts(&table->exact);
    clear_hosts(&table->wildcards);
    host_unref(table->any);
    free(table);
}

static bool is_wildcard(struct slice key)
{
    return slice_starts_with(key, slice_of("*."));
}

struct host *route_table_host(const struct route_table *table, struct slice key)
{
    if (slice_equal(key, slice_of("*")))
        return table->any;
    return is_wildcard(key) ? table_get(&table->wildcards, slice_skip(key, 2))
                            : table_get(&table->exact, key);
}

const struct route *route_table_named(const struct route_table *table, struct slice name)
{
    size_t length = 0;

    while (length < name.len && name.at[length] != '/' && name.at[length] != '=')
        length++;
    const struct host *host = route_table_host(table, slice_make(name.at, length));
    return host != NULL ? host_entry(host, slice_skip(name, length)) : NULL;
}

bool route_table_add(struct route_table *table, struct host *host)
{
    if (route_table_host(table, host->key)) {
        host_unref(host);
        return false;
    }
    if (slice_equal(host->key, slice_of("*"))) {
        table->any = host;
    } else if (is_wildcard(host->key)) {
        struct slice name = slice_skip(host->key, 2);
        size_t dots = count_dots(name);
        if (dots > table->most_dots)
            table->most_dots = dots;
        table_put(&table->wildcards, name, host);
    } else {
        table_put(&table->exact, host->key, host);
    }
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

const struct route *route_table_find(const struct route_table *table, struct slice host_name,
                                     struct slice path, struct slice *host_key)
{
    const struct host *host = find_host(table, host_name);

    if (host_key)
        *host_key = host ? host->key : slice_make(NULL, 0);
    return host ? host_find(host, path) : NULL;
}

const struct host *route_table_next(const struct route_table *table, size_t *position)
{
    size_t end = table->exact.capacity + table->wildcards.capacity;
    struct table_entry *entry = table_next(&table->exact, position);

    if (!entry && *position < end) {
        size_t place = *position - table->exact.capacity;
        entry = table_next(&table->wildcards, &place);
        *position = place + table->exact.capacity;
    }
    if (entry)
        return entry->value;
    return (*position)++ == end ? table->any : NULL;
}
