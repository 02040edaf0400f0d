/* Vary, and which requests are alike to it. */
#include "http/caching.h"
#include "support/head_text.h"

#include <criterion/criterion.h>

static struct arena arena;

static void clear(void)
{
    arena_clear(&arena);
}

TestSuite(caching_vary, .fini = clear);

Test(caching_vary, names)
{
    static const struct {
        const char *fields, *names; /* NULL: never selected */
    } rows[] = {
        {"X: y", ""},
        {"Vary:", ""},
        {"Vary: Accept", "accept"},
        {"vary: b, A ,,c\nVary: D", "a,b,c,d"},
        {"Vary: ab, a, A, a", "a,ab"},
        {"Vary: *", NULL},
        {"Vary: a, *", NULL},
        {"Vary: *, a", NULL},
        {"Vary: a\nVary: b,*", NULL},
        {"Vary: a b", NULL},
        {"Vary: \"a\"", NULL},
        {"Vary: **", "**"},
    };
    struct slice names;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields fields = fields_from_text(&arena, rows[i].fields);
        bool may_be_selected = caching_vary(&fields, &arena, &names);

        cr_expect_eq(may_be_selected, rows[i].names != NULL, "%s", rows[i].fields);
        if (rows[i].names)
            cr_expect(slice_equal(names, slice_of(rows[i].names)), "%s: %.*s", rows[i].fields,
                      (int)names.len, names.at);
    }
}

Test(caching_vary, too_many_names)
{
    struct slice list = slice_of("a0"), names;
    struct http_fields fields = {0};

    for (int i = 1; i < 33; i++)
        list = arena_printf(&arena, "%.*s,a%d", (int)list.len, list.at, i);
    http_fields_add(&fields, &arena, slice_of("Vary"), list);
    cr_expect_not(caching_vary(&fields, &arena, &names));
}

static struct slice variant(const char *names, const char *request)
{
    struct http_fields fields = fields_from_text(&arena, request);

    return caching_variant(slice_of(names), &fields, &arena);
}

Test(caching_vary, same_and_other_variants)
{
    static const struct {
        const char *names, *one, *other;
        bool is_same;
    } rows[] = {
        {"", "A: 1", "B: 2", true},
        {"a", "A: 1", "a: 1\nB: 2", true},
        {"a", "A: 1", "A: 2", false},
        {"a", "A: 1", "", false},
        {"a", "A:", "", false}, /* empty is not missing */
        {"a", "A: x", "A: X", false},
        {"a", "A: 1\nA: 2", "A: 1,2", true},
        {"a", "A: 1\nA: 2", "A: 2\nA: 1", false},
        {"a", "A: 1, 2", "A: 1,2", false}, /* who knows whether it is a list */
        {"a,b", "A: 1\nB: 2", "B: 2\nA: 1", true},
        {"a,b", "A: 1", "B: 1", false},
        {"a,b", "A: 1\nB: 1", "A: 1", false},
        {"cookie", "Cookie: a=b", "Cookie: a=c", false},
        /* lists */
        {"accept", "Accept: text/html , */*", "Accept: text/html,*/*", true},
        {"accept", "Accept: text/html\nAccept: */*", "Accept: text/html, */*", true},
        {"accept", "Accept: a/b;x=\"1 , 2\"", "Accept: a/b;x=\"1,2\"", false},
        {"accept", "Accept: a/b;x=\"\\\" , 2\"", "Accept: a/b;x=\"\\\",2\"", false},
        {"accept", "Accept: a/b;x=\"1,", "Accept: a/b;x=\"1", false},
        {"accept", "Accept: a/b;x=\"1\\", "Accept: a/b;x=\"1", false},
        {"accept", "Accept: a/b;q=1", "Accept: a/b;q=0.5", false},
        {"accept-language", "Accept-Language: EN, de-AT", "Accept-Language: en,de-at", true},
        {"accept-language", "Accept-Language: en, de", "Accept-Language: de, en", false},
        /* codings, as sets */
        {"accept-encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: BR;q=0.5,gzip", true},
        {"accept-encoding", "Accept-Encoding: gzip, br",
         "Accept-Encoding: br\nAccept-Encoding: "
         "gzip",
         true},
        {"accept-encoding", "Accept-Encoding: x-gzip", "Accept-Encoding: gzip, identity", true},
        {"accept-encoding", "Accept-Encoding: gzip, br;q=0", "Accept-Encoding: gzip", true},
        {"accept-encoding", "Accept-Encoding: gzip, gzip", "Accept-Encoding: gzip", true},
        {"accept-encoding", "Accept-Encoding: gzip;q=0.001", "Accept-Encoding: gzip", true},
        {"accept-encoding", "Accept-Encoding: gzip;q=0.000", "Accept-Encoding:", true},
        {"accept-encoding", "Accept-Encoding: gzip; q=0", "Accept-Encoding: identity", true},
        {"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip, deflate", false},
        {"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: br", false},
        {"accept-encoding", "Accept-Encoding:", "", false},
        {"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip, identity;q=0", false},
        {"accept-encoding", "Accept-Encoding: *", "Accept-Encoding: *, br;q=0", false},
        {"accept-encoding", "Accept-Encoding: *;q=0", "Accept-Encoding:", false},
        {"accept-encoding", "Accept-Encoding: gzip x", "Accept-Encoding: gzip", false},
        {"accept-encoding", "Accept-Encoding: gzip x", "Accept-Encoding: gzip y", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice one = variant(rows[i].names, rows[i].one);
        struct slice other = variant(rows[i].names, rows[i].other);

        cr_expect_eq(slice_equal(one, other), rows[i].is_same, "%s; %s: %.*s, %.*s", rows[i].one,
                     rows[i].other, (int)one.len, one.at, (int)other.len, other.at);
    }
}

Test(caching_vary, many_codings)
{
    struct slice list = slice_of("c0"), text;
    struct http_fields fields = {0};

    for (int i = 1; i < 40; i++)
        list = arena_printf(&arena, "%.*s,c%d", (int)list.len, list.at, i);
    http_fields_add(&fields, &arena, slice_of("Accept-Encoding"), list);
    text = caching_variant(slice_of("accept-encoding"), &fields, &arena);
    cr_expect(slice_ends_with(text, slice_of("c39\n")), "%.*s", (int)text.len, text.at);
}
