#include "fuzz/h2_client.h"

#include "base/check.h"
#include "support/h2_reader_internal.h"

static const struct {
    const char *name, *value;
} fields[] = {
    {":method", "GET"},
    {":method", "POST"},
    {":method", "HEAD"},
    {":method", "CONNECT"},
    {":method", "OPTIONS"},
    {":method", "get it"},
    {":scheme", "https"},
    {":scheme", "http"},
    {":scheme", "ftp"},
    {":path", "/"},
    {":path", "/a/../b?c=d"},
    {":path", "*"},
    {":path", ""},
    {":path", "/%2f%00"},
    {":authority", "a.test"},
    {":authority", "a.test:8443"},
    {":authority", "user@a.test"},
    {":protocol", "websocket"},
    {":protocol", "other"},
    {":status", "200"},
    {":unknown", "1"},
    {"host", "a.test"},
    {"host", "b.test"},
    {"cookie", "a=1"},
    {"cookie", "b=2"},
    {"te", "trailers"},
    {"te", "gzip"},
    {"connection", "close"},
    {"transfer-encoding", "chunked"},
    {"upgrade", "h2c"},
    {"content-length", "0"},
    {"content-length", "5"},
    {"content-length", "100"},
    {"content-length", "+5"},
    {"content-length", "18446744073709551616"},
    {"expect", "100-continue"},
    {"expect", "other"},
    {"sec-websocket-version", "13"},
    {"priority", "u=0, i"},
    {"priority", "u=9"},
    {"x-a", "b"},
    {"X-Upper", "b"},
    {"x a", "b"},
    {"x_under", "b"},
    {"content_length", "7"},
    {"", "b"},
    {"x-lf", "b\ncontent-length: 9"},
    {"x-cr", "b\r"},
    {"x-blank", " b "},
    {"x-obs", "\xff\x80"},
    {"x-empty", ""},
    {"x-forwarded-for", "1.2.3.4"},
    {"x-client-cert-subject", "CN=me"},
    {"trailer", "x-a"},
    {"keep-alive", "1"},
    {"proxy-connection", "close"},
    {"http2-settings", "AAMAAABkAAQAAP__"},
};

enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

void h2_client_init(struct h2_client *client, const struct h2_reader *reader)
{
    *client = (struct h2_client){.reader = reader, .next_id = 1};
}

void h2_client_clear(struct h2_client *client)
{
    buffer_clear(&client->out);
    buffer_clear(&client->section);
}

const char *h2_pattern(uint64_t from, size_t length)
{
    enum { PERIOD = 257 * 257, MOST = 1024 * 1024 };
    static char bytes[PERIOD + MOST];

    if (bytes[1] == 0)
        for (uint32_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)(i % PERIOD * 2654435761u >> 24);
    assert(length <= MOST);
    return bytes + from % PERIOD;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void put(struct buffer *to, const void *at, size_t len)
{
    assert(buffer_append(to, slice_make(at, len)));
}

static void put_number(struct buffer *to, uint32_t value, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--)
        put(to, &(uint8_t){(uint8_t)(value >> (i - 1) * 8)}, 1);
}

static void put_frame(struct h2_client *client, size_t len, uint8_t type, uint8_t flags,
                      uint32_t stream)
{
    put_number(&client->out, (uint32_t)len, 3);
    put_number(&client->out, type, 1);
    put_number(&client->out, flags, 1);
    put_number(&client->out, stream, 4);
}

/* A literal (RFC 7541 section 6.2), short enough for lengths of a byte. */
static void put_field(struct buffer *to, const char *name, const char *value, bool is_indexed)
{
    size_t name_len = strlen(name), value_len = strlen(value);

    assert(name_len < 127 && value_len < 127);
    put_number(to, is_indexed ? 0x40 : 0, 1);
    put_number(to, (uint32_t)name_len, 1);
    put(to, name, name_len);
    put_number(to, (uint32_t)value_len, 1);
    put(to, value, value_len);
}

/* A stream that was opened, the latest being 0. */
static uint32_t stream_of(const struct h2_client *client, uint8_t which)
{
    unsigned count = client->reader->stream_count;

    if (which == 0 || count == 0)
        return client->last_id;
    return client->reader->streams[count - 1 - (which - 1) % count]->id;
}

static uint32_t size_of(uint8_t code)
{
    return code < 128 ? code : (code - 127u) * 128u;
}

/* --- frames ----------------------------------------------------------------------------------- */

static void put_request_start(struct buffer *to, bool is_post)
{
    /* Of the static table (RFC 7541 appendix A): the method, https, "/"; then :authority. */
    put_number(to, is_post ? 0x83 : 0x82, 1);
    put_number(to, 0x87, 1);
    put_number(to, 0x84, 1);
    put_number(to, 0x01, 1);
    put_number(to, 6, 1);
    put(to, "a.test", 6);
}

static void send_headers(struct h2_client *client, const struct h2_record *record)
{
    uint8_t flags = record->a & HEADERS_END_STREAM ? H2_FLAG_END_STREAM : 0;
    struct buffer block = {0};

    if (!(record->a & HEADERS_UNFINISHED))
        flags |= H2_FLAG_END_HEADERS;
    if (record->a & HEADERS_PADDED) {
        flags |= H2_FLAG_PADDED;
        put_number(&block, record->c & 15, 1);
    }
    if (record->a & HEADERS_PRIORITY) {
        flags |= H2_FLAG_PRIORITY;
        put_number(&block, record->b, 4);
        put_number(&block, record->c, 1);
    }
    if (!(record->a & (HEADERS_ON_OLD | HEADERS_BARE)))
        put_request_start(&block, record->a & HEADERS_POST);
    put(&block, buffer_content(&client->section).at, buffer_length(&client->section));
    if (record->a & HEADERS_PADDED)
        put(&block, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", record->c & 15);
    if (record->a & HEADERS_ON_OLD) {
        client->last_id = stream_of(client, record->b);
    } else {
        client->last_id = client->next_id + (record->a & HEADERS_SKIP ? record->c * 2u : 0);
        client->next_id = client->last_id + 2;
    }
    put_frame(client, buffer_length(&block), H2_HEADERS, flags, client->last_id);
    put(&client->out, buffer_content(&block).at, buffer_length(&block));
    buffer_clear(&block);
    buffer_clear(&client->section);
}

static void send_continuation(struct h2_client *client, const struct h2_record *record)
{
    uint8_t flags = record->a & HEADERS_UNFINISHED ? 0 : H2_FLAG_END_HEADERS;

    put_frame(client, buffer_length(&client->section), H2_CONTINUATION, flags, client->last_id);
    put(&client->out, buffer_content(&client->section).at, buffer_length(&client->section));
    buffer_clear(&client->section);
}

static void send_data(struct h2_client *client, const struct h2_record *record)
{
    size_t len = size_of(record->c);
    uint8_t pad = record->a & HEADERS_PADDED ? record->a >> 3 : 0;
    uint8_t flags = record->a & (HEADERS_END_STREAM | HEADERS_PADDED);
    static const char padding[32];

    put_frame(client, len + pad + (flags & H2_FLAG_PADDED ? 1 : 0), H2_DATA, flags,
              stream_of(client, record->b));
    if (flags & H2_FLAG_PADDED)
        put_number(&client->out, pad, 1);
    put(&client->out, h2_pattern(client->bytes_made, len), len);
    put(&client->out, padding, pad);
    client->bytes_made += len;
}

static void send_settings(struct h2_client *client, const struct h2_record *record)
{
    static const uint32_t values[] = {0,           1,         100,     4096,          16384,
                                      65535,       100000,    1 << 20, (1 << 24) - 1, INT32_MAX,
                                      0x80000000u, UINT32_MAX};
    uint32_t value = record->b < 12 ? values[record->b] : record->b * 256u + record->c;

    if (record->a & 0x80) {
        put_frame(client, 0, H2_SETTINGS, H2_FLAG_END_STREAM, 0);
        return;
    }
    put_frame(client, 6, H2_SETTINGS, 0, 0);
    put_number(&client->out, record->a % 10, 2);
    put_number(&client->out, value, 4);
}

static void send_ping(struct h2_client *client, const struct h2_record *record)
{
    bool answers = record->a & 1;
    char bytes[8] = {(char)record->b, (char)record->c};

    put_frame(client, 8, H2_PING, answers ? H2_FLAG_END_STREAM : 0, 0);
    put(&client->out, answers ? client->reader->server_ping : bytes, 8);
}

static void send_window(struct h2_client *client, uint32_t stream, uint32_t more)
{
    put_frame(client, 4, H2_WINDOW_UPDATE, 0, stream);
    put_number(&client->out, more, 4);
}

static uint32_t window_of(uint8_t code)
{
    return code < 248 ? code * code : code == 255 ? 0 : UINT32_C(1) << (code - 225);
}

static void send_priority(struct h2_client *client, const struct h2_record *record)
{
    char text[] = "u=3, i";
    uint32_t stream = stream_of(client, record->b);

    if (!(record->a & 1)) {
        put_frame(client, 5, H2_PRIORITY, 0, stream);
        put_number(&client->out, record->c, 4);
        put_number(&client->out, record->a, 1);
        return;
    }
    text[2] = (char)('0' + record->c % 11);
    put_frame(client, 4 + (record->c & 16 ? 3 : 6), NGHTTP2_PRIORITY_UPDATE, 0, 0);
    put_number(&client->out, stream, 4);
    put(&client->out, text, record->c & 16 ? 3 : 6);
}

static void send_frame(struct h2_client *client, const struct h2_record *record)
{
    static const char zeroes[256] = {0};

    put_frame(client, record->c, record->a, record->b, record->b & 64 ? 0 : client->last_id);
    put(&client->out, zeroes, record->c);
}

/* --- acts ------------------------------------------------------------------------------------- */

void h2_client_greet(struct h2_client *client)
{
    put(&client->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    put_frame(client, 0, H2_SETTINGS, 0, 0);
}

void h2_client_open_windows(struct h2_client *client)
{
    const struct h2_reader *reader = client->reader;

    if (reader->window < INT32_MAX / 2)
        send_window(client, 0, INT32_MAX / 2);
    for (unsigned i = 0; i < reader->stream_count; i++) {
        const struct h2_seen_stream *stream = reader->streams[i];

        if (stream->answer < H2_ANSWER_WHOLE && !stream->was_reset && !stream->client_reset &&
            stream->window + reader->initial_window < INT32_MAX / 2)
            send_window(client, stream->id, INT32_MAX / 2);
    }
}

void h2_client_act(struct h2_client *client, const struct h2_record *record)
{
    switch ((enum h2_client_act)record->what) {
    case CLIENT_FIELD:
        put_field(&client->section, fields[record->a % FIELDS].name,
                  fields[record->a % FIELDS].value, record->b & 1);
        break;
    case CLIENT_RAW: put(&client->section, &record->a, 3); break;
    case CLIENT_HEADERS: send_headers(client, record); break;
    case CLIENT_CONTINUATION: send_continuation(client, record); break;
    case CLIENT_DATA: send_data(client, record); break;
    case CLIENT_RESET:
        put_frame(client, 4, H2_RST_STREAM, 0, stream_of(client, record->b));
        put_number(&client->out, record->a, 4);
        break;
    case CLIENT_SETTINGS: send_settings(client, record); break;
    case CLIENT_PING: send_ping(client, record); break;
    case CLIENT_WINDOW:
        send_window(client, record->a & 1 ? stream_of(client, record->b) : 0, window_of(record->c));
        break;
    case CLIENT_PRIORITY: send_priority(client, record); break;
    case CLIENT_GOAWAY:
        put_frame(client, 8, H2_GOAWAY, 0, 0);
        put_number(&client->out, record->b, 4);
        put_number(&client->out, record->a, 4);
        break;
    case CLIENT_BYTES: put(&client->out, &record->a, 3); break;
    case CLIENT_FRAME: send_frame(client, record); break;
    case CLIENT_ACTS: break;
    }
}
