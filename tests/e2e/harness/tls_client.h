/* A raw client: a TLS (or plain) connection to the gateway on which a test writes what bytes it
 * likes. */
#ifndef E2E_TLS_CLIENT_H
#define E2E_TLS_CLIENT_H

#include "gateway_process.h"
#include "http_message.h"
#include "test_certs.h"

#include <openssl/ssl.h>

struct client_options {
    const char *sni;  /* NULL: none is sent */
    const char *alpn; /* "http/1.1,h2", and then it speaks HTTP/1.1; NULL: none is sent, or "h2"
                         where the run speaks HTTP/2 */
    int min_version;  /* TLS1_2_VERSION ...; 0: OpenSSL's own */
    int max_version;
    const char *ciphers; /* of TLS 1.2 */
    const char *suites;  /* of TLS 1.3 */
    const char *groups;
    const char *sigalgs;
    SSL_SESSION *session;    /* to resume */
    SSL_CTX *context;        /* of another client, to be spared making one; NULL: its own */
    const struct cert *cert; /* shown when the gateway asks for one */
    bool shows_leaf_alone;   /* without the intermediates that signed it */
    bool wants_ocsp;
    bool verifies;         /* against the test CA and the SNI name */
    const char *from;      /* its own address, "127.0.0.2:0"; NULL: the kernel's choice */
    bool has_small_window; /* so that the gateway soon has to wait for us */
    bool is_http1;         /* speaks HTTP/1.1 where others speak HTTP/2, too (protocol.h) */
};

struct client {
    struct wire wire;
    bool is_connected; /* the handshake succeeded */
    int alert;         /* the alert that refused it, 0 for none */
    bool offers_h2;    /* and speaks it once connected */
    bool has_small_window;
    SSL_CTX *context;
    SSL_SESSION *session; /* the newest ticket seen */
};

/* Clients live until the test ends; client_close ends one earlier. All of these fail the test when
 * they cannot. */
struct client *client_open(struct gateway *gateway, const char *sni);
struct client *client_open_with(const char *address, const struct client_options *options);
struct client *client_open_plain(const char *address);
/* Whatever happens: look at is_connected and alert. NULL when the connection itself was refused. */
struct client *client_try(const char *address, const struct client_options *options);
/* Says that no client of the test asks for anything more; what comes can still be read. */
void clients_say_goodbye(void);
/* The same, but the client is its caller's, who ends it with client_free: for loads of thousands.
 */
struct client *client_make(const char *address, const struct client_options *options);
struct client *client_make_plain(const char *address);
/* Only connects and sends the ClientHello; its caller's, too. */
struct client *client_make_begun(const char *address, const struct client_options *options);
void client_free(void *client);
/* The alert that ended the connection, if the handshake was done for this side or not; 0 when it
 * goes on: then it is good for a request. With TLS 1.3 only what comes back tells. */
int client_outcome(struct client *client, const char *host);
/* Only connects and sends the ClientHello; client_finish goes on from there. */
struct client *client_begin(const char *address, const struct client_options *options);
void client_finish(struct client *client);
/* The handshake on a connection of client_open_plain. */
void client_speak_tls(struct client *client, const struct client_options *options);
void client_close(struct client *client);

/* printf and write; the bytes in one piece; the bytes one by one, each in a record of its own. */
void client_send(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void client_send_bytes(struct client *client, const void *bytes, size_t length);
void client_send_slowly(struct client *client, const char *bytes);

/* Reads the next response, 1xx too, to a GET or to the method; fails the test when its head does
 * not come. */
struct message *client_response(struct client *client);
struct message *client_response_to(struct client *client, const char *method);
/* Only its head; the body is read with message_read_body or left. */
struct message *client_response_head(struct client *client);
/* Reads until the connection ends, throwing away; how it ended. */
enum wire_end client_read_to_end(struct client *client);
/* Fails the test unless the gateway ends the connection in order and says nothing more. */
void client_expect_end(struct client *client);
/* The same behind an answer that ends its connection in HTTP/1.1. In HTTP/2 it ends its stream
 * alone: fails the test unless the connection goes on and nothing more came. */
void client_expect_last(struct client *client);
/* Fails the test unless the request was refused as one that is none: 400 in HTTP/1.1, a stream
 * error in HTTP/2 (RFC 9113 section 8.1.1), whose connection goes on. */
void client_expect_bad_request(struct client *client);
/* Leaves without the answer to its request: calls it off in HTTP/2, goes away in HTTP/1.1. */
void client_leave(struct client *client);

/* GET path with that Host, in order; its response. */
struct message *client_get(struct client *client, const char *host, const char *path);
/* One connection (SNI: the host), one GET, one response. */
struct message *fetch(struct gateway *gateway, const char *host, const char *path);

/* Fails the test, showing head and body, unless the status is this one and the body is whole. */
void expect_status(const struct message *response, int status);
/* The same, and the reason word stands in the body. */
void expect_refusal(const struct message *response, int status, const char *reason);
/* 200, and the body begins with the origin's name (origin_tell). */
void expect_from(const struct message *response, const char *origin_name);
void expect_field(const struct message *message, const char *name, const char *value);
/* The connection ends behind it: it says so in HTTP/1.1; HTTP/2 has no field for that. */
void expect_closing(const struct message *response);
void expect_no_field(const struct message *message, const char *name);
void expect_body(const struct message *message, const char *body);

/* The certificate the gateway presented; owned by the client. */
X509 *client_peer(struct client *client);

#endif
