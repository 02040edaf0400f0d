/* Field sections of HTTP/2, whatever nghttp2 would say to them: what is understood, and written to
 * a backend, is exactly one request to a second and strict reader, with nothing of a connection in
 * it; what is made of it once more is the same.
 *
 * Input: a byte that says whether a body follows, underscores are allowed, and these are trailers;
 * then lines "name:value". A VT stands for LF within them. */
#include "base/check.h"
#include "http/h1_writer.h"
#include "http/h2_semantics.h"
#include "support/strict_reader.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { ENDS = 1, UNDERSCORES = 2, TRAILERS = 4 };

static struct arena arena;

/* The fields as they come: pseudo-header fields have a colon in front. */
static void add_fields(struct http_fields *fields, struct slice text)
{
    char *copy = arena_bytes(&arena, text.len);
    struct slice rest = slice_make(copy, text.len);

    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    while (rest.len > 0) {
        ptrdiff_t end = slice_find(rest, '\n');
        struct slice line = end < 0 ? rest : slice_make(rest.at, (size_t)end), name = line;
        ptrdiff_t colon = line.len > 0 ? slice_find(slice_skip(line, 1), ':') : -1;

        if (colon >= 0)
            name.len = (size_t)colon + 1;
        rest = slice_skip(rest, end < 0 ? rest.len : line.len + 1);
        for (size_t i = 0; i < line.len; i++)
            if (line.at[i] == '\v')
                copy[line.at - copy + (ptrdiff_t)i] = '\n';
        http_fields_add(fields, &arena, name,
                        slice_skip(line, colon >= 0 ? name.len + 1 : name.len));
    }
}

/* What an exchange never sends on. */
static void drop_lookalikes(struct http_fields *fields)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->list[i].id != FIELD_LOOKALIKE)
            fields->list[kept++] = fields->list[i];
    fields->count = kept;
}

static void check_names(const struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];

        assert(field->name.at[0] != ':');
        for (size_t j = 0; j < field->name.len; j++)
            assert(field->name.at[j] < 'A' || field->name.at[j] > 'Z');
        assert(field->id != FIELD_TRANSFER_ENCODING && field->id != FIELD_CONNECTION);
    }
}

static void fail(const struct buffer *out, const char *why)
{
    struct slice bytes = buffer_content(out);

    fprintf(stderr, "%s:\n%.*s\n", why, (int)bytes.len, bytes.at);
    abort();
}

static void check_written(const struct http_head *head, const struct buffer *out)
{
    static struct strict_message read;
    struct slice bytes = buffer_content(out);
    enum strict_verdict verdict = strict_read_request(strict_text_make(bytes.at, bytes.len), &read);
    bool is_cut = head->framing == BODY_LENGTH; /* there is none here */

    if (verdict != (is_cut ? STRICT_CUT : STRICT_WHOLE) || !read.has_head)
        fail(out, read.why ? read.why : "whole, with a body that is not there");
    if (!is_cut && read.used != bytes.len)
        fail(out, "more than one request");
    if (is_cut && (read.length != head->content_length || read.body_len > 0))
        fail(out, "a body of another length");
    assert(strict_text_equal(read.method,
                             strict_text_make(head->method_text.at, head->method_text.len)));
    strict_message_clear(&read);
}

static void write_request(struct http_head *head, struct buffer *out)
{
    struct h1_send send = {.framing = head->framing,
                           .content_length = head->content_length,
                           .announce_length =
                               head->framing == BODY_NONE && head->has_content_length,
                           .upgrade = head->upgrade};

    http_fields_drop_hop_by_hop(&head->fields);
    drop_lookalikes(&head->fields);
    h1_write_request_head(out, head, head->authority, &send);
    if (send.framing == BODY_CHUNKED)
        h1_write_last_chunk(out, NULL);
}

static void try_request(struct slice text, unsigned how)
{
    struct http_head head = {0};
    struct buffer out = {0};
    const char *detail;
    enum h2_verdict verdict;

    add_fields(&head.fields, text);
    verdict = h2_understand_request(&head, &arena, how & ENDS, how & UNDERSCORES, &detail);
    assert((verdict == H2_UNDERSTOOD) == (detail == NULL));
    if (verdict != H2_UNDERSTOOD)
        return;
    check_names(&head.fields);
    assert(head.framing == BODY_NONE || !(how & ENDS));
    assert(head.framing == BODY_NONE || !head.needs_upgrade);
    assert(head.method_text.len > 0 && head.host.len > 0 && head.authority.len > 0);
    if (head.method == METHOD_CONNECT) { /* which no backend gets */
        assert(head.path.len == 0 && !head.needs_upgrade);
        return;
    }
    assert(head.path.len > 0);
    write_request(&head, &out);
    check_written(&head, &out);
    buffer_clear(&out);
}

static void try_trailers(struct slice text, unsigned how)
{
    struct http_head head = {.method_text = slice_of("POST"),
                             .path = slice_of("/"),
                             .framing = BODY_CHUNKED,
                             .authority = slice_of("a")};
    struct h1_send send = {.framing = BODY_CHUNKED};
    struct http_fields trailers = {0};
    struct buffer out = {0};
    const char *detail;
    bool is_understood;

    add_fields(&trailers, text);
    is_understood = h2_understand_trailers(&trailers, how & UNDERSCORES, &detail);
    assert(is_understood == (detail == NULL));
    if (!is_understood)
        return;
    check_names(&trailers);
    h1_write_request_head(&out, &head, head.authority, &send);
    h1_write_last_chunk(&out, &trailers);
    check_written(&head, &out);
    buffer_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct slice text = slice_make((const char *)bytes, length);

    if (length == 0 || length > 4096)
        return 0;
    if (bytes[0] & TRAILERS)
        try_trailers(slice_skip(text, 1), bytes[0]);
    else
        try_request(slice_skip(text, 1), bytes[0]);
    arena_reset(&arena);
    return 0;
}
