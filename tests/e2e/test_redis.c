/* Limits that gateways share through a real Redis, and what becomes of them when it goes away.
 * Limits of a day: no test takes so long that one more request would pass. */
#include "harness/redis.h"

#include "harness/await.h"
#include "harness/command.h"
#include "harness/json_log.h"
#include "harness/monitor.h"
#include "harness/tls_client.h"
#include "harness/wire.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

E2E_SUITE(redis);

#define SHARED(rate)                                                      \
    "'routes': { 'a.test': { 'respond': { 'body': 'ok' }, 'rate_limit': " \
    "{ 'rate': '" rate "', 'scope': 'redis' } } }"

/* One of a fleet. */
struct member {
    struct gateway *gateway;
    struct client *client;
    int number;
};

static char *describe(int number, const char *redis, const char *routes)
{
    return text(
        "{ 'listen': { 'https': '127.0.0.1:0', 'admin': 'unix:@tmp/%d.sock' }, 'certs': "
        "'@tmp/certs',"
        "  'trusted_proxies': ['127.0.0.0/8'], 'log': { 'format': 'json' }, 'redis': { %s }, %s }",
        number, redis, routes);
}

static struct member start(int number, const char *redis, const char *routes)
{
    struct member member = {
        .gateway = gateway_start_with(&(struct gateway_options){
            .routes = route_file(text("%d.json", number), "%s", describe(number, redis, routes)),
            .workers = 2}),
        .number = number};

    member.client = client_open(member.gateway, "a.test");
    return member;
}

static void stop(struct member *member)
{
    client_close(member->client);
    gateway_stop(member->gateway);
}

static void reload(struct member *member, const char *redis, const char *routes)
{
    route_file(text("%d.json", member->number), "%s", describe(member->number, redis, routes));
    expect_status(
        ask_plain(text("unix:%s/%d.sock", workplace_folder(), member->number), "POST", "/reload"),
        200);
}

static const char *at(const struct redis *redis)
{
    return text("'servers': ['%s'], 'timeout': '10s'", redis_address(redis));
}

static struct message *ask(struct member *member, const char *fields)
{
    client_send(member->client, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", fields);
    return client_response(member->client);
}

static void expect_passes(struct member *member, int count)
{
    for (int i = 0; i < count; i++)
        expect_body(ask(member, ""), "ok");
}

static void expect_limited(struct member *member)
{
    expect_refusal(ask(member, ""), 429, "rate_limited");
}

static void expect_counted(struct member *member, const char *outcome, int count)
{
    struct message *response =
        ask_plain(text("unix:%s/%d.sock", workplace_folder(), member->number), "GET", "/metrics");
    const char *series = text(
        "sallyport_policy_decisions_total{policy=\"rate_limit\",route=\"a.test\",outcome=\"%s\"} ",
        outcome);
    const char *line = strstr(response->body, series);

    workplace_require((line != NULL ? atoi(line + strlen(series)) : 0) == count, "not %d %s in\n%s",
                      count, outcome, strstr(response->body, "sallyport_policy"));
}

static void await_in_flight(struct member *member, int count)
{
    const char *series = "\nsallyport_http_requests_in_flight ";
    long long start_ms = monitor_now_ms();
    const char *line;

    do {
        struct message *response = ask_plain(
            text("unix:%s/%d.sock", workplace_folder(), member->number), "GET", "/metrics");
        line = strstr(response->body, series);
        workplace_require(line != NULL && monitor_may_ask_again(start_ms), "%.60s", line);
    } while (atoi(line + strlen(series)) != count);
}

static void expect_said(struct member *member, const char *words, int count)
{
    workplace_require(count_words(member->gateway, words) == count, "not said %d times: %s", count,
                      words);
}

/* --- counting together --------------------------------------------------------------------------
 */

Test(redis, two_gateways_share_a_limit)
{
    struct redis *redis = redis_start(NULL);
    struct member one = start(1, at(redis), SHARED("4/d")),
                  two = start(2, at(redis), SHARED("4/d"));
    struct message *response = ask(&one, "");

    expect_body(response, "ok");
    expect_field(response, "RateLimit-Policy", "\"ip\";q=4;w=86400");
    expect_field(response, "RateLimit", "\"ip\";r=3;t=21600");
    expect_passes(&two, 2);
    expect_passes(&one, 1);
    expect_limited(&two);
    response = ask(&one, "");
    expect_refusal(response, 429, "rate_limited");
    long wait = atol(message_field(response, "Retry-After"));
    workplace_require(wait > 21600 - 240 && wait <= 21600, "Retry-After: %ld", wait);
    expect_body(ask(&one, "X-Forwarded-For: 192.0.2.1\r\n"), "ok");
    expect_counted(&one, "allowed", 3);
    expect_counted(&one, "refused", 1);
    stop(&one);
    stop(&two);
    expect_said(&one, "redis_away", 0);
}

Test(redis, what_is_kept_there)
{
    struct redis *redis = redis_start(NULL);
    struct member member =
        start(1, at(redis),
              "'routes': { 'a.test': { 'respond': { 'body': 'ok' }, 'rate_limit': ["
              "  { 'rate': '2/m', 'scope': 'redis', 'key': 'header:X-Api-Key' },"
              "  { 'rate': '2/m', 'scope': 'redis', 'key': 'route' } ] } }");
    const char *kept, *left;

    expect_body(ask(&member, "X-Api-Key: secret\r\nX-Forwarded-For: 2001:db8:0:1::7\r\n"), "ok");
    kept = redis_ask(redis, (const char *const[]){"KEYS", "*#*", NULL});
    workplace_require(strstr(kept, "sallyport:routes[\"a.test\"]#0:header:") != NULL &&
                          strstr(kept, "sallyport:routes[\"a.test\"]#1:route:a.test") != NULL &&
                          strstr(kept, "secret") == NULL,
                      "kept: %s", kept);
    left = redis_ask(
        redis, (const char *const[]){"PTTL", "sallyport:routes[\"a.test\"]#1:route:a.test", NULL});
    workplace_require(atol(left) > 0 && atol(left) <= 30000, "it is kept for %s", left);
    expect_body(ask(&member, "X-Forwarded-For: 2001:db8:0:1::7\r\n"), "ok");
    kept = redis_ask(redis, (const char *const[]){"KEYS", "*ip:2001:db8:0:1::/64", NULL});
    workplace_require(strstr(kept, "#0:ip:") != NULL, "kept: %s", kept);
    stop(&member);
}

Test(redis, of_a_list_all_must_pass_wherever_they_are_counted)
{
    struct redis *redis = redis_start(NULL);
    struct member member =
        start(1, at(redis),
              "'routes': { 'a.test': { 'respond': { 'body': 'ok' }, 'rate_limit': ["
              "  { 'rate': '2/d', 'scope': 'redis', 'key': 'header:X-Shared' },"
              "  { 'rate': '6/d', 'key': 'route' },"
              "  { 'rate': '3/d', 'key': 'header:X-Own' } ] } }");
    struct message *response = ask(&member, "X-Shared: 1\r\nX-Own: 1\r\n");

    expect_body(response, "ok");
    expect_field(response, "RateLimit",
                 "\"route\";r=5;t=14400, \"header-2\";r=2;t=28800, \"header\";r=1;t=43200");
    expect_body(ask(&member, "X-Shared: 1\r\nX-Own: 1\r\n"), "ok");
    /* What Redis refuses, the process gives back. */
    for (int i = 0; i < 5; i++)
        expect_refusal(ask(&member, "X-Shared: 1\r\nX-Own: 1\r\n"), 429, "rate_limited");
    expect_body(ask(&member, "X-Shared: 2\r\nX-Own: 1\r\n"), "ok");
    /* And what the process refuses, Redis never hears of. */
    for (int i = 0; i < 5; i++)
        expect_refusal(ask(&member, "X-Shared: 2\r\nX-Own: 1\r\n"), 429, "rate_limited");
    expect_body(ask(&member, "X-Shared: 2\r\nX-Own: 2\r\n"), "ok");
    expect_refusal(ask(&member, "X-Shared: 2\r\nX-Own: 2\r\n"), 429, "rate_limited");
    stop(&member);
}

Test(redis, another_rate_goes_on_with_the_part_that_was_used)
{
    struct redis *redis = redis_start(NULL);
    struct member member = start(1, at(redis), SHARED("4/d"));

    expect_passes(&member, 3);
    reload(&member, at(redis), SHARED("8/d"));
    expect_passes(&member, 2);
    expect_limited(&member);
    stop(&member);
}

/* As after a failover to a clock that is behind: nobody owes more than a whole limit. */
Test(redis, a_clock_that_goes_back_keeps_nobody_out)
{
    struct redis *redis = redis_start(NULL);
    struct member member = start(1, at(redis), SHARED("100/s"));
    long long start_ms = monitor_now_ms();
    const char *key;

    expect_passes(&member, 1);
    key = redis_ask(redis, (const char *const[]){"KEYS", "*#*", NULL});
    key = text("%.*s", (int)strcspn(key, "\n"), key);
    /* A year from now on. */
    redis_ask(redis, (const char *const[]){"SET", key, "300000000000000 1000000", NULL});
    while (ask(&member, "")->status != 200)
        workplace_require(monitor_may_ask_again(start_ms), "it is refused for ever");
    stop(&member);
}

Test(redis, scripts_that_are_forgotten_come_again)
{
    struct redis *redis = redis_start(NULL);
    struct member member = start(1, at(redis), SHARED("4/d"));

    expect_passes(&member, 2);
    redis_ask(redis, (const char *const[]){"SCRIPT", "FLUSH", NULL});
    expect_passes(&member, 2);
    expect_limited(&member);
    expect_counted(&member, "allowed", 4);
    expect_said(&member, "redis_away", 0);
    stop(&member);
}

/* --- who is asked -------------------------------------------------------------------------------
 */

Test(redis, the_first_server_that_answers)
{
    struct redis *redis = redis_start(NULL);
    struct member member = start(1,
                                 text("'servers': ['%s', '%s'], 'timeout': '10s'",
                                      workplace_free_address(), redis_address(redis)),
                                 SHARED("2/d"));

    expect_passes(&member, 2);
    expect_limited(&member);
    expect_counted(&member, "allowed", 2);
    stop(&member);
}

Test(redis, by_name_with_a_password_in_a_database)
{
    static const char *const settings[] = {"--requirepass", "pass word", NULL};
    const char *port, *address;
    int fd;
    char bound[64];

    /* A port that was free a moment ago, on the address that the name leads to. */
    fd = wire_listen("127.0.0.1:0", bound, sizeof bound);
    close(fd);
    address = text("%s", bound);
    port = strrchr(address, ':') + 1;
    struct redis *redis = redis_start_on(address, settings);
    struct member member = start(1,
                                 text("'servers': ['localhost:%s'], 'timeout': '10s', 'user': "
                                      "'default', 'password': 'pass word', 'database': 3",
                                      port),
                                 SHARED("2/d"));

    expect_passes(&member, 2);
    expect_limited(&member);
    expect_counted(&member, "allowed", 2);
    const char *kept =
        redis_ask(redis, (const char *const[]){"--no-auth-warning", "-a", "pass word", "-n", "3",
                                               "KEYS", "*#*", NULL});
    workplace_require(strstr(kept, "sallyport:") != NULL, "kept: %s", kept);
    stop(&member);
}

Test(redis, wrong_password_is_told_but_not_repeated)
{
    static const char *const settings[] = {"--requirepass", "right", NULL};
    struct redis *redis = redis_start(settings);
    struct member member =
        start(1, text("%s, 'password': 'wrong-secret'", at(redis)), SHARED("2/d"));

    gateway_wait_stderr(member.gateway, "it does not take the password (WRONGPASS)", NULL);
    expect_passes(&member, 2);
    expect_limited(&member);
    expect_counted(&member, "failed_open", 2);
    reload(&member, text("%s, 'password': 'right'", at(redis)), SHARED("2/d"));
    expect_passes(&member, 2); /* nobody has counted there before */
    expect_limited(&member);
    expect_counted(&member, "allowed", 2);
    expect_said(&member, "secret", 0);
    stop(&member);
}

Test(redis, a_reload_changes_whom_it_asks)
{
    struct redis *redis = redis_start(NULL);
    struct redis *other = redis_start_on(workplace_free_address(), NULL);
    struct member member = start(1, at(redis), SHARED("2/d"));

    expect_passes(&member, 2);
    expect_limited(&member);
    reload(&member, at(other), SHARED("2/d"));
    expect_passes(&member, 2);
    expect_limited(&member);
    expect_said(&member, "redis_away", 0);
    stop(&member);
}

/* --- when it is away ----------------------------------------------------------------------------
 */

static const char *nobody(const char *on_failure)
{
    return text("'servers': ['%s'], 'timeout': '10s', 'on_failure': '%s'", workplace_free_address(),
                on_failure);
}

Test(redis, away_each_gateway_counts_for_itself)
{
    const char *where = nobody("local");
    struct member one = start(1, where, SHARED("3/d")), two = start(2, where, SHARED("3/d"));

    expect_passes(&one, 3);
    expect_limited(&one);
    expect_passes(&two, 3);
    expect_limited(&two);
    expect_counted(&one, "failed_open", 3);
    expect_counted(&one, "refused", 1);
    expect_said(&one, "redis_away", 1);
    expect_said(&one, "it refuses connections", 1);
    stop(&one);
    stop(&two);
}

Test(redis, away_all_pass)
{
    struct member member = start(1, nobody("allow"), SHARED("3/d"));

    expect_passes(&member, 10);
    expect_counted(&member, "failed_open", 10);
    expect_no_field(ask(&member, ""), "RateLimit");
    expect_said(&member, "limits nobody", 1);
    stop(&member);
}

Test(redis, away_none_passes)
{
    struct member member = start(1, nobody("deny"), SHARED("3/d"));
    struct message *response = ask(&member, "");

    expect_refusal(response, 429, "rate_limited");
    expect_field(response, "Retry-After", "1");
    expect_limited(&member);
    expect_counted(&member, "failed", 2);
    reload(&member, nobody("deny"),
           "'routes': { 'a.test': { 'respond': { 'body': 'ok' }, 'rate_limit': "
           "{ 'rate': '1/d', 'scope': 'redis', 'enforce': false } } }");
    expect_passes(&member, 3);
    expect_counted(&member, "failed_open", 3);
    stop(&member);
}

/* What it said before it went away is not forgotten. */
Test(redis, killed_and_restarted)
{
    struct redis *redis = redis_start(NULL);
    struct member member = start(1, at(redis), SHARED("4/d"));

    expect_passes(&member, 3);
    redis_kill(redis);
    gateway_wait_stderr(member.gateway, "redis_away", NULL);
    expect_passes(&member, 1);
    expect_limited(&member);
    redis_restart(redis);
    gateway_wait_stderr(member.gateway, "redis_back", NULL);
    /* It has lost everything, and counts from the beginning. */
    expect_passes(&member, 4);
    expect_limited(&member);
    expect_counted(&member, "failed_open", 1);
    expect_said(&member, "redis_away", 1);
    expect_said(&member, "redis_back", 1);
    stop(&member);
}

/* It would take longer than the test may if each request waited. */
Test(redis, one_that_never_answers_is_not_waited_for_each_time)
{
    char address[64];
    int fd = wire_listen("127.0.0.1:0", address, sizeof address);
    struct member member =
        start(1, text("'servers': ['%s'], 'timeout': '1s', 'on_failure': 'allow'", address),
              SHARED("3/d"));

    expect_passes(&member, 1000);
    expect_counted(&member, "failed_open", 1000);
    expect_said(&member, "redis_away", 1);
    stop(&member);
    close(fd);
}

Test(redis, one_that_falls_silent_comes_back)
{
    struct redis *redis = redis_start(NULL);
    struct member member = start(
        1, text("'servers': ['%s'], 'timeout': '200ms'", redis_address(redis)), SHARED("100/d"));

    expect_passes(&member, 1);
    redis_freeze(redis);
    expect_passes(&member, 50);
    gateway_wait_stderr(member.gateway, "it does not answer in time", NULL);
    redis_wake(redis);
    gateway_wait_stderr(member.gateway, "redis_back", NULL);
    expect_body(ask(&member, "X-Forwarded-For: 192.0.2.1\r\n"), "ok");
    expect_field(ask(&member, "X-Forwarded-For: 192.0.2.1\r\n"), "RateLimit", "\"ip\";r=98;t=1728");
    expect_said(&member, "redis_away", 1);
    stop(&member);
}

/* Until it has run so many of our scripts; each worker has a connection of its own. */
static void await_calls(const struct redis *redis, int count)
{
    const char *words = "cmdstat_evalsha:calls=";
    long long start_ms = monitor_now_ms();
    const char *told;

    do {
        told = redis_ask(redis, (const char *const[]){"INFO", "commandstats", NULL});
        told = strstr(told, words);
        workplace_require(told != NULL && monitor_may_ask_again(start_ms), "%.40s", told);
    } while (atoi(told + strlen(words)) < count);
}

/* Their calls are answered when nobody waits for them any more. */
Test(redis, clients_that_leave_meanwhile)
{
    enum { CLIENTS = 20 };
    struct redis *redis = redis_start(NULL);
    struct member member = start(1, at(redis), SHARED("40/d"));
    struct client *clients[CLIENTS];

    expect_passes(&member, 1);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = client_open(member.gateway, "a.test");
    redis_freeze(redis);
    for (int i = 0; i < CLIENTS; i++)
        client_send(clients[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await_in_flight(&member, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        client_close(clients[i]);
    await_in_flight(&member, 0);
    redis_wake(redis);
    expect_passes(&member, 1);
    await_calls(redis, CLIENTS + 2);
    expect_passes(&member, 1);
    expect_said(&member, "redis_away", 0);
    stop(&member);
}

Test(redis, one_that_talks_something_else)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    char address[64];
    int fd = wire_listen("127.0.0.1:0", address, sizeof address), peers[2];
    struct member member =
        start(1, text("'servers': ['%s'], 'timeout': '10s', 'password': 'secret'", address),
              SHARED("2/d"));

    for (int i = 0; i < 2; i++) { /* of each worker */
        peers[i] = accept(fd, NULL, NULL);
        cr_assert(peers[i] >= 0 && write(peers[i], answer, sizeof answer - 1) > 0);
    }
    gateway_wait_stderr(member.gateway, "no Redis' protocol", NULL);
    expect_passes(&member, 2);
    expect_limited(&member);
    expect_said(&member, "secret", 0);
    stop(&member);
    for (int i = 0; i < 2; i++)
        close(peers[i]);
    close(fd);
}

/* --- the route file -----------------------------------------------------------------------------
 */

Test(redis, mistakes)
{
    const char *file = route_file("bad.json", "{ @base, 'redis': { 'servers': ['redis://x:1', "
                                              "'x:0'], 'timeout': 0, 'pasword': 'secret' },"
                                              "  'routes': { 'a.test': 'x:1' } }");
    struct command *command = SALLYPORT("check", "-c", file);

    command_expect(command, 3);
    command_says(command, "redis.servers[0]");
    command_says(command, "redis.servers[1]");
    command_says(command, "redis.timeout");
    command_says(command, "password");
    workplace_require(strstr(command->err, "secret") == NULL, "%s", command->err);
    file = route_file("bad.json", "{ @base, %s }", SHARED("1/s"));
    command = SALLYPORT("check", "-c", file);
    command_expect(command, 3);
    command_says(command, "which Redis?");
}

Test(redis, secrets_are_told_nowhere)
{
    const char *was = route_file(
        "was.json", "{ @base, 'redis': { 'servers': ['x:1'], 'password': 'secret-one' }, %s }",
        SHARED("1/s"));
    const char *is = route_file(
        "is.json", "{ @base, 'redis': { 'servers': ['x:1'], 'password': 'secret-two' }, %s }",
        SHARED("1/s"));
    struct command *command = SALLYPORT("diff", "-c", was, is);

    command_expect(command, 4);
    command_says(command, "redis");
    workplace_require(strstr(command->out, "secret") == NULL, "%s", command->out);
    command = SALLYPORT("explain", "-c", was, "https://a.test/");
    workplace_require(strstr(command->out, "secret") == NULL, "%s", command->out);
    command_says(command, "1/s per ip burst 1, shared through Redis");
}
