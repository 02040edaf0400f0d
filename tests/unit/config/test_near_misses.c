/* What nearly matched, and the first reason why it is not the one. */
#include "config/near_misses.h"

#include "support/route_folder.h"
#include "support/test_certs.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct route_folder folder;
static struct arena arena;
static struct near_misses misses;

static void begin(void)
{
    route_folder_init(&folder);
}

static void end(void)
{
    arena_clear(&arena);
    route_folder_clear(&folder);
}

TestSuite(near_misses, .init = begin, .fini = end);

static void expect_miss(const char *name, const char *why)
{
    for (unsigned i = 0; i < misses.count; i++)
        if (slice_equal(misses.list[i].name, slice_of(name))) {
            char text[256];
            slice_copy_text(misses.list[i].why, text, sizeof(text));
            cr_expect_not_null(strstr(text, why), "%s: %s", name, text);
            return;
        }
    cr_expect(false, "%s is not among them", name);
}

static void expect_order(const char *const *names, unsigned count)
{
    cr_assert_eq(misses.count, count, "%u", misses.count);
    for (unsigned i = 0; i < count; i++)
        cr_expect(slice_equal(misses.list[i].name, slice_of(names[i])), "%u: %.*s, not %s", i,
                  (int)misses.list[i].name.len, misses.list[i].name.at, names[i]);
}

/* --- hosts --------------------------------------------------------------------------------------
 */

static void find_hosts(const char *host)
{
    struct slice key;

    misses = (struct near_misses){.count = 0};
    route_table_find(folder.snapshot->routes, slice_of(host), slice_of("/"), &key);
    near_misses_hosts(folder.snapshot->routes, slice_of(host), key, &arena, &misses);
}

Test(near_misses, of_hosts)
{
    route_folder_good(&folder,
                      "'routes': { 'a.test': 'x:1', 'www.b.test': 'x:1', '*.a.test': 'x:1',"
                      "'*.deep.a.test': 'x:1', 'example.test': 'x:1', '*.shop.test': 'x:1',"
                      "'*': 'x:1' }");

    find_hosts("a.test");
    expect_order((const char *const[]){"*.a.test", "*"}, 2);
    expect_miss("*.a.test", "matches names below a.test, not a.test itself");
    expect_miss("*", "no other entry");
    find_hosts("x.deep.a.test");
    expect_order((const char *const[]){"*.a.test", "*"}, 2);
    expect_miss("*.a.test", "shorter than *.deep.a.test, which matches");
    find_hosts("b.test");
    expect_miss("www.b.test", "with \"www.\"");
    expect_miss("a.test", "one character");
    find_hosts("www.example.test");
    expect_miss("example.test", "without \"www.\"");
    find_hosts("exmaple.test");
    expect_order((const char *const[]){"example.test"}, 1);
    find_hosts("x.shpo.test");
    expect_order((const char *const[]){"*.shop.test"}, 1);
    find_hosts("entirely.different");
    cr_expect_eq(misses.count, 0);
}

Test(near_misses, of_a_host_that_is_written_out)
{
    route_folder_good(&folder, "'routes': { 'x.a.test': 'x:1', '*.a.test': 'x:1',"
                               "'*.test': 'x:1', 'y.a.test': 'x:1' }");
    find_hosts("x.a.test");
    expect_order((const char *const[]){"*.a.test", "*.test"}, 2);
    expect_miss("*.test", "written out comes before a wildcard");
}

Test(near_misses, of_no_host)
{
    route_folder_good(&folder, "'routes': { 'a.test': 'x:1', '*': 'x:1' }");
    find_hosts("");
    cr_expect_eq(misses.count, 0);
}

/* The order of a table is different in each process: what is shown is not. */
Test(near_misses, are_few_and_the_nearest)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    fprintf(out, "'backends': { 'b': 'x:1' }, 'routes': { 'zz.test': 'b'");
    for (int i = 0; i < 20000; i++)
        fprintf(out, ", 'h%05d.test': 'b'", i);
    fprintf(out, "}");
    fclose(out);
    route_folder_good(&folder, text);
    free(text);
    find_hosts("h0000.test");
    expect_order((const char *const[]){"h00000.test", "h00001.test", "h00002.test", "h00003.test",
                                       "h00004.test", "h00005.test", "h00006.test", "h00007.test",
                                       "h00008.test", "h00009.test"},
                 NEAR_MISSES_MAX);
}

/* --- paths --------------------------------------------------------------------------------------
 */

static void find_paths(const char *path)
{
    const struct host *host = route_table_host(folder.snapshot->routes, slice_of("a.test"));

    misses = (struct near_misses){.count = 0};
    near_misses_paths(host, slice_of(path), host_find(host, slice_of(path)), &arena, &misses);
}

static void load_paths(const char *paths)
{
    char text[512];

    snprintf(text, sizeof(text), "'routes': { 'a.test': { 'paths': { %s } } }", paths);
    route_folder_good(&folder, text);
}

static void expect_path(const char *path, const char *name, const char *why)
{
    find_paths(path);
    expect_miss(name, why);
}

Test(near_misses, of_paths)
{
    load_paths("'/v1': 'x:1', '/v1/users/': 'x:1', '=/robots.txt': 'x:1', '/': 'x:1'");
    expect_path("/v1x", "/v1", "matches /v1 and /v1/..., not /v1x");
    expect_path("/v1x/y", "/v1", "matches /v1 and /v1/..., not /v1x");
    expect_path("/v1/users", "/v1/users/", "matches only what is below /v1/users/, not /v1/users");
    expect_path("/v1/users", "/", "shorter than /v1, which matches");
    expect_path("/robots.txt/", "=/robots.txt", "a \"/\" more at its end");
    expect_path("/robots.txt/x", "=/robots.txt", "nothing below it");
    expect_path("/Robots.txt", "=/robots.txt", "case");
    expect_path("/V1/x", "/v1", "case");
    expect_path("/robots.tx", "=/robots.txt", "goes on where");
    expect_path("/robots.tyt", "=/robots.txt", "one character");
    expect_path("/robots.txt", "/", "=/robots.txt matches exactly");
    expect_path("/v1/usual/x", "/v1/users/", "differ behind \"/v1/us\"");
    expect_path("/v1%2fusers%2fx", "/v1/users/", "%2f");
}

Test(near_misses, of_exact_paths)
{
    load_paths("'=/a/': 'x:1', '=/b': 'x:1'");
    expect_path("/a", "=/a/", "lacks the \"/\" at its end");
    expect_path("/a/x", "=/a/", "nothing below it");
    expect_path("/b%2fc", "=/b", "differ behind \"/b\"");
    find_paths("/b");
    cr_expect_eq(misses.count, 0, "what is far away is not shown where something matched");
    find_paths("/zzz");
    cr_expect_eq(misses.count, 2, "where nothing matched, everything is");
}

/* Of two keys that match, the one that is not a miss is the one that host_find finds. */
Test(near_misses, agree_with_the_route_table)
{
    static const char *const paths[] = {"/",      "/a",  "/a/",   "/ab",  "/a/b", "/a/b/",
                                        "/a/b/c", "/b",  "/a//b", "/A",   "/a/c", "/abc/d",
                                        "/a%2fb", "/b/", "/b/c",  "/a/bc"};

    load_paths("'/a': 'x:1', '/a/': 'x:1', '=/a/b': 'x:1', '/a/b/': 'x:1', '/ab': 'x:1', "
               "'=/': 'x:1'");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct route *route = route_folder_find(&folder, "a.test", paths[i]);
        find_paths(paths[i]);
        for (unsigned k = 0; k < misses.count; k++) {
            char why[128];
            slice_copy_text(misses.list[k].why, why, sizeof(why));
            cr_expect(route || !strstr(why, "which matches"), "%s", paths[i]);
            cr_expect_not(route && slice_ends_with(route->name, misses.list[k].name) &&
                          route->name.len == 6 + misses.list[k].name.len);
        }
    }
}

/* --- names --------------------------------------------------------------------------------------
 */

static void find_names(const char *name)
{
    misses = (struct near_misses){.count = 0};
    near_misses_names(tls_server_certs(folder.snapshot->tls), slice_of(name), &misses);
}

Test(near_misses, of_certificates)
{
    route_folder_certify(&folder, "w", "*.example.com www.shop.com bare.com", 30);
    route_folder_good(&folder, "'routes': {}");
    find_names("example.com");
    expect_miss("*.example.com", "does not cover the bare domain");
    find_names("a.b.example.com");
    expect_miss("*.example.com", "one label alone");
    find_names("a.exmaple.com");
    expect_miss("*.example.com", "one character");
    find_names("shop.com");
    expect_miss("www.shop.com", "it has a \"www.\"");
    find_names("www.bare.com");
    expect_miss("bare.com", "it lacks the \"www.\"");
    find_names("x.example.com");
    cr_expect_eq(misses.count, 0);
}
