/* Directives for caches: what is understood, and what becomes of what is written wrongly. */
#include "http/cache_control.h"
#include "support/head_text.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct arena arena;

static void clear(void)
{
    arena_clear(&arena);
}

static void say(char **at, const char *end, const char *word, int32_t seconds)
{
    if (seconds != CACHE_SECONDS_NONE)
        *at += snprintf(*at, (size_t)(end - *at), "%s=%d ", word, seconds);
}

static void say_if(char **at, const char *end, const char *word, bool is_so)
{
    if (is_so)
        *at += snprintf(*at, (size_t)(end - *at), "%s ", word);
}

static const char *words(const struct cache_control *control)
{
    static char text[512];
    char *at = text;
    const char *end = text + sizeof(text);

    text[0] = '\0';
    say_if(&at, end, "cdn", control->is_targeted);
    say_if(&at, end, "no-cache", control->no_cache);
    say_if(&at, end, "no-store", control->no_store);
    say_if(&at, end, "no-transform", control->no_transform);
    say_if(&at, end, "private", control->is_private);
    say_if(&at, end, "public", control->is_public);
    say_if(&at, end, "must-revalidate", control->must_revalidate);
    say_if(&at, end, "proxy-revalidate", control->proxy_revalidate);
    say_if(&at, end, "must-understand", control->must_understand);
    say_if(&at, end, "immutable", control->immutable);
    say_if(&at, end, "only-if-cached", control->only_if_cached);
    say_if(&at, end, "max-stale", control->any_stale);
    if (control->private_fields.len > 0)
        at += snprintf(at, (size_t)(end - at), "private(%.*s) ", (int)control->private_fields.len,
                       control->private_fields.at);
    if (control->no_cache_fields.len > 0)
        at += snprintf(at, (size_t)(end - at), "no-cache(%.*s) ", (int)control->no_cache_fields.len,
                       control->no_cache_fields.at);
    say(&at, end, "max-age", control->max_age);
    say(&at, end, "s-maxage", control->s_maxage);
    say(&at, end, "max-stale", control->max_stale);
    say(&at, end, "min-fresh", control->min_fresh);
    say(&at, end, "swr", control->stale_while_revalidate);
    say(&at, end, "sie", control->stale_if_error);
    if (at > text)
        at[-1] = '\0';
    return text;
}

struct row {
    const char *fields, *words;
};

TestSuite(cache_control, .fini = clear);

Test(cache_control, of_responses)
{
    static const struct row rows[] = {
        {"", ""},
        {"Cache-Control:", ""},
        {"Cache-Control: max-age=60", "max-age=60"},
        {"CACHE-CONTROL: MAX-AGE=60, S-MaxAge=5", "max-age=60 s-maxage=5"},
        {"Cache-Control: max-age=\"60\"", "max-age=60"},
        {"Cache-Control: ,, max-age=60 ,", "max-age=60"},
        {"Cache-Control: max-age=60\nCache-Control: no-transform", "no-transform max-age=60"},
        {"Cache-Control: public, must-revalidate, proxy-revalidate, must-understand, immutable",
         "public must-revalidate proxy-revalidate must-understand immutable"},
        {"Cache-Control: stale-while-revalidate=5, stale-if-error=7", "swr=5 sie=7"},
        {"Cache-Control: community=\"UCI\", foo, max-agee=5, xmax-age=6", ""},
        /* numbers that are none, and too many of them */
        {"Cache-Control: max-age", "max-age=0"},
        {"Cache-Control: max-age=", "max-age=0"},
        {"Cache-Control: max-age=-1", "max-age=0"},
        {"Cache-Control: max-age=60.5", "max-age=0"},
        {"Cache-Control: max-age=60s", "max-age=0"},
        {"Cache-Control: max-age='60'", "max-age=0"},
        {"Cache-Control: max-age=\"60", "max-age=0"},
        {"Cache-Control: max-age=60\"", "max-age=0"},
        {"Cache-Control: max-age= 60", "max-age=0"},
        {"Cache-Control: max-age =60", "max-age=0"},
        {"Cache-Control: max-age=0x10", "max-age=0"},
        {"Cache-Control: max-age=1 2", "max-age=0"},
        {"Cache-Control: max-age=\"6\\0\"", "max-age=0"},
        {"Cache-Control: max-age=2147483647", "max-age=2147483647"},
        {"Cache-Control: max-age=2147483648", "max-age=2147483647"},
        {"Cache-Control: max-age=99999999999999999999999999", "max-age=2147483647"},
        {"Cache-Control: max-age=60, max-age=30, max-age=90", "max-age=30"},
        {"Cache-Control: max-age=60\nCache-Control: max-age=x", "max-age=0"},
        {"Cache-Control: stale-while-revalidate=x, stale-if-error", "swr=0 sie=0"},
        /* prohibitions count whatever they say, permissions only as defined */
        {"Cache-Control: no-store=x, must-revalidate=0, no-transform=\"\"",
         "no-store no-transform must-revalidate"},
        {"Cache-Control: public=1, immutable=x, must-understand=x", ""},
        /* with fields */
        {"Cache-Control: private", "private"},
        {"Cache-Control: private=\"Set-Cookie, X-User\"", "private(Set-Cookie, X-User)"},
        {"Cache-Control: private=\"a\", no-cache=\"b\", private=\"c\"", "private(a,c) no-cache(b)"},
        {"Cache-Control: private=x-user", "private(x-user)"},
        {"Cache-Control: private=\"\"", "private"},
        {"Cache-Control: private=\",\"", "private"},
        {"Cache-Control: private=\"a b\"", "private"},
        {"Cache-Control: private=\"a\\b\"", "private"},
        {"Cache-Control: private=\"a", "private"},
        {"Cache-Control: no-cache", "no-cache"},
        {"Cache-Control: no-cache=\"a\", no-cache", "no-cache no-cache(a)"},
        {"Cache-Control: no-cache=", "no-cache"},
        /* commas in quotes are no commas, unless the quotes never end */
        {"Cache-Control: x=\"a, no-store\", max-age=5", "max-age=5"},
        {"Cache-Control: x=\"a\\\", no-store\", max-age=5", "max-age=5"},
        {"Cache-Control: x=\"a, no-store, max-age=5", "no-store max-age=5"},
        {"Cache-Control: x=\"a\\, no-store", "no-store"},
        /* of requests alone */
        {"Cache-Control: only-if-cached, max-stale=5, min-fresh=5\nPragma: no-cache", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields fields = fields_from_text(&arena, rows[i].fields);
        struct cache_control control;

        cache_control_of_response(&fields, &arena, &control);
        cr_expect_str_eq(words(&control), rows[i].words, "%s -> %s", rows[i].fields,
                         words(&control));
    }
}

Test(cache_control, targeted)
{
    static const struct row rows[] = {
        {"CDN-Cache-Control: max-age=600\nCache-Control: no-store", "cdn max-age=600"},
        {"Cache-Control: no-store\nCDN-Cache-Control: none", "cdn"},
        {"Cache-Control: max-age=5\nCDN-Cache-Control: private=\"a\", no-cache",
         "cdn no-cache private(a)"},
        {"CDN-Cache-Control: max-age=5\nCDN-Cache-Control: must-revalidate",
         "cdn must-revalidate max-age=5"},
        {"CDN-Cache-Control: max-age=60;x=1, s-maxage=6;y", "cdn max-age=60 s-maxage=6"},
        {"CDN-Cache-Control: stale-if-error=5, stale-while-revalidate=6", "cdn swr=6 sie=5"},
        /* the last one counts */
        {"CDN-Cache-Control: max-age=60, max-age=90", "cdn max-age=90"},
        {"CDN-Cache-Control: no-store, no-store=?0", "cdn"},
        {"CDN-Cache-Control: private=\"a\", private", "cdn private"},
        /* of another type than it should be */
        {"CDN-Cache-Control: max-age=\"60\"", "cdn max-age=0"},
        {"CDN-Cache-Control: max-age=60.5", "cdn max-age=0"},
        {"CDN-Cache-Control: max-age", "cdn max-age=0"},
        {"CDN-Cache-Control: max-age=-5", "cdn max-age=0"},
        {"CDN-Cache-Control: max-age=(60)", "cdn max-age=0"},
        {"CDN-Cache-Control: no-store=5, private=5", "cdn no-store private"},
        {"CDN-Cache-Control: public=\"x\", public=1", "cdn"},
        {"CDN-Cache-Control: max-age=999999999999999", "cdn max-age=2147483647"},
        /* empty, or no dictionary: it is not there */
        {"CDN-Cache-Control:\nCache-Control: max-age=5", "max-age=5"},
        {"CDN-Cache-Control: max-age=600,\nCache-Control: max-age=5", "max-age=5"},
        {"CDN-Cache-Control: Max-Age=600\nCache-Control: max-age=5", "max-age=5"},
        {"CDN-Cache-Control: max-age = 600\nCache-Control: max-age=5", "max-age=5"},
        {"CDN-Cache-Control: max-age=600 no-store\nCache-Control: max-age=5", "max-age=5"},
        {"CDN-Cache-Control: max-age=9999999999999999\nCache-Control: max-age=5", "max-age=5"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields fields = fields_from_text(&arena, rows[i].fields);
        struct cache_control control;

        cache_control_of_response(&fields, &arena, &control);
        cr_expect_str_eq(words(&control), rows[i].words, "%s -> %s", rows[i].fields,
                         words(&control));
    }
}

Test(cache_control, of_requests)
{
    static const struct row rows[] = {
        {"", ""},
        {"Pragma: no-cache", "no-cache"},
        {"Pragma: foo, No-Cache", "no-cache"},
        {"Pragma: foo", ""},
        {"Pragma: no-cache\nCache-Control: max-age=5", "max-age=5"},
        {"Pragma: no-cache\nCache-Control:", ""},
        {"Cache-Control: no-cache, no-store, no-transform, only-if-cached",
         "no-cache no-store no-transform only-if-cached"},
        {"Cache-Control: max-stale", "max-stale"},
        {"Cache-Control: max-stale=5", "max-stale=5"},
        {"Cache-Control: max-stale, max-stale=5", "max-stale=5"},
        {"Cache-Control: max-stale=x", "max-stale=0"},
        {"Cache-Control: max-stale=", "max-stale=0"},
        {"Cache-Control: max-stale=9, max-stale=5", "max-stale=5"},
        {"Cache-Control: min-fresh=5", "min-fresh=5"},
        {"Cache-Control: min-fresh=5, min-fresh=9", "min-fresh=9"},
        {"Cache-Control: min-fresh=x", "min-fresh=2147483647"},
        {"Cache-Control: max-age=x", "max-age=0"},
        {"Cache-Control: stale-if-error=60", "sie=60"},
        {"Cache-Control: private, public, must-revalidate, s-maxage=5", ""},
        {"CDN-Cache-Control: max-age=5", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields fields = fields_from_text(&arena, rows[i].fields);
        struct cache_control control;

        cache_control_of_request(&fields, &arena, &control);
        cr_expect_str_eq(words(&control), rows[i].words, "%s -> %s", rows[i].fields,
                         words(&control));
    }
}

/* 32 KiB of quotes that never end, in every place where one might look for their ends. */
Test(cache_control, quotes_without_end_cost_little)
{
    enum { SIZE = 30000 };
    static char text[2][SIZE + 1];
    struct cache_control control;

    for (size_t i = 0; i < SIZE; i++) {
        text[0][i] = "\"\\\","[i % 4 < 1 ? 0 : i % 4];
        text[1][i] = "\\\""[i % 2];
    }
    for (int i = 0; i < 2; i++) {
        struct http_fields fields = {0};

        http_fields_add(&fields, &arena, slice_of("Cache-Control"), slice_of(text[i]));
        for (int round = 0; round < 200; round++) /* seconds of it, if each quote were followed */
            cache_control_of_response(&fields, &arena, &control);
        cr_expect_not(control.no_store);
    }
}
