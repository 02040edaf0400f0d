/* What an entry of `backends` says beside its servers, and `retry` and `split_on`, which lead to
 * them: what is read, what is refused and how. */
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(backends, .init = begin, .fini = end);

static void load_entry(const char *members)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "'routes': { 'a.test': 'b' }, 'backends': { 'b': { 'servers': ['x:1', 'x:2'], %s } }",
             members);
    route_folder_load_with_certs(&folder, text);
}

/* The backend with these members. */
static const struct upstream_spec *entry(const char *members)
{
    load_entry(members);
    cr_assert(folder.snapshot, "%s: %s", members, folder.printed);
    return folder.snapshot->config->upstreams[0];
}

static void expect_text(struct slice is, const char *wanted)
{
    cr_expect(slice_equal(is, slice_of(wanted)), "\"%.*s\", not \"%s\"", (int)is.len, is.at,
              wanted);
}

/* --- what is read -------------------------------------------------------------------------------
 */

Test(backends, nothing_is_on_by_itself)
{
    const struct upstream_spec *b = entry("'//': 0");

    cr_expect_eq(b->balance, BALANCE_ROUND_ROBIN);
    cr_expect_eq(b->hash_on.kind, AFFINITY_NONE);
    cr_expect_eq(b->sticky.cookie.len, 0);
    cr_expect_eq(b->slow_start_ms, 0);
    cr_expect_not(b->health.is_on);
    cr_expect_eq(b->eject.after, 0);
    cr_expect_eq(b->hold.for_ms, 0);
    cr_expect_eq(b->max_connections, 0);
    cr_expect_eq(b->max_requests, 0);
    cr_expect_eq(b->min_idle, 0);
    cr_expect_eq(b->hedge_permille, 0);
    cr_expect_eq(b->keepalive, 32);
    cr_expect_eq(b->written, 0);
}

Test(backends, balance_and_hash_on)
{
    cr_expect_eq(entry("'balance': 'least_requests'")->balance, BALANCE_LEAST_REQUESTS);
    cr_expect_eq(entry("'balance': 'random'")->balance, BALANCE_RANDOM);
    cr_expect_eq(entry("'balance': 'latency'")->balance, BALANCE_LATENCY);
    const struct upstream_spec *b = entry("'balance': 'hash'");
    cr_expect_eq(b->balance, BALANCE_HASH);
    cr_expect_eq(b->hash_on.kind, AFFINITY_IP);
    b = entry("'hash_on': 'header:X-Tenant', 'balance': 'hash'");
    cr_expect_eq(b->hash_on.kind, AFFINITY_HEADER);
    expect_text(b->hash_on.name, "x-tenant");
    b = entry("'balance': 'hash', 'hash_on': 'cookie:Sid'");
    cr_expect_eq(b->hash_on.kind, AFFINITY_COOKIE);
    expect_text(b->hash_on.name, "Sid");
    cr_expect_eq(entry("'balance': 'hash', 'hash_on': 'uri'")->hash_on.kind, AFFINITY_URI);
}

Test(backends, sticky)
{
    const struct sticky_spec *sticky = &entry("'sticky': { 'cookie': 'srv' }")->sticky;

    expect_text(sticky->cookie, "srv");
    cr_expect_eq(sticky->ttl_ms, 0);
    cr_expect_eq(sticky->key.len, 0);
    setenv("BACKENDS_KEY", "a secret of enough bytes", 1);
    sticky = &entry("'sticky': { 'cookie': 'srv', 'ttl': '1h', 'key': '${BACKENDS_KEY}' }")->sticky;
    cr_expect_eq(sticky->ttl_ms, 3600000);
    expect_text(sticky->key, "a secret of enough bytes");
}

Test(backends, health)
{
    const struct health_spec *health = &entry("'health': {}")->health;

    cr_expect(health->is_on);
    cr_expect_eq(health->path.len, 0);
    cr_expect_eq(health->every_ms, 10000);
    cr_expect_eq(health->timeout_ms, 2000);
    cr_expect_eq(health->rise, 2);
    cr_expect_eq(health->fall, 3);
    health = &entry("'health': { 'path': '/h?a=/../b', 'method': 'HEAD', 'host': 'H.test:81',"
                    " 'status': [404, '200-204'], 'every': '1s', 'rise': 1, 'fall': 7 }")
                  ->health;
    expect_text(health->path, "/h?a=/../b");
    expect_text(health->method, "HEAD");
    expect_text(health->host, "H.test:81");
    cr_assert_eq(health->status_count, 2);
    cr_expect_eq(health->statuses[0].least, 200, "in order");
    cr_expect_eq(health->statuses[0].most, 204);
    cr_expect_eq(health->statuses[1].least, 404);
    cr_expect_eq(health->statuses[1].most, 404);
    cr_expect_eq(health->every_ms, 1000);
    cr_expect_eq(health->timeout_ms, 1000, "no longer than every");
    cr_expect_eq(health->rise, 1);
    cr_expect_eq(health->fall, 7);
    health = &entry("'health': { 'path': '/', 'host': 'backend', 'body': 'ok' }")->health;
    expect_text(health->method, "GET");
    cr_expect_eq(health->host.len, 0);
    expect_text(health->body, "ok");
    cr_assert_eq(health->status_count, 1);
    cr_expect_eq(health->statuses[0].least, 200);
    cr_expect_eq(health->statuses[0].most, 399);
}

Test(backends, eject)
{
    const struct eject_spec *eject = &entry("'eject': {}")->eject;

    cr_expect_eq(eject->after, 5);
    cr_expect_eq(eject->for_ms, 10000);
    cr_expect_eq(eject->most_percent, 50);
    eject = &entry("'eject': { 'after': 3, 'for': '1m', 'max': '100%' }")->eject;
    cr_expect_eq(eject->after, 3);
    cr_expect_eq(eject->for_ms, 60000);
    cr_expect_eq(eject->most_percent, 100);
    cr_expect_eq(entry("'eject': { 'after': 0 }")->eject.after, 0);
    cr_expect_eq(entry("'eject': { 'for': 0 }")->eject.after, 0);
    cr_expect_eq(entry("'eject': { 'max': '0%' }")->eject.after, 0);
}

Test(backends, hold)
{
    const struct hold_spec *hold = &entry("'hold': {}")->hold;

    cr_expect_eq(hold->for_ms, 5000);
    cr_expect_eq(hold->queue, 100);
    hold = &entry("'hold': { 'for': '3s', 'queue': 7 }")->hold;
    cr_expect_eq(hold->for_ms, 3000);
    cr_expect_eq(hold->queue, 7);
    cr_expect_eq(entry("'hold': { 'for': 0 }")->hold.for_ms, 0);
    cr_expect_eq(entry("'hold': { 'queue': 0 }")->hold.for_ms, 0);
}

Test(backends, counts_and_hedge)
{
    const struct upstream_spec *b = entry("'max_connections': 9, 'max_requests': 8, 'min_idle': 7,"
                                          "'keepalive': 7, 'hedge': 'p99.9', 'slow_start': '30s'");

    cr_expect_eq(b->max_connections, 9);
    cr_expect_eq(b->max_requests, 8);
    cr_expect_eq(b->min_idle, 7);
    cr_expect_eq(b->hedge_permille, 999);
    cr_expect_eq(b->slow_start_ms, 30000);
    cr_expect_eq(entry("'hedge': 'p50'")->hedge_permille, 500);
    cr_expect_eq(entry("'hedge': 0")->hedge_permille, 0);
}

static const struct settings *retry(const char *members)
{
    char text[256];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'to': 'x:1', 'retry': { %s } } }",
             members);
    route_folder_good(&folder, text);
    return &route_folder_find(&folder, "a.test", "/")->targets[0].settings;
}

Test(backends, retry)
{
    const struct settings *settings = retry("'//': 0");

    cr_expect_eq(settings->retry_budget, 20);
    cr_expect_eq(settings->retry_on, RETRY_ON_CONNECT | RETRY_ON_STALE);
    cr_expect_eq(settings->retry_status_count, 0);
    cr_expect_eq(settings->retry_timeout_ms, 0);
    settings = retry("'budget': '5%', 'on': ['5xx', 'reset', 503, '404', 'timeout'],"
                     "'timeout': '250ms'");
    cr_expect_eq(settings->retry_budget, 5);
    cr_expect_eq(settings->retry_on, RETRY_ON_RESET | RETRY_ON_TIMEOUT | RETRY_ON_5XX);
    cr_assert_eq(settings->retry_status_count, 2);
    cr_expect_eq(settings->retry_statuses[0], 404, "in order");
    cr_expect_eq(settings->retry_statuses[1], 503);
    cr_expect_eq(settings->retry_timeout_ms, 250);
    settings = retry("'budget': 0, 'on': []");
    cr_expect_eq(settings->retry_budget, RETRY_BUDGET_NONE);
    cr_expect_eq(settings->retry_on, 0);
    cr_expect_eq(retry("'budget': '0%'")->retry_budget, 0);
}

#define BOTH "'backends': { 'b': 'x:1', 'c': 'x:2' }, "

Test(backends, split_on_of_the_path_then_of_the_host)
{
    route_folder_good(&folder, BOTH "'routes': { 'a.test': { 'split_on': 'cookie:Tab', 'paths': {"
                                    "  '/': { 'to': { 'b': 1, 'c': 1 } }, '/one': 'b',"
                                    "  '/x': { 'to': { 'b': 1, 'c': 1 }, 'split_on': 'ip' } } } }");
    const struct route *route = route_folder_find(&folder, "a.test", "/");
    cr_expect_eq(route->split_on.kind, AFFINITY_COOKIE);
    expect_text(route->split_on.name, "Tab");
    cr_expect_eq(route->split_on_from, SETTING_OF_HOST);
    route = route_folder_find(&folder, "a.test", "/x");
    cr_expect_eq(route->split_on.kind, AFFINITY_IP);
    cr_expect_eq(route->split_on_from, SETTING_OF_PATH);
    cr_expect_eq(route_folder_find(&folder, "a.test", "/one")->split_on.kind, AFFINITY_NONE);
}

/* --- what is refused ----------------------------------------------------------------------------
 */

struct refusal {
    const char *members, *path, *words, *suggestion;
};

static void expect_refusals(const struct refusal *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        load_entry(list[i].members);
        cr_expect_null(folder.snapshot, "%s", list[i].members);
        cr_expect_eq(folder.problems.errors, 1, "%s: %s", list[i].members, folder.printed);
        route_folder_expect(&folder, 1, 0, list[i].path, list[i].words, list[i].suggestion);
    }
}

Test(backends, mistakes_of_balance_and_sticky)
{
    static const struct refusal list[] = {
        {"'balance': 'roundrobin'", "backends.b.balance", "is expected, not \"roundrobin\"",
         "round_robin"},
        {"'balance': 'hahs', 'hash_on': 'ip'", "backends.b.balance", "or \"hash\" is expected",
         "hash"},
        {"'balance': 7", "backends.b.balance", "not a number", NULL},
        {"'hash_on': 'ip'", "backends.b.hash_on", "\"balance\" is not \"hash\"", NULL},
        {"'balance': 'hash', 'hash_on': 'url'", "backends.b.hash_on", "\"header:NAME\"", "uri"},
        {"'balance': 'hash', 'hash_on': 'heder:X-A'", "backends.b.hash_on", "not \"heder:X-A\"",
         "header:"},
        {"'balance': 'hash', 'hash_on': 'cookie:a b'", "backends.b.hash_on",
         "\"a b\" is no name of a cookie", NULL},
        {"'balance': 'hash', 'hash_on': 'header:'", "backends.b.hash_on",
         "\"\" is no name of a header", NULL},
        {"'sticky': {}", "backends.b.sticky", "\"cookie\" is missing", NULL},
        {"'sticky': { 'cokie': 'a' }", "backends.b.sticky.cokie", "unknown key", "cookie"},
        {"'sticky': { 'cookie': 'a;b' }", "backends.b.sticky.cookie", "no name of a cookie", NULL},
        {"'sticky': { 'cookie': '' }", "backends.b.sticky.cookie", "no name of a cookie", NULL},
        {"'sticky': 'srv'", "backends.b.sticky", "an object is expected", NULL},
        {"'slow_start': '5'", "backends.b.slow_start", "no duration", NULL},
    };

    expect_refusals(list, sizeof(list) / sizeof(list[0]));
}

Test(backends, mistakes_of_health)
{
    static const struct refusal list[] = {
        {"'health': { 'path': 'x' }", "backends.b.health.path", "starts with \"/\"", NULL},
        {"'health': { 'path': '/a/../b' }", "backends.b.health.path", "cannot be asked for", NULL},
        {"'health': { 'path': '/a#b' }", "backends.b.health.path", "cannot be asked for", NULL},
        {"'health': { 'path': '/a?b c' }", "backends.b.health.path", "cannot be asked for", NULL},
        {"'health': { 'path': '/\\u00e9' }", "backends.b.health.path", "cannot be asked", NULL},
        {"'health': { 'path': '/', 'method': 'G T' }", "backends.b.health.method",
         "\"G T\" is no method", NULL},
        {"'health': { 'path': '/', 'method': 'TRACE' }", "backends.b.health.method",
         "TRACE asks for nothing", NULL},
        {"'health': { 'path': '/', 'host': 'a b' }", "backends.b.health.host", "no host name",
         NULL},
        {"'health': { 'path': '/', 'host': 'preserve' }", "backends.b.health.host",
         "nothing to preserve", NULL},
        {"'health': { 'path': '/', 'status': '399-200' }", "backends.b.health.status",
         "a status from 100 to 599", NULL},
        {"'health': { 'path': '/', 'status': [200, '2xx'] }", "backends.b.health.status[1]",
         "a range such as", NULL},
        {"'health': { 'path': '/', 'status': [] }", "backends.b.health.status", "is empty", NULL},
        {"'health': { 'path': '/', 'method': 'HEAD', 'body': 'a' }", "backends.b.health.body",
         "an answer to HEAD has none", NULL},
        {"'health': { 'method': 'GET' }", "backends.b.health.method", "without \"path\"", NULL},
        {"'health': { 'host': 'h' }", "backends.b.health.host", "without \"path\"", NULL},
        {"'health': { 'status': 200 }", "backends.b.health.status", "without \"path\"", NULL},
        {"'health': { 'body': 'a' }", "backends.b.health.body", "without \"path\"", NULL},
        {"'health': { 'pth': '/', 'body': 'a' }", "backends.b.health.pth", "unknown key", "path"},
        {"'health': { 'every': 0 }", "backends.b.health.every", "cannot be turned off", NULL},
        {"'health': { 'timeout': 0 }", "backends.b.health.timeout", "cannot be turned off", NULL},
        {"'health': { 'every': '1s', 'timeout': '2s' }", "backends.b.health.timeout",
         "longer than \"every\"", NULL},
        {"'health': { 'fall': 0 }", "backends.b.health.fall", "from 1 to", NULL},
        {"'health': true", "backends.b.health", "an object is expected", NULL},
    };

    expect_refusals(list, sizeof(list) / sizeof(list[0]));
}

Test(backends, mistakes_of_limits)
{
    static const struct refusal list[] = {
        {"'eject': { 'max': '50' }", "backends.b.eject.max", "a whole percentage", NULL},
        {"'eject': { 'max': '101%' }", "backends.b.eject.max", "a whole percentage", NULL},
        {"'eject': { 'afer': 1 }", "backends.b.eject.afer", "unknown key", "after"},
        {"'eject': { 'for': 10 }", "backends.b.eject.for", "needs a unit", NULL},
        {"'hold': '5s'", "backends.b.hold", "an object is expected", NULL},
        {"'hold': { 'queue': -1 }", "backends.b.hold.queue", "a whole number", NULL},
        {"'max_connections': '9'", "backends.b.max_connections", "a whole number", NULL},
        {"'max_requests': 1.5", "backends.b.max_requests", "a whole number", NULL},
        {"'min_idle': 8, 'keepalive': 7", "backends.b.min_idle",
         "\"min_idle\" is above \"keepalive\": 8 idle", NULL},
        {"'min_idle': 33", "backends.b.min_idle", "where 32 are kept", NULL},
        {"'min_idle': 1, 'proxy_protocol': 'v2'", "backends.b.min_idle", "has no effect here",
         NULL},
        {"'hedge': 'p49'", "backends.b.hedge", "from \"p50\" to \"p99.9\"", NULL},
        {"'hedge': 'p100'", "backends.b.hedge", "a percentile", NULL},
        {"'hedge': 'p99.99'", "backends.b.hedge", "a percentile", NULL},
        {"'hedge': '95'", "backends.b.hedge", "a percentile", NULL},
        {"'hedge': true", "backends.b.hedge", "a percentile", NULL},
    };

    expect_refusals(list, sizeof(list) / sizeof(list[0]));
}

Test(backends, mistakes_of_retry)
{
    static const struct refusal list[] = {
        {"'retry': { 'budget': 20 }", "backends.b.retry.budget", "in quotes", NULL},
        {"'retry': { 'budget': true }", "backends.b.retry.budget", "a percentage", NULL},
        {"'retry': { 'on': 'connect' }", "backends.b.retry.on", "a list", NULL},
        {"'retry': { 'on': ['stale', 'conect'] }", "backends.b.retry.on[1]", "is expected",
         "connect"},
        {"'retry': { 'on': ['stale', 'stale'] }", "backends.b.retry.on[1]", "already", NULL},
        {"'retry': { 'on': [503, '503'] }", "backends.b.retry.on[1]", "already", NULL},
        {"'retry': { 'on': [399] }", "backends.b.retry.on[0]", "from 400 to 599", NULL},
        {"'retry': { 'on': ['600'] }", "backends.b.retry.on[0]", "from 400 to 599", NULL},
        {"'retry': { 'on': [400,401,402,403,404,405,406,407,408,409,410,411,412,413,414,415,416] }",
         "backends.b.retry.on[16]", "16 statuses at most", NULL},
        {"'retry': { 'timeout': 5 }", "backends.b.retry.timeout", "needs a unit", NULL},
    };

    expect_refusals(list, sizeof(list) / sizeof(list[0]));
}

Test(backends, split_on_where_nothing_is_split)
{
    route_folder_load_with_certs(
        &folder, BOTH "'routes': {"
                      "\n'a.test': { 'to': 'b', 'split_on': 'ip' },"
                      "\n'b.test': { 'to': { 'x:1': 1, 'y:1': 1 }, 'split_on': 'ip' },"
                      "\n'c.test': { 'redirect': '/', 'split_on': 'ip' },"
                      "\n'd.test': { 'paths': { '/': { 'respond': {}, 'split_on': 'ip' } } },"
                      "\n'e.test': { 'split_on': 'ip', 'paths': { '/': 'b', '/x': 'c' } },"
                      "\n'f.test': { 'to': { 'b': 1, 'cc': 1 }, 'split_on': 'ip' },"
                      "\n'g.test': { 'to': { 'b': 1, 'c': 1 }, 'split_on': 'cooky:a' } },"
                      "\n'defaults': { 'split_on': 'ip' }");
    cr_expect_eq(folder.problems.errors, 8, "%s", folder.printed);
    route_folder_expect(&folder, 2, 24, "routes[\"a.test\"].split_on", "no map of several", NULL);
    route_folder_expect(&folder, 3, 43, "routes[\"b.test\"].split_on", "no map of several", NULL);
    route_folder_expect(&folder, 4, 30, "routes[\"c.test\"].split_on", "a redirect asks no", NULL);
    route_folder_expect(&folder, 5, 46, "routes[\"d.test\"].paths[\"/\"].split_on",
                        "asks no backend", NULL);
    route_folder_expect(&folder, 6, 13, "routes[\"e.test\"].split_on", "none of these paths", NULL);
    route_folder_expect(&folder, 7, 29, "routes[\"f.test\"].to.cc", "there is no backend", NULL);
    route_folder_expect(&folder, 8, 51, "routes[\"g.test\"].split_on",
                        "\"ip\" or \"cookie:NAME\" is expected", "cookie:");
    route_folder_expect(&folder, 9, 15, "defaults.split_on", "belongs in a host", NULL);
}

Test(backends, keys_of_backends_elsewhere)
{
    route_folder_load_with_certs(&folder, "'routes': {}, 'defaults': { 'balance': 'random' }");
    route_folder_expect(&folder, 1, 0, "defaults.balance", "an entry of \"backends\"", NULL);
    route_folder_load_with_certs(&folder, "'routes': { '*': { 'to': 'x:1', 'health': {} } }");
    route_folder_expect(&folder, 1, 0, "routes[\"*\"].health", "an entry of \"backends\"", NULL);
    route_folder_load_with_certs(&folder, "'routes': {}, 'backends': { 'b': { 'servers': 'x:1', "
                                          "'heath': {} } }");
    route_folder_expect(&folder, 1, 0, "backends.b.heath", "unknown key", "health");
}

/* --- a secret -----------------------------------------------------------------------------------
 */

Test(backends, sticky_key_is_not_told_in_a_mistake)
{
    load_entry("'sticky': { 'cookie': 'a', 'key': 'not-so-secret' }");
    cr_expect_eq(folder.problems.errors, 1);
    route_folder_expect(&folder, 1, 0, "backends.b.sticky.key", "16 characters at least", NULL);
    cr_expect_not(strstr(folder.printed, "not-so-secret"), "%s", folder.printed);
}
