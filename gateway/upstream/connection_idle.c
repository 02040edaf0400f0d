#include "upstream/connection_state.h"

#include "net/descriptors.h"
#include "net/tcp_stream.h"

static bool is_worn(const struct upstream_connection *c)
{
    unsigned uses_most = c->server->shared->env.connection_uses;

    return (uses_most != 0 && c->uses >= uses_most) ||
           (c->retire_ms != 0 && loop_now_ms(connection_loop(c)) >= c->retire_ms);
}

static bool leads_to_server(const struct upstream_connection *c)
{
    struct address address = {.length = sizeof(address.as)};
    const struct server *server = c->server;

    if (getpeername(tcp_stream_fd(c->stream), &address.as.any, &address.length) != 0)
        return false;
    for (int i = 0; i < server->address_count; i++)
        if (address_equal(&server->addresses[i], &address))
            return true;
    return false;
}

/* Asked of the socket only after its server has moved. */
static bool is_in_place(struct upstream_connection *c)
{
    if (c->moves != c->server->moves && leads_to_server(c))
        c->moves = c->server->moves;
    return c->moves == c->server->moves;
}

/* How long it may be idle now, with those that are idle already; 0: not at all. */
static uint64_t room_ms(struct upstream_connection *c)
{
    const struct server *server = c->server;
    unsigned idle = server->connection_count[USE_IDLE];
    unsigned keepalive = server->shared->keepalive;
    if (c->is_named || server->shared->names_clients || is_worn(c))
        return 0;
    if (server->is_retired || idle >= 2 * keepalive || !is_in_place(c) ||
        descriptor_is_reserve(tcp_stream_fd(c->stream)) || server_lacks_room_for_idle(c->server))
        return 0;
    uint64_t limit_ms = idle_habit_limit_ms(&server->idle_habit);
    if (idle >= keepalive && limit_ms > CONNECTION_SURPLUS_MS)
        limit_ms = CONNECTION_SURPLUS_MS;
    return limit_ms;
}

void connection_rest_or_close(struct upstream_connection *c)
{
    uint64_t limit_ms = room_ms(c);
    if (limit_ms == 0 || h1_connection_state(c->http) != H1_IDLE ||
        h1_connection_poll(c->http, &c->task) != IO_WAIT) {
        connection_close(c);
        return;
    }
    deadline_set(connection_loop(c), &c->deadline, limit_ms);
    c->idle_since_ms = loop_now_ms(connection_loop(c));
    connection_enter(c, CONNECTION_IDLE, NULL);
    if (c->server->shared->turn.waiting > 0) /* no other worker has a use for it */
        loop_wake(connection_loop(c), c->server->shared->turn.task);
}

static uint64_t idle_time_ms(const struct upstream_connection *c)
{
    return loop_now_ms(connection_loop(c)) - c->idle_since_ms;
}

/* Whatever an idle one says, it says unasked: that is its end too. */
static bool is_quiet(struct upstream_connection *c)
{
    return h1_connection_poll(c->http, &c->task) == IO_WAIT;
}

/* Its time is over, and nobody else ended it. */
static void retire(struct upstream_connection *c)
{
    struct server *server = c->server;
    uint64_t idle_ms = idle_time_ms(c);
    bool is_early = idle_ms < idle_habit_limit_ms(&server->idle_habit); /* for want of room */
    if (is_early || idle_ms >= IDLE_WATCH_MS || server->connection_count[USE_WATCHED] > 0 ||
        server->shared->max_connections != 0 || /* it would take the room of one that is of use */
        !idle_habit_is_worth_watching(&server->idle_habit)) {
        connection_close(c);
        return;
    }
    deadline_set(connection_loop(c), &c->deadline, IDLE_WATCH_MS - idle_ms);
    connection_enter(c, CONNECTION_WATCHED, NULL);
}

void connection_check_idle(struct upstream_connection *c)
{
    if (!is_quiet(c)) {
        idle_habit_note_closed(&c->server->idle_habit, idle_time_ms(c));
        connection_close(c);
    } else if (deadline_passed(connection_loop(c), &c->deadline)) {
        retire(c);
    }
}

void connection_check_watched(struct upstream_connection *c)
{
    if (is_quiet(c) && !deadline_passed(connection_loop(c), &c->deadline))
        return;
    idle_habit_note_watched(&c->server->idle_habit, idle_time_ms(c));
    connection_close(c);
}

/* Asks one that is about to be used. It is IDLE afterwards if it is good. */
static bool is_still_good(struct upstream_connection *c)
{
    if (idle_time_ms(c) >= idle_habit_limit_ms(&c->server->idle_habit)) {
        if (is_quiet(c))
            retire(c);
        else
            connection_close(c);
        return false;
    }
    if (idle_time_ms(c) >= CONNECTION_DOUBT_MS)
        tcp_stream_doubt(c->stream);
    else if (c->task.state == TASK_IDLE)
        return true; /* else it waits to run: this round saw an event */
    connection_check_idle(c);
    return c->state == CONNECTION_IDLE;
}

struct upstream_connection *connection_take_idle(struct server *server, struct task *claimant)
{
    struct list_node *newest;
    while ((newest = list_first(&server->connections[USE_IDLE])) != NULL) {
        struct upstream_connection *c = container_of(newest, struct upstream_connection, node);
        if (!is_still_good(c))
            continue;
        c->is_reused = true;
        c->idle_ms = idle_time_ms(c);
        connection_enter(c, CONNECTION_MADE, claimant);
        connection_count_event(c, METRIC_UPSTREAM_REUSED);
        return c;
    }
    return NULL;
}

void server_close_misplaced(struct server *server)
{
    server_ref(server);
    list_each (&server->connections[USE_IDLE], node) {
        struct upstream_connection *c = container_of(node, struct upstream_connection, node);
        if (!is_in_place(c))
            connection_close(c);
    }
    server_unref(server);
}
