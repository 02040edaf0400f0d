#include "fuzz/bare_gateway.h"

#include "base/check.h"
#include "proxy/exchange.h"
#include "proxy/route_counters.h"

#include <arpa/inet.h>
#include <ev.h>
#include <stdlib.h>

/* --- what lives as long as the process ------------------------------------------------------ */

static const char route_text[] =
    "{ \"listen\": { \"https\": \"off\", \"http\": { \"bind\": \"127.0.0.1:0\", \"serve\": "
    "\"routes\" } },"
    "  \"trusted_proxies\": [\"10.0.0.0/8\"], \"log\": { \"access\": \"off\" },"
    "  \"defaults\": { \"limits\": { \"header_bytes\": 2048, \"headers\": 16, "
    "\"request_line\": 512 } },"
    "  \"routes\": { \"*\": \"" BARE_BACKEND_HOST "\" } }";

static const struct h1_limits limits = {.head_bytes = 2048, .fields = 16, .request_line = 512};
const struct h1_limits *const bare_limits = &limits;

static struct {
    struct loop *loop;
    struct ticket_keys *keys;
    struct snapshot *snapshot;
    struct pin pin;
    struct metrics metrics;
    struct budget head_memory;
    struct series *series;
    struct series_view routes;
    struct proxy_env env;
} world;

/* --- one client ----------------------------------------------------------------------------- */

enum bare_session_state { SESSION_IDLE, SESSION_BUSY, SESSION_LINGER, SESSION_CLOSED };

struct upstream_connection {
    struct bare_backend *backend;
    struct h1_connection *http;
    bool is_reused;
};

static struct {
    struct bare_gateway gateway;
    struct task task;
    enum bare_session_state state;
    struct client client;
    struct h1_connection *http;
    struct list exchanges;
    struct upstream_connection connections[BARE_BACKENDS_MAX];
    struct upstream_connection *idle, *asked;
} bare;

/* --- the pool's part: what exchanges call --------------------------------------------------- */

static void end_connection(struct upstream_connection *connection)
{
    h1_connection_free(connection->http);
    connection->http = NULL;
    stream_close(&connection->backend->stream->stream);
    connection->backend->is_over = true;
}

static struct upstream_connection *make_connection(void)
{
    unsigned index = bare.gateway.backend_count++;
    struct upstream_connection *connection = &bare.connections[index];

    assert(index < BARE_BACKENDS_MAX);
    connection->backend = &bare.gateway.backends[index];
    connection->backend->stream = fake_stream_new(world.loop, NULL);
    connection->http =
        h1_connection_new(&connection->backend->stream->stream, H1_TO_BACKEND, &limits);
    return connection;
}

/* The idle one, if nothing was said on it since. */
static struct upstream_connection *take_idle(void)
{
    struct upstream_connection *idle = bare.idle;

    bare.idle = NULL;
    if (idle != NULL && h1_connection_poll(idle->http, NULL) != IO_WAIT) {
        end_connection(idle);
        return NULL;
    }
    if (idle != NULL)
        idle->is_reused = true;
    return idle;
}

struct pool_wait *pool_ask(struct pool *pool, const struct pool_ask *ask, struct task *task)
{
    (void)task;
    bare.asked = ask->fresh ? NULL : take_idle();
    if (bare.asked == NULL)
        bare.asked = make_connection();
    return (struct pool_wait *)(void *)pool;
}

enum io pool_answer(struct pool_wait *wait, struct upstream_connection **connection,
                    enum pool_failure *failure, struct slice *server, unsigned *attempts)
{
    (void)wait, (void)failure;
    *connection = bare.asked;
    *server = slice_of(BARE_BACKEND_HOST);
    *attempts = 1;
    return IO_OK;
}

bool pool_wait_is_held(const struct pool_wait *wait)
{
    (void)wait;
    return false;
}

bool pool_wait_is_waiting(const struct pool_wait *wait)
{
    (void)wait;
    return false;
}

bool pool_wait_follow(struct pool_wait *wait, const struct pool_ask *ask)
{
    (void)wait;
    (void)ask;
    return false;
}

void pool_leave(struct pool *pool, struct pool_claim *claim)
{
    (void)pool;
    (void)claim;
}

void pool_wait_end(struct pool_wait *wait)
{
    (void)wait;
}

bool pool_spend_retry(struct pool *pool, unsigned percent)
{
    (void)pool, (void)percent;
    return true;
}

void pool_note_response(struct pool *pool, uint64_t sent_us)
{
    (void)pool, (void)sent_us;
}

uint64_t pool_hedge_after_us(struct pool *pool)
{
    (void)pool;
    return 0;
}

struct http_stream *upstream_connection_begin(struct upstream_connection *connection,
                                              struct task *task)
{
    return h1_connection_begin(connection->http, task);
}

bool upstream_connection_is_reused(const struct upstream_connection *connection)
{
    return connection->is_reused;
}

void upstream_connection_note_sent(struct upstream_connection *connection)
{
    (void)connection;
}

void upstream_connection_note_answered(struct upstream_connection *connection)
{
    (void)connection;
}

void upstream_connection_note_stale(struct upstream_connection *connection)
{
    (void)connection; /* nothing is learned of fake servers */
}

bool upstream_connection_names_client(const struct upstream_connection *connection)
{
    (void)connection;
    return false;
}

void upstream_connection_name_client(struct upstream_connection *connection,
                                     const struct proxy_header *header)
{
    (void)connection, (void)header;
}

struct slice upstream_connection_host(const struct upstream_connection *connection)
{
    (void)connection;
    return slice_of(BARE_BACKEND_HOST);
}

void upstream_connection_give_back(struct upstream_connection *connection)
{
    if (h1_connection_state(connection->http) == H1_IDLE && bare.idle == NULL)
        bare.idle = connection;
    else
        end_connection(connection);
}

void upstream_connection_count(struct upstream_connection *connection,
                               enum upstream_outcome outcome)
{
    (void)connection, (void)outcome;
}

/* --- the session's part --------------------------------------------------------------------- */

static void close_session(bool in_order)
{
    bare.state = SESSION_CLOSED;
    bare.gateway.client_saw_end = in_order;
    bare.gateway.client_saw_cut = !in_order;
}

static bool await_request(void)
{
    switch (h1_connection_poll(bare.http, &bare.task)) {
    case IO_OK: break;
    case IO_WAIT: return false;
    default: close_session(true); return false;
    }
    bare.state = SESSION_BUSY;
    bare.gateway.exchanges++;
    exchange_start(&world.env, &bare.client, h1_connection_begin(bare.http, &bare.task), &bare.task,
                   &bare.exchanges);
    return false;
}

static bool end_request(void)
{
    if (!list_is_empty(&bare.exchanges))
        return false;
    switch (h1_connection_state(bare.http)) {
    case H1_IDLE: bare.state = SESSION_IDLE; return true;
    case H1_CLOSING: bare.state = SESSION_LINGER; return true;
    default: close_session(false); return false;
    }
}

static bool take_step(void)
{
    switch (bare.state) {
    case SESSION_IDLE: return await_request();
    case SESSION_BUSY: return end_request();
    case SESSION_LINGER:
        if (h1_connection_linger(bare.http, &bare.task) != IO_WAIT)
            close_session(bare.gateway.client->is_shut);
        return false;
    case SESSION_CLOSED: break;
    }
    return false;
}

static void run_session(void *owner)
{
    (void)owner;
    while (take_step())
        continue;
}

/* --- the worker's part ---------------------------------------------------------------------- */

static struct pool *take_pool(void *worker, const struct upstream_spec *spec)
{
    (void)spec;
    return worker; /* no more than a sign that it was taken */
}

static void drop_pool(void *worker, const struct upstream_spec *spec)
{
    (void)worker, (void)spec;
}

static const struct listen_spec *listen_spec(void *worker, unsigned listener)
{
    (void)worker, (void)listener;
    return NULL;
}

static void leave_world(void)
{
    snapshot_unref(world.snapshot);
    ticket_keys_free(world.keys);
    series_view_clear(&world.routes);
    series_free(world.series);
    loop_free(world.loop);
}

static void make_world(void)
{
    struct slice text = slice_of(route_text);
    struct problems problems;

    world.loop = loop_new();
    world.keys = ticket_keys_new(3600);
    problems_init(&problems);
    world.snapshot = snapshot_load(
        "bare.json",
        &(struct load_options){.keys = world.keys, .text = &text, .folder = "/nonexistent"},
        &problems);
    assert(world.loop != NULL && world.snapshot != NULL);
    problems_clear(&problems);
    world.pin.snapshot = world.snapshot;
    list_init(&world.pin.exchanges);
    list_init(&world.pin.handshakes);
    budget_init(&world.head_memory, 1024 * 1024);
    world.series = series_new(1, ROUTE_COUNTERS);
    series_view_init(&world.routes, world.series, 0);
    world.env = (struct proxy_env){.loop = world.loop,
                                   .metrics = &world.metrics,
                                   .head_memory = &world.head_memory,
                                   .routes = &world.routes,
                                   .pin = &world.pin,
                                   .limits = limits,
                                   .random_state = {1, 2},
                                   .worker = &world,
                                   .take_pool = take_pool,
                                   .drop_pool = drop_pool,
                                   .listen_spec = listen_spec};
    list_init(&world.env.sessions);
    atexit(leave_world);
}

static void describe_client(bool is_trusted)
{
    const char *address = is_trusted ? BARE_PEER : "192.0.2.1";

    bare.client = (struct client){.serves_routes = true, .local_port = 80};
    bare.client.peer.v4.sin_family = AF_INET;
    inet_pton(AF_INET, address, &bare.client.peer.v4.sin_addr);
    slice_copy_text(slice_of(address), bare.client.peer_ip, sizeof(bare.client.peer_ip));
}

struct bare_gateway *bare_gateway_open(void)
{
    if (world.loop == NULL)
        make_world();
    memset(&bare, 0, sizeof(bare));
    list_init(&bare.exchanges);
    task_init(&bare.task, run_session, &bare);
    bare.gateway.client = fake_stream_new(world.loop, &bare.task);
    bare.http = h1_connection_new(&bare.gateway.client->stream, H1_TO_CLIENT, &world.env.limits);
    return &bare.gateway;
}

static unsigned moves(const struct bare_gateway *gateway)
{
    unsigned count = gateway->client->reads + gateway->client->writes;

    for (unsigned i = 0; i < gateway->backend_count; i++)
        count += gateway->backends[i].stream->reads + gateway->backends[i].stream->writes;
    return count;
}

void bare_gateway_settle(struct bare_gateway *gateway)
{
    enum { MOVES_A_ROUND = 100 }; /* a round runs hundreds of tasks, and whatever they wake */
    unsigned before;

    if (gateway->exchanges == 0)
        describe_client(gateway->peer_is_trusted);
    if (bare.state != SESSION_CLOSED)
        loop_wake(world.loop, &bare.task);
    do {
        before = moves(gateway);
        ev_run(loop_ev(world.loop), EVRUN_NOWAIT);
    } while (moves(gateway) - before >= MOVES_A_ROUND);
}

void bare_gateway_close(struct bare_gateway *gateway)
{
    if (!list_is_empty(&bare.exchanges))
        exchanges_cut(&bare.exchanges, REASON_DRAINING);
    bare_gateway_settle(gateway);
    if (bare.idle != NULL)
        end_connection(bare.idle);
    for (unsigned i = 0; i < gateway->backend_count; i++) {
        assert(gateway->backends[i].is_over);
        fake_stream_free(gateway->backends[i].stream);
    }
    h1_connection_free(bare.http);
    fake_stream_free(gateway->client);
    exchange_free_spares(&world.env);
    assert(budget_used(&world.head_memory) == 0);
    buffer_cache_clear();
}
