#include "worker/pools.h"

#include <stdlib.h>

struct named_pool {
    struct pool *pool;
    unsigned pins; /* that have it in their table */
};

void worker_pools_init(struct worker_pools *pools, const struct pool_env *env)
{
    pools->env = *env;
    table_init(&pools->by_name);
}

static void free_pool(struct worker_pools *pools, struct named_pool *named)
{
    table_remove(&pools->by_name, pool_name(named->pool));
    pool_free(named->pool);
    free(named);
}

void worker_pools_clear(struct worker_pools *pools)
{
    size_t position = 0;
    struct table_entry *entry;

    while ((entry = table_next(&pools->by_name, &position)) != NULL) {
        struct named_pool *named = entry->value;
        pool_free(named->pool);
        free(named);
    }
    table_clear(&pools->by_name);
}

struct pool *worker_pools_find(struct worker_pools *pools, struct pin *pin,
                               const struct upstream_spec *spec, bool is_newest)
{
    struct named_pool *named = table_get(&pools->by_name, spec->name);

    if (named == NULL) {
        named = memory_new(sizeof(*named));
        named->pool = pool_new(&pools->env, spec);
        table_put(&pools->by_name, pool_name(named->pool), named);
    } else if (is_newest) {
        pool_follow(named->pool, spec);
    }
    named->pins++;
    pin->pools[spec->index] = named->pool;
    return named->pool;
}

void worker_pools_adopt(struct worker_pools *pools, struct pin *pin)
{
    const struct snapshot *snapshot = pin->snapshot;

    for (unsigned i = 0; pools->by_name.count > 0 && i < snapshot->config->upstream_count; i++)
        if (table_get(&pools->by_name, snapshot->config->upstreams[i]->name) != NULL)
            worker_pools_find(pools, pin, snapshot->config->upstreams[i], true);
}

void worker_pools_unpin(struct worker_pools *pools, struct pin *pin)
{
    for (unsigned i = 0; i < pin->snapshot->config->upstream_count; i++) {
        struct named_pool *named;
        if (pin->pools[i] == NULL)
            continue;
        named = table_get(&pools->by_name, pool_name(pin->pools[i]));
        if (--named->pins == 0)
            free_pool(pools, named);
    }
}

void pools_close_idle(struct worker_pools *pools)
{
    size_t position = 0;
    struct table_entry *entry;

    while ((entry = table_next(&pools->by_name, &position)) != NULL)
        pool_close_idle(((struct named_pool *)entry->value)->pool);
}

/* Only for what the report holds: texts are copied into its arena. */
void worker_pools_report(struct worker_pools *pools, struct worker_report *report)
{
    struct arena *arena = &report->arena;
    size_t position = 0;
    struct table_entry *entry;

    report->count = 0;
    report->pools = arena_alloc(arena, (pools->by_name.count + 1) * sizeof(*report->pools));
    while ((entry = table_next(&pools->by_name, &position)) != NULL) {
        struct pool *pool = ((struct named_pool *)entry->value)->pool;
        struct pool_report *row = &report->pools[report->count++];
        row->backend = arena_text(arena, pool_name(pool));
        row->count = pool_server_count(pool);
        row->servers = arena_alloc(arena, (row->count + 1) * sizeof(*row->servers));
        for (unsigned i = 0; i < row->count; i++) {
            pool_server_status(pool, i, &row->servers[i]);
            row->servers[i].name = arena_copy(arena, row->servers[i].name);
        }
    }
}
