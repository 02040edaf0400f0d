#include "support/pool_fixture.h"

#include "base/check.h"

#include <stdio.h>
#include <unistd.h>

/* --- the loop ----------------------------------------------------------------------------- */

static void end_turn(void *owner)
{
    struct pool_fixture *f = owner;
    loop_stop(f->env.loop);
}

void pool_fixture_run_until(struct pool_fixture *f, bool (*is_so)(void *argument), void *argument)
{
    while (!is_so(argument)) {
        deadline_set(f->env.loop, &f->tick, 1);
        loop_run(f->env.loop);
    }
    deadline_clear(&f->tick);
}

void pool_fixture_run_for(struct pool_fixture *f, uint64_t ms)
{
    uint64_t end_ms = loop_now_ms(f->env.loop) + ms;
    while (loop_now_ms(f->env.loop) < end_ms) {
        deadline_set(f->env.loop, &f->tick, end_ms - loop_now_ms(f->env.loop));
        loop_run(f->env.loop);
    }
    deadline_clear(&f->tick);
}

/* --- the pool ----------------------------------------------------------------------------- */

void pool_fixture_init(struct pool_fixture *f, unsigned worker)
{
    *f =
        (struct pool_fixture){.limits = {.head_bytes = 32768, .fields = 100, .request_line = 1024}};
    struct loop *loop = loop_new();
    f->resolver = resolver_new(loop, NULL);
    f->states = backend_states_new(loop, f->resolver);
    bell_init(&f->bell, loop);
    f->env = (struct pool_env){
        .loop = loop,
        .states = f->states,
        .bell = &f->bell,
        .metrics = &f->metrics,
        .counters = &f->counters,
        .response_limits = &f->limits,
        .worker = worker,
        .worker_count = worker + 1,
    };
    server_series_init(&f->series, 1);
    series_set_limit(f->series.backends, SERIES_UNLIMITED);
    series_set_limit(f->series.servers, SERIES_UNLIMITED);
    server_view_init(&f->counters, &f->series, 0);
    f->spec = (struct upstream_spec){
        .name = slice_of("pool"),
        .servers = f->servers,
        .keepalive = 4,
    };
    task_init(&f->task, end_turn, f);
    deadline_init(&f->tick, &f->task);
}

static struct server_spec *add(struct pool_fixture *f, const char *name)
{
    unsigned index = f->spec.server_count++;
    struct server_spec *server = &f->servers[index];
    assert(index < FIXTURE_SERVERS_MAX);
    snprintf(f->names[index], sizeof(f->names[index]), "%s", name);
    *server = (struct server_spec){.name = slice_of(f->names[index]), .weight = 1};
    snprintf(server->endpoint.host, sizeof(server->endpoint.host), "host-of-%.100s", name);
    return server;
}

struct server_spec *pool_fixture_add(struct pool_fixture *f, const struct address *address,
                                     uint16_t weight)
{
    char text[ADDRESS_TEXT_SIZE];
    address_format(address, text);
    struct server_spec *server = add(f, text);
    server->weight = weight;
    server->endpoint.kind = address->as.any.sa_family == AF_UNIX ? ENDPOINT_UNIX : ENDPOINT_IP;
    server->endpoint.address = *address;
    return server;
}

struct server_spec *pool_fixture_add_name(struct pool_fixture *f, const char *name, uint16_t port)
{
    struct server_spec *server = add(f, name);
    server->endpoint.kind = ENDPOINT_NAME;
    server->endpoint.port = port;
    snprintf(server->endpoint.name, sizeof(server->endpoint.name), "%s", name);
    return server;
}

void pool_fixture_follow(struct pool_fixture *f)
{
    f->spec.serial++;
    if (f->pool == NULL)
        f->pool = pool_new(&f->env, &f->spec);
    else
        pool_follow(f->pool, &f->spec);
}

void pool_fixture_clear(struct pool_fixture *f)
{
    assert(pool_in_use(f->pool) == 0);
    pool_free(f->pool);
    deadline_clear(&f->tick);
    bell_clear(&f->bell);
    backend_states_free(f->states);
    resolver_free(f->resolver);
    loop_free(f->env.loop);
    server_view_clear(&f->counters);
    server_series_clear(&f->series);
    buffer_cache_clear();
}

enum io pool_fixture_peek(struct pool_wait *wait, struct pool_result *result)
{
    struct slice server;
    *result = (struct pool_result){0};
    result->answer =
        pool_answer(wait, &result->connection, &result->failure, &server, &result->attempts);
    slice_copy_text(server, result->server, sizeof(result->server));
    return result->answer;
}

struct pool_result pool_fixture_ask(struct pool_fixture *f, const struct pool_ask *ask)
{
    const struct pool_ask usual = {.connect_timeout_ms = 1000, .max_tries = FIXTURE_SERVERS_MAX};
    struct pool_wait *wait = pool_ask(f->pool, ask != NULL ? ask : &usual, &f->task);
    struct pool_result result;
    while (pool_fixture_peek(wait, &result) == IO_WAIT)
        loop_run(f->env.loop);
    pool_wait_end(wait);
    return result;
}

struct pool_server_status pool_fixture_status(const struct pool_fixture *f, unsigned index)
{
    struct pool_server_status status;
    pool_server_status(f->pool, index, &status);
    return status;
}

/* --- a request ---------------------------------------------------------------------------- */

static bool send_request(struct pool_fixture *f, struct http_stream *http)
{
    const struct http_head head = {
        .method = METHOD_GET,
        .method_text = slice_of("GET"),
        .path = slice_of("/"),
        .authority = slice_of("test"),
        .keeps_connection = true,
    };
    enum io io = http->ops->write_head(http, &head);
    while (io == IO_OK && (io = http->ops->flush(http)) == IO_WAIT)
        loop_run(f->env.loop);
    return io == IO_OK;
}

static void answer_request(int backend_fd, const char *response)
{
    char request[1024];
    size_t length = 0;
    while (length < 4 || memcmp(request + length - 4, "\r\n\r\n", 4) != 0) {
        ssize_t got = recv(backend_fd, request + length, sizeof(request) - length, 0);
        assert(got > 0);
        length += (size_t)got;
    }
    ssize_t sent = send(backend_fd, response, strlen(response), MSG_NOSIGNAL);
    assert(sent == (ssize_t)strlen(response));
}

static bool read_response(struct pool_fixture *f, struct http_stream *http, struct arena *arena)
{
    struct http_head head;
    struct slice piece;
    enum io io;
    while ((io = http->ops->read_head(http, arena, &head)) == IO_WAIT)
        loop_run(f->env.loop);
    if (io != IO_OK)
        return false;
    while ((io = http->ops->read_body(http, &piece)) != IO_EOF) {
        if (io == IO_OK)
            http->ops->consume_body(http, piece.len);
        else if (io == IO_WAIT)
            loop_run(f->env.loop);
        else
            return false;
    }
    return true;
}

bool pool_fixture_request(struct pool_fixture *f, struct upstream_connection *connection,
                          int backend_fd, const char *response)
{
    struct arena arena = {0};
    struct http_stream *http = upstream_connection_begin(connection, &f->task);
    if (upstream_connection_names_client(connection))
        upstream_connection_name_client(connection, &f->client);
    bool is_whole = send_request(f, http);
    if (is_whole) {
        answer_request(backend_fd, response);
        is_whole = read_response(f, http, &arena);
    }
    http->ops->end(http, is_whole ? HTTP_END_REUSE : HTTP_END_ABORT);
    upstream_connection_give_back(connection);
    arena_clear(&arena);
    return is_whole;
}
