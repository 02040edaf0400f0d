/* Chunked bodies: whole, byte by byte and cut anywhere they mean the same; what is read of them,
 * sent on, is one body to a second and strict reader, with the same bytes.
 *
 * Input: how many bytes come at once, then what follows a head. */
#include "base/check.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"
#include "support/strict_reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const struct h1_limits limits = {.head_bytes = 1024, .fields = 8, .request_line = 512};
static const char head_text[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

struct reading {
    struct arena arena;
    struct buffer body, sent; /* `sent`: written on in the pieces that it came in */
    bool is_whole, is_bad;
    size_t behind; /* bytes left over once it is whole */
};

/* All pieces that are there. */
static void read_pieces(struct reading *r, struct h1_parser *parser, struct buffer *in)
{
    struct http_fields trailers;
    struct slice piece;
    enum h1_result result;

    while (!r->is_whole &&
           (result = h1_parse_body(parser, in, &r->arena, &piece, &trailers)) == H1_DONE) {
        if (piece.len > 0) {
            buffer_append(&r->body, piece);
            h1_write_chunk_start(&r->sent, piece.len);
            buffer_append(&r->sent, piece);
            buffer_append_text(&r->sent, "\r\n");
            h1_body_consumed(parser, in, piece.len);
        } else {
            r->is_whole = true;
            h1_write_last_chunk(&r->sent, &trailers);
        }
    }
    r->is_bad = !r->is_whole && result == H1_BAD;
}

static void read_body(struct reading *r, struct slice bytes, size_t at_once)
{
    struct h1_parser parser;
    struct buffer in = {0};
    struct http_head head;

    h1_parser_init(&parser, H1_REQUEST, &limits);
    buffer_append_text(&in, head_text);
    assert(h1_parse_head(&parser, &in, &r->arena, &head) == H1_DONE);
    assert(head.framing == BODY_CHUNKED);
    buffer_append_text(&r->sent, head_text);
    while (bytes.len > 0 && !r->is_bad && !r->is_whole) {
        size_t now = bytes.len < at_once ? bytes.len : at_once;

        buffer_append(&in, slice_make(bytes.at, now));
        bytes = slice_skip(bytes, now);
        read_pieces(r, &parser, &in);
    }
    r->behind = buffer_length(&in) + bytes.len;
    buffer_clear(&in);
}

static void check_sent(const struct reading *r)
{
    struct slice sent = buffer_content(&r->sent), body = buffer_content(&r->body);
    struct strict_message got;
    enum strict_verdict verdict = strict_read_request(strict_text_make(sent.at, sent.len), &got);

    assert(verdict == (r->is_whole ? STRICT_WHOLE : STRICT_CUT));
    assert(got.body_len == body.len && (body.len == 0 || !memcmp(got.body, body.at, body.len)));
    assert(!r->is_whole || got.used == sent.len);
    strict_message_clear(&got);
}

static void check_alike(const struct reading *a, const struct reading *b)
{
    assert(a->is_whole == b->is_whole && a->is_bad == b->is_bad);
    assert(!a->is_whole || a->behind == b->behind);
    assert(a->is_bad || slice_equal(buffer_content(&a->body), buffer_content(&b->body)));
}

static void clear_reading(struct reading *r)
{
    buffer_clear(&r->body);
    buffer_clear(&r->sent);
    arena_clear(&r->arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct reading whole = {0}, single = {0}, pieces = {0};
    struct slice input;

    if (length < 1 || length > 16384)
        return 0;
    input = slice_make((const char *)bytes + 1, length - 1);
    read_body(&whole, input, input.len);
    read_body(&single, input, 1);
    read_body(&pieces, input, 2 + bytes[0]);
    check_alike(&whole, &single);
    check_alike(&whole, &pieces);
    check_sent(&whole);
    check_sent(&single);
    clear_reading(&whole);
    clear_reading(&single);
    clear_reading(&pieces);
    buffer_cache_clear();
    return 0;
}
