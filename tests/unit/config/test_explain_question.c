/* A request in words, on a command line and as a query. */
#include "config/explain_question.h"

#include <criterion/criterion.h>

static struct arena arena;
static struct followed_request request;
static struct error error;

static void end(void)
{
    arena_clear(&arena);
    buffer_cache_clear();
}

TestSuite(explain_question, .fini = end);

static void expect_text(struct slice is, const char *wanted)
{
    cr_expect(slice_equal(is, slice_of(wanted)), "\"%.*s\", not \"%s\"", (int)is.len, is.at,
              wanted);
}

static const struct followed_request *read(struct explain_question question)
{
    cr_assert(explain_question_read(&question, &arena, &request, &error), "%s", error.message);
    return &request;
}

static void expect_refusal(struct explain_question question, const char *words)
{
    error = (struct error){""};
    cr_expect_not(explain_question_read(&question, &arena, &request, &error), "%s", words);
    cr_expect_not_null(strstr(error.message, words), "%s: %s", words, error.message);
}

Test(explain_question, a_url_alone)
{
    const struct followed_request *r =
        read((struct explain_question){.url = "https://A.test:8443/x?y#z"});

    expect_text(r->method, "GET");
    expect_text(r->authority, "A.test:8443");
    expect_text(r->target, "/x?y");
    expect_text(r->sni, "a.test");
    cr_expect(r->is_tls);
    cr_expect_eq(r->port, 8443);
    cr_expect_eq(request.peer.length, 0);
    expect_text(read((struct explain_question){.url = "HTTPS://a.test"})->target, "/");
    expect_text(read((struct explain_question){.url = "https://a.test?q"})->target, "/?q");
    expect_text(read((struct explain_question){.url = "https://10.0.0.1/"})->sni, "");
    expect_text(read((struct explain_question){.url = "https://[::1]/"})->sni, "");
}

Test(explain_question, the_server_as_a_whole)
{
    expect_text(
        read((struct explain_question){.url = "https://a.test", .method = "OPTIONS"})->target, "*");
    expect_text(
        read((struct explain_question){.url = "https://a.test/", .method = "OPTIONS"})->target,
        "/");
    expect_text(
        read((struct explain_question){.url = "https://a.test?q", .method = "OPTIONS"})->target,
        "/?q");
}

Test(explain_question, headers)
{
    const struct followed_request *r =
        read((struct explain_question){.url = "https://a.test/",
                                       .headers = {"host: b.test", "Content-Length:12", "x:"},
                                       .header_count = 3});

    expect_text(r->authority, "b.test");
    expect_text(r->sni, "a.test");
    cr_expect_eq(r->body_bytes, 12);
    cr_expect_eq(request.fields.count, 3);
}

Test(explain_question, the_client)
{
    expect_text(read((struct explain_question){.url = "https://a.test/", .sni = "B.test."})->sni,
                "B.test.");
    expect_text(read((struct explain_question){.url = "https://a.test/", .has_no_sni = true})->sni,
                "");
    read((struct explain_question){.url = "http://a.test/", .ip = "::1"});
    cr_expect_eq(request.peer.as.any.sa_family, AF_INET6);
}

Test(explain_question, what_makes_no_sense)
{
    static const struct explain_question good = {.url = "https://a.test/"};
    struct explain_question q;

    expect_refusal((struct explain_question){.url = "a.test"}, "http:// or https://");
    expect_refusal((struct explain_question){.url = "https://a b/"}, "is no host");
    expect_refusal((struct explain_question){.url = "https://u@a/"}, "is no host");
    expect_refusal((struct explain_question){.url = NULL}, "http:// or https://");
    q = good, q.method = "G ET";
    expect_refusal(q, "is no method");
    q = good, q.ip = "10.0.0.256";
    expect_refusal(q, "is no IP address");
    q = good, q.sni = "x", q.has_no_sni = true;
    expect_refusal(q, "cannot both");
    q = good, q.url = "http://a.test/", q.sni = "x";
    expect_refusal(q, "no SNI without TLS");
    q = good, q.header_count = 1, q.headers[0] = "no colon";
    expect_refusal(q, "'Name: value'");
    q.headers[0] = "a b: c";
    expect_refusal(q, "'Name: value'");
    q.headers[0] = "a: b\nc: d";
    expect_refusal(q, "'Name: value'");
    q.headers[0] = "Content-Length: -1";
    expect_refusal(q, "is a number");
    q.headers[0] = "Host:";
    expect_refusal(q, "Host is empty");
    q.headers[0] = q.headers[1] = "Host: a", q.header_count = 2;
    expect_refusal(q, "Host is there twice");
}

Test(explain_question, there_and_back)
{
    const struct explain_question there = {.url = "https://a.test/x?a=b&c=%20+d",
                                           .method = "PUT",
                                           .sni = "b.test",
                                           .ip = "::1",
                                           .headers = {"Host: \xc3\xa4 + & #", "x: y"},
                                           .header_count = 2};
    struct explain_question back;
    struct buffer query = {0};

    explain_question_print(&there, &query);
    for (size_t i = 0; i < buffer_length(&query); i++)
        cr_expect(buffer_content(&query).at[i] > ' ' && buffer_content(&query).at[i] < 0x7f);
    cr_assert(explain_question_parse(buffer_content(&query), &arena, &back, &error), "%s",
              error.message);
    buffer_clear(&query);
    cr_expect_str_eq(back.url, there.url);
    cr_expect_str_eq(back.method, there.method);
    cr_expect_str_eq(back.sni, there.sni);
    cr_expect_str_eq(back.ip, there.ip);
    cr_expect_eq(back.header_count, 2);
    cr_expect_str_eq(back.headers[0], there.headers[0]);
    cr_expect_str_eq(back.headers[1], there.headers[1]);
    cr_expect_not(back.has_no_sni);
    explain_question_print(&(struct explain_question){.url = "u", .has_no_sni = true}, &query);
    cr_expect(explain_question_parse(buffer_content(&query), &arena, &back, &error));
    cr_expect(back.has_no_sni);
    buffer_clear(&query);
}

static void expect_bad_query(const char *query, const char *words)
{
    struct explain_question question;

    error = (struct error){""};
    cr_expect_not(explain_question_parse(slice_of(query), &arena, &question, &error), "%s", query);
    cr_expect_not_null(strstr(error.message, words), "%s: %s", query, error.message);
}

Test(explain_question, queries_that_make_no_sense)
{
    char many[EXPLAIN_HEADERS_MAX * 12 + 64] = "?url=x";

    expect_bad_query("", "url is missing");
    expect_bad_query("?", "url is missing");
    expect_bad_query("?method=GET", "url is missing");
    expect_bad_query("?url=a&url=b", "url is there twice");
    expect_bad_query("?url=a&what=b", "what");
    expect_bad_query("?url=%4", "bad escape");
    expect_bad_query("?url=%", "bad escape");
    expect_bad_query("?url=%xx", "bad escape");
    expect_bad_query("?url=%00", "bad escape");
    expect_bad_query("?url=a&no_sni=yes", "no_sni");
    for (int i = 0; i <= EXPLAIN_HEADERS_MAX; i++)
        strcat(many, "&header=a:b");
    expect_bad_query(many, "32 times header");
}
