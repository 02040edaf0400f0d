#include "worker/pools.h"

#include <stdlib.h>

struct named_pool {
    struct list_node node;
    struct pool *pool;
    uint64_t serial;  /* of the upstream that it follows */
    unsigned users;   /* requests */
    bool is_orphaned; /* the newest generation does not name it */
};

void worker_pools_init(struct worker_pools *pools, const struct pool_env *env)
{
    pools->env = *env;
    table_init(&pools->by_name);
    list_init(&pools->all);
}

static void free_pool(struct worker_pools *pools, struct named_pool *named)
{
    for (unsigned i = 0; i < POOLS_RECENT; i++)
        if (pools->recent[i].named == named)
            pools->recent[i] = (struct recent_pool){0};
    table_remove(&pools->by_name, pool_name(named->pool));
    list_remove(&named->node);
    pool_free(named->pool);
    free(named);
}

void worker_pools_clear(struct worker_pools *pools)
{
    list_each (&pools->all, node)
        free_pool(pools, container_of(node, struct named_pool, node));
    table_clear(&pools->by_name);
}

static const struct upstream_spec *newest_spec(const struct worker_pools *pools, struct slice name)
{
    return pools->config != NULL ? table_get(&pools->config->upstreams_by_name, name) : NULL;
}

/* A late request of an older generation does not bring old servers back. */
static struct named_pool *make_pool(struct worker_pools *pools, const struct upstream_spec *spec)
{
    const struct upstream_spec *newest = newest_spec(pools, spec->name);
    struct named_pool *named = memory_new(sizeof(*named));

    named->pool = pool_new(&pools->env, newest != NULL ? newest : spec);
    named->serial = newest != NULL ? newest->serial : spec->serial;
    named->is_orphaned = newest == NULL;
    table_put(&pools->by_name, pool_name(named->pool), named);
    list_push_back(&pools->all, &named->node);
    return named;
}

static struct named_pool *find_pool(struct worker_pools *pools, const struct upstream_spec *spec)
{
    struct recent_pool *recent = &pools->recent[spec->serial % POOLS_RECENT];

    if (recent->serial != spec->serial) {
        struct named_pool *named = table_get(&pools->by_name, spec->name);
        if (named == NULL)
            named = make_pool(pools, spec);
        *recent = (struct recent_pool){.serial = spec->serial, .named = named};
    }
    return recent->named;
}

struct pool *worker_pools_take(struct worker_pools *pools, const struct upstream_spec *spec)
{
    struct named_pool *named = find_pool(pools, spec);

    named->users++;
    return named->pool;
}

static void free_if_done(struct worker_pools *pools, struct named_pool *named)
{
    if (named->is_orphaned && named->users == 0)
        free_pool(pools, named);
}

void worker_pools_drop(struct worker_pools *pools, const struct upstream_spec *spec)
{
    struct named_pool *named = find_pool(pools, spec);

    assert(named->users > 0);
    named->users--;
    free_if_done(pools, named);
}

void worker_pools_adopt(struct worker_pools *pools, const struct config *config)
{
    if (pools->config == config)
        return; /* certificates alone have changed */
    pools->config = config;
    list_each (&pools->all, node) {
        struct named_pool *named = container_of(node, struct named_pool, node);
        const struct upstream_spec *spec = newest_spec(pools, pool_name(named->pool));
        named->is_orphaned = spec == NULL;
        if (spec == NULL) {
            pool_close_idle(named->pool);
            free_if_done(pools, named);
        } else if (spec->serial != named->serial) {
            pool_follow(named->pool, spec);
            named->serial = spec->serial;
        }
    }
    for (unsigned i = 0; i < config->backend_count; i++)
        if (config->upstreams[i]->min_idle > 0)
            find_pool(pools, config->upstreams[i]); /* to be ready before it is asked for */
}

void pools_close_idle(struct worker_pools *pools)
{
    list_each (&pools->all, node)
        pool_close_idle(container_of(node, struct named_pool, node)->pool);
}

/* Only for what the report holds: texts are copied into its arena. */
void worker_pools_report(struct worker_pools *pools, struct worker_report *report)
{
    struct arena *arena = &report->arena;

    report->count = 0;
    report->pools = arena_alloc(arena, (pools->by_name.count + 1) * sizeof(*report->pools));
    list_each (&pools->all, node) {
        struct pool *pool = container_of(node, struct named_pool, node)->pool;
        struct pool_report *row = &report->pools[report->count++];
        row->backend = arena_text(arena, pool_name(pool));
        pool_status(pool, &row->status);
        row->count = pool_server_count(pool);
        row->servers = arena_alloc(arena, (row->count + 1) * sizeof(*row->servers));
        for (unsigned i = 0; i < row->count; i++) {
            pool_server_status(pool, i, &row->servers[i]);
            row->servers[i].name = arena_copy(arena, row->servers[i].name);
        }
    }
}
