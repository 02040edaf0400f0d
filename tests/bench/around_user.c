#include "bench/around.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ROOM = 64 * 1024,  /* read in one go */
    PIECE = 64 * 1024, /* sent in one turn */
};

/* After a call that could not end: the others' turn; any other failure is the end. */
static void let_others(struct user *user, int result)
{
    int error = SSL_get_error(user->ssl, result);

    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        around_fail("a client's connection has failed");
    around_turn(user->fd);
}

void user_connect(struct user *user, SSL_CTX *settings, uint16_t port, SSL_SESSION *session)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, result;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *user = (struct user){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (user->fd < 0 || connect(user->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        around_fail("a client cannot connect");
    setsockopt(user->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(user->fd, F_SETFL, O_NONBLOCK);
    user->ssl = SSL_new(settings);
    SSL_set_fd(user->ssl, user->fd);
    SSL_set_tlsext_host_name(user->ssl, "localhost");
    if (session != NULL)
        SSL_set_session(user->ssl, session);
    while ((result = SSL_connect(user->ssl)) != 1)
        let_others(user, result);
    if (SSL_session_reused(user->ssl) != (session != NULL))
        around_fail("a handshake was not of the kind that it should be");
}

void user_close(struct user *user)
{
    char drop[1024];
    ssize_t got;

    SSL_shutdown(user->ssl);
    shutdown(user->fd, SHUT_WR);
    while ((got = recv(user->fd, drop, sizeof(drop), 0)) != 0) {
        if (got < 0 && errno != EAGAIN)
            around_fail("a connection has not ended in order");
        if (got < 0)
            around_turn(user->fd);
    }
    nghttp2_session_del(user->http2);
    SSL_free(user->ssl);
    close(user->fd);
}

void user_send(struct user *user, const void *bytes, size_t length)
{
    for (size_t sent = 0; sent < length;) {
        size_t piece = length - sent < PIECE ? length - sent : PIECE;
        int result = SSL_write(user->ssl, (const char *)bytes + sent, (int)piece);
        if (result <= 0) {
            let_others(user, result);
            continue;
        }
        sent += (size_t)result;
        if (sent < length)
            around_turn(user->fd);
    }
}

/* Waits until there is something. */
static size_t receive(struct user *user, char *into, size_t room)
{
    for (;;) {
        int result = SSL_read(user->ssl, into, (int)room);
        if (result > 0)
            return (size_t)result;
        let_others(user, result);
    }
}

void user_read_answer(struct user *user, size_t body_bytes)
{
    static char bytes[ROOM];
    const char *end = NULL;
    size_t got = 0;

    while (end == NULL) {
        got += receive(user, bytes + got, sizeof(bytes) - 1 - got);
        bytes[got] = '\0';
        end = strstr(bytes, "\r\n\r\n");
    }
    if (strncmp(bytes, "HTTP/1.1 200 ", 13) != 0)
        around_fail(bytes);
    got -= (size_t)(end + 4 - bytes);
    while (got < body_bytes)
        got += receive(user, bytes, sizeof(bytes));
    if (got != body_bytes)
        around_fail("a response is longer than it should be");
}

/* --- HTTP/2 ---------------------------------------------------------------------------------- */

static int note_answer(nghttp2_session *session, int32_t stream, uint32_t error, void *owner)
{
    struct user *user = owner;

    (void)session, (void)stream;
    if (error != 0)
        around_fail("a request in HTTP/2 was reset");
    user->answers_due--;
    return 0;
}

static int check_status(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                        size_t name_length, const uint8_t *value, size_t value_length,
                        uint8_t flags, void *owner)
{
    (void)session, (void)frame, (void)flags, (void)owner;
    if (name_length == 7 && memcmp(name, ":status", 7) == 0 &&
        (value_length != 3 || memcmp(value, "200", 3) != 0))
        around_fail("a request in HTTP/2 was not answered 200");
    return 0;
}

void user_speak_http2(struct user *user)
{
    nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20};
    nghttp2_session_callbacks *callbacks;

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, check_status);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, note_answer);
    if (nghttp2_session_client_new(&user->http2, callbacks, user) != 0 ||
        nghttp2_submit_settings(user->http2, NGHTTP2_FLAG_NONE, &window, 1) != 0)
        around_fail("no session of HTTP/2");
    nghttp2_session_callbacks_del(callbacks);
}

static void send_frames(struct user *user)
{
    const uint8_t *bytes;
    ssize_t length;

    while ((length = nghttp2_session_mem_send(user->http2, &bytes)) > 0)
        user_send(user, bytes, (size_t)length);
}

static void ask(struct user *user, const char *path)
{
    static const char *const names[] = {":method", ":scheme", ":authority", ":path", "user-agent"};
    const char *const values[] = {"GET", "https", "localhost", path, "instructions"};
    nghttp2_nv fields[sizeof(names) / sizeof(names[0])];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        fields[i] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)names[i],
                                 .namelen = strlen(names[i]),
                                 .value = (uint8_t *)(uintptr_t)values[i],
                                 .valuelen = strlen(values[i])};
    if (nghttp2_submit_request(user->http2, NULL, fields, sizeof(names) / sizeof(names[0]), NULL,
                               NULL) < 0)
        around_fail("cannot ask in HTTP/2");
    user->answers_due++;
}

void user_ask_http2(struct user *user, const char *path, unsigned count)
{
    static char bytes[ROOM];

    for (unsigned i = 0; i < count; i++)
        ask(user, path);
    send_frames(user);
    while (user->answers_due > 0) {
        size_t got = receive(user, bytes, sizeof(bytes));
        if (nghttp2_session_mem_recv(user->http2, (const uint8_t *)bytes, got) < 0)
            around_fail("what came is not HTTP/2");
        send_frames(user);
    }
}
