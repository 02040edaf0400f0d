/* What a generation is made of, and who shares it. */
#include "config/config.h"

#include "base/check.h"
#include "policy/source.h"

#include <stdlib.h>

static struct globals *globals_new(void)
{
    struct globals *globals = memory_new(sizeof(*globals));

    refcount_init(&globals->references);
    return globals;
}

struct config *config_new(void)
{
    struct config *config = memory_new(sizeof(*config));

    refcount_init(&config->references);
    config->globals = globals_new();
    config->routes = route_table_new();
    return config;
}

struct snapshot *snapshot_new(struct config *config)
{
    struct snapshot *snapshot = memory_new(sizeof(*snapshot));

    refcount_init(&snapshot->references);
    snapshot_set_config(snapshot, config);
    return snapshot;
}

void snapshot_set_config(struct snapshot *snapshot, struct config *config)
{
    config_unref(snapshot->config);
    snapshot->config = config;
    snapshot->globals = config->globals;
    snapshot->routes = config->routes;
}

/* --- what a config holds ------------------------------------------------------------------------
 */

static void add_upstream(struct config *config, struct upstream_spec *upstream)
{
    unsigned count = config->upstream_count;

    if ((count & (count - 1)) == 0) /* doubles when it is a power of two */
        config->upstreams = memory_resize(config->upstreams, (count ? 2 * (size_t)count : 1) *
                                                                 sizeof(*config->upstreams));
    config->upstreams[config->upstream_count++] = upstream;
    table_put(&config->upstreams_by_name, upstream->name, upstream);
}

void config_add_backend(struct config *config, struct upstream_spec *upstream)
{
    assert(config->backend_count == config->upstream_count);
    add_upstream(config, upstream);
    config->backend_count++;
}

static void list_host(struct config *config, struct host *host)
{
    unsigned count = config->host_count;

    if ((count & (count - 1)) == 0) /* as above */
        config->hosts =
            memory_resize(config->hosts, (count ? 2 * (size_t)count : 1) * sizeof(*config->hosts));
    config->hosts[config->host_count++] = host;
}

/* Whom its policies ask: each once, whoever asks it. They live as long as the host does. */
static void add_services(struct config *config, const struct host *host)
{
    for (unsigned i = 0; i < host->policy_count; i++) {
        struct upstream_spec *service = host->policies[i]->service;
        if (service && !table_get(&config->upstreams_by_name, service->name))
            add_upstream(config, service);
    }
}

void config_add_host(struct config *config, struct host *host)
{
    for (unsigned i = 0; i < host->inline_count; i++)
        add_upstream(config, host->inlines[i]);
    add_services(config, host);
    config->route_count += host->route_count;
    if (route_table_add(config->routes, host))
        list_host(config, host);
}

/* --- references ---------------------------------------------------------------------------------
 */

bool listen_expects_header(const struct listen_spec *listen, const struct address *peer)
{
    for (unsigned i = 0; i < listen->proxy_count; i++)
        if (network_contains(&listen->proxies[i], peer))
            return true;
    return false;
}

bool globals_listen_on(const struct globals *globals, enum listen_kind kind)
{
    for (unsigned i = 0; i < globals->listen_count; i++)
        if (globals->listens[i].kind == kind)
            return true;
    return false;
}

struct globals *globals_ref(struct globals *globals)
{
    refcount_take(&globals->references);
    return globals;
}

void globals_unref(struct globals *globals)
{
    if (!globals || !refcount_drop(&globals->references))
        return;
    arena_clear(&globals->arena);
    free(globals);
}

void config_unref(struct config *config)
{
    if (!config || !refcount_drop(&config->references))
        return;
    for (unsigned i = 0; i < config->backend_count; i++)
        upstream_unref(config->upstreams[i]);
    free(config->upstreams);
    free(config->hosts);
    table_clear(&config->upstreams_by_name);
    route_table_free(config->routes);
    globals_unref(config->globals);
    arena_clear(&config->arena);
    free(config);
}

struct config *config_ref(struct config *config)
{
    refcount_take(&config->references);
    return config;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    refcount_take(&snapshot->references);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || !refcount_drop(&snapshot->references))
        return;
    if (snapshot->tls)
        tls_server_free(snapshot->tls);
    for (unsigned i = 0; i < snapshot->source_count; i++)
        source_unref(snapshot->sources[i].source);
    free(snapshot->sources);
    config_unref(snapshot->config);
    free(snapshot);
}
