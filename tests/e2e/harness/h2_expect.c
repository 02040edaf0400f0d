/* Whole requests, and what must come of what was sent. */
#include "h2_frames.h"
#include "workplace.h"

#include <string.h>

static const char *const ends[] = {
    [WIRE_OPEN] = "open",   [WIRE_CLOSED] = "closed",    [WIRE_CUT] = "cut",
    [WIRE_RESET] = "reset", [WIRE_TIMED_OUT] = "silent",
};

static const char *end_of(const struct h2_client *client)
{
    return ends[client->tls->wire.state];
}

/* --- requests ------------------------------------------------------------------------------- */

uint32_t h2_send_request(struct h2_client *client, const struct h2_request *request)
{
    const char *method = request->method != NULL                     ? request->method
                         : request->body != NULL || request->goes_on ? "POST"
                                                                     : "GET";
    const char *fields[72] = {
        ":method",    method,
        ":scheme",    request->scheme != NULL ? request->scheme : "https",
        ":authority", request->authority != NULL ? request->authority : client->options.sni,
        ":path",      request->path != NULL ? request->path : "/"};
    bool has_more = request->body != NULL || request->trailers != NULL || request->goes_on;
    uint32_t id = client->next_stream;
    unsigned count = 8;

    for (const char *const *field = request->fields; field != NULL && *field != NULL; field++) {
        workplace_require(count < 71, "too many fields for the harness");
        fields[count++] = *field;
    }
    client->next_stream += 2;
    h2_send_headers(client,
                    &(struct h2_headers){.stream = id, .fields = fields, .ends_stream = !has_more});
    h2_stream(client, id)->is_head = strcmp(method, "HEAD") == 0;
    h2_stream(client, id)->is_tunnel = strcmp(method, "CONNECT") == 0;
    if (request->body != NULL)
        h2_send_data(client, id, request->body, strlen(request->body),
                     request->trailers == NULL && !request->goes_on);
    if (request->trailers != NULL)
        h2_send_headers(
            client,
            &(struct h2_headers){.stream = id, .fields = request->trailers, .ends_stream = true});
    return id;
}

uint32_t h2_get(struct h2_client *client, const char *path)
{
    return h2_send_request(client, &(struct h2_request){.path = path});
}

uint32_t h2_begin_post(struct h2_client *client, const char *path)
{
    return h2_send_request(client, &(struct h2_request){.path = path, .goes_on = true});
}

bool h2_send_body(struct h2_client *client, uint32_t id, const void *bytes, size_t length,
                  bool ends_stream)
{
    const char *at = bytes;
    struct h2_frame frame;

    do {
        struct h2_stream *stream = h2_stream(client, id);
        int64_t room =
            client->send_window < stream->send_window ? client->send_window : stream->send_window;
        size_t piece = length;
        if (stream->was_reset || client->was_refused)
            return false;
        if (piece > client->peer[H2_MAX_FRAME_SIZE])
            piece = client->peer[H2_MAX_FRAME_SIZE];
        if (room <= 0 && length > 0) {
            if (!h2_read_frame(client, &frame))
                return false;
            continue;
        }
        if (length > 0 && piece > (size_t)room)
            piece = (size_t)room;
        h2_send_data(client, id, at, piece, ends_stream && piece == length);
        at += piece;
        length -= piece;
        h2_read_pending(client);
    } while (length > 0);
    return true;
}

/* --- waiting -------------------------------------------------------------------------------- */

void h2_read_until(struct h2_client *client, h2_fact fact, void *arg, const char *what)
{
    struct h2_frame frame;

    while (!fact(client, arg))
        h2_require(client, h2_read_frame(client, &frame), "%s does not come; the connection is %s",
                   what, end_of(client));
}

static bool has_pong(struct h2_client *client, void *arg)
{
    return client->pong == *(uint64_t *)arg;
}

void h2_settle(struct h2_client *client)
{
    /* An answer to a PING may overtake what else is waiting to be sent, but not by two. */
    for (int round = 0; round < 2; round++) {
        uint64_t payload = ++client->pings << 32 | 0x5e771ed;
        h2_send_ping(client, payload, false);
        h2_read_until(client, has_pong, &payload, "the answer to a PING");
    }
}

static bool has_acknowledged(struct h2_client *client, void *arg)
{
    (void)arg;
    return client->settings_acks == client->settings_sent && client->got_settings;
}

void h2_settle_settings(struct h2_client *client)
{
    h2_read_until(client, has_acknowledged, NULL, "the acknowledgement of SETTINGS");
}

/* --- responses ------------------------------------------------------------------------------ */

static bool has_head(struct h2_client *client, void *arg)
{
    struct h2_stream *stream = h2_stream(client, *(uint32_t *)arg);

    h2_require(client, stream->response != NULL || !stream->was_reset,
               "stream %u is reset with %s instead of a response", stream->id,
               h2_code_name(stream->reset_code));
    return stream->response != NULL;
}

static bool has_response(struct h2_client *client, void *arg)
{
    struct h2_stream *stream = h2_stream(client, *(uint32_t *)arg);

    return has_head(client, arg) && (stream->has_ended || stream->was_reset);
}

struct message *h2_response_head(struct h2_client *client, uint32_t stream)
{
    h2_read_until(client, has_head, &stream, text("a response on stream %u", stream));
    return h2_stream(client, stream)->response;
}

struct message *h2_response(struct h2_client *client, uint32_t stream)
{
    h2_read_until(client, has_response, &stream, text("the response on stream %u", stream));
    return h2_stream(client, stream)->response;
}

struct message *h2_expect_response(struct h2_client *client, uint32_t stream, int status)
{
    struct message *response = h2_response(client, stream);

    h2_require(client, response->status == status && response->is_complete,
               "stream %u: not %d, whole, but %d, %s:\n%s%s", stream, status, response->status,
               response->is_complete ? "whole" : "cut", response->head,
               response->body_stored < 500 ? response->body : "");
    return response;
}

void h2_expect_served(struct h2_client *client)
{
    h2_expect_response(client, h2_get(client, "/after"), 200);
}

/* --- errors --------------------------------------------------------------------------------- */

static bool is_among(uint32_t code, unsigned codes)
{
    return codes == H2_ANY_CODE || (code < 32 && (codes & H2_CODE(code)) != 0);
}

static const char *names_of(unsigned codes)
{
    const char *names = "";

    if (codes == H2_ANY_CODE)
        return "any error";
    for (uint32_t code = 0; code < 32; code++)
        if (codes & H2_CODE(code))
            names = text("%s%s%s", names, *names != '\0' ? " or " : "", h2_code_name(code));
    return names;
}

struct awaited {
    uint32_t stream;
    unsigned codes;
    bool of_stream, of_connection; /* which error is right */
};

/* Whether the error that is waited for has come; another one fails the test. */
static bool has_error(struct h2_client *client, void *arg)
{
    const struct awaited *awaited = arg;
    bool was_reset = awaited->of_stream && h2_stream(client, awaited->stream)->was_reset;
    uint32_t code = was_reset ? h2_stream(client, awaited->stream)->reset_code : 0;

    if (was_reset && code == H2_NO_ERROR && !is_among(code, awaited->codes))
        was_reset = false; /* behind an early response (8.1) */
    h2_require(client, !was_reset || is_among(code, awaited->codes),
               "stream %u is reset with %s, not %s", awaited->stream, h2_code_name(code),
               names_of(awaited->codes));
    if (was_reset)
        return true;
    if (client->goaways == 0 || client->goaway_code == H2_NO_ERROR)
        return false;
    h2_require(client, awaited->of_connection && is_among(client->goaway_code, awaited->codes),
               "GOAWAY with %s ('%s'), not %s with %s", h2_code_name(client->goaway_code),
               client->goaway_text, awaited->of_connection ? "GOAWAY" : "RST_STREAM",
               names_of(awaited->codes));
    return true;
}

static void expect_error(struct h2_client *client, const struct awaited *awaited)
{
    h2_read_until(
        client, has_error, (void *)awaited,
        text("%s with %s",
             awaited->of_stream ? text("an error of stream %u", awaited->stream) : "GOAWAY",
             names_of(awaited->codes)));
    if (client->goaways > 0 && client->goaway_code != H2_NO_ERROR)
        h2_expect_end(client);
}

void h2_expect_stream_error_of(struct h2_client *client, uint32_t stream, unsigned codes)
{
    expect_error(client, &(struct awaited){.stream = stream, .codes = codes, .of_stream = true});
}

void h2_expect_stream_error(struct h2_client *client, uint32_t stream, enum h2_code code)
{
    h2_expect_stream_error_of(client, stream, H2_CODE(code));
}

void h2_expect_connection_error_of(struct h2_client *client, unsigned codes)
{
    expect_error(client, &(struct awaited){.codes = codes, .of_connection = true});
}

void h2_expect_connection_error(struct h2_client *client, enum h2_code code)
{
    h2_expect_connection_error_of(client, H2_CODE(code));
}

void h2_expect_error(struct h2_client *client, uint32_t stream, unsigned codes)
{
    expect_error(client, &(struct awaited){.stream = stream,
                                           .codes = codes,
                                           .of_stream = stream % 2 == 1,
                                           .of_connection = true});
}

void h2_expect_end(struct h2_client *client)
{
    struct h2_frame frame;

    while (h2_read_frame(client, &frame))
        continue;
    h2_require(client, client->tls->wire.state == WIRE_CLOSED && wire_held(&client->tls->wire) == 0,
               "the connection is %s, not closed in order", end_of(client));
}

void h2_expect_orderly_end(struct h2_client *client)
{
    h2_expect_end(client);
    h2_require(client, client->goaways > 0, "the connection ended without a GOAWAY");
    h2_require(client, client->goaway_code == H2_NO_ERROR, "GOAWAY with %s ('%s')",
               h2_code_name(client->goaway_code), client->goaway_text);
}
