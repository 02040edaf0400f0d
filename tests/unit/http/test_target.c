/* Hosts and paths in their canonical form. */
#include "http/target.h"

#include <criterion/criterion.h>

static struct arena arena;

static void clear(void)
{
    arena_clear(&arena);
}

TestSuite(host, .fini = clear);
TestSuite(path, .fini = clear);

Test(host, is_normalised)
{
    static const struct {
        const char *authority, *host;
        unsigned port;
    } cases[] = {
        {"example.com", "example.com", 0},
        {"EXAMPLE.Com", "example.com", 0},
        {"example.com.", "example.com", 0},
        {"example.com:443", "example.com", 443},
        {"example.com.:8080", "example.com", 8080},
        {"example.com:", "example.com", 0},
        {"example.com:65535", "example.com", 65535},
        {"a", "a", 0},
        {"127.0.0.1:80", "127.0.0.1", 80},
        {"[::1]", "::1", 0},
        {"[::1]:8443", "::1", 8443},
        {"[::1]:", "::1", 0},
        {"[FE80::ABCD]", "fe80::abcd", 0},
        {"[::ffff:1.2.3.4]", "::ffff:1.2.3.4", 0},
        {"_dmarc.example.com", "_dmarc.example.com", 0},
        {"xn--bcher-kva.example", "xn--bcher-kva.example", 0},
        {"-a.example", "-a.example", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice host;
        uint16_t port;

        cr_assert(host_normalise(&arena, slice_of(cases[i].authority), &host, &port), "%s",
                  cases[i].authority);
        cr_assert(slice_equal(host, slice_of(cases[i].host)), "%s -> %.*s", cases[i].authority,
                  (int)host.len, host.at);
        cr_assert_eq(port, cases[i].port, "%s -> %u", cases[i].authority, port);
    }
}

Test(host, is_refused)
{
    static const char *const cases[] = {
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        ":80",
        "a b",
        " a",
        "a ",
        "a\tb",
        "user@a",
        "u:p@a",
        "a:80:80",
        "a:x",
        "a:-1",
        "a:+1",
        "a: 80",
        "a:0",
        "a:65536",
        "a:000080",
        "a:080",
        "a:00",
        "a:123456",
        "b\xc3\xbc.de",
        "a/b",
        "a?b",
        "a#b",
        "a%41",
        "a\\b",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]80",
        "[]",
        "[::1%25eth0]",
        "[fe80::1%eth0]",
        "[v1.x]",
        "[1.2.3.4]",
        "a,b",
        "*.example.com",
        "*",
        "a;b",
        "a'b",
        "[::1]]",
        "[::1]:x",
        "a\x7f",
        "[[::1]]",
        "a[::1]",
        "(a)",
        "a=b",
        "a&b",
    };
    struct slice host;
    uint16_t port;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_not(host_normalise(&arena, slice_of(cases[i]), &host, &port), "%s", cases[i]);
    cr_expect_not(host_normalise(&arena, slice_make("a\0b", 3), &host, &port));
    cr_expect_not(host_normalise(&arena, slice_make("[::1\0]", 6), &host, &port));
}

Test(host, labels_and_names_have_their_longest)
{
    char text[300];
    struct slice host;
    uint16_t port;

    memset(text, 'a', sizeof(text));
    cr_assert(host_normalise(&arena, slice_make(text, 63), &host, &port));
    cr_assert_not(host_normalise(&arena, slice_make(text, 64), &host, &port));
    for (size_t i = 50; i < sizeof(text); i += 51)
        text[i] = '.';
    cr_assert(host_normalise(&arena, slice_make(text, 253), &host, &port));
    cr_assert_not(host_normalise(&arena, slice_make(text, 254), &host, &port));
    text[253] = '.';
    cr_assert(host_normalise(&arena, slice_make(text, 254), &host, &port));
    cr_assert_eq(host.len, 253);
}

Test(host, is_copied_only_where_it_changes)
{
    const char *text = "example.com:80";
    struct slice host;
    uint16_t port;

    cr_assert(host_normalise(&arena, slice_of(text), &host, &port));
    cr_assert_eq(host.at, text);
    cr_assert_eq(arena.total_bytes, 0);
}

Test(path, is_normalised)
{
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a/b/", "/a/b/", ""},
        {"/A/b", "/A/b", ""},
        {"//", "/", ""},
        {"///a//b///", "/a/b/", ""},
        {"/%41%62%63", "/Abc", ""},
        {"/%7e%2D%5f%2e5", "/~-_.5", ""},
        {"/a%20b%c3%BC", "/a%20b%c3%BC", ""},
        {"/a%2fb", "/a%2fb", ""},
        {"/a%2Fb%5cc%5C", "/a%2Fb%5cc%5C", ""},
        {"/a/%2f/b", "/a/%2f/b", ""},
        {"/%25%34%31", "/%2541", ""},
        {"/%252e%252e/", "/%252e%252e/", ""},
        {"/...", "/...", ""},
        {"/.a/..b/c./d..", "/.a/..b/c./d..", ""},
        {"/%20./.%20/%2520..", "/%20./.%20/%2520..", ""},
        {"/.a%2f..b", "/.a%2f..b", ""},
        {"/%2e%2e%2e", "/...", ""},
        {"/.well-known/x", "/.well-known/x", ""},
        {"/a;b=c/d,e", "/a;b=c/d,e", ""},
        {"/a:b@c!$&'()*+", "/a:b@c!$&'()*+", ""},
        {"/%3f%23", "/%3f%23", ""},
        {"/a?", "/a", "?"},
        {"/a?b=%2e%2E//../c?d", "/a", "?b=%2e%2E//../c?d"},
        {"/%61?%61", "/a", "?%61"},
        {"/?\\|%zz", "/", "?\\|%zz"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice path, query;

        cr_assert(path_normalise(&arena, slice_of(cases[i].target), &path, &query), "%s",
                  cases[i].target);
        cr_assert(slice_equal(path, slice_of(cases[i].path)), "%s -> %.*s", cases[i].target,
                  (int)path.len, path.at);
        cr_assert(slice_equal(query, slice_of(cases[i].query)), "%s -> %.*s", cases[i].target,
                  (int)query.len, query.at);
    }
}

/* What comes out goes in unchanged: a backend or a second gateway sees the same path. */
Test(path, stays_once_it_is_normal)
{
    static const char *const cases[] = {"//a//%41", "/%2f%5c%c3", "/a%2e/%7e", "/...//%25"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice once, twice, query;

        cr_assert(path_normalise(&arena, slice_of(cases[i]), &once, &query));
        cr_assert(path_normalise(&arena, once, &twice, &query));
        cr_assert(slice_equal(once, twice), "%s", cases[i]);
    }
}

Test(path, is_refused)
{
    static const char *const cases[] = {
        "",        "a",         "*",         "?a",      "/.",          "/..",       "/./",
        "/../",    "/a/.",      "/a/..",     "/a/./b",  "/a/../b",     "/a//../b",  "/%2e",
        "/%2e%2e", "/.%2E/",    "/a/%2e./b", "/a%2f..", "/a%2f../b",   "/..%2fb",   "/a%2F.%2fb",
        "/a%5c..", "/..%5Cb",   "/%2f..",    "/%2f%2e", "/a%2f%2e%2e", "/a%2f..?x", "/a\\b",
        "/\\",     "/a#b",      "/#",        "/%00",    "/a%00b",      "/%0a",      "/%7F",
        "/%1f",    "/%",        "/%4",       "/%4g",    "/%g4",        "/a%",       "/a%2",
        "/a b",    "/a\tb",     "/a\rb",     "/a\nb",   "/\x01",       "/\x7f",     "/a?b c",
        "/a?b#c",  "/a?b\r",    "/a?\x7f",   "/a?\x01", "/../?a",      "/%u0041",   "/..\\",
        "/.%5c",   "/\xc3\xbc", "/a?\xff",   "/\x80",
    };
    struct slice path, query;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_not(path_normalise(&arena, slice_of(cases[i]), &path, &query), "%s", cases[i]);
    cr_expect_not(path_normalise(&arena, slice_make("/a\0b", 4), &path, &query));
    cr_expect_not(path_normalise(&arena, slice_make("/a?\0b", 5), &path, &query));
}

Test(path, is_copied_only_where_it_changes)
{
    const char *text = "/assets/app-1.2.min.js?v=3";
    struct slice path, query;

    cr_assert(path_normalise(&arena, slice_of(text), &path, &query));
    cr_assert_eq(path.at, text);
    cr_assert_eq(arena.total_bytes, 0);
}
