#include "http/h1_writer.h"

#include "base/check.h"

enum { NUMBER_LONGEST = 20 };

/* --- putting bytes where room was reserved -------------------------------------------------- */

static void put(struct buffer *out, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(buffer_tail(out), bytes.at, bytes.len);
    buffer_added(out, bytes.len);
}

static void put_text(struct buffer *out, const char *text)
{
    put(out, slice_of(text));
}

static void put_number(struct buffer *out, uint64_t value)
{
    char digits[NUMBER_LONGEST];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(out, slice_make(digits + at, sizeof(digits) - at));
}

static void put_field(struct buffer *out, struct slice name, struct slice value)
{
    put(out, name);
    put_text(out, ": ");
    put(out, value);
    put_text(out, "\r\n");
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
static void put_fields(struct buffer *out, const struct http_fields *fields)
{
    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->list[i].id != FIELD_HOST)
            put_field(out, fields->list[i].name, fields->list[i].value);
}

static void put_framing(struct buffer *out, const struct h1_send *send)
{
    if (send->framing == BODY_CHUNKED) {
        put_text(out, "Transfer-Encoding: chunked\r\n");
    } else if (send->framing == BODY_LENGTH || send->announce_length) {
        put_text(out, "Content-Length: ");
        put_number(out, send->content_length);
        put_text(out, "\r\n");
    }
}

static void put_connection(struct buffer *out, const struct h1_send *send)
{
    if (send->upgrade.len > 0) {
        put_text(out, send->close ? "Connection: close, upgrade\r\n" : "Connection: upgrade\r\n");
        put_field(out, slice_of("Upgrade"), send->upgrade);
    } else if (send->close) {
        put_text(out, "Connection: close\r\n");
    } else if (send->keep_alive_http10) {
        put_text(out, "Connection: keep-alive\r\n");
    }
}

static void put_rest_of_head(struct buffer *out, const struct http_head *head,
                             const struct h1_send *send)
{
    put_fields(out, &head->fields);
    put_framing(out, send);
    put_connection(out, send);
    put_text(out, "\r\n");
}

bool h1_write_request_head(struct buffer *out, const struct http_head *head, struct slice host,
                           const struct h1_send *send)
{
    size_t size = FIXED_BYTES + head->method_text.len + head->path.len + head->query.len +
                  host.len + send->upgrade.len + fields_size(&head->fields);

    if (!buffer_reserve(out, size))
        return false;
    put(out, head->method_text);
    put_text(out, " ");
    put(out, head->path);
    put(out, head->query);
    put_text(out, " HTTP/1.1\r\n");
    put_field(out, slice_of("Host"), host);
    put_rest_of_head(out, head, send);
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
    put_text(out, "HTTP/1.1 ");
    put_number(out, (uint64_t)head->status);
    put_text(out, " ");
    put(out, phrase);
    put_text(out, "\r\n");
    put_rest_of_head(out, head, send);
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
    put_text(out, "0\r\n");
    if (trailers)
        put_fields(out, trailers);
    put_text(out, "\r\n");
    return true;
}
