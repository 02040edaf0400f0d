#include "proxy/access_log.h"

#include "base/clock.h"

/* Longer texts are cut: escaped they are up to six times as long, and no client shall keep its line
 * out of the log by asking for too much. All together stay below what the writer takes at once. */
enum { TEXT_BYTES_MAX = 2 * 1024, PATH_BYTES_MAX = 32 * 1024, LINE_BYTES_MAX = 60 * 1024 };

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c < 0x7f;
}

/* The length of the valid UTF-8 sequence at the front, 0 if there is none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    uint32_t code;

    if (at[0] < 0xc2 || at[0] > 0xf4 || length > left)
        return 0;
    code = at[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

/* JSON text of any bytes: what is not UTF-8 shows as U+00XX of the byte. Returns how much of `room`
 * is left. */
static size_t put_escaped(struct buffer *line, struct slice text, size_t room)
{
    for (size_t i = 0; i < text.len;) {
        size_t run = 0;
        while (run < room && i + run < text.len && is_plain((unsigned char)text.at[i + run]))
            run++;
        if (run == 0 && (unsigned char)text.at[i] >= 0x80)
            run = utf8_length((const unsigned char *)text.at + i, text.len - i);
        size_t width = run > 0 ? run : 6;
        if (width > room)
            return 0;
        room -= width;
        if (run == 0)
            buffer_printf(line, "\\u%04x", (unsigned char)text.at[i++]);
        else
            buffer_append(line, slice_make(text.at + i, run));
        i += run;
    }
    return room;
}

static void put_string(struct buffer *line, struct slice text)
{
    buffer_append(line, slice_make("\"", 1));
    put_escaped(line, text, TEXT_BYTES_MAX);
    buffer_append(line, slice_make("\"", 1));
}

static void put_key(struct buffer *line, const char *key)
{
    buffer_append(line, slice_make(",\"", 2));
    buffer_append_text(line, key);
    buffer_append(line, slice_make("\":", 2));
}

/* Absent values are null. */
static void put_text(struct buffer *line, const char *key, struct slice value)
{
    put_key(line, key);
    if (value.len == 0)
        buffer_append_text(line, "null");
    else
        put_string(line, value);
}

static void put_number(struct buffer *line, const char *key, uint64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_key(line, key);
    buffer_append(line, slice_make(digits + at, sizeof(digits) - at));
}

static void put_ms(struct buffer *line, const char *key, uint64_t us)
{
    char fraction[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                        (char)('0' + us % 10)};

    put_number(line, key, us / 1000);
    buffer_append(line, slice_make(fraction, sizeof(fraction)));
}

static struct slice text_of(const char *text)
{
    return text != NULL ? slice_of(text) : slice_make(NULL, 0);
}

static void put_tls(struct buffer *line, const struct client *client)
{
    struct tls_info info;

    put_key(line, "tls");
    if (!client->is_tls) {
        buffer_append_text(line, "null");
        return;
    }
    tls_stream_info(client->tls_stream, &info);
    buffer_append_text(line, "{\"version\":");
    put_string(line, text_of(info.version));
    put_text(line, "cipher", text_of(info.cipher));
    put_text(line, "group", text_of(info.group));
    put_text(line, "sni", info.sni);
    buffer_append_text(line, info.is_resumed ? ",\"resumed\":true}" : ",\"resumed\":false}");
}

/* In HTTP/1 a head that was refused may not even say. */
static struct slice protocol_of(const struct access_record *record)
{
    if (record->client->is_http2)
        return slice_of("HTTP/2.0");
    if (record->request == NULL)
        return slice_make(NULL, 0);
    return slice_of(record->request->version_minor == 0 ? "HTTP/1.0" : "HTTP/1.1");
}

static void put_request(struct buffer *line, const struct access_record *record)
{
    static const struct http_head none;
    const struct http_head *request = record->request != NULL ? record->request : &none;
    struct slice path = request->path;
    size_t room;

    put_text(line, "method", request->method_text);
    put_text(line, "host", request->host);
    if (path.len == 0) {
        put_text(line, "path", path);
    } else {
        put_key(line, "path");
        buffer_append(line, slice_make("\"", 1));
        room = put_escaped(line, path, PATH_BYTES_MAX);
        if (record->globals->log_query)
            put_escaped(line, request->query, room);
        buffer_append(line, slice_make("\"", 1));
    }
    put_text(line, "proto", protocol_of(record));
}

void access_log_write(struct proxy_env *env, const struct access_record *record)
{
    struct buffer *line = &env->log_line;
    char now[CLOCK_TEXT_SIZE];

    if (record->globals->access_log == ACCESS_LOG_OFF)
        return;
    buffer_consume(line, buffer_length(line));
    if (!buffer_reserve(line, LINE_BYTES_MAX)) {
        metric_add(env->metrics, METRIC_LOG_DROPPED, 1);
        return;
    }
    clock_format(clock_wall_ms(), now);
    buffer_append_text(line, "{\"ts\":");
    put_string(line, slice_of(now));
    put_text(line, "request_id", record->request_id);
    put_text(line, "client_ip", record->client_ip);
    put_text(line, "peer_ip", slice_of(record->client->peer_ip));
    put_request(line, record);
    put_number(line, "status", (uint64_t)record->status);
    put_text(line, "reason",
             record->reason == REASON_NONE ? slice_make(NULL, 0)
                                           : slice_of(http_reason_word(record->reason)));
    put_number(line, "bytes_in", record->bytes_in);
    put_number(line, "bytes_out", record->bytes_out);
    put_ms(line, "duration_ms", record->duration_us);
    if (record->has_upstream_time)
        put_ms(line, "upstream_ms", record->upstream_us);
    else
        buffer_append_text(line, ",\"upstream_ms\":null");
    put_text(line, "route", record->route.len > 0 ? record->route : slice_of("none"));
    put_text(line, "backend", record->backend);
    put_text(line, "server", record->server);
    put_number(line, "attempts", record->attempts);
    put_tls(line, record->client);
    put_number(line, "generation", record->generation);
    buffer_append_text(line, "}\n");
    if (!line_ring_put(env->access_log, buffer_content(line)))
        metric_add(env->metrics, METRIC_LOG_DROPPED, 1);
}
