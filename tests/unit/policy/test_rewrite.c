#include "policy/rewrite.h"

#include "http/target.h"

#include <criterion/criterion.h>

/* What comes of it is as normal as what went in. */
static void expect_path(const char *strip, const char *add, const char *path, const char *expected)
{
    struct rewrite rewrite = {slice_of(strip), slice_of(add)};
    struct arena arena = {0};
    struct slice is = rewrite_path(&rewrite, &arena, slice_of(path)), normal, query;

    cr_expect(slice_equal(is, slice_of(expected)), "-%s +%s %s: %.*s, not %s", strip, add, path,
              (int)is.len, is.at, expected);
    if (is.at[0] == '/') {
        cr_expect(path_normalise(&arena, is, &normal, &query), "%s", expected);
        cr_expect(slice_equal(normal, is), "%s", expected);
    }
    arena_clear(&arena);
}

Test(rewrite, cuts_where_a_segment_ends)
{
    expect_path("/api", "", "/api/x", "/x");
    expect_path("/api", "", "/api/x/y/", "/x/y/");
    expect_path("/api", "", "/api", "/");
    expect_path("/api", "", "/api/", "/");
    expect_path("/api", "", "/apix", "/apix");
    expect_path("/api", "", "/ap", "/ap");
    expect_path("/api", "", "/API/x", "/API/x");
    expect_path("/api", "", "/x/api", "/x/api");
    expect_path("/api", "", "/api%2fx", "/api%2fx");
    expect_path("/api", "", "/api/%2f", "/%2f");
    expect_path("/a/b", "", "/a/b/c", "/c");
    expect_path("/a/b", "", "/a/c", "/a/c");
}

Test(rewrite, puts_in_front)
{
    expect_path("", "/v2", "/x", "/v2/x");
    expect_path("", "/v2", "/", "/v2/");
    expect_path("", "/v/2", "/x/", "/v/2/x/");
    expect_path("", "", "/x", "/x");
}

Test(rewrite, cuts_before_it_puts)
{
    expect_path("/api", "/v2", "/api/x", "/v2/x");
    expect_path("/api", "/v2", "/api", "/v2/");
    expect_path("/api", "/v2", "/other", "/v2/other");
    expect_path("/api", "/api", "/api/x", "/api/x");
}

Test(rewrite, leaves_the_asterisk_alone)
{
    expect_path("/api", "/v2", "*", "*");
}
