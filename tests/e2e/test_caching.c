/* `cache` by RFC 9111: tables/caching_*.txt, over both protocols. */
#include "harness/cache_rows.h"
#include "harness/tls_client.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

E2E_SUITE(caching);

/* --- the tables ----------------------------------------------------------------------------- */

static void play(const char *table, const char *section, const char *host)
{
    struct origin *origin = origin_start("one");
    const char *address = origin_address(origin);
    struct gateway *gateway = gateway_start(
        "{ @base, 'defaults': { 'cache': { 'size': '16MiB', 'max_object': '1MiB',"
        "                                  'stale_if_error': '1h' } },"
        "  'routes': { 'a.test': '%s', 'c.test': '%s',"
        "              'b.test': { 'to': '%s', 'cache': { 'stale_if_error': 0 } },"
        "              '*.test': { 'to': '%s',"
        "                          'headers': { 'request': { 'set': { 'X-Set': 'ours' } } } } } }",
        address, address, address, address);

    cache_table_play(cache_table_read(table), section, gateway, origin, host);
    gateway_stop(gateway);
}

static const char storing[] = "caching_storing.txt", reuse[] = "caching_reuse.txt",
                  directives[] = "caching_directives.txt";

Test(caching, what_is_kept)
{
    play(storing, "storing", "a.test");
}

Test(caching, which_fields_are_kept)
{
    play(storing, "fields", "a.test");
}

Test(caching, what_is_incomplete)
{
    play(storing, "incomplete", "a.test");
}

Test(caching, what_was_asked_with_authorization)
{
    play(storing, "authorization", "a.test");
}

/* Lets pass whoever says who it is, and tells the backend. */
static void check_who(struct origin_turn *turn)
{
    const char *who = message_field(turn->request, "x-who");

    if (who != NULL)
        (void)wire_print(turn->wire, "HTTP/1.1 200 OK\r\nX-User: %s\r\nContent-Length: 0\r\n\r\n",
                         who);
    else
        (void)wire_print(turn->wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
}

Test(caching, what_the_gateways_auth_let_pass)
{
    struct origin *origin = origin_start("one"), *service = origin_start("service");
    struct gateway *gateway = gateway_start(
        "{ @base, 'routes': { 'a.test': { 'to': '%s', 'cache': { 'size': '16MiB' },"
        "    'auth': { 'forward': { 'to': 'http://%s/check', 'copy': ['X-User'] } } } } }",
        origin_address(origin), origin_address(service));

    origin_set_script(service, NULL, check_who, NULL);
    cache_table_play(cache_table_read(storing), "authorized by the gateway", gateway, origin,
                     "a.test");
    gateway_stop(gateway);
}

Test(caching, to_whom_it_is_given)
{
    play(reuse, "reuse", "a.test");
}

Test(caching, variants)
{
    play(reuse, "vary", "a.test");
}

Test(caching, variants_as_the_backend_knows_them)
{
    play(reuse, "what the backend gets", "set.test");
}

Test(caching, freshness)
{
    play(reuse, "freshness", "a.test");
}

Test(caching, stale_ones)
{
    play(reuse, "stale", "a.test");
}

Test(caching, stale_ones_without_permission)
{
    play(reuse, "nothing stale", "b.test");
}

Test(caching, validation)
{
    play(reuse, "validation", "a.test");
}

Test(caching, conditions_of_clients)
{
    play(reuse, "conditional", "a.test");
}

Test(caching, ranges)
{
    play(reuse, "ranges", "a.test");
}

Test(caching, heads)
{
    play(reuse, "head", "a.test");
}

Test(caching, invalidation)
{
    play(reuse, "invalidation", "a.test");
}

Test(caching, directives_of_requests)
{
    play(directives, "requests", "a.test");
}

Test(caching, directives_of_responses)
{
    play(directives, "responses", "a.test");
}

Test(caching, directives_for_gateways)
{
    play(directives, "targeted", "a.test");
}

Test(caching, what_is_said_of_it)
{
    play(directives, "said", "a.test");
}

/* --- every MUST ----------------------------------------------------------------------------- */

enum { ROWS_LEAST = 150, SENTENCES_LEAST = 40 };

/* Each row of the table in tests/README.md whose last column names rows: `…`, `…`. How many. */
static int check_rows_named(char *line)
{
    const struct cache_table *tables[] = {cache_table_read(storing), cache_table_read(reuse),
                                          cache_table_read(directives)};
    int named = 0;

    for (char *at = strchr(line, '`'); at != NULL; at = strchr(at, '`')) {
        char *end = strchr(++at, '`');
        bool is_there = false;

        workplace_require(end != NULL, "a quote does not end: %s", line);
        *end = '\0';
        for (int i = 0; i < 3; i++)
            is_there |= cache_table_has(tables[i], at);
        cr_expect(is_there, "tests/README.md: there is no row '%s'", at);
        named++;
        at = end + 1;
    }
    return named;
}

Test(caching, every_must_has_its_rows)
{
    const char *root = getenv("SALLYPORT_SOURCE_DIR");
    char *at = workplace_read(text("%s/tests/README.md", root != NULL ? root : "."));
    char *rest;
    int sentences = 0;

    workplace_require(at != NULL, "no tests/README.md (SALLYPORT_SOURCE_DIR?)");
    at = strstr(at, "\n## RFC 9111\n");
    workplace_require(at != NULL, "no section RFC 9111");
    for (char *line = strtok_r(at + 1, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "## ", 3) == 0 && strcmp(line, "## RFC 9111") != 0)
            break;
        if (line[0] != '|' || line[2] < '1' || line[2] > '9')
            continue;
        sentences++;
        cr_expect(check_rows_named(line) > 0, "no row shows: %s", line);
    }
    cr_expect(sentences >= SENTENCES_LEAST, "%d sentences", sentences);
    cr_expect(cache_table_count(cache_table_read(storing)) +
                  cache_table_count(cache_table_read(reuse)) +
                  cache_table_count(cache_table_read(directives)) >=
              ROWS_LEAST);
}

/* --- behind a proxy that is trusted -------------------------------------------------------------
 */

static void tell_url(struct origin_turn *turn)
{
    (void)wire_print(turn->wire,
                     "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nX-Told: %s://%s\r\n"
                     "Content-Length: 0\r\n\r\n",
                     message_field(turn->request, "x-forwarded-proto"),
                     message_field(turn->request, "x-forwarded-host"));
}

/* Which URL the backend was told by those whose answer a request with these fields gets. */
static void expect_told(struct gateway *gateway, const char *fields, const char *told)
{
    struct client *client = client_open(gateway, "a.test");

    client_send(client, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", fields);
    expect_field(client_response(client), "x-told", told);
}

/* Proxies pass on what clients say of themselves: it must not get into what others get. */
Test(caching, what_a_trusted_proxy_says_of_the_url_is_not_given_to_others)
{
    struct origin *origin = origin_start("one");
    struct gateway *gateway;

    origin_set_script(origin, NULL, tell_url, NULL);
    gateway = gateway_start("{ @base, 'trusted_proxies': ['127.0.0.1'],"
                            "  'routes': { 'a.test': { 'to': '%s', 'cache': {} } } }",
                            origin_address(origin));
    expect_told(gateway, "X-Forwarded-Host: evil.test\r\n", "https://evil.test");
    expect_told(gateway, "X-Forwarded-Host: A.test\r\n", "https://A.test");
    expect_told(gateway, "Forwarded: for=10.0.0.1;Host=evil.test\r\n", "https://a.test");
    expect_told(gateway, "X-Forwarded-Proto: https, http\r\n", "https, http://a.test");
    expect_told(gateway, "X-Forwarded-Proto: http\r\n", "http://a.test");
    expect_told(gateway, "", "https://a.test");
    cr_expect_eq(origin_requests(origin), 6);
    expect_told(gateway, "X-Forwarded-Proto: http\r\n", "http://a.test");
    expect_told(gateway, "X-Forwarded-Host: a.test\r\n", "https://a.test");
    cr_expect_eq(origin_requests(origin), 6);
    gateway_stop(gateway);
}
