/* Requests as a shared cache sees them, keys, and whether what is kept may be given to them. */
#include "http/caching.h"
#include "support/head_text.h"

#include <criterion/criterion.h>

enum { NOW = HEAD_TEXT_NOW };

static struct arena arena;

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

TestSuite(caching, .fini = clear);

Test(caching, what_requests_may)
{
    static const struct {
        const char *request;
        bool may_look_up, may_store;
        const char *bypass;
    } rows[] = {
        {"GET https://a/", true, true, NULL},
        {"GET https://a:8443/x?y", true, true, NULL},
        {"GET https://[::1]/", true, true, NULL},
        {"GET https://[::1]:8443/", true, true, NULL},
        {"HEAD https://a/", true, false, NULL},
        {"POST https://a/", false, false, "method"},
        {"OPTIONS https://a/", false, false, "method"},
        {"get https://a/", false, false, "method"},
        {"GET https://a/\nCache-Control: no-store", true, false, NULL},
        {"GET https://a/\nCache-Control: no-cache", true, true, NULL},
        {"GET https://a/\nIf-Match: \"x\"", false, false, "precondition"},
        {"GET https://a/\nif-unmodified-since: @0", false, false, "precondition"},
        {"GET https://a/\nIf-None-Match: \"x\"\nIf-Modified-Since: @0\nIf-Range: \"x\"", true, true,
         NULL},
        /* spelled otherwise than their key */
        {"GET https://A/", true, false, NULL},
        {"GET https://a./", true, false, NULL},
        {"GET https://a:/", true, false, NULL},
        {"GET https://a:443/", true, false, NULL},
        {"GET https://a:80/", true, false, NULL},
        {"GET https://[::1]:/", true, false, NULL},
        {"GET https://[::1]:443/", true, false, NULL},
        {"GET https://[::AB]/", true, false, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct caching_request request = read_request(rows[i].request);

        cr_expect_eq(request.may_look_up, rows[i].may_look_up, "%s", rows[i].request);
        cr_expect_eq(request.may_store, rows[i].may_store, "%s", rows[i].request);
        if (rows[i].bypass)
            cr_expect_str_eq(request.bypass, rows[i].bypass, "%s", rows[i].request);
        else
            cr_expect_null(request.bypass, "%s", rows[i].request);
    }
}

Test(caching, bodies_and_upgrades_are_not_looked_up)
{
    struct http_head head = request_from_text(&arena, "GET https://a/");
    struct caching_request request;

    head.framing = BODY_LENGTH;
    caching_read_request(&head, &arena, &request);
    cr_expect(request.may_look_up);
    head.content_length = 1;
    caching_read_request(&head, &arena, &request);
    cr_expect_str_eq(request.bypass, "body");
    head.framing = BODY_CHUNKED;
    head.content_length = 0;
    caching_read_request(&head, &arena, &request);
    cr_expect_not(request.may_look_up);
    head.framing = BODY_NONE;
    head.upgrade = slice_of("websocket");
    caching_read_request(&head, &arena, &request);
    cr_expect_str_eq(request.bypass, "upgrade");
}

Test(caching, what_requests_have)
{
    struct caching_request request =
        read_request("GET https://a/\nAuthorization: x\nRange: bytes=0-1\nIf-None-Match: \"x\"");

    cr_expect(request.has_authorization && request.has_range && request.has_condition);
    request = read_request("GET https://a/\nRange: lines=0-1\nIf-Modified-Since: @0");
    cr_expect(!request.has_authorization && !request.has_range && request.has_condition);
    request = read_request("HEAD https://a/\nRange: bytes=0-1");
    cr_expect(request.is_head && !request.has_range && !request.has_condition);
    request = read_request("GET https://a/\nRange: bytes=");
    cr_expect_not(request.has_range);
}

Test(caching, keys)
{
    static const struct {
        const char *request;
        bool is_tls;
        const char *key;
    } rows[] = {
        {"GET https://a/", true, "https://a/"},
        {"GET https://a/", false, "http://a/"},
        {"GET https://A.b./x", true, "https://a.b/x"},
        {"GET https://a:443/x", true, "https://a/x"},
        {"GET https://a:443/x", false, "http://a:443/x"},
        {"GET https://a:80/x", false, "http://a/x"},
        {"GET https://a:8443/x", true, "https://a:8443/x"},
        {"GET https://[::1]:65535/x", true, "https://[::1]:65535/x"},
        {"GET https://[::1]/x", true, "https://[::1]/x"},
        {"GET https:///x", true, "https:///x"},
        {"GET https://a//x/%7ey?q=1&&%7e", true, "https://a/x/~y?q=1&&%7e"},
        {"GET https://a/x?", true, "https://a/x?"},
        {"GET https://a/x%3Fy", true, "https://a/x%3Fy"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_head head = request_from_text(&arena, rows[i].request);
        struct slice key = caching_key(&head, rows[i].is_tls, &arena);

        cr_expect(slice_equal(key, slice_of(rows[i].key)), "%s: %.*s", rows[i].request,
                  (int)key.len, key.at);
    }
}

#define FOR_60_S .born_s = NOW, .fresh_s = 60

Test(caching, verdicts)
{
    static const struct {
        struct caching_life life;
        int age;
        const char *request; /* its Cache-Control */
        enum caching_verdict verdict;
    } rows[] = {
        {{FOR_60_S}, 0, "", CACHING_FRESH},
        {{FOR_60_S}, 59, "", CACHING_FRESH},
        {{FOR_60_S}, 60, "", CACHING_STALE},
        {{FOR_60_S}, -5, "", CACHING_FRESH}, /* the clock was set back */
        {{.born_s = NOW}, 0, "", CACHING_STALE},
        {{.born_s = INT64_MIN / 2, .fresh_s = CACHE_SECONDS_MOST}, 0, "", CACHING_STALE},
        {{.born_s = NOW, .fresh_s = CACHE_SECONDS_MOST}, 1, "", CACHING_FRESH},
        {{FOR_60_S, .must_validate = true}, 0, "", CACHING_STALE},
        {{FOR_60_S, .must_validate = true}, 0, "max-stale", CACHING_STALE},
        {{FOR_60_S, .never_stale = true}, 0, "", CACHING_FRESH},
        {{FOR_60_S}, 0, "no-cache", CACHING_STALE},
        {{FOR_60_S}, 0, "no-store", CACHING_FRESH},
        {{FOR_60_S}, 0, "only-if-cached", CACHING_FRESH},
        {{FOR_60_S}, 10, "max-age=10", CACHING_FRESH},
        {{FOR_60_S}, 11, "max-age=10", CACHING_STALE},
        {{FOR_60_S}, 1, "max-age=0", CACHING_STALE},
        {{FOR_60_S}, 0, "max-age=0", CACHING_FRESH},
        {{FOR_60_S}, 1, "max-age=x", CACHING_STALE},
        {{FOR_60_S}, 11, "max-age=10, max-stale", CACHING_STALE},
        {{FOR_60_S}, 70, "max-age=80, max-stale=20", CACHING_STALE_OK},
        {{FOR_60_S, .is_immutable = true}, 1, "max-age=0", CACHING_FRESH},
        {{FOR_60_S, .is_immutable = true}, 60, "max-age=0", CACHING_STALE},
        {{FOR_60_S, .is_immutable = true}, 1, "no-cache", CACHING_STALE},
        {{FOR_60_S}, 50, "min-fresh=10", CACHING_FRESH},
        {{FOR_60_S}, 51, "min-fresh=10", CACHING_STALE},
        {{FOR_60_S}, 0, "min-fresh=x", CACHING_STALE},
        {{FOR_60_S}, 61, "max-stale", CACHING_STALE_OK},
        {{FOR_60_S}, 70, "max-stale=10", CACHING_STALE_OK},
        {{FOR_60_S}, 71, "max-stale=10", CACHING_STALE},
        {{FOR_60_S}, 61, "max-stale=x", CACHING_STALE},
        {{FOR_60_S, .never_stale = true}, 61, "max-stale", CACHING_STALE},
        {{FOR_60_S, .while_revalidate_s = 10}, 70, "", CACHING_STALE_WHILE_REVALIDATE},
        {{FOR_60_S, .while_revalidate_s = 10}, 71, "", CACHING_STALE},
        {{FOR_60_S, .while_revalidate_s = 10}, 65, "max-age=100", CACHING_STALE},
        {{FOR_60_S, .while_revalidate_s = 10}, 65, "min-fresh=1", CACHING_STALE},
        {{FOR_60_S, .while_revalidate_s = 10}, 65, "no-cache", CACHING_STALE},
        {{FOR_60_S, .while_revalidate_s = 10}, 65, "max-stale", CACHING_STALE_OK},
        {{FOR_60_S, .if_error_s = 10}, 65, "", CACHING_STALE},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice text =
            arena_printf(&arena, "GET https://a/\nCache-Control: %s", rows[i].request);
        struct caching_request request = read_request(arena_text(&arena, text));
        enum caching_verdict verdict =
            caching_judge(&rows[i].life, &request, (int64_t)NOW + rows[i].age);

        cr_expect_eq(verdict, rows[i].verdict, "row %zu, %s: %d", i, rows[i].request, (int)verdict);
    }
}

Test(caching, on_errors)
{
    static const struct {
        struct caching_life life;
        int age;
        const char *request;
        bool may;
    } rows[] = {
        {{FOR_60_S}, 0, "", true},
        {{FOR_60_S}, 0, "max-age=0", true},
        {{FOR_60_S}, 0, "no-cache", false},
        {{FOR_60_S, .must_validate = true}, 0, "", false},
        {{FOR_60_S}, 60, "", false},
        {{FOR_60_S, .if_error_s = 10}, 70, "", true},
        {{FOR_60_S, .if_error_s = 10}, 71, "", false},
        {{FOR_60_S, .if_error_s = 10}, 70, "no-cache", false},
        {{FOR_60_S, .if_error_s = 10}, 70, "max-age=0", true},
        {{FOR_60_S}, 65, "stale-if-error=10", true},
        {{FOR_60_S}, 71, "stale-if-error=10", false},
        {{FOR_60_S, .if_error_s = 20}, 75, "stale-if-error=10", true},
        {{FOR_60_S, .never_stale = true}, 65, "stale-if-error=10", false},
        {{FOR_60_S, .never_stale = true, .if_error_s = 10}, 65, "", true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice text =
            arena_printf(&arena, "GET https://a/\nCache-Control: %s", rows[i].request);
        struct caching_request request = read_request(arena_text(&arena, text));

        cr_expect_eq(
            caching_may_serve_on_error(&rows[i].life, &request, (int64_t)NOW + rows[i].age),
            rows[i].may, "row %zu", i);
    }
    for (int status = 100; status < 600; status++)
        cr_expect_eq(caching_is_error(status),
                     status == 500 || status == 502 || status == 503 || status == 504);
}
