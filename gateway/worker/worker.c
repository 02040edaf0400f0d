#include "worker/worker.h"

#include "base/clock.h"
#include "http/h2_memory.h"
#include "net/listener.h"
#include "policy/cache_port.h"
#include "policy/compress.h"
#include "policy/rate_shared.h"
#include "policy/token_memory.h"
#include "proxy/background.h"
#include "proxy/exchange.h"
#include "proxy/session.h"
#include "tls/tls_stream.h"
#include "worker/memory_return.h"
#include "worker/pools.h"
#include "worker/split_turns.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    ARENA_RESERVE_BYTES = 1024 * 1024,
    H2_RESERVE_BYTES = 1024 * 1024,
    CONNECTION_AGE_MS = 3600 * 1000, /* of connections to servers */
    CONNECTION_USES = 100 * 1000,
};

enum worker_state { WORKER_RUNNING, WORKER_DRAINING, WORKER_STOPPED };

struct worker_listener {
    struct list_node node;
    struct worker *worker;
    unsigned id;
    struct listener *listener;
    struct listen_spec
        spec; /* of the newest generation that had it; a copy, for it outlives that */
    struct task farewell;
};

struct worker {
    pthread_t thread;
    struct worker_options options;
    struct loop *loop;
    enum worker_state state; /* the worker's thread alone */
    struct metrics metrics;
    struct series_view routes;
    struct series_view policy_counters;
    struct server_view servers;
    struct h1_limits response_limits;
    struct proxy_env env;
    struct cache_port cache_port;
    struct bell bell;
    struct worker_pools pools;
    struct split_turns turns;
    struct compression compression;
    struct redis_client *redis;
    struct list listeners;
    struct task drain_check, finish;
    struct post *drained; /* the control thread's, posted once */
    struct post drain, cut, stop;
};

/* --- pins
 * ------------------------------------------------------------------------------------------ */

/* What is on its way back to the control thread, which may free it: never a worker. */
struct farewell {
    struct post post;
    struct snapshot *snapshot;
    struct host *host;
    struct globals *globals;
};

static void drop_references(void *owner)
{
    struct farewell *farewell = owner;

    snapshot_unref(farewell->snapshot);
    host_unref(farewell->host);
    globals_unref(farewell->globals);
    free(farewell);
}

static void send_back(struct worker *worker, const struct farewell *what)
{
    struct farewell *farewell = memory_try(sizeof(*farewell));

    if (farewell == NULL) { /* rather here than nowhere */
        snapshot_unref(what->snapshot);
        host_unref(what->host);
        globals_unref(what->globals);
        return;
    }
    *farewell = *what;
    farewell->post = (struct post){.run = drop_references, .owner = farewell};
    loop_post(worker->options.control, &farewell->post);
}

static void retire_pin(void *owner, struct pin *pin)
{
    send_back(owner, &(struct farewell){.snapshot = pin->snapshot});
    free(pin);
}

static void retire_route(void *owner, struct host *host, struct globals *globals)
{
    send_back(owner, &(struct farewell){.host = host, .globals = globals});
}

static struct pin *pin_new(struct snapshot *snapshot)
{
    struct pin *pin = memory_new(sizeof(*pin));

    pin->snapshot = snapshot_ref(snapshot);
    list_init(&pin->exchanges);
    list_init(&pin->handshakes);
    return pin;
}

static struct pool *take_pool(void *owner, const struct upstream_spec *spec)
{
    struct worker *worker = owner;

    return worker_pools_take(&worker->pools, spec);
}

static void drop_pool(void *owner, const struct upstream_spec *spec)
{
    struct worker *worker = owner;

    worker_pools_drop(&worker->pools, spec);
}

static uint64_t next_turn(void *owner, const struct route *route)
{
    struct worker *worker = owner;

    return split_turns_next(&worker->turns, route->name);
}

/* --- listeners
 * ------------------------------------------------------------------------------------- */

static void on_accept(void *owner, const struct accepted *accepted)
{
    struct worker_listener *entry = owner;

    session_start(&entry->worker->env, &entry->spec, entry->id, accepted);
}

static struct worker_listener *find_listener(struct worker *worker, unsigned id)
{
    list_each (&worker->listeners, node) {
        struct worker_listener *entry = container_of(node, struct worker_listener, node);
        if (entry->id == id)
            return entry;
    }
    return NULL;
}

static const struct listen_spec *listen_spec(void *owner, unsigned id)
{
    struct worker_listener *entry = find_listener(owner, id);

    return entry != NULL ? &entry->spec : NULL;
}

/* The generation that it is of may go before a listener that is closing has accepted its last. */
static void keep_spec(struct worker_listener *entry, const struct listen_spec *spec)
{
    struct network *proxies = NULL;

    if (spec->proxy_count > 0) {
        proxies = memory_array(spec->proxy_count, sizeof(*proxies));
        memcpy(proxies, spec->proxies, spec->proxy_count * sizeof(*proxies));
    }
    free(entry->spec.proxies);
    entry->spec = *spec;
    entry->spec.proxies = proxies;
}

static void open_listener(struct worker *worker, const struct worker_listen *listen)
{
    struct worker_listener *entry = memory_new(sizeof(*entry));

    entry->worker = worker;
    entry->id = listen->id;
    keep_spec(entry, listen->spec);
    entry->listener = listener_new(worker->loop, listen->fd, on_accept, entry);
    list_push_back(&worker->listeners, &entry->node);
}

static void free_listener(void *owner)
{
    struct worker_listener *entry = owner;

    free(entry->spec.proxies);
    free(entry);
}

static void bury_listener(void *owner)
{
    struct worker_listener *entry = owner;

    loop_bury(entry->worker->loop, &entry->farewell, free_listener);
}

/* What the kernel has queued is still accepted, in a task of the listener that runs before ours. */
static void close_listener(struct worker_listener *entry)
{
    list_remove(&entry->node);
    listener_close(entry->listener);
    task_init(&entry->farewell, bury_listener, entry);
    loop_wake(entry->worker->loop, &entry->farewell);
}

static void close_listeners(struct worker *worker)
{
    list_each (&worker->listeners, node)
        close_listener(container_of(node, struct worker_listener, node));
}

static void close_missing_listeners(struct worker *worker, const struct worker_change *change)
{
    list_each (&worker->listeners, node) {
        struct worker_listener *entry = container_of(node, struct worker_listener, node);
        bool is_there = false;
        for (unsigned i = 0; i < change->listen_count; i++)
            is_there |= change->listens[i].id == entry->id;
        if (!is_there)
            close_listener(entry);
    }
}

/* --- a new generation
 * ------------------------------------------------------------------------------ */

static void follow_redis(struct worker *worker, const struct globals *globals)
{
    redis_client_follow(worker->redis, globals->redis, globals->dns_servers,
                        globals->dns_server_count);
}

static void adopt(void *owner)
{
    struct worker_change *change = owner;
    struct worker *worker = change->worker;
    struct pin *before = worker->env.pin;

    close_missing_listeners(worker, change);
    worker->env.pin = pin_new(change->snapshot);
    worker->env.limits = change->snapshot->globals->limits;
    traffic_set_limit(worker->options.traffic, change->snapshot->globals->metrics_series);
    worker_pools_adopt(&worker->pools, change->snapshot->config);
    split_turns_follow(&worker->turns, change->snapshot->config->routes);
    follow_redis(worker, change->snapshot->globals);
    if (before != NULL) {
        exchanges_leave_pin(before);
        sessions_leave_pin(&worker->env, before);
        pin_check(&worker->env, before);
    }
    for (unsigned i = 0; i < change->listen_count; i++) {
        struct worker_listener *entry = find_listener(worker, change->listens[i].id);
        if (entry == NULL)
            open_listener(worker, &change->listens[i]);
        else
            keep_spec(entry, change->listens[i].spec);
    }
    loop_post(worker->options.control, &change->acknowledged);
}

void worker_publish(struct worker *worker, struct worker_change *change)
{
    change->worker = worker;
    change->deliver = (struct post){.run = adopt, .owner = change};
    loop_post(worker->loop, &change->deliver);
}

/* --- the end
 * --------------------------------------------------------------------------------------- */

static void check_drained(void *owner)
{
    struct worker *worker = owner;

    if (worker->state != WORKER_DRAINING || worker->env.session_count > 0 ||
        worker->drained == NULL)
        return;
    /* What it still fetches for the cache may be read by another worker's clients: it goes on until
     * all are drained. */
    pools_close_idle(&worker->pools);
    loop_post(worker->options.control, worker->drained);
    worker->drained = NULL;
}

static void sessions_gone(void *owner)
{
    struct worker *worker = owner;

    loop_wake(worker->loop, &worker->drain_check);
}

static void crowd_gone(void *owner)
{
    struct worker *worker = owner;

    memory_return_ask(worker->options.memory_return);
}

static void begin_drain(void *owner)
{
    struct worker *worker = owner;

    worker->state = WORKER_DRAINING;
    worker->env.is_draining = true;
    close_listeners(worker);
    sessions_drain(&worker->env);
    loop_wake(worker->loop, &worker->drain_check);
}

void worker_drain(struct worker *worker, struct post *drained)
{
    worker->drained = drained;
    worker->drain = (struct post){.run = begin_drain, .owner = worker};
    loop_post(worker->loop, &worker->drain);
}

static void cut_all(void *owner)
{
    struct worker *worker = owner;

    sessions_cut(&worker->env);
    loop_wake(worker->loop, &worker->drain_check);
}

void worker_cut(struct worker *worker)
{
    worker->cut = (struct post){.run = cut_all, .owner = worker};
    loop_post(worker->loop, &worker->cut);
}

/* --- the thread
 * ------------------------------------------------------------------------------------ */

/* What serving goes on with when there is no other memory. Pages that nobody ever writes to cost
 * nothing. */
static void set_memory_aside(struct worker *worker)
{
    arena_reserve_init(ARENA_RESERVE_BYTES);
    h2_reserve_init(H2_RESERVE_BYTES);
    buffer_cache_fill(SMALL_BUFFERS_ASIDE, LARGE_BUFFERS_ASIDE);
    loop_read_scratch(worker->loop);
    loop_write_scratch(worker->loop);
}

static void *run_worker(void *owner)
{
    struct worker *worker = owner;

    set_memory_aside(worker);
    loop_run(worker->loop);
    worker_pools_clear(&worker->pools);
    redis_client_free(worker->redis);
    bell_clear(&worker->bell);
    cache_port_clear(&worker->cache_port);
    split_turns_clear(&worker->turns);
    series_view_clear(&worker->routes);
    series_view_clear(&worker->policy_counters);
    server_view_clear(&worker->servers);
    token_memory_free(worker->env.policies.tokens);
    buffer_clear(&worker->env.log_line);
    loop_free(worker->loop);
    exchange_free_spares(&worker->env); /* with those that were buried last */
    encoders_clear(&worker->compression.encoders);
    arena_reserve_clear();
    h2_reserve_clear();
    tls_thread_clear();
    buffer_cache_clear();
    return NULL;
}

/* Runs behind the listeners' last tasks. */
static void finish_worker(void *owner)
{
    struct worker *worker = owner;
    struct pin *pin = worker->env.pin;

    sessions_cut(&worker->env);
    background_cut(&worker->env);
    worker->env.pin = NULL;
    if (pin != NULL)
        retire_pin(worker, pin);
    loop_stop(worker->loop);
}

static void stop_worker(void *owner)
{
    struct worker *worker = owner;

    worker->state = WORKER_STOPPED;
    close_listeners(worker);
    task_init(&worker->finish, finish_worker, worker);
    loop_wake(worker->loop, &worker->finish);
}

void worker_stop(struct worker *worker)
{
    worker->stop = (struct post){.run = stop_worker, .owner = worker};
    loop_post(worker->loop, &worker->stop);
    pthread_join(worker->thread, NULL);
    recent_free(worker->env.recent);
    free(worker);
}

static void fill_policy_env(struct worker *worker)
{
    struct policy_env *env = &worker->env.policies;

    env->loop = worker->loop;
    env->worker = worker;
    env->bell = &worker->bell;
    env->take_pool = take_pool;
    env->drop_pool = drop_pool;
    env->rates = worker->options.rates;
    env->passwords = worker->options.passwords;
    env->key_desk = worker->options.key_desk;
    env->tokens = token_memory_new();
    env->compression = &worker->compression;
    env->redis = worker->redis;
}

static void fill_env(struct worker *worker)
{
    struct proxy_env *env = &worker->env;

    env->loop = worker->loop;
    env->metrics = &worker->metrics;
    env->admission = worker->options.admission;
    env->routes = &worker->routes;
    env->policy_counters = &worker->policy_counters;
    fill_policy_env(worker);
    env->access_log = worker->options.access_log;
    env->files = worker->options.files;
    env->head_memory = worker->options.head_memory;
    env->tls_jobs = worker->options.tls_jobs;
    env->sticky_key = worker->options.sticky_key;
    if (worker->options.recent_bytes > 0)
        env->recent = recent_new(worker->options.recent_bytes);
    env->worker = worker;
    env->retire_pin = retire_pin;
    env->retire_route = retire_route;
    env->take_pool = take_pool;
    env->drop_pool = drop_pool;
    env->next_turn = next_turn;
    env->listen_spec = listen_spec;
    env->sessions_gone = sessions_gone;
    env->crowd_gone = crowd_gone;
    list_init(&env->sessions);
    background_init(env);
    env->cache_port = &worker->cache_port;
    if (getrandom(env->random_state, sizeof(env->random_state), 0) !=
        (ssize_t)sizeof(env->random_state))
        env->random_state[0] = clock_monotonic_us() | 1;
}

struct worker *worker_start(const struct worker_options *options, struct error *error)
{
    struct worker *worker = aligned_alloc(64, sizeof(*worker));
    char name[16];

    if (worker == NULL) {
        error_set(error, "no memory for a worker");
        return NULL;
    }
    memset(worker, 0, sizeof(*worker));
    worker->options = *options;
    worker->loop = loop_new();
    if (worker->loop == NULL) {
        error_set(error, "cannot start worker %u: no event loop: %s", options->number,
                  strerror(errno));
        free(worker);
        return NULL;
    }
    worker->response_limits = (struct h1_limits){
        .head_bytes = 64 * 1024, .fields = 200, .request_line = 16 * 1024, .underscores = true};
    list_init(&worker->listeners);
    bell_init(&worker->bell, worker->loop);
    cache_port_init(&worker->cache_port, worker->loop);
    split_turns_init(&worker->turns);
    encoders_init(&worker->compression.encoders, options->encoder_memory);
    worker->redis = redis_client_new(worker->loop, options->outage, rate_shared_script);
    task_init(&worker->drain_check, check_drained, worker);
    series_view_init(&worker->routes, options->traffic->routes, options->number);
    series_view_init(&worker->policy_counters, options->traffic->policies, options->number);
    server_view_init(&worker->servers, &options->traffic->servers, options->number);
    fill_env(worker);
    worker_pools_init(&worker->pools,
                      &(struct pool_env){.loop = worker->loop,
                                         .states = options->states,
                                         .bell = &worker->bell,
                                         .metrics = &worker->metrics,
                                         .counters = &worker->servers,
                                         .response_limits = &worker->response_limits,
                                         .worker = options->number,
                                         .worker_count = options->count,
                                         .connection_age_ms = CONNECTION_AGE_MS,
                                         .connection_uses = CONNECTION_USES});
    if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0) {
        error_set(error, "cannot start worker %u: no more threads are allowed", options->number);
        recent_free(worker->env.recent);
        token_memory_free(worker->env.policies.tokens);
        redis_client_free(worker->redis);
        series_view_clear(&worker->routes);
        series_view_clear(&worker->policy_counters);
        server_view_clear(&worker->servers);
        loop_free(worker->loop);
        free(worker);
        return NULL;
    }
    snprintf(name, sizeof(name), "worker-%u", options->number % 1000);
    pthread_setname_np(worker->thread, name);
    return worker;
}

const struct metrics *worker_metrics(const struct worker *worker)
{
    return &worker->metrics;
}

/* --- reports
 * --------------------------------------------------------------------------------------- */

static void make_report(void *owner)
{
    struct worker_report *report = owner;
    struct worker *worker = report->worker;

    report->generation = worker->env.pin != NULL ? worker->env.pin->snapshot->generation : 0;
    worker_pools_report(&worker->pools, report);
    loop_post(worker->options.control, &report->ready);
}

void worker_ask_report(struct worker *worker, struct worker_report *report)
{
    report->worker = worker;
    report->deliver = (struct post){.run = make_report, .owner = report};
    loop_post(worker->loop, &report->deliver);
}

static void copy_recent(void *owner)
{
    struct worker_recent *recent = owner;
    struct worker *worker = recent->worker;

    recent->copy = recent_copy(worker->env.recent, &recent->bytes);
    recent->left_out = recent_left_out(worker->env.recent);
    loop_post(worker->options.control, &recent->ready);
}

void worker_ask_recent(struct worker *worker, struct worker_recent *recent)
{
    recent->worker = worker;
    recent->deliver = (struct post){.run = copy_recent, .owner = recent};
    loop_post(worker->loop, &recent->deliver);
}
