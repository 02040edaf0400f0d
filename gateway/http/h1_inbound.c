#include "http/h1_internal.h"

/* A large block that cannot be had need not be: a small one does as well. */
static bool make_room(struct buffer *in, size_t target)
{
    size_t length = buffer_length(in);

    return buffer_reserve(in, length < target ? target - length : target) ||
           (length < BUFFER_SMALL && buffer_reserve(in, BUFFER_SMALL - length));
}

enum io h1_fill(struct h1_connection *c, size_t target)
{
    enum io io = IO_ERROR;

    if (make_room(&c->in, target))
        io = stream_read(h1_below(c), &c->in);
    else
        c->lacks_memory = true;
    if (io != IO_OK)
        buffer_rest(&c->in);
    return io;
}

enum io h1_fail_reading(struct h1_connection *c, enum http_reason reason)
{
    c->reading = READ_FAILED;
    c->http.reason = reason;
    return IO_ERROR;
}

static enum io fail_cut(struct h1_connection *c)
{
    if (c->lacks_memory)
        return h1_fail_reading(c, REASON_OVER_LIMIT);
    return h1_fail_reading(c,
                           c->role == H1_TO_CLIENT ? REASON_CLIENT_CLOSED : REASON_BACKEND_RESET);
}

/* Seconds of "Keep-Alive: timeout=5, max=100". */
static unsigned read_idle_hint(const struct http_fields *fields)
{
    static const struct slice name = {"timeout=", 8};
    const struct http_field *field = http_fields_get(fields, FIELD_KEEP_ALIVE);
    struct slice rest, element;
    uint64_t seconds;

    if (!field)
        return 0;
    rest = field->value;
    while (slice_next_in_list(&rest, &element))
        if (element.len > name.len && slice_equal_nocase(slice_make(element.at, name.len), name) &&
            slice_parse_u64(slice_skip(element, name.len), &seconds))
            return seconds > UINT32_MAX ? UINT32_MAX : (unsigned)seconds;
    return 0;
}

static void note_head(struct h1_connection *c, const struct http_head *head)
{
    if (c->role == H1_TO_CLIENT) {
        c->method = head->method;
        c->client_minor = head->version_minor;
        c->expects_continue = head->expects_continue && head->framing != BODY_NONE;
    } else {
        if (head->status < 200 && head->status != 101)
            return;
        c->idle_hint_s = read_idle_hint(&head->fields);
    }
    c->keeps_connection = head->keeps_connection;
    c->reading = head->framing == BODY_NONE ? READ_DONE : READ_BODY;
}

/* 1xx heads count together towards the limit on one, whose copies all stay until the answer is
 * over. */
static enum io take_head(struct h1_connection *c, const struct http_head *head, size_t bytes)
{
    bool is_interim = c->role == H1_TO_BACKEND && head->status < 200 && head->status != 101;

    if (is_interim)
        c->interim_bytes += (uint32_t)bytes;
    if (c->interim_bytes > c->parser.limits->head_bytes)
        return h1_fail_reading(c, REASON_BACKEND_BAD_RESPONSE);
    note_head(c, head);
    buffer_rest(&c->in);
    if (c->role == H1_TO_BACKEND && head->status == 101)
        h1_become_tunnel(c);
    return IO_OK;
}

enum io h1_read_head(struct http_stream *http, struct arena *arena, struct http_head *head)
{
    struct h1_connection *c = h1_connection_of(http);

    http->arena = arena;
    if (c->reading == READ_FAILED)
        return IO_ERROR;
    assert(c->reading == READ_HEAD);
    for (;;) {
        size_t length = buffer_length(&c->in);

        switch (h1_parse_head(&c->parser, &c->in, arena, head)) {
        case H1_DONE: return take_head(c, head, length - buffer_length(&c->in));
        case H1_BAD: return h1_fail_reading(c, h1_parser_reason(&c->parser));
        case H1_MORE: break;
        }
        /* A response's body comes right behind its head. */
        enum io io = h1_fill(c, c->http.starts_large ? BUFFER_LARGE : BUFFER_SMALL);
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io == IO_OK)
            continue;
        fail_cut(c);
        return h1_parser_has_begun(&c->parser) || c->interim_bytes > 0 || c->lacks_memory ? IO_ERROR
                                                                                          : IO_EOF;
    }
}

size_t h1_hold_head(struct http_stream *http)
{
    return buffer_tighten(&h1_connection_of(http)->in);
}

/* The client waits with its body until it is told to go on (RFC 9110 section 10.1.1). */
static void answer_expectation(struct h1_connection *c)
{
    if (c->writing != WRITE_HEAD)
        return;
    if (c->expects_continue) {
        c->expects_continue = false;
        buffer_append_text(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    /* Where it cannot leave at once the task is woken, and asks for the body again. */
    if (buffer_length(&c->out) > 0)
        h1_flush(&c->http);
}

static enum io end_of_input(struct h1_connection *c)
{
    if (h1_parse_eof(&c->parser) != H1_DONE)
        return fail_cut(c);
    c->reading = READ_DONE;
    return IO_EOF;
}

/* A body is read in large pieces once it turns out long, or from the start. */
static size_t choose_piece(const struct h1_connection *c)
{
    if (!c->http.starts_large && c->http.bytes_read < BUFFER_SMALL)
        return BUFFER_SMALL;
    return c->http.is_fast && buffer_bulk_is_left() ? BUFFER_BULK : BUFFER_LARGE;
}

enum io h1_read_body(struct http_stream *http, struct slice *piece)
{
    struct h1_connection *c = h1_connection_of(http);

    while (c->reading == READ_BODY) {
        switch (h1_parse_body(&c->parser, &c->in, http->arena, piece, &http->trailers)) {
        case H1_DONE:
            if (piece->len > 0)
                return IO_OK;
            c->reading = READ_DONE;
            buffer_rest(&c->in);
            return IO_EOF;
        case H1_BAD: return h1_fail_reading(c, h1_parser_reason(&c->parser));
        case H1_MORE: break;
        }
        if (c->role == H1_TO_CLIENT)
            answer_expectation(c);
        enum io io = h1_fill(c, choose_piece(c));
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io == IO_EOF)
            return end_of_input(c);
        if (io == IO_ERROR)
            return fail_cut(c);
    }
    return c->reading == READ_DONE ? IO_EOF : IO_ERROR;
}

void h1_consume_body(struct http_stream *http, size_t bytes)
{
    struct h1_connection *c = h1_connection_of(http);

    h1_body_consumed(&c->parser, &c->in, bytes);
    http->bytes_read += bytes;
}

enum io h1_watch(struct http_stream *http)
{
    struct h1_connection *c = h1_connection_of(http);

    assert(c->role == H1_TO_CLIENT);
    while (buffer_length(&c->in) < BUFFER_SMALL) {
        enum io io = h1_fill(c, BUFFER_SMALL);

        if (c->lacks_memory) { /* nobody needs these bytes yet */
            c->lacks_memory = false;
            return IO_WAIT;
        }
        if (io != IO_OK)
            return io;
    }
    return IO_WAIT; /* for whoever consumes */
}
