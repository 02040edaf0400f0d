#include "upstream/pool_state.h"

#include <limits.h>

enum {
    TRIAL_EVERY_MS = 250, /* servers that could not be connected to, while requests are held */
    HAND_OVER_MS = 250,   /* workers give up idle connections that are in another's way */
};

static struct worker_turn *turn_of(struct pool *pool)
{
    return &pool->shared.turn;
}

static struct loop *loop_of(const struct pool *pool)
{
    return pool->shared.env.loop;
}

/* --- requests in flight ------------------------------------------------------------------- */

static bool has_room_for_request(const struct pool *pool)
{
    return pool->max_requests == 0 || atomic_load(&pool->state->requests) < pool->max_requests;
}

static bool is_admitted(const struct pool_wait *wait)
{
    return wait->claim == NULL || wait->claim->is_admitted;
}

bool pool_may_admit(const struct pool_wait *wait)
{
    return is_admitted(wait) || has_room_for_request(wait->pool);
}

bool pool_admit(struct pool_wait *wait)
{
    const struct pool *pool = wait->pool;
    unsigned before;

    if (is_admitted(wait) || pool->max_requests == 0)
        return true;
    before = atomic_load(&pool->state->requests);
    do {
        if (before >= pool->max_requests)
            return false;
    } while (!atomic_compare_exchange_weak(&pool->state->requests, &before, before + 1));
    wait->claim->is_admitted = true;
    return true;
}

void pool_leave(struct pool *pool, struct pool_claim *claim)
{
    if (!claim->is_admitted)
        return;
    claim->is_admitted = false;
    atomic_fetch_sub(&pool->state->requests, 1);
    turn_note_free(turn_of(pool));
}

/* --- what is free ------------------------------------------------------------------------- */

/* A request waits for those a moment even where none is held: there is room for it. */
static bool others_keep_idle(const struct server *server)
{
    return atomic_load(&server->state->idle) > server->connection_count[USE_IDLE];
}

static bool has_usable_server(const struct pool *pool, bool (*is_wanted)(const struct server *))
{
    for (unsigned i = 0; i < pool->server_count; i++) {
        const struct server *server = pool->servers[i];
        if (server->share.weight > 0 && server_is_usable(server) && is_wanted(server))
            return true;
    }
    return false;
}

static bool any(const struct server *server)
{
    (void)server;
    return true;
}

static bool could_serve(const struct pool *pool)
{
    return has_room_for_request(pool) && has_usable_server(pool, server_has_room);
}

/* Only connections are lacking: other workers may have idle ones. */
static bool lacks_connections(const struct pool *pool)
{
    return has_room_for_request(pool) && has_usable_server(pool, any) &&
           !has_usable_server(pool, server_has_room);
}

/* It is down, and nothing but a try will show that it is not any more. */
static bool is_to_be_tried(const struct server *server)
{
    uint32_t verdict = atomic_load_explicit(&server->state->verdict, memory_order_relaxed);

    return server->share.weight > 0 && server_is_skipped(server) && verdict != CHECK_DOWN;
}

static bool wants_trial(const struct pool *pool)
{
    bool is_wanted = pool->has_put_back;

    for (unsigned i = 0; i < pool->server_count && !is_wanted; i++)
        is_wanted = is_to_be_tried(pool->servers[i]);
    return is_wanted;
}

static void plan_trial(struct pool *pool)
{
    if (turn_of(pool)->waiting == 0 || !wants_trial(pool))
        deadline_clear(&pool->trial);
    else if (pool->trial.due_ms == 0)
        deadline_set(loop_of(pool), &pool->trial, TRIAL_EVERY_MS);
}

/* --- being held --------------------------------------------------------------------------- */

bool pool_may_hold(const struct pool_wait *wait)
{
    return wait->pool->limits.for_ms != 0 && wait->claim != NULL;
}

bool pool_must_queue(const struct pool_wait *wait)
{
    return pool_may_hold(wait) && !wait->claim->is_admitted &&
           turn_somebody_waits(&wait->pool->shared.turn);
}

static void fail(struct pool_wait *wait, enum pool_try why)
{
    const struct pool *pool = wait->pool;
    enum pool_failure failure = wait->failure;

    bool is_down = pool_may_hold(wait) && !has_usable_server(pool, any);

    if (wait->tries == 0 && why == TRY_NO_ROOM && !is_down)
        failure = POOL_OVER_LIMIT;
    else if (wait->tries == 0 || pool_may_hold(wait) || (wait->found_all_down && pool->knows_down))
        failure = POOL_NO_SERVER;
    pool_wait_fail(wait, failure);
}

static void set_deadline(struct pool_wait *wait)
{
    struct loop *loop = loop_of(wait->pool);
    uint64_t now_ms = loop_now_ms(loop), end_ms;

    if (wait->claim->held_since_ms == 0)
        wait->claim->held_since_ms = now_ms;
    end_ms = wait->claim->held_since_ms +
             (pool_may_hold(wait) ? wait->pool->limits.for_ms : HAND_OVER_MS);
    deadline_set(loop, &wait->deadline, end_ms > now_ms ? end_ms - now_ms : 1);
}

/* What it was tried with does not count any more: nothing of it was sent. */
static void hold_in_lane(struct pool_wait *wait, bool is_again)
{
    struct hold *hold = &wait->pool->hold;

    pool_leave(wait->pool, wait->claim);
    wait->history.tried_count = 0;
    wait->tries = 0;
    if (is_again ? hold_add_again(hold, &wait->held) : hold_add(hold, &wait->held))
        pool_wait_enter(wait, WAIT_HELD);
    else
        pool_wait_fail(wait, POOL_NO_MEMORY);
}

/* Nobody was told of what became free before it was known that somebody waits. */
static void look_for_free(struct pool *pool, bool is_first)
{
    if (could_serve(pool))
        turn_note_free(turn_of(pool));
    else if (is_first && lacks_connections(pool))
        turn_call_others(turn_of(pool));
}

static void hold(struct pool_wait *wait)
{
    struct pool *pool = wait->pool;
    bool is_first = turn_of(pool)->waiting == 0;

    metric_add(pool->shared.env.metrics, METRIC_UPSTREAM_HELD, 1);
    set_deadline(wait);
    hold_in_lane(wait, false);
    look_for_free(pool, is_first);
    plan_trial(pool);
}

/* Not at once once more: whatever its try failed for would have it fail again. */
static void hold_again(struct pool_wait *wait)
{
    wait->pool->has_put_back = true;
    hold_in_lane(wait, true);
    plan_trial(wait->pool);
}

/* How many may wait for what this one lacks; 0: it may not. */
static unsigned queue_for(const struct pool_wait *wait, enum pool_try why)
{
    const struct pool *pool = wait->pool;

    if (pool_may_hold(wait))
        return pool->limits.queue;
    return why == TRY_NO_ROOM && wait->claim != NULL && lacks_connections(pool) &&
                   has_usable_server(pool, others_keep_idle)
               ? UINT_MAX
               : 0;
}

void pool_hold_or_fail(struct pool_wait *wait, enum pool_try why)
{
    struct pool *pool = wait->pool;

    if (wait->has_place && !deadline_passed(loop_of(pool), &wait->deadline)) {
        hold_again(wait);
        return;
    }
    if (wait->has_place || !turn_take_place(turn_of(pool), queue_for(wait, why))) {
        fail(wait, why);
        return;
    }
    wait->has_place = true;
    hold(wait);
}

/* Once more, with any of them if all are down. */
void pool_end_hold(struct pool_wait *wait)
{
    enum pool_try result;

    wait->history.wants_usable = has_usable_server(wait->pool, any);
    wait->max_tries = 1;
    result = pool_try_next(wait);
    if (result == TRY_NO_ROOM || result == TRY_NOBODY)
        fail(wait, result);
}

bool pool_wait_is_held(const struct pool_wait *wait)
{
    return wait->has_place;
}

bool pool_wait_is_waiting(const struct pool_wait *wait)
{
    return wait->state == WAIT_HELD;
}

bool pool_wait_follow(struct pool_wait *wait, const struct pool_ask *ask)
{
    struct hold *hold = &wait->pool->hold;
    bool is_other = !slice_equal(wait->held.route, ask->route);

    assert(wait->state == WAIT_HELD);
    if (!pool_may_hold(wait))
        return false;
    wait->connect_timeout_ms = ask->connect_timeout_ms;
    wait->max_tries = pool_ask_tries(ask, &wait->history);
    wait->key = ask->key;
    wait->sticky_server = ask->sticky_server;
    if (is_other)
        hold_remove(hold, &wait->held);
    wait->held.route = ask->route;
    set_deadline(wait);
    return !is_other || hold_add(hold, &wait->held);
}

/* --- being served ------------------------------------------------------------------------- */

static struct pool_wait *next_wait(const struct pool *pool)
{
    struct held *next = hold_next(&pool->hold);

    return next != NULL ? container_of(next, struct pool_wait, held) : NULL;
}

/* True if its asker has something to see. */
static bool is_served(struct pool_wait *wait, enum pool_try result)
{
    if (result == TRY_BEGUN || result == TRY_OVER) {
        loop_wake(loop_of(wait->pool), wait->task);
        return true;
    }
    pool_leave(wait->pool, wait->claim);
    return false;
}

static bool serve_next(struct pool *pool)
{
    struct pool_wait *wait = next_wait(pool);

    /* Looked at before a place is taken that might have to be given back, which calls others. */
    return wait != NULL && could_serve(pool) && is_served(wait, pool_try_next(wait));
}

static void try_for_held(struct pool *pool, struct server *server)
{
    struct pool_wait *wait = next_wait(pool);

    if (wait == NULL || !server_has_room(server) || !pool_admit(wait))
        return;
    wait->is_trial = server->is_on_trial = true;
    if (!is_served(wait, pool_try_with(wait, server)))
        wait->is_trial = server->is_on_trial = false;
}

void pool_end_trial(struct pool_wait *wait)
{
    if (wait->is_trial)
        wait->server->is_on_trial = false;
    wait->is_trial = false;
}

/* One request each: who is held is not sent where nobody answers together. */
static void try_what_is_down(struct pool *pool)
{
    deadline_clear(&pool->trial);
    pool->has_put_back = false;
    for (unsigned i = 0; i < pool->server_count; i++) {
        struct server *server = pool->servers[i];
        if (is_to_be_tried(server) && !server->is_on_trial)
            try_for_held(pool, server);
    }
}

/* Idle connections that take the room which another worker waits for. */
static void give_up_idle(struct pool *pool)
{
    for (unsigned i = 0; i < pool->server_count; i++)
        server_close_surplus(pool->servers[i]);
}

/* What became free, or was kept for later, goes to one of those that are held. */
static void tend(void *owner)
{
    struct pool *pool = owner;
    struct worker_turn *turn = turn_of(pool);
    uint64_t event = turn_event(turn);

    if (deadline_passed(loop_of(pool), &pool->trial))
        try_what_is_down(pool);
    if (serve_next(pool))
        turn_pass(turn, could_serve(pool) || lacks_connections(pool));
    else if (turn_fail(turn, event) && turn->waiting > 0 && lacks_connections(pool))
        turn_call_others(turn);
    give_up_idle(pool);
    plan_trial(pool);
}

/* --- life --------------------------------------------------------------------------------- */

void pool_hold_init(struct pool *pool)
{
    hold_init(&pool->hold);
    task_init(&pool->task, tend, pool);
    deadline_init(&pool->trial, &pool->task);
    turn_init(turn_of(pool), &pool->state->turns, pool->shared.env.bell, loop_of(pool),
              &pool->task);
}

void pool_hold_clear(struct pool *pool)
{
    deadline_clear(&pool->trial);
    turn_clear(turn_of(pool));
    hold_clear(&pool->hold);
}

void pool_hold_follow(struct pool *pool, const struct upstream_spec *spec)
{
    pool->shared.max_connections = spec->max_connections;
    pool->max_requests = spec->max_requests;
    pool->limits = spec->hold.queue > 0 ? spec->hold : (struct hold_spec){0};
    pool->knows_down = spec->health.is_on || spec->eject.after > 0 || pool->limits.for_ms > 0;
}

void pool_hold_look_again(struct pool *pool)
{
    give_up_idle(pool);
    if (turn_of(pool)->waiting > 0)
        turn_note_free(turn_of(pool));
    plan_trial(pool);
}
