#include "upstream/pool_state.h"

#include "base/check.h"
#include "upstream/connection.h"

#include <stdlib.h>

/* Ended waits that a pool keeps for the next requests. */
enum { SPARE_WAITS_MAX = 64 };

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

void pool_clear_spare_waits(struct pool *pool)
{
    while (pool->spare_waits != NULL) {
        struct pool_wait *wait = pool->spare_waits;
        pool->spare_waits = wait->next_spare;
        free(wait);
    }
}

/* --- the choice --------------------------------------------------------------------------- */

static const struct server *find_server(const struct pool *pool, struct slice name)
{
    for (unsigned i = 0; i < pool->server_count && !slice_is_empty(name); i++) {
        if (slice_equal(slice_of(server_name(pool->servers[i])), name))
            return pool->servers[i];
    }
    return NULL;
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

static void set_server(struct pool_wait *wait, struct server *server)
{
    if (wait->server != NULL)
        server_unref(wait->server);
    wait->server = server;
    if (server != NULL)
        server_ref(server);
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
