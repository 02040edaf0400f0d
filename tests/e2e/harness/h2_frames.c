#include "h2_private.h"

#include "workplace.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WINDOW = 65535, DEFAULT_MAX_FRAME = 16384, FRAME_HEAD = 9 };

/* --- streams -------------------------------------------------------------------------------- */

static struct h2_stream *make_stream(struct h2_client *client, uint32_t id)
{
    struct h2_stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL)
        abort();
    stream->id = id;
    stream->window = client->initial_window;
    stream->send_window = client->peer[H2_INITIAL_WINDOW_SIZE];
    return stream;
}

/* The place of the first one with that id or a higher one; most often it is behind all. */
static uint32_t place_of(const struct h2_client *client, uint32_t id)
{
    uint32_t low = 0, high = client->stream_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (client->streams[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct h2_client *client, uint32_t place, uint32_t id)
{
    return place < client->stream_count && client->streams[place]->id == id;
}

struct h2_stream *h2_stream(struct h2_client *client, uint32_t id)
{
    uint32_t place = place_of(client, id);

    h2_require(client, id % 2 == 1, "stream %u is none of a client's", id);
    if (is_at(client, place, id))
        return client->streams[place];
    if (client->stream_count == client->stream_room) {
        client->stream_room = client->stream_room * 2 + 16;
        client->streams =
            realloc(client->streams, client->stream_room * sizeof(struct h2_stream *));
        if (client->streams == NULL)
            abort();
    }
    memmove(client->streams + place + 1, client->streams + place,
            (client->stream_count - place) * sizeof(struct h2_stream *));
    client->stream_count++;
    return client->streams[place] = make_stream(client, id);
}

static void free_stream(struct h2_stream *stream)
{
    if (stream->response != NULL)
        message_free(stream->response);
    if (stream->interim != NULL)
        message_free(stream->interim);
    free(stream);
}

void h2_forget(struct h2_client *client, uint32_t id)
{
    uint32_t place = place_of(client, id);

    if (!is_at(client, place, id))
        return;
    free_stream(client->streams[place]);
    client->stream_count--;
    memmove(client->streams + place, client->streams + place + 1,
            (client->stream_count - place) * sizeof(struct h2_stream *));
}

/* --- connections ---------------------------------------------------------------------------- */

static struct client *connect_below(const char *address, const struct h2_options *options)
{
    struct client_options tls = {.sni = NULL};

    if (options->is_plain)
        return client_make_plain(address);
    if (options->tls != NULL)
        tls = *options->tls;
    if (tls.sni == NULL)
        tls.sni = options->sni;
    if (tls.alpn == NULL)
        tls.alpn = "h2";
    if (options->proxy_header == NULL)
        return client_make(address, &tls);
    struct client *client = client_make_plain(address);
    if (client != NULL) {
        wire_write(&client->wire, options->proxy_header, strlen(options->proxy_header));
        client_speak_tls(client, &tls);
    }
    return client;
}

static void set_up(struct h2_client *client)
{
    client->next_stream = 1;
    client->peer[H2_HEADER_TABLE_SIZE] = HPACK_DEFAULT_TABLE;
    client->peer[H2_ENABLE_PUSH] = 1;
    client->peer[H2_MAX_CONCURRENT_STREAMS] = UINT32_MAX;
    client->peer[H2_INITIAL_WINDOW_SIZE] = DEFAULT_WINDOW;
    client->peer[H2_MAX_FRAME_SIZE] = DEFAULT_MAX_FRAME;
    client->peer[H2_MAX_HEADER_LIST_SIZE] = UINT32_MAX;
    client->goaway_last = UINT32_MAX;
    client->send_window = client->window = client->initial_window = DEFAULT_WINDOW;
    client->max_frame = DEFAULT_MAX_FRAME;
    hpack_decoder_init(&client->decoder);
    if (client->options.sends_no_preface)
        return;
    bool was_holding = client->is_holding;
    h2_hold(client);
    h2_send_bytes(client, H2_PREFACE, strlen(H2_PREFACE));
    h2_send_settings(client, client->options.settings, client->options.setting_count);
    if (!was_holding)
        h2_release(client);
}

struct h2_client *h2_make(struct gateway *gateway, const struct h2_options *options)
{
    struct h2_client *client = calloc(1, sizeof *client);

    if (client == NULL)
        abort();
    if (options != NULL)
        client->options = *options;
    if (client->options.sni == NULL)
        client->options.sni = "a.test";
    if (client->options.address == NULL)
        client->options.address = gateway_https(gateway);
    client->tls = connect_below(client->options.address, &client->options);
    if (client->tls == NULL || !client->tls->is_connected) {
        h2_free(client);
        return NULL;
    }
    set_up(client);
    return client;
}

struct h2_client *h2_open(struct gateway *gateway, const struct h2_options *options)
{
    struct h2_client *client = h2_make(gateway, options);
    const unsigned char *name = NULL;
    unsigned length = 0;

    workplace_require(client != NULL, "no connection, or no TLS, to the gateway");
    workplace_own(client, h2_free);
    if (client->tls->wire.ssl != NULL) {
        SSL_get0_alpn_selected(client->tls->wire.ssl, &name, &length);
        workplace_require(length == 2 && memcmp(name, "h2", 2) == 0, "h2 is not chosen, but '%.*s'",
                          (int)length, name);
    }
    return client;
}

void h2_free(void *object)
{
    struct h2_client *client = object;

    for (uint32_t i = 0; i < client->stream_count; i++)
        free_stream(client->streams[i]);
    free(client->streams);
    if (client->arriving != NULL)
        message_free(client->arriving);
    hpack_decoder_clear(&client->decoder);
    hpack_bytes_clear(&client->out);
    hpack_bytes_clear(&client->late);
    hpack_bytes_clear(&client->block);
    hpack_bytes_clear(&client->payload);
    hpack_bytes_clear(&client->story);
    if (client->tls != NULL)
        client_free(client->tls);
    free(client);
}

void h2_close(struct h2_client *client)
{
    client_close(client->tls);
}

void h2_abort(struct h2_client *client)
{
    wire_reset(&client->tls->wire);
}

/* --- bytes and frames ----------------------------------------------------------------------- */

void h2_send_bytes(struct h2_client *client, const void *bytes, size_t length)
{
    size_t step = client->options.is_slow ? 1 : length;

    if (client->is_holding) {
        hpack_put(&client->out, bytes, length);
        return;
    }
    for (size_t at = 0; at < length && !client->was_refused; at += step)
        client->was_refused = !wire_write(&client->tls->wire, (const char *)bytes + at, step);
}

void h2_hold(struct h2_client *client)
{
    client->is_holding = true;
}

void h2_release(struct h2_client *client)
{
    client->is_holding = false;
    h2_send_bytes(client, client->out.at, client->out.length);
    client->out.length = 0;
}

/* Remembers what will hold once it is acknowledged. */
static void note_settings(struct h2_client *client, const struct h2_frame *frame)
{
    const uint8_t *at = frame->payload;
    unsigned place = client->unacknowledged_count, count = (unsigned)frame->length / 6;

    client->settings_sent++;
    if (place == H2_UNACKNOWLEDGED_MAX)
        return;
    if (count > H2_SETTINGS_A_FRAME)
        count = H2_SETTINGS_A_FRAME;
    client->unacknowledged_count++;
    client->unacknowledged[place].count = count;
    for (unsigned i = 0; i < count; i++, at += 6)
        client->unacknowledged[place].list[i] =
            (struct h2_setting){.id = (uint16_t)(at[0] << 8 | at[1]), .value = h2_number(at + 2)};
}

static void note_sent_on_stream(struct h2_client *client, const struct h2_frame *frame)
{
    if (frame->type == H2_HEADERS && frame->stream > client->highest_stream)
        client->highest_stream = frame->stream;
    if (frame->stream > client->highest_stream)
        return;
    struct h2_stream *stream = h2_stream(client, frame->stream);
    if ((frame->type == H2_HEADERS || frame->type == H2_DATA) && (frame->flags & H2_END_STREAM))
        stream->we_ended = true;
    if (frame->type == H2_RST_STREAM)
        stream->we_reset = true;
    if (frame->type == H2_DATA)
        stream->send_window -= (int64_t)frame->length;
    if (frame->type == H2_WINDOW_UPDATE && frame->length == 4)
        stream->window += h2_number(frame->payload) & 0x7fffffff;
}

/* What a frame that is sent changes. */
static void note_sent(struct h2_client *client, const struct h2_frame *frame)
{
    if (frame->type == H2_HEADERS || frame->type == H2_CONTINUATION)
        client->is_in_block = !(frame->flags & H2_END_HEADERS);
    if (frame->type == H2_SETTINGS && !(frame->flags & H2_ACK))
        note_settings(client, frame);
    if (frame->type == H2_DATA)
        client->send_window -= (int64_t)frame->length;
    if (frame->type == H2_WINDOW_UPDATE && frame->stream == 0 && frame->length == 4)
        client->window += h2_number(frame->payload) & 0x7fffffff;
    if (frame->stream % 2 == 1)
        note_sent_on_stream(client, frame);
}

void h2_send_frame(struct h2_client *client, const struct h2_frame *frame)
{
    uint32_t length = frame->lies ? frame->claimed : (uint32_t)frame->length;
    uint32_t stream = htonl(frame->stream | (frame->has_reserved_bit ? 0x80000000U : 0));
    uint8_t head[FRAME_HEAD] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length,
                                frame->type, frame->flags};
    bool was_holding = client->is_holding;

    h2_tell(client, '>', frame);
    note_sent(client, frame);
    memcpy(head + 5, &stream, 4);
    h2_hold(client);
    h2_send_bytes(client, head, sizeof head);
    h2_send_bytes(client, frame->payload, frame->length);
    if (!client->is_in_block) {
        h2_send_bytes(client, client->late.at, client->late.length);
        client->late.length = 0;
    }
    if (!was_holding)
        h2_release(client);
}

void h2_answer(struct h2_client *client, void (*send)(struct h2_client *, uint64_t), uint64_t value)
{
    struct hpack_bytes out = client->out;
    bool was_holding = client->is_holding;

    if (!client->is_in_block) {
        send(client, value);
        return;
    }
    client->out = client->late;
    client->is_holding = true;
    send(client, value);
    client->late = client->out;
    client->out = out;
    client->is_holding = was_holding;
}

static void send_frame(struct h2_client *client, uint8_t type, uint8_t flags, uint32_t stream,
                       const void *payload, size_t length)
{
    h2_send_frame(
        client,
        &(struct h2_frame){
            .type = type, .flags = flags, .stream = stream, .payload = payload, .length = length});
}

static void put_32(uint8_t *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, 4);
}

/* --- field sections ------------------------------------------------------------------------- */

static void put_block(struct hpack_bytes *out, const struct h2_headers *headers)
{
    hpack_put(out, headers->block, headers->block_length);
    for (unsigned i = 0; i < headers->exact_count; i++)
        hpack_put_field(out, &headers->exact[i]);
    for (const char *const *pair = headers->fields; pair != NULL && *pair != NULL; pair += 2)
        hpack_put_field(out, &(struct hpack_field){.name = pair[0], .value = pair[1]});
}

static void put_priority(struct hpack_bytes *out, struct h2_priority priority)
{
    uint8_t bytes[5];

    put_32(bytes, priority.depends_on | (priority.is_exclusive ? 0x80000000U : 0));
    bytes[4] = priority.weight;
    hpack_put(out, bytes, sizeof bytes);
}

/* The HEADERS frame itself, with the first `length` bytes of the block. */
static void send_first(struct h2_client *client, const struct h2_headers *headers,
                       const uint8_t *block, size_t length, bool is_last)
{
    static const uint8_t zeros[256];
    struct hpack_bytes payload = {.at = NULL};
    unsigned flags = headers->more_flags | (headers->ends_stream ? H2_END_STREAM : 0U) |
                     (is_last ? H2_END_HEADERS : 0U) | (headers->is_padded ? H2_PADDED : 0U) |
                     (headers->priority != NULL ? H2_HAS_PRIORITY : 0U);

    if (headers->is_padded)
        hpack_put_byte(&payload, headers->padding);
    if (headers->priority != NULL)
        put_priority(&payload, *headers->priority);
    hpack_put(&payload, block, length);
    hpack_put(&payload, zeros, headers->is_padded ? headers->padding : 0);
    send_frame(client, H2_HEADERS, (uint8_t)flags, headers->stream, payload.at, payload.length);
    hpack_bytes_clear(&payload);
}

void h2_send_headers(struct h2_client *client, const struct h2_headers *headers)
{
    struct hpack_bytes block = {.at = NULL};
    size_t most = client->peer[H2_MAX_FRAME_SIZE] - 6 - headers->padding, at = 0;

    if (headers->piece > 0)
        most = headers->piece;
    put_block(&block, headers);
    do {
        size_t length = block.length - at < most ? block.length - at : most;
        bool is_last = at + length == block.length && !headers->is_unfinished;
        if (at == 0)
            send_first(client, headers, block.at, length, is_last);
        else
            h2_send_continuation(client, headers->stream, block.at + at, length, is_last);
        at += length;
    } while (at < block.length);
    hpack_bytes_clear(&block);
}

void h2_send_continuation(struct h2_client *client, uint32_t stream, const void *block,
                          size_t length, bool is_last)
{
    send_frame(client, H2_CONTINUATION, is_last ? H2_END_HEADERS : 0, stream, block, length);
}

/* --- other frames --------------------------------------------------------------------------- */

void h2_send_data(struct h2_client *client, uint32_t stream, const void *bytes, size_t length,
                  bool ends_stream)
{
    send_frame(client, H2_DATA, ends_stream ? H2_END_STREAM : 0, stream, bytes, length);
}

void h2_send_padded_data(struct h2_client *client, uint32_t stream, const void *bytes,
                         size_t length, uint8_t padding, bool ends_stream)
{
    static const uint8_t zeros[256];
    struct hpack_bytes payload = {.at = NULL};

    hpack_put_byte(&payload, padding);
    hpack_put(&payload, bytes, length);
    hpack_put(&payload, zeros, padding);
    send_frame(client, H2_DATA, (uint8_t)(H2_PADDED | (ends_stream ? H2_END_STREAM : 0)), stream,
               payload.at, payload.length);
    hpack_bytes_clear(&payload);
}

void h2_send_settings(struct h2_client *client, const struct h2_setting *settings, unsigned count)
{
    uint8_t payload[H2_SETTINGS_A_FRAME * 6];

    workplace_require(count <= H2_SETTINGS_A_FRAME, "too many settings for the harness");
    for (unsigned i = 0; i < count; i++) {
        payload[i * 6] = (uint8_t)(settings[i].id >> 8);
        payload[i * 6 + 1] = (uint8_t)settings[i].id;
        put_32(payload + i * 6 + 2, settings[i].value);
    }
    send_frame(client, H2_SETTINGS, 0, 0, payload, count * 6);
}

void h2_send_setting(struct h2_client *client, uint16_t id, uint32_t value)
{
    h2_send_settings(client, &(struct h2_setting){.id = id, .value = value}, 1);
}

void h2_send_settings_ack(struct h2_client *client)
{
    send_frame(client, H2_SETTINGS, H2_ACK, 0, NULL, 0);
}

void h2_send_ping(struct h2_client *client, uint64_t payload, bool is_ack)
{
    send_frame(client, H2_PING, is_ack ? H2_ACK : 0, 0, &payload, sizeof payload);
}

void h2_send_goaway(struct h2_client *client, uint32_t last_stream, uint32_t code,
                    const char *words)
{
    struct hpack_bytes payload = {.at = NULL};
    uint8_t numbers[8];

    put_32(numbers, last_stream);
    put_32(numbers + 4, code);
    hpack_put(&payload, numbers, sizeof numbers);
    hpack_put(&payload, words, words != NULL ? strlen(words) : 0);
    send_frame(client, H2_GOAWAY, 0, 0, payload.at, payload.length);
    hpack_bytes_clear(&payload);
}

void h2_send_reset(struct h2_client *client, uint32_t stream, uint32_t code)
{
    uint8_t payload[4];

    put_32(payload, code);
    send_frame(client, H2_RST_STREAM, 0, stream, payload, sizeof payload);
}

void h2_send_window(struct h2_client *client, uint32_t stream, uint32_t increment)
{
    uint8_t payload[4];

    put_32(payload, increment);
    send_frame(client, H2_WINDOW_UPDATE, 0, stream, payload, sizeof payload);
}

void h2_send_priority(struct h2_client *client, uint32_t stream, struct h2_priority priority)
{
    struct hpack_bytes payload = {.at = NULL};

    put_priority(&payload, priority);
    send_frame(client, H2_PRIORITY, 0, stream, payload.at, payload.length);
    hpack_bytes_clear(&payload);
}

void h2_send_priority_update(struct h2_client *client, uint32_t stream, const char *value)
{
    struct hpack_bytes payload = {.at = NULL};
    uint8_t id[4];

    put_32(id, stream);
    hpack_put(&payload, id, sizeof id);
    hpack_put(&payload, value, strlen(value));
    send_frame(client, H2_PRIORITY_UPDATE, 0, 0, payload.at, payload.length);
    hpack_bytes_clear(&payload);
}
