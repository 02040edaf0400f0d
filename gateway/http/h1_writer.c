#include "http/h1_writer.h"

#include "base/check.h"

enum { NUMBER_LONGEST = 20 };

/* --- putting bytes where room was reserved: each says where the next ones go ------------------ */

static inline char *put(char *to, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(to, bytes.at, bytes.len);
    return to + bytes.len;
}

/* Inline, so that the length of a literal is known where it is put. */
static inline char *put_text(char *to, const char *text)
{
    return put(to, slice_of(text));
}

static char *put_number(char *to, uint64_t value)
{
    char digits[NUMBER_LONGEST];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(to, slice_make(digits + at, sizeof(digits) - at));
}

static char *put_field(char *to, struct slice name, struct slice value)
{
    to = put_text(put(to, name), ": ");
    return put_text(put(to, value), "\r\n");
}

/* What was put ends at `end`. */
static void note_put(struct buffer *out, const char *end)
{
    buffer_added(out, (size_t)(end - buffer_tail(out)));
}

/* --- heads ---------------------------------------------------------------------------------- */

/* More than any line or field that is written here for itself, without what is measured. */
enum { FIXED_BYTES = 256 };

static size_t fields_size(const struct http_fields *fields)
{
    size_t size = 0;

    for (uint32_t i = 0; i < fields->count; i++)
        size += fields->list[i].name.len + fields->list[i].value.len + 4;
    return size;
}

/* Host is left out: a request's was written in front, and nothing else has one. */
static char *put_fields(char *to, const struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->list[i].id != FIELD_HOST)
            to = put_field(to, fields->list[i].name, fields->list[i].value);
    return to;
}

static char *put_framing(char *to, const struct h1_send *send)
{
    if (send->framing == BODY_CHUNKED)
        return put_text(to, "Transfer-Encoding: chunked\r\n");
    if (send->framing != BODY_LENGTH && !send->announce_length)
        return to;
    to = put_number(put_text(to, "Content-Length: "), send->content_length);
    return put_text(to, "\r\n");
}

static char *put_connection(char *to, const struct h1_send *send)
{
    if (send->upgrade.len > 0) {
        to = put_text(to,
                      send->close ? "Connection: close, upgrade\r\n" : "Connection: upgrade\r\n");
        return put_field(to, slice_of("Upgrade"), send->upgrade);
    }
    if (send->close)
        return put_text(to, "Connection: close\r\n");
    return send->keep_alive_http10 ? put_text(to, "Connection: keep-alive\r\n") : to;
}

static char *put_rest_of_head(char *to, const struct http_head *head, const struct h1_send *send)
{
    to = put_framing(put_fields(to, &head->fields), send);
    return put_text(put_connection(to, send), "\r\n");
}

bool h1_write_request_head(struct buffer *out, const struct http_head *head, struct slice host,
                           const struct h1_send *send)
{
    size_t size = FIXED_BYTES + head->method_text.len + head->path.len + head->query.len +
                  host.len + send->upgrade.len + fields_size(&head->fields);

    if (!buffer_reserve(out, size))
        return false;
    char *to = put_text(put(buffer_tail(out), head->method_text), " ");
    to = put(put(to, head->path), head->query);
    to = put_field(put_text(to, " HTTP/1.1\r\n"), slice_of("Host"), host);
    note_put(out, put_rest_of_head(to, head, send));
    return true;
}

bool h1_write_response_head(struct buffer *out, const struct http_head *head,
                            const struct h1_send *send)
{
    struct slice phrase = head->reason_phrase;

    if (phrase.len == 0)
        phrase = slice_of(http_status_phrase(head->status));
    if (!buffer_reserve(out,
                        FIXED_BYTES + phrase.len + send->upgrade.len + fields_size(&head->fields)))
        return false;
    assert(head->status >= 100 && head->status <= 999);
    char *to = put_text(buffer_tail(out), "HTTP/1.1 ");
    to = put_text(put_number(to, (uint64_t)head->status), " ");
    to = put_text(put(to, phrase), "\r\n");
    note_put(out, put_rest_of_head(to, head, send));
    return true;
}

/* --- chunked -------------------------------------------------------------------------------- */

bool h1_write_chunk_start(struct buffer *out, size_t bytes)
{
    static const char hex[] = "0123456789abcdef";
    char line[sizeof(bytes) * 2 + 2];
    size_t at = sizeof(line);

    assert(bytes > 0); /* an empty chunk would end the body */
    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = hex[bytes & 15];
        bytes >>= 4;
    } while (bytes > 0);
    return buffer_append(out, slice_make(line + at, sizeof(line) - at));
}

bool h1_write_last_chunk(struct buffer *out, const struct http_fields *trailers)
{
    if (!buffer_reserve(out, 5 + (trailers ? fields_size(trailers) : 0)))
        return false;
    char *to = put_text(buffer_tail(out), "0\r\n");
    if (trailers)
        to = put_fields(to, trailers);
    note_put(out, put_text(to, "\r\n"));
    return true;
}
