/* One of three servers is unsteady in every way, under a load that is counted by its clients and by
 * the servers: what that costs, how soon it is known, and that the server gets its share again. */
#include "harness/await.h"
#include "harness/json_log.h"
#include "harness/load.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/workplace.h"
#include "support/dns_server.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(unsteady);

enum {
    SERVERS = 3,
    CLIENTS = 24, /* each has one request in flight */
    AFTER = 5,    /* eject.after */
    STRETCH = 300 /* answers */
};

static const struct load_host host = {.name = "a.test", .sni = "a.test"};

/* Servers of one backend, the first of which is the unsteady one. */
struct trial {
    struct origin *servers[SERVERS];
    struct gateway *gateway;
    struct load *load;
    size_t told; /* how far its events were read */
};

static void start_servers(struct trial *trial)
{
    for (int i = 0; i < SERVERS; i++)
        trial->servers[i] = origin_start("server");
}

static void start_load(struct trial *trial, const char *routes)
{
    trial->gateway = gateway_start_with(&(struct gateway_options){.routes = routes, .workers = 2});
    trial->load = load_new(&(struct load_options){.gateway = trial->gateway,
                                                  .hosts = &host,
                                                  .host_count = 1,
                                                  .connections = CLIENTS,
                                                  .threads = CLIENTS,
                                                  .posts = true});
    for (int i = 0; i < SERVERS; i++)
        load_add_origin(trial->load, trial->servers[i], i);
    load_start(trial->load);
}

static void end_load(struct trial *trial)
{
    load_end(trial->load);
    gateway_stop(trial->gateway);
}

/* --- how it is unsteady --------------------------------------------------------------------- */

static void answer_500(struct origin_turn *turn)
{
    if (origin_read_body(turn))
        wire_print(turn->wire, "HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n");
    else
        turn->is_closing = true;
}

static void reset(struct origin_turn *turn)
{
    origin_read_body(turn);
    wire_reset(turn->wire);
    turn->is_closing = true;
}

/* Ends its own direction alone, and leaves it to the gateway to end the other one. */
static void half_close(struct origin_turn *turn)
{
    wire_half_close(turn->wire);
    origin_hang(turn);
}

struct fault {
    const char *name;
    origin_script conduct; /* NULL: it listens no more */
    const char *outcome;   /* of requests; NULL: one or the other */
    const char *check;     /* what a check finds; NULL: one or the other */
};

static const struct fault faults[] = {
    {"flaps", NULL, NULL, NULL},
    {"answers 500", answer_500, "5 in a row failed, the last one with 5xx", "status 500"},
    {"resets", reset, "5 in a row failed, the last one with reset", "closed"},
    {"half-closes", half_close, "5 in a row failed, the last one with reset", "closed"},
    {"hangs", origin_hang, "5 in a row failed, the last one with timeout", "timeout"},
    {"flaps again", NULL, NULL, NULL},
};

enum { FAULTS = sizeof faults / sizeof faults[0] };

static void begin(struct trial *trial, const struct fault *fault)
{
    load_wait_answers(trial->load, STRETCH);
    trial->told = strlen(gateway_stderr(trial->gateway));
    if (fault->conduct == NULL)
        origin_stop(trial->servers[0]);
    else
        load_set_conduct(trial->load, 0, fault->conduct);
}

static void end(const struct trial *trial, const struct fault *fault)
{
    if (fault->conduct == NULL)
        origin_restart(trial->servers[0]);
    else
        load_set_conduct(trial->load, 0, NULL);
}

/* The next event of this kind is about the unsteady one, and says these words, if any. */
static void await_event(struct trial *trial, const char *event, const char *words)
{
    size_t before = trial->told;

    gateway_wait_stderr(trial->gateway, event, &trial->told);
    const char *line = strstr(gateway_stderr(trial->gateway) + before, event);
    line = text("%.*s", (int)strcspn(line, "\n"), line);
    workplace_require(strstr(line, origin_address(trial->servers[0])) != NULL &&
                          (words == NULL || strstr(line, words) != NULL),
                      "not of the unsteady one, or without '%s': %s", words != NULL ? words : "",
                      line);
}

/* A member of what /status says of it. */
static const char *status_of_first(const char *member)
{
    json_t *status = json_from(ask_admin("GET", "/status")->body);
    json_t *servers = json_member(json_array_get(json_member(status, "backends"), 0), "servers");
    return json_string_value(json_member(json_array_get(servers, 0), member));
}

static void await_state(const char *state)
{
    long long start_ms = monitor_now_ms();

    while (strcmp(status_of_first("state"), state) != 0)
        workplace_require(monitor_may_ask_again(start_ms), "/status never said '%s'", state);
}

/* Each time it was ejected it failed so often, and had whatever was on its way to it by then; and
 * so once more, since it may be back without being ejected anew yet. */
static int most_for(const struct trial *trial, int more)
{
    return (count_words(trial->gateway, "server_ejected") + more) * (AFTER + CLIENTS);
}

/* --- by what becomes of requests ------------------------------------------------------------ */

static const char backends[] = "'backends': { 'b': { 'servers': ['%s', '%s', '%s'],"
                               "  'retry': { 'attempts': 3, 'timeout': '5s',"
                               "    'on': ['connect', 'stale', 'reset', 'timeout', '5xx'] },"
                               "  'eject': { 'after': 5, 'for': '50ms' } %s } }";

static const char *routes_of(const struct trial *trial, const char *keys)
{
    const char *of_all =
        text(backends, origin_address(trial->servers[0]), origin_address(trial->servers[1]),
             origin_address(trial->servers[2]), keys);
    return route_file("routes.json", "{ @base, %s, 'routes': { 'a.test': 'b' } }", of_all);
}

Test(unsteady, ejection_bounds_what_every_fault_costs)
{
    struct trial trial = {0};

    start_servers(&trial);
    start_load(&trial, routes_of(&trial, ""));
    for (int i = 0; i < FAULTS; i++) {
        begin(&trial, &faults[i]);
        int seen = load_seen_by(trial.load, 0), most = most_for(&trial, 0);
        await_event(&trial, "server_ejected", faults[i].outcome);
        if (faults[i].conduct != NULL) { /* else each worker skips it as well, for longer */
            await_event(&trial, "server_returned", NULL);
            await_event(&trial, "server_ejected", faults[i].outcome);
            await_state("ejected"); /* as it is again and again */
        }
        load_wait_answers(trial.load, STRETCH);
        seen = load_seen_by(trial.load, 0) - seen;
        most = most_for(&trial, 1) - most;
        workplace_require(seen <= most, "%s: it saw %d requests, %d at most should come",
                          faults[i].name, seen, most);
        end(&trial, &faults[i]);
        await_event(&trial, "server_returned", NULL);
        await_state("up");
        load_wait_seen_by(trial.load, 0, STRETCH / 10);
    }
    end_load(&trial);
    load_expect_posts_lost(trial.load, 0, most_for(&trial, 0));
}

/* --- by asking for its health --------------------------------------------------------------- */

Test(unsteady, checks_find_every_fault_and_its_end)
{
    struct trial trial = {0};

    start_servers(&trial);
    start_load(&trial, routes_of(&trial, ", 'health': { 'path': '/healthz', 'every': '300ms',"
                                         "  'fall': 2, 'rise': 2 }"));
    for (int i = 0; i < FAULTS; i++) {
        begin(&trial, &faults[i]);
        await_event(&trial, "server_down", faults[i].check);
        cr_assert_str_eq(status_of_first("check.verdict"), "down");
        int seen = load_seen_by(trial.load, 0);
        load_wait_answers(trial.load, STRETCH);
        seen = load_seen_by(trial.load, 0) - seen;
        workplace_require(seen <= CLIENTS, "%s: it saw %d requests while it was down",
                          faults[i].name, seen);
        end(&trial, &faults[i]);
        await_event(&trial, "server_up", NULL);
        cr_assert_str_eq(status_of_first("check.verdict"), "up");
        load_wait_seen_by(trial.load, 0, STRETCH / 10);
    }
    cr_assert_eq(count_words(trial.gateway, "server_down"), FAULTS);
    end_load(&trial);
    load_expect_posts_lost(trial.load, 0, most_for(&trial, FAULTS));
}

/* --- by DNS ----------------------------------------------------------------------------------- */

static const char service[] = "_http._tcp.api.internal";

static uint16_t port_of(const struct origin *origin)
{
    return (uint16_t)atoi(strrchr(origin_address(origin), ':') + 1);
}

/* Nobody hears of the moment between: what is asked meanwhile is answered with what is said then.
 */
static void begin_change(struct dns_server *dns, enum dns_type type, const char *name)
{
    dns_server_behave(dns, type, DNS_HOLDS);
    dns_server_forget(dns, name);
}

static void end_change(struct dns_server *dns, enum dns_type type)
{
    dns_server_behave(dns, type, DNS_ANSWERS);
    dns_server_release(dns);
}

static void name_servers(const struct trial *trial, struct dns_server *dns, int first)
{
    begin_change(dns, DNS_SRV, service);
    for (int i = first; i < SERVERS; i++)
        dns_server_add_srv(dns, service, 1, 0, 1, port_of(trial->servers[i]), "one.internal");
    end_change(dns, DNS_SRV);
}

Test(unsteady, nothing_is_lost_with_a_server_that_leaves_dns_and_comes_back)
{
    struct trial trial = {0};
    struct dns_server *dns = dns_server_start();

    start_servers(&trial);
    dns_server_add_a(dns, "one.internal", 1, workplace_own_host(0));
    name_servers(&trial, dns, 0);
    start_load(&trial, route_file("routes.json",
                                  "{ @base, 'dns': { 'servers': ['%s'] },"
                                  "  'backends': { 'b': { 'servers': ['srv:%s'] } },"
                                  "  'routes': { 'a.test': 'b' } }",
                                  dns_server_address(dns), service));
    for (int round = 0; round < 2; round++) {
        load_wait_seen_by(trial.load, 0, STRETCH / 10);
        name_servers(&trial, dns, 1);
        origin_wait_open_connections(trial.servers[0], 0);
        origin_stop(trial.servers[0]); /* as one whose time has come */
        load_wait_answers(trial.load, STRETCH);
        origin_restart(trial.servers[0]);
        name_servers(&trial, dns, 0);
    }
    load_wait_seen_by(trial.load, 0, STRETCH / 10);
    end_load(&trial);
    dns_server_stop(dns);
    load_expect_nothing_lost(trial.load);
}

/* The last server has the first one's port at another address, and takes its place. */
Test(unsteady, nothing_is_lost_with_a_name_that_moves_there_and_back)
{
    struct trial trial = {0};
    struct dns_server *dns = dns_server_start();
    const char *const addresses[] = {workplace_own_host(1), workplace_own_host(0)};

    start_servers(&trial);
    trial.servers[2] =
        origin_start_at("server", text("%s:%u", addresses[0], port_of(trial.servers[0])));
    dns_server_add_a(dns, "api.internal", 1, workplace_own_host(0));
    start_load(&trial, route_file("routes.json",
                                  "{ @base, 'dns': { 'servers': ['%s'] },"
                                  "  'backends': { 'b': { 'servers': ['api.internal:%u', '%s'] } },"
                                  "  'routes': { 'a.test': 'b' } }",
                                  dns_server_address(dns), port_of(trial.servers[0]),
                                  origin_address(trial.servers[1])));
    for (int move = 0; move < 4; move++) {
        int from = move % 2 == 0 ? 0 : 2;
        load_wait_seen_by(trial.load, from, STRETCH / 10);
        begin_change(dns, DNS_A, "api.internal");
        dns_server_add_a(dns, "api.internal", 1, addresses[move % 2]);
        end_change(dns, DNS_A);
        origin_wait_open_connections(trial.servers[from], 0);
        origin_stop(trial.servers[from]);
        load_wait_answers(trial.load, STRETCH);
        origin_restart(trial.servers[from]);
    }
    end_load(&trial);
    dns_server_stop(dns);
    load_expect_nothing_lost(trial.load);
}
