#include "upstream/pool.h"

#include "base/check.h"
#include "upstream/balancer.h"
#include "upstream/connection.h"
#include "upstream/response_times.h"
#include "upstream/retry_budget.h"
#include "upstream/warm_up.h"

#include <stdlib.h>

/* Ended waits that a pool keeps for the next requests. */
enum { SPARE_WAITS_MAX = 64 };

/* Tries in ten seconds that a backend's requests may make whatever their number is: in the process,
 * and in a worker at least. */
enum { FREE_RETRIES = 100, FREE_RETRIES_LEAST = 10 };

struct pool {
    struct pool_shared shared;
    struct balancer balancer;
    char *name;
    struct backend_state *state; /* taken */
    struct backend_pull pull;
    struct warm_up warm_up;
    struct list awaiting; /* waits of which no server was there to be asked yet */
    bool is_awaited;      /* there may be more servers: a name is looked up for the first time */
    struct server **servers;
    unsigned server_count;
    uint64_t picks;
    struct retry_budget budget;
    unsigned hedge_permille;
    struct response_times *times; /* NULL: nobody asks for them */
    unsigned wait_count;
    struct pool_wait *spare_waits;
    unsigned spare_count;
};

/* One request's asking. It has no task of its own: the asker's is woken by the connection that is
 * being made, and goes on with the next server when it asks again. */
struct pool_wait {
    struct pool *pool;
    struct task *task;
    uint64_t connect_timeout_ms;
    unsigned max_tries, tries;
    bool is_fresh;
    uint64_t key, sticky_server; /* of the ask */
    uint16_t retry_percent;
    struct balancer_history history;
    struct server *server;                  /* tried last; NULL: none yet */
    struct upstream_connection *connection; /* being made, or made; NULL: none */
    enum pool_failure failure;
    struct list_node place;   /* in the pool's `awaiting` */
    struct deadline deadline; /* while it is there */
    struct pool_wait *next_spare;
};

/* --- waits -------------------------------------------------------------------------------- */

static struct pool_wait *wait_new(struct pool *pool)
{
    struct pool_wait *wait = pool->spare_waits;
    if (wait == NULL) {
        wait = memory_try(sizeof(*wait));
        pool->wait_count += wait != NULL;
        return wait;
    }
    pool->wait_count++;
    pool->spare_waits = wait->next_spare;
    pool->spare_count--;
    return wait;
}

static void wait_free(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;
    pool->wait_count--;
    if (pool->spare_count >= SPARE_WAITS_MAX) {
        free(wait);
        return;
    }
    wait->next_spare = pool->spare_waits;
    pool->spare_waits = wait;
    pool->spare_count++;
}

static const struct server *find_server(const struct pool *pool, struct slice name)
{
    for (unsigned i = 0; i < pool->server_count && !slice_is_empty(name); i++) {
        if (slice_equal(slice_of(server_name(pool->servers[i])), name))
            return pool->servers[i];
    }
    return NULL;
}

static void set_server(struct pool_wait *wait, struct server *server)
{
    if (wait->server != NULL)
        server_unref(wait->server);
    wait->server = server;
    if (server != NULL)
        server_ref(server);
}

/* The one that the client belongs to, to be tried first; NULL: whoever's turn it is. */
static struct server *find_sticky(const struct pool_wait *wait)
{
    const struct pool *pool = wait->pool;
    if (wait->sticky_server == 0 || wait->tries > 0)
        return NULL;
    for (unsigned i = 0; i < pool->server_count; i++) {
        struct server *server = pool->servers[i];
        if (server->state->id == wait->sticky_server)
            return server != wait->history.avoid && server_is_usable(server) ? server : NULL;
    }
    return NULL;
}

static struct server *pick_server(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;
    const struct balancer_ask ask = {
        .history = &wait->history, .key = wait->key, .now_us = loop_now_us(pool->shared.env.loop)};
    struct server *server = balancer_pick(&pool->balancer, &ask);
    pool->picks += server != NULL;
    return server;
}

static struct server *choose_server(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;
    if (wait->tries >= wait->max_tries)
        return NULL;
    struct server *server = find_sticky(wait);
    if (server == NULL)
        server = pick_server(wait);
    if (server == NULL)
        return NULL;
    if (wait->tries > 0 && !pool_spend_retry(pool, wait->retry_percent))
        return NULL;
    if (wait->tries > 0)
        metric_add(pool->shared.env.metrics, METRIC_UPSTREAM_RETRIES, 1);
    wait->history.tried[wait->history.tried_count++] = server;
    wait->tries++;
    set_server(wait, server);
    return server;
}

/* False when there is nobody left to try; `failure` stays what the last one's was. */
static bool try_next(struct pool_wait *wait)
{
    struct server *server = choose_server(wait);
    if (server == NULL)
        return false;
    bool is_last_chance = wait->tries > 1 && wait->tries == wait->max_tries;
    if (!wait->is_fresh && !is_last_chance)
        wait->connection = connection_take_idle(server, wait->task);
    if (wait->connection == NULL) {
        server_note_chosen(server);
        wait->connection = connection_make(server, wait->connect_timeout_ms, wait->task);
    }
    if (wait->connection == NULL) {
        wait->failure = POOL_NO_MEMORY;
        wait->tries = wait->max_tries; /* others would fare no better */
        return false;
    }
    return true;
}

static bool may_await_servers(const struct pool_wait *wait)
{
    return wait->pool->is_awaited && wait->tries == 0 && wait->failure == POOL_NO_SERVER;
}

static void await_servers(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;

    deadline_init(&wait->deadline, wait->task);
    deadline_set(pool->shared.env.loop, &wait->deadline, wait->connect_timeout_ms);
    list_push_back(&pool->awaiting, &wait->place);
}

static void stop_awaiting(struct pool_wait *wait)
{
    deadline_clear(&wait->deadline);
    list_remove(&wait->place);
}

/* True as long as it is worth waiting for servers to come. */
static bool awaits_servers(struct pool_wait *wait)
{
    if (!list_has(&wait->place))
        return false;
    if (!deadline_passed(wait->pool->shared.env.loop, &wait->deadline))
        return true;
    wait->failure = POOL_CONNECT_TIMEOUT;
    stop_awaiting(wait);
    return false;
}

struct pool_wait *pool_ask(struct pool *pool, const struct pool_ask *ask, struct task *task)
{
    assert(ask->max_tries >= 1);
    struct pool_wait *wait = wait_new(pool);
    if (wait == NULL)
        return NULL;
    wait->pool = pool;
    wait->task = task;
    wait->connect_timeout_ms = ask->connect_timeout_ms;
    wait->tries = 0;
    wait->is_fresh = ask->fresh;
    wait->key = ask->key;
    wait->sticky_server = ask->sticky_server;
    wait->retry_percent = ask->retry_percent;
    wait->history.avoid = find_server(pool, ask->avoid);
    wait->history.tried_count = 0;
    if (ask->only_others && wait->history.avoid != NULL)
        wait->history.tried[wait->history.tried_count++] = wait->history.avoid;
    unsigned room = BALANCER_TRIES_MAX - wait->history.tried_count;
    wait->max_tries = ask->max_tries < room ? ask->max_tries : room;
    wait->server = NULL;
    wait->connection = NULL;
    wait->failure = POOL_NO_SERVER;
    if (!ask->again)
        retry_budget_note_request(&pool->budget, loop_now_ms(pool->shared.env.loop));
    if (!try_next(wait) && may_await_servers(wait))
        await_servers(wait);
    return wait;
}

/* Hands it out, or drops what failed. */
static enum io ask_connection(struct pool_wait *wait, struct upstream_connection **connection)
{
    enum io answer = connection_answer(wait->connection, &wait->failure);
    if (answer == IO_WAIT)
        return IO_WAIT;
    if (answer == IO_OK) {
        *connection = wait->connection;
        connection_hand_out(wait->connection);
    } else {
        server_count(wait->server, wait->failure == POOL_CONNECT_TIMEOUT ? UPSTREAM_CONNECT_TIMEOUT
                                                                         : UPSTREAM_CONNECT_FAILED);
        connection_close(wait->connection);
    }
    wait->connection = NULL;
    return answer;
}

enum io pool_answer(struct pool_wait *wait, struct upstream_connection **connection,
                    enum pool_failure *failure, struct slice *server, unsigned *attempts)
{
    enum io answer = awaits_servers(wait) ? IO_WAIT : IO_ERROR;
    while (answer != IO_WAIT && (wait->connection != NULL || try_next(wait))) {
        answer = ask_connection(wait, connection);
        if (answer != IO_ERROR)
            break;
    }
    if (answer == IO_ERROR && may_await_servers(wait)) {
        await_servers(wait);
        answer = IO_WAIT;
    }
    *failure = wait->failure;
    *server = wait->server != NULL ? slice_of(server_name(wait->server)) : slice_make(NULL, 0);
    *attempts = wait->tries;
    return answer;
}

void pool_wait_end(struct pool_wait *wait)
{
    if (list_has(&wait->place))
        stop_awaiting(wait);
    if (wait->connection != NULL) {
        server_count(wait->server, UPSTREAM_CANCELED);
        connection_abandon(wait->connection);
    }
    set_server(wait, NULL);
    wait_free(wait);
}

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
    const struct loop *loop = pool->shared.env.loop;
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

/* What is out comes back to be closed. */
static void retire(struct server *server)
{
    server->is_retired = true;
    server_close_idle(server);
    server_close_unclaimed(server);
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

/* The newest servers, and another try for who waits for some. */
static void look_again(void *owner)
{
    struct pool *pool = owner;
    struct server_set *set = backend_state_set(pool->state);

    pool->is_awaited = set->is_awaited;
    /* Behind the picks that were made: frequent changes must not favour the first server. */
    if (take_servers(pool, set))
        balancer_restart(&pool->balancer, pool->shared.env.worker + pool->picks);
    warm_up_follow(&pool->warm_up, pool->warm_up.min_idle, pool->servers, pool->server_count);
    server_set_unref(set);
    list_each (&pool->awaiting, node) {
        struct pool_wait *wait = container_of(node, struct pool_wait, place);
        stop_awaiting(wait);
        loop_wake(pool->shared.env.loop, wait->task);
    }
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
    backend_state_follow(pool->state, spec);
    look_again(pool);
    /* What was made for the other way of talking is of no use for this one. */
    if (pool->shared.names_clients != spec->names_clients)
        close_idle(pool);
    pool->shared.names_clients = spec->names_clients;
}

static void free_pool(void *owner)
{
    struct pool *pool = container_of(owner, struct pool, warm_up);

    while (pool->spare_waits != NULL) {
        struct pool_wait *wait = pool->spare_waits;
        pool->spare_waits = wait->next_spare;
        free(wait);
    }
    balancer_clear(&pool->balancer);
    free(pool->servers);
    free(pool->times);
    free(pool->name);
    free(pool);
}

void pool_free(struct pool *pool)
{
    assert(pool_in_use(pool) == 0);
    warm_up_clear(&pool->warm_up);
    for (unsigned i = 0; i < pool->server_count; i++)
        retire(pool->servers[i]);
    backend_state_unlisten(pool->state, &pool->pull);
    backend_state_drop(pool->state);
    loop_bury(pool->shared.env.loop, &pool->warm_up.task, free_pool);
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

void pool_server_status(const struct pool *pool, unsigned index, struct pool_server_status *status)
{
    assert(index < pool->server_count);
    const struct server *server = pool->servers[index];
    *status = (struct pool_server_status){
        .name = slice_of(server_name(server)),
        .weight = server->share.weight,
        .idle = server->connection_count[USE_IDLE],
        .busy = server->connection_count[USE_BUSY],
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
