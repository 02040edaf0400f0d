/* Any bytes of a backend through whole exchanges: a client must read, by a second and strict
 * reader, the one response that the codec read, or see that it was cut, or get the gateway's own;
 * and the response to its next request is never made of what was left.
 *
 * Input: what the client asks and how streams behave, how the backend ends, then its bytes. */
#include "base/check.h"
#include "fuzz/bare_gateway.h"
#include "http/h1_parser.h"
#include "support/strict_reader.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { INPUT_MAX = 8192 };

#define HOST "Host: a.test\r\n"

static const struct {
    const char *bytes, *method;
    enum http_method asked_with;
    bool is_http10, asks_for_upgrade;
} asks[] = {
    {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET", METHOD_GET, false, false},
    {"HEAD / HTTP/1.1\r\n" HOST "\r\n", "HEAD", METHOD_HEAD, false, false},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "POST", METHOD_POST, false, false},
    {"GET / HTTP/1.0\r\n" HOST "\r\n", "GET", METHOD_GET, true, false},
    {"GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET",
     METHOD_GET, false, true},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "POST", METHOD_POST,
     false, false}, /* whose end does not come before the response */
    {"POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\na", "POST",
     METHOD_POST, false, false},
    {"GET / HTTP/1.0\r\n" HOST "Connection: keep-alive\r\n\r\n", "GET", METHOD_GET, true, false},
};

/* --- what our codec reads ------------------------------------------------------------------- */

struct expected {
    struct arena arena;
    struct http_head head;
    struct buffer body;
    bool has_head, is_whole;
};

static void read_expected_body(struct expected *e, struct h1_parser *parser, struct buffer *in,
                               bool ends_in_order)
{
    struct http_fields trailers;
    struct slice piece;
    enum h1_result result;

    while ((result = h1_parse_body(parser, in, &e->arena, &piece, &trailers)) == H1_DONE) {
        if (piece.len == 0) {
            e->is_whole = true;
            return;
        }
        buffer_append(&e->body, piece);
        h1_body_consumed(parser, in, piece.len);
    }
    e->is_whole = result == H1_MORE && ends_in_order && h1_parse_eof(parser) == H1_DONE;
}

static void read_expected(struct expected *e, unsigned ask, struct slice bytes, bool ends_in_order)
{
    struct h1_parser parser;
    struct buffer in = {0};

    h1_parser_init(&parser, H1_RESPONSE, bare_limits);
    h1_parser_expect_response(&parser, asks[ask].asked_with);
    buffer_append(&in, bytes);
    while (h1_parse_head(&parser, &in, &e->arena, &e->head) == H1_DONE) {
        if (e->head.status < 200 && e->head.status != 101)
            continue;
        e->has_head = true;
        if (e->head.status == 101)
            h1_parser_become_tunnel(&parser);
        read_expected_body(e, &parser, &in, ends_in_order);
        break;
    }
    buffer_clear(&in);
}

/* --- what the client gets ------------------------------------------------------------------- */

static const char second_answer[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nsecond";

static struct strict_text strict_of(struct slice slice)
{
    return strict_text_make(slice.at, slice.len);
}

/* Made by the gateway: it has a field that no backend here can send, for this one does. */
static bool is_own(const struct strict_message *got)
{
    struct strict_text value;

    return got->status >= 400 && strict_fields_find(&got->fields, "X-Request-Id", &value) == 1;
}

static void check_response(const struct expected *e, enum strict_verdict verdict,
                           const struct strict_message *got)
{
    struct slice body = buffer_content(&e->body);

    assert(e->has_head && got->status == e->head.status);
    assert(got->body_len <= body.len);
    assert(got->body_len == 0 || memcmp(got->body, body.at, got->body_len) == 0);
    if (verdict == STRICT_WHOLE)
        assert(e->is_whole && got->body_len == body.len);
}

/* What follows the first response is the second one or nothing. */
static void check_second(struct slice rest)
{
    struct strict_message got;

    if (rest.len == 0)
        return;
    assert(strict_read_response(strict_of(rest), "GET", false, &got) == STRICT_WHOLE);
    assert(got.used == rest.len && got.interims == 0);
    if (!is_own(&got)) {
        assert(got.status == 202);
        assert(
            strict_text_equal(strict_text_make(got.body, got.body_len), strict_text_of("second")));
    }
    strict_message_clear(&got);
}

static void check_client(const struct bare_gateway *gateway, const struct expected *e, unsigned ask,
                         bool backend_has_gone)
{
    struct slice bytes = fake_stream_written(gateway->client);
    struct strict_message got;
    enum strict_verdict verdict =
        strict_read_response(strict_of(bytes), asks[ask].method, gateway->client->is_shut, &got);

    if (verdict == STRICT_WRONG) {
        fprintf(stderr, "%s in:\n%.*s\n", got.why, (int)bytes.len, bytes.at);
        abort();
    }
    if (got.has_head && !is_own(&got)) {
        check_response(e, verdict, &got);
        assert(verdict == STRICT_WHOLE || !e->is_whole);
    }
    if (verdict == STRICT_CUT && backend_has_gone)
        assert(gateway->client_saw_cut); /* which nobody can take for the end in order */
    if (got.has_head && asks[ask].is_http10)
        assert(got.framing != STRICT_CHUNKED && got.interims == 0);
    if (got.status == 101)
        assert(asks[ask].asks_for_upgrade);
    if (verdict == STRICT_WHOLE)
        check_second(slice_skip(bytes, got.used));
    strict_message_clear(&got);
}

/* --- the run -------------------------------------------------------------------------------- */

/* Answers any request on another connection, or behind the first on the same one, in order. */
static void answer_second(struct bare_gateway *gateway)
{
    struct bare_backend *backend = &gateway->backends[gateway->backend_count - 1];
    struct strict_message got;
    struct slice rest = slice_skip(fake_stream_written(backend->stream), backend->answered);

    if (backend->is_over || rest.len == 0)
        return;
    if (strict_read_request(strict_of(rest), &got) == STRICT_WHOLE) {
        assert(strict_text_equal(got.target, strict_text_of("/2")));
        if (backend->stream->ending == IO_WAIT)
            fake_stream_send_text(backend->stream, second_answer);
        backend->answered += got.used;
    }
    strict_message_clear(&got);
    bare_gateway_settle(gateway);
}

static void set_behaviour(struct bare_gateway *gateway, uint8_t how)
{
    gateway->client->write_step = how & 8 ? 3 : 0;
    gateway->client->write_waits = how & 16;
    gateway->client->holds_back = how & 64;
}

static void play(struct bare_gateway *gateway, unsigned ask, const uint8_t how[2],
                 struct slice bytes)
{
    struct bare_backend *backend = &gateway->backends[0];

    fake_stream_send_text(gateway->client, asks[ask].bytes);
    bare_gateway_settle(gateway);
    assert(gateway->backend_count == 1);
    backend->answered = fake_stream_written(backend->stream).len;
    backend->stream->read_step = how[0] & 32 ? 1 : how[0] & 128 ? 5 : 0;
    fake_stream_send(backend->stream, bytes);
    bare_gateway_settle(gateway);
    backend->answered = fake_stream_written(backend->stream).len;
    if (how[1] & 1 && !backend->is_over)
        fake_stream_end(backend->stream, how[1] & 2 ? IO_ERROR : IO_EOF);
    bare_gateway_settle(gateway);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    unsigned ask;
    struct slice input;
    struct bare_gateway *gateway;
    struct expected expected = {0};
    bool ends_in_order;

    if (length < 2 || length > INPUT_MAX)
        return 0;
    ask = bytes[0] & 7;
    ends_in_order = (bytes[1] & 3) == 1;
    input = slice_make((const char *)bytes + 2, length - 2);
    read_expected(&expected, ask, input, ends_in_order);
    gateway = bare_gateway_open();
    set_behaviour(gateway, bytes[0]);
    play(gateway, ask, bytes, input);
    if (bytes[1] & 4 && expected.head.status != 101 && ask != 5) {
        fake_stream_send_text(gateway->client, "GET /2 HTTP/1.1\r\n" HOST "\r\n");
        bare_gateway_settle(gateway);
        answer_second(gateway);
    }
    check_client(gateway, &expected, ask, bytes[1] & 1);
    bare_gateway_close(gateway);
    buffer_clear(&expected.body);
    arena_clear(&expected.arena);
    return 0;
}
