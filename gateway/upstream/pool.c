#include "upstream/pool_state.h"

#include "base/check.h"
#include "upstream/connection.h"

#include <stdlib.h>

/* Ended waits that a pool keeps for the next requests. */
enum { SPARE_WAITS_MAX = 64 };

/* Tries in ten seconds that a backend's requests may make whatever their number is: in the process,
 * and in a worker at least. */
enum { FREE_RETRIES = 100, FREE_RETRIES_LEAST = 10 };

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
        bool is_fine =
            server != wait->history.avoid && server_is_usable(server) && server_has_room(server);
        if (server->state->id == wait->sticky_server)
            return is_fine ? server : NULL;
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
    struct server *sticky = find_sticky(wait);

    return sticky != NULL ? sticky : pick_server(wait);
}

/* --- the way of one asking ---------------------------------------------------------------- */

static void leave_state(struct pool_wait *wait, enum pool_wait_state next)
{
    struct pool *pool = wait->pool;

    if (wait->state == WAIT_AWAITING)
        list_remove(&wait->place);
    if (wait->state != WAIT_HELD)
        return;
    if (next == WAIT_TRYING)
        hold_take(&pool->hold, &wait->held);
    else
        hold_remove(&pool->hold, &wait->held);
    turn_end_wait(&pool->shared.turn);
}

void pool_wait_enter(struct pool_wait *wait, enum pool_wait_state state)
{
    struct pool *pool = wait->pool;

    leave_state(wait, state);
    wait->state = state;
    if (state == WAIT_AWAITING)
        list_push_back(&pool->awaiting, &wait->place);
    if (state == WAIT_HELD)
        turn_begin_wait(&pool->shared.turn);
    if (state != WAIT_OVER)
        return;
    pool_end_trial(wait);
    deadline_clear(&wait->deadline);
    if (wait->has_place)
        turn_give_place(&pool->shared.turn);
    wait->has_place = false;
}

void pool_wait_fail(struct pool_wait *wait, enum pool_failure failure)
{
    struct metrics *metrics = wait->pool->shared.env.metrics;

    if (wait->claim != NULL && failure == POOL_OVER_LIMIT)
        metric_add(metrics, METRIC_UPSTREAM_OVER_LIMIT, 1);
    if (wait->claim != NULL && failure == POOL_NO_SERVER)
        metric_add(metrics, METRIC_UPSTREAM_NO_SERVER, 1);
    wait->failure = failure;
    pool_wait_enter(wait, WAIT_OVER);
}

static void note_try(struct pool_wait *wait, struct server *server)
{
    if (wait->tries > 0)
        metric_add(wait->pool->shared.env.metrics, METRIC_UPSTREAM_RETRIES, 1);
    wait->history.tried[wait->history.tried_count++] = server;
    wait->tries++;
    set_server(wait, server);
}

enum pool_try pool_try_with(struct pool_wait *wait, struct server *server)
{
    bool is_last_chance = wait->tries > 0 && wait->tries + 1 == wait->max_tries;

    if (!wait->is_fresh && !is_last_chance)
        wait->connection = connection_take_idle(server, wait->task);
    if (wait->connection == NULL) {
        if (!server_make_room(server))
            return TRY_NO_ROOM;
        server_note_chosen(server);
        wait->connection = connection_make(server, wait->connect_timeout_ms, wait->task);
    }
    note_try(wait, server);
    if (wait->connection == NULL) {
        pool_wait_fail(wait, POOL_NO_MEMORY); /* others would fare no better */
        return TRY_OVER;
    }
    pool_wait_enter(wait, WAIT_TRYING);
    return TRY_BEGUN;
}

/* Other workers may take the room of the one that was picked: then there is another one, or none.
 */
enum pool_try pool_try_next(struct pool_wait *wait)
{
    const struct pool *pool = wait->pool;
    enum pool_try result = TRY_NO_ROOM;

    if (wait->tries >= wait->max_tries)
        return TRY_NOBODY;
    if (!pool_may_admit(wait))
        return TRY_NO_ROOM;
    for (unsigned i = 0; result == TRY_NO_ROOM && i < pool->server_count; i++) {
        struct server *server = choose_server(wait);
        if (server == NULL)
            break;
        if (i == 0 && wait->tries > 0 && !pool_spend_retry(wait->pool, wait->retry_percent))
            return TRY_NOBODY;
        if (!pool_admit(wait))
            return TRY_NO_ROOM;
        wait->found_all_down |= wait->tries == 0 && !server_is_usable(server);
        result = pool_try_with(wait, server);
    }
    if (result == TRY_NO_ROOM && !balancer_lacks_room(&pool->balancer, &wait->history))
        return TRY_NOBODY;
    return result;
}

static bool may_await_servers(const struct pool_wait *wait)
{
    return wait->pool->is_awaited && wait->tries == 0;
}

static void go_on(struct pool_wait *wait)
{
    enum pool_try result = pool_try_next(wait);

    if (result == TRY_BEGUN || result == TRY_OVER)
        return;
    if (result == TRY_NOBODY && may_await_servers(wait))
        pool_wait_enter(wait, WAIT_AWAITING);
    else
        pool_hold_or_fail(wait, result);
}

struct pool_wait *pool_ask(struct pool *pool, const struct pool_ask *ask, struct task *task)
{
    struct pool_wait *wait = wait_new(pool);
    if (wait == NULL)
        return NULL;
    wait->pool = pool;
    wait->task = task;
    wait->state = WAIT_OVER;
    wait->claim = ask->claim;
    wait->held = (struct held){.route = ask->route};
    wait->connect_timeout_ms = ask->connect_timeout_ms;
    wait->tries = 0;
    wait->is_fresh = ask->fresh;
    wait->key = ask->key;
    wait->sticky_server = ask->sticky_server;
    wait->retry_percent = ask->retry_percent;
    wait->is_trial = wait->has_place = wait->found_all_down = false;
    wait->history.avoid = find_server(pool, ask->avoid);
    wait->history.tried_count = 0;
    if (ask->only_others && wait->history.avoid != NULL)
        wait->history.tried[wait->history.tried_count++] = wait->history.avoid;
    wait->history.wants_usable = pool_may_hold(wait);
    wait->max_tries = pool_ask_tries(ask, &wait->history);
    wait->server = NULL;
    wait->connection = NULL;
    wait->failure = POOL_NO_SERVER;
    deadline_init(&wait->deadline, task);
    if (!ask->again)
        retry_budget_note_request(&pool->budget, loop_now_ms(pool->shared.env.loop));
    if (pool_must_queue(wait))
        pool_hold_or_fail(wait, TRY_NO_ROOM);
    else
        go_on(wait);
    if (wait->state == WAIT_AWAITING)
        deadline_set(pool->shared.env.loop, &wait->deadline, wait->connect_timeout_ms);
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
    pool_end_trial(wait);
    return answer;
}

/* Something has happened, or its time is over. */
static void look_at(struct pool_wait *wait)
{
    bool is_late = deadline_passed(wait->pool->shared.env.loop, &wait->deadline);

    if (wait->state == WAIT_HELD && is_late)
        pool_end_hold(wait);
    else if (wait->state == WAIT_AWAITING && is_late)
        pool_wait_fail(wait, POOL_CONNECT_TIMEOUT);
    else if (wait->state == WAIT_AWAITING && !list_has(&wait->place))
        go_on(wait);
}

enum io pool_answer(struct pool_wait *wait, struct upstream_connection **connection,
                    enum pool_failure *failure, struct slice *server, unsigned *attempts)
{
    enum io answer = IO_ERROR;

    look_at(wait);
    while (wait->state == WAIT_TRYING && answer == IO_ERROR) {
        answer = ask_connection(wait, connection);
        if (answer == IO_OK)
            pool_wait_enter(wait, WAIT_OVER);
        else if (answer == IO_ERROR)
            go_on(wait);
    }
    if (wait->state != WAIT_OVER)
        answer = IO_WAIT;
    *failure = wait->failure;
    *server = wait->server != NULL ? slice_of(server_name(wait->server)) : slice_make(NULL, 0);
    *attempts = wait->tries;
    return answer;
}

void pool_wait_end(struct pool_wait *wait)
{
    if (wait->connection != NULL) {
        server_count(wait->server, UPSTREAM_CANCELED);
        connection_abandon(wait->connection);
    }
    pool_wait_enter(wait, WAIT_OVER);
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
