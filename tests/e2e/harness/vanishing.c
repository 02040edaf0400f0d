#include "vanishing.h"

#include "tls_client.h"
#include "workplace.h"

#include <string.h>
#include <sys/socket.h>

/* Where it is when it goes. */
enum state {
    BEFORE_PROXY_HEADER,
    IN_PROXY_HEADER,
    BEFORE_HELLO,
    IN_HELLO,
    IN_HANDSHAKE,
    AFTER_HANDSHAKE,
    IN_HEAD,
    IN_BODY,
    AWAITING_ANSWER,
    IN_ANSWER,
    IN_TUNNEL,
    IN_LINGER,
    STATES
};

/* In order or by a reset, over TLS or plain. */
const unsigned vanishing_kinds = STATES * 2 * 2;

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: %s\r\n"

/* As far as this state is reached before any request. */
static struct client *begin_connection(const struct vanishing *from, enum state state,
                                       bool is_plain)
{
    const struct client_options options = {.sni = from->host,
                                           .context = from->context,
                                           .has_small_window = state == IN_ANSWER,
                                           .is_http1 = state == IN_HEAD || state == IN_LINGER};

    switch (state) {
    case BEFORE_PROXY_HEADER:
    case IN_PROXY_HEADER: return client_make_plain(from->behind_proxy);
    case BEFORE_HELLO:
    case IN_HELLO: return client_make_plain(from->https);
    case IN_HANDSHAKE: return client_make_begun(from->https, &options);
    default: return is_plain ? client_make_plain(from->plain) : client_make(from->https, &options);
    }
}

static void read_head(struct client *client)
{
    struct message *response = message_make();

    message_read_head(&client->wire, response, false);
    message_free(response);
}

static void say_what_belongs(struct client *client, enum state state, const char *host)
{
    static const char half_hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half";
    struct wire *wire = &client->wire;

    switch (state) {
    case IN_PROXY_HEADER: wire_print(wire, "PROXY TCP4 203.0.113.7 203."); break;
    case IN_HELLO: wire_write(wire, half_hello, sizeof half_hello - 1); break;
    case IN_HEAD: wire_print(wire, REQUEST("GET", "/echo") "X: ", host); break;
    case IN_BODY:
        wire_print(wire, REQUEST("POST", "/echo") "Content-Length: 100000\r\n\r\n%060000d", host,
                   0);
        break;
    case AWAITING_ANSWER: wire_print(wire, REQUEST("GET", "/hang") "\r\n", host); break;
    case IN_ANSWER:
        wire_print(wire, REQUEST("GET", "/down") "\r\n", host);
        read_head(client);
        break;
    case IN_TUNNEL:
        wire_print(wire,
                   REQUEST("GET", "/ws") "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nhalf",
                   host);
        read_head(client);
        break;
    case IN_LINGER:
        wire_print(wire, "no request\r\n\r\n");
        read_head(client);
        wire_print(wire, "and more");
        break;
    default: break;
    }
}

void vanish(const struct vanishing *from, unsigned n)
{
    enum state state = n % STATES;
    bool resets = n / STATES % 2 == 1, is_plain = n / STATES / 2 % 2 == 1;
    struct client *client = begin_connection(from, state, is_plain);

    if (client == NULL)
        return;
    if (state < AFTER_HANDSHAKE || client->is_connected)
        say_what_belongs(client, state, from->host);
    if (resets)
        wire_reset(&client->wire);
    else
        shutdown(client->wire.fd, SHUT_WR);
    client_free(client);
}
