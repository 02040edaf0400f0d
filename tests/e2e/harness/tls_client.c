#include "tls_client.h"

#include "h2_wire.h"
#include "monitor.h"
#include "protocol.h"
#include "workplace.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int remember_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *client = SSL_get_app_data(ssl);

    SSL_SESSION_free(client->session);
    client->session = session;
    return 1;
}

void client_close(struct client *client)
{
    /* Without a close_notify of ours a session would count as broken and not resume. */
    if (client->wire.ssl != NULL && client->is_connected)
        SSL_set_shutdown(client->wire.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    wire_clear(&client->wire);
}

void client_free(void *object)
{
    struct client *client = object;

    client_close(client);
    SSL_SESSION_free(client->session);
    SSL_CTX_free(client->context);
    free(client);
}

static void say_goodbye(void *object)
{
    struct client *client = object;

    if (client->wire.fd >= 0)
        shutdown(client->wire.fd, SHUT_WR);
}

void clients_say_goodbye(void)
{
    workplace_each(client_free, say_goodbye);
}

static void set_alpn(SSL *ssl, const char *names)
{
    unsigned char list[256];
    size_t length = 0;

    while (names != NULL && *names != '\0') {
        size_t name = strcspn(names, ",");
        list[length++] = (unsigned char)name;
        memcpy(list + length, names, name);
        length += name;
        names += name + (names[name] == ',');
    }
    if (length > 0)
        SSL_set_alpn_protos(ssl, list, (unsigned)length);
}

static bool offers_h2(const struct client_options *options)
{
    return options->alpn == NULL && !options->is_http1 && speaks_h2();
}

static void set_options(SSL *ssl, const struct client_options *options)
{
    bool accepted = true;

    if (options->sni != NULL)
        SSL_set_tlsext_host_name(ssl, options->sni);
    set_alpn(ssl, offers_h2(options) ? "h2" : options->alpn);
    if (options->min_version != 0)
        accepted &= SSL_set_min_proto_version(ssl, options->min_version) == 1;
    if (options->max_version != 0)
        accepted &= SSL_set_max_proto_version(ssl, options->max_version) == 1;
    if (options->ciphers != NULL)
        accepted &= SSL_set_cipher_list(ssl, options->ciphers) == 1;
    if (options->suites != NULL)
        accepted &= SSL_set_ciphersuites(ssl, options->suites) == 1;
    if (options->groups != NULL)
        accepted &= SSL_set1_groups_list(ssl, options->groups) == 1;
    if (options->sigalgs != NULL)
        accepted &= SSL_set1_sigalgs_list(ssl, options->sigalgs) == 1;
    if (options->session != NULL)
        accepted &= SSL_set_session(ssl, options->session) == 1;
    if (options->cert != NULL)
        cert_show(options->cert, ssl, !options->shows_leaf_alone);
    if (options->wants_ocsp)
        SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    workplace_require(accepted, "OpenSSL refuses what this client should be");
}

static void set_trust(struct client *client, SSL *ssl, const char *name)
{
    X509_STORE_add_cert(SSL_CTX_get_cert_store(client->context), cert_authority());
    SSL_set1_host(ssl, name);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
}

static SSL *new_ssl(struct client *client, const struct client_options *options, int fd)
{
    client->context = options->context;
    if (client->context != NULL)
        SSL_CTX_up_ref(client->context);
    else
        client->context = SSL_CTX_new(TLS_client_method());
    workplace_require(client->context != NULL, "no TLS context");
    SSL_CTX_set_session_cache_mode(client->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client->context, remember_session);
    SSL_CTX_set_mode(client->context, SSL_MODE_AUTO_RETRY);
    SSL *ssl = SSL_new(client->context);
    workplace_require(ssl != NULL, "no TLS client");
    SSL_set_app_data(ssl, client);
    client->offers_h2 = offers_h2(options);
    client->has_small_window = options->has_small_window;
    set_options(ssl, options);
    if (options->verifies)
        set_trust(client, ssl, options->sni);
    SSL_set_fd(ssl, fd);
    return ssl;
}

static void begin_h2(struct client *client)
{
    SSL *ssl = client->wire.ssl;
    const unsigned char *chosen;
    unsigned length;

    SSL_get0_alpn_selected(ssl, &chosen, &length);
    workplace_require(length == 2 && memcmp(chosen, "h2", 2) == 0, "the gateway speaks no HTTP/2");
    client->wire.h2 = h2_wire_new(client->wire.fd, ssl, client->has_small_window);
}

static void shake_hands(struct client *client)
{
    ERR_clear_error();
    client->is_connected = SSL_connect(client->wire.ssl) == 1;
    if (!client->is_connected) {
        int reason = ERR_GET_REASON(ERR_peek_error());
        client->alert = reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : 0;
    } else if (client->offers_h2) {
        begin_h2(client);
    }
}

static struct client *make_connected(int fd)
{
    struct client *client = calloc(1, sizeof *client);

    if (client == NULL)
        abort();
    wire_init(&client->wire, fd, NULL);
    return client;
}

struct client *client_make(const char *address, const struct client_options *options)
{
    int fd = wire_dial_from(address, options->from, options->has_small_window);

    if (fd < 0)
        return NULL;
    struct client *client = make_connected(fd);
    client->wire.ssl = new_ssl(client, options, fd);
    shake_hands(client);
    return client;
}

struct client *client_try(const char *address, const struct client_options *options)
{
    struct client *client = client_make(address, options);

    return client != NULL ? workplace_own(client, client_free) : NULL;
}

int client_outcome(struct client *client, const char *host)
{
    char *request = text("GET /outcome HTTP/1.1\r\nHost: %s\r\n\r\n", host);

    if (!client->is_connected)
        return client->alert;
    if (wire_write(&client->wire, request, strlen(request)) && wire_fill(&client->wire)) {
        client_response(client);
        return 0;
    }
    wire_fill(&client->wire);
    workplace_require(client->wire.alert != 0, "the connection ended without an alert");
    client->alert = client->wire.alert;
    return client->alert;
}

struct client *client_make_begun(const char *address, const struct client_options *options)
{
    int fd = wire_dial_from(address, options->from, options->has_small_window);

    if (fd < 0)
        return NULL;
    struct client *client = make_connected(fd);
    client->wire.ssl = new_ssl(client, options, fd);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ERR_clear_error();
    SSL_connect(client->wire.ssl);
    fcntl(fd, F_SETFL, 0);
    return client;
}

struct client *client_begin(const char *address, const struct client_options *options)
{
    struct client *client = client_make_begun(address, options);

    workplace_require(client != NULL, "cannot connect to %s: %s", address, strerror(errno));
    return workplace_own(client, client_free);
}

void client_finish(struct client *client)
{
    char why[256];

    shake_hands(client);
    ERR_error_string_n(ERR_peek_error(), why, sizeof why);
    workplace_require(client->is_connected, "the handshake does not go on: %s", why);
}

void client_speak_tls(struct client *client, const struct client_options *options)
{
    client->wire.ssl = new_ssl(client, options, client->wire.fd);
    client_finish(client);
}

struct client *client_open_with(const char *address, const struct client_options *options)
{
    struct client *client = client_try(address, options);

    workplace_require(client != NULL, "cannot connect to %s: %s", address, strerror(errno));
    if (!client->is_connected) {
        char why[256];
        ERR_error_string_n(ERR_peek_error(), why, sizeof why);
        workplace_fail("no TLS with %s (SNI %s): %s", address,
                       options->sni != NULL ? options->sni : "none", why);
    }
    return client;
}

struct client *client_open(struct gateway *gateway, const char *sni)
{
    return client_open_with(gateway_https(gateway), &(struct client_options){.sni = sni});
}

struct client *client_make_plain(const char *address)
{
    int fd = wire_dial(address, false);

    if (fd < 0)
        return NULL;
    struct client *client = make_connected(fd);
    client->is_connected = true;
    return client;
}

struct client *client_open_plain(const char *address)
{
    struct client *client = client_make_plain(address);

    workplace_require(client != NULL, "cannot connect to %s: %s", address, strerror(errno));
    return workplace_own(client, client_free);
}

void client_send_bytes(struct client *client, const void *bytes, size_t length)
{
    workplace_require(wire_write(&client->wire, bytes, length),
                      "the gateway does not take what the client sends");
}

void client_send(struct client *client, const char *format, ...)
{
    va_list arguments;
    char *made = NULL;

    va_start(arguments, format);
    int length = vasprintf(&made, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    bool sent = wire_write(&client->wire, made, (size_t)length);
    free(made);
    workplace_require(sent, "the gateway does not take what the client sends");
}

void client_send_slowly(struct client *client, const char *bytes)
{
    for (; *bytes != '\0'; bytes++)
        client_send_bytes(client, bytes, 1);
}

static const char *const ends[] = {
    [WIRE_OPEN] = "open",   [WIRE_CLOSED] = "closed",    [WIRE_CUT] = "cut",
    [WIRE_RESET] = "reset", [WIRE_TIMED_OUT] = "silent",
};

struct message *client_response_head(struct client *client)
{
    struct message *response = message_new();

    workplace_require(message_read_head(&client->wire, response, false),
                      "no response head came; the connection is %s; it said: '%.*s'",
                      ends[client->wire.state], (int)wire_held(&client->wire),
                      wire_bytes(&client->wire));
    return response;
}

struct message *client_response_to(struct client *client, const char *method)
{
    struct message *response = client_response_head(client);

    message_read_body(&client->wire, response, method);
    return response;
}

struct message *client_response(struct client *client)
{
    return client_response_to(client, "GET");
}

enum wire_end client_read_to_end(struct client *client)
{
    do {
        wire_take(&client->wire, wire_held(&client->wire));
    } while (wire_fill(&client->wire));
    return client->wire.state;
}

void client_expect_end(struct client *client)
{
    workplace_require(wire_held(&client->wire) == 0 && !wire_fill(&client->wire),
                      "more came: '%.*s'", (int)wire_held(&client->wire),
                      wire_bytes(&client->wire));
    workplace_require(client->wire.state == WIRE_CLOSED,
                      "the connection is %s, not closed in order", ends[client->wire.state]);
}

void client_expect_last(struct client *client)
{
    if (client->wire.h2 == NULL) {
        client_expect_end(client);
        return;
    }
    workplace_require(h2_wire_ping(client->wire.h2), "the connection ended, not the stream alone");
    workplace_require(wire_held(&client->wire) == 0 && !h2_wire_is_readable(client->wire.h2),
                      "more came");
}

void client_expect_bad_request(struct client *client)
{
    if (client->wire.h2 == NULL) {
        expect_refusal(client_response(client), 400, "bad_request");
        return;
    }
    workplace_require(!wire_fill(&client->wire), "something came: '%.*s'",
                      (int)wire_held(&client->wire), wire_bytes(&client->wire));
    workplace_require(client->wire.state == WIRE_RESET && h2_wire_was_malformed(client->wire.h2),
                      "the connection is %s", ends[client->wire.state]);
    client->wire.state = WIRE_OPEN;
}

void client_leave(struct client *client)
{
    if (client->wire.h2 == NULL)
        client_close(client);
    else
        workplace_require(h2_wire_cancel(client->wire.h2), "the connection ended with the stream");
}

struct message *client_get(struct client *client, const char *host, const char *path)
{
    client_send(client, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    return client_response(client);
}

struct message *fetch(struct gateway *gateway, const char *host, const char *path)
{
    struct client *client = client_open(gateway, host);
    struct message *response = client_get(client, host, path);

    client_close(client);
    return response;
}

static const char *show(const struct message *message)
{
    return text("%s%.*s", message->head,
                (int)(message->body_stored < 2000 ? message->body_stored : 2000),
                message->body != NULL ? message->body : "");
}

void expect_status(const struct message *response, int status)
{
    workplace_require(response->status == status, "status %d, not %d:\n%s", response->status,
                      status, show(response));
    workplace_require(response->is_complete, "the body is not whole (the connection is %s):\n%s",
                      ends[response->end], show(response));
}

void expect_refusal(const struct message *response, int status, const char *reason)
{
    expect_status(response, status);
    workplace_require(response->body != NULL && strstr(response->body, reason) != NULL,
                      "no reason '%s':\n%s", reason, show(response));
}

void expect_from(const struct message *response, const char *origin_name)
{
    size_t length = strlen(origin_name);

    expect_status(response, 200);
    workplace_require(response->body != NULL && strncmp(response->body, origin_name, length) == 0 &&
                          response->body[length] == '\n',
                      "not from origin %s:\n%s", origin_name, show(response));
}

void expect_field(const struct message *message, const char *name, const char *value)
{
    const char *is = message_field(message, name);

    workplace_require(is != NULL && strcmp(is, value) == 0 &&
                          field_count(&message->fields, name) == 1,
                      "%s is not '%s' once:\n%s", name, value, message->head);
}

void expect_closing(const struct message *response)
{
    if (!speaks_h2())
        expect_field(response, "connection", "close");
}

void expect_no_field(const struct message *message, const char *name)
{
    workplace_require(message_field(message, name) == NULL, "there is a field %s:\n%s", name,
                      message->head);
}

void expect_body(const struct message *message, const char *body)
{
    workplace_require(message->is_complete && message->body != NULL &&
                          message->body_bytes == strlen(body) && strcmp(message->body, body) == 0,
                      "the body is not '%s':\n%s", body, show(message));
}

X509 *client_peer(struct client *client)
{
    return SSL_get0_peer_certificate(client->wire.ssl);
}
