/* The cache's memory under floods: of keys, of variants, of clients that read what is kept slowly;
 * and purges and evictions while it is read. */
#include "harness/crowd.h"
#include "harness/json_log.h"
#include "harness/origin.h"
#include "harness/pattern.h"
#include "harness/tls_client.h"
#include "harness/wire.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(cache_floods);

enum {
    KIB = 1024,
    SIZE_KIB = 4 * KIB, /* of the cache */
    PAGE = 16 * KIB,    /* bytes */
    PAGES = 3000,       /* 12 times as much as there is room for */
    BIG = 300 * KIB,
    READERS = 8,
};

static struct origin *origin;
static struct gateway *gateway;

/* A body by its path: /BYTES/anything. Every page is the same pattern from its beginning. */
static void answer(struct origin_turn *turn)
{
    const char *path = strchr(turn->request->head, '/');
    size_t bytes = strtoul(path + 1, NULL, 10);

    wire_print(turn->wire,
               "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nVary: X-Variant\r\n"
               "Surrogate-Key: page page%zu\r\nContent-Length: %zu\r\n\r\n",
               bytes / 400 % 10, bytes);
    for (size_t at = 0; at < bytes;) {
        size_t piece = bytes - at < PATTERN_PIECE ? bytes - at : PATTERN_PIECE;
        if (!wire_write(turn->wire, pattern_at(at), piece))
            return;
        at += piece;
    }
}

static void start(int workers)
{
    origin = origin_start("one");
    origin_set_script(origin, NULL, answer, NULL);
    gateway = gateway_start_with(&(struct gateway_options){
        .routes = route_file("routes.json",
                             "{ @base, 'defaults': { 'cache': {"
                             "'size': '%dKiB', 'max_object': '1MiB' } }, 'routes': { '*.test':"
                             "'%s' } }",
                             SIZE_KIB, origin_address(origin)),
        .workers = workers});
}

static void expect_page(const struct message *response, size_t bytes)
{
    workplace_require(response->status == 200 && response->is_complete, "%s", response->head);
    workplace_require(response->body_bytes == bytes && (bytes == 0 || response->body_is_pattern),
                      "the body is not the page's: %llu bytes of %zu",
                      (unsigned long long)response->body_bytes, bytes);
}

static long long of_zone(const char *member)
{
    json_t *zones = json_member(json_from(ask_admin("GET", "/status")->body), "cache");

    return json_integer_value(json_member(json_array_get(zones, 0), member));
}

static void expect_bounded(void)
{
    cr_assert_leq(of_zone("bytes"), (long long)SIZE_KIB * KIB);
}

static void flood_with_keys(struct client *client, const char *name, int count)
{
    for (int i = 0; i < count; i++) {
        expect_page(client_get(client, "a.test", text("/%d/%s/%d", PAGE, name, i)), PAGE);
        if (i % 500 == 0)
            expect_bounded();
    }
    expect_bounded();
}

Test(cache_floods, of_keys)
{
    struct client *client;
    long before;

    start(1);
    client = client_open(gateway, "a.test");
    flood_with_keys(client, "first", 200);
    before = gateway_rss_kib(gateway);
    flood_with_keys(client, "then", PAGES);
    cr_expect_gt(of_zone("evicted"), PAGES / 2);
    if (!gateway_is_sanitized(gateway))
        cr_expect_lt(gateway_rss_kib(gateway) - before, 4 * SIZE_KIB);
    gateway_stop(gateway);
}

Test(cache_floods, of_variants)
{
    struct client *client;

    start(1);
    client = client_open(gateway, "a.test");
    for (int i = 0; i < 500; i++) {
        client_send(client, "GET /100/x HTTP/1.1\r\nHost: a.test\r\nX-Variant: %d\r\n\r\n", i);
        expect_page(client_response(client), 100);
    }
    cr_expect_leq(of_zone("objects"), 64);
    expect_bounded();
    gateway_stop(gateway);
}

/* They have read the head, and no more than their windows take; what they read is purged, and the
 * memory is wanted for others. Each gets all of it in the end. */
Test(cache_floods, of_slow_readers)
{
    struct client *readers[READERS];
    struct message *responses[READERS];

    start(1);
    for (int i = 0; i < READERS; i++) {
        const char *path = text("/%d/%d", BIG, i);
        expect_page(fetch(gateway, "a.test", path), BIG);
        readers[i] =
            client_open_with(gateway_https(gateway),
                             &(struct client_options){.sni = "a.test", .has_small_window = true});
        client_send(readers[i], "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n", path);
        responses[i] = client_response_head(readers[i]);
        cr_assert_not_null(strstr(message_field(responses[i], "cache-status"), "hit"));
    }
    cr_assert_eq(ask_admin("POST", "/purge?tag=page")->status, 200);
    cr_expect_eq(of_zone("objects"), 0);
    flood_with_keys(client_open(gateway, "a.test"), "meanwhile", 400);
    for (int i = 0; i < READERS; i++) {
        cr_assert(message_read_body(&readers[i]->wire, responses[i], "GET"));
        expect_page(responses[i], BIG);
    }
    gateway_stop(gateway);
}

/* --- while it is read ----------------------------------------------------------------------------
 */

static void visit(void *arg, unsigned n)
{
    struct client *client =
        client_make(gateway_https(gateway), &(struct client_options){.sni = "a.test"});

    (void)arg;
    for (unsigned i = 0; i < 10; i++) {
        unsigned key = (n * 7 + i * i * 13) % 120;
        size_t bytes = key % 5 == 0 ? BIG : key * 400;
        expect_page(client_get(client, "a.test", text("/%zu/%u", bytes, key)), bytes);
    }
    client_free(client);
}

Test(cache_floods, purges_and_evictions_while_it_is_read)
{
    static const char *const purges[] = {"?tag=page5", "?prefix=https://a.test/4",
                                         "?url=https://a.test/400/1"};
    struct crowd *crowd;

    start(2);
    crowd = crowd_start(6, 0, visit, NULL);
    origin_wait_requests(origin, 50);
    for (unsigned i = 0; i < 60; i++) {
        int seen = origin_requests(origin);
        const char *what = i == 30 ? "?all" : purges[i % 3];
        cr_assert_eq(ask_admin("POST", text("/purge%s", what))->status, 200);
        expect_bounded();
        if (i % 5 == 0)
            origin_wait_requests(origin, seen + 15); /* it is asked again */
    }
    crowd_end(crowd);
    cr_expect_gt(of_zone("purged"), 0);
    cr_expect_gt(of_zone("evicted"), 0);
    cr_expect_gt(of_zone("found"), 0);
    gateway_stop(gateway);
}
