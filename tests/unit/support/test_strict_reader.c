/* The second reader of HTTP/1.1 that other tests rely on: what it reads, and what it refuses. */
#include "support/strict_reader.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct strict_message message;

static void clear(void)
{
    strict_message_clear(&message);
}

TestSuite(strict_request, .fini = clear);
TestSuite(strict_response, .fini = clear);

#define HEAD "GET /x?y HTTP/1.1\r\nHost: a.test\r\n"

static enum strict_verdict request(const char *bytes)
{
    strict_message_clear(&message);
    return strict_read_request(strict_text_of(bytes), &message);
}

static enum strict_verdict response(const char *method, const char *bytes, bool has_ended)
{
    strict_message_clear(&message);
    return strict_read_response(strict_text_of(bytes), method, has_ended, &message);
}

static void expect_text(struct strict_text text, const char *expected)
{
    cr_expect(strict_text_equal(text, strict_text_of(expected)), "%.*s is not %s", (int)text.len,
              text.at, expected);
}

static void expect_body(const char *expected)
{
    expect_text(strict_text_make(message.body, message.body_len), expected);
}

Test(strict_request, without_a_body)
{
    const char *bytes = HEAD "X: a b\r\nx: \r\nY: \xff\t,\r\n\r\nGET";
    struct strict_text value;

    cr_assert_eq(request(bytes), STRICT_WHOLE, "%s", message.why);
    cr_expect_eq(message.used, strlen(bytes) - 3);
    expect_text(message.method, "GET");
    expect_text(message.target, "/x?y");
    cr_expect_eq(message.version_minor, 1);
    cr_expect_eq(message.framing, STRICT_NO_BODY);
    cr_expect_eq(message.fields.count, 4);
    cr_expect_eq(strict_fields_find(&message.fields, "x", &value), 2);
    expect_text(value, "a b");
    cr_expect_eq(strict_fields_find(&message.fields, "z", &value), 0);
    cr_expect_null(message.why);
    expect_body("");
}

Test(strict_request, bodies)
{
    struct strict_text value;

    cr_assert_eq(request(HEAD "Content-Length: 3\r\n\r\nabcd"), STRICT_WHOLE);
    cr_expect_eq(message.framing, STRICT_LENGTH);
    expect_body("abc");
    cr_assert_eq(request(HEAD "Content-Length: 0\r\n\r\n"), STRICT_WHOLE);
    expect_body("");
    cr_assert_eq(request(HEAD "transfer-encoding: chunked\r\n\r\n"
                              "3\r\nabc\r\nA\r\n\r\n34567890\r\n0\r\nSum: 1\r\n\r\n"),
                 STRICT_WHOLE, "%s", message.why);
    cr_expect_eq(message.framing, STRICT_CHUNKED);
    expect_body("abc\r\n34567890");
    cr_expect_eq(strict_fields_find(&message.trailers, "sum", &value), 1);
    expect_text(value, "1");
}

Test(strict_request, other_targets_and_hosts)
{
    static const char *const cases[] = {
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "M-~ /%2f%C3%BC HTTP/1.0\r\nhost: a.b-c_d.\r\n\r\n",
        "GET / HTTP/1.1\r\nHOST: 127.0.0.1:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::ffff:1.2.3.4]:65535\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::]\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(request(cases[i]), STRICT_WHOLE, "%s: %s", cases[i], message.why);
}

Test(strict_request, cut_anywhere)
{
    static const char *const cases[] = {
        HEAD "Content-Length: 3\r\n\r\nabc",
        HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nSum: 1\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = strlen(cases[i]);

        for (size_t cut = 0; cut < length; cut++) {
            strict_message_clear(&message);
            cr_assert_eq(strict_read_request(strict_text_make(cases[i], cut), &message), STRICT_CUT,
                         "%zu of %s", cut, cases[i]);
            cr_expect_not_null(message.why);
        }
        cr_assert_eq(request(cases[i]), STRICT_WHOLE);
        cr_expect_eq(message.used, length);
    }
}

Test(strict_request, lines_that_are_refused)
{
    static const char *const cases[] = {
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(request(cases[i]), STRICT_WRONG, "%s", cases[i]);
}

Test(strict_request, nul_is_refused)
{
    static const char bytes[] = HEAD "X: a\0b\r\n\r\n";

    cr_expect_eq(strict_read_request(strict_text_make(bytes, sizeof(bytes) - 1), &message),
                 STRICT_WRONG);
}

Test(strict_request, fields_that_are_refused)
{
    static const char *const cases[] = {
        "X : y\r\n",   " X: y\r\n",      "X: y\r\n z\r\n", "X:y\r\n",     "X:  y\r\n",
        "X: y \r\n",   "X: y\t\r\n",     "X\r\n",          ": y\r\n",     "X\xc3: y\r\n",
        "X: y\rz\r\n", "X: y\nZ: z\r\n", "X: \x1b\r\n",    "Host: b\r\n", "host: a.test\r\n",
        "X:\r\n",      "X\t: y\r\n",     "X: \x7f\r\n",    "X:\ty\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[256];

        snprintf(bytes, sizeof(bytes), HEAD "%s\r\n", cases[i]);
        cr_expect_eq(request(bytes), STRICT_WRONG, "%s", cases[i]);
    }
}

Test(strict_request, hosts_that_are_refused)
{
    static const char *const cases[] = {
        "",
        "X: y\r\n",
        "Host: \r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: u@a\r\n",
        "Host: [::1\r\n",
        "Host: []\r\n",
        "Host: [::1]x\r\n",
        "Host: a:80x\r\n",
        "Host: a:123456\r\n",
        "Host: a/b\r\n",
        "Host: :80\r\n",
        "Host: \xc3\xbc\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[256];

        snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\n%s\r\n", cases[i]);
        cr_expect_eq(request(bytes), STRICT_WRONG, "%s", cases[i]);
    }
}

Test(strict_request, framings_that_are_refused)
{
    static const char *const cases[] = {
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: Chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: \r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 01\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: a\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 100000000000000000000\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[256];

        snprintf(bytes, sizeof(bytes), HEAD "%s\r\n1\r\na\r\n0\r\n\r\n", cases[i]);
        cr_expect_eq(request(bytes), STRICT_WRONG, "%s", cases[i]);
    }
    cr_expect_eq(request("GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
                 STRICT_WRONG);
    cr_expect_eq(request(HEAD "Content-Length: 18446744073709551615\r\n\r\n"), STRICT_CUT);
}

Test(strict_request, chunks_that_are_refused)
{
    static const char *const cases[] = {
        "1;x\r\na\r\n0\r\n\r\n",
        "01\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "g\r\na\r\n0\r\n\r\n",
        "\r\na\r\n0\r\n\r\n",
        "10000000000000000\r\na\r\n0\r\n\r\n",
        "00\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nContent-Length: 1\r\n\r\n",
        "0\r\nhost: a\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[256];

        snprintf(bytes, sizeof(bytes), HEAD "Transfer-Encoding: chunked\r\n\r\n%s", cases[i]);
        cr_expect_eq(request(bytes), STRICT_WRONG, "%s", cases[i]);
    }
}

Test(strict_request, too_many_fields)
{
    char bytes[8192] = HEAD;
    size_t length = strlen(bytes);

    for (int i = 0; i < STRICT_FIELDS_MAX; i++)
        length += (size_t)snprintf(bytes + length, sizeof(bytes) - length, "X: y\r\n");
    snprintf(bytes + length, sizeof(bytes) - length, "\r\n");
    cr_expect_eq(request(bytes), STRICT_WRONG);
}

Test(strict_response, bodies)
{
    cr_assert_eq(response("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", false),
                 STRICT_WHOLE, "%s", message.why);
    cr_expect_eq(message.status, 200);
    expect_text(message.phrase, "OK");
    expect_body("a");
    cr_expect_eq(message.used, strlen("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"));
    cr_assert_eq(response("GET",
                          "HTTP/1.1 999 \r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                          false),
                 STRICT_WHOLE);
    expect_text(message.phrase, "");
    expect_body("a");
    cr_assert_eq(response("GET", "HTTP/1.1 404 Not  Here\r\n\r\nabc", true), STRICT_WHOLE);
    cr_expect_eq(message.framing, STRICT_CLOSE);
    expect_body("abc");
}

Test(strict_response, cut)
{
    cr_expect_eq(response("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", true),
                 STRICT_CUT);
    expect_body("a");
    cr_expect_eq(response("GET", "HTTP/1.1 200 OK\r\n\r\nabc", false), STRICT_CUT);
    expect_body("abc");
    cr_expect_eq(
        response("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0", true),
        STRICT_CUT);
    expect_body("a");
    cr_expect_eq(response("GET", "HTTP/1.1 100 Continue\r\n\r\n", true), STRICT_CUT);
    cr_expect(!message.has_head);
    cr_expect_eq(response("GET", "HTTP/1.1 200", true), STRICT_CUT);
    cr_expect_eq(response("GET", "", true), STRICT_CUT);
}

Test(strict_response, without_a_body)
{
    const char *head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

    cr_assert_eq(response("HEAD", head, false), STRICT_WHOLE);
    cr_expect_eq(message.length, 5);
    cr_expect_eq(message.used, strlen(head));
    cr_expect_eq(response("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
                 STRICT_WHOLE);
    cr_expect_eq(response("GET", "HTTP/1.1 204 No Content\r\n\r\n", false), STRICT_WHOLE);
    cr_expect_eq(response("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false),
                 STRICT_WHOLE);
    cr_expect_eq(message.framing, STRICT_NO_BODY);
}

Test(strict_response, interims_come_first)
{
    cr_assert_eq(response("GET",
                          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                          "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
                          false),
                 STRICT_WHOLE);
    cr_expect_eq(message.interims, 2);
    cr_expect_eq(message.status, 204);
    cr_expect_eq(message.fields.count, 1);
}

Test(strict_response, tunnel)
{
    const char *bytes = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw";

    cr_assert_eq(response("GET", bytes, true), STRICT_WHOLE);
    cr_expect_eq(message.status, 101);
    expect_body("raw");
}

Test(strict_response, refused)
{
    static const char *const cases[] = {
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
        "<html>hello</html>\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(response("GET", cases[i], true), STRICT_WRONG, "%s", cases[i]);
}
