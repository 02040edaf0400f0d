/*
 * `rate_limit` under twice what it lets pass: SALLYPORT_TEST_OFFERED (100,000) requests over two
 * workers, and over two gateways that share it through Redis. What passes is within 1% of the limit
 * and never more than rate x time + burst. What came out is told on stderr.
 */
#include "harness/await.h"
#include "harness/gateway_process.h"
#include "harness/offered.h"
#include "harness/redis.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdlib.h>

E2E_SUITE(heavy_limits);

/* Requests that are offered, and what is admitted in a second, which is the burst as well: no
 * moment in which this machine has others to do is lost. Less where a sanitizer makes everything
 * slow, so that twice the rate can be offered at all. */
static bool is_slow(void)
{
    return getenv("SALLYPORT_TEST_SLOW") != NULL;
}

static int count(void)
{
    return (int)workplace_number("SALLYPORT_TEST_OFFERED", is_slow() ? 12 * 1000 : 100 * 1000);
}

static int limit(void)
{
    return is_slow() ? 1000 : 10000;
}

/* `more` are members of the limit and of the file. */
static struct gateway *start_limited(int number, const char *more_of_limit, const char *more)
{
    const char *routes = route_file(
        text("%d.json", number),
        "{ 'listen': { 'https': 'off', 'http': { 'bind': '127.0.0.1:0', 'serve': 'routes' },"
        "              'admin': 'unix:@tmp/%d.sock' },"
        "  'log': { 'access': 'off' }, 'certs': '@tmp/certs', %s"
        "  'routes': { 'a.test': { 'respond': { 'body': 'ok' },"
        "              'rate_limit': { 'rate': '%d/s', 'burst': %d %s } } } }",
        number, more, limit(), limit(), more_of_limit);

    return gateway_start_with(&(struct gateway_options){.routes = routes, .workers = 2});
}

static struct offered_options twice_the_rate(const char *const *addresses, int address_count)
{
    return (struct offered_options){
        .addresses = addresses,
        .address_count = address_count,
        .fields = "",
        .count = count(),
        .rate = 2 * limit(),
        .limit = limit(),
        .burst = limit(),
    };
}

Test(heavy_limits, twice_the_rate_over_two_workers, .timeout = 240)
{
    struct gateway *gateway = start_limited(1, "", "");
    const char *address = gateway_address(gateway, "http", 0);
    const struct offered_options options = twice_the_rate(&address, 1);
    struct offered offered = offer(&options);

    offered_expect_limit(&options, &offered);
    gateway_stop(gateway);
}

struct fleet {
    struct redis *redis;
    struct gateway *gateways[2];
    const char *addresses[2];
};

/* Whose requests wait for as long as this machine may take. */
static void start_fleet(struct fleet *fleet)
{
    fleet->redis = redis_start(NULL);
    for (int i = 0; i < 2; i++) {
        fleet->gateways[i] = start_limited(
            i, ", 'scope': 'redis'",
            text("'redis': { 'servers': ['%s'], 'timeout': '20s' },", redis_address(fleet->redis)));
        fleet->addresses[i] = gateway_address(fleet->gateways[i], "http", 0);
    }
}

static void stop_fleet(struct fleet *fleet)
{
    for (int i = 0; i < 2; i++)
        gateway_stop(fleet->gateways[i]);
}

Test(heavy_limits, twice_the_rate_over_two_gateways, .timeout = 240)
{
    struct fleet fleet;

    start_fleet(&fleet);
    const struct offered_options options = twice_the_rate(fleet.addresses, 2);
    struct offered offered = offer(&options);
    offered_expect_limit(&options, &offered);
    for (int i = 0; i < 2; i++)
        cr_expect_eq(count_words(fleet.gateways[i], "redis_away"), 0);
    stop_fleet(&fleet);
}

static void kill_and_restart(void *arg)
{
    struct fleet *fleet = arg;
    size_t seen[2] = {0, 0};

    redis_kill(fleet->redis);
    for (int i = 0; i < 2; i++)
        gateway_wait_stderr(fleet->gateways[i], "redis_away", &seen[i]);
    redis_restart(fleet->redis);
    for (int i = 0; i < 2; i++)
        gateway_wait_stderr(fleet->gateways[i], "redis_back", &seen[i]);
}

/* Every request is answered. While it is away each gateway counts for itself: twice the limit at
 * most; and when it is back it has forgotten one burst. */
Test(heavy_limits, redis_killed_and_restarted_under_load, .timeout = 240)
{
    struct fleet fleet;

    start_fleet(&fleet);
    struct offered_options options = twice_the_rate(fleet.addresses, 2);
    options.count /= 4;
    options.meanwhile = kill_and_restart;
    options.arg = &fleet;
    struct offered offered = offer(&options);
    offered_tell(&options, &offered);
    cr_expect_eq(offered.passed + offered.refused, options.count);
    cr_expect_leq(offered.passed, 2 * limit() * offered.seconds + 4 * limit());
    cr_expect_geq(offered.passed, 0.9 * offered.expected);
    stop_fleet(&fleet);
}
