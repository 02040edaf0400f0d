/* `cache`: what is read, what is inherited, what is refused, what is told, and where it is kept. */
#include "config/policies.h"
#include "policy/cache.h"
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
    route_folder_clear(&folder);
}

TestSuite(cache_key, .init = begin, .fini = end);

static void expect_words(const char *host, const char *wanted)
{
    const struct route *route = route_folder_find(&folder, host, "/");
    struct slice words =
        policies_words(policies_of(route->targets[0].settings.policies, POLICY_CACHE), &arena);

    cr_expect(slice_equal(words, slice_of(wanted)), "%s: \"%.*s\", not \"%s\"", host,
              (int)words.len, words.at, wanted);
}

static void expect_refused(const char *value, const char *path, const char *message,
                           const char *suggestion)
{
    char text[512], full_path[128];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'to': 'x:1', 'cache': %s } }", value);
    snprintf(full_path, sizeof(full_path), "routes[\"a.test\"].cache%s", path);
    route_folder_load_with_certs(&folder, text);
    cr_expect_null(folder.snapshot, "%s", value);
    cr_expect_eq(folder.problems.errors, 1u, "%s: %s", value, folder.printed);
    route_folder_expect(&folder, 1, 0, full_path, message, suggestion);
}

Test(cache_key, in_words)
{
    route_folder_good(
        &folder,
        "'routes': { 'a.test': { 'to': 'x:1', 'cache': {} },"
        "'b.test': { 'to': 'x:1', 'cache': { 'size': '256MiB', 'max_object': '20MiB',"
        "                                    'stale_if_error': '90m', 'set_cookie': true } },"
        "'c.test': { 'to': 'x:1', 'cache': { 'size': 3000001, 'max_object': 0,"
        "                                    'stale_if_error': '1500ms' } },"
        "'d.test': { 'to': 'x:1', 'cache': { 'size': '1GiB', 'stale_if_error': '2d' } } }");
    expect_words("a.test", "64MiB (shared); objects up to 4MiB");
    expect_words("b.test", "256MiB; objects up to 20MiB; stale for 90m when backends fail; with "
                           "Set-Cookie");
    expect_words("c.test", "3000001B; objects up to 1500000B; stale for 2s when backends fail");
    expect_words("d.test", "1GiB; objects up to 64MiB; stale for 2d when backends fail");
}

Test(cache_key, what_a_place_leaves_out_it_inherits)
{
    route_folder_good(
        &folder, "'defaults': { 'cache': { 'size': '256MiB', 'stale_if_error': '1h' } },"
                 "'backends': { 'b': { 'servers': ['x:1'], 'cache': { 'set_cookie': true } } },"
                 "'routes': { 'a.test': { 'to': 'x:1', 'cache': { 'max_object': '1MiB' } },"
                 "'b.test': { 'to': 'b', 'cache': { 'stale_if_error': 0 } },"
                 "'c.test': { 'to': 'b', 'cache': { 'size': '2MiB', 'max_object': '1MiB' } },"
                 "'d.test': { 'to': 'b', 'cache': null },"
                 "'e.test': { 'to': 'x:1', 'cache': { 'size': '32MiB' } },"
                 "'f.test': { 'to': 'x:1', 'cache': { 'max_object': '200MiB' } } }");
    expect_words("a.test", "256MiB; objects up to 1MiB; stale for 1h when backends fail");
    expect_words("b.test", "256MiB; objects up to 16MiB; with Set-Cookie");
    expect_words("c.test",
                 "2MiB; objects up to 1MiB; stale for 1h when backends fail; with Set-Cookie");
    expect_words("d.test", "off");
    expect_words("e.test", "32MiB; objects up to 2MiB; stale for 1h when backends fail");
    expect_words("f.test", "256MiB; objects up to 128MiB; stale for 1h when backends fail");
}

Test(cache_key, mistakes)
{
    expect_refused("true", "", "an object is expected", NULL);
    expect_refused("{ 'sise': '1MiB' }", ".sise", "unknown key", "size");
    expect_refused("{ 'size': '100KiB' }", ".size", "1MiB at least", NULL);
    expect_refused("{ 'size': 0 }", ".size", "\"cache\": null", NULL);
    expect_refused("{ 'size': '4096GiB' }", ".size", "at most", NULL);
    expect_refused("{ 'size': '4MiB', 'max_object': '3MiB' }", ".max_object", "half of \"size\"",
                   NULL);
    expect_refused("{ 'stale_if_error': '1 hour' }", ".stale_if_error", "duration", NULL);
    expect_refused("{ 'set_cookie': 'yes' }", ".set_cookie", "true or false", NULL);
    route_folder_load_with_certs(&folder, "'routes': { 'a.test': { 'respond': {}, 'cache': {} } }");
    route_folder_expect(&folder, 1, 0, "routes[\"a.test\"].cache", "no effect", NULL);
}

/* --- where it is kept ----------------------------------------------------------------------------
 */

static struct cache_policy *make(struct cache_store *store, uint64_t size, const char *place)
{
    struct cache_policy *policy = cache_policy_new();

    policy->says_size = size > 0;
    policy->size = size > 0 ? size : policy->size;
    cache_policy_settle(policy, store, slice_of(place));
    return policy;
}

static struct cache_policy *merge(struct cache_policy *nearer, struct cache_policy *farther)
{
    return (struct cache_policy *)nearer->policy.ops->merge(&nearer->policy, &farther->policy);
}

Test(cache_key, those_who_inherit_the_size_share_the_memory)
{
    struct cache_store *store = cache_store_new();
    struct cache_policy *defaults = make(store, 16 << 20, "defaults");
    struct cache_policy *host = make(store, 0, "routes[\"a.test\"]");
    struct cache_policy *other = make(store, 0, "routes[\"b.test\"]");
    struct cache_policy *own = make(store, 2 << 20, "routes[\"c.test\"]");
    struct cache_policy *inherits = merge(host, defaults), *has_own = merge(own, defaults);
    struct cache_zone *zone = own->zone;

    cr_expect_eq(inherits->zone, defaults->zone);
    cr_expect_eq(inherits->size, (uint64_t)16 << 20);
    cr_expect_eq(has_own->zone, own->zone);
    cr_expect_neq(has_own->zone, defaults->zone);
    cr_expect_eq(host->zone, other->zone);
    cr_expect_gt(inherits->serial, defaults->serial);

    /* The next generation's keeps what is there. */
    struct cache_policy *next = make(store, 4 << 20, "routes[\"c.test\"]");
    cr_expect_eq(next->zone, zone);
    policy_unref(&own->policy);
    policy_unref(&has_own->policy);
    policy_unref(&next->policy);
    policy_unref(&defaults->policy);
    policy_unref(&inherits->policy);
    policy_unref(&host->policy);
    policy_unref(&other->policy);
    cache_store_free(store);
}
