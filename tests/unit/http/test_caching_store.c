/* Which responses a shared cache may keep, which of their fields, and for how long. */
#include "http/caching.h"
#include "support/head_text.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { NOW = HEAD_TEXT_NOW };

static struct arena arena;
static const struct caching_times now = {.asked_s = NOW, .answered_s = NOW};
static const struct caching_rules plain_rules = {.stale_if_error_s = 0};

static void clear(void)
{
    arena_clear(&arena);
}

static struct caching_request read_request(const char *text)
{
    struct http_head head = request_from_text(&arena, text);
    struct caching_request request;

    caching_read_request(&head, &arena, &request);
    return request;
}

/* "kept", or why it is not. */
static const char *store(const char *request_text, const char *response_text, bool is_authorized,
                         const struct caching_rules *rules, struct caching_life *life)
{
    struct caching_request request = read_request(request_text);
    struct http_head response = response_from_text(&arena, response_text);
    const char *why;

    return caching_may_store(&request, is_authorized, &response, rules, now, &arena, life, &why)
               ? "kept"
               : why;
}

TestSuite(caching_store, .fini = clear);

Test(caching_store, what_is_kept)
{
    static const struct {
        const char *response, *outcome;
    } rows[] = {
        {"200\nCache-Control: max-age=60", "kept"},
        {"200\nCache-Control: s-maxage=60", "kept"},
        {"200\nExpires: @60", "kept"},
        {"200\nDate: @0\nLast-Modified: @-1000", "kept"},
        {"200\nCDN-Cache-Control: max-age=60\nCache-Control: no-store, private", "kept"},
        {"200", "no-freshness"},
        {"200\nETag: \"x\"", "kept"}, /* to be asked for each time */
        {"200\nETag: x", "no-freshness"},
        {"200\nCache-Control: public", "no-freshness"},
        /* statuses */
        {"206\nCache-Control: max-age=60", "partial"},
        {"304\nCache-Control: max-age=60", "status"},
        {"100\nCache-Control: max-age=60", "status"},
        {"101\nCache-Control: max-age=60", "status"},
        {"600\nCache-Control: max-age=60", "status"},
        {"302\nCache-Control: max-age=60", "kept"},
        {"302\nExpires: @60", "kept"},
        {"302\nETag: \"x\"", "no-freshness"},
        {"302\nDate: @0\nLast-Modified: @-1000", "no-freshness"},
        {"302\nDate: @0\nLast-Modified: @-1000\nCache-Control: public", "kept"},
        {"404\nDate: @0\nLast-Modified: @-1000", "kept"},
        {"500\nCache-Control: max-age=60", "kept"},
        {"299\nCache-Control: max-age=60", "kept"},
        {"299\nCache-Control: max-age=60, must-understand", "must-understand"},
        {"200\nCache-Control: max-age=60, must-understand, no-store", "kept"},
        {"206\nCache-Control: max-age=60, must-understand, no-store", "partial"},
        {"299\nCache-Control: max-age=60, must-understand, no-store", "must-understand"},
        /* prohibitions */
        {"200\nCache-Control: max-age=60, no-store", "no-store"},
        {"200\nCache-Control: max-age=60\nCache-Control: no-store", "no-store"},
        {"200\nCache-Control: max-age=60, private", "private"},
        {"200\nCache-Control: public, s-maxage=60, private", "private"},
        {"200\nCache-Control: max-age=60, private=\"x-user\"", "kept"},
        {"200\nCDN-Cache-Control: private\nCache-Control: max-age=60", "private"},
        {"200\nCDN-Cache-Control: no-store\nCache-Control: max-age=60", "no-store"},
        {"200\nCDN-Cache-Control: none\nExpires: @60", "no-freshness"},
        {"200\nCache-Control: max-age=60\nVary: *", "vary"},
        {"200\nCache-Control: max-age=60\nVary: a, *", "vary"},
        {"200\nCache-Control: max-age=60\nVary: a\nVary: *", "vary"},
        {"200\nCache-Control: max-age=60\nVary: a b", "vary"},
        {"200\nCache-Control: max-age=60\nSet-Cookie: a=b", "set-cookie"},
        {"200\nCache-Control: max-age=60, private=\"set-cookie\"\nSet-Cookie: a=b", "kept"},
        {"200\nCache-Control: max-age=60, no-cache=\"Set-Cookie\"\nSet-Cookie: a=b", "kept"},
        /* what could never be given */
        {"200\nCache-Control: max-age=0", "stale"},
        {"200\nCache-Control: max-age=x", "stale"},
        {"200\nExpires: 0", "stale"},
        {"200\nCache-Control: max-age=60\nAge: 60", "stale"},
        {"200\nCache-Control: max-age=60\nDate: @-60", "stale"},
        {"200\nCache-Control: max-age=0\nETag: \"x\"", "kept"},
        {"200\nCache-Control: max-age=0\nLast-Modified: @-60", "kept"},
        {"200\nCache-Control: max-age=0\nLast-Modified: never", "stale"},
        {"200\nCache-Control: max-age=0, stale-while-revalidate=60", "kept"},
        {"200\nCache-Control: max-age=0, stale-if-error=60", "kept"},
        {"200\nCache-Control: max-age=0, stale-if-error=60, must-revalidate", "stale"},
        {"200\nCache-Control: max-age=60, no-cache", "no-cache"},
        {"200\nCache-Control: max-age=60, no-cache\nETag: \"x\"", "kept"},
        {"200\nCache-Control: max-age=60, no-cache\nLast-Modified: @-60", "kept"},
    };
    struct caching_life life;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *outcome = store("GET https://a/", rows[i].response, false, &plain_rules, &life);

        cr_expect_str_eq(outcome, rows[i].outcome, "%s: %s", rows[i].response, outcome);
    }
}

Test(caching_store, whose_request_it_was)
{
    static const struct {
        const char *request;
        bool is_authorized;
        const char *response, *outcome;
    } rows[] = {
        {"GET https://a/\nCache-Control: no-store", false, "200\nExpires: @60", "request"},
        {"POST https://a/", false, "200\nExpires: @60", "request"},
        {"HEAD https://a/", false, "200\nExpires: @60", "request"},
        {"GET https://A/", false, "200\nExpires: @60", "request"},
        {"GET https://a/\nCookie: a=b", false, "200\nExpires: @60", "kept"},
        {"GET https://a/\nAuthorization: x", false, "200\nExpires: @60", "authorization"},
        {"GET https://a/", true, "200\nExpires: @60", "authorization"},
        {"GET https://a/", true, "200\nCache-Control: max-age=60", "authorization"},
        {"GET https://a/", true, "200\nCache-Control: max-age=60, proxy-revalidate",
         "authorization"},
        {"GET https://a/", true, "200\nCache-Control: max-age=60, public", "kept"},
        {"GET https://a/", true, "200\nCache-Control: max-age=60, public=1", "authorization"},
        {"GET https://a/", true, "200\nCache-Control: max-age=60, must-revalidate", "kept"},
        {"GET https://a/", true, "200\nCache-Control: s-maxage=60", "kept"},
        {"GET https://a/", true, "200\nCache-Control: s-maxage=60, private", "private"},
        {"GET https://a/", true, "200\nCDN-Cache-Control: max-age=60\nCache-Control: public",
         "authorization"},
    };
    struct caching_life life;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *outcome =
            store(rows[i].request, rows[i].response, rows[i].is_authorized, &plain_rules, &life);

        cr_expect_str_eq(outcome, rows[i].outcome, "%s, %s: %s", rows[i].request, rows[i].response,
                         outcome);
    }
}

Test(caching_store, lifetimes)
{
    static const struct {
        const char *response;
        int fresh_s, age_s;
        bool is_heuristic;
    } rows[] = {
        {"200\nCache-Control: max-age=60", 60, 0, false},
        {"200\nCache-Control: max-age=60, s-maxage=90", 90, 0, false},
        {"200\nCache-Control: max-age=60\nExpires: @90", 60, 0, false},
        {"200\nCache-Control: s-maxage=60\nExpires: 0", 60, 0, false},
        {"200\nCache-Control: max-age=99999999999", INT32_MAX, 0, false},
        {"200\nExpires: @90", 90, 0, false},
        {"200\nExpires: @90\nDate: @-10", 100, 10, false},
        {"200\nExpires: @90\nDate: @10", 80, 0, false},
        {"200\nExpires: @90\nDate: whenever", 90, 0, false},
        {"200\nExpires: @90\nExpires: @80", 80, 0, false},
        {"200\nExpires: @90\nExpires: @80\nETag: \"x\"\nExpires: x", 0, 0, false},
        {"200\nExpires: @9000000000", INT32_MAX, 0, false},
        {"200\nExpires: @-90\nETag: \"x\"", 0, 0, false},
        {"200\nExpires: Fri, 31 Dec 9999 23:59:59 GMT\nDate: Thu, 01 Jan 1970 00:00:00 GMT",
         INT32_MAX, NOW, false},
        {"200\nDate: @0\nLast-Modified: @-1000", 100, 0, true},
        {"200\nDate: @-10\nLast-Modified: @-1010", 100, 10, true},
        {"200\nLast-Modified: @-1000", 100, 0, true},
        {"200\nDate: @0\nLast-Modified: @-100000000", 86400, 0, true},
        {"200\nDate: @0\nLast-Modified: @1000\nETag: \"x\"", 0, 0, true},
        {"200\nCache-Control: public\nLast-Modified: @-1000", 100, 0, true},
        {"200\nCache-Control: max-age=60\nLast-Modified: @-10000", 60, 0, false},
        {"200\nCDN-Cache-Control: none\nCache-Control: max-age=5\nLast-Modified: @-1000", 100, 0,
         true},
        /* its age */
        {"200\nCache-Control: max-age=60\nAge: 10", 60, 10, false},
        {"200\nCache-Control: max-age=60\nAge: 10\nDate: @-20", 60, 20, false},
        {"200\nCache-Control: max-age=60\nAge: 30\nDate: @-20", 60, 30, false},
        {"200\nCache-Control: max-age=60\nAge: 10\nAge: 20", 60, 10, false},
        {"200\nCache-Control: max-age=60\nAge: 10, 20", 60, 10, false},
        {"200\nCache-Control: max-age=60\nAge: -10", 60, 0, false},
        {"200\nCache-Control: max-age=60\nAge: old", 60, 0, false},
        {"200\nCache-Control: max-age=60\nDate: @20", 60, 0, false},
        {"200\nCache-Control: max-age=60\nETag: \"x\"\nAge: 99999999999", 60, INT32_MAX, false},
    };
    struct caching_life life;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *outcome = store("GET https://a/", rows[i].response, false, &plain_rules, &life);

        cr_assert_str_eq(outcome, "kept", "%s: %s", rows[i].response, outcome);
        cr_expect_eq(life.fresh_s, rows[i].fresh_s, "%s: fresh for %d", rows[i].response,
                     life.fresh_s);
        cr_expect_eq(caching_age(&life, NOW), rows[i].age_s, "%s: %d old", rows[i].response,
                     caching_age(&life, NOW));
        cr_expect_eq(life.is_heuristic, rows[i].is_heuristic, "%s", rows[i].response);
    }
}

Test(caching_store, the_time_it_took_makes_it_older)
{
    struct caching_request request = read_request("GET https://a/");
    struct http_head response =
        response_from_text(&arena, "200\nCache-Control: max-age=60\nAge: 10\nDate: @0");
    struct caching_times slow = {.asked_s = NOW - 5, .answered_s = NOW};
    struct caching_times backwards = {.asked_s = NOW + 5, .answered_s = NOW};
    struct caching_life life;
    const char *why;

    cr_assert(
        caching_may_store(&request, false, &response, &plain_rules, slow, &arena, &life, &why));
    cr_expect_eq(caching_age(&life, NOW + 1), 16);
    cr_expect_eq(caching_ttl(&life, NOW + 1), 44);
    cr_assert(caching_may_store(&request, false, &response, &plain_rules, backwards, &arena, &life,
                                &why));
    cr_expect_eq(caching_age(&life, NOW), 10);
}

Test(caching_store, stale_ones)
{
    static const struct {
        const char *response;
        int while_revalidate_s, if_error_s; /* where the operator says 100 */
        bool never_stale, must_validate;
    } rows[] = {
        {"200\nCache-Control: max-age=60", 0, 100, false, false},
        {"200\nExpires: @60", 0, 100, false, false},
        {"200\nLast-Modified: @-1000", 0, 100, false, false},
        {"200\nCache-Control: max-age=60, stale-if-error=7, stale-while-revalidate=8", 8, 7, false,
         false},
        {"200\nCache-Control: max-age=60, stale-if-error=0", 0, 0, false, false},
        {"200\nCache-Control: max-age=60, stale-if-error=x", 0, 0, false, false},
        {"200\nCache-Control: s-maxage=60", 0, 0, true, false},
        {"200\nCache-Control: s-maxage=60, stale-while-revalidate=8, stale-if-error=7", 8, 7, true,
         false},
        {"200\nCache-Control: max-age=60, must-revalidate, stale-while-revalidate=8, "
         "stale-if-error=7",
         0, 0, true, false},
        {"200\nCache-Control: max-age=60, proxy-revalidate", 0, 0, true, false},
        {"200\nCache-Control: max-age=60, no-cache, stale-while-revalidate=8\nETag: \"x\"", 0, 0,
         false, true},
        {"200\nETag: \"x\"", 0, 0, false, true},
        {"200\nCache-Control: stale-if-error=7\nETag: \"x\"", 0, 7, false, true},
        {"200\nCDN-Cache-Control: max-age=60\nCache-Control: must-revalidate", 0, 100, false,
         false},
    };
    const struct caching_rules rules = {.stale_if_error_s = 100};
    struct caching_life life;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *outcome = store("GET https://a/", rows[i].response, false, &rules, &life);

        cr_assert_str_eq(outcome, "kept", "%s: %s", rows[i].response, outcome);
        cr_expect_eq(life.while_revalidate_s, rows[i].while_revalidate_s, "%s", rows[i].response);
        cr_expect_eq(life.if_error_s, rows[i].if_error_s, "%s", rows[i].response);
        cr_expect_eq(life.never_stale, rows[i].never_stale, "%s", rows[i].response);
        cr_expect_eq(life.must_validate, rows[i].must_validate, "%s", rows[i].response);
    }
}

Test(caching_store, fields)
{
    static const struct {
        const char *response, *stored;
    } rows[] = {
        {"Date: x\nETag: \"x\"\nX: y", "Date: x\nETag: \"x\"\nX: y"},
        {"X: y", "X: y\nDate: Thu, 01 Jan 2026 00:00:00 GMT"},
        {"Date: x\nAge: 5\nContent-Length: 5\nTransfer-Encoding: chunked\nTE: x\nTrailer: y\n"
         "Upgrade: z\nKeep-Alive: 5\nProxy-Connection: close",
         "Date: x"},
        {"Date: x\nConnection: close, X-Hop\nX-Hop: 1\nX-Stay: 2", "Date: x\nX-Stay: 2"},
        {"Date: x\nProxy-Authenticate: a\nProxy-Authentication-Info: b\nProxy-Authorization: c",
         "Date: x"},
        {"Date: x\nSet-Cookie: a=b\nY: z", "Date: x\nY: z"},
        {"Date: x\nCache-Control: private=\"X-User, x-id\"\nX-User: me\nX-ID: 5\nY: z",
         "Date: x\nCache-Control: private=\"X-User, x-id\"\nY: z"},
        {"Date: x\nCache-Control: no-cache=\"set-cookie2\"\nSet-Cookie2: me",
         "Date: x\nCache-Control: no-cache=\"set-cookie2\""},
        {"Date: x\nCache-Status: origin; hit\nVia: 1.1 x", "Date: x\nCache-Status: origin; hit\n"
                                                           "Via: 1.1 x"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields fields = fields_from_text(&arena, rows[i].response), stored;
        const char *text;

        caching_store_fields(&fields, &plain_rules, now, &arena, &stored);
        text = text_from_fields(&arena, &stored);
        cr_expect_str_eq(text, rows[i].stored, "%s\n->\n%s", rows[i].response, text);
    }
}

Test(caching_store, cookies_are_kept_where_the_operator_says_so)
{
    const struct caching_rules rules = {.stores_set_cookie = true};
    struct http_fields fields = fields_from_text(&arena, "Date: x\nSet-Cookie: a=b"), stored;
    struct caching_life life;

    cr_expect_str_eq(store("GET https://a/", "200\nCache-Control: max-age=60\nSet-Cookie: a=b",
                           false, &rules, &life),
                     "kept");
    caching_store_fields(&fields, &rules, now, &arena, &stored);
    cr_expect_str_eq(text_from_fields(&arena, &stored), "Date: x\nSet-Cookie: a=b");
}
