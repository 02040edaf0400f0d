/* The key `compress`: what it may say, what is merged, and what is told of it. */
#include "config/policies.h"
#include "policy/compress.h"
#include "support/route_folder.h"

#include <criterion/criterion.h>

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
    buffer_cache_clear();
}

TestSuite(compress_key, .init = begin, .fini = end);

static const char *words_at(const char *path)
{
    const struct route *route =
        route_table_find(folder.snapshot->routes, slice_of("a.test"), slice_of(path), NULL);
    const struct settings *settings = &route->targets[0].settings;

    return arena_text(&arena,
                      policies_words(policies_of(settings->policies, POLICY_COMPRESS), &arena));
}

Test(compress_key, says_what_is_built_in)
{
    route_folder_load_with_certs(&folder, "'routes': { 'a.test': { 'to': 'x:1', 'compress': {},"
                                          " 'retry': {} } }");
    cr_assert_not_null(folder.snapshot, "%s", folder.printed);
    cr_expect_str_eq(words_at("/"), "zstd, br, gzip; from 1KiB");
}

Test(compress_key, objects_are_merged_and_lists_replace)
{
    route_folder_load_with_certs(
        &folder, "'defaults': { 'compress': { 'min_size': 5000, 'types': ['Text/*', 'a/*+b'],"
                 "                            'level': { 'gzip': 9, 'br': 1 } } },"
                 "'routes': { 'a.test': { 'compress': { 'codings': ['gzip', 'br'],"
                 "                                      'level': { 'br': 2 } }, 'paths': {"
                 "  '/': { 'to': 'x:1' },"
                 "  '/size': { 'to': 'x:1', 'compress': { 'min_size': '2MiB' } },"
                 "  '/list': { 'to': 'x:1', 'compress': ['zstd'] },"
                 "  '/off': { 'to': 'x:1', 'compress': null } } } }");
    cr_assert_not_null(folder.snapshot, "%s", folder.printed);
    cr_expect_str_eq(words_at("/"), "gzip (level 9), br (level 2); from 5000B; text/*, a/*+b");
    cr_expect_str_eq(words_at("/size"), "gzip (level 9), br (level 2); from 2MiB; text/*, a/*+b");
    cr_expect_str_eq(words_at("/list"), "zstd; from 1KiB");
    cr_expect_str_eq(words_at("/off"), "off");
}

Test(compress_key, mistakes)
{
    route_folder_load_with_certs(
        &folder, "'defaults': { 'compress': {"
                 "\n'codings': ['gzip', 'deflate', 'gzip'],"
                 "\n'min_size': '1KB',"
                 "\n'types': ['text', 'text/html; charset=utf-8', 7],"
                 "\n'level': { 'gzip': 10, 'br': 0, 'zst': 3 },"
                 "\n'minsize': 1 } },"
                 "\n'routes': { 'a.test': { 'to': 'x:1', 'compress': [] },"
                 "\n'b.test': { 'to': 'x:1', 'compress': 'gzip' },"
                 "\n'c.test': { 'to': 'x:1', 'compress': { 'types': [], 'codings': {} } },"
                 "\n'd.test': { 'redirect': '/x', 'compress': ['gzip'] } }");
    cr_expect_null(folder.snapshot);
    cr_expect_eq(folder.problems.errors, 15, "%s", folder.printed);
    route_folder_expect(&folder, 2, 21, "defaults.compress.codings[1]", "\"gzip\", \"br\" or",
                        NULL);
    route_folder_expect(&folder, 2, 32, "defaults.compress.codings[2]", "already", NULL);
    route_folder_expect(&folder, 3, 13, "defaults.compress.min_size", "no size", NULL);
    route_folder_expect(&folder, 4, 11, "defaults.compress.types[0]", "media type", NULL);
    route_folder_expect(&folder, 4, 19, "defaults.compress.types[1]", "media type", NULL);
    route_folder_expect(&folder, 4, 47, "defaults.compress.types[2]", "media type", NULL);
    route_folder_expect(&folder, 5, 20, "defaults.compress.level.gzip", "9", NULL);
    route_folder_expect(&folder, 5, 30, "defaults.compress.level.br", "1", NULL);
    route_folder_expect(&folder, 5, 33, "defaults.compress.level.zst", "unknown", "zstd");
    route_folder_expect(&folder, 6, 1, "defaults.compress.minsize", "unknown", "min_size");
    route_folder_expect(&folder, 7, 50, "routes[\"a.test\"].compress", "null", NULL);
    route_folder_expect(&folder, 8, 38, "routes[\"b.test\"].compress", "a list such as", NULL);
    route_folder_expect(&folder, 9, 49, "routes[\"c.test\"].compress.types", "null", NULL);
    route_folder_expect(&folder, 9, 64, "routes[\"c.test\"].compress.codings", "a list", NULL);
    route_folder_expect(&folder, 10, 31, "routes[\"d.test\"].compress", "no effect", NULL);
}
