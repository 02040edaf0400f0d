/* RFC 9113 section 8: which field sections are requests, and what becomes of those that are none.
 * Nothing of a malformed one reaches a backend. Each row names its section. */
#include "harness/h2_cases.h"
#include "harness/workplace.h"

#include <criterion/criterion.h>
#include <string.h>

E2E_SUITE(h2_headers);

#define PROTOCOL  H2_CODE(H2_PROTOCOL_ERROR)
#define MALFORMED .outcome = H2_IS_STREAM_ERROR, .codes = PROTOCOL
/* A GET, or another method, with fields behind its pseudo-header fields. */
#define GET_WITH(...)          .request = H2_ASKING("GET", "/", __VA_ARGS__)
#define POST_WITH(...)         .request_head = H2_ASKING("POST", H2_ECHO, __VA_ARGS__)
#define FIELDS_ARE(...)        .request = H2_FIELDS(__VA_ARGS__)
#define A_TEST                 ":authority", "a.test"
#define BODY(bytes)            H2_FRAME(H2_DATA, H2_END_STREAM, 1, bytes)
#define TRAILERS(flags, block) H2_FRAME(H2_HEADERS, H2_END_HEADERS | (flags), 1, block)

/* --- 8.2: names and values ------------------------------------------------------------------ */

static const struct h2_case names[] = {
    {"8.2: what is right", GET_WITH("x-a", "b", "x-!#$%&'*+-.^`|~9", "\x80\xff\t!")},
    {"8.2.1: an upper-case name", GET_WITH("X-a", "b"), MALFORMED},
    {"8.2.1: an upper-case letter at the end", GET_WITH("x-A", "b"), MALFORMED},
    {"8.2.1: an empty name", GET_WITH("", "b"), MALFORMED},
    {"8.2.1: a blank in a name", GET_WITH("x a", "b"), MALFORMED},
    {"8.2.1: a tab in a name", GET_WITH("x\ta", "b"), MALFORMED},
    {"8.2.1: a colon in a name", GET_WITH("x:a", "b"), MALFORMED},
    {"8.2.1: CR in a name", GET_WITH("x\ra", "b"), MALFORMED},
    {"8.2.1: LF in a name", GET_WITH("x\na", "b"), MALFORMED},
    {"8.2.1: DEL in a name", GET_WITH("x\x7f", "b"), MALFORMED},
    {"8.2.1: a byte beyond ASCII in a name", GET_WITH("x\xe4", "b"), MALFORMED},
    {"8.2.1: a name that is no token", GET_WITH("x(a)", "b"), MALFORMED},
    {"8.2.1: CR in a value", GET_WITH("x", "a\rb"), MALFORMED},
    {"8.2.1: LF in a value", GET_WITH("x", "a\nb"), MALFORMED},
    {"8.2.1: CRLF and a field in a value", GET_WITH("x", "a\r\ny: b"), MALFORMED},
    {"8.2.1: a blank in front of a value", GET_WITH("x", " a"), MALFORMED},
    {"8.2.1: a blank behind a value", GET_WITH("x", "a "), MALFORMED},
    {"8.2.1: a tab in front of a value", GET_WITH("x", "\ta"), MALFORMED},
    {"8.2.1: a tab behind a value", GET_WITH("x", "a\t"), MALFORMED},
    {"8.2.1: a value that is blank alone", GET_WITH("x", " "), MALFORMED},
    {"8.2.1: an empty value", GET_WITH("x", "")},
    {"8.2.1: NUL in a value",
     .frames = {H2_FRAME(H2_HEADERS, H2_END_STREAM | H2_END_HEADERS, 1,
                         H2_GET_BLOCK "\0\x01x\x03"
                                      "a\0b")},
     MALFORMED},
    {"8.2.1: NUL in a name",
     .frames = {H2_FRAME(H2_HEADERS, H2_END_STREAM | H2_END_HEADERS, 1,
                         H2_GET_BLOCK "\0\x03x\0y\x01"
                                      "a")},
     MALFORMED},
    {"8.2.1: LF in :path", FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "/\n"),
     MALFORMED},
    {"8.2.2: connection", GET_WITH("connection", "close"), MALFORMED},
    {"8.2.2: proxy-connection", GET_WITH("proxy-connection", "keep-alive"), MALFORMED},
    {"8.2.2: keep-alive", GET_WITH("keep-alive", "timeout=5"), MALFORMED},
    {"8.2.2: transfer-encoding", POST_WITH("transfer-encoding", "chunked"), MALFORMED},
    {"8.2.2: transfer-encoding without a body", GET_WITH("transfer-encoding", "identity"),
     MALFORMED},
    {"8.2.2: upgrade", GET_WITH("upgrade", "websocket"), MALFORMED},
    {"8.2.2: te, but not for trailers", GET_WITH("te", "gzip"), MALFORMED},
    {"8.2.2: te, for trailers and more", GET_WITH("te", "trailers, gzip"), MALFORMED},
    {"8.2.2: te: trailers", GET_WITH("te", "trailers")},
    {"8.2.3: cookies in several fields", GET_WITH("cookie", "a=1", "cookie", "b=2")},
};

Test(h2_headers, names_and_values)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, names);
    h2_world_stop(world);
}

/* --- 8.3: pseudo-header fields -------------------------------------------------------------- */

static const struct h2_case pseudo[] = {
    {"8.3: behind a regular field",
     FIELDS_ARE(":method", "GET", ":scheme", "https", "x", "y", A_TEST, ":path", "/"), MALFORMED},
    {"8.3: one of responses",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "/", ":status", "200"),
     MALFORMED},
    {"8.3: one that nobody knows",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "/", ":x", "y"), MALFORMED},
    {"8.3: one in upper case",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":Path", "/"), MALFORMED},
    {"8.3: :method twice",
     FIELDS_ARE(":method", "GET", ":method", "GET", ":scheme", "https", A_TEST, ":path", "/"),
     MALFORMED},
    {"8.3: :scheme twice",
     FIELDS_ARE(":method", "GET", ":scheme", "https", ":scheme", "https", A_TEST, ":path", "/"),
     MALFORMED},
    {"8.3: :path twice",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "/", ":path", "/"),
     MALFORMED},
    {"8.3: :authority twice",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, A_TEST, ":path", "/"), MALFORMED},
    {"8.3: any order among them",
     FIELDS_ARE(":path", "/", A_TEST, ":scheme", "https", ":method", "GET")},
    {"8.3.1: no :method", FIELDS_ARE(":scheme", "https", A_TEST, ":path", "/"), MALFORMED},
    {"8.3.1: an empty :method", FIELDS_ARE(":method", "", ":scheme", "https", A_TEST, ":path", "/"),
     MALFORMED},
    {"8.3.1: a :method that is no token",
     FIELDS_ARE(":method", "GE T", ":scheme", "https", A_TEST, ":path", "/"), MALFORMED},
    {"8.3.1: no :scheme", FIELDS_ARE(":method", "GET", A_TEST, ":path", "/"), MALFORMED},
    {"8.3.1: no :path", FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST), MALFORMED},
    {"8.3.1: an empty :path", FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", ""),
     MALFORMED},
    {"8.3.1: a :path without a slash",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "x"), MALFORMED},
    {"8.3.1: a :path that is a URL",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "https://a.test/"),
     MALFORMED},
    {"8.3.1: a :path of * is for OPTIONS",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "*"), MALFORMED},
    {"8.3.1: OPTIONS *",
     FIELDS_ARE(":method", "OPTIONS", ":scheme", "https", A_TEST, ":path", "*")},
    {"8.3.1: user information in :authority",
     FIELDS_ARE(":method", "GET", ":scheme", "https", ":authority", "me@a.test", ":path", "/"),
     MALFORMED},
    {"8.3.1: Host instead of :authority",
     FIELDS_ARE(":method", "GET", ":scheme", "https", ":path", "/", "host", "a.test")},
    {"8.3.1: Host that says the same", GET_WITH("host", "a.test")},
    {"8.3.1: Host that differs", GET_WITH("host", "b.test"), MALFORMED},
    {"8.3.1: Host twice", GET_WITH("host", "a.test", "host", "a.test"), MALFORMED},
    {"8.3.1: neither Host nor :authority",
     FIELDS_ARE(":method", "GET", ":scheme", "https", ":path", "/"), MALFORMED},
    {"8.3.1: an empty section",
     .frames = {{.type = H2_HEADERS,
                 .flags = H2_END_STREAM | H2_END_HEADERS,
                 .stream = 1,
                 .payload = ""}},
     MALFORMED},
    {"8.5: CONNECT with :path",
     FIELDS_ARE(":method", "CONNECT", ":authority", "a.test:443", ":path", "/"), MALFORMED},
    {"8.5: CONNECT with :scheme",
     FIELDS_ARE(":method", "CONNECT", ":authority", "a.test:443", ":scheme", "https"), MALFORMED},
    {"8.5: CONNECT without :authority", FIELDS_ARE(":method", "CONNECT"), MALFORMED},
    {"RFC 8441, 4: :protocol without CONNECT",
     FIELDS_ARE(":method", "GET", ":scheme", "https", A_TEST, ":path", "/", ":protocol",
                "websocket"),
     MALFORMED},
    {"RFC 8441, 4: extended CONNECT without :path",
     FIELDS_ARE(":method", "CONNECT", ":scheme", "https", A_TEST, ":protocol", "websocket"),
     MALFORMED},
    {"RFC 8441, 4: extended CONNECT without :scheme",
     FIELDS_ARE(":method", "CONNECT", ":path", "/", A_TEST, ":protocol", "websocket"), MALFORMED},
};

Test(h2_headers, pseudo_header_fields)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, pseudo);
    h2_world_stop(world);
}

/* 8.5: this gateway is no proxy; saying so is a whole response. */
Test(h2_headers, connect_is_answered)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);

    h2_send_headers(client, &(struct h2_headers){.stream = 1,
                                                 .fields = H2_FIELDS(":method", "CONNECT",
                                                                     ":authority", "a.test:443")});
    struct message *response = h2_response(client, 1);
    cr_expect_geq(response->status, 400);
    cr_expect(response->is_complete);
    client->next_stream = 3;
    h2_expect_served(client);
    h2_world_stop(world);
}

/* --- 8.1: messages -------------------------------------------------------------------------- */

/* Of a malformed body the head may have reached the backend, its end never. */
static const struct h2_case bodies[] = {
    {"8.1.1: content-length as long as DATA", POST_WITH("content-length", "3"),
     .frames = {BODY("abc")}},
    {"8.1.1: content-length as long as two DATA", POST_WITH("content-length", "3"),
     .frames = {H2_FRAME(H2_DATA, 0, 1, "a"), BODY("bc")}},
    {"8.1.1: content-length without padding", POST_WITH("content-length", "1"),
     .frames = {H2_FRAME(H2_DATA, H2_PADDED | H2_END_STREAM, 1, "\x02y\0\0")}},
    {"8.1.1: content-length that is too long", POST_WITH("content-length", "4"),
     .frames = {BODY("abc")}, MALFORMED, .may_reach_backend = true},
    {"8.1.1: content-length that is too short", POST_WITH("content-length", "2"),
     .frames = {BODY("abc")}, MALFORMED, .may_reach_backend = true},
    {"8.1.1: content-length of 0 with DATA", POST_WITH("content-length", "0"),
     .frames = {BODY("a")}, MALFORMED, .may_reach_backend = true},
    {"8.1.1: content-length without DATA", GET_WITH("content-length", "1"), MALFORMED},
    {"8.1.1: content-length of 0 without DATA", GET_WITH("content-length", "0")},
    {"8.1.1: content-length and trailers instead of DATA", POST_WITH("content-length", "1"),
     .frames = {TRAILERS(H2_END_STREAM, "\0\x01x\x01y")}, MALFORMED, .may_reach_backend = true},
    {"8.1.1: two that differ", POST_WITH("content-length", "1", "content-length", "2"),
     .frames = {BODY("a")}, MALFORMED},
    {"8.1.1: a negative one", POST_WITH("content-length", "-1"), .frames = {BODY("a")}, MALFORMED},
    {"8.1.1: one that is no number", POST_WITH("content-length", "1x"), .frames = {BODY("a")},
     MALFORMED},
    {"8.1.1: one beyond all numbers", POST_WITH("content-length", "18446744073709551617"),
     .frames = {BODY("a")}, MALFORMED},
    {"8.1: trailers", POST_WITH("x", "y"),
     .frames = {H2_FRAME(H2_DATA, 0, 1, "a"), TRAILERS(H2_END_STREAM, "\0\x01x\x01y")}},
    {"8.1: trailers without a body", POST_WITH("x", "y"),
     .frames = {TRAILERS(H2_END_STREAM, "\0\x01x\x01y")}},
    {"8.1: trailers that do not end the stream", POST_WITH("x", "y"),
     .frames = {H2_FRAME(H2_DATA, 0, 1, "a"), TRAILERS(0, "\0\x01x\x01y")}, MALFORMED,
     .may_reach_backend = true},
    {"8.1: a pseudo-header field in trailers", POST_WITH("x", "y"),
     .frames = {H2_FRAME(H2_DATA, 0, 1, "a"), TRAILERS(H2_END_STREAM, "\x87")}, MALFORMED,
     .may_reach_backend = true},
    {"8.2.1: an upper-case name in trailers", POST_WITH("x", "y"),
     .frames = {H2_FRAME(H2_DATA, 0, 1, "a"), TRAILERS(H2_END_STREAM, "\0\x01X\x01y")}, MALFORMED,
     .may_reach_backend = true},
    {"8.2.1: LF in the value of a trailer", POST_WITH("x", "y"),
     .frames = {H2_FRAME(H2_DATA, 0, 1, "a"), TRAILERS(H2_END_STREAM, "\0\x01x\x01\n")}, MALFORMED,
     .may_reach_backend = true},
    {"8.2.2: transfer-encoding in trailers", POST_WITH("x", "y"),
     .frames = {H2_FRAME(H2_DATA, 0, 1, "a"), TRAILERS(H2_END_STREAM, "\x0f\x2a\x07"
                                                                      "chunked")},
     MALFORMED, .may_reach_backend = true},
};

Test(h2_headers, bodies_and_trailers)
{
    struct h2_world *world = h2_world_start();

    h2_play(world, bodies);
    h2_world_stop(world);
}

/* 8.1: of a body that turns out malformed no whole request reaches the backend. */
Test(h2_headers, malformed_bodies_are_cut_at_the_backend)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t stream;

    for (int more = 0; more < 2; more++) {
        stream = h2_send_request(
            client, &(struct h2_request){.path = H2_ECHO,
                                         .goes_on = true,
                                         .fields = H2_FIELDS("content-length", more ? "3" : "5")});
        origin_wait_requests(world->origin, more + 1);
        h2_send_data(client, stream, "abcd", 4, true);
        h2_expect_stream_error(client, stream, H2_PROTOCOL_ERROR);
        cr_expect_not(origin_finished_request(world->origin, more)->is_complete);
    }
    h2_expect_served(client);
    h2_world_stop(world);
}

/* 6.1, 8.1: padding is none of the body; trailers arrive as trailers. */
Test(h2_headers, padded_body_with_trailers)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);
    uint32_t stream = h2_begin_post(client, H2_ECHO);

    h2_send_padded_data(client, stream, "abc", 3, 255, false);
    h2_send_padded_data(client, stream, "", 0, 7, false);
    h2_send_padded_data(client, stream, "def", 3, 0, false);
    h2_send_headers(client, &(struct h2_headers){.stream = stream,
                                                 .fields = H2_FIELDS("x-sum", "6"),
                                                 .ends_stream = true,
                                                 .is_padded = true,
                                                 .padding = 9,
                                                 .piece = 1});
    struct message *response = h2_expect_response(client, stream, 200);
    expect_body(response, "abcdef");
    cr_expect_str_eq(message_trailer(response, "x-sum"), "6");
    h2_world_stop(world);
}

/* 8.2.3: cookies become one field, in their order. */
Test(h2_headers, cookies_are_joined)
{
    struct h2_world *world = h2_world_start();
    struct h2_client *client = h2_world_client(world, NULL);

    h2_expect_response(
        client,
        h2_send_request(client, &(struct h2_request){.fields = H2_FIELDS("cookie", "a=1", "x", "y",
                                                                         "cookie", "b=2; c=3")}),
        200);
    cr_expect_str_eq(message_field(origin_last_request(world->origin), "cookie"), "a=1; b=2; c=3");
    cr_expect_eq(field_count(&origin_last_request(world->origin)->fields, "cookie"), 1);
    h2_world_stop(world);
}
