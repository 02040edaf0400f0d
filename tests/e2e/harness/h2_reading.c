/* Reads frames and holds them against what a server may send. */
#include "h2_private.h"
#include "workplace.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

enum { FRAME_HEAD = 9, WINDOW_MAX = 0x7fffffff };

/* Takes padding (6.1, 6.2) off; false when there is more of it than payload. */
static bool unpad(const struct h2_frame *frame, const uint8_t **at, size_t *length)
{
    *at = frame->payload;
    *length = frame->length;
    if (!(frame->flags & H2_PADDED))
        return true;
    if (*length == 0 || **at >= *length)
        return false;
    *length -= 1U + **at;
    (*at)++;
    return true;
}

/* The stream of a frame that only makes sense on one that we opened. */
static struct h2_stream *opened_stream(struct h2_client *client, const struct h2_frame *frame)
{
    h2_judge(client, frame->stream % 2 == 1 && frame->stream <= client->highest_stream,
             "5.1: %s on stream %u, which is idle", h2_type_name(frame->type), frame->stream);
    return frame->stream % 2 == 1 ? h2_stream(client, frame->stream) : NULL;
}

/* The same for frames that may come only until END_STREAM or RST_STREAM. */
static struct h2_stream *open_stream(struct h2_client *client, const struct h2_frame *frame)
{
    struct h2_stream *stream = opened_stream(client, frame);

    if (stream == NULL)
        return NULL;
    h2_judge(client, !stream->has_ended, "5.1: %s on stream %u behind END_STREAM",
             h2_type_name(frame->type), frame->stream);
    h2_judge(client, !stream->was_reset, "5.1: %s on stream %u behind RST_STREAM",
             h2_type_name(frame->type), frame->stream);
    return stream;
}

/* --- DATA ----------------------------------------------------------------------------------- */

static void give_back(struct h2_client *client, uint64_t stream_and_bytes)
{
    h2_send_window(client, (uint32_t)(stream_and_bytes >> 32), (uint32_t)stream_and_bytes);
}

static void take_window(struct h2_client *client, struct h2_stream *stream,
                        const struct h2_frame *frame)
{
    client->window -= (int64_t)frame->length;
    stream->window -= (int64_t)frame->length;
    stream->data_frames++;
    stream->data_bytes += frame->length;
    h2_judge(client, frame->length == 0 || client->window >= 0,
             "6.9: DATA of %zu bytes is %lld beyond the connection's window", frame->length,
             -(long long)client->window);
    h2_judge(client, frame->length == 0 || stream->window >= 0,
             "6.9: DATA of %zu bytes is %lld beyond the window of stream %u", frame->length,
             -(long long)stream->window, stream->id);
    if (client->options.withholds_windows || frame->length == 0)
        return;
    h2_answer(client, give_back, frame->length);
    if (!(frame->flags & H2_END_STREAM))
        h2_answer(client, give_back, (uint64_t)stream->id << 32 | frame->length);
}

static void take_data(struct h2_client *client, const struct h2_frame *frame)
{
    struct h2_stream *stream = open_stream(client, frame);
    const uint8_t *at;
    size_t length;

    if (stream == NULL)
        return;
    h2_require(client, unpad(frame, &at, &length), "6.1: more padding than payload");
    take_window(client, stream, frame);
    if (stream->we_reset)
        return;
    h2_require(client, stream->response != NULL, "8.1: DATA on stream %u in front of a response",
               stream->id);
    h2_judge(client,
             length == 0 || !(stream->is_head || stream->response->status == 204 ||
                              stream->response->status == 304),
             "8.1: DATA on stream %u, whose response has no content", stream->id);
    message_keep_body(stream->response, (const char *)at, length);
    if (frame->flags & H2_END_STREAM)
        h2_end_stream(client, stream);
}

/* --- HEADERS and CONTINUATION ----------------------------------------------------------- */

static void take_fragment(struct h2_client *client, const struct h2_frame *frame, const uint8_t *at,
                          size_t length)
{
    hpack_put(&client->block, at, length);
    if (frame->flags & H2_END_HEADERS)
        h2_take_section(client);
}

static void take_headers(struct h2_client *client, const struct h2_frame *frame)
{
    struct h2_stream *stream = open_stream(client, frame);
    const uint8_t *at;
    size_t length;

    h2_require(client, stream != NULL && unpad(frame, &at, &length), "6.2: HEADERS are wrong");
    h2_judge(client, !(frame->flags & H2_HAS_PRIORITY), "HEADERS with priority from a server");
    client->block_stream = frame->stream;
    client->block_ends_stream = frame->flags & H2_END_STREAM;
    take_fragment(client, frame, at, length);
}

/* --- the connection's frames ---------------------------------------------------------------- */

static void move_windows(struct h2_client *client, int64_t by, bool ours)
{
    for (uint32_t i = 0; i < client->stream_count; i++) {
        if (ours)
            client->streams[i]->window += by;
        else
            client->streams[i]->send_window += by;
    }
}

/* What we told holds from here on. */
static void take_settings_ack(struct h2_client *client)
{
    client->settings_acks++;
    h2_judge(client, client->settings_acks <= client->settings_sent,
             "6.5.3: more SETTINGS are acknowledged than were sent");
    if (client->unacknowledged_count == 0)
        return;
    for (unsigned i = 0; i < client->unacknowledged[0].count; i++) {
        struct h2_setting setting = client->unacknowledged[0].list[i];
        if (setting.id == H2_INITIAL_WINDOW_SIZE) {
            move_windows(client, (int64_t)setting.value - client->initial_window, true);
            client->initial_window = setting.value;
        } else if (setting.id == H2_MAX_FRAME_SIZE) {
            client->max_frame = setting.value;
        } else if (setting.id == H2_HEADER_TABLE_SIZE) {
            hpack_decoder_limit(&client->decoder, setting.value);
        }
    }
    client->unacknowledged_count--;
    memmove(client->unacknowledged, client->unacknowledged + 1,
            client->unacknowledged_count * sizeof client->unacknowledged[0]);
}

static void take_setting(struct h2_client *client, unsigned id, uint32_t value)
{
    h2_judge(client, id != H2_ENABLE_PUSH || value == 0, "6.5.2: ENABLE_PUSH %u from a server",
             value);
    h2_judge(client, id != H2_INITIAL_WINDOW_SIZE || value <= WINDOW_MAX,
             "6.5.2: INITIAL_WINDOW_SIZE %u", value);
    h2_judge(client, id != H2_MAX_FRAME_SIZE || (value >= 16384 && value <= 16777215),
             "6.5.2: MAX_FRAME_SIZE %u", value);
    h2_judge(client, id != H2_ENABLE_CONNECT_PROTOCOL || (value <= 1 && value >= client->peer[id]),
             "RFC 8441, 3: ENABLE_CONNECT_PROTOCOL %u", value);
    if (id == H2_INITIAL_WINDOW_SIZE)
        move_windows(client, (int64_t)value - client->peer[id], false);
    if (id < H2_SETTINGS_KNOWN)
        client->peer[id] = value;
}

static void acknowledge(struct h2_client *client, uint64_t nothing)
{
    (void)nothing;
    h2_send_settings_ack(client);
}

static void take_settings(struct h2_client *client, const struct h2_frame *frame)
{
    const uint8_t *at = frame->payload;

    h2_judge(client, frame->stream == 0, "6.5: SETTINGS on stream %u", frame->stream);
    if (frame->flags & H2_ACK) {
        h2_judge(client, frame->length == 0, "6.5: acknowledgement with a payload");
        take_settings_ack(client);
        return;
    }
    h2_judge(client, frame->length % 6 == 0, "6.5: SETTINGS of %zu bytes", frame->length);
    for (size_t i = 0; i + 6 <= frame->length; i += 6)
        take_setting(client, (unsigned)at[i] << 8 | at[i + 1], h2_number(at + i + 2));
    client->got_settings = true;
    if (!client->options.withholds_settings_ack)
        h2_answer(client, acknowledge, 0);
}

static void answer_ping(struct h2_client *client, uint64_t payload)
{
    h2_send_ping(client, payload, true);
}

static void take_ping(struct h2_client *client, const struct h2_frame *frame)
{
    uint64_t payload;

    h2_judge(client, frame->stream == 0, "6.7: PING on stream %u", frame->stream);
    h2_require(client, frame->length == 8, "6.7: PING of %zu bytes", frame->length);
    memcpy(&payload, frame->payload, sizeof payload);
    if (frame->flags & H2_ACK) {
        client->ping_acks++;
        client->pong = payload;
    } else if (!client->options.withholds_ping_ack) {
        h2_answer(client, answer_ping, payload);
    }
}

static void take_goaway(struct h2_client *client, const struct h2_frame *frame)
{
    const uint8_t *at = frame->payload;
    size_t words = frame->length - 8;

    h2_judge(client, frame->stream == 0, "6.8: GOAWAY on stream %u", frame->stream);
    h2_require(client, frame->length >= 8, "6.8: GOAWAY of %zu bytes", frame->length);
    uint32_t last = h2_number(at) & WINDOW_MAX;
    h2_judge(client, last <= client->goaway_last, "6.8: GOAWAY goes back from stream %u to %u",
             client->goaway_last, last);
    client->goaways++;
    client->goaway_last = last;
    client->goaway_code = h2_number(at + 4);
    if (words >= sizeof client->goaway_text)
        words = sizeof client->goaway_text - 1;
    memcpy(client->goaway_text, at + 8, words);
    client->goaway_text[words] = '\0';
}

static void take_reset(struct h2_client *client, const struct h2_frame *frame)
{
    struct h2_stream *stream = opened_stream(client, frame);

    h2_require(client, frame->length == 4, "6.4: RST_STREAM of %zu bytes", frame->length);
    if (stream == NULL)
        return;
    stream->was_reset = true;
    stream->reset_code = h2_number(frame->payload);
    if (stream->response != NULL && !stream->has_ended)
        stream->response->end = WIRE_RESET;
}

static void take_window_update(struct h2_client *client, const struct h2_frame *frame)
{
    int64_t *window = &client->send_window;

    h2_require(client, frame->length == 4, "6.9: WINDOW_UPDATE of %zu bytes", frame->length);
    uint32_t increment = h2_number(frame->payload) & WINDOW_MAX;
    h2_judge(client, increment > 0, "6.9: WINDOW_UPDATE of 0 on stream %u", frame->stream);
    if (frame->stream != 0) {
        struct h2_stream *stream = opened_stream(client, frame);
        if (stream == NULL)
            return;
        window = &stream->send_window;
    }
    *window += increment;
    h2_judge(client, *window <= WINDOW_MAX,
             "6.9.1: the window of stream %u grows beyond all limits", frame->stream);
}

/* --- frames --------------------------------------------------------------------------------- */

static void take_frame(struct h2_client *client, const struct h2_frame *frame)
{
    h2_judge(client,
             client->got_settings || (frame->type == H2_SETTINGS && !(frame->flags & H2_ACK)),
             "3.4: %s comes in front of SETTINGS", h2_type_name(frame->type));
    h2_judge(client, frame->length <= client->max_frame,
             "4.2: %s of %zu bytes, where %u are allowed", h2_type_name(frame->type), frame->length,
             client->max_frame);
    h2_judge(client,
             client->block_stream == 0
                 ? frame->type != H2_CONTINUATION
                 : frame->type == H2_CONTINUATION && frame->stream == client->block_stream,
             "6.10: %s on stream %u while HEADERS of stream %u are under way",
             h2_type_name(frame->type), frame->stream, client->block_stream);
    client->frames[frame->type]++;
    switch (frame->type) {
    case H2_DATA: take_data(client, frame); break;
    case H2_HEADERS: take_headers(client, frame); break;
    case H2_CONTINUATION: take_fragment(client, frame, frame->payload, frame->length); break;
    case H2_RST_STREAM: take_reset(client, frame); break;
    case H2_SETTINGS: take_settings(client, frame); break;
    case H2_PING: take_ping(client, frame); break;
    case H2_GOAWAY: take_goaway(client, frame); break;
    case H2_WINDOW_UPDATE: take_window_update(client, frame); break;
    case H2_PUSH_PROMISE:
    case H2_PRIORITY_UPDATE: h2_fail(client, "%s from the gateway", h2_type_name(frame->type));
    default: break;
    }
}

/* The length of the whole frame that the wire holds; 0: not there yet. */
static size_t held_frame(const struct wire *wire)
{
    const uint8_t *at = (const uint8_t *)wire_bytes(wire);

    if (wire_held(wire) < FRAME_HEAD)
        return 0;
    size_t length = FRAME_HEAD + ((size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2]);
    return wire_held(wire) < length ? 0 : length;
}

static void take_held_frame(struct h2_client *client, size_t length, struct h2_frame *frame)
{
    const uint8_t *at = (const uint8_t *)wire_bytes(&client->tls->wire);

    client->payload.length = 0;
    hpack_put(&client->payload, at + FRAME_HEAD, length - FRAME_HEAD);
    *frame = (struct h2_frame){.type = at[3],
                               .flags = at[4],
                               .stream = h2_number(at + 5) & WINDOW_MAX,
                               .has_reserved_bit = (at[5] & 0x80) != 0,
                               .payload = client->payload.at,
                               .length = length - FRAME_HEAD};
    wire_take(&client->tls->wire, length);
    h2_tell(client, '<', frame);
    take_frame(client, frame);
}

bool h2_read_frame(struct h2_client *client, struct h2_frame *frame)
{
    size_t length;

    while ((length = held_frame(&client->tls->wire)) == 0)
        if (!wire_fill(&client->tls->wire))
            return false;
    take_held_frame(client, length, frame);
    return true;
}

/* Reads what is there; TLS may have bytes that are none of ours, so the socket must not block. */
static bool fill_without_waiting(struct wire *wire)
{
    int flags = fcntl(wire->fd, F_GETFL);
    bool has_more;

    if (wire->state != WIRE_OPEN || flags < 0)
        return false;
    fcntl(wire->fd, F_SETFL, flags | O_NONBLOCK);
    has_more = wire_fill(wire);
    fcntl(wire->fd, F_SETFL, flags);
    if (wire->state == WIRE_TIMED_OUT)
        wire->state = WIRE_OPEN;
    return has_more;
}

void h2_read_pending(struct h2_client *client)
{
    struct h2_frame frame;
    size_t length;

    do {
        while ((length = held_frame(&client->tls->wire)) > 0)
            take_held_frame(client, length, &frame);
    } while (fill_without_waiting(&client->tls->wire));
}
