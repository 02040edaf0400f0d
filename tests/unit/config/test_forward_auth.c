/* `auth.forward`: what is read, what is refused, and the services that a generation has for it. */
#include "config/config.h"
#include "config/policies.h"
#include "policy/forward_auth.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct route_folder folder;
static struct arena arena;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    arena_clear(&arena);
    config_unref(folder.previous);
    route_folder_clear(&folder);
}

TestSuite(forward_auth_key, .init = begin, .fini = end);

static const struct forward_auth *auth_of(const char *host)
{
    const struct route *route = route_folder_find(&folder, host, "/");

    cr_assert_not_null(route);
    const struct policies *policies =
        route->kind == ROUTE_TO ? route->targets[0].settings.policies : route->settings.policies;
    const struct policy *policy = policies_of(policies, POLICY_AUTH);
    return policy ? container_of(policy, const struct forward_auth, policy) : NULL;
}

static void expect_slice(struct slice found, const char *wanted)
{
    cr_expect(slice_equal(found, slice_of(wanted)), "\"%.*s\", not \"%s\"", (int)found.len,
              found.at, wanted);
}

static void expect_words(const char *host, const char *wanted)
{
    const struct forward_auth *auth = auth_of(host);

    expect_slice(policies_words(auth ? &auth->policy : NULL, &arena), wanted);
}

/* --- what is read ------------------------------------------------------------------------------
 */

Test(forward_auth_key, says_whom_to_ask)
{
    route_folder_good(
        &folder, "'defaults': { 'auth': { 'forward': { 'to': 'http://auth.vpc:9000/check' } } "
                 "}, 'routes': { 'a.test': 'x:1', 'b.test': { 'to': 'x:1', 'auth': null },"
                 " 'c.test': { 'respond': {}, 'auth': { 'forward': { 'to': 'http://[::1]?key=1',"
                 "   'copy': ['X-User', 'Authorization'], 'timeout': '1500ms' } } } }");
    expect_words("a.test", "asks http://auth.vpc:9000/check within 2s");
    expect_words("b.test", "off");
    expect_words("c.test", "asks http://[::1]?... within 1500ms, copies X-User and Authorization");
    const struct forward_auth *auth = auth_of("a.test");
    expect_slice(auth->target, "/check");
    expect_slice(auth->policy.service->name, "auth http://auth.vpc:9000");
    expect_slice(auth->policy.service->servers[0].name, "http://auth.vpc:9000");
    expect_slice(auth_of("c.test")->target, "/?key=1");
    cr_expect_eq(auth_of("c.test")->policy.service->servers[0].endpoint.port, 80);
}

static void expect_refused(const char *forward, const char *path, const char *message)
{
    char text[512];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'to': 'x:1', 'auth': %s } }", forward);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", forward);
    cr_expect_eq(folder.problems.errors, 1, "%s: %s", forward, folder.printed);
    route_folder_expect(&folder, 1, 0, path, message, NULL);
}

#define PLACE "routes[\"a.test\"].auth"

Test(forward_auth_key, mistakes)
{
    expect_refused("{}", PLACE, "one of");
    expect_refused("{ 'forward': 'http://x' }", PLACE ".forward", "object");
    expect_refused("{ 'forward': {} }", PLACE ".forward", "\"to\" is missing");
    expect_refused("{ 'foreward': { 'to': 'http://x' } }", PLACE ".foreward", "unknown key");
    expect_refused("{ 'forward': { 'too': 'http://x' } }", PLACE ".forward.too", "unknown key");
    expect_refused("{ 'forward': { 'to': 'http://x' }, 'jwt': {} }", PLACE ".jwt", "only one of");
    expect_refused("{ 'forward': { 'to': 'x:1' } }", PLACE ".forward.to", "is no URL");
    expect_refused("{ 'forward': { 'to': 5 } }", PLACE ".forward.to", "a URL such as");
    expect_refused("{ 'forward': { 'to': 'https://x/check' } }", PLACE ".forward.to",
                   "write http://x");
    expect_refused("{ 'forward': { 'to': 'http://u:p@x/check' } }", PLACE ".forward.to",
                   "user info");
    expect_refused("{ 'forward': { 'to': 'http://:80/' } }", PLACE ".forward.to",
                   "host is missing");
    expect_refused("{ 'forward': { 'to': 'http://x/a b' } }", PLACE ".forward.to",
                   "cannot be asked for");
    expect_refused("{ 'forward': { 'to': 'http://x#a' } }", PLACE ".forward.to",
                   "cannot be asked for");
    expect_refused("{ 'forward': { 'to': 'http://x', 'timeout': 0 } }", PLACE ".forward.timeout",
                   "without a limit");
    expect_refused("{ 'forward': { 'to': 'http://x', 'timeout': 2 } }", PLACE ".forward.timeout",
                   "needs a unit");
    expect_refused("{ 'forward': { 'to': 'http://x', 'copy': 'X-User' } }", PLACE ".forward.copy",
                   "a list of names");
}

static void expect_not_copied(const char *names, unsigned at, const char *message)
{
    char forward[256], path[64];

    snprintf(forward, sizeof(forward), "{ 'forward': { 'to': 'http://x', 'copy': [%s] } }", names);
    snprintf(path, sizeof(path), PLACE ".forward.copy[%u]", at);
    expect_refused(forward, path, message);
}

Test(forward_auth_key, fields_that_cannot_be_copied)
{
    expect_not_copied("'X User'", 0, "no name of a header");
    expect_not_copied("'X-User', 'x-user'", 1, "is there already");
    expect_not_copied("'Content-Length'", 0, "cannot stand here");
    expect_not_copied("'Connection'", 0, "cannot stand here");
    expect_not_copied("'Host'", 0, "cannot stand here");
    expect_not_copied("'X-Forwarded-For'", 0, "the gateway tells something else");
    expect_not_copied("'X_User'", 0, "with dashes");
}

/* --- services ------------------------------------------------------------------------------------
 */

static const struct upstream_spec *service(const char *name)
{
    return table_get(&folder.snapshot->config->upstreams_by_name, slice_of(name));
}

static void load(const char *text)
{
    route_folder_good(&folder, text);
    config_unref(folder.previous);
    folder.previous = config_ref(folder.snapshot->config);
}

#define ASKS(url) "'auth': { 'forward': { 'to': '" url "' } }"

Test(forward_auth_key, services_are_upstreams_once)
{
    load("'backends': { 'b': { 'servers': ['x:1'], " ASKS(
        "http://auth:9/b") " } },"
                           "'routes': { 'a.test': { 'to': 'b', " ASKS(
                               "http://auth:9/a") " }, 'b.test': 'b',"
                                                  " 'c.test': { 'paths': { '/': 'b', '/x': { "
                                                  "'redirect': '/', " ASKS("http://other") " } } } "
                                                                                           "}");
    const struct config *config = folder.snapshot->config;
    cr_expect_eq(config->backend_count, 1);
    cr_expect_eq(config->upstream_count, 3);
    cr_expect_not_null(service("b"));
    cr_expect_not_null(service("auth http://auth:9"));
    cr_expect_not_null(service("auth http://other"));
    cr_expect(service("auth http://auth:9")->is_inline);
}

/* What was read for an older generation serves for as long as a host that has it does. */
Test(forward_auth_key, services_come_and_go_with_those_who_ask_them)
{
    load("'routes': { 'a.test': { 'to': 'x:1', " ASKS(
        "http://auth") " },"
                       " 'b.test': { 'to': 'x:1', " ASKS("http://auth") " }, 'c.test': 'x:1' }");
    load("'routes': { 'a.test': 'x:1', 'b.test': { 'to': 'x:1', " ASKS("http://auth") " } }");
    cr_expect_not_null(service("auth http://auth"));
    cr_expect_eq(auth_of("b.test")->policy.service, service("auth http://auth"));
    cr_expect_null(auth_of("a.test"));
    load("'routes': { 'a.test': 'x:1', 'b.test': 'x:1' }");
    cr_expect_null(service("auth http://auth"));
    cr_expect_eq(folder.snapshot->config->upstream_count, 2);
}

/* A backend that is turned off by all that use it needs no service. */
Test(forward_auth_key, nobody_is_asked_for_what_is_turned_off)
{
    load("'defaults': { " ASKS("http://auth") " }, 'routes': { 'a.test': { 'to': 'x:1', 'auth': "
                                              "null } }");
    cr_expect_eq(folder.snapshot->config->upstream_count, 1);
}
