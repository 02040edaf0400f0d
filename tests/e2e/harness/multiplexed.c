#include "multiplexed.h"

#include "monitor.h"
#include "pattern.h"
#include "tls_client.h"
#include "workplace.h"

#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_BYTES = 256 * 1024, MOMENT_MS = 20 };

struct multiplexed {
    struct client *client;
    const char *host;
    nghttp2_session *session;
    const uint8_t *out; /* the session's, to be sent before it is asked for more */
    size_t out_bytes;
    uint64_t received;
    size_t owed; /* of the connection's window, to be given back */
    size_t stream_portion, connection_portion;
    long long moved_ms; /* when something came or went last */
    uint8_t in[TURN_BYTES];
};

/* --- what comes ------------------------------------------------------------------------------ */

static struct multiplexed_request *request_of(nghttp2_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session, stream);
}

static int take_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                       size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags,
                       void *arg)
{
    struct multiplexed *client = arg;
    struct multiplexed_request *request = request_of(session, frame->hd.stream_id);
    (void)flags, (void)value_length;

    if (request == NULL || name_length != 7 || memcmp(name, ":status", 7) != 0)
        return 0;
    request->status = atoi((const char *)value);
    request->before_answer = client->received;
    return 0;
}

/* In small portions, or no more than half of the window would be on its way where a server sends in
 * bursts. */
static void give_back(struct multiplexed *client, int32_t stream, size_t *owed, size_t portion)
{
    if (*owed < portion)
        return;
    int error =
        nghttp2_submit_window_update(client->session, NGHTTP2_FLAG_NONE, stream, (int32_t)*owed);
    workplace_require(error == 0, "no window: %s", nghttp2_strerror(error));
    *owed = 0;
}

static int take_body(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                     size_t length, void *arg)
{
    struct multiplexed *client = arg;
    struct multiplexed_request *request = request_of(session, stream);
    (void)flags;

    client->received += length;
    client->owed += length;
    give_back(client, 0, &client->owed, client->connection_portion);
    if (request == NULL)
        return 0;
    request->owed += length;
    give_back(client, stream, &request->owed, client->stream_portion);
    if (!pattern_matches(request->bytes, (const char *)bytes, length))
        request->is_pattern = false;
    request->bytes += length;
    return 0;
}

static int take_end(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
    struct multiplexed_request *request = request_of(session, stream);
    (void)arg;

    if (request == NULL)
        return 0;
    request->is_over = true;
    request->error = error;
    return 0;
}

/* --- requests -------------------------------------------------------------------------------- */

static ssize_t give_body(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct multiplexed_request *request = source->ptr;
    uint64_t left = request->to_send - request->sent;
    size_t piece = room < PATTERN_PIECE ? room : PATTERN_PIECE;
    (void)session, (void)stream, (void)arg;

    if (piece >= left) {
        piece = (size_t)left;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    memcpy(to, pattern_at(request->sent), piece);
    request->sent += piece;
    return (ssize_t)piece;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)value,
                        .valuelen = strlen(value)};
}

void multiplexed_ask(struct multiplexed *client, struct multiplexed_request *request)
{
    nghttp2_data_provider body = {.source.ptr = request, .read_callback = give_body};
    nghttp2_nv fields[5] = {
        field(":method", request->method != NULL ? request->method : "GET"),
        field(":scheme", "https"),
        field(":authority", client->host),
        field(":path", request->path),
    };
    size_t count = 4;

    if (request->priority != NULL)
        fields[count++] = field("priority", request->priority);
    request->is_pattern = true;
    request->before_asking = client->received;
    request->stream = nghttp2_submit_request(client->session, NULL, fields, count,
                                             request->to_send > 0 ? &body : NULL, request);
    workplace_require(request->stream > 0, "no request: %s", nghttp2_strerror(request->stream));
}

/* --- the connection -------------------------------------------------------------------------- */

static bool send_some(struct multiplexed *client)
{
    while (client->out_bytes > 0 || nghttp2_session_want_write(client->session)) {
        if (client->out_bytes == 0) {
            ssize_t made = nghttp2_session_mem_send(client->session, &client->out);
            workplace_require(made >= 0, "nothing to send: %s", nghttp2_strerror((int)made));
            client->out_bytes = (size_t)made;
            if (made == 0)
                return false;
        }
        int sent = SSL_write(client->client->wire.ssl, client->out, (int)client->out_bytes);
        if (sent <= 0)
            return SSL_get_error(client->client->wire.ssl, sent) == SSL_ERROR_WANT_WRITE;
        client->out += sent;
        client->out_bytes -= (size_t)sent;
        client->moved_ms = monitor_now_ms();
    }
    return false;
}

static bool read_some(struct multiplexed *client)
{
    SSL *ssl = client->client->wire.ssl;
    int got = SSL_read(ssl, client->in, sizeof client->in);

    if (got <= 0) {
        workplace_require(SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ,
                          "the connection has ended");
        return false;
    }
    ssize_t taken = nghttp2_session_mem_recv(client->session, client->in, (size_t)got);
    workplace_require(taken == got, "not HTTP/2: %s", nghttp2_strerror((int)taken));
    client->moved_ms = monitor_now_ms();
    return true;
}

void multiplexed_turn(struct multiplexed *client)
{
    struct pollfd polled = {.fd = client->client->wire.fd, .events = POLLIN};
    bool is_full = send_some(client);

    if (read_some(client))
        return;
    if (is_full)
        polled.events |= POLLOUT;
    poll(&polled, 1, MOMENT_MS);
    workplace_require(monitor_now_ms() - client->moved_ms < monitor_patience_ms(),
                      "nothing comes or goes any more");
}

void multiplexed_finish(struct multiplexed *client, struct multiplexed_request *request, int status)
{
    while (!request->is_over)
        multiplexed_turn(client);
    workplace_require(request->error == 0 && request->status == status, "%s: status %d, error %u",
                      request->path, request->status, request->error);
}

void multiplexed_close(struct multiplexed *client)
{
    client_close(client->client);
}

uint64_t multiplexed_received(const struct multiplexed *client)
{
    return client->received;
}

int32_t multiplexed_room(const struct multiplexed *client,
                         const struct multiplexed_request *request)
{
    int32_t of_stream =
        nghttp2_session_get_stream_remote_window_size(client->session, request->stream);
    int32_t of_all = nghttp2_session_get_remote_window_size(client->session);

    return of_stream < of_all ? of_stream : of_all;
}

/* --- life ------------------------------------------------------------------------------------ */

static void free_client(void *object)
{
    struct multiplexed *client = object;

    nghttp2_session_del(client->session);
    free(client);
}

static void make_session(struct multiplexed *client, const struct multiplexed_options *options)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)options->stream_window},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, take_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, take_body);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, take_end);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&client->session, callbacks, client, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0,
                                          options->connection_window);
    client->stream_portion = (size_t)options->stream_window / 16;
    client->connection_portion = (size_t)options->connection_window / 16;
}

struct multiplexed *multiplexed_open(const struct multiplexed_options *options)
{
    struct multiplexed *client = workplace_own(calloc(1, sizeof *client), free_client);
    const unsigned char *protocol = NULL;
    unsigned length = 0;

    client->host = options->host;
    client->client = client_open_with(options->address,
                                      &(struct client_options){.sni = options->host, .alpn = "h2"});
    SSL *ssl = client->client->wire.ssl;
    SSL_get0_alpn_selected(ssl, &protocol, &length);
    workplace_require(length == 2 && memcmp(protocol, "h2", 2) == 0, "not HTTP/2");
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    fcntl(client->client->wire.fd, F_SETFL, O_NONBLOCK);
    make_session(client, options);
    client->moved_ms = monitor_now_ms();
    return client;
}
