/* What a client gets of a stored response: whole, not modified, a part. */
#include "http/caching.h"
#include "support/head_text.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

enum { NOW = HEAD_TEXT_NOW, LENGTH = 100 };

#define DATE_NOW "Thu, 01 Jan 2026 00:00:00 GMT"

static struct arena arena;

static void clear(void)
{
    arena_clear(&arena);
}

/* "200", "206 0-9", "304" … */
static const char *answer_of(const char *request_text, int status, const char *stored_text,
                             uint64_t length, struct caching_answer *answer)
{
    static char text[80];
    struct http_head request = request_from_text(&arena, request_text);
    struct http_fields stored = fields_from_text(&arena, stored_text);

    caching_answer(&request, status, &stored, length, NOW, answer);
    if (answer->form == CACHING_PART)
        snprintf(text, sizeof(text), "%d %" PRIu64 "-%" PRIu64, answer->status, answer->first,
                 answer->last);
    else
        snprintf(text, sizeof(text), "%d", answer->status);
    return text;
}

TestSuite(caching_answer, .fini = clear);

Test(caching_answer, conditions)
{
    static const struct {
        const char *stored, *request, *answer;
    } rows[] = {
        {"ETag: \"a\"", "", "200"},
        {"ETag: \"a\"", "If-None-Match: \"a\"", "304"},
        {"ETag: \"a\"", "If-None-Match: \"b\"", "200"},
        {"ETag: \"a\"", "If-None-Match: W/\"a\"", "304"},
        {"ETag: W/\"a\"", "If-None-Match: \"a\"", "304"},
        {"ETag: \"a\"", "If-None-Match: \"b\", \"a\"", "304"},
        {"ETag: \"a\"", "If-None-Match: \"b\" ,,\t\"c\",W/\"a\"", "304"},
        {"ETag: \"a\"", "If-None-Match: \"b\"\nIf-None-Match: \"a\"", "304"},
        {"ETag: \"a,b\"", "If-None-Match: \"x\", \"a,b\"", "304"},
        {"ETag: \"a\"", "If-None-Match: \"x,\", \"a\"", "304"},
        {"ETag: \"a\"", "If-None-Match: *", "304"},
        {"X: y", "If-None-Match: *", "304"},
        {"X: y", "If-None-Match: \"a\"", "200"},
        {"ETag: \"a\"", "If-None-Match: a", "200"},
        {"ETag: \"a\"", "If-None-Match: \"a", "200"},
        {"ETag: \"a\"", "If-None-Match: a\", \"a\"", "200"},
        {"ETag: \"a\"", "If-None-Match:", "200"},
        {"ETag: \"a\"", "If-None-Match: \"A\"", "200"},
        {"ETag: a", "If-None-Match: \"a\"", "200"},
        {"ETag: \"a\"\nETag: \"b\"", "If-None-Match: \"a\"", "200"},
        /* by date, but not where tags are asked for */
        {"Last-Modified: @0", "If-Modified-Since: @0", "304"},
        {"Last-Modified: @0", "If-Modified-Since: @1", "304"},
        {"Last-Modified: @0", "If-Modified-Since: @-1", "200"},
        {"Last-Modified: @0", "If-Modified-Since: now", "200"},
        {"Last-Modified: @0", "If-Modified-Since: @0\nIf-Modified-Since: @0", "200"},
        {"Date: @0", "If-Modified-Since: @0", "304"},
        {"Date: @0", "If-Modified-Since: @-1", "200"},
        {"X: y", "If-Modified-Since: @0", "200"},
        {"ETag: \"a\"\nLast-Modified: @0", "If-None-Match: \"b\"\nIf-Modified-Since: @0", "200"},
        {"ETag: \"a\"\nLast-Modified: @0", "If-None-Match: \"a\"\nIf-Modified-Since: @-1", "304"},
        {"ETag: \"a\"", "If-None-Match: \"a\"\nRange: bytes=0-9", "304"},
        {"ETag: \"a\"", "If-None-Match: \"b\"\nRange: bytes=0-9", "206 0-9"},
    };
    struct caching_answer answer;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int is_head = 0; is_head < 2; is_head++) {
            struct slice request = arena_printf(&arena, "%s https://a/\n%s",
                                                is_head ? "HEAD" : "GET", rows[i].request);
            const char *text =
                answer_of(arena_text(&arena, request), 200, rows[i].stored, LENGTH, &answer);

            if (is_head && strncmp(rows[i].answer, "206", 3) == 0)
                cr_expect_str_eq(text, "200", "row %zu: %s", i, text);
            else
                cr_expect_str_eq(text, rows[i].answer, "row %zu: %s", i, text);
        }
    }
}

Test(caching_answer, ranges)
{
    static const struct {
        const char *fields, *answer;
    } rows[] = {
        {"Range: bytes=0-0", "206 0-0"},
        {"Range: bytes=0-9", "206 0-9"},
        {"Range: BYTES=0-9", "206 0-9"},
        {"Range: bytes= 0-9 ", "206 0-9"},
        {"Range: bytes=0-9,", "206 0-9"},
        {"Range: bytes=99-99", "206 99-99"},
        {"Range: bytes=90-", "206 90-99"},
        {"Range: bytes=90-1000", "206 90-99"},
        {"Range: bytes=0-99999999999999999999999999", "206 0-99"},
        {"Range: bytes=-1", "206 99-99"},
        {"Range: bytes=-100", "206 0-99"},
        {"Range: bytes=-99999999999999999999999999", "206 0-99"},
        {"Range: bytes=100-", "416"},
        {"Range: bytes=100-200", "416"},
        {"Range: bytes=99999999999999999999999999-", "416"},
        {"Range: bytes=-0", "416"},
        /* several, and what is none */
        {"Range: bytes=0-1,5-6", "200"},
        {"Range: bytes=0-1\nRange: bytes=5-6", "200"},
        {"Range: bytes=9-0", "200"},
        {"Range: bytes=", "200"},
        {"Range: bytes=-", "200"},
        {"Range: bytes=1", "200"},
        {"Range: bytes=a-b", "200"},
        {"Range: bytes=1-2-3", "200"},
        {"Range: bytes=1 - 2", "200"},
        {"Range: bytes=+1-2", "200"},
        {"Range: bytes 0-1", "200"},
        {"Range: lines=0-1", "200"},
        {"Range: 0-1", "200"},
        /* under If-Range: what is kept has ETag "a", is from now, and was modified a minute ago */
        {"Range: bytes=0-9\nIf-Range: \"a\"", "206 0-9"},
        {"Range: bytes=0-9\nIf-Range: \"b\"", "200"},
        {"Range: bytes=0-9\nIf-Range: W/\"a\"", "200"},
        {"Range: bytes=0-9\nIf-Range: @-60", "206 0-9"},
        {"Range: bytes=0-9\nIf-Range: @0", "200"},
        {"Range: bytes=0-9\nIf-Range: x", "200"},
        {"Range: bytes=0-9\nIf-Range: \"a\"\nIf-Range: \"a\"", "200"},
        {"Range: bytes=100-\nIf-Range: \"b\"", "200"},
        {"If-Range: \"a\"", "200"},
    };
    struct caching_answer answer;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice request = arena_printf(&arena, "GET https://a/\n%s", rows[i].fields);
        const char *text = answer_of(arena_text(&arena, request), 200,
                                     "ETag: \"a\"\nDate: @0\nLast-Modified: @-60", LENGTH, &answer);

        cr_expect_str_eq(text, rows[i].answer, "%s: %s", rows[i].fields, text);
    }
}

Test(caching_answer, weak_validators_keep_no_ranges)
{
    struct caching_answer answer;

    cr_expect_str_eq(answer_of("GET https://a/\nRange: bytes=0-9\nIf-Range: W/\"a\"", 200,
                               "ETag: W/\"a\"", LENGTH, &answer),
                     "200");
    cr_expect_str_eq(answer_of("GET https://a/\nRange: bytes=0-9\nIf-Range: \"a\"", 200,
                               "ETag: W/\"a\"", LENGTH, &answer),
                     "200");
    cr_expect_str_eq(answer_of("GET https://a/\nRange: bytes=0-9\nIf-Range: @0", 200,
                               "Date: @0\nLast-Modified: @0", LENGTH, &answer),
                     "200");
}

Test(caching_answer, lengths)
{
    struct caching_answer answer;

    answer_of("GET https://a/", 200, "", LENGTH, &answer);
    cr_expect(answer.body_bytes == LENGTH && answer.content_length == LENGTH &&
              answer.announces_length && answer.first == 0 && answer.last == LENGTH - 1);
    answer_of("HEAD https://a/", 200, "", LENGTH, &answer);
    cr_expect(answer.body_bytes == 0 && answer.content_length == LENGTH);
    answer_of("GET https://a/\nRange: bytes=-5", 200, "", LENGTH, &answer);
    cr_expect(answer.body_bytes == 5 && answer.content_length == 5);
    answer_of("GET https://a/\nRange: bytes=-5", 404, "", LENGTH, &answer);
    cr_expect(answer.status == 404 && answer.body_bytes == LENGTH);
    answer_of("GET https://a/\nIf-None-Match: *", 404, "ETag: \"a\"", LENGTH, &answer);
    cr_expect_eq(answer.status, 404);
    answer_of("GET https://a/\nIf-None-Match: *", 200, "", LENGTH, &answer);
    cr_expect(answer.body_bytes == 0 && !answer.announces_length);
    answer_of("GET https://a/\nRange: bytes=500-", 200, "", LENGTH, &answer);
    cr_expect(answer.body_bytes == 0 && answer.content_length == 0 && answer.announces_length);
    answer_of("GET https://a/", 204, "", 0, &answer);
    cr_expect(answer.body_bytes == 0 && !answer.announces_length);
    cr_expect_str_eq(answer_of("GET https://a/\nRange: bytes=0-", 200, "", 0, &answer), "416");
    cr_expect_str_eq(answer_of("GET https://a/\nRange: bytes=-5", 200, "", 0, &answer), "200");
    cr_expect_eq(answer.body_bytes, 0u);
    cr_expect_str_eq(answer_of("GET https://a/\nRange: bytes=-5", 200, "", UINT64_MAX, &answer),
                     "206 18446744073709551610-18446744073709551614");
}

Test(caching_answer, fields)
{
    static const char stored[] = "Date: x\nETag: \"a\"\nLast-Modified: y\nContent-Type: a/b\n"
                                 "Content-Encoding: gzip\nContent-Language: en\nVary: z\n"
                                 "Cache-Control: max-age=60\nExpires: e\nContent-Location: /c\n"
                                 "Access-Control-Allow-Origin: *";
    static const struct {
        const char *request, *fields;
    } rows[] = {
        {"GET https://a/", "Date: x\nETag: \"a\"\nLast-Modified: y\nContent-Type: a/b\n"
                           "Content-Encoding: gzip\nContent-Language: en\nVary: z\n"
                           "Cache-Control: max-age=60\nExpires: e\nContent-Location: /c\n"
                           "Access-Control-Allow-Origin: *\nAge: 7"},
        {"GET https://a/\nIf-None-Match: \"a\"",
         "Date: x\nETag: \"a\"\nVary: z\nCache-Control: max-age=60\nExpires: e\n"
         "Content-Location: /c\nAccess-Control-Allow-Origin: *\nAge: 7"},
        {"GET https://a/\nRange: bytes=5-9",
         "Date: x\nETag: \"a\"\nLast-Modified: y\nContent-Type: a/b\nContent-Encoding: gzip\n"
         "Content-Language: en\nVary: z\nCache-Control: max-age=60\nExpires: e\n"
         "Content-Location: /c\nAccess-Control-Allow-Origin: *\nContent-Range: bytes 5-9/100\n"
         "Age: 7"},
        {"GET https://a/\nRange: bytes=500-", "Content-Range: bytes */100"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_fields kept = fields_from_text(&arena, stored), fields;
        struct caching_answer answer;
        const char *text;

        answer_of(rows[i].request, 200, stored, LENGTH, &answer);
        caching_answer_fields(&answer, &kept, LENGTH, 7, &arena, &fields);
        text = text_from_fields(&arena, &fields);
        cr_expect_str_eq(text, rows[i].fields, "%s: %s", rows[i].request, text);
    }
}

Test(caching_answer, a_304_without_etag_says_when_it_was_modified)
{
    struct http_fields kept = fields_from_text(&arena, "Last-Modified: @0\nDate: @0"), fields;
    struct caching_answer answer;

    answer_of("GET https://a/\nIf-Modified-Since: @0", 200, "Last-Modified: @0", LENGTH, &answer);
    caching_answer_fields(&answer, &kept, LENGTH, 0, &arena, &fields);
    cr_expect_str_eq(text_from_fields(&arena, &fields),
                     "Last-Modified: " DATE_NOW "\nDate: " DATE_NOW "\nAge: 0");
}

Test(caching_answer, age_is_said_once_or_not_at_all)
{
    struct http_fields kept = fields_from_text(&arena, "Date: x\nage: 5\nAge: 6"), fields;
    struct caching_answer answer;

    answer_of("GET https://a/", 200, "", LENGTH, &answer);
    caching_answer_fields(&answer, &kept, LENGTH, 7, &arena, &fields);
    cr_expect_str_eq(text_from_fields(&arena, &fields), "Date: x\nAge: 7");
    caching_answer_fields(&answer, &kept, LENGTH, -1, &arena, &fields);
    cr_expect_str_eq(text_from_fields(&arena, &fields), "Date: x");
}
