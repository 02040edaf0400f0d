#include "http/h1_parser.h"

#include "base/check.h"
#include "http/h1_fields.h"
#include "http/h1_semantics.h"
#include "http/semantics.h"

enum {
    EMPTY_LINES_MAX = 4,
    CHUNK_LINE_MAX = 1024,      /* extensions are read over, but not for ever */
    CHUNK_DIGITS_MAX = 16,      /* of a 64 bit number */
    EXTENSIONS_MAX = 16 * 1024, /* beyond as much as there is body */
};

/* --- verdicts ------------------------------------------------------------------------------- */

static enum h1_result refuse(struct h1_parser *p, enum http_reason reason, const char *detail)
{
    /* That there is no memory here is no server's mistake. */
    bool is_kept = p->kind == H1_REQUEST || reason == REASON_OVER_LIMIT;

    p->stage = H1_STAGE_BAD;
    p->reason = is_kept ? reason : REASON_BACKEND_BAD_RESPONSE;
    p->detail = detail;
    return H1_BAD;
}

static enum h1_result malformed(struct h1_parser *p, const char *detail)
{
    return refuse(p, REASON_BAD_REQUEST, detail);
}

enum http_reason h1_parser_reason(const struct h1_parser *parser)
{
    return parser->reason;
}

const char *h1_parser_detail(const struct h1_parser *parser)
{
    return parser->detail ? parser->detail : "";
}

/* --- start lines ---------------------------------------------------------------------------- */

static bool take_version(struct h1_parser *p, struct slice text)
{
    static const struct slice prefix = {"HTTP/1.", 7};

    if (text.len != prefix.len + 1 || !slice_starts_with(text, prefix))
        return false;
    p->version_minor = (uint8_t)(text.at[prefix.len] - '0');
    return p->version_minor <= 1;
}

/* The method of a request line, complete or not. */
static bool is_method_so_far(struct slice line, size_t *length)
{
    ptrdiff_t space = slice_find(slice_make(line.at, line.len < HTTP_METHOD_LONGEST + 1
                                                         ? line.len
                                                         : HTTP_METHOD_LONGEST + 1),
                                 ' ');

    *length = space < 0 ? line.len : (size_t)space;
    return *length <= HTTP_METHOD_LONGEST && http_is_token(slice_make(line.at, *length));
}

static enum h1_result take_request_line(struct h1_parser *p, struct slice line)
{
    size_t method;

    if (!is_method_so_far(line, &method) || method == line.len)
        return malformed(p, "a request line without a method");

    struct slice rest = slice_skip(line, method + 1);
    ptrdiff_t space = slice_find(rest, ' ');
    if (space <= 0 || !take_version(p, slice_skip(rest, (size_t)space + 1)))
        return malformed(p, "a request line without a target, HTTP/1.0 or HTTP/1.1");
    p->method_bytes = (uint8_t)method;
    p->target_bytes = (uint32_t)space;
    return H1_DONE;
}

enum { STATUS_AT = 9, PHRASE_AT = 13 }; /* "HTTP/1.1 200 OK" */

/* So that what speaks another protocol is known by its first bytes, whether a line ends or not. */
static bool is_status_line_so_far(struct slice line)
{
    static const struct slice prefix = {"HTTP/1.", 7};

    return slice_starts_with(line, prefix) || slice_starts_with(prefix, line);
}

static enum h1_result take_status_line(struct h1_parser *p, struct slice line)
{
    uint64_t status;

    if (line.len < PHRASE_AT - 1 || !take_version(p, slice_make(line.at, STATUS_AT - 1)) ||
        line.at[STATUS_AT - 1] != ' ')
        return malformed(p, "a status line that does not begin with HTTP/1.0 or HTTP/1.1");
    if (!slice_parse_u64(slice_make(line.at + STATUS_AT, 3), &status) || status < 100 ||
        status > 599)
        return malformed(p, "an impossible status code");
    /* Without a phrase its space is often missing too. */
    if (line.len > PHRASE_AT - 1 &&
        (line.at[PHRASE_AT - 1] != ' ' || !http_is_field_value(slice_skip(line, PHRASE_AT))))
        return malformed(p, "a reason phrase with controls");
    p->status = (uint16_t)status;
    return H1_DONE;
}

/* --- lines ---------------------------------------------------------------------------------- */

static void start_lines(struct h1_parser *p, enum h1_stage stage)
{
    p->stage = (uint8_t)stage;
    p->line_start = p->searched = p->field_lines = p->start_bytes = 0;
}

static enum h1_result take_line(struct h1_parser *p, struct slice line)
{
    if (p->stage == H1_STAGE_HEAD && p->start_bytes == 0) {
        enum h1_result result =
            p->kind == H1_REQUEST ? take_request_line(p, line) : take_status_line(p, line);

        p->start_bytes = p->line_start;
        return result == H1_DONE ? H1_MORE : result;
    }
    if (p->line_start > p->limits->head_bytes)
        return refuse(p, REASON_HEADER_TOO_LARGE, "more bytes than the limit on heads");
    if (line.len == 0)
        return H1_DONE;
    if (line.at[0] == ' ' || line.at[0] == '\t')
        return malformed(p, "a folded line");
    if (++p->field_lines > p->limits->fields)
        return refuse(p, REASON_HEADER_TOO_LARGE, "more fields than the limit");
    return H1_MORE;
}

/* What can be said before a line's end was looked at, which may not be there yet: `bytes` end where
 * it will be. Asked in any case, so that the verdict does not depend on how the bytes came. */
static enum h1_result judge_so_far(struct h1_parser *p, struct slice bytes)
{
    if (p->stage == H1_STAGE_HEAD && p->start_bytes == 0) {
        size_t method;

        bool may_be_empty_line = bytes.len == 1 && bytes.at[0] == '\r';

        if (p->kind == H1_REQUEST && bytes.len > 0 && !may_be_empty_line &&
            !is_method_so_far(bytes, &method))
            return malformed(p, "a request line without a method");
        if (p->kind == H1_RESPONSE && !is_status_line_so_far(bytes))
            return malformed(p, "an answer that does not begin with HTTP/1");
        if (bytes.len > (size_t)p->limits->request_line + 1)
            return refuse(p, REASON_URI_TOO_LONG, "a start line over the limit");
    } else if (p->stage == H1_STAGE_CHUNK_SIZE) {
        if (bytes.len > CHUNK_LINE_MAX)
            return malformed(p, "a chunk's size line without end");
    } else if (bytes.len > p->limits->head_bytes) {
        return refuse(p, REASON_HEADER_TOO_LARGE, "more bytes than the limit on heads");
    }
    return H1_MORE;
}

/* H1_DONE: *line is the next one, without its end. */
static enum h1_result next_line(struct h1_parser *p, struct slice bytes, struct slice *line)
{
    const char *end = NULL;
    enum h1_result result;

    if (bytes.len > p->searched)
        end = memchr(bytes.at + p->searched, '\n', bytes.len - p->searched);
    p->searched = (uint32_t)(end ? (size_t)(end - bytes.at) : bytes.len);
    result = judge_so_far(p, slice_make(bytes.at, p->searched));
    if (result == H1_BAD || !end)
        return result;

    *line = slice_make(bytes.at + p->line_start, p->searched - p->line_start);
    if (line->len == 0 || line->at[--line->len] != '\r')
        return malformed(p, "a line that ends in LF alone");
    if (memchr(line->at, '\r', line->len))
        return malformed(p, "a CR within a line");
    p->line_start = ++p->searched;
    return H1_DONE;
}

/* Goes on line by line to the empty one. H1_DONE: *length bytes are the whole of it. */
static enum h1_result find_end_of_lines(struct h1_parser *p, struct slice bytes, size_t *length)
{
    enum h1_result result = H1_MORE;

    while (result == H1_MORE) {
        struct slice line;

        result = next_line(p, bytes, &line);
        if (result != H1_DONE)
            return result;
        result = take_line(p, line);
    }
    *length = p->line_start;
    return result;
}

static enum h1_result take_fields(struct h1_parser *p, struct slice lines, struct arena *arena,
                                  struct http_fields *fields)
{
    const char *problem;
    enum http_reason reason = h1_fields_take(p, lines, arena, fields, &problem);

    return reason == REASON_NONE ? H1_DONE : refuse(p, reason, problem);
}

/* --- heads ---------------------------------------------------------------------------------- */

void h1_parser_init(struct h1_parser *parser, enum h1_kind kind, const struct h1_limits *limits)
{
    *parser = (struct h1_parser){
        .limits = limits, .kind = (uint8_t)kind, .stage = H1_STAGE_ENDED, .asked_with = METHOD_GET};
}

void h1_parser_expect_response(struct h1_parser *parser, enum http_method asked_with)
{
    parser->asked_with = (uint8_t)asked_with;
}

bool h1_parser_has_begun(const struct h1_parser *parser)
{
    return parser->stage != H1_STAGE_ENDED &&
           (parser->stage != H1_STAGE_HEAD || parser->searched > 0);
}

void h1_skip_empty_lines(struct h1_parser *p, struct buffer *in)
{
    if (p->stage == H1_STAGE_ENDED) {
        start_lines(p, H1_STAGE_HEAD);
        p->empty_lines = 0;
    }
    if (p->kind != H1_REQUEST || p->stage != H1_STAGE_HEAD || p->line_start > 0)
        return;
    while (p->empty_lines < EMPTY_LINES_MAX &&
           slice_starts_with(buffer_content(in), slice_make("\r\n", 2))) {
        buffer_consume(in, 2);
        p->searched = 0;
        p->empty_lines++;
    }
}

/* Slices of the start line, which was found good when it came. */
static void split_start_line(const struct h1_parser *p, struct slice block, struct http_head *head)
{
    head->version_minor = p->version_minor;
    if (p->kind == H1_REQUEST) {
        head->method_text = slice_make(block.at, p->method_bytes);
        head->target = slice_make(block.at + p->method_bytes + 1, p->target_bytes);
    } else {
        size_t line = p->start_bytes - 2;

        head->status = p->status;
        if (line > PHRASE_AT)
            head->reason_phrase = slice_make(block.at + PHRASE_AT, line - PHRASE_AT);
    }
}

static void start_body(struct h1_parser *p, const struct http_head *head)
{
    p->body_left = head->content_length;
    switch (head->framing) {
    case BODY_NONE: p->stage = H1_STAGE_ENDED; break;
    case BODY_LENGTH: p->stage = H1_STAGE_LENGTH; break;
    case BODY_CHUNKED:
        p->extension_room = EXTENSIONS_MAX;
        start_lines(p, H1_STAGE_CHUNK_SIZE);
        break;
    case BODY_CLOSE: p->stage = H1_STAGE_UNTIL_EOF; break;
    }
}

enum h1_result h1_parse_head(struct h1_parser *parser, struct buffer *in, struct arena *arena,
                             struct http_head *head)
{
    const char *problem;
    size_t length;

    if (parser->stage == H1_STAGE_BAD)
        return H1_BAD;
    h1_skip_empty_lines(parser, in);
    assert(parser->stage == H1_STAGE_HEAD); /* the last message's body was read to its end */

    enum h1_result result = find_end_of_lines(parser, buffer_content(in), &length);
    if (result != H1_DONE)
        return result;

    if (!h1_fields_provide(parser, arena, length))
        return refuse(parser, REASON_OVER_LIMIT, "no memory for the head");
    struct slice block = arena_copy(arena, slice_make(buffer_content(in).at, length));
    *head = (struct http_head){0};
    split_start_line(parser, block, head);
    if (take_fields(parser, slice_skip(block, parser->start_bytes), arena, &head->fields) == H1_BAD)
        return H1_BAD;
    problem = parser->kind == H1_REQUEST ? h1_understand_request(head, arena)
                                         : h1_understand_response(head, arena, parser->asked_with);
    if (problem)
        return malformed(parser, problem);
    buffer_consume(in, length);
    start_body(parser, head);
    return H1_DONE;
}

/* --- bodies --------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Extensions are paid for by the body that comes with them, so that a body of nothing else ends. */
static bool take_extension(struct h1_parser *p, struct slice extension)
{
    if (extension.len > p->extension_room)
        return false;
    p->extension_room -= (uint32_t)extension.len;
    if (p->body_left < EXTENSIONS_MAX - p->extension_room)
        p->extension_room += (uint32_t)p->body_left;
    else
        p->extension_room = EXTENSIONS_MAX;
    return extension.len == 0 || (extension.at[0] == ';' && http_is_field_value(extension));
}

/* "1f" or "1f;name=value": extensions end here, nobody else has to understand them. */
static bool take_chunk_size(struct h1_parser *p, struct slice line)
{
    size_t digits = 0;

    p->body_left = 0;
    while (digits < line.len && hex_value(line.at[digits]) >= 0)
        p->body_left = p->body_left * 16 + (uint64_t)hex_value(line.at[digits++]);
    /* Beyond 63 bits some would count backwards. */
    if (digits == 0 || digits > CHUNK_DIGITS_MAX || p->body_left > INT64_MAX)
        return false;
    return take_extension(p, slice_skip(line, digits));
}

static enum h1_result read_chunk_size(struct h1_parser *p, struct buffer *in)
{
    struct slice line;
    enum h1_result result = next_line(p, buffer_content(in), &line);

    if (result != H1_DONE)
        return result;
    if (!take_chunk_size(p, line))
        return malformed(p, "a chunk without a size");
    buffer_consume(in, p->line_start);
    if (p->body_left == 0)
        start_lines(p, H1_STAGE_TRAILERS);
    else
        p->stage = H1_STAGE_CHUNK_DATA;
    return H1_DONE;
}

static enum h1_result read_chunk_end(struct h1_parser *p, struct buffer *in)
{
    struct slice bytes = buffer_content(in), end = slice_make("\r\n", 2);

    if (bytes.len < end.len && slice_starts_with(end, bytes))
        return H1_MORE;
    if (!slice_starts_with(bytes, end))
        return malformed(p, "a chunk that is longer than its size");
    buffer_consume(in, end.len);
    start_lines(p, H1_STAGE_CHUNK_SIZE);
    return H1_DONE;
}

static enum h1_result read_trailers(struct h1_parser *p, struct buffer *in, struct arena *arena,
                                    struct http_fields *trailers)
{
    size_t length;
    enum h1_result result = find_end_of_lines(p, buffer_content(in), &length);

    if (result != H1_DONE)
        return result;
    if (p->field_lines > 0) {
        if (!h1_fields_provide(p, arena, length))
            return refuse(p, REASON_OVER_LIMIT, "no memory for the trailers");
        struct slice lines = arena_copy(arena, slice_make(buffer_content(in).at, length));

        if (take_fields(p, lines, arena, trailers) == H1_BAD)
            return H1_BAD;
        http_drop_forbidden_trailers(trailers);
    }
    buffer_consume(in, length);
    p->stage = H1_STAGE_ENDED;
    return H1_DONE;
}

static enum h1_result take_front(const struct buffer *in, uint64_t most, struct slice *piece)
{
    *piece = buffer_content(in);
    if (piece->len > most)
        piece->len = (size_t)most;
    return piece->len > 0 ? H1_DONE : H1_MORE;
}

enum h1_result h1_parse_body(struct h1_parser *parser, struct buffer *in, struct arena *arena,
                             struct slice *piece, struct http_fields *trailers)
{
    enum h1_result result = H1_DONE;

    *piece = slice_make(NULL, 0);
    *trailers = (struct http_fields){0};
    while (result == H1_DONE) {
        switch ((enum h1_stage)parser->stage) {
        case H1_STAGE_LENGTH:
        case H1_STAGE_CHUNK_DATA: return take_front(in, parser->body_left, piece);
        case H1_STAGE_UNTIL_EOF: return take_front(in, UINT64_MAX, piece);
        case H1_STAGE_CHUNK_SIZE: result = read_chunk_size(parser, in); break;
        case H1_STAGE_CHUNK_END: result = read_chunk_end(parser, in); break;
        case H1_STAGE_TRAILERS: return read_trailers(parser, in, arena, trailers);
        case H1_STAGE_ENDED: return H1_DONE;
        case H1_STAGE_BAD: return H1_BAD;
        case H1_STAGE_HEAD: assert(!"a body is asked for behind its head"); return H1_BAD;
        }
    }
    return result;
}

void h1_body_consumed(struct h1_parser *parser, struct buffer *in, size_t bytes)
{
    buffer_consume(in, bytes);
    if (parser->stage == H1_STAGE_UNTIL_EOF)
        return;
    assert(bytes <= parser->body_left);
    parser->body_left -= bytes;
    if (parser->body_left == 0)
        parser->stage = parser->stage == H1_STAGE_LENGTH ? H1_STAGE_ENDED : H1_STAGE_CHUNK_END;
}

enum h1_result h1_parse_eof(struct h1_parser *parser)
{
    if (parser->stage == H1_STAGE_BAD)
        return H1_BAD;
    if (parser->stage == H1_STAGE_UNTIL_EOF)
        parser->stage = H1_STAGE_ENDED;
    if (!h1_parser_has_begun(parser))
        return H1_DONE;
    return malformed(parser, "the connection ended within a message");
}

void h1_parser_become_tunnel(struct h1_parser *parser)
{
    assert(parser->stage == H1_STAGE_ENDED);
    parser->stage = H1_STAGE_UNTIL_EOF;
}
