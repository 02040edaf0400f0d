/* A tls_stream and a TLS client (BoringSSL's own) on the two ends of a socket pair, in one thread.
 */
#ifndef SUPPORT_TLS_PAIR_H
#define SUPPORT_TLS_PAIR_H

#include "support/test_certs.h"
#include "tls/tls_stream.h"

#include <openssl/ssl.h>

/* What the client says. All zeroes: no SNI, no ALPN, everything that BoringSSL can do. */
struct tls_client_options {
    const char *sni;
    const char *alpn;           /* in the wire's form: "\x02h2\x08http/1.1" */
    const char *ciphers;        /* of TLS 1.2 */
    const char *groups;         /* "P-256" */
    const uint16_t *algorithms; /* signature algorithms that it verifies, up to a 0 */
    uint16_t min_version, max_version;
    SSL_SESSION *session; /* borrowed: to be resumed */
    bool wants_ocsp;
    bool is_over_tcp;                    /* else over Unix sockets */
    const struct test_cert *certificate; /* shown when the server asks; NULL: none */
    struct tls_jobs jobs;                /* the server's */
};

struct tls_pair {
    struct loop *loop;
    struct tls_jobs jobs;
    struct task task;
    unsigned wakes; /* how often the task ran */
    struct stream *server;
    int fd;      /* the client's end */
    size_t step; /* bytes moved at most at a time; 0: as many as there are */
    SSL_CTX *context;
    SSL *client;
    bool client_was_asked; /* for a certificate */
    bool client_is_done, client_failed, saw_eof, is_reset;
    int alert;            /* the last one that the client got; -1: none */
    size_t wire_bytes;    /* from the server */
    SSL_SESSION *session; /* the newest ticket the client got; owned */
    unsigned tickets;     /* how many it got */
};

/* An open connection whose handshake has not begun. `send_buffer`: SO_SNDBUF on the server's end, 0
 * the system's. */
void tls_pair_open(struct tls_pair *pair, struct tls_server *server,
                   const struct tls_client_options *options, int send_buffer);
void tls_pair_close(struct tls_pair *pair);

/* Moves bytes between the client and its socket once and lets the loop look at events. */
void tls_pair_pump(struct tls_pair *pair);
/* Until the server's side has an answer and the client, too, or both are stuck. */
enum io tls_pair_shake(struct tls_pair *pair);

/* Client to server: sends the text and reads it on the other side, piece by piece of `room` bytes.
 */
bool tls_pair_upload(struct tls_pair *pair, const char *bytes, size_t length, size_t room);
/* Server to client, written with stream_write and flushed. */
bool tls_pair_download(struct tls_pair *pair, const char *bytes, size_t length);
/* What the client can read now, up to `size`. */
size_t tls_pair_client_read(struct tls_pair *pair, char *into, size_t size);
/* Asks the server's side to read until it says something else than IO_WAIT, or nothing moves. */
enum io tls_pair_read(struct tls_pair *pair, struct buffer *into);

#endif
