/* All servers of a backend are killed at once, under load, and are back after
 * SALLYPORT_TEST_OUTAGE_MS: with `hold` nobody notices, without it everybody is told at once. */
#include "harness/load.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>

E2E_SUITE(heavy_outage);

enum { SERVERS = 3, CLIENTS = 32, STRETCH = 500, OUTAGES = 2 };

static const struct load_host host = {.name = "a.test", .sni = "a.test"};

struct trial {
    struct origin *servers[SERVERS];
    struct gateway *gateway;
    struct load *load;
};

/* Any of the servers may be the last one that a request meets while they go down, one after the
 * other. */
static void start(struct trial *trial, const char *keys, bool posts)
{
    for (int i = 0; i < SERVERS; i++)
        trial->servers[i] = origin_start("server");
    trial->gateway = gateway_start_with(&(struct gateway_options){
        .routes =
            route_file("routes.json",
                       "{ @base, 'backends': { 'b': { 'servers': ['%s', '%s', '%s'],"
                       "  'retry': { 'attempts': 5, 'on': ['connect', 'stale', 'reset'] } %s } },"
                       "  'routes': { 'a.test': 'b' } }",
                       origin_address(trial->servers[0]), origin_address(trial->servers[1]),
                       origin_address(trial->servers[2]), keys),
        .workers = 2});
    trial->load = load_new(&(struct load_options){.gateway = trial->gateway,
                                                  .hosts = &host,
                                                  .host_count = 1,
                                                  .connections = CLIENTS,
                                                  .threads = CLIENTS,
                                                  .posts = posts});
    for (int i = 0; i < SERVERS; i++)
        load_add_origin(trial->load, trial->servers[i], i);
    load_start(trial->load);
}

static void stop_servers(const struct trial *trial)
{
    for (int i = 0; i < SERVERS; i++)
        origin_stop(trial->servers[i]);
}

static void restart_servers(const struct trial *trial)
{
    for (int i = 0; i < SERVERS; i++)
        origin_restart(trial->servers[i]);
}

/* Nothing is waited for: this is how long nobody is there. */
static void let_outage_last(void)
{
    long long start_ms = monitor_now_ms();
    long long end_ms = start_ms + workplace_number("SALLYPORT_TEST_OUTAGE_MS", 500);

    while (monitor_now_ms() < end_ms && monitor_may_ask_again(start_ms))
        continue;
}

/* Between two stretches in which all is well. */
static void pass_outages(const struct trial *trial, int failures)
{
    for (int i = 0; i < OUTAGES; i++) {
        load_wait_answers(trial->load, STRETCH);
        stop_servers(trial);
        load_wait_failures(trial->load, failures);
        let_outage_last();
        restart_servers(trial);
    }
    load_wait_answers(trial->load, STRETCH);
    load_end(trial->load);
    gateway_stop(trial->gateway);
}

static const char hold[] = ", 'hold': { 'for': '1m', 'queue': 100 }";

Test(heavy_outage, with_hold_nobody_notices)
{
    struct trial trial;

    start(&trial, hold, false);
    pass_outages(&trial, 0);
    load_expect_posts_lost(trial.load, HISTORY_ABSENT, 0); /* of which there are none */
}

/* Of a POST that a server was killed over nobody knows what came of it. */
Test(heavy_outage, with_hold_only_posts_that_servers_had_in_hand_are_lost)
{
    struct trial trial;

    start(&trial, hold, true);
    pass_outages(&trial, 0);
    load_expect_posts_lost(trial.load, HISTORY_ABSENT, OUTAGES * CLIENTS);
}

Test(heavy_outage, without_it_everybody_is_refused_at_once)
{
    struct trial trial;

    start(&trial, "", true);
    pass_outages(&trial, STRETCH);
    cr_assert_eq(load_answered(trial.load) + load_failed(trial.load), load_sent(trial.load));
    cr_assert_eq(load_refused(trial.load), load_failed(trial.load));
}
