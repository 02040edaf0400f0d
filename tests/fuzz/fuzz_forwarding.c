/* Any bytes of a client through whole exchanges: what backends get must be, to a second and strict
 * reader, exactly the requests that the codec read, in form and in number, and nothing of what was
 * refused.
 *
 * Input: how streams behave, where the client pauses (as a part of 256), then the client's bytes.
 */
#include "base/check.h"
#include "fuzz/bare_gateway.h"
#include "http/h1_parser.h"
#include "support/strict_reader.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { INPUT_MAX = 8192, REQUESTS_MAX = BARE_BACKENDS_MAX - 1 };

/* --- what our codec reads ------------------------------------------------------------------- */

struct expected_request {
    struct http_head head;
    struct buffer body;
    bool is_whole;
    bool is_ours; /* answered here: CONNECT, TRACE */
};

struct expected {
    struct arena arena;
    struct expected_request list[REQUESTS_MAX];
    unsigned count;
};

/* True when the body ended as it should. */
static bool read_expected_body(struct expected *e, struct h1_parser *parser, struct buffer *in)
{
    struct expected_request *request = &e->list[e->count - 1];
    struct http_fields trailers;
    struct slice piece;

    while (h1_parse_body(parser, in, &e->arena, &piece, &trailers) == H1_DONE) {
        if (piece.len == 0)
            return true;
        buffer_append(&request->body, piece);
        h1_body_consumed(parser, in, piece.len);
    }
    return false;
}

static void read_expected(struct expected *e, struct slice bytes)
{
    struct expected_request *request;
    struct h1_parser parser;
    struct buffer in = {0};

    h1_parser_init(&parser, H1_REQUEST, bare_limits);
    buffer_append(&in, bytes);
    while (e->count < REQUESTS_MAX) {
        request = &e->list[e->count];
        if (h1_parse_head(&parser, &in, &e->arena, &request->head) != H1_DONE)
            break;
        e->count++;
        request->is_ours =
            request->head.method == METHOD_CONNECT || request->head.method == METHOD_TRACE;
        request->is_whole = read_expected_body(e, &parser, &in);
        if (!request->is_whole || !request->head.keeps_connection)
            break;
    }
    buffer_clear(&in);
}

static void clear_expected(struct expected *e)
{
    for (unsigned i = 0; i < e->count; i++)
        buffer_clear(&e->list[i].body);
    arena_clear(&e->arena);
    free(e);
}

/* --- what backends get ---------------------------------------------------------------------- */

static struct strict_text strict_of(struct slice slice)
{
    return strict_text_make(slice.at, slice.len);
}

static void check_fields(const struct bare_gateway *gateway, const struct strict_message *got)
{
    static const char *const never[] = {"TE", "Trailer", "Keep-Alive", "Proxy-Connection",
                                        "HTTP2-Settings"};
    static const char *const from_trusted_peers[] = {"Forwarded", "X-Real-Ip", "X-Forwarded-Ssl"};
    struct strict_text value;

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        assert(strict_fields_find(&got->fields, never[i], &value) == 0);
    assert(strict_fields_find(&got->fields, "X-Forwarded-For", &value) == 1);
    assert(strict_fields_find(&got->fields, "X-Request-Id", &value) == 1);
    if (!gateway->peer_is_trusted)
        for (size_t i = 0; i < sizeof(from_trusted_peers) / sizeof(from_trusted_peers[0]); i++)
            assert(strict_fields_find(&got->fields, from_trusted_peers[i], &value) == 0);
    if (strict_fields_find(&got->fields, "Connection", &value) > 0) {
        assert(strict_text_equal(value, strict_text_of("upgrade")));
        assert(strict_fields_find(&got->fields, "Upgrade", &value) == 1);
    }
}

static void check_request(const struct bare_gateway *gateway, struct expected_request *expected,
                          const struct strict_message *got, bool is_whole)
{
    const struct http_head *head = &expected->head;
    struct slice body = buffer_content(&expected->body);
    struct strict_text host;

    assert(!expected->is_ours);
    assert(strict_text_equal(got->method, strict_of(head->method_text)));
    assert(got->target.len == head->path.len + head->query.len);
    assert(memcmp(got->target.at, head->path.at, head->path.len) == 0);
    assert(head->query.len == 0 ||
           memcmp(got->target.at + head->path.len, head->query.at, head->query.len) == 0);
    assert(strict_fields_find(&got->fields, "Host", &host) == 1);
    assert(strict_text_equal(host, head->authority.len > 0 ? strict_of(head->authority)
                                                           : strict_text_of(BARE_BACKEND_HOST)));
    check_fields(gateway, got);
    assert(is_whole == expected->is_whole || !is_whole);
    assert(got->body_len <= body.len &&
           memcmp(got->body, body.len ? body.at : "", got->body_len) == 0);
    assert(!is_whole || got->body_len == body.len);
}

static void fail(const char *why, struct slice bytes)
{
    fprintf(stderr, "%s in:\n%.*s\n", why, (int)bytes.len, bytes.at);
    abort();
}

/* The next one that a backend may get. */
static struct expected_request *next_expected(struct expected *e, unsigned *next)
{
    while (*next < e->count && e->list[*next].is_ours)
        (*next)++;
    assert(*next < e->count); /* else one was forwarded that was never sent */
    return &e->list[(*next)++];
}

/* Answers what is whole; refuses, loudly, what is wrong. */
static void serve(struct bare_gateway *gateway, struct bare_backend *backend, struct expected *e,
                  unsigned *next)
{
    struct slice bytes = slice_skip(fake_stream_written(backend->stream), backend->answered);
    struct strict_message got;
    struct strict_text value;
    enum strict_verdict verdict = strict_read_request(strict_of(bytes), &got);

    if (verdict == STRICT_WRONG)
        fail(got.why, bytes);
    if (verdict == STRICT_WHOLE) {
        check_request(gateway, next_expected(e, next), &got, true);
        assert(got.used == bytes.len); /* nothing is sent before its answer */
        backend->answered += got.used;
        backend->was_told_to_continue = false;
        if (!backend->is_over)
            fake_stream_send_text(backend->stream,
                                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    } else if (got.has_head && !backend->was_told_to_continue && !backend->is_over &&
               strict_fields_find(&got.fields, "Expect", &value) > 0) {
        backend->was_told_to_continue = true;
        fake_stream_send_text(backend->stream, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    strict_message_clear(&got);
}

static void run(struct bare_gateway *gateway, struct expected *e, unsigned *next)
{
    bool was_said;

    do {
        size_t before = buffer_length(&gateway->client->written);

        bare_gateway_settle(gateway);
        was_said = buffer_length(&gateway->client->written) != before;
        for (unsigned i = 0; i < gateway->backend_count; i++) {
            struct bare_backend *backend = &gateway->backends[i];
            bool was_told = backend->was_told_to_continue;
            size_t answered = backend->answered;

            if (buffer_length(&backend->stream->written) > answered)
                serve(gateway, backend, e, next);
            was_said |= backend->answered != answered || backend->was_told_to_continue != was_told;
        }
    } while (was_said);
}

/* --- the end -------------------------------------------------------------------------------- */

/* What is left unanswered is the beginning of one request at most. */
static void check_rest(struct bare_gateway *gateway, struct expected *e, unsigned *next)
{
    for (unsigned i = 0; i < gateway->backend_count; i++) {
        struct bare_backend *backend = &gateway->backends[i];
        struct slice rest = slice_skip(fake_stream_written(backend->stream), backend->answered);
        struct strict_message got;

        if (rest.len == 0)
            continue;
        assert(i + 1 == gateway->backend_count);
        assert(strict_read_request(strict_of(rest), &got) == STRICT_CUT);
        if (got.has_head)
            check_request(gateway, next_expected(e, next), &got, false);
        strict_message_clear(&got);
    }
}

/* The client reads one response after the other, and nothing else: but who leaves within its last
 * request may have been told to continue and no more. */
static void check_answers(const struct bare_gateway *gateway, const struct expected *e,
                          unsigned forwarded)
{
    struct slice rest = fake_stream_written(gateway->client);
    unsigned count = 0, from_backends = 0;

    for (; rest.len > 0; count++) {
        bool is_head = count < e->count && e->list[count].head.method == METHOD_HEAD;
        struct strict_message got;
        enum strict_verdict verdict = strict_read_response(
            strict_of(rest), is_head ? "HEAD" : "GET", gateway->client_saw_end, &got);

        if (verdict == STRICT_CUT && !got.has_head && got.interims > 0 && e->count > 0 &&
            !e->list[e->count - 1].is_whole)
            got.used = rest.len;
        else if (verdict != STRICT_WHOLE)
            fail(got.why, rest);
        from_backends += got.status == 200;
        rest = slice_skip(rest, got.used);
        strict_message_clear(&got);
    }
    assert(from_backends <= forwarded);
    assert(count <= gateway->exchanges);
}

static void set_behaviour(struct bare_gateway *gateway, uint8_t how)
{
    static const size_t steps[] = {0, 1, 2, 3, 7, 16, 64, 1000};

    gateway->client->read_step = steps[how & 7];
    gateway->client->read_waits = how & 8;
    gateway->peer_is_trusted = how & 16;
    gateway->client->write_waits = how & 32;
    gateway->client->holds_back = how & 64;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice input;
    struct bare_gateway *gateway;
    struct expected *expected;
    unsigned next = 0;
    size_t pause;

    if (length < 2 || length > INPUT_MAX)
        return 0;
    input = slice_make((const char *)bytes + 2, length - 2);
    pause = input.len * bytes[1] / 256;
    expected = memory_new(sizeof(*expected));
    read_expected(expected, input);
    gateway = bare_gateway_open();
    set_behaviour(gateway, bytes[0]);
    fake_stream_send(gateway->client, slice_make(input.at, pause));
    run(gateway, expected, &next);
    if (expected->count < REQUESTS_MAX) {
        fake_stream_send(gateway->client, slice_skip(input, pause));
        run(gateway, expected, &next);
        fake_stream_end(gateway->client, IO_EOF);
        run(gateway, expected, &next);
    }
    check_rest(gateway, expected, &next);
    check_answers(gateway, expected, next);
    bare_gateway_close(gateway);
    clear_expected(expected);
    return 0;
}
