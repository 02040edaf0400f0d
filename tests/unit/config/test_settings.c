/* Which place of the route file decides. */
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct route_folder folder;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    route_folder_clear(&folder);
}

TestSuite(settings, .init = begin, .fini = end);

static const struct settings *settings_of(const char *path)
{
    const struct route *route = route_folder_find(&folder, "a.test", path);

    cr_assert(route);
    return route->kind == ROUTE_TO ? &route->targets[0].settings : &route->settings;
}

Test(settings, built_in)
{
    const struct snapshot *s = route_folder_good(&folder, "'routes': { 'a.test': 'x:1' }");
    const struct settings *settings = settings_of("/");

    cr_expect_eq(settings->body_idle_ms, 30000);
    cr_expect_eq(settings->connect_ms, 3000);
    cr_expect_eq(settings->first_byte_ms, 60000);
    cr_expect_eq(settings->idle_ms, 60000);
    cr_expect_eq(settings->tunnel_idle_ms, 3600000);
    cr_expect_eq(settings->max_body, 0);
    cr_expect_eq(settings->host_mode, HOST_PRESERVE);
    cr_expect_eq(settings->retry_attempts, 2);
    cr_expect_eq(s->globals->handshake_ms, 10000);
    cr_expect_eq(s->globals->header_ms, 10000);
    cr_expect_eq(s->globals->keepalive_ms, 75000);
    cr_expect_eq(s->globals->body_idle_ms, 30000);
    cr_expect_eq(s->globals->limits.head_bytes, 32768);
    cr_expect_eq(s->globals->limits.fields, 100);
    cr_expect_eq(s->globals->limits.request_line, 16384);
    cr_expect_not(s->globals->limits.underscores);
    cr_expect_eq(s->globals->drain_delay_ms, 0);
    cr_expect_eq(s->globals->drain_timeout_ms, 30000);
    cr_expect_eq(s->globals->access_log, ACCESS_LOG_STDOUT);
    cr_expect_eq(s->globals->log_format, LOG_TEXT);
    cr_expect_eq(s->globals->log_level, LOG_INFO);
    cr_expect_not(s->globals->log_query);
    cr_expect_eq(s->config->upstreams[0]->keepalive, 32);
}

/* All five places set max_body; each test takes the nearest away. */
static void expect_max_body(const char *route, uint64_t expected)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "'defaults': { 'max_body': 1, 'timeout': { 'connect': '1s', 'idle': '1s' } },"
             "'backends': { 'b': { 'servers': ['x:1'], 'max_body': 2,"
             "                     'timeout': { 'first_byte': '2s', 'idle': '2s' } },"
             "              'plain': ['x:1'] },"
             "'routes': { 'a.test': %s }",
             route);
    route_folder_good(&folder, text);
    cr_expect_eq(settings_of("/p")->max_body, expected, "%s", route);
}

Test(settings, the_nearest_place_wins)
{
    expect_max_body("'plain'", 1);
    expect_max_body("'y:1'", 1);
    expect_max_body("'b'", 2);
    expect_max_body("{ 'to': 'b', 'max_body': 3 }", 3);
    expect_max_body("{ 'paths': { '/': 'b' }, 'max_body': 3 }", 3);
    expect_max_body("{ 'paths': { '/p': { 'to': 'b', 'max_body': 4 } }, 'max_body': 3 }", 4);
    expect_max_body("{ 'paths': { '/p': { 'to': 'b' } } }", 2);
    expect_max_body("{ 'to': 'b', 'max_body': 0 }", 0);
}

Test(settings, objects_merge_key_by_key)
{
    expect_max_body("{ 'paths': { '/p': { 'to': 'b', 'timeout': { 'tunnel_idle': '4s' } } },"
                    "  'timeout': { 'body_idle': '3s', 'tunnel_idle': '3s' } }",
                    2);
    const struct settings *settings = settings_of("/p");
    cr_expect_eq(settings->connect_ms, 1000, "of defaults");
    cr_expect_eq(settings->idle_ms, 2000, "of the backend, before defaults");
    cr_expect_eq(settings->first_byte_ms, 2000, "of the backend");
    cr_expect_eq(settings->body_idle_ms, 3000, "of the host");
    cr_expect_eq(settings->tunnel_idle_ms, 4000, "of the path");
}

Test(settings, each_share_of_a_split_has_its_backends)
{
    expect_max_body("{ 'to': { 'plain': 1, 'b': 1, 'z:1': 1 } }", 1);
    const struct route *route = route_folder_find(&folder, "a.test", "/");
    cr_assert_eq(route->target_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct route_target *target = &route->targets[i];
        bool is_b = slice_equal(target->upstream->name, slice_of("b"));
        cr_expect_eq(target->settings.max_body, is_b ? 2 : 1);
    }
    cr_expect_eq(route->settings.max_body, 1, "without a backend's share");
}

Test(settings, host)
{
    route_folder_good(&folder,
                      "'defaults': { 'host': 'backend' }, 'routes': { 'a.test': { 'paths': {"
                      "  '/p': { 'to': 'x:1', 'host': 'Other.test:81' },"
                      "  '/q': { 'to': 'x:1', 'host': 'preserve' }, '/r': 'x:1' } } }");
    cr_expect_eq(settings_of("/p")->host_mode, HOST_NAMED);
    cr_expect(slice_equal(settings_of("/p")->host_name, slice_of("Other.test:81")));
    cr_expect_eq(settings_of("/q")->host_mode, HOST_PRESERVE);
    cr_expect_eq(settings_of("/r")->host_mode, HOST_BACKEND);
    route_folder_load_with_certs(&folder, "'routes': { '*': { 'to': 'x:1', 'host': 'a b' } }");
    route_folder_expect(&folder, 1, 0, "routes[\"*\"].host", "no host name", NULL);
    route_folder_load_with_certs(&folder, "'routes': { '*': { 'to': 'x:1', 'host': '' } }");
    route_folder_expect(&folder, 1, 0, "routes[\"*\"].host", "no host name", NULL);
}

Test(settings, attempts)
{
    route_folder_good(&folder,
                      "'routes': { 'a.test': { 'to': 'x:1', 'retry': { 'attempts': 0 } } }");
    cr_expect_eq(settings_of("/")->retry_attempts, 1, "off: the first try alone");
    route_folder_good(&folder,
                      "'routes': { 'a.test': { 'to': 'x:1', 'retry': { 'attempts': 5 } } }");
    cr_expect_eq(settings_of("/")->retry_attempts, 5);
    route_folder_load_with_certs(
        &folder, "'routes': { '*': { 'to': 'x:1', 'retry': { 'attempts': 1000 } } }");
    route_folder_expect(&folder, 1, 0, "routes[\"*\"].retry.attempts", "from 0 to 100", NULL);
}

Test(settings, of_answers_without_a_route)
{
    cr_expect_eq(route_folder_good(&folder, "'routes': {}, 'defaults': { 'timeout': { 'body_idle': "
                                            "'7s' } }")
                     ->globals->body_idle_ms,
                 7000);
}

Test(settings, body_idle_of_an_own_answer)
{
    route_folder_good(&folder,
                      "'defaults': { 'timeout': { 'body_idle': '7s' } }, 'routes': { "
                      "'a.test': { 'timeout': { 'body_idle': '8s' }, 'paths': {"
                      "  '/p': { 'respond': {} }, "
                      "  '/q': { 'redirect': '/', 'timeout': { 'body_idle': '9s' } } } } }");
    cr_expect_eq(settings_of("/p")->body_idle_ms, 8000);
    cr_expect_eq(settings_of("/q")->body_idle_ms, 9000);
}
