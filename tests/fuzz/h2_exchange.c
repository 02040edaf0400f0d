#include "fuzz/h2_exchange.h"

#include "http/h1_writer.h"
#include "support/strict_reader.h"

#include <stdio.h>
#include <stdlib.h>

enum { LONG_BODY = 200000, WRITE_MOST = 65536 };

/* --- the request, as a backend would get it --------------------------------------------------- */

static bool strict_is(struct strict_text text, struct slice slice)
{
    return strict_text_equal(text, strict_text_make(slice.at, slice.len));
}

static void give_up(const char *why, struct slice bytes)
{
    fprintf(stderr, "%s in:\n%.*s\n", why, (int)bytes.len, bytes.at);
    abort();
}

/* A body as its framing says; none where that would be too long. */
static void append_body(struct buffer *out, const struct h1_send *send)
{
    if (send->framing == BODY_CHUNKED)
        assert(h1_write_last_chunk(out, &(struct http_fields){0}));
    if (send->framing == BODY_LENGTH && send->content_length <= LONG_BODY)
        for (uint64_t i = 0; i < send->content_length; i++)
            assert(buffer_append_text(out, "."));
}

static void check_fields(const struct h2_exchange *x, const struct strict_message *got)
{
    static const char *const never[] = {"TE", "Trailer", "Keep-Alive", "Proxy-Connection",
                                        "HTTP2-Settings"};
    struct strict_text value;

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        assert(strict_fields_find(&got->fields, never[i], &value) == 0);
    assert(strict_fields_find(&got->fields, "Cookie", &value) <= 1);
    assert((strict_fields_find(&got->fields, "Upgrade", &value) == 1) == x->head.needs_upgrade);
    assert(strict_fields_find(&got->fields, "Connection", &value) == x->head.needs_upgrade);
}

/* It is what the client asked for, with the second reader's word for it. */
static void check_origin(const struct h2_exchange *x)
{
    const struct h2_seen_stream *seen = h2_reader_find(x->reader, x->stream);
    const char *value;
    ptrdiff_t len;

    assert(seen != NULL);
    len = h2_lines_find(&seen->fields, ":method", &value);
    assert(len > 0);
    if (!x->head.needs_upgrade)
        assert(slice_equal(x->head.method_text, slice_make(value, (size_t)len)));
    len = h2_lines_find(&seen->fields, ":authority", &value);
    if (len >= 0)
        assert(slice_equal(x->head.authority, slice_make(value, (size_t)len)));
    len = h2_lines_find(&seen->fields, "content-length", &value);
    if (len >= 0)
        assert(x->head.has_content_length || x->head.framing == BODY_NONE ||
               x->head.framing == BODY_CLOSE);
}

static void check_head(struct h2_exchange *x)
{
    struct http_head head = x->head;
    struct h1_send send = {.framing = head.framing,
                           .content_length = head.content_length,
                           .upgrade = head.needs_upgrade ? head.upgrade : slice_make(NULL, 0)};
    struct buffer out = {0};
    struct strict_message got;
    enum strict_verdict verdict;

    assert(head.authority.len > 0);
    check_origin(x);
    if (head.method == METHOD_CONNECT)
        return; /* answered by the gateway itself */
    if (head.framing == BODY_NONE && head.has_content_length)
        send.announce_length = true, send.content_length = 0;
    http_fields_drop_hop_by_hop(&head.fields);
    assert(h1_write_request_head(&out, &head, head.authority, &send));
    append_body(&out, &send);
    verdict =
        strict_read_request(strict_text_make(buffer_content(&out).at, buffer_length(&out)), &got);
    if (verdict == STRICT_WRONG || !got.has_head)
        give_up(got.why, buffer_content(&out));
    if (send.framing != BODY_LENGTH || send.content_length <= LONG_BODY)
        assert(verdict == STRICT_WHOLE && got.used == buffer_length(&out));
    assert(strict_is(got.method, head.method_text));
    check_fields(x, &got);
    strict_message_clear(&got);
    buffer_clear(&out);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* An answer that changed without anybody being woken is one that is never heard. */
static enum io note(struct h2_exchange *x, unsigned ask, enum io io)
{
    bool was_woken = !(x->waits & ask) || x->task.state == TASK_QUEUED;

    assert(io == IO_WAIT || was_woken);
    if (io == IO_WAIT)
        x->waits |= ask;
    return io;
}

static void read_head(struct h2_exchange *x)
{
    const struct h2_seen_stream *seen = h2_reader_find(x->reader, x->stream);
    enum io io = x->http->ops->read_head(x->http, &x->arena, &x->head);

    assert(io != IO_WAIT && seen != NULL);
    if (io == IO_OK) {
        assert(seen->fields.at != NULL);
        x->has_head = true;
        check_head(x);
        return;
    }
    assert(x->http->reason != REASON_NONE);
    x->reading_failed = true;
    x->is_refused = io == IO_ERROR && x->http->reason != REASON_CLIENT_CLOSED;
}

static void check_piece(const struct h2_exchange *x, struct slice piece)
{
    const struct h2_seen_stream *seen = h2_reader_find(x->reader, x->stream);

    assert(piece.len > 0);
    assert(x->consumed + piece.len <= seen->body.len);
    assert(memcmp(seen->body.at + x->consumed, piece.at, piece.len) == 0);
}

/* Written on they are the end of one request. */
static void check_trailers(const struct http_fields *trailers)
{
    struct buffer out = {0};
    struct strict_message got;

    assert(buffer_append_text(&out,
                              "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    assert(h1_write_last_chunk(&out, trailers));
    if (strict_read_request(strict_text_make(buffer_content(&out).at, buffer_length(&out)), &got) !=
            STRICT_WHOLE ||
        got.used != buffer_length(&out))
        give_up(got.why, buffer_content(&out));
    strict_message_clear(&got);
    buffer_clear(&out);
}

static void check_end(const struct h2_exchange *x)
{
    const struct h2_seen_stream *seen = h2_reader_find(x->reader, x->stream);

    /* Whole without the stream's end: what opens a tunnel, and what has a length of nothing. */
    if (!x->is_tunnel && (x->head.needs_upgrade || x->head.framing == BODY_NONE)) {
        assert(x->consumed == 0);
        return;
    }
    assert(seen->has_ended && x->consumed == seen->body.len);
    if (x->is_tunnel)
        return;
    assert(x->head.framing != BODY_LENGTH || x->consumed == x->head.content_length);
    check_trailers(&x->http->trailers);
}

static bool can_read_body(const struct h2_exchange *x)
{
    return x->has_head && !x->request_is_whole && !x->reading_failed;
}

/* False: nothing more for now. */
static bool read_body(struct h2_exchange *x, size_t most)
{
    struct slice piece;

    if (!can_read_body(x))
        return false;
    switch (note(x, WAITS_BODY, x->http->ops->read_body(x->http, &piece))) {
    case IO_OK: break;
    case IO_WAIT: return false;
    case IO_EOF:
        check_end(x);
        x->request_is_whole = true;
        return false;
    default:
        assert(x->http->reason != REASON_NONE);
        x->reading_failed = true;
        return false;
    }
    check_piece(x, piece);
    if (most > piece.len)
        most = piece.len;
    x->http->ops->consume_body(x->http, most);
    x->consumed += most;
    assert(x->http->bytes_read <= h2_reader_find(x->reader, x->stream)->body.len);
    return true;
}

/* --- answering -------------------------------------------------------------------------------- */

static bool can_answer(const struct h2_exchange *x)
{
    return (x->has_head || x->is_refused) && !x->has_answer && !x->writing_failed;
}

static void add(struct h2_exchange *x, struct http_head *head, const char *name, struct slice value)
{
    http_fields_add(&head->fields, &x->arena, slice_of(name), value);
}

static void write_interim(struct h2_exchange *x, uint8_t which)
{
    static const int statuses[] = {100, 103, 102, 199};
    struct http_head head = {.status = statuses[which % 4], .version_minor = 1};

    if (!can_answer(x))
        return;
    if (which & 4)
        add(x, &head, "Link", slice_of("</a>; rel=preload"));
    if (x->http->ops->write_head(x->http, &head) != IO_OK)
        x->writing_failed = true;
}

static struct slice long_value(struct h2_exchange *x)
{
    enum { LONG_VALUE = 20000 };
    char *bytes = arena_bytes(&x->arena, LONG_VALUE);

    memset(bytes, '\x01' + 'a', LONG_VALUE);
    return slice_make(bytes, LONG_VALUE);
}

static void write_head(struct h2_exchange *x, uint8_t how, uint64_t length)
{
    static const enum body_framing framings[] = {BODY_LENGTH, BODY_CHUNKED, BODY_CLOSE, BODY_NONE};
    static const int statuses[] = {200, 204, 304, 404};
    struct http_head head = {.version_minor = 1, .keeps_connection = !(how & 64)};

    bool opens_tunnel = false;

    if (!can_answer(x))
        return;
    head.status = statuses[how >> 2 & 3];
    head.framing = framings[how & 3];
    head.reason_phrase = slice_of("Any");
    if (how & 16)
        add(x, &head, "X-Upper", slice_of("Value"));
    if (how & 32)
        add(x, &head, "X-Long", long_value(x));
    if (how & 128 && x->head.needs_upgrade && x->request_is_whole) {
        head.status = 101;
        head.framing = BODY_CLOSE;
        opens_tunnel = true;
    }
    head.content_length = head.framing == BODY_LENGTH ? length : 0;
    head.has_content_length = head.framing == BODY_LENGTH;
    x->framing = head.framing;
    x->left = length;
    x->has_no_body = x->head.method == METHOD_HEAD || head.status == 204 || head.status == 304;
    x->has_answer = true;
    if (x->http->ops->write_head(x->http, &head) != IO_OK) {
        x->writing_failed = true;
    } else if (opens_tunnel) {
        x->is_tunnel = true;
        x->request_is_whole = false;
    }
    x->answer_is_whole = head.framing == BODY_NONE;
    x->is_flushed = false;
}

static bool can_write_body(const struct h2_exchange *x)
{
    return x->has_answer && !x->answer_is_whole && !x->writing_failed;
}

/* False: nothing more for now. */
static bool write_body(struct h2_exchange *x, size_t len, bool last, bool with_trailers)
{
    struct http_fields trailers = {0};
    const char *bytes;
    size_t taken = 0;
    enum io io;

    if (!can_write_body(x))
        return false;
    if (x->framing == BODY_LENGTH) {
        len = len < x->left ? len : x->left;
        last = len == x->left;
    }
    if (len == 0 && !last)
        return false;
    bytes = h2_pattern(x->written + x->stream, len);
    if (with_trailers)
        http_fields_add(&trailers, &x->arena, slice_of("X-Trailer"), slice_of("t"));
    x->http->trailers_out = with_trailers ? &trailers : NULL;
    io = note(x, last && len == 0 ? WAITS_END : WAITS_ROOM,
              x->http->ops->write_body(x->http, slice_make(bytes, len), last, &taken));
    assert(taken <= len);
    assert(io != IO_OK || taken > 0 || len == 0);
    x->http->trailers_out = NULL;
    x->is_flushed = false;
    x->written += taken;
    x->left -= x->framing == BODY_LENGTH ? taken : 0;
    if (io == IO_ERROR)
        x->writing_failed = true;
    if (io == IO_OK && last && taken == len)
        x->answer_is_whole = true;
    return io == IO_OK && !x->answer_is_whole;
}

static void flush(struct h2_exchange *x)
{
    enum io io;

    if (!x->has_answer || x->writing_failed)
        return;
    io = x->http->ops->flush(x->http);
    if (x->answer_is_whole) /* in between nobody waits for it */
        note(x, WAITS_FLUSH, io);
    x->writing_failed = io == IO_ERROR;
    x->is_flushed = io == IO_OK;
}

static void watch(struct h2_exchange *x)
{
    enum io io;

    if (!x->has_head || x->reading_failed)
        return;
    io = x->http->client->watch(x->http);
    assert(io != IO_OK);
    if (io != IO_WAIT)
        x->reading_failed = x->writing_failed = true;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end(struct h2_exchange *x, enum http_end how)
{
    bool is_over = x->answer_is_whole && x->is_flushed && !x->writing_failed;

    if (!is_over)
        how = HTTP_END_ABORT;
    if (how == HTTP_END_REUSE && x->is_tunnel)
        how = HTTP_END_CLOSE;
    x->http->ops->end(x->http, how);
    x->http = NULL;
}

static bool step_by_itself(struct h2_exchange *x)
{
    if (!x->has_head && !x->reading_failed) {
        read_head(x);
        return true;
    }
    if (x->writing_failed || (x->reading_failed && !x->is_refused)) {
        end(x, HTTP_END_ABORT);
        return false;
    }
    while (read_body(x, SIZE_MAX))
        continue;
    if (can_answer(x)) {
        write_head(x, x->head.needs_upgrade ? 128 + 1 : 0, x->left);
        return true;
    }
    while (write_body(x, 10000, true, false))
        continue;
    flush(x);
    if (x->writing_failed || (x->reading_failed && !x->is_refused))
        return true;
    if (x->answer_is_whole && x->is_flushed)
        end(x, HTTP_END_REUSE);
    return false;
}

static void run(void *owner)
{
    struct h2_exchange *x = owner;

    x->waits = 0;
    while (x->http != NULL && x->is_auto && step_by_itself(x))
        continue;
}

void h2_exchange_go_on(struct h2_exchange *x)
{
    x->is_auto = true;
    loop_wake(x->loop, &x->task);
}

void h2_exchange_act(struct h2_exchange *x, const struct h2_record *record)
{
    size_t size = record->c < 128 ? record->c : (record->c - 127u) * 512u;

    switch ((enum h2_exchange_act)record->what) {
    case EXCHANGE_HEAD:
        if (!x->has_head && !x->reading_failed)
            read_head(x);
        break;
    case EXCHANGE_BODY: read_body(x, record->b * 256u + record->c); break;
    case EXCHANGE_INTERIM: write_interim(x, record->b); break;
    case EXCHANGE_ANSWER: write_head(x, record->b, size); break;
    case EXCHANGE_WRITE: write_body(x, size, record->b & 1, record->b & 2); break;
    case EXCHANGE_FLUSH: flush(x); break;
    case EXCHANGE_WATCH: watch(x); break;
    case EXCHANGE_END: end(x, record->b % 3); break;
    case EXCHANGE_AUTO:
        if (!x->has_answer)
            x->left = size * (record->b % 8u);
        h2_exchange_go_on(x);
        break;
    case EXCHANGE_ACTS_END: break;
    }
}

/* --- life ------------------------------------------------------------------------------------- */

struct h2_exchange *h2_exchange_new(struct loop *loop, struct http_stream *http,
                                    const struct h2_reader *reader)
{
    struct h2_exchange *x = memory_new(sizeof(*x));

    x->http = http;
    x->loop = loop;
    x->reader = reader;
    x->stream = (uint32_t)h2_stream_of(http)->id;
    task_init(&x->task, run, x);
    http->task = &x->task;
    return x;
}

static void free_exchange(void *owner)
{
    struct h2_exchange *x = owner;

    arena_clear(&x->arena);
    free(x);
}

void h2_exchange_cut(struct h2_exchange *x)
{
    if (x->http != NULL)
        end(x, HTTP_END_ABORT);
}

void h2_exchange_free(struct h2_exchange *x)
{
    h2_exchange_cut(x);
    loop_bury(x->loop, &x->task, free_exchange);
}

void h2_exchange_check(const struct h2_exchange *x, const struct h2_seen_stream *seen)
{
    size_t length = seen->answer_body.len;

    assert(length <= x->written);
    assert(length == 0 || memcmp(seen->answer_body.at, h2_pattern(x->stream, length), length) == 0);
    if (seen->answer == H2_ANSWER_WHOLE) {
        assert(x->answer_is_whole || x->has_no_body || seen->status >= 400);
        assert(x->has_no_body || length == x->written);
    }
}
