/* What field sections of HTTP/2 mean: as text, beside what HTTP/1 makes of the same request, and
 * as a second reader sees what goes to the backend. */
#include "http/h2_semantics.h"

#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "support/strict_reader.h"

#include <criterion/criterion.h>

#define GET_ON(authority) ":method: GET\n:scheme: https\n:authority: " authority "\n:path: /\n"
#define GET               GET_ON("a.example")
#define POST              ":method: POST\n:scheme: https\n:authority: a.example\n:path: /\n"
#define TUNNEL \
    ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a.example\n:path: /c?d\n"

static struct arena arena;
static struct http_head head;
static struct buffer text;
static const char *detail;

static void clear(void)
{
    arena_clear(&arena);
    buffer_clear(&text);
    buffer_cache_clear();
}

static void add(const char *name, const char *value)
{
    http_fields_add(&head.fields, &arena, slice_of(name), slice_of(value));
}

/* "name: value" lines. */
static void add_lines(struct http_fields *fields, const char *lines)
{
    struct slice rest = slice_of(lines);

    while (rest.len > 0) {
        size_t end = (size_t)slice_find(rest, '\n');
        size_t colon = 1 + (size_t)slice_find(slice_skip(rest, 1), ':');
        struct slice value = slice_make(rest.at + colon + 2, end - colon - 2);

        http_fields_add(fields, &arena, slice_make(rest.at, colon), value);
        rest = slice_skip(rest, end + 1);
    }
}

static enum h2_verdict understand(bool ends)
{
    return h2_understand_request(&head, &arena, ends, false, &detail);
}

static enum h2_verdict understand_lines(const char *lines, bool ends)
{
    head = (struct http_head){0};
    add_lines(&head.fields, lines);
    return understand(ends);
}

static void say(const char *before, struct slice s)
{
    buffer_append_text(&text, before);
    buffer_append(&text, s);
}

/* All that is not the same for every request of HTTP/2. */
static void say_head(void)
{
    static const char *const framings[] = {"none", "length", "chunked", "close"};

    say("", head.method_text);
    say(" target=", head.target);
    say(" path=", head.path);
    say(" query=", head.query);
    say(" host=", head.host);
    buffer_printf(&text, ":%u", head.host_port);
    say(" authority=", head.authority);
    buffer_printf(&text, " %s", framings[head.framing]);
    if (head.has_content_length)
        buffer_printf(&text, " length=%llu", (unsigned long long)head.content_length);
    if (head.expects_continue)
        buffer_append_text(&text, " expects");
    if (head.needs_upgrade)
        say(" upgrade=", head.upgrade);
    for (uint32_t i = 0; i < head.fields.count; i++) {
        say(" [", head.fields.list[i].name);
        say("=", head.fields.list[i].value);
        buffer_append_text(&text, "]");
    }
}

static void expect_meaning_of(const char *lines, bool ends, const char *meaning)
{
    enum h2_verdict verdict = understand_lines(lines, ends);

    cr_expect_eq(verdict, H2_UNDERSTOOD, "%s: %s", lines, detail ? detail : "");
    cr_expect(head.keeps_connection && head.version_minor == 1);
    cr_expect_eq(head.method, http_method_from(head.method_text));
    buffer_clear(&text);
    say_head();
    cr_expect(slice_equal(buffer_content(&text), slice_of(meaning)), "%s\n%.*s\nnot\n%s", lines,
              (int)buffer_length(&text), buffer_content(&text).at, meaning);
}

static void expect_verdict_on(enum h2_verdict expected, const char *lines, bool ends)
{
    cr_expect_eq(understand_lines(lines, ends), expected, "%s: %s", lines, detail ? detail : "");
    cr_expect((detail != NULL) == (expected != H2_UNDERSTOOD), "%s", lines);
}

static void expect_malformed(const char *lines)
{
    expect_verdict_on(H2_MALFORMED, lines, true);
}

static void expect_refused(const char *lines)
{
    expect_verdict_on(H2_REFUSED, lines, true);
}

TestSuite(h2_semantics, .fini = clear);

/* --- what is understood --------------------------------------------------------------------- */

Test(h2_semantics, requests)
{
    expect_meaning_of(GET, true,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example none");
    expect_meaning_of(":path: /%7Ea//b?c=%7E\n:authority: A.Example.:8443\n:scheme: http\n"
                      ":method: HEAD\naccept: */*\nx-empty: \n",
                      true,
                      "HEAD target=/%7Ea//b?c=%7E path=/~a/b query=?c=%7E host=a.example:8443 "
                      "authority=A.Example.:8443 none [accept=*/*] [x-empty=]");
    expect_meaning_of(":method: OPTIONS\n:scheme: https\n:path: *\n:authority: [::1]:443\n", true,
                      "OPTIONS target=* path=* query= host=::1:443 authority=[::1]:443 none");
    expect_meaning_of(":method: BREW\n:scheme: HTTPS\n:path: /\n:authority: a\n", true,
                      "BREW target=/ path=/ query= host=a:0 authority=a none");
}

Test(h2_semantics, framings)
{
    expect_meaning_of(POST, false,
                      "POST target=/ path=/ query= host=a.example:0 authority=a.example chunked");
    expect_meaning_of(POST "content-length: 12\n", false,
                      "POST target=/ path=/ query= host=a.example:0 authority=a.example "
                      "length length=12 [content-length=12]");
    expect_meaning_of(POST "content-length: 0\n", false,
                      "POST target=/ path=/ query= host=a.example:0 authority=a.example "
                      "none length=0 [content-length=0]");
    expect_meaning_of(GET "content-length: 0\n", true,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example "
                      "none length=0 [content-length=0]");
    expect_meaning_of(GET, false,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example chunked");
}

/* As the same client would have said in HTTP/1; there are backends that answer 411. */
Test(h2_semantics, methods_with_a_body_by_nature_say_that_it_is_empty)
{
    static const struct {
        const char *lines;
        bool says;
    } cases[] = {
        {POST, true},
        {":method: PUT\n:scheme: https\n:authority: a\n:path: /\n", true},
        {":method: PATCH\n:scheme: https\n:authority: a\n:path: /\n", true},
        {":method: DELETE\n:scheme: https\n:authority: a\n:path: /\n", false},
        {":method: BREW\n:scheme: https\n:authority: a\n:path: /\n", false},
        {GET, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(understand_lines(cases[i].lines, true), H2_UNDERSTOOD);
        cr_expect_eq(head.has_content_length, cases[i].says, "%s", cases[i].lines);
        cr_expect(head.content_length == 0 && head.framing == BODY_NONE);
    }
}

Test(h2_semantics, cookies_are_joined_where_the_first_stands)
{
    expect_meaning_of(GET "cookie: a=1\n", true,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example none "
                      "[cookie=a=1]");
    expect_meaning_of(GET "x: 1\ncookie: a=1\ny: 2\ncookie: b=\"2\"\nz: 3\ncookie: c\n", true,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example none "
                      "[x=1] [cookie=a=1; b=\"2\"; c] [y=2] [z=3]");
    expect_meaning_of(GET "cookie: \ncookie: a=1\ncookie: \ncookie: b=2\ncookie: \n", true,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example none "
                      "[cookie=a=1; b=2]");
    expect_meaning_of(GET "cookie: \ncookie: \n", true,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example none "
                      "[cookie=]");
    cr_expect_eq(head.fields.list[0].id, FIELD_COOKIE);
}

Test(h2_semantics, expectations_as_in_http1)
{
    expect_meaning_of(POST "expect: 100-Continue\n", false,
                      "POST target=/ path=/ query= host=a.example:0 authority=a.example chunked "
                      "expects [expect=100-Continue]");
    expect_meaning_of(GET "expect: 100-continue\nx: y\n", true,
                      "GET target=/ path=/ query= host=a.example:0 authority=a.example none [x=y]");
    expect_refused(GET "expect: 200-ok\n");
    expect_refused(GET "expect: 100-continue\nexpect: 100-continue\n");
}

Test(h2_semantics, te_may_say_trailers)
{
    expect_verdict_on(H2_UNDERSTOOD, GET "te: trailers\n", true);
    expect_verdict_on(H2_UNDERSTOOD, GET "te: Trailers\nte: trailers\n", true);
    expect_malformed(GET "te: gzip\n");
    expect_malformed(GET "te: trailers, gzip\n");
    expect_malformed(GET "te: \n");
}

/* --- hosts (RFC 9113 section 8.3.1) ---------------------------------------------------------- */

Test(h2_semantics, host_is_as_good_as_authority)
{
    expect_meaning_of(":method: GET\n:scheme: https\n:path: /\nhost: B.example:81\n", true,
                      "GET target=/ path=/ query= host=b.example:81 authority=B.example:81 none "
                      "[host=B.example:81]");
    expect_refused(":method: GET\n:scheme: https\n:path: /\n");
    expect_refused(":method: GET\n:scheme: https\n:path: /\nhost: \n");
}

Test(h2_semantics, host_must_not_differ_from_authority)
{
    expect_verdict_on(H2_UNDERSTOOD, GET "host: a.example\n", true);
    expect_verdict_on(H2_UNDERSTOOD, GET "host: A.EXAMPLE.:443\n", true);
    expect_verdict_on(H2_UNDERSTOOD,
                      ":method: GET\n:scheme: http\n:path: /\n:authority: a:80\nhost: a\n", true);
    expect_malformed(":method: GET\n:scheme: http\n:path: /\n:authority: a:443\nhost: a\n");
    expect_malformed(GET "host: b.example\n");
    expect_malformed(GET "host: a.example:444\n");
    expect_malformed(GET "host: \n");
    expect_malformed(GET "host: a.example, a.example\n");
    expect_malformed(GET "host: a.example\nhost: a.example\n");
}

Test(h2_semantics, hosts_that_are_none)
{
    expect_malformed(GET_ON("user@a.example"));
    expect_malformed(GET_ON("user:secret@a.example"));
    expect_malformed(":method: GET\n:scheme: https\n:path: /\nhost: user@a.example\n");
    expect_malformed(GET_ON(""));
    expect_refused(GET_ON("a b"));
    expect_refused(GET_ON("a/b"));
    expect_refused(GET_ON("a.example:0"));
    expect_refused(GET_ON("a.example:99999"));
    expect_refused(GET_ON("[::1"));
    expect_refused(GET_ON("a\xc3\xa4.example"));
}

/* --- pseudo-header fields (RFC 9113 section 8.3) --------------------------------------------- */

Test(h2_semantics, pseudo_header_fields_that_are_missing)
{
    expect_malformed("");
    expect_malformed(":scheme: https\n:authority: a\n:path: /\n");
    expect_malformed(":method: GET\n:authority: a\n:path: /\n");
    expect_malformed(":method: GET\n:scheme: https\n:authority: a\n");
    expect_malformed("host: a\n");
}

Test(h2_semantics, pseudo_header_fields_that_are_too_many)
{
    expect_malformed(GET ":method: GET\n");
    expect_malformed(GET ":scheme: https\n");
    expect_malformed(GET ":authority: a.example\n");
    expect_malformed(GET ":path: /\n");
    expect_malformed(TUNNEL ":protocol: websocket\n");
    expect_malformed(GET ":status: 200\n");
    expect_malformed(GET ":other: x\n");
    expect_malformed(GET ":: x\n");
    expect_malformed(":method: GET\n:scheme: https\n:authority: a\nx: y\n:path: /\n");
    expect_malformed(GET "x: y\n:path: /\n");
    expect_malformed(":Method: GET\n:scheme: https\n:authority: a\n:path: /\n");
}

Test(h2_semantics, pseudo_header_fields_that_say_nothing_good)
{
    static const char *const methods[] = {"", "GE T", "G(T", "G\x01T", " GET", "GET "};
    static const char *const schemes[] = {"", "\x7f", " https"};
    static const char *const paths[] = {"", " /", "/a\r\nb", "a", "?a", "*", "http://a.example/"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        head = (struct http_head){0};
        add(":method", methods[i]);
        add_lines(&head.fields, ":scheme: https\n:authority: a\n:path: /\n");
        cr_expect_eq(understand(true), H2_MALFORMED, "%s", methods[i]);
    }
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        head = (struct http_head){0};
        add(":scheme", schemes[i]);
        add_lines(&head.fields, ":method: GET\n:authority: a\n:path: /\n");
        cr_expect_eq(understand(true), H2_MALFORMED, "%s", schemes[i]);
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        head = (struct http_head){0};
        add(":path", paths[i]);
        add_lines(&head.fields, ":method: GET\n:authority: a\n:scheme: https\n");
        cr_expect_eq(understand(true), H2_MALFORMED, "%s", paths[i]);
    }
}

Test(h2_semantics, methods_are_no_longer_than_in_http1)
{
#define THIRTY_TWO "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    expect_verdict_on(H2_UNDERSTOOD,
                      ":method: " THIRTY_TWO "\n:scheme: https\n:authority: a\n:path: /\n", true);
    expect_malformed(":method: A" THIRTY_TWO "\n:scheme: https\n:authority: a\n:path: /\n");
}

Test(h2_semantics, targets_that_are_refused)
{
    static const char *const paths[] = {"/..",    "/a/%2e%2e/b", "/a%2f..",  "/a b",
                                        "/a#b",   "/\\a",        "/%0a",     "/%g0",
                                        "/a?b c", "/a?b#c",      "/\xc3\xa4"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        head = (struct http_head){0};
        add(":path", paths[i]);
        add_lines(&head.fields, ":method: GET\n:authority: a\n:scheme: https\n");
        cr_expect_eq(understand(true), H2_REFUSED, "%s", paths[i]);
    }
    expect_refused(":method: GET\n:scheme: ftp\n:authority: a\n:path: /\n");
    expect_refused(":method: GET\n:scheme: https:\n:authority: a\n:path: /\n");
}

/* --- fields (RFC 9113 sections 8.2.1 and 8.2.2) ---------------------------------------------- */

Test(h2_semantics, names_that_are_none)
{
    static const char *const names[] = {"",     "X",     "x-A",  "a b",    " a",  "a ",
                                        "a\tb", "a\x7f", "a\n",  "a\r\nb", "a:b", "a\x80",
                                        "a(b)", "a/b",   "a\"b", "a,b"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        head = (struct http_head){0};
        add_lines(&head.fields, GET);
        add(names[i], "b");
        cr_expect_eq(understand(true), H2_MALFORMED, "%s", names[i]);
    }
    head = (struct http_head){0};
    add_lines(&head.fields, GET);
    http_fields_add(&head.fields, &arena, slice_make("a\0b", 3), slice_of("c"));
    cr_expect_eq(understand(true), H2_MALFORMED);
}

Test(h2_semantics, every_byte_in_a_value)
{
    for (int byte = 0; byte < 256; byte++) {
        char inside[3] = {'a', (char)byte, 'b'}, behind[2] = {'a', (char)byte},
             before[2] = {(char)byte, 'b'};
        bool is_blank = byte == ' ' || byte == '\t';
        bool is_control = (byte < ' ' && byte != '\t') || byte == 0x7f;

        head = (struct http_head){0};
        add_lines(&head.fields, GET);
        http_fields_add(&head.fields, &arena, slice_of("x"), slice_make(inside, 3));
        cr_expect_eq(understand(true), is_control ? H2_MALFORMED : H2_UNDERSTOOD, "%d", byte);
        head = (struct http_head){0};
        add_lines(&head.fields, GET);
        http_fields_add(&head.fields, &arena, slice_of("x"), slice_make(before, 2));
        cr_expect_eq(understand(true), is_control || is_blank ? H2_MALFORMED : H2_UNDERSTOOD);
        head = (struct http_head){0};
        add_lines(&head.fields, GET);
        http_fields_add(&head.fields, &arena, slice_of("x"), slice_make(behind, 2));
        cr_expect_eq(understand(true), is_control || is_blank ? H2_MALFORMED : H2_UNDERSTOOD);
    }
}

Test(h2_semantics, fields_of_connections)
{
    expect_malformed(GET "connection: close\n");
    expect_malformed(GET "connection: \n");
    expect_malformed(GET "proxy-connection: keep-alive\n");
    expect_malformed(GET "keep-alive: timeout=5\n");
    expect_malformed(GET "transfer-encoding: chunked\n");
    expect_malformed(GET "upgrade: websocket\n");
    expect_malformed(GET "http2-settings: AAMAAABk\n");
    expect_malformed(TUNNEL "upgrade: websocket\n");
}

Test(h2_semantics, underscores_in_names)
{
    static const char lines[] = GET "content_length: 5\nx_y: z\n";

    expect_refused(lines);
    expect_malformed(GET "x_y: z\nconnection: close\n");
    head = (struct http_head){0};
    add_lines(&head.fields, lines);
    cr_assert_eq(h2_understand_request(&head, &arena, true, true, &detail), H2_UNDERSTOOD);
    cr_expect_eq(head.fields.list[0].id, FIELD_LOOKALIKE);
    cr_expect_eq(head.fields.list[1].id, FIELD_OTHER);
    cr_expect(!head.has_content_length);
}

Test(h2_semantics, lengths)
{
    expect_verdict_on(H2_MALFORMED, POST "content-length: 1\ncontent-length: 1\n", false);
    expect_verdict_on(H2_MALFORMED, POST "content-length: +1\n", false);
    expect_verdict_on(H2_MALFORMED, POST "content-length: -1\n", false);
    expect_verdict_on(H2_MALFORMED, POST "content-length: 1, 1\n", false);
    expect_verdict_on(H2_MALFORMED, POST "content-length: 0x1\n", false);
    expect_verdict_on(H2_MALFORMED, POST "content-length: \n", false);
    expect_verdict_on(H2_MALFORMED, POST "content-length: 9223372036854775808\n", false);
    expect_verdict_on(H2_UNDERSTOOD, POST "content-length: 9223372036854775807\n", false);
    expect_verdict_on(H2_REFUSED, POST "content-length: 01\n", false);
    expect_verdict_on(H2_REFUSED, POST "content-length: 00\n", true);
    expect_verdict_on(H2_MALFORMED, POST "content-length: 1\n", true);
}

/* --- CONNECT (RFC 9113 section 8.5, RFC 8441) ------------------------------------------------- */

Test(h2_semantics, connect)
{
    expect_meaning_of(":method: CONNECT\n:authority: a.example:443\n", false,
                      "CONNECT target=a.example:443 path= query= host=a.example:443 "
                      "authority=a.example:443 chunked");
    expect_malformed(":method: CONNECT\n");
    expect_malformed(":method: CONNECT\nhost: a:443\n");
    expect_malformed(":method: CONNECT\n:authority: a.example\n");
    expect_malformed(":method: CONNECT\n:authority: a:443\n:path: /\n");
    expect_malformed(":method: CONNECT\n:authority: a:443\n:scheme: https\n");
}

Test(h2_semantics, tunnels)
{
    struct slice key;

    cr_assert_eq(understand_lines(TUNNEL "sec-websocket-protocol: chat\n", false), H2_UNDERSTOOD);
    cr_expect_eq(head.method, METHOD_GET);
    cr_expect(head.needs_upgrade && head.framing == BODY_NONE && !head.has_content_length);
    cr_expect(slice_equal(head.method_text, slice_of("GET")));
    cr_expect(slice_equal(head.upgrade, slice_of("websocket")));
    cr_expect(slice_equal(head.path, slice_of("/c")) && slice_equal(head.query, slice_of("?d")));
    cr_expect(slice_equal(head.target, slice_of("/c?d")));
    cr_assert_eq(head.fields.count, 3);
    key = http_fields_find(&head.fields, slice_of("Sec-WebSocket-Key"))->value;
    cr_expect_eq(key.len, 24);
    cr_expect(slice_ends_with(key, slice_of("==")));
    cr_expect(slice_equal(http_fields_find(&head.fields, slice_of("Sec-WebSocket-Version"))->value,
                          slice_of("13")));
}

/* RFC 4648 section 4: what the gateway's other letters are not. */
Test(h2_semantics, keys_of_tunnels_differ_and_are_base64)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct slice last = {0};

    for (int i = 0; i < 200; i++) {
        struct slice key;

        cr_assert_eq(understand_lines(TUNNEL, false), H2_UNDERSTOOD);
        key = http_fields_find(&head.fields, slice_of("sec-websocket-key"))->value;
        cr_assert_eq(key.len, 24);
        for (size_t j = 0; j < 22; j++)
            cr_assert(strchr(letters, key.at[j]) && key.at[j] != '\0', "%.24s", key.at);
        cr_assert(!slice_equal(key, last));
        last = key;
    }
}

Test(h2_semantics, clients_say_the_version_of_a_tunnel_but_not_the_key)
{
    cr_assert_eq(understand_lines(TUNNEL "sec-websocket-key: theirs\nx: y\n"
                                         "sec-websocket-version: 14\nsec-websocket-key: again\n",
                                  false),
                 H2_UNDERSTOOD);
    cr_assert_eq(head.fields.count, 3);
    cr_expect(slice_equal(head.fields.list[0].name, slice_of("x")));
    cr_expect(slice_equal(head.fields.list[1].value, slice_of("14")));
    cr_expect(slice_equal(head.fields.list[2].name, slice_of("sec-websocket-key")));
    cr_expect_eq(head.fields.list[2].value.len, 24);
}

Test(h2_semantics, tunnels_of_other_protocols)
{
    expect_meaning_of(":method: CONNECT\n:protocol: chat\n:scheme: https\n:authority: a\n"
                      ":path: /\nexpect: 100-continue\n",
                      false, "GET target=/ path=/ query= host=a:0 authority=a none upgrade=chat");
    expect_refused(":method: CONNECT\n:protocol: h2c\n:scheme: https\n:authority: a\n:path: /\n");
}

Test(h2_semantics, tunnels_that_are_malformed)
{
    expect_malformed(":method: GET\n:protocol: websocket\n:scheme: https\n:authority: a\n"
                     ":path: /\n");
    expect_malformed(":method: CONNECT\n:protocol: websocket\n:authority: a\n:path: /\n");
    expect_malformed(":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a\n");
    expect_malformed(":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /\n"
                     "host: a\n");
    expect_malformed(":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: a\n"
                     ":path: *\n");
    expect_malformed(":method: CONNECT\n:protocol: a, b\n:scheme: https\n:authority: a\n"
                     ":path: /\n");
    expect_malformed(":method: CONNECT\n:protocol: \n:scheme: https\n:authority: a\n:path: /\n");
    expect_malformed(TUNNEL "content-length: 0\n");
    expect_verdict_on(H2_MALFORMED, TUNNEL "content-length: 5\n", false);
}

/* --- trailers ------------------------------------------------------------------------------- */

static bool understand_trailers(struct http_fields *trailers, const char *lines, bool underscores)
{
    *trailers = (struct http_fields){0};
    add_lines(trailers, lines);
    return h2_understand_trailers(trailers, underscores, &detail);
}

Test(h2_semantics, trailers)
{
    struct http_fields trailers;

    cr_assert(understand_trailers(&trailers, "grpc-status: 0\nx_y: z\n", true));
    cr_expect_eq(trailers.count, 2);
    cr_assert(understand_trailers(&trailers, "content-length: 5\nhost: a\nx: y\nage: 5\n", false));
    cr_assert_eq(trailers.count, 1);
    cr_expect(slice_equal(trailers.list[0].name, slice_of("x")));
    cr_assert(understand_trailers(&trailers, "", false));
    cr_assert(understand_trailers(&trailers, "content_length: 5\n", true));
    cr_expect_eq(trailers.count, 0);
    cr_expect_null(detail);
}

Test(h2_semantics, trailers_that_are_malformed)
{
    static const char *const malformed[] = {
        ":path: /\n", ":status: 200\n", "x: y\n:a: b\n", "X: y\n", "transfer-encoding: x\n",
        "x:  y\n",    "x_y: z\n",       "x: y\rz\n"};
    struct http_fields trailers;

    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        cr_expect(!understand_trailers(&trailers, malformed[i], false), "%s", malformed[i]);
        cr_expect_not_null(detail);
    }
}

/* --- what the backend gets ------------------------------------------------------------------ */

/* As an exchange does it. */
static void write_request(struct buffer *out)
{
    struct h1_send send = {.framing = head.framing,
                           .content_length = head.content_length,
                           .announce_length = head.framing == BODY_NONE && head.has_content_length,
                           .upgrade = head.upgrade};

    http_fields_drop_hop_by_hop(&head.fields);
    cr_assert(h1_write_request_head(out, &head, head.authority, &send));
    if (send.framing == BODY_CHUNKED)
        cr_assert(h1_write_last_chunk(out, NULL));
    for (uint64_t i = 0; send.framing == BODY_LENGTH && i < send.content_length; i++)
        cr_assert(buffer_append_text(out, "b"));
}

static void expect_one_request(const char *method, const char *target, const char *host)
{
    struct strict_message read;
    struct strict_text bytes, value = {0};

    buffer_clear(&text);
    write_request(&text);
    bytes = strict_text_make(buffer_content(&text).at, buffer_length(&text));
    cr_expect_eq(strict_read_request(bytes, &read), STRICT_WHOLE, "%s in\n%.*s", read.why,
                 (int)bytes.len, bytes.at);
    cr_expect_eq(read.used, bytes.len, "more than one request:\n%.*s", (int)bytes.len, bytes.at);
    cr_expect(strict_text_equal(read.method, strict_text_of(method)));
    cr_expect(strict_text_equal(read.target, strict_text_of(target)));
    cr_expect_eq(strict_fields_find(&read.fields, "host", &value), 1);
    cr_expect(strict_text_equal(value, strict_text_of(host)));
    strict_message_clear(&read);
}

Test(h2_semantics, what_is_written_reads_as_one_request)
{
    cr_assert_eq(
        understand_lines(GET "cookie: a\nhost: A.example\nte: trailers\ncookie: b\n", true),
        H2_UNDERSTOOD);
    expect_one_request("GET", "/", "a.example");
    cr_assert_eq(understand_lines(POST "content-length: 7\ntrailer: x\n", false), H2_UNDERSTOOD);
    expect_one_request("POST", "/", "a.example");
    cr_assert_eq(understand_lines(POST "expect: 100-continue\n", false), H2_UNDERSTOOD);
    expect_one_request("POST", "/", "a.example");
    cr_assert_eq(understand_lines(POST "content-length: 0\n", false), H2_UNDERSTOOD);
    expect_one_request("POST", "/", "a.example");
    cr_assert_eq(understand_lines(TUNNEL, false), H2_UNDERSTOOD);
    expect_one_request("GET", "/c?d", "a.example");
    cr_assert_eq(
        understand_lines(":method: OPTIONS\n:scheme: https\n:path: *\nhost: [::1]:81\n", true),
        H2_UNDERSTOOD);
    expect_one_request("OPTIONS", "*", "[::1]:81");
}

/* Every byte in every place that a client fills: refused, or one request. */
Test(h2_semantics, no_byte_anywhere_makes_it_two)
{
    static const char *const places[] = {":method", ":scheme", ":authority", ":path", "x-name"};
    unsigned understood = 0;

    for (size_t place = 0; place < sizeof(places) / sizeof(places[0]) * 2; place++) {
        for (int byte = 0; byte < 256; byte++) {
            char inserted[] = {'/', 'G', (char)byte, 'T'};
            struct slice odd = slice_make(inserted + 1, 3);
            const char *name = places[place / 2];

            if (strcmp(name, ":path") == 0)
                odd = slice_make(inserted, 4);
            head = (struct http_head){0};
            for (int i = 0; i < 5; i++) {
                static const char *const usual[] = {"POST", "https", "a.example", "/p", "v"};
                bool is_it = strcmp(places[i], name) == 0;
                bool in_name = is_it && i == 4 && place % 2 == 1;

                http_fields_add(&head.fields, &arena, in_name ? odd : slice_of(places[i]),
                                is_it && !in_name ? odd : slice_of(usual[i]));
            }
            if (understand(place % 2 == 0) != H2_UNDERSTOOD)
                continue;
            understood++;
            struct strict_text method = strict_text_make(head.method_text.at, head.method_text.len);
            struct strict_message read;
            buffer_clear(&text);
            write_request(&text);
            struct slice bytes = buffer_content(&text);
            cr_expect_eq(strict_read_request(strict_text_make(bytes.at, bytes.len), &read),
                         STRICT_WHOLE, "%s %d: %s", name, byte, read.why);
            cr_expect(read.used == bytes.len && strict_text_equal(read.method, method));
            strict_message_clear(&read);
        }
    }
    cr_expect_gt(understood, 500);
}

/* --- beside HTTP/1 -------------------------------------------------------------------------- */

static const struct h1_limits limits = {
    .head_bytes = 32 * 1024, .fields = 100, .request_line = 16 * 1024};

static void expect_same_as(const char *request, const char *lines, bool ends)
{
    struct http_head other = {0};
    struct h1_parser parser;
    struct buffer in = {0};

    h1_parser_init(&parser, H1_REQUEST, &limits);
    cr_assert(buffer_append_text(&in, request));
    cr_assert_eq(h1_parse_head(&parser, &in, &arena, &other), H1_DONE, "%s", request);
    cr_assert_eq(understand_lines(lines, ends), H2_UNDERSTOOD, "%s", lines);
    cr_expect_eq(head.method, other.method);
    cr_expect(slice_equal(head.method_text, other.method_text));
    cr_expect(slice_equal(head.target, other.target));
    cr_expect(slice_equal(head.authority, other.authority));
    cr_expect(slice_equal(head.host, other.host) && head.host_port == other.host_port);
    cr_expect(slice_equal(head.path, other.path) && slice_equal(head.query, other.query));
    cr_expect_eq(head.expects_continue, other.expects_continue);
    cr_expect_eq(head.framing, other.framing);
    cr_expect_eq(head.has_content_length, other.has_content_length);
    cr_expect_eq(head.content_length, other.content_length);
    cr_expect_eq(head.version_minor, other.version_minor);
    cr_expect(slice_equal(head.upgrade, other.upgrade));
    buffer_clear(&in);
}

Test(h2_semantics, the_same_head_as_in_http1)
{
    expect_same_as("GET /a//b?c HTTP/1.1\r\nHost: A.example:8443\r\n\r\n",
                   ":method: GET\n:scheme: https\n:authority: A.example:8443\n:path: /a//b?c\n",
                   true);
    expect_same_as("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n"
                   "Expect: 100-continue\r\n\r\n",
                   POST "content-length: 5\nexpect: 100-continue\n", false);
    expect_same_as("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n", POST,
                   false);
    expect_same_as("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n", POST, true);
    expect_same_as("GET /c?d HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\n"
                   "Upgrade: websocket\r\n\r\n",
                   TUNNEL, false);
    expect_same_as("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
                   ":method: OPTIONS\n:scheme: https\n:authority: a.example\n:path: *\n", true);
}
