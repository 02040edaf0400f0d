/* Who is around the gateway in `instructions.c`, all on one thread: a backend on loopback, and
 * clients over TLS. What goes wrong ends the program. */
#ifndef BENCH_AROUND_H
#define BENCH_AROUND_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Says what went wrong, and what the gateway has said; does not return. */
_Noreturn void around_fail(const char *what);

/* --- the backend ----------------------------------------------------------------------------- */

/* Listens on loopback; returns the port. It answers GET /1k and GET /1m with so many bytes, a
 * request that has a body with nothing once it has come, and keeps connections open. */
uint16_t around_listen(void);

/* Backend and gateway each have a turn; where neither had anything to do it waits until one has, or
 * until `fd` is readable. -1: no further one. */
void around_turn(int fd);

/* --- a client -------------------------------------------------------------------------------- */

struct user {
    int fd;
    SSL *ssl;
    nghttp2_session *http2; /* NULL: it speaks HTTP/1.1 */
    unsigned answers_due;   /* in HTTP/2 */
};

/* A connection, its handshake done: with `session`, if any, which must be what it is resumed by. */
void user_connect(struct user *user, SSL_CTX *settings, uint16_t port, SSL_SESSION *session);
/* In order, until the gateway has closed, too. */
void user_close(struct user *user);

void user_send(struct user *user, const void *bytes, size_t length);
/* Reads a response of HTTP/1.1 that must be a 200 with so many bytes of body. */
void user_read_answer(struct user *user, size_t body_bytes);

/* HTTP/2 on a connection whose ALPN chose it. */
void user_speak_http2(struct user *user);
/* So many requests for `path` at once, until all have been answered. */
void user_ask_http2(struct user *user, const char *path, unsigned count);

#endif
