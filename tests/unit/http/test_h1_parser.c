/* The HTTP/1 parser. What it makes of bytes is written down as text, and must be the same text
 * whether the bytes come whole, one by one, or cut in two anywhere. */
#include "http/h1_parser.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct h1_limits usual = {
    .head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024};

/* --- what became of the bytes, as text ------------------------------------------------------ */

struct run {
    struct h1_parser parser;
    struct arena arena;
    struct buffer in;
    struct buffer text; /* the outcome so far */
    bool in_body;
    bool ended; /* bad, or nothing can follow */
};

static void say_slice(struct run *run, const char *before, struct slice s)
{
    buffer_append_text(&run->text, before);
    buffer_append(&run->text, s);
}

static void say_fields(struct run *run, const struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        say_slice(run, " [", fields->list[i].name);
        say_slice(run, "=", fields->list[i].value);
        buffer_append_text(&run->text, "]");
    }
}

static void say_head(struct run *run, const struct http_head *head)
{
    static const char *const framings[] = {"none", "length", "chunked", "close"};

    if (run->parser.kind == H1_REQUEST) {
        say_slice(run, "", head->method_text);
        say_slice(run, " path=", head->path);
        say_slice(run, " query=", head->query);
        say_slice(run, " host=", head->host);
        buffer_printf(&run->text, ":%u", head->host_port);
        say_slice(run, " authority=", head->authority);
        if (head->expects_continue)
            buffer_append_text(&run->text, " expects");
    } else {
        buffer_printf(&run->text, "%d", head->status);
        say_slice(run, " phrase=", head->reason_phrase);
    }
    buffer_printf(&run->text, " 1.%d %s", head->version_minor, framings[head->framing]);
    if (head->has_content_length)
        buffer_printf(&run->text, " length=%llu", (unsigned long long)head->content_length);
    if (head->keeps_connection)
        buffer_append_text(&run->text, " keeps");
    if (head->upgrade.len > 0)
        say_slice(run, " upgrade=", head->upgrade);
    say_fields(run, &head->fields);
    buffer_append_text(&run->text, "\n");
}

static bool take_bad(struct run *run)
{
    buffer_printf(&run->text, "BAD %s: %s\n", http_reason_word(h1_parser_reason(&run->parser)),
                  h1_parser_detail(&run->parser));
    run->ended = true;
    return false;
}

/* One step; false when more bytes are needed or nothing can follow. */
static bool take_head(struct run *run)
{
    struct http_head head;

    switch (h1_parse_head(&run->parser, &run->in, &run->arena, &head)) {
    case H1_MORE: return false;
    case H1_BAD: return take_bad(run);
    case H1_DONE: break;
    }
    say_head(run, &head);
    run->in_body = run->parser.kind == H1_REQUEST || head.status >= 200;
    return true;
}

static bool take_body(struct run *run)
{
    struct slice piece;
    struct http_fields trailers;
    size_t most;

    switch (h1_parse_body(&run->parser, &run->in, &run->arena, &piece, &trailers)) {
    case H1_MORE: return false;
    case H1_BAD: return take_bad(run);
    case H1_DONE: break;
    }
    if (piece.len == 0) {
        buffer_append_text(&run->text, ".");
        say_fields(run, &trailers);
        buffer_append_text(&run->text, "\n");
        run->in_body = false;
        return true;
    }
    most = piece.len > 3 ? 3 : piece.len; /* pieces need not be consumed whole */
    buffer_append(&run->text, slice_make(piece.at, most));
    h1_body_consumed(&run->parser, &run->in, most);
    return true;
}

static void feed(struct run *run, struct slice bytes)
{
    if (run->ended)
        return;
    buffer_append(&run->in, bytes);
    /* Where nothing is to be read the parser is not asked, as the connection does not. */
    while (!run->ended &&
           (run->in_body ? take_body(run) : buffer_length(&run->in) > 0 && take_head(run)))
        ;
}

static void start(struct run *run, enum h1_kind kind, enum http_method asked_with,
                  const struct h1_limits *limits)
{
    *run = (struct run){0};
    h1_parser_init(&run->parser, kind, limits);
    h1_parser_expect_response(&run->parser, asked_with);
}

/* The outcome as a terminated text, which the caller frees. */
static char *finish(struct run *run)
{
    char *text;

    if (!run->ended) {
        bool is_whole = h1_parse_eof(&run->parser) == H1_DONE;

        buffer_append_text(&run->text, is_whole ? "EOF\n" : "CUT\n");
    }
    text = slice_duplicate(buffer_content(&run->text));
    buffer_clear(&run->text);
    buffer_clear(&run->in);
    arena_clear(&run->arena);
    return text;
}

static char *outcome(enum h1_kind kind, enum http_method asked_with, const struct h1_limits *limits,
                     struct slice bytes, size_t first, size_t step)
{
    struct run run;

    start(&run, kind, asked_with, limits);
    feed(&run, slice_make(bytes.at, first));
    for (size_t at = first; at < bytes.len; at += step) {
        size_t length = bytes.len - at < step ? bytes.len - at : step;
        feed(&run, slice_make(bytes.at + at, length));
    }
    return finish(&run);
}

static void expect_same(const char *whole, char *pieces, size_t first, size_t step)
{
    cr_expect_str_eq(pieces, whole, "cut at %zu, then by %zu", first, step);
    free(pieces);
}

/* Runs `bytes` in every way and holds the outcome against `expected`. */
static void check_bytes(enum h1_kind kind, enum http_method asked_with, struct slice bytes,
                        const char *expected)
{
    char *whole = outcome(kind, asked_with, &usual, bytes, bytes.len, 1);

    cr_expect_str_eq(whole, expected, "%.*s", (int)bytes.len, bytes.at);
    expect_same(whole, outcome(kind, asked_with, &usual, bytes, 0, 1), 0, 1);
    for (size_t first = 1; first < bytes.len; first++)
        expect_same(whole, outcome(kind, asked_with, &usual, bytes, first, bytes.len), first,
                    bytes.len);
    free(whole);
}

static void check_request(const char *bytes, const char *expected)
{
    check_bytes(H1_REQUEST, METHOD_GET, slice_of(bytes), expected);
}

static void check_response(enum http_method asked_with, const char *bytes, const char *expected)
{
    check_bytes(H1_RESPONSE, asked_with, slice_of(bytes), expected);
}

static void clear(void)
{
    buffer_cache_clear();
}

TestSuite(request, .fini = clear);
TestSuite(refused, .fini = clear);
TestSuite(limits, .fini = clear);
TestSuite(response, .fini = clear);

/* --- requests ------------------------------------------------------------------------------- */

Test(request, simple)
{
    check_request("GET / HTTP/1.1\r\nHost: Example.com:8443\r\n\r\n",
                  "GET path=/ query= host=example.com:8443 authority=Example.com:8443 1.1 none "
                  "keeps [Host=Example.com:8443]\n.\nEOF\n");
    check_request("GET //a/%41?b=//%41 HTTP/1.1\r\nHOST:a.\r\nAccept:  text/plain \t\r\nX:\r\n"
                  "Y: \t\r\n\r\n",
                  "GET path=/a/A query=?b=//%41 host=a:0 authority=a. 1.1 none keeps [HOST=a.] "
                  "[Accept=text/plain] [X=] [Y=]\n.\nEOF\n");
}

Test(request, any_method_token)
{
    check_request("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "PROPFIND path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("a!#$%&'*+-.^_`|~1 / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "a!#$%&'*+-.^_`|~1 path=/ query= host=a:0 authority=a 1.1 none keeps "
                  "[Host=a]\n.\nEOF\n");
    check_request("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "TRACE path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n",
                  "CONNECT path= query= host=a.b:443 authority=a.b:443 1.1 none "
                  "[Host=a.b:443]\n.\nEOF\n");
    check_request("PRI * HTTP/1.1\r\nHost: a\r\n\r\n",
                  "BAD bad_request: the target * without OPTIONS\n");
}

Test(request, targets)
{
    check_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                  "OPTIONS path=* query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("GET http://A.b:80/x?y HTTP/1.1\r\nHost: a.b\r\n\r\n",
                  "GET path=/x query=?y host=a.b:80 authority=A.b:80 1.1 none keeps "
                  "[Host=a.b]\n.\nEOF\n");
    check_request("GET HTTPS://a.b HTTP/1.1\r\nHost: A.b:443\r\n\r\n",
                  "GET path=/ query= host=a.b:0 authority=a.b 1.1 none keeps "
                  "[Host=A.b:443]\n.\nEOF\n");
    check_request("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET path=/ query=?q host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
                  "OPTIONS path=* query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("GET http://[::1]:81/ HTTP/1.0\r\n\r\n",
                  "GET path=/ query= host=::1:81 authority=[::1]:81 1.0 none\n.\nEOF\n");
}

Test(request, http10)
{
    check_request("GET /a HTTP/1.0\r\n\r\n",
                  "GET path=/a query= host=:0 authority= 1.0 none\n.\nEOF\n");
    check_request("GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a\r\n\r\n",
                  "GET path=/a query= host=a:0 authority=a 1.0 none keeps "
                  "[Connection=Keep-Alive] [Host=a]\n.\nEOF\n");
    check_request("POST /a HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
                  "Connection: upgrade\r\nUpgrade: websocket\r\n\r\nabc",
                  "POST path=/a query= host=:0 authority= 1.0 length length=3 "
                  "[Content-Length=3] [Connection=upgrade] "
                  "[Upgrade=websocket]\nabc.\nEOF\n");
}

Test(request, connection)
{
    check_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n",
                  "GET path=/ query= host=a:0 authority=a 1.1 none [Host=a] "
                  "[Connection=foo, Close]\n.\nEOF\n");
    check_request("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
                  "GET path=/ query= host=:0 authority= 1.0 none "
                  "[Connection=keep-alive, close]\n.\nEOF\n");
}

Test(request, upgrade)
{
    check_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
                  "Upgrade: websocket\r\n\r\n",
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps upgrade=websocket "
                  "[Host=a] [Connection=keep-alive, Upgrade] [Upgrade=websocket]\n.\nEOF\n");
    check_request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a] "
                  "[Upgrade=websocket]\n.\nEOF\n");
    check_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                  "Upgrade: H2C\r\nHTTP2-Settings: AAA\r\n\r\n",
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a] "
                  "[Connection=Upgrade, HTTP2-Settings] [Upgrade=H2C] "
                  "[HTTP2-Settings=AAA]\n.\nEOF\n");
    check_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x/1,h2c\r\n"
                  "Upgrade: y\r\n\r\n",
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps upgrade=x/1, y [Host=a] "
                  "[Connection=upgrade] [Upgrade=x/1,h2c] [Upgrade=y]\n.\nEOF\n");
}

/* llhttp on its own stops at these. */
Test(request, upgrade_with_a_body)
{
    check_request("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
                  "Content-Length: 2\r\n\r\nabGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "POST path=/ query= host=a:0 authority=a 1.1 length length=2 keeps upgrade=x "
                  "[Host=a] [Connection=upgrade] [Upgrade=x] [Content-Length=2]\nab.\n"
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
                  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "POST path=/ query= host=a:0 authority=a 1.1 chunked keeps upgrade=x [Host=a] "
                  "[Connection=upgrade] [Upgrade=x] [Transfer-Encoding=chunked]\nab.\n"
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
                  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "POST path=/ query= host=a:0 authority=a 1.1 chunked [Host=a] "
                  "[Connection=close] [Transfer-Encoding=chunked]\nab.\n"
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
}

Test(request, lengths)
{
    check_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
                  "POST path=/ query= host=a:0 authority=a 1.1 length length=10 keeps [Host=a] "
                  "[Content-Length=10]\n0123456789.\nEOF\n");
    check_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                  "POST path=/ query= host=a:0 authority=a 1.1 none length=0 keeps [Host=a] "
                  "[Content-Length=0]\n.\nEOF\n");
    check_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab",
                  "POST path=/ query= host=a:0 authority=a 1.1 length length=3 keeps [Host=a] "
                  "[Content-Length=3]\nabCUT\n");
    check_request(
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\nab",
        "PUT path=/ query= host=a:0 authority=a expects 1.1 length length=2 keeps "
        "[Host=a] [Content-Length=2] [Expect=100-Continue]\nab.\nEOF\n");
    check_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
                  "POST path=/ query= host=a:0 authority=a 1.1 length length=9223372036854775807 "
                  "keeps [Host=a] [Content-Length=9223372036854775807]\nCUT\n");
}

/* An expectation that nothing follows is not passed on. */
Test(request, expectations_without_a_body)
{
    check_request("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nHost: a\r\nX: y\r\n\r\n",
                  "PUT path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a] [X=y]\n.\nEOF\n");
    check_request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
                  "PUT path=/ query= host=a:0 authority=a 1.1 none length=0 keeps [Host=a] "
                  "[Content-Length=0]\n.\nEOF\n");
    check_request("GET / HTTP/1.0\r\nExpect: more\r\n\r\n",
                  "GET path=/ query= host=:0 authority= 1.0 none\n.\nEOF\n");
}

/* A client may have begun to use the tunnel that it does not get. */
Test(request, connect_is_a_connection_s_last)
{
    check_request("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: keep-alive\r\n\r\n",
                  "CONNECT path= query= host=a:1 authority=a:1 1.1 none [Host=a:1] "
                  "[Connection=keep-alive]\n.\nEOF\n");
}

static void check_chunks(const char *chunks, const char *expected)
{
    char bytes[4096], text[4096];

    snprintf(bytes, sizeof(bytes),
             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", chunks);
    snprintf(text, sizeof(text),
             "POST path=/ query= host=a:0 authority=a 1.1 chunked keeps [Host=a] "
             "[Transfer-Encoding=chunked]\n%s",
             expected);
    check_request(bytes, text);
}

Test(request, chunks)
{
    check_chunks("0\r\n\r\n", ".\nEOF\n");
    check_chunks("1\r\na\r\n0\r\n\r\n", "a.\nEOF\n");
    check_chunks("1\r\na\r\nA\r\n0123456789\r\n000\r\n\r\n", "a0123456789.\nEOF\n");
    check_chunks("0003\r\n\r\n\r\r\n0\r\n\r\n", "\r\n\r.\nEOF\n");
    check_chunks("2;a;b=c\r\nab\r\n1;d=\"e;f g\"\r\nc\r\n0;last\r\n\r\n", "abc.\nEOF\n");
    check_chunks("1; a\r\na\r\n1;\r\nb\r\n1;a=b;c=\"d\\\"\xff\t\"\r\nc\r\n0;\r\n\r\n",
                 "abc.\nEOF\n");
    check_chunks("2\r\nab\r\n", "abCUT\n");
    check_chunks("2\r\nab\r\n0\r\n", "abCUT\n");
    check_chunks("5\r\nab", "abCUT\n");
}

Test(request, trailers)
{
    check_chunks("1\r\na\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "a. [X-Sum=1] [Y=]\nEOF\n");
    check_chunks("0\r\nX: y\r\nHost: b\r\nConnection: close\r\n"
                 "Transfer-Encoding: gzip\r\nX-Forwarded-For: z\r\nAuthorization: z\r\n"
                 "Content-Type: z\r\nSet-Cookie: z\r\nTrailer: z\r\n\r\n",
                 ". [X=y]\nEOF\n");
    check_chunks("0\r\nContent-Length: 5\r\n\r\n", ".\nEOF\n");
    check_chunks("0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                 ". [X=y]\nGET path=/ query= host=a:0 authority=a 1.1 none keeps "
                 "[Host=a]\n.\nEOF\n");
}

Test(request, pipelined)
{
    check_request("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n"
                  "Content-Length: 2\r\n\r\nab\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET path=/1 query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\n"
                  "POST path=/2 query= host=a:0 authority=a 1.1 length length=2 keeps [Host=a] "
                  "[Content-Length=2]\nab.\n"
                  "GET path=/3 query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
}

Test(request, empty_lines_in_front)
{
    check_request("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a]\n.\nEOF\n");
    check_request("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "BAD bad_request: a request line without a method\n");
    check_request("\r\n\r\n", "EOF\n");
}

Test(request, obs_text_passes_as_bytes)
{
    check_request("GET / HTTP/1.1\r\nHost: a\r\nX: \xff\x80\xc3\r\n\r\n",
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a] "
                  "[X=\xff\x80\xc3]\n.\nEOF\n");
}

Test(request, cut_in_the_head)
{
    check_request("GET / HT", "CUT\n");
    check_request("G", "CUT\n");
    check_request("GET / HTTP/1.1\r\nHost: a\r\n", "CUT\n");
}

/* --- what is refused ------------------------------------------------------------------------ */

static void check_refused(const char *bytes)
{
    char *whole = outcome(H1_REQUEST, METHOD_GET, &usual, slice_of(bytes), strlen(bytes), 1);

    cr_expect(strncmp(whole, "BAD bad_request: ", 17) == 0 && whole[17] != '\n', "%s -> %s", bytes,
              whole);
    check_request(bytes, whole);
    free(whole);
}

Test(refused, start_lines)
{
    static const char *const lines[] = {
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /",
        "GET",
        "GET ",
        "GET / ",
        "/ HTTP/1.1",
        "GET HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.10",
        "GET / HTTP/01.1",
        "GET / http/1.1",
        "GET / HTTPS/1.1",
        "GET / FTP/1.1",
        "GET / HTTP /1.1",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        "G\x01T / HTTP/1.1",
        "G\xc3T / HTTP/1.1",
        "GET: / HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET a HTTP/1.1",
        "GET a/b HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET /../a HTTP/1.1",
        "GET /%00 HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET ?a HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http://b/ HTTP/1.1",
        "GET http://a:81/ HTTP/1.1",
        "GET https://a:80/ HTTP/1.1",
        "GET http://a/../ HTTP/1.1",
        "GET http://a#x HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "CONNECT http://a/ HTTP/1.1",
        "CONNECT a:b HTTP/1.1",
        "CONNECT u@a:80 HTTP/1.1",
        "GET //a@b HTTP/1.1x",
        "GET /\xa0 HTTP/1.1\xa0",
        "GET /\xc3\xbc HTTP/1.1",
        "GET /?\xff HTTP/1.1",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char bytes[256];

        snprintf(bytes, sizeof(bytes), "%s\r\nHost: a\r\n\r\n", lines[i]);
        check_refused(bytes);
    }
}

Test(refused, fields)
{
    static const char *const fields[] = {
        "X : y\r\n",
        "X\t: y\r\n",
        " X: y\r\n",
        "\tX: y\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X:\r\n y\r\n",
        "X\r\n",
        ": y\r\n",
        ":\r\n",
        "X y: z\r\n",
        "X(: y\r\n",
        "X\xc3: y\r\n",
        "X\x01: y\r\n",
        "X\": y\r\n",
        "X/y: z\r\n",
        "X: a\x01\r\n",
        "X: a\x7f\r\n",
        "X: a\x0b\r\n",
        "X: \x1b\r\n",
        "X: a\rb\r\n",
        "X: a\r\r\n",
        "\rX: a\r\n",
        "X\r: a\r\n",
        "X: a\n",
        "X: a\nY: b\r\n",
        "\nX: a\r\n",
        "X: \ny\r\n",
        "X_y: z\r\n",
        "_: z\r\n",
        "X: y\n\n",
        "X: a\r\n\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: 1,\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: \r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1.0\r\n",
        "Content-Length: \"1\"\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 01\r\n",
        "Content-Length: 00\r\n",
        "Expect: more\r\n",
        "Expect:\r\n",
        "Expect: 100-continue, 100-continue\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
        "Expect: x 100-continue\r\n",
        "Connection: upgrade\r\nUpgrade: a b\r\n",
        "Connection: upgrade\r\nUpgrade: a/\r\n",
        "Connection: upgrade\r\nUpgrade: a/1/2\r\n",
        "Connection: upgrade\r\nUpgrade: websocket;x\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\x0b\r\n",
        "Transfer-Encoding: chunk ed\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Host: a\r\n",
        "Host: b\r\n",
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char bytes[256];

        snprintf(bytes, sizeof(bytes), "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields[i]);
        check_refused(bytes);
    }
}

Test(refused, hosts)
{
    static const char *const hosts[] = {
        "",
        "Host:\r\n",
        "Host: \t\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: a:x\r\n",
        "Host: [::1\r\n",
        "Host: .\r\n",
        "Host: a:70000\r\n",
        "Host: http://a\r\n",
        "Host: \xc3\xbc\r\n",
        "Host : a\r\n",
    };

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char bytes[256];

        snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\n%s\r\n", hosts[i]);
        check_refused(bytes);
    }
    check_refused("GET http://a/ HTTP/1.1\r\n\r\n");
    check_refused("GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n");
    check_refused("GET http:///x HTTP/1.0\r\n\r\n");
    check_refused("GET http://a/\x01 HTTP/1.0\r\n\r\n");
    check_refused("CONNECT a\x7f HTTP/1.0\r\n\r\n");
    check_refused("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
    check_refused("GET / HTTP/1.0\r\nHost:\r\n\r\n");
}

Test(refused, http10_has_no_transfer_codings)
{
    check_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

Test(refused, nul)
{
    static const char *const cases[] = {
        "GET /@ HTTP/1.1\r\nHost: a\r\n\r\n",         "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX@: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: @b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char bytes[64], *whole;
        size_t length = strlen(cases[i]);

        memcpy(bytes, cases[i], length);
        *(char *)memchr(bytes, '@', length) = '\0';
        whole = outcome(H1_REQUEST, METHOD_GET, &usual, slice_make(bytes, length), length, 1);
        cr_expect(strncmp(whole, "BAD bad_request: ", 17) == 0, "%s: %s", cases[i], whole);
        check_bytes(H1_REQUEST, METHOD_GET, slice_make(bytes, length), whole);
        free(whole);
    }
}

Test(refused, other_protocols_at_their_first_bytes)
{
    struct run run;

    start(&run, H1_REQUEST, METHOD_GET, &usual);
    feed(&run, slice_make("\x16\x03\x01\x02", 4));
    cr_expect(run.ended);
    free(finish(&run));
    start(&run, H1_REQUEST, METHOD_GET, &usual);
    feed(&run, slice_of("{\"jsonrpc\":"));
    cr_expect(run.ended);
    free(finish(&run));
}

Test(response, other_protocols_at_their_first_bytes)
{
    static const char *const cases[] = {"<html>", "HTTP/2", "http", "220 "};
    struct run run;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(&run, H1_RESPONSE, METHOD_GET, &usual);
        feed(&run, slice_of(cases[i]));
        cr_expect(run.ended, "%s", cases[i]);
        free(finish(&run));
    }
    start(&run, H1_RESPONSE, METHOD_GET, &usual);
    feed(&run, slice_of("HTTP/1"));
    cr_expect_not(run.ended);
    free(finish(&run));
}

Test(refused, chunks)
{
    static const char *const chunks[] = {
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\na\r\n",
        "1 \r\na\r\n",
        "1\t\r\na\r\n",
        "1\na\r\n",
        "1\r\na\n",
        "1\ra\r\n",
        "1\r\nab\r\n",
        "1\r\na\r0\r\n",
        "1\r\na0\r\n",
        "1 ;a\r\na\r\n",
        "1;a=b\n",
        "1;a=\"\n\"\r\n",
        "1;\x01\r\n",
        "1;a\r\ra\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\rX\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX: y\r\n z\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\r\nX: \x01\r\n\r\n",
        "0\r\nX_y: z\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "1\r\na\rX0\r\n\r\n",
        "10000000000000000\r\n",
        "8000000000000000\r\n",
        "ffffffffffffffff\r\n",
        "00000000000000001\r\na",
        "fffffffffffffffff\r\n",
        "1,1\r\na\r\n",
        "1\r\n\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        char bytes[256], *whole;

        snprintf(bytes, sizeof(bytes),
                 "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", chunks[i]);
        whole = outcome(H1_REQUEST, METHOD_GET, &usual, slice_of(bytes), strlen(bytes), 1);
        cr_expect_not_null(strstr(whole, "\nBAD bad_request: ") ? whole
                                                                : strstr(whole, "BAD bad_request"),
                           "%s -> %s", chunks[i], whole);
        check_request(bytes, whole);
        free(whole);
    }
}

/* --- limits --------------------------------------------------------------------------------- */

static void check_limited(const struct h1_limits *limits, enum h1_kind kind, struct slice bytes,
                          const char *expected)
{
    char *whole = outcome(kind, METHOD_GET, limits, bytes, bytes.len, 1);
    char *pieces = outcome(kind, METHOD_GET, limits, bytes, 0, 1);

    cr_expect(strncmp(whole, expected, strlen(expected)) == 0, "%s, not %s", whole, expected);
    cr_expect_str_eq(pieces, whole);
    free(whole);
    free(pieces);
}

Test(limits, request_line)
{
    static const struct h1_limits limits = {.head_bytes = 200, .fields = 3, .request_line = 20};

    check_limited(&limits, H1_REQUEST, slice_of("GET /23456 HTTP/1.1x\r\n"), "BAD bad_request");
    check_limited(&limits, H1_REQUEST, slice_of("GET /234567 HTTP/1.1\r\nHost: a\r\n\r\n"),
                  "GET path=/234567");
    check_limited(&limits, H1_REQUEST, slice_of("GET /2345678 HTTP/1.1\r\nHost: a\r\n\r\n"),
                  "BAD uri_too_long");
    /* Also without its end. */
    check_limited(&limits, H1_REQUEST, slice_of("GET /2345678901234567890"), "BAD uri_too_long");
    check_limited(&limits, H1_REQUEST, slice_of("GET /2345678901234\r"), "CUT");
    check_limited(&limits, H1_RESPONSE, slice_of("HTTP/1.1 200 12345678901234567890\r\n"),
                  "BAD backend_bad_response");
}

Test(limits, head_bytes)
{
    static const struct h1_limits limits = {.head_bytes = 64, .fields = 3, .request_line = 20};

    /* 16 + 9 + 37 + 2 */
    check_limited(
        &limits, H1_REQUEST,
        slice_of("GET / HTTP/1.1\r\nHost: a\r\nX: 34567890123456789012345678901234\r\n\r\n"),
        "GET path=/");
    check_limited(
        &limits, H1_REQUEST,
        slice_of("GET / HTTP/1.1\r\nHost: a\r\nX: 345678901234567890123456789012345\r\n\r\n"),
        "BAD header_too_large");
    check_limited(
        &limits, H1_REQUEST,
        slice_of(
            "GET / HTTP/1.1\r\nHost: a\r\nX: 345678901234567890123456789012345678901234567890"),
        "BAD header_too_large");
    check_limited(
        &limits, H1_RESPONSE,
        slice_of("HTTP/1.1 200 OK\r\nX: 3456789012345678901234567890123456789012345678901234\r\n"),
        "BAD backend_bad_response");
}

Test(limits, fields)
{
    static const struct h1_limits limits = {.head_bytes = 200, .fields = 3, .request_line = 20};

    check_limited(&limits, H1_REQUEST, slice_of("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\n\r\n"),
                  "GET path=/");
    check_limited(&limits, H1_REQUEST, slice_of("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\n"),
                  "BAD header_too_large");
    check_limited(&limits, H1_RESPONSE, slice_of("HTTP/1.1 200\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n"),
                  "BAD backend_bad_response");
}

Test(limits, trailers)
{
    static const struct h1_limits limits = {.head_bytes = 100, .fields = 3, .request_line = 20};
    static const char head[] =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    char bytes[512], *whole;

    snprintf(bytes, sizeof(bytes), "%sA:\r\nB:\r\nC:\r\nD:\r\n\r\n", head);
    whole = outcome(H1_REQUEST, METHOD_GET, &limits, slice_of(bytes), strlen(bytes), 1);
    cr_expect_not_null(strstr(whole, "\nBAD header_too_large"), "%s", whole);
    free(whole);
    snprintf(bytes, sizeof(bytes), "%sA:%0100d", head, 0);
    whole = outcome(H1_REQUEST, METHOD_GET, &limits, slice_of(bytes), 0, 1);
    cr_expect_not_null(strstr(whole, "\nBAD header_too_large"), "%s", whole);
    free(whole);
}

Test(limits, underscores_where_allowed)
{
    struct h1_limits limits = usual;

    limits.underscores = true;
    check_limited(&limits, H1_REQUEST, slice_of("GET / HTTP/1.1\r\nHost: a\r\nA_b: c\r\n\r\n"),
                  "GET path=/ query= host=a:0 authority=a 1.1 none keeps [Host=a] [A_b=c]");
    /* Trailers that read like what the gateway sets are none of the client's. */
    check_limited(&limits, H1_REQUEST,
                  slice_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "0\r\nX_Forwarded_For: b\r\nA_b: c\r\n\r\n"),
                  "POST path=/ query= host=a:0 authority=a 1.1 chunked keeps [Host=a] "
                  "[Transfer-Encoding=chunked]\n. [A_b=c]\n");
}

static char *feed_chunks(unsigned count, size_t extension, size_t body)
{
    struct buffer bytes = {0};
    char *whole;

    buffer_append_text(&bytes, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < count; i++) {
        buffer_printf(&bytes, "%zx;%0*d\r\n", body, (int)extension - 1, 0);
        buffer_printf(&bytes, "%0*d\r\n", (int)body, 0);
    }
    buffer_append_text(&bytes, "0\r\n\r\n");
    whole =
        outcome(H1_REQUEST, METHOD_GET, &usual, buffer_content(&bytes), buffer_length(&bytes), 1);
    buffer_clear(&bytes);
    return whole;
}

/* As many bytes of extensions as of body, and 16 KiB. */
Test(limits, chunk_extensions_of_a_body)
{
    char *whole = feed_chunks(32, 512, 1);

    cr_expect_null(strstr(whole, "BAD"));
    free(whole);
    whole = feed_chunks(34, 512, 1);
    cr_expect_not_null(strstr(whole, "BAD bad_request"));
    free(whole);
    whole = feed_chunks(200, 512, 512);
    cr_expect_null(strstr(whole, "BAD"));
    free(whole);
}

/* Zeros and extensions could go on for ever without a byte of body. */
Test(limits, chunk_framing)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    char bytes[4096], *whole;

    snprintf(bytes, sizeof(bytes), "%s1;a=%0900d\r\nx\r\n1;a=%0900d\r\ny\r\n0\r\n\r\n", head, 0, 0);
    whole = outcome(H1_REQUEST, METHOD_GET, &usual, slice_of(bytes), strlen(bytes), 1);
    cr_expect_not_null(strstr(whole, "\nxy.\nEOF\n"), "%s", whole);
    free(whole);
    snprintf(bytes, sizeof(bytes), "%s1;a=%01100d\r\nx\r\n", head, 0);
    whole = outcome(H1_REQUEST, METHOD_GET, &usual, slice_of(bytes), strlen(bytes), 1);
    cr_expect_not_null(strstr(whole, "\nBAD bad_request"), "%s", whole);
    free(whole);
    snprintf(bytes, sizeof(bytes), "%s%01100d", head, 0);
    whole = outcome(H1_REQUEST, METHOD_GET, &usual, slice_of(bytes), 0, 1);
    cr_expect_not_null(strstr(whole, "\nBAD bad_request"), "%s", whole);
    free(whole);
}

Test(limits, names_in_connection)
{
    char bytes[4096];

    snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: a\r\nConnection: %01000d\r\n\r\n", 0);
    check_limited(&usual, H1_REQUEST, slice_of(bytes), "GET path=/");
    snprintf(bytes, sizeof(bytes),
             "GET / HTTP/1.1\r\nHost: a\r\nConnection: %0600d\r\nConnection: %0600d\r\n\r\n", 0, 0);
    check_limited(&usual, H1_REQUEST, slice_of(bytes), "BAD header_too_large");
}

/* --- responses ------------------------------------------------------------------------------ */

Test(response, framings)
{
    check_response(METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: x\r\n\r\nabc",
                   "200 phrase=OK 1.1 length length=3 keeps [Content-Length=3] "
                   "[Server=x]\nabc.\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                   "200 phrase=OK 1.1 none length=0 keeps [Content-Length=0]\n.\nEOF\n");
    check_response(METHOD_GET,
                   "HTTP/1.1 404 Not Here\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n"
                   "X: y\r\n\r\n",
                   "404 phrase=Not Here 1.1 chunked keeps [Transfer-Encoding=Chunked]\n"
                   "ab. [X=y]\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.1 200 OK\r\n\r\nabc\r\n",
                   "200 phrase=OK 1.1 close\nabc\r\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nabc",
                   "200 phrase=OK 1.0 close [Connection=keep-alive]\nabcEOF\n");
    check_response(METHOD_GET,
                   "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na",
                   "200 phrase=OK 1.0 length length=1 keeps [Content-Length=1] "
                   "[Connection=keep-alive]\na.\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
                   "200 phrase=OK 1.1 length length=5 keeps [Content-Length=5]\nabcCUT\n");
}

Test(response, without_body)
{
    check_response(METHOD_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
                   "200 phrase=OK 1.1 none length=3 keeps [Content-Length=3]\n.\nEOF\n");
    check_response(METHOD_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                   "200 phrase=OK 1.1 none keeps [Transfer-Encoding=chunked]\n.\nEOF\n");
    check_response(METHOD_HEAD, "HTTP/1.1 200 OK\r\n\r\n",
                   "200 phrase=OK 1.1 none keeps\n.\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
                   "304 phrase=Not Modified 1.1 none length=3 keeps [Content-Length=3]\n.\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
                   "204 phrase=No Content 1.1 none [Content-Length=3]\n.\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
                   "204 phrase=No Content 1.1 none keeps [Content-Length=0]\n.\nEOF\n");
    check_response(METHOD_GET, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
                   "204 phrase=No Content 1.1 none [Transfer-Encoding=chunked]\n.\nEOF\n");
}

Test(response, status_lines)
{
    check_response(METHOD_HEAD, "HTTP/1.1 200\r\n\r\n", "200 phrase= 1.1 none keeps\n.\nEOF\n");
    check_response(METHOD_HEAD, "HTTP/1.1 200 \r\n\r\n", "200 phrase= 1.1 none keeps\n.\nEOF\n");
    check_response(METHOD_HEAD, "HTTP/1.1 599 \xc3\xbc  x\r\n\r\n",
                   "599 phrase=\xc3\xbc  x 1.1 none keeps\n.\nEOF\n");
}

Test(response, interim_heads_come_one_by_one)
{
    check_response(METHOD_GET,
                   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n"
                   "Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                   "100 phrase=Continue 1.1 none keeps\n"
                   "103 phrase=Early Hints 1.1 none keeps [Link=x] [Content-Length=0]\n"
                   "200 phrase=OK 1.1 length length=1 keeps [Content-Length=1]\na.\nEOF\n");
}

Test(response, close_and_upgrade)
{
    check_response(METHOD_HEAD, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
                   "200 phrase=OK 1.1 none [Connection=close]\n.\nEOF\n");
    check_response(METHOD_GET,
                   "HTTP/1.1 426 No\r\nConnection: upgrade\r\nUpgrade: TLS/1.0\r\n"
                   "Content-Length: 0\r\n\r\n",
                   "426 phrase=No 1.1 none length=0 keeps upgrade=TLS/1.0 [Connection=upgrade] "
                   "[Upgrade=TLS/1.0] [Content-Length=0]\n.\nEOF\n");
}

Test(response, after_101_all_is_body)
{
    struct run run;
    char *text;

    start(&run, H1_RESPONSE, METHOD_GET, &usual);
    feed(&run, slice_of("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\n\r\n"));
    h1_parser_become_tunnel(&run.parser);
    run.in_body = true;
    feed(&run, slice_of("HTTP/1.1 200 raw\r\n\r\n"));
    feed(&run, slice_make("\0\r\n", 3));
    cr_assert_eq(buffer_length(&run.in), 0);
    text = finish(&run);
    cr_expect_str_eq(text, "101 phrase=Switching Protocols 1.1 none keeps upgrade=websocket "
                           "[Connection=Upgrade] [Upgrade=websocket]\nHTTP/1.1 200 raw\r\n\r\n");
    free(text);
}

Test(response, refused)
{
    static const char *const cases[] = {
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1 600 X\r\n\r\n",
        "HTTP/1.1 20 X\r\n\r\n",
        "HTTP/1.1 2000 X\r\n\r\n",
        "HTTP/1.1  200 X\r\n\r\n",
        "HTTP/1.1 +20 X\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 \r\n\r\n",
        "HTTP/1.2 200 X\r\n\r\n",
        "HTTP/2.0 200 X\r\n\r\n",
        "http/1.1 200 X\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 \x01\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "garbage\r\n",
        "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\n\r\n",
        "HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 103 X\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 101 X\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *whole =
            outcome(H1_RESPONSE, METHOD_GET, &usual, slice_of(cases[i]), strlen(cases[i]), 1);

        cr_expect(strncmp(whole, "BAD backend_bad_response: ", 26) == 0, "%s -> %s", cases[i],
                  whole);
        check_response(METHOD_GET, cases[i], whole);
        free(whole);
    }
    check_response(METHOD_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
                   "200 phrase=OK 1.1 chunked keeps [Transfer-Encoding=chunked]\n"
                   "abBAD backend_bad_response: a chunk that is longer than its size\n");
}

/* --- what the connection relies on ---------------------------------------------------------- */

Test(request, has_begun_tells_an_idle_end_from_a_cut)
{
    struct run run;

    start(&run, H1_REQUEST, METHOD_GET, &usual);
    cr_expect_not(h1_parser_has_begun(&run.parser));
    feed(&run, slice_of("\r\n"));
    cr_expect_not(h1_parser_has_begun(&run.parser));
    feed(&run, slice_of("G"));
    cr_expect(h1_parser_has_begun(&run.parser));
    feed(&run, slice_of("ET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    cr_expect_not(h1_parser_has_begun(&run.parser));
    free(finish(&run));
}

Test(request, a_refusal_stays)
{
    struct h1_parser parser;
    struct buffer in = {0};
    struct arena arena = {0};
    struct http_head head;

    h1_parser_init(&parser, H1_REQUEST, &usual);
    buffer_append_text(&in, "@\r\n\r\n");
    cr_expect_eq(h1_parse_head(&parser, &in, &arena, &head), H1_BAD);
    buffer_clear(&in);
    buffer_append_text(&in, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_expect_eq(h1_parse_head(&parser, &in, &arena, &head), H1_BAD);
    cr_expect_eq(h1_parser_reason(&parser), REASON_BAD_REQUEST);
    buffer_clear(&in);
    arena_clear(&arena);
}

/* Nothing of a head is left in the buffer's memory: it may move or go. */
Test(request, a_head_lives_in_the_arena)
{
    struct h1_parser parser;
    struct buffer in = {0};
    struct arena arena = {0};
    struct http_head head;

    h1_parser_init(&parser, H1_REQUEST, &usual);
    buffer_append_text(&in, "GET /a?b HTTP/1.1\r\nHost: c\r\nX: y\r\n\r\nnext");
    cr_assert_eq(h1_parse_head(&parser, &in, &arena, &head), H1_DONE);
    cr_expect(slice_equal(buffer_content(&in), slice_of("next")));
    memset(in.base, '#', in.capacity);
    cr_expect(slice_equal(head.method_text, slice_of("GET")));
    cr_expect(slice_equal(head.target, slice_of("/a?b")));
    cr_expect(slice_equal(head.path, slice_of("/a")));
    cr_expect(slice_equal(head.query, slice_of("?b")));
    cr_expect(slice_equal(head.host, slice_of("c")));
    cr_expect(slice_equal(head.fields.list[1].value, slice_of("y")));
    buffer_clear(&in);
    arena_clear(&arena);
}
