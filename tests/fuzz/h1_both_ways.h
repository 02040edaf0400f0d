/* What both HTTP/1 fuzz targets do with their bytes. */
#ifndef FUZZ_H1_BOTH_WAYS_H
#define FUZZ_H1_BOTH_WAYS_H

#include "base/check.h"
#include "http/h1_parser.h"
#include "http/h1_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const struct h1_limits fuzz_limits = {.head_bytes = 2048, .fields = 16, .request_line = 512};

/* What a reader made of a run of messages: the heads as they would be forwarded, and the bodies. */
struct reading {
    struct h1_parser parser;
    struct arena arena;
    struct buffer in, meaning;
    bool in_body, is_over;
};

/* The head as it would be written to the other side. */
static void note_head(struct reading *r, struct http_head *head)
{
    struct h1_send send = {.framing = head->framing,
                           .content_length = head->content_length,
                           .announce_length = head->has_content_length,
                           .close = !head->keeps_connection,
                           .upgrade = head->upgrade};

    http_fields_drop_hop_by_hop(&head->fields);
    if (r->parser.kind == H1_RESPONSE) {
        assert(h1_write_response_head(&r->meaning, head, &send));
    } else if (head->path.len > 0) {
        /* HTTP/1.0 without Host: the gateway names the backend. */
        struct slice host = head->authority.len > 0 ? head->authority : slice_of("backend");
        assert(h1_write_request_head(&r->meaning, head, host, &send));
    }
}

static void step(struct reading *r)
{
    struct http_head head;
    struct http_fields trailers;
    struct slice piece;
    enum h1_result result;

    if (!r->in_body) {
        result = h1_parse_head(&r->parser, &r->in, &r->arena, &head);
        if (result == H1_DONE) {
            note_head(r, &head);
            r->in_body = r->parser.kind == H1_REQUEST || head.status >= 200;
        }
    } else {
        result = h1_parse_body(&r->parser, &r->in, &r->arena, &piece, &trailers);
        if (result == H1_DONE && piece.len > 0) {
            buffer_append(&r->meaning, piece);
            h1_body_consumed(&r->parser, &r->in, piece.len);
        } else if (result == H1_DONE) {
            h1_write_last_chunk(&r->meaning, &trailers);
            r->in_body = false;
        }
    }
    r->is_over = result != H1_DONE;
}

static void read_all(struct reading *r, enum h1_kind kind, struct slice bytes, size_t at_once)
{
    enum h1_result last = H1_MORE;

    h1_parser_init(&r->parser, kind, &fuzz_limits);
    while (bytes.len > 0 && last != H1_BAD) {
        size_t length = bytes.len < at_once ? bytes.len : at_once;

        buffer_append(&r->in, slice_make(bytes.at, length));
        bytes = slice_skip(bytes, length);
        for (r->is_over = false; !r->is_over && (r->in_body || buffer_length(&r->in) > 0);)
            step(r);
        last = r->parser.stage == H1_STAGE_BAD ? H1_BAD : H1_MORE;
    }
    if (last != H1_BAD)
        h1_parse_eof(&r->parser);
    buffer_append_text(&r->meaning, http_reason_word(h1_parser_reason(&r->parser)));
}

static void clear_reading(struct reading *r)
{
    buffer_clear(&r->in);
    buffer_clear(&r->meaning);
    arena_clear(&r->arena);
}

/* A forwarded head, read again, comes out the same: nothing is hidden in it from the next reader.
 */
static void check_forwarded(enum h1_kind kind, struct slice bytes)
{
    struct reading first = {0};
    struct reading second = {0};
    struct http_head head;

    h1_parser_init(&first.parser, kind, &fuzz_limits);
    buffer_append(&first.in, bytes);
    if (h1_parse_head(&first.parser, &first.in, &first.arena, &head) == H1_DONE) {
        note_head(&first, &head);
        h1_parser_init(
            &second.parser, kind,
            &(struct h1_limits){.head_bytes = 65536, .fields = 64, .request_line = 4096});
        buffer_append(&second.in, buffer_content(&first.meaning));
        if (buffer_length(&second.in) > 0) {
            assert(h1_parse_head(&second.parser, &second.in, &second.arena, &head) == H1_DONE);
            assert(buffer_length(&second.in) == 0);
            note_head(&second, &head);
            assert(slice_equal(buffer_content(&first.meaning), buffer_content(&second.meaning)));
        }
    }
    clear_reading(&first);
    clear_reading(&second);
}

static void check_both_ways(enum h1_kind kind, struct slice bytes)
{
    struct reading whole = {0}, pieces = {0};

    if (bytes.len > 16384)
        return;
    read_all(&whole, kind, bytes, bytes.len);
    read_all(&pieces, kind, bytes, 1 + bytes.len % 7);
    assert(slice_equal(buffer_content(&whole.meaning), buffer_content(&pieces.meaning)));
    clear_reading(&whole);
    clear_reading(&pieces);
    if (bytes.len > 0)
        check_forwarded(kind, bytes);
}

#endif
