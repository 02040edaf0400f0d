/* Many connections at once: each worker has its share of them, and what they held goes back to the
 * kernel once they have gone. */
#include "harness/baseline.h"
#include "harness/monitor.h"
#include "harness/origin.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

E2E_SUITE(crowds);

static void allow_many_files(void)
{
    struct rlimit files = {0};

    workplace_require(getrlimit(RLIMIT_NOFILE, &files) == 0, "no limit on files");
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* --- shares --------------------------------------------------------------------------------------
 */

enum { CONNECTIONS = 1000, LEAST = CONNECTIONS * 2 / 5, FILES = 64, LOOPS = 8 };

/* How many descriptors each loop of the gateway watches, in the order of its own descriptors. */
static int count_watched(struct gateway *gateway, int counts[LOOPS])
{
    int loops = 0;

    for (int fd = 0; fd < FILES && loops < LOOPS; fd++) {
        char target[64] = "";
        if (readlink(text("/proc/%d/fd/%d", gateway_pid(gateway), fd), target, sizeof(target) - 1) <
                0 ||
            strstr(target, "eventpoll") == NULL)
            continue;
        const char *at = workplace_read(text("/proc/%d/fdinfo/%d", gateway_pid(gateway), fd));
        for (counts[loops] = 0; (at = strstr(at, "tfd:")) != NULL; at++)
            counts[loops]++;
        loops++;
    }
    return loops;
}

/* The kernel chooses by a hash: 40 % of 1,000 are six standard deviations away from a half. */
Test(crowds, each_worker_has_its_share)
{
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ 'listen': { 'https': 'off', 'http': { 'bind': '127.0.0.1:0', "
                             "'serve': 'routes' }, 'admin': 'off' }, "
                             "'defaults': { 'timeout': { 'header': '60s' } }, "
                             "'routes': { 'a.test': { 'respond': { 'body': 'ok' } } } }"),
        .workers = 2});
    int before[LOOPS], now[LOOPS], loops = count_watched(gateway, before);
    long long start = monitor_now_ms();
    int sum, shares;

    allow_many_files();
    for (int i = 0; i < CONNECTIONS; i++)
        client_open_plain(gateway_address(gateway, "http", 0));
    do {
        cr_assert_eq(count_watched(gateway, now), loops);
        sum = shares = 0;
        for (int i = 0; i < loops; i++) {
            sum += now[i] - before[i];
            shares += now[i] - before[i] >= LEAST;
        }
    } while (sum < CONNECTIONS && monitor_may_ask_again(start));
    cr_assert_geq(sum, CONNECTIONS); /* the gateway may have begun to watch something else */
    cr_assert_eq(shares, 2, "of %d loops %d have 400 connections", loops, shares);
    gateway_stop(gateway);
}

/* --- memory --------------------------------------------------------------------------------------
 */

enum { CROWD = 2000, ROOM_KIB = 2048 };

static void open_crowd(struct gateway *gateway, SSL_CTX *context, struct client **clients)
{
    for (int i = 0; i < CROWD; i++) {
        clients[i] = client_make(gateway_https(gateway),
                                 &(struct client_options){.sni = "a.test", .context = context});
        workplace_require(clients[i] != NULL && clients[i]->is_connected,
                          "connection %d was refused", i);
        expect_from(client_get(clients[i], "a.test", "/"), "one");
    }
}

/* They hold 8 MiB, and what each left behind that stays is strewn among it. */
Test(crowds, memory_goes_back_to_the_kernel)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json", "{ @base, 'routes': { 'a.test': '%s' } }",
                             origin_address(origin)),
        .workers = 2});
    struct client **clients = workplace_own(calloc(CROWD, sizeof(*clients)), free);
    struct client *first = client_open(gateway, "a.test");

    if (gateway_is_sanitized(gateway)) {
        gateway_stop(gateway);
        cr_skip_test("a sanitizer keeps what is freed");
    }
    allow_many_files();
    for (int i = 0; i < 20; i++)
        expect_from(fetch(gateway, "a.test", "/"), "one");
    long before = gateway_rss_kib(gateway);
    open_crowd(gateway, first->context, clients);
    long with = gateway_rss_kib(gateway);
    for (int i = 0; i < CROWD; i++)
        client_free(clients[i]);
    long long start = monitor_now_ms();
    while (gateway_rss_kib(gateway) > before + ROOM_KIB && monitor_may_ask_again(start)) {
    }
    long after = gateway_rss_kib(gateway);
    fprintf(stderr, "%ld KiB before, %ld with %d connections, %ld after\n", before, with, CROWD,
            after);
    cr_assert_gt(with, before + 2 * ROOM_KIB);
    cr_assert_leq(after, before + ROOM_KIB);
    expect_from(client_get(first, "a.test", "/"), "one");
    gateway_stop(gateway);
}
