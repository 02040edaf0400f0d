/* What generations have in common is there once. */
#include "support/route_folder.h"

#include "config/config.h"

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
    config_unref(folder.previous);
    route_folder_clear(&folder);
}

TestSuite(sharing, .init = begin, .fini = end);

/* Each load builds on the one before. */
static void load(const char *text)
{
    route_folder_good(&folder, text);
    config_unref(folder.previous);
    folder.previous = config_ref(folder.snapshot->config);
}

static const struct host *host(const char *key)
{
    const struct host *found = route_table_host(folder.snapshot->routes, slice_of(key));

    cr_assert(found, "%s", key);
    return found;
}

Test(sharing, hosts_that_did_not_change)
{
    load("'routes': { 'a.test': 'x:1', '*.b.test': { 'paths': { '/': 'x:1' } }, '*': 'x:2' }");
    const struct host *a = host("a.test"), *b = host("*.b.test"), *any = host("*");
    load("'routes': { '*': 'x:2', 'a.test': 'x:3', '*.b.test': { 'paths': { '/': 'x:1' } } }");
    cr_expect_neq(host("a.test"), a);
    cr_expect_eq(host("*.b.test"), b);
    cr_expect_eq(host("*"), any);
    cr_expect_eq(folder.snapshot->config->route_count, 3);
    cr_expect_eq(folder.snapshot->config->upstream_count, 3);
    cr_expect(table_get(&folder.snapshot->config->upstreams_by_name, slice_of("*.b.test/")));
}

/* What a host says may be a mistake without what it refers to. */
Test(sharing, hosts_whose_redis_is_gone)
{
#define LIMITED \
    "'routes': { 'a.test': { 'respond': {}, 'rate_limit': { 'rate': '1/s', 'scope': 'redis' } } }"

    load("'redis': { 'servers': ['x:1'] }, " LIMITED);
    const struct host *a = host("a.test");
    load("'redis': { 'servers': ['x:2'] }, " LIMITED);
    cr_expect_eq(host("a.test"), a);
    route_folder_load_with_certs(&folder, LIMITED);
    cr_expect_null(folder.snapshot);
}

Test(sharing, a_config_that_means_the_same)
{
    load("'routes': { 'a.test': 'x:1' }");
    struct config *config = folder.snapshot->config;
    load("'routes': {   'a.test': 'x:1' }, '// why': 1");
    cr_expect_eq(folder.snapshot->config, config);
}

/* Its comments may have moved what there is to say of it. */
Test(sharing, warnings_tell_the_places_of_now)
{
    load("'routes': { 'other.org': 'x:1' }");
    cr_expect_eq(folder.problems.list[0].line, 1);
    struct config *config = folder.snapshot->config;
    load("'// one': 1,\n'// two': 2,\n'routes': { 'other.org': 'x:1' }");
    cr_expect_eq(folder.snapshot->config, config);
    cr_expect_eq(folder.problems.list[0].line, 3);
}

/* Its words outlive the load that read them. */
Test(sharing, what_a_backend_says_of_itself)
{
#define TOLD                                                                                \
    "'b': { 'servers': 'x:1', 'balance': 'hash', 'hash_on': 'header:X-A', 'sticky': {"      \
    " 'cookie': 'srv', 'key': '0123456789abcdef' }, 'health': { 'path': '/up', 'host': 'h'" \
    " } }"
    load("'backends': { " TOLD " }, 'routes': { 'a.test': 'b' }");
    const struct upstream_spec *b = host("a.test")->backends[0];
    load("'backends': { " TOLD ", 'c': 'x:2' }, 'routes': { 'a.test': 'b', 'c.test': 'c' }");
    cr_expect_eq(host("a.test")->backends[0], b);
    cr_expect(slice_equal(b->hash_on.name, slice_of("x-a")));
    cr_expect(slice_equal(b->sticky.cookie, slice_of("srv")));
    cr_expect(slice_equal(b->sticky.key, slice_of("0123456789abcdef")));
    cr_expect(slice_equal(b->health.path, slice_of("/up")));
    cr_expect(slice_equal(b->health.host, slice_of("h")));
    cr_expect_eq(b->health.statuses[0].most, 399);
}

Test(sharing, hosts_of_backends_that_did_not_change)
{
    load("'backends': { 'b': 'x:1', 'c': 'x:2' }, 'routes': { 'a.test': 'b', 'b.test': 'c', "
         "'c.test': { 'to': { 'b': 1, 'c': 1 } } }");
    const struct host *a = host("a.test"), *b = host("b.test"), *c = host("c.test");
    const struct upstream_spec *kept = b->backends[0];
    uint64_t serial = a->backends[0]->serial;
    load("'backends': { 'b': 'x:9', 'c': 'x:2' }, 'routes': { 'a.test': 'b', 'b.test': 'c', "
         "'c.test': { 'to': { 'b': 1, 'c': 1 } } }");
    cr_expect_neq(host("a.test"), a);
    cr_expect_eq(host("b.test"), b);
    cr_expect_neq(host("c.test"), c);
    cr_expect_eq(host("c.test")->whole->targets[1].upstream, kept);
    cr_expect_neq(host("c.test")->whole->targets[0].upstream->serial, serial);
}

Test(sharing, settings_of_backends_and_defaults)
{
    load("'defaults': { 'host': 'd.test' }, 'backends': { 'b': { 'servers': 'x:1', 'host': "
         "'b.test' } }, 'routes': { 'a.test': 'b', 'b.test': 'x:1' }");
    const struct host *a = host("a.test"), *b = host("b.test");
    load("'defaults': { 'host': 'e.test' }, 'backends': { 'b': { 'servers': 'x:1', 'host': "
         "'b.test' } }, 'routes': { 'a.test': 'b', 'b.test': 'x:1' }");
    cr_expect_neq(host("a.test"), a, "defaults reach every host");
    cr_expect_neq(host("b.test"), b);
    cr_expect(
        slice_equal(host("a.test")->whole->targets[0].settings.host_name, slice_of("b.test")));
    cr_expect(
        slice_equal(host("b.test")->whole->targets[0].settings.host_name, slice_of("e.test")));
    a = host("a.test");
    load("'defaults': { 'host': 'e.test' }, 'backends': { 'b': { 'servers': 'x:1', 'host': "
         "'c.test' } }, 'routes': { 'a.test': 'b', 'b.test': 'x:1' }");
    cr_expect_neq(host("a.test"), a);
    cr_expect(
        slice_equal(host("a.test")->whole->targets[0].settings.host_name, slice_of("c.test")));
}

/* A shared host must not keep a mistake from being seen. */
Test(sharing, mistakes_of_what_is_around)
{
    load("'backends': { 'b': 'x:1' }, 'routes': { 'a': 'x:1', 'b.test': 'b' }");
    route_folder_load_with_certs(&folder, "'backends': { 'b': 'x:1', 'a': 'x:2' }, 'routes': { "
                                          "'a': 'x:1', 'b.test': 'b' }");
    cr_expect_null(folder.snapshot);
    route_folder_expect(&folder, 1, 0, "routes.a", "rename it", NULL);
    route_folder_load_with_certs(&folder, "'routes': { 'a': 'x:1', 'b.test': 'b' }");
    cr_expect_null(folder.snapshot);
    route_folder_expect(&folder, 1, 0, "routes[\"b.test\"]", "there is no backend", NULL);
}

Test(sharing, a_hundred_thousand_hosts_one_of_them_new, .timeout = 240)
{
    enum { HOSTS = 100000 };
    char *text = malloc(HOSTS * 32), *at = text + sprintf(text, "'routes': { ");
    unsigned kept = 0;

    for (int i = 0; i < HOSTS; i++)
        at += sprintf(at, "%s'h%d.test': 'x:1'", i ? ", " : "", i);
    strcpy(at, " }");
    load(text);
    struct config *before = config_ref(folder.snapshot->config);
    char *one = strstr(text, "'h777.test': 'x:1'");
    memcpy(one, "'h777.test': 'x:2'", strlen("'h777.test': 'x:2'"));
    load(text);
    for (int i = 0; i < HOSTS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "h%d.test", i);
        kept += host(name) == route_table_host(before->routes, slice_of(name));
    }
    cr_expect_eq(kept, HOSTS - 1);
    config_unref(before);
    free(text);
}

Test(sharing, a_renewal_shares_the_config)
{
    struct problems problems = {0};
    const struct load_options options = {.keys = folder.keys};

    load("'routes': { 'a.test': 'x:1', 'other.org': 'x:2' }, 'tests': [{ 'request': 'GET "
         "https://a.test/', 'expect': { 'cert': '*.test' } }]");
    cr_expect_eq(folder.problems.count, 1, "%s", folder.printed);
    /* A route file that is being edited stops no renewal. */
    route_folder_write(&folder, "routes.json", "{ half");
    route_folder_certify(&folder, "test", "*.test", 90);
    struct snapshot *renewed = snapshot_renew(folder.snapshot, &options, &problems);
    cr_assert(renewed);
    cr_expect_eq(renewed->config, folder.snapshot->config);
    cr_expect_neq(renewed->fingerprint, folder.snapshot->fingerprint);
    cr_assert_eq(problems.count, 1);
    cr_expect(problems.list[0].is_warning);
    cr_expect_str_eq(problems.list[0].path, "routes[\"other.org\"]");
    cr_expect_eq(problems.list[0].line, 1);
    snapshot_unref(renewed);
    problems_clear(&problems);
    /* Nor does what its tests expected. */
    route_folder_certify(&folder, "test", "other.test", 90);
    renewed = snapshot_renew(folder.snapshot, &options, &problems);
    cr_assert(renewed);
    cr_expect_eq(problems.errors, 0);
    cr_expect_gt(problems.count, 1);
    snapshot_unref(renewed);
    problems_clear(&problems);
}

Test(sharing, strict_certificates_refuse)
{
    struct problems problems = {0};
    struct cert_problems broken = {0};
    const struct load_options options = {.keys = folder.keys, .broken = &broken};

    load("'routes': {}, 'certs_strict': true");
    route_folder_write(&folder, "certs/more.pem", "nonsense");
    cr_expect_null(snapshot_renew(folder.snapshot, &options, &problems));
    cr_expect_eq(problems.errors, 1);
    cr_expect_eq(broken.count, 1);
    problems_clear(&problems);
    cert_problems_clear(&broken);
    route_folder_load_with_certs(&folder, "'routes': {}, 'certs_strict': true");
    cr_expect_null(folder.snapshot);
    route_folder_load_with_certs(&folder, "'routes': {}, 'certs_strict': false");
    cr_expect(folder.snapshot);
}
