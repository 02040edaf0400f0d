/* Asking backends whether what is kept is still good, and what a 304 or a HEAD makes of it. */
#include "http/caching.h"
#include "support/head_text.h"

#include <criterion/criterion.h>

enum { NOW = HEAD_TEXT_NOW };

#define DATE_NOW "Thu, 01 Jan 2026 00:00:00 GMT"

static struct arena arena;
static const struct caching_times now = {.asked_s = NOW, .answered_s = NOW};
static const struct caching_rules rules = {.stale_if_error_s = 0};

static void clear(void)
{
    arena_clear(&arena);
}

TestSuite(caching_validation, .fini = clear);

Test(caching_validation, conditions)
{
    static const struct {
        const char *stored; /* NULL: nothing */
        const char *before, *after;
    } rows[] = {
        {NULL, "X: y", "X: y"},
        {NULL,
         "If-None-Match: \"c\"\nX: y\nIf-Modified-Since: @0\nRange: bytes=0-1\nIf-Range: \"c\"",
         "X: y"},
        {"ETag: \"s\"", "X: y\nIf-None-Match: \"c\"", "X: y\nIf-None-Match: \"s\""},
        {"ETag: W/\"s\"", "", "If-None-Match: W/\"s\""},
        {"Last-Modified: @0", "If-Modified-Since: x", "If-Modified-Since: " DATE_NOW},
        {"ETag: \"s\"\nLast-Modified: @0", "",
         "If-None-Match: \"s\"\nIf-Modified-Since: " DATE_NOW},
        {"ETag: s\nLast-Modified: never", "If-None-Match: \"c\"", ""},
        {"ETag: \"s\"\nETag: \"t\"", "", ""},
        {"Date: @0", "Range: bytes=0-1\nX: y", "X: y"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields stored = fields_from_text(&arena, rows[i].stored ? rows[i].stored : "");
        struct http_fields request = fields_from_text(&arena, rows[i].before);
        const char *after;

        caching_condition(rows[i].stored ? &stored : NULL, &arena, &request);
        after = text_from_fields(&arena, &request);
        cr_expect_str_eq(after, rows[i].after, "row %zu: %s", i, after);
    }
}

Test(caching_validation, whose_304_it_is)
{
    static const struct {
        const char *stored, *not_modified;
        bool is_only, selects;
    } rows[] = {
        {"ETag: \"a\"", "ETag: \"a\"", false, true},
        {"ETag: \"a\"", "ETag: \"b\"", true, false},
        {"ETag: W/\"a\"", "ETag: \"a\"", true, false},
        {"ETag: \"a\"", "ETag: W/\"a\"", false, true},
        {"ETag: W/\"a\"", "ETag: W/\"a\"", false, true},
        {"Last-Modified: @0", "ETag: \"a\"", true, false},
        {"Last-Modified: @0", "Last-Modified: @0", false, true},
        {"Last-Modified: @0", "Last-Modified: @1", true, false},
        {"ETag: \"a\"\nLast-Modified: @0", "ETag: \"a\"\nLast-Modified: @1", false, true},
        {"ETag: \"a\"", "X: y", true, true},
        {"ETag: \"a\"", "X: y", false, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields stored = fields_from_text(&arena, rows[i].stored);
        struct http_fields fields = fields_from_text(&arena, rows[i].not_modified);

        cr_expect_eq(caching_selects(&stored, &fields, rows[i].is_only), rows[i].selects, "row %zu",
                     i);
    }
}

Test(caching_validation, refreshed_fields)
{
    static const struct {
        const char *stored, *not_modified, *fields;
        bool is_kept;
        int fresh_s, age_s;
    } rows[] = {
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"\nX: old\nY: stays",
         "304\nDate: @0\nX: new\nZ: more\nETag: \"a\"",
         "Cache-Control: max-age=60\nETag: \"a\"\nY: stays\nDate: " DATE_NOW "\nX: new\nZ: more",
         true, 60, 0},
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"",
         "304\nDate: @0\nCache-Control: max-age=120",
         "ETag: \"a\"\nDate: " DATE_NOW "\nCache-Control: max-age=120", true, 120, 0},
        /* without Date it was made now */
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"", "304",
         "Cache-Control: max-age=60\nETag: \"a\"\nDate: " DATE_NOW, true, 60, 0},
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"", "304\nAge: 20\nDate: @0",
         "Cache-Control: max-age=60\nETag: \"a\"\nDate: " DATE_NOW, true, 60, 20},
        /* all of that name */
        {"Date: @-90\nCache-Control: max-age=60\nX: 1\nX: 2\nETag: \"a\"",
         "304\nDate: @0\nx: 3\nX: 4",
         "Cache-Control: max-age=60\nETag: \"a\"\nDate: " DATE_NOW "\nx: 3\nX: 4", true, 60, 0},
        /* what says something of the body, or of the connection, does not change */
        {"Date: @-90\nCache-Control: max-age=60\nContent-Encoding: gzip\nContent-Type: a/b\nETag: "
         "\"a\"",
         "304\nDate: @0\nContent-Length: 0\nContent-Encoding: br\nContent-Type: c/d\n"
         "Content-Range: bytes 0-1/2\nContent-MD5: x\nETag: W/\"a\"\nConnection: Y\nY: z\n"
         "Proxy-Authenticate: q\nSet-Cookie: a=b",
         "Cache-Control: max-age=60\nContent-Encoding: gzip\nETag: \"a\"\nDate: " DATE_NOW
         "\nContent-Type: c/d",
         true, 60, 0},
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"\nX: y",
         "304\nDate: @0\nCache-Control: max-age=60, private=\"x\"",
         "ETag: \"a\"\nDate: " DATE_NOW "\nCache-Control: max-age=60, private=\"x\"", true, 60, 0},
        /* no longer */
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"",
         "304\nDate: @0\nCache-Control: no-store",
         "ETag: \"a\"\nDate: " DATE_NOW "\nCache-Control: no-store", false, 0, 0},
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"",
         "304\nDate: @0\nCache-Control: private",
         "ETag: \"a\"\nDate: " DATE_NOW "\nCache-Control: private", false, 0, 0},
        {"Date: @-90\nCache-Control: max-age=60\nETag: \"a\"", "304\nDate: @0\nVary: *",
         "Cache-Control: max-age=60\nETag: \"a\"\nDate: " DATE_NOW "\nVary: *", false, 0, 0},
    };
    struct http_head head = request_from_text(&arena, "GET https://a/");
    struct caching_request request;

    caching_read_request(&head, &arena, &request);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields stored = fields_from_text(&arena, rows[i].stored), fields;
        struct http_head response = response_from_text(&arena, rows[i].not_modified);
        struct caching_life life;
        bool is_kept = caching_refresh(&request, false, 200, &stored, &response, &rules, now,
                                       &arena, &fields, &life);
        const char *text = text_from_fields(&arena, &fields);

        cr_expect_eq(is_kept, rows[i].is_kept, "row %zu", i);
        cr_expect_str_eq(text, rows[i].fields, "row %zu: %s", i, text);
        cr_expect_eq(life.fresh_s, rows[i].fresh_s, "row %zu: %d", i, life.fresh_s);
        cr_expect_eq(caching_age(&life, NOW), rows[i].age_s, "row %zu", i);
    }
}

Test(caching_validation, who_may_refresh)
{
    static const struct {
        const char *request;
        bool is_authorized, is_kept;
    } rows[] = {
        {"GET https://a/", false, true},
        {"HEAD https://a/", false, true},
        {"GET https://a/", true, false},
        {"GET https://a/\nAuthorization: x", false, false},
        {"GET https://a/\nCache-Control: no-store", false, false},
    };
    struct http_fields stored =
        fields_from_text(&arena, "Date: @-90\nCache-Control: max-age=60\nETag: \"a\"");
    struct http_head response = response_from_text(&arena, "304\nDate: @0");
    struct http_fields fields;
    struct caching_life life;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_head head = request_from_text(&arena, rows[i].request);
        struct caching_request request;

        caching_read_request(&head, &arena, &request);
        cr_expect_eq(caching_refresh(&request, rows[i].is_authorized, 200, &stored, &response,
                                     &rules, now, &arena, &fields, &life),
                     rows[i].is_kept, "row %zu", i);
        cr_expect_eq(life.must_validate, !rows[i].is_kept, "row %zu", i);
    }
}

Test(caching_validation, heads)
{
    static const struct {
        const char *stored, *head;
        bool agrees;
    } rows[] = {
        {"ETag: \"a\"", "200", true},
        {"ETag: \"a\"", "200\nContent-Length: 5", true},
        {"ETag: \"a\"", "200\nContent-Length: 6", false},
        {"ETag: \"a\"", "200\nETag: \"a\"", true},
        {"ETag: \"a\"", "200\nETag: \"b\"", false},
        {"ETag: \"a\"", "200\nETag: W/\"a\"", false},
        {"X: y", "200\nETag: \"a\"", false},
        {"Last-Modified: @0", "200\nLast-Modified: @0", true},
        {"Last-Modified: @0", "200\nLast-Modified: @1", false},
        {"ETag: \"a\"\nLast-Modified: @0", "200\nETag: \"a\"\nLast-Modified: @1", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields stored = fields_from_text(&arena, rows[i].stored);
        struct http_head head = response_from_text(&arena, rows[i].head);

        cr_expect_eq(caching_agrees_with_head(&stored, 5, &head), rows[i].agrees, "row %zu", i);
    }
}
