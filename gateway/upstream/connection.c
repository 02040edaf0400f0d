#include "upstream/connection_state.h"

#include "base/check.h"
#include "base/table.h"
#include "upstream/warm_up.h"

#include <stdlib.h>

static enum connection_use use_of(const struct upstream_connection *c)
{
    switch (c->state) {
    case CONNECTION_NEW:
    case CONNECTION_CLOSED: return USE_COUNT;
    case CONNECTION_IDLE: return USE_IDLE;
    case CONNECTION_WATCHED: return USE_WATCHED;
    case CONNECTION_OUT: return USE_BUSY;
    default: return c->claimant != NULL ? USE_BUSY : USE_UNCLAIMED;
    }
}

/* From the moment that somebody is to get it, connected or not: a server that lets connections wait
 * is as busy as one that lets requests wait. */
static void count_in_flight(struct upstream_connection *c, bool is_busy)
{
    _Atomic uint32_t *in_flight = &c->server->state->in_flight;

    if (is_busy && c->server->shared->counts_requests) {
        c->is_counted = true;
        atomic_fetch_add_explicit(in_flight, 1, memory_order_relaxed);
    } else if (!is_busy && c->is_counted) {
        c->is_counted = false;
        atomic_fetch_sub_explicit(in_flight, 1, memory_order_relaxed);
    }
}

/* Other workers see that there is room to be had. */
static void count_idle(struct upstream_connection *c, bool is_idle)
{
    if (is_idle && c->server->shared->max_connections != 0) {
        c->is_known_idle = true;
        atomic_fetch_add(&c->server->state->idle, 1);
    } else if (!is_idle && c->is_known_idle) {
        c->is_known_idle = false;
        atomic_fetch_sub(&c->server->state->idle, 1);
    }
}

void connection_enter(struct upstream_connection *c, enum connection_state state,
                      struct task *claimant)
{
    struct server *server = c->server;
    enum connection_use before = use_of(c);
    server->shared->out_count -= c->state == CONNECTION_OUT;
    server->shared->out_count += state == CONNECTION_OUT;
    c->state = state;
    c->claimant = claimant;
    enum connection_use use = use_of(c);
    if (use == before)
        return;
    count_in_flight(c, use == USE_BUSY);
    count_idle(c, use == USE_IDLE);
    if (before == USE_IDLE || before == USE_UNCLAIMED)
        warm_up_note_gone(server->shared->warm_up);
    if (before != USE_COUNT) {
        list_remove(&c->node);
        server->connection_count[before]--;
    }
    if (use != USE_COUNT) {
        list_push_front(&server->connections[use], &c->node);
        server->connection_count[use]++;
    }
}

void connection_close(struct upstream_connection *c)
{
    struct server *server = c->server;
    connection_enter(c, CONNECTION_CLOSED, NULL);
    deadline_clear(&c->deadline);
    if (c->dial != NULL)
        dial_end(c->dial);
    if (c->http != NULL)
        h1_connection_free(c->http);
    if (c->stream != NULL)
        stream_close(c->stream);
    loop_bury(connection_loop(c), &c->task, free);
    server_give_room(server);
    server_unref(server);
}

/* --- the making --------------------------------------------------------------------------- */

static void fail(struct upstream_connection *c, enum pool_failure failure)
{
    connection_count_event(c, METRIC_UPSTREAM_CONNECT_FAILURES);
    c->failure = failure;
    deadline_clear(&c->deadline);
    if (c->claimant == NULL) {
        connection_close(c);
        return;
    }
    connection_enter(c, CONNECTION_FAILED, c->claimant);
    loop_wake(connection_loop(c), c->claimant);
}

/* Up to a tenth less than the age that is allowed: not all at once. */
static void set_age(struct upstream_connection *c)
{
    uint64_t age_ms = c->server->shared->env.connection_age_ms;
    uint64_t spread = hash_bytes(slice_make((const char *)&c, sizeof(c)));

    if (age_ms != 0)
        c->retire_ms = loop_now_ms(connection_loop(c)) + age_ms - spread % (age_ms / 10 + 1);
}

static void note_made(struct upstream_connection *c)
{
    connection_count_event(c, METRIC_UPSTREAM_CONNECTS);
    set_age(c);
    histogram_add(&c->server->shared->env.metrics->upstream_connect,
                  loop_now_us(connection_loop(c)) - c->dialed_us);
    c->http = h1_connection_new(c->stream, H1_TO_BACKEND, c->server->shared->env.response_limits);
    if (c->http == NULL) {
        fail(c, POOL_NO_MEMORY);
        return;
    }
    connection_enter(c, CONNECTION_MADE, c->claimant);
    if (c->claimant != NULL)
        loop_wake(connection_loop(c), c->claimant);
    else
        connection_rest_or_close(c);
}

static void await_dial(struct upstream_connection *c)
{
    enum dial_failure failure = DIAL_REFUSED;
    enum io answer = dial_answer(c->dial, &c->stream, &failure);
    if (answer == IO_WAIT)
        return;
    if (answer == IO_OK)
        server_note_connected(c->server, dial_current(c->dial));
    else if (failure != DIAL_NO_FDS) /* which is not the server's fault */
        server_note_unreachable(c->server);
    dial_end(c->dial);
    c->dial = NULL;
    if (answer == IO_OK)
        note_made(c);
    else
        fail(c, failure == DIAL_TIMEOUT ? POOL_CONNECT_TIMEOUT : POOL_CONNECT_FAILED);
}

static void start_dial(struct upstream_connection *c)
{
    uint64_t now_ms = loop_now_ms(connection_loop(c));
    uint64_t left_ms = 0;
    if (c->due_ms != 0)
        left_ms = c->due_ms > now_ms ? c->due_ms - now_ms : 1;
    deadline_clear(&c->deadline);
    c->dialed_us = loop_now_us(connection_loop(c));
    c->moves = c->server->moves;
    connection_enter(c, CONNECTION_CONNECTING, c->claimant);
    c->dial = dial_start(connection_loop(c), c->server->addresses, c->server->address_count,
                         left_ms, &c->task);
    if (c->dial == NULL)
        fail(c, POOL_NO_MEMORY);
    else
        await_dial(c);
}

static void await_address(struct upstream_connection *c)
{
    enum addresses_known known = c->server->known;
    bool is_late = deadline_passed(connection_loop(c), &c->deadline);
    if (known == ADDRESSES_KNOWN) {
        start_dial(c);
    } else if (c->server->is_retired) { /* nobody tells it any more */
        fail(c, POOL_CONNECT_FAILED);
    } else if (known == ADDRESSES_MISSING || is_late) {
        server_note_unreachable(c->server);
        fail(c, known != ADDRESSES_MISSING ? POOL_CONNECT_TIMEOUT : POOL_CONNECT_FAILED);
    }
}

static void run(void *owner)
{
    struct upstream_connection *c = owner;
    switch (c->state) {
    case CONNECTION_RESOLVING: await_address(c); break;
    case CONNECTION_CONNECTING: await_dial(c); break;
    case CONNECTION_IDLE: connection_check_idle(c); break;
    case CONNECTION_WATCHED: connection_check_watched(c); break;
    default: break; /* an idle deadline that was left to run out while it is out */
    }
}

struct upstream_connection *connection_make(struct server *server, uint64_t timeout_ms,
                                            struct task *claimant)
{
    struct upstream_connection *c = memory_try(sizeof(*c));
    if (c == NULL) {
        server_give_room(server);
        return NULL;
    }
    c->server = server;
    server_ref(server);
    task_init(&c->task, run, c);
    deadline_init(&c->deadline, &c->task);
    c->due_ms = timeout_ms > 0 ? loop_now_ms(connection_loop(c)) + timeout_ms : 0;
    connection_enter(c, CONNECTION_RESOLVING, claimant);
    deadline_set(connection_loop(c), &c->deadline, timeout_ms);
    await_address(c);
    return c;
}

enum io connection_answer(struct upstream_connection *c, enum pool_failure *failure)
{
    if (c->state == CONNECTION_MADE)
        return IO_OK;
    if (c->state != CONNECTION_FAILED)
        return IO_WAIT;
    *failure = c->failure;
    return IO_ERROR;
}

void connection_hand_out(struct upstream_connection *c)
{
    c->server->requests++;
    c->uses++;
    c->sent_us = 0;
    connection_enter(c, CONNECTION_OUT, NULL);
}

void connection_abandon(struct upstream_connection *c)
{
    const struct server *server = c->server;
    unsigned future = server->connection_count[USE_IDLE] + server->connection_count[USE_UNCLAIMED];
    if (c->state == CONNECTION_MADE)
        connection_rest_or_close(c);
    else if (c->state == CONNECTION_FAILED || server->is_retired ||
             future >= server->shared->keepalive)
        connection_close(c);
    else
        connection_enter(c, c->state, NULL);
}

/* --- all of a server's -------------------------------------------------------------------- */

static void close_all(struct server *server, enum connection_use use)
{
    server_ref(server);
    list_each (&server->connections[use], node)
        connection_close(container_of(node, struct upstream_connection, node));
    server_unref(server);
}

void server_close_idle(struct server *server)
{
    close_all(server, USE_IDLE);
    close_all(server, USE_WATCHED);
}

bool server_close_oldest_idle(struct server *server)
{
    struct list_node *oldest = list_last(&server->connections[USE_IDLE]);

    if (oldest != NULL)
        connection_close(container_of(oldest, struct upstream_connection, node));
    return oldest != NULL;
}

void server_close_unclaimed(struct server *server)
{
    close_all(server, USE_UNCLAIMED);
}

void server_wake_resolving(struct server *server)
{
    for (enum connection_use use = USE_BUSY; use <= USE_UNCLAIMED; use++) {
        list_each (&server->connections[use], node) {
            struct upstream_connection *c = container_of(node, struct upstream_connection, node);
            if (c->state == CONNECTION_RESOLVING)
                loop_wake(connection_loop(c), &c->task);
        }
    }
}

/* --- while it is out ---------------------------------------------------------------------- */

struct http_stream *upstream_connection_begin(struct upstream_connection *c, struct task *task)
{
    return h1_connection_begin(c->http, task);
}

bool upstream_connection_names_client(const struct upstream_connection *c)
{
    return c->server->shared->names_clients && !c->is_reused;
}

void upstream_connection_name_client(struct upstream_connection *c,
                                     const struct proxy_header *client)
{
    char bytes[PROXY_HEADER_V2_WRITTEN_MAX];
    size_t length = proxy_header_write_v2(client, bytes);

    assert(c->state == CONNECTION_OUT && !c->is_reused);
    h1_connection_lead(c->http, slice_make(bytes, length));
    c->is_named = true;
}

bool upstream_connection_is_reused(const struct upstream_connection *c)
{
    return c->is_reused;
}

struct slice upstream_connection_host(const struct upstream_connection *c)
{
    return slice_of(c->server->host);
}

void upstream_connection_note_stale(struct upstream_connection *c)
{
    if (c->is_reused)
        idle_habit_note_closed(&c->server->idle_habit, c->idle_ms);
}

void upstream_connection_note_sent(struct upstream_connection *c)
{
    c->sent_us = loop_now_us(connection_loop(c));
}

void upstream_connection_note_answered(struct upstream_connection *c)
{
    uint64_t now_us = loop_now_us(connection_loop(c));
    if (c->sent_us != 0)
        peak_ewma_note(&c->server->share.latency, now_us, now_us - c->sent_us);
    c->sent_us = 0;
}

/* What the end of its request tells of latency. */
static void note_outcome(struct upstream_connection *c, enum upstream_outcome outcome)
{
    struct peak_ewma *latency = &c->server->share.latency;
    uint64_t now_us = loop_now_us(connection_loop(c));
    uint64_t waited_us = c->sent_us != 0 ? now_us - c->sent_us : 0;
    if (outcome == UPSTREAM_5XX || upstream_outcome_blames_server(outcome))
        peak_ewma_note_failure(latency, now_us, waited_us);
    else if (outcome == UPSTREAM_CANCELED)
        peak_ewma_note_at_least(latency, now_us, waited_us);
}

void upstream_connection_count(struct upstream_connection *c, enum upstream_outcome outcome)
{
    note_outcome(c, outcome);
    c->server->response_failures += upstream_outcome_blames_server(outcome);
    server_count(c->server, outcome);
}

void upstream_connection_give_back(struct upstream_connection *c)
{
    assert(c->state == CONNECTION_OUT);
    if (h1_connection_state(c->http) == H1_IDLE)
        idle_habit_note_told(&c->server->idle_habit, h1_connection_idle_hint(c->http));
    connection_rest_or_close(c);
}
