#include "cache_scene.h"

#include "json_log.h"
#include "monitor.h"
#include "pattern.h"
#include "workplace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MOST = 512 };

static struct client *clients[CLIENTS_MOST];
static int client_count;

/* --- the origin's side -------------------------------------------------------------------------
 */

static void tell_parts(struct origin_turn *turn)
{
    struct cache_parts *parts = turn->arg;

    monitor_lock();
    bool is_later = parts->count++ > 0 && parts->later != NULL;
    monitor_unlock();
    origin_read_body(turn);
    if (is_later) {
        wire_print(turn->wire, "%s", parts->later);
        return;
    }
    if (parts->first != NULL)
        wire_print(turn->wire, "%s", parts->first);
    if (parts->gate != NULL && !gate_wait(parts->gate))
        workplace_note("nobody opened the gate");
    if (parts->rest != NULL)
        wire_print(turn->wire, "%s", parts->rest);
    turn->is_closing = parts->is_cut;
}

void cache_parts_set(struct origin *origin, const char *path, struct cache_parts *parts)
{
    origin_set_script(origin, path, tell_parts, parts);
}

static bool write_pattern(struct origin_turn *turn, uint64_t from, uint64_t to, bool is_chunked)
{
    while (from < to) {
        uint64_t piece = to - from < PATTERN_PIECE ? to - from : PATTERN_PIECE;

        if (is_chunked && !wire_print(turn->wire, "%llx\r\n", (unsigned long long)piece))
            return false;
        if (!wire_write(turn->wire, pattern_at(from), piece))
            return false;
        if (is_chunked && !wire_print(turn->wire, "\r\n"))
            return false;
        from += piece;
    }
    return true;
}

void cache_tell_pattern(struct origin_turn *turn)
{
    struct cache_pattern *pattern = turn->arg;
    uint64_t half = pattern->gate != NULL ? pattern->bytes / 2 : 0;
    const char *framing = pattern->is_chunked
                              ? "Transfer-Encoding: chunked"
                              : text("Content-Length: %llu", (unsigned long long)pattern->bytes);

    origin_read_body(turn);
    turn->is_closing = true; /* unless all of it gets there */
    if (!wire_print(turn->wire, KEPT "%s\r\n\r\n", framing) ||
        !write_pattern(turn, 0, half, pattern->is_chunked))
        return;
    if (pattern->gate != NULL && !gate_wait(pattern->gate))
        workplace_note("nobody opened the gate");
    if (!write_pattern(turn, half, pattern->bytes, pattern->is_chunked))
        return;
    turn->is_closing = pattern->is_chunked && !wire_print(turn->wire, "0\r\n\r\n");
}

void cache_pattern_set(struct origin *origin, const char *path, struct cache_pattern *pattern)
{
    origin_set_script(origin, path, cache_tell_pattern, pattern);
}

/* --- the gateway --------------------------------------------------------------------------------
 */

static const char *write_routes(struct origin *origin, const char *members)
{
    return route_file(
        "routes.json",
        "{ @base, 'drain_timeout': '20s', 'routes': { 'a.test': { 'to': '%s', %s } } }",
        origin_address(origin), members);
}

struct gateway *cache_scene_start(struct origin *origin, int workers, const char *members)
{
    return gateway_start_with(
        &(struct gateway_options){.routes = write_routes(origin, members), .workers = workers});
}

void cache_scene_reload(struct origin *origin, const char *members)
{
    write_routes(origin, members);
    expect_status(ask_admin("POST", "/reload"), 200);
}

/* --- clients ------------------------------------------------------------------------------------
 */

struct client *cache_ask(struct gateway *gateway, const char *path, const char *fields)
{
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET %s HTTP/1.1\r\nHost: a.test\r\n%s\r\n", path, fields);
    return cache_note(client);
}

struct client *cache_note(struct client *client)
{
    workplace_require(client_count < CLIENTS_MOST, "no more clients");
    clients[client_count++] = client;
    return client;
}

void cache_leave_all(void)
{
    for (; client_count > 0; client_count--)
        client_close(clients[client_count - 1]);
}

void cache_scene_stop(struct gateway *gateway)
{
    cache_leave_all();
    gateway_stop(gateway);
}

struct message *cache_begin_reading(struct client *client, size_t bytes)
{
    struct message *response = client_response_head(client);

    while (wire_held(&client->wire) < bytes)
        workplace_require(wire_fill(&client->wire), "only %zu bytes came",
                          wire_held(&client->wire));
    return response;
}

void cache_expect_rest(struct client *client, struct message *response, const char *body)
{
    message_read_body(&client->wire, response, "GET");
    expect_body(response, body);
}

void cache_expect_cut(struct client *client, struct message *response)
{
    workplace_require(!message_read_body(&client->wire, response, "GET"), "it ended in order: %s",
                      response->body);
}

void cache_expect_pattern(struct client *client, uint64_t bytes)
{
    struct message *response = client_response(client);

    expect_status(response, 200);
    workplace_require(response->body_is_pattern && response->body_bytes == bytes,
                      "%llu bytes, pattern: %d", (unsigned long long)response->body_bytes,
                      response->body_is_pattern);
}

void cache_expect_status(const struct message *response, const char *words)
{
    const char *said = message_field(response, "cache-status");
    bool is_not = words[0] == '-';

    workplace_require(said != NULL && (strstr(said, words + is_not) != NULL) != is_not,
                      "Cache-Status: %s, not %s", said != NULL ? said : "(none)", words);
}

/* --- numbers ------------------------------------------------------------------------------------
 */

static bool read_metric(const char *series, long *value)
{
    const char *page = ask_admin("GET", "/metrics")->body;
    const char *line = strstr(page, text("\nsallyport_%s ", series));

    if (line != NULL)
        *value = atol(strchr(line, ' '));
    return line != NULL;
}

long cache_metric(const char *series)
{
    long value = 0;

    workplace_require(read_metric(series, &value), "no %s", series);
    return value;
}

void cache_await_in_flight(int count)
{
    long long start = monitor_now_ms();
    long now;

    while ((now = cache_metric("http_requests_in_flight")) != count)
        workplace_require(monitor_may_ask_again(start), "%ld in flight, not %d", now, count);
}

long cache_decisions(const char *outcome)
{
    long value = 0;

    read_metric(
        text("policy_decisions_total{policy=\"cache\",route=\"a.test\",outcome=\"%s\"}", outcome),
        &value);
    return value;
}

void cache_await_decisions(const char *outcome, long count)
{
    long long start = monitor_now_ms();
    long now;

    while ((now = cache_decisions(outcome)) != count)
        workplace_require(monitor_may_ask_again(start), "%ld %s, not %ld", now, outcome, count);
}
