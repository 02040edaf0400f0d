#include "control/status_page.h"

#include "base/clock.h"
#include "base/table.h"
#include "control/generations.h"

#include <stdlib.h>

struct status_query {
    struct control *control;
    struct task *task; /* NULL: nobody waits any more */
    struct worker_report *reports;
    unsigned count, unanswered;
    struct arena arena;   /* of the page */
    struct table by_name; /* its backends */
    struct status_page page;
    bool is_ready;
};

static void free_query(struct status_query *query)
{
    for (unsigned i = 0; i < query->count; i++)
        arena_clear(&query->reports[i].arena);
    free(query->reports);
    table_clear(&query->by_name);
    arena_clear(&query->arena);
    if (query->page.snapshot != NULL)
        snapshot_unref(query->page.snapshot);
    free(query);
}

/* --- adding up ---------------------------------------------------------------------------------
 */

static void list_servers(struct status_query *query, const struct upstream_spec *spec,
                         struct status_backend *backend)
{
    backend->server_count = spec->server_count;
    backend->servers =
        arena_alloc(&query->arena, (spec->server_count + 1) * sizeof(*backend->servers));
    for (unsigned k = 0; k < spec->server_count; k++)
        backend->servers[k] = (struct status_server){.name = spec->servers[k].name,
                                                     .weight = spec->servers[k].weight,
                                                     .is_backup = spec->servers[k].is_backup};
}

static uint64_t time_left(const struct server_state *server)
{
    uint64_t until_ms = atomic_load(&server->ejected_until_ms), now_ms = clock_monotonic_ms();

    return until_ms > now_ms ? until_ms - now_ms : 0;
}

/* Instead, if it is in use: those that it has now, names being looked up. */
static void list_set(void *owner, struct backend_state *state)
{
    struct status_query *query = owner;
    struct status_backend *backend = table_get(&query->by_name, slice_of(state->name));
    struct server_set *set = backend_state_set(state);
    if (backend != NULL && set->count > 0) {
        backend->server_count = set->count;
        backend->servers = arena_alloc(&query->arena, set->count * sizeof(*backend->servers));
        for (unsigned k = 0; k < set->count; k++) {
            const struct set_server *server = &set->servers[k];
            backend->servers[k] = (struct status_server){
                .name = arena_copy(&query->arena, slice_of(server->state->name)),
                .weight = server->weight,
                .is_backup = server->is_backup,
                .ejected_ms = time_left(server->state)};
        }
    }
    server_set_unref(set);
}

static void list_backends(struct status_query *query)
{
    struct status_page *page = &query->page;
    const struct config *config = page->snapshot->config;
    page->backends =
        arena_alloc(&query->arena, (config->upstream_count + 1) * sizeof(*page->backends));
    for (unsigned i = 0; i < config->upstream_count; i++) {
        struct status_backend *backend = &page->backends[page->backend_count++];
        backend->name = config->upstreams[i]->name;
        backend->spec = config->upstreams[i];
        list_servers(query, config->upstreams[i], backend);
        table_put(&query->by_name, backend->name, backend);
    }
    backend_states_each(query->control->backend_states, list_set, query);
}

static void add_server(struct status_backend *backend, const struct pool_server_status *seen)
{
    for (unsigned i = 0; i < backend->server_count; i++) {
        struct status_server *server = &backend->servers[i];
        if (!slice_equal(server->name, seen->name))
            continue;
        server->connections = seen->connections;
        server->idle += seen->idle;
        server->busy += seen->busy;
        server->skipped_by += seen->is_skipped;
        server->requests += seen->requests;
        server->connect_failures += seen->connect_failures;
        if (server->reported_by++ == 0 || seen->idle_limit_ms < server->idle_limit_ms)
            server->idle_limit_ms = seen->idle_limit_ms;
        return;
    }
}

static void add_checks(struct status_query *query)
{
    const struct health_checks *checks = query->control->health_checks;
    struct status_page *page = &query->page;
    for (unsigned i = 0; i < page->backend_count; i++) {
        struct status_backend *backend = &page->backends[i];
        const struct checked_backend *checked = health_checks_find(checks, backend->name);
        for (unsigned k = 0; checked != NULL && k < backend->server_count; k++) {
            struct status_server *server = &backend->servers[k];
            const struct server_health *found = health_checks_server(checked, server->name, k);
            server->is_checked = found != NULL;
            if (found != NULL)
                server->checked = *found;
        }
    }
}

/* Where nothing limits them they are not counted: then those that are in flight have a connection.
 */
static void add_pool(struct status_backend *backend, const struct pool_report *pool)
{
    backend->held = pool->status.held;
    if (backend->spec->max_requests != 0)
        backend->requests = pool->status.requests;
    for (unsigned i = 0; i < pool->count; i++) {
        add_server(backend, &pool->servers[i]);
        if (backend->spec->max_requests == 0)
            backend->requests += pool->servers[i].busy;
    }
}

static void add_reports(struct status_query *query)
{
    for (unsigned i = 0; i < query->count; i++) {
        const struct worker_report *report = &query->reports[i];
        for (unsigned k = 0; k < report->count; k++) {
            const struct pool_report *pool = &report->pools[k];
            struct status_backend *backend = table_get(&query->by_name, slice_of(pool->backend));
            if (backend != NULL)
                add_pool(backend, pool);
        }
    }
}

static void add_metrics(struct status_page *page, const struct metrics *metrics)
{
    const struct histogram *connect = &metrics->upstream_connect;
    for (int i = 0; i < METRIC_COUNT; i++)
        page->metrics[i] += metric_read(metrics, (enum metric)i);
    for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
        page->connect_counts[i] += counter_read(&connect->counts[i]);
    page->connect_us += counter_read(&connect->sum_us);
}

static void make_page(struct status_query *query)
{
    struct status_page *page = &query->page;
    struct control *control = query->control;
    page->control = control;
    page->worker_count = query->count;
    page->zones = cache_store_report(control->cache, &query->arena, &page->zone_count);
    for (unsigned i = 0; i < query->count; i++)
        add_metrics(page, worker_metrics(control->workers[i]));
    for (int i = 0; i < HEALTH_RESULTS; i++)
        page->checks[i] = health_checks_count(control->health_checks, (enum health_result)i);
    page->log_lost = access_writer_lost(control->access_writer);
    struct snapshot *snapshot = generations_current(control->generations);
    page->loads = generations_record(control->generations);
    page->last_read = generations_last_read(control->generations);
    certificates_list(&query->arena, snapshot, generations_broken(control->generations),
                      &page->certificates);
    if (snapshot != NULL) {
        page->snapshot = snapshot_ref(snapshot);
        list_backends(query);
        add_checks(query);
        add_reports(query);
    }
    query->is_ready = true;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void count_report(void *owner)
{
    struct status_query *query = owner;
    struct control *control = query->control;
    control->reports_out--;
    loop_wake(control->loop, &control->task);
    if (--query->unanswered > 0)
        return;
    if (query->task == NULL) {
        free_query(query);
        return;
    }
    make_page(query);
    loop_wake(control->loop, query->task);
}

struct status_query *status_query_start(struct control *control, struct task *task)
{
    struct status_query *query = memory_new(sizeof(*query));
    query->control = control;
    query->task = task;
    query->count = query->unanswered = control->worker_count;
    query->reports = memory_array(query->count + 1, sizeof(*query->reports));
    arena_init(&query->arena);
    for (unsigned i = 0; i < query->count; i++) {
        query->reports[i].ready = (struct post){.run = count_report, .owner = query};
        arena_init(&query->reports[i].arena);
        control->reports_out++;
        worker_ask_report(control->workers[i], &query->reports[i]);
    }
    if (query->count == 0) {
        make_page(query);
        loop_wake(control->loop, task);
    }
    return query;
}

enum io status_query_answer(struct status_query *query, const struct status_page **page)
{
    *page = &query->page;
    return query->is_ready ? IO_OK : IO_WAIT;
}

void status_query_end(struct status_query *query)
{
    query->task = NULL;
    if (query->unanswered == 0)
        free_query(query);
}
