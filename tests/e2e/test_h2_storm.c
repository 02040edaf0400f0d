/* HTTP/2: everything at once and at random, on several connections and two workers: requests of all
 * kinds, resets from both sides, priorities that change, connections that vanish. Nothing is left
 * of it. */
#include "harness/h2_scene.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/pattern.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(h2_storm);

enum { CLIENTS = 6, TURNS = 4000, STREAMS_MOST = 50 };

struct stormer {
    struct h2_client *client;
    uint32_t streams[STREAMS_MOST]; /* under way, or just over */
    int count;
};

struct storm {
    struct gateway *gateway;
    struct stormer stormers[CLIENTS];
    unsigned seed;
    unsigned ended; /* by the gateway, which had enough of one's resets */
};

static unsigned chance(struct storm *storm, unsigned most)
{
    return (unsigned)rand_r(&storm->seed) % most;
}

/* --- backends ------------------------------------------------------------------------------------
 */

static void cut(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    wire_write(turn->wire, pattern_at(0), 30000);
}

static void reset(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    wire_reset(turn->wire);
}

static void refuse(struct origin_turn *turn)
{
    turn->is_closing = true;
    wire_print(turn->wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
}

static void hint(struct origin_turn *turn)
{
    wire_print(turn->wire, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    origin_echo(turn);
}

static struct origin *start_backend(void)
{
    static uint64_t large = 700000;
    struct origin *origin = origin_start("one");

    origin_count_only(origin);
    origin_set_script(origin, "/large", origin_send_pattern, &large);
    origin_set_script(origin, "/cut", cut, NULL);
    origin_set_script(origin, "/reset", reset, NULL);
    origin_set_script(origin, "/refuse", refuse, NULL);
    origin_set_script(origin, "/hint", hint, NULL);
    origin_set_script(origin, "/echo", origin_echo, NULL);
    origin_set_script(origin, "/ws", origin_upgrade_echo, NULL);
    origin_set_script(origin, "/hang", origin_hang, NULL);
    return origin;
}

/* --- clients -------------------------------------------------------------------------------------
 */

static bool is_over(struct h2_client *client, uint32_t stream)
{
    const struct h2_stream *is = h2_stream(client, stream);

    return is->was_reset || is->we_reset || (is->has_ended && is->we_ended);
}

static void forget_what_is_over(struct stormer *s)
{
    for (int i = 0; i < s->count; i++)
        if (is_over(s->client, s->streams[i]))
            s->streams[i--] = s->streams[--s->count];
}

static void begin_anew(struct storm *storm, struct stormer *s)
{
    s->client = h2_open(storm->gateway, NULL);
    s->count = 0;
}

static uint32_t begin_request(struct storm *storm, struct h2_client *client)
{
    static const char *const paths[] = {"/",     "/large",  "/cut",  "/reset",
                                        "/hang", "/refuse", "/hint", "/none"};
    static const char *const priorities[] = {"u=0", "u=5", "u=3, i", "u=7, i", "i", "?"};
    const char *priority = priorities[chance(storm, 6)];

    if (chance(storm, 8) == 0)
        return h2_send_request(client,
                               &(struct h2_request){.method = "CONNECT",
                                                    .path = "/ws",
                                                    .fields = H2_FIELDS(":protocol", "websocket"),
                                                    .goes_on = true});
    if (chance(storm, 3) == 0)
        return h2_begin_post(client, chance(storm, 2) == 0 ? "/echo" : "/refuse");
    return h2_send_request(client, &(struct h2_request){.path = paths[chance(storm, 8)],
                                                        .fields = H2_FIELDS("priority", priority)});
}

/* A piece of its body, within the windows, which may be the last. */
static void send_piece(struct storm *storm, struct h2_client *client, uint32_t stream)
{
    struct h2_stream *is = h2_stream(client, stream);
    size_t length = chance(storm, 16384);

    if (is->we_ended || is_over(client, stream))
        return;
    if (is->send_window < (int64_t)length || client->send_window < (int64_t)length)
        length = 0;
    h2_send_data(client, stream, pattern_at(0), length, chance(storm, 4) == 0);
}

static void take_turn(struct storm *storm, struct stormer *s)
{
    struct h2_client *client = s->client;
    uint32_t some = s->count > 0 ? s->streams[chance(storm, (unsigned)s->count)] : 0;

    switch (chance(storm, 12)) {
    case 0:
        if (some != 0)
            h2_send_reset(client, some, H2_CANCEL);
        break;
    case 1:
        if (some != 0)
            h2_send_priority_update(client, some, text("u=%u", chance(storm, 8)));
        break;
    case 2:
    case 3:
    case 4:
        if (some != 0)
            send_piece(storm, client, some);
        break;
    case 5:
        if (chance(storm, 40) == 0) {
            h2_abort(client);
            begin_anew(storm, s);
        }
        break;
    case 6: h2_expect_response(client, h2_get(client, "/"), 200); break;
    default:
        if (s->count < STREAMS_MOST)
            s->streams[s->count++] = begin_request(storm, client);
    }
}

static void take_what_came(struct storm *storm, struct stormer *s)
{
    h2_read_pending(s->client);
    if (s->client->tls->wire.state == WIRE_OPEN) {
        forget_what_is_over(s);
        return;
    }
    workplace_require(s->client->goaway_code == H2_ENHANCE_YOUR_CALM, "it ended with %s ('%s')",
                      h2_code_name(s->client->goaway_code), s->client->goaway_text);
    storm->ended++;
    begin_anew(storm, s);
}

/* --- the storm -----------------------------------------------------------------------------------
 */

static void expect_calm(struct storm *storm)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct stormer *s = &storm->stormers[i];
        take_what_came(storm, s);
        for (int n = 0; n < s->count; n++)
            h2_send_reset(s->client, s->streams[n], H2_CANCEL);
    }
    h2_await_status("metrics.requests_in_flight", 0);
    h2_await_status("metrics.tunnels", 0);
    for (int i = 0; i < CLIENTS; i++)
        h2_close(storm->stormers[i].client);
    h2_await_status("metrics.connections_open", 0);
}

Test(h2_storm, nothing_is_left_of_it)
{
    struct storm storm = {.seed = (unsigned)workplace_number("SALLYPORT_TEST_SEED", 1)};
    struct origin *origin = start_backend();

    storm.gateway = gateway_start_with(&(struct gateway_options){
        .routes =
            route_file("routes.json",
                       "{ @base, 'defaults': { 'retry': { 'attempts': 10, 'budget': '100%%' } },"
                       "  'routes': { 'a.test': { 'paths': { '/': '%s', '/none': {"
                       "    'respond': { 'status': 404 } } } } } }",
                       origin_address(origin)),
        .workers = 2});
    for (int i = 0; i < CLIENTS; i++)
        begin_anew(&storm, &storm.stormers[i]);
    for (int i = 0; i < TURNS; i++) {
        struct stormer *s = &storm.stormers[chance(&storm, CLIENTS)];
        take_turn(&storm, s);
        take_what_came(&storm, s);
        if (i % 1000 == 999)
            expect_status(ask_admin("POST", "/reload"), 200);
    }
    expect_calm(&storm);
    cr_assert_lt(storm.ended, CLIENTS);
    gateway_stop(storm.gateway);
}
