/* What is said of the cache, which keys an unsafe request drops, and tags. */
#include "http/caching.h"
#include "support/head_text.h"

#include <criterion/criterion.h>

static struct arena arena;

static void clear(void)
{
    arena_clear(&arena);
}

TestSuite(caching_status, .fini = clear);

Test(caching_status, texts)
{
    static const struct {
        struct caching_status status;
        const char *text;
    } rows[] = {
        {{.forward = CACHING_FWD_NONE}, "sallyport; hit"},
        {{.has_ttl = true, .ttl_s = 376}, "sallyport; hit; ttl=376"},
        {{.has_ttl = true, .ttl_s = -5, .detail = "stale-if-error"},
         "sallyport; hit; ttl=-5; detail=stale-if-error"},
        {{.forward = CACHING_FWD_URI_MISS, .is_stored = true}, "sallyport; fwd=uri-miss; stored"},
        {{.forward = CACHING_FWD_VARY_MISS}, "sallyport; fwd=vary-miss"},
        {{.forward = CACHING_FWD_MISS}, "sallyport; fwd=miss"},
        {{.forward = CACHING_FWD_REQUEST}, "sallyport; fwd=request"},
        {{.forward = CACHING_FWD_METHOD}, "sallyport; fwd=method"},
        {{.forward = CACHING_FWD_BYPASS, .detail = "no freshness"},
         "sallyport; fwd=bypass; detail=\"no freshness\""},
        {{.forward = CACHING_FWD_STALE,
          .forward_status = 304,
          .is_stored = true,
          .is_collapsed = true,
          .has_ttl = true,
          .ttl_s = 60},
         "sallyport; fwd=stale; fwd-status=304; ttl=60; stored; collapsed"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice text = caching_status_text(&rows[i].status, &arena);

        cr_expect(slice_equal(text, slice_of(rows[i].text)), "%s: %.*s", rows[i].text,
                  (int)text.len, text.at);
    }
}

Test(caching_status, comes_last)
{
    struct http_fields fields = fields_from_text(&arena, "Cache-Status: origin; hit\nX: y");

    caching_add_status(&fields, slice_of("sallyport; hit"), &arena);
    cr_expect_str_eq(text_from_fields(&arena, &fields),
                     "Cache-Status: origin; hit\nX: y\nCache-Status: sallyport; hit");
}

Test(caching_status, what_invalidates)
{
    static const enum http_method unsafe[] = {METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_PATCH,
                                              METHOD_OTHER};
    static const enum http_method safe[] = {METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_TRACE};

    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        for (int status = 100; status < 600; status++)
            cr_expect_eq(caching_invalidates(unsafe[i], status), status >= 200 && status < 400);
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        cr_expect_not(caching_invalidates(safe[i], 200));
}

Test(caching_status, invalidated_keys)
{
    static const struct {
        const char *request, *response, *keys;
    } rows[] = {
        {"POST https://a/x?q", "", "https://a/x?q"},
        {"POST https://a/x", "Location: /y", "https://a/x https://a/y"},
        {"POST https://a/x", "Content-Location: /y?q#f", "https://a/x https://a/y?q"},
        {"POST https://a/x", "Location: /y\nContent-Location: /z",
         "https://a/x https://a/y https://a/z"},
        {"POST https://a/x", "Location: https://a/y", "https://a/x https://a/y"},
        {"POST https://a/x", "Location: HTTPS://A:443/y", "https://a/x https://a/y"},
        {"POST https://a/x", "Location: https://a.", "https://a/x https://a/"},
        {"POST https://a/x", "Location: https://a?q", "https://a/x https://a/?q"},
        {"POST https://a/x", "Location: //a/y", "https://a/x https://a/y"},
        {"POST https://a:8443/x", "Location: https://a:8443/y",
         "https://a:8443/x https://a:8443/y"},
        {"POST https://[::1]/x", "Location: https://[::1]/y", "https://[::1]/x https://[::1]/y"},
        /* relative ones */
        {"POST https://a/d/x", "Location: y", "https://a/d/x https://a/d/y"},
        {"POST https://a/d/x", "Location: ./y", "https://a/d/x https://a/d/y"},
        {"POST https://a/d/x", "Location: ../y/.", "https://a/d/x https://a/y/"},
        {"POST https://a/d/x", "Location: ../../../y", "https://a/d/x https://a/y"},
        {"POST https://a/d/x", "Location: ..", "https://a/d/x https://a/"},
        {"POST https://a/d/x", "Location: ?q", "https://a/d/x https://a/d/x?q"},
        {"POST https://a/d/x", "Location: y//z/%7e", "https://a/d/x https://a/d/y/z/~"},
        {"POST https://a/d/x", "Location: /y?../z", "https://a/d/x https://a/y?../z"},
        /* another origin */
        {"POST https://a/x", "Location: http://a/y", "https://a/x"},
        {"POST https://a/x", "Location: https://b/y", "https://a/x"},
        {"POST https://a/x", "Location: https://a:8443/y", "https://a/x"},
        {"POST https://a/x", "Location: //b/y", "https://a/x"},
        {"POST https://a/x", "Location: https://a@b/y", "https://a/x"},
        {"POST https://a/x", "Location: https://b@a/y", "https://a/x"},
        {"POST https://a/x", "Location: mailto:a", "https://a/x"},
        /* nothing that is known */
        {"POST https://a/x", "Location: #f", "https://a/x"},
        {"POST https://a/x", "Location: /%zz", "https://a/x"},
        {"POST https://a/x", "Location: /y z", "https://a/x"},
        {"POST https://a/x", "Location: /y\nLocation: /z", "https://a/x"},
        {"POST https:///x", "Location: https:///y", "https:///x"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_head request = request_from_text(&arena, rows[i].request);
        struct http_fields fields = fields_from_text(&arena, rows[i].response);
        struct slice keys[CACHING_INVALIDATED_MOST], text = slice_of("");
        unsigned count = caching_invalidated_keys(&request, true, &fields, &arena, keys);

        for (unsigned k = 0; k < count; k++)
            text = arena_printf(&arena, "%.*s%s%.*s", (int)text.len, text.at, k > 0 ? " " : "",
                                (int)keys[k].len, keys[k].at);
        cr_expect(slice_equal(text, slice_of(rows[i].keys)), "%s: %.*s", rows[i].response,
                  (int)text.len, text.at);
    }
}

Test(caching_status, tags)
{
    static const struct {
        const char *fields, *tags;
    } rows[] = {
        {"", ""},
        {"X: y", ""},
        {"Surrogate-Key:", ""},
        {"Surrogate-Key: a", "a|"},
        {"Surrogate-Key: a b\tc  d ", "a|b|c|d|"},
        {"surrogate-key: a\nX: y\nSurrogate-Key: b", "a|b|"},
        {"Cache-Tag: a b, c,,d", "a b|c|d|"},
        {"Surrogate-Key: a,b\nCache-Tag: c", "a,b|c|"},
        {"Cache-Tag: ,\nSurrogate-Key: a", "a|"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields fields = fields_from_text(&arena, rows[i].fields);
        struct caching_tags tags = {.fields = &fields};
        struct slice text = slice_of(""), tag;

        while (caching_next_tag(&tags, &tag))
            text = arena_printf(&arena, "%.*s%.*s|", (int)text.len, text.at, (int)tag.len, tag.at);
        cr_expect(slice_equal(text, slice_of(rows[i].tags)), "%s: %.*s", rows[i].fields,
                  (int)text.len, text.at);
    }
}
