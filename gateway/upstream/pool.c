#include "upstream/pool_state.h"

#include "base/check.h"
#include "upstream/connection.h"

#include <stdlib.h>

/* Tries in ten seconds that a backend's requests may make whatever their number is: in the process,
 * and in a worker at least. */
enum { FREE_RETRIES = 100, FREE_RETRIES_LEAST = 10 };

/* --- what is known of the backend as a whole ------------------------------------------------ */

bool pool_spend_retry(struct pool *pool, unsigned percent)
{
    const struct pool_env *env = &pool->shared.env;
    unsigned share = FREE_RETRIES / env->worker_count;
    unsigned at_least = share > FREE_RETRIES_LEAST ? share : FREE_RETRIES_LEAST;
    bool is_paid = retry_budget_take(&pool->budget, loop_now_ms(env->loop), percent, at_least);
    metric_add(env->metrics, METRIC_UPSTREAM_RETRIES_REFUSED, !is_paid);
    return is_paid;
}

void pool_note_response(struct pool *pool, uint64_t sent_us)
{
    struct loop *loop = pool->shared.env.loop;
    if (pool->times != NULL)
        response_times_add(pool->times, loop_now_ms(loop), loop_now_us(loop) - sent_us);
}

uint64_t pool_hedge_after_us(struct pool *pool)
{
    if (pool->times == NULL || pool->server_count < 2)
        return 0;
    return response_times_within_us(pool->times, loop_now_ms(pool->shared.env.loop),
                                    pool->hedge_permille);
}

/* What was learned goes with the wish to know it. */
static void follow_hedge(struct pool *pool, unsigned permille)
{
    pool->hedge_permille = permille;
    if (permille == 0) {
        free(pool->times);
        pool->times = NULL;
    } else if (pool->times == NULL) {
        pool->times = memory_new(sizeof(*pool->times));
    }
}

/* --- the pool ----------------------------------------------------------------------------- */

static void look_again(void *owner);

struct pool *pool_new(const struct pool_env *env, const struct upstream_spec *spec)
{
    struct pool *pool = memory_new(sizeof(*pool));
    pool->shared.env = *env;
    pool->name = slice_duplicate(spec->name);
    pool->shared.name = pool->name;
    balancer_init(&pool->balancer, random_seed());
    list_init(&pool->awaiting);
    warm_up_init(&pool->warm_up, env->loop);
    pool->shared.warm_up = &pool->warm_up;
    pool->state = backend_state_take(env->states, spec);
    pool->shared.backend = pool->state;
    pool_hold_init(pool);
    backend_state_listen(pool->state, &pool->pull, env->bell, look_again, pool);
    pool_follow(pool, spec);
    return pool;
}

/* Takes the server that it is about out of the old ones, where the new one's place is the
 * likeliest.
 */
static struct server *claim(struct server **old, unsigned count, const struct server_state *state,
                            unsigned likely)
{
    for (unsigned i = 0; i < count; i++) {
        struct server **at = &old[(likely + i) % count];
        if (*at != NULL && (*at)->state == state) {
            struct server *server = *at;
            *at = NULL;
            return server;
        }
    }
    return NULL;
}

/* What is out comes back to be closed; who waits for its address goes on to the others. */
static void retire(struct server *server)
{
    server->is_retired = true;
    server_close_idle(server);
    server_close_unclaimed(server);
    server_wake_resolving(server);
    server_unref(server);
}

static void close_idle(struct pool *pool)
{
    for (unsigned i = 0; i < pool->server_count; i++) {
        server_close_idle(pool->servers[i]);
        server_close_unclaimed(pool->servers[i]);
    }
}

/* True if who may be picked, and how often, is another matter now. */
static bool take_servers(struct pool *pool, const struct server_set *set)
{
    struct server **old = pool->servers;
    unsigned old_count = pool->server_count;
    bool is_changed = old_count != set->count;

    pool->servers = memory_array(set->count + 1, sizeof(struct server *));
    pool->server_count = set->count;
    for (unsigned i = 0; i < set->count; i++) {
        const struct set_server *to = &set->servers[i];
        struct server *server = claim(old, old_count, to->state, i);
        is_changed |= server == NULL || server->share.weight != to->weight ||
                      server->share.is_backup != to->is_backup;
        if (server == NULL)
            server = server_new(&pool->shared, to);
        else
            server_follow(server, to);
        pool->servers[i] = server;
    }
    for (unsigned i = 0; i < old_count; i++) {
        if (old[i] != NULL)
            retire(old[i]);
    }
    free(old);
    balancer_follow(&pool->balancer, pool->servers, pool->server_count);
    return is_changed;
}

/* Another worker has adopted a newer generation. Its servers are for requests that it routes: here
 * they come when this worker adopts it, too. */
static bool is_early(const struct pool *pool, const struct server_set *set)
{
    return pool->servers != NULL && set->serial > pool->serial;
}

/* The newest servers, and another try for who waits for some. */
static void look_again(void *owner)
{
    struct pool *pool = owner;
    struct server_set *set = backend_state_set(pool->state);

    if (is_early(pool, set)) {
        server_set_unref(set);
        return;
    }
    pool->is_awaited = set->is_awaited;
    /* Behind the picks that were made: frequent changes must not favour the first server. */
    if (take_servers(pool, set))
        balancer_restart(&pool->balancer, pool->shared.env.worker + pool->picks);
    warm_up_follow(&pool->warm_up, pool->warm_up.min_idle, pool->servers, pool->server_count);
    server_set_unref(set);
    list_each (&pool->awaiting, node) {
        struct pool_wait *wait = container_of(node, struct pool_wait, place);
        list_remove(node);
        loop_wake(pool->shared.env.loop, wait->task);
    }
    pool_hold_look_again(pool);
}

void pool_follow(struct pool *pool, const struct upstream_spec *spec)
{
    pool->shared.keepalive = spec->keepalive;
    pool->shared.eject = spec->eject;
    pool->shared.slow_start_ms = spec->slow_start_ms;
    pool->balancer.balance = spec->balance;
    pool->shared.counts_requests = spec->balance != BALANCE_ROUND_ROBIN;
    pool->warm_up.min_idle = spec->names_clients ? 0 : spec->min_idle;
    follow_hedge(pool, spec->hedge_permille);
    pool_hold_follow(pool, spec);
    pool->serial = spec->serial;
    backend_state_follow(pool->state, spec);
    look_again(pool);
    /* What was made for the other way of talking is of no use for this one. */
    if (pool->shared.names_clients != spec->names_clients)
        close_idle(pool);
    pool->shared.names_clients = spec->names_clients;
}

static void free_pool(void *owner)
{
    struct pool *pool = owner;

    pool_clear_spare_waits(pool);
    balancer_clear(&pool->balancer);
    free(pool->servers);
    free(pool->times);
    free(pool->name);
    free(pool);
}

/* It has two tasks, and goes with the last one. */
static void bury_pool(void *owner)
{
    struct pool *pool = container_of(owner, struct pool, warm_up);

    loop_bury(pool->shared.env.loop, &pool->task, free_pool);
}

void pool_free(struct pool *pool)
{
    assert(pool_in_use(pool) == 0);
    warm_up_clear(&pool->warm_up);
    for (unsigned i = 0; i < pool->server_count; i++)
        retire(pool->servers[i]);
    backend_state_unlisten(pool->state, &pool->pull);
    pool_hold_clear(pool);
    backend_state_drop(pool->state);
    loop_bury(pool->shared.env.loop, &pool->warm_up.task, bury_pool);
}

unsigned pool_in_use(const struct pool *pool)
{
    return pool->wait_count + pool->shared.out_count;
}

void pool_close_idle(struct pool *pool)
{
    pool->shared.keepalive = 0;
    pool->warm_up.min_idle = 0;
    close_idle(pool);
}

/* --- status ------------------------------------------------------------------------------- */

unsigned pool_server_count(const struct pool *pool)
{
    return pool->server_count;
}

void pool_status(const struct pool *pool, struct pool_status *status)
{
    *status = (struct pool_status){
        .requests = atomic_load(&pool->state->requests),
        .held = atomic_load(&pool->state->turns.places),
    };
}

void pool_server_status(const struct pool *pool, unsigned index, struct pool_server_status *status)
{
    assert(index < pool->server_count);
    const struct server *server = pool->servers[index];
    *status = (struct pool_server_status){
        .name = slice_of(server_name(server)),
        .weight = server->share.weight,
        .idle = server->connection_count[USE_IDLE],
        .busy = server->connection_count[USE_BUSY],
        .connections = atomic_load(&server->state->connections),
        .is_backup = server->share.is_backup,
        .is_skipped = server_is_skipped(server),
        .idle_limit_ms = idle_habit_limit_ms(&server->idle_habit),
        .requests = server->requests,
        .connect_failures = server->connect_failures,
        .response_failures = server->response_failures,
    };
}

struct slice pool_name(const struct pool *pool)
{
    return slice_of(pool->name);
}
