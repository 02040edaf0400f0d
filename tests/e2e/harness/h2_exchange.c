#include "h2_exchange.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct h2_exchange *h2_exchange_new(struct request_text *text)
{
    struct h2_exchange *exchange = calloc(1, sizeof *exchange);

    if (exchange == NULL)
        abort();
    exchange->is_head = strcmp(text->head->method, "HEAD") == 0;
    exchange->is_tunnel = request_text_is_upgrade(text);
    return exchange;
}

void h2_exchange_free(struct h2_exchange *exchange)
{
    free(exchange->out.in);
    free(exchange->in.in);
    free(exchange->section.in);
    fields_clear(&exchange->trailers);
    free(exchange);
}

/* --- the request ---------------------------------------------------------------------------------
 */

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)value,
                        .valuelen = strlen(value)};
}

/* A field under its own name, in small letters. */
static nghttp2_nv lower_pair(const struct field *field)
{
    for (char *c = field->name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return pair(field->name, field->value);
}

/* What frames and pseudo-header fields say already. */
static bool is_said_otherwise(const struct h2_exchange *exchange, const struct field *field,
                              bool is_first_host)
{
    static const char *const always[] = {"connection", "keep-alive", "transfer-encoding"};
    static const char *const tunnel[] = {"upgrade", "sec-websocket-key"};

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcasecmp(field->name, always[i]) == 0)
            return true;
    for (size_t i = 0; exchange->is_tunnel && i < sizeof tunnel / sizeof *tunnel; i++)
        if (strcasecmp(field->name, tunnel[i]) == 0)
            return true;
    return is_first_host && strcasecmp(field->name, "host") == 0;
}

static size_t put_pseudo_fields(const struct h2_exchange *exchange, const struct message *head,
                                nghttp2_nv *to)
{
    const char *host = message_field(head, "host");
    size_t count = 0;

    if (strcmp(head->method, "CONNECT") == 0) {
        to[count++] = pair(":method", "CONNECT");
        to[count++] = pair(":authority", head->target);
        return count;
    }
    if (head->target[0] != '/' && strcmp(head->target, "*") != 0)
        return 0;
    to[count++] = pair(":method", exchange->is_tunnel ? "CONNECT" : head->method);
    if (exchange->is_tunnel)
        to[count++] = pair(":protocol", "websocket");
    to[count++] = pair(":scheme", "https");
    to[count++] = pair(":path", head->target);
    if (host != NULL)
        to[count++] = pair(":authority", host);
    return count;
}

static ssize_t end_request(nghttp2_session *session, struct h2_exchange *exchange, uint32_t *flags)
{
    int count = exchange->trailers.count;

    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (count > 0) {
        nghttp2_nv *fields = calloc((size_t)count, sizeof *fields);
        if (fields == NULL)
            abort();
        for (int i = 0; i < count; i++)
            fields[i] = lower_pair(&exchange->trailers.list[i]);
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, exchange->stream, fields, (size_t)count);
        free(fields);
    }
    return 0;
}

static ssize_t give_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *unused)
{
    struct h2_exchange *exchange = source->ptr;
    size_t piece = wire_held(&exchange->out);

    (void)stream;
    (void)unused;
    if (piece == 0)
        return exchange->is_over ? end_request(session, exchange, flags) : NGHTTP2_ERR_DEFERRED;
    if (piece > room)
        piece = room;
    memcpy(to, wire_bytes(&exchange->out), piece);
    wire_take(&exchange->out, piece);
    if (wire_held(&exchange->out) == 0 && exchange->is_over)
        end_request(session, exchange, flags);
    return (ssize_t)piece;
}

bool h2_exchange_submit(struct h2_exchange *exchange, nghttp2_session *session,
                        const struct request_text *text, bool ends)
{
    const struct message *head = text->head;
    nghttp2_nv *fields = calloc((size_t)head->fields.count + 5, sizeof *fields);
    nghttp2_data_provider body = {.source.ptr = exchange, .read_callback = give_body};

    if (fields == NULL)
        abort();
    size_t count = put_pseudo_fields(exchange, head, fields);
    bool can_be_said = count > 0, is_first_host = true;
    for (int i = 0; i < head->fields.count; i++) {
        struct field *field = &head->fields.list[i];
        if (!is_said_otherwise(exchange, field, is_first_host))
            fields[count++] = lower_pair(field);
        is_first_host &= strcasecmp(field->name, "host") != 0;
    }
    if (can_be_said)
        exchange->stream =
            nghttp2_submit_request(session, NULL, fields, count, ends ? NULL : &body, exchange);
    free(fields);
    return can_be_said && exchange->stream > 0;
}

/* --- the answer ----------------------------------------------------------------------------------
 */

static void put(struct wire *buffer, const char *text)
{
    wire_put(buffer, text, strlen(text));
}

static const char *phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } known[] = {
        {100, "Continue"},           {103, "Early Hints"}, {200, "OK"},        {204, "No Content"},
        {308, "Permanent Redirect"}, {400, "Bad Request"}, {404, "Not Found"},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == status)
            return known[i].phrase;
    return "As It Says";
}

void h2_exchange_begin_section(struct h2_exchange *exchange)
{
    wire_take(&exchange->section, wire_held(&exchange->section));
    exchange->has_length = exchange->has_head && exchange->has_length;
}

void h2_exchange_add_field(struct h2_exchange *exchange, const char *name, size_t name_length,
                           const char *value, size_t value_length)
{
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) {
        exchange->status = atoi(value);
        return;
    }
    exchange->has_length |= name_length == 14 && memcmp(name, "content-length", 14) == 0;
    wire_put(&exchange->section, name, name_length);
    put(&exchange->section, ": ");
    wire_put(&exchange->section, value, value_length);
    put(&exchange->section, "\r\n");
}

static void put_head(struct h2_exchange *exchange, int status, const char *words, const char *more)
{
    char line[64];

    snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status, words);
    put(&exchange->in, line);
    put(&exchange->in, more);
    if (wire_held(&exchange->section) > 0)
        wire_put(&exchange->in, wire_bytes(&exchange->section), wire_held(&exchange->section));
    put(&exchange->in, "\r\n");
    wire_take(&exchange->section, wire_held(&exchange->section));
}

static bool has_no_body(const struct h2_exchange *exchange)
{
    return exchange->is_head || exchange->status == 204 || exchange->status == 304;
}

bool h2_exchange_end_section(struct h2_exchange *exchange, bool closes)
{
    bool was_tunnel = exchange->is_tunnel;

    if (exchange->has_head) /* trailers wait for the end */
        return false;
    if (exchange->status / 100 == 1) {
        put_head(exchange, exchange->status, phrase(exchange->status), "");
        return false;
    }
    exchange->has_head = true;
    exchange->is_tunnel = was_tunnel && exchange->status / 100 == 2;
    if (exchange->is_tunnel) {
        put_head(exchange, 101, "Switching Protocols",
                 "Connection: Upgrade\r\nUpgrade: websocket\r\n");
        return false;
    }
    exchange->is_chunked = !exchange->has_length && !has_no_body(exchange);
    if (exchange->is_chunked)
        put(&exchange->section, "Transfer-Encoding: chunked\r\n");
    put_head(exchange, exchange->status, phrase(exchange->status),
             closes ? "Connection: close\r\n" : "");
    return was_tunnel;
}

void h2_exchange_add_body(struct h2_exchange *exchange, const void *bytes, size_t length)
{
    char size[32];

    if (length == 0)
        return;
    exchange->owed += length;
    snprintf(size, sizeof size, "%zx\r\n", length);
    if (exchange->is_chunked)
        put(&exchange->in, size);
    wire_put(&exchange->in, bytes, length);
    if (exchange->is_chunked)
        put(&exchange->in, "\r\n");
}

void h2_exchange_end(struct h2_exchange *exchange)
{
    exchange->is_answered = true;
    if (!exchange->is_chunked)
        return;
    put(&exchange->in, "0\r\n");
    if (wire_held(&exchange->section) > 0)
        wire_put(&exchange->in, wire_bytes(&exchange->section), wire_held(&exchange->section));
    put(&exchange->in, "\r\n");
}
