/* A connected socket, plain or under TLS, read through a buffer with bounded waits; used by clients
 * and origins. */
#ifndef E2E_WIRE_H
#define E2E_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum wire_end {
    WIRE_OPEN,
    WIRE_CLOSED,   /* orderly: FIN, and close_notify before it under TLS */
    WIRE_CUT,      /* FIN without close_notify under TLS */
    WIRE_RESET,    /* reset, or a TLS failure */
    WIRE_TIMED_OUT /* nothing came within the patience */
};

struct wire {
    int fd;
    SSL *ssl; /* NULL when plain */
    char *in; /* read and not yet taken: in[start, end) */
    size_t start, end, room;
    enum wire_end state; /* of the reading side */
    int alert;           /* the TLS alert that ended it, 0 for none */
    struct h2_wire *h2;  /* what makes HTTP/2 of it (h2_wire.h); NULL: bytes pass as they are */
};

/* Takes the socket (and ssl, when there is one); gives it its time limits. */
void wire_init(struct wire *wire, int fd, SSL *ssl);
/* Closes and frees what the wire holds. */
void wire_clear(struct wire *wire);

/* Reads once into the buffer; false when there is no more, and state says why. */
bool wire_fill(struct wire *wire);
/* Whether a read would not wait, now or within that time. */
bool wire_is_readable(struct wire *wire, int patience_ms);
/* Why there is nothing to read or no room to write under TLS, after that answer of OpenSSL:
 * WIRE_TIMED_OUT when it may come yet. */
enum wire_end wire_tls_end(SSL *ssl, int answer, int *alert);
/* What the buffer holds. */
size_t wire_held(const struct wire *wire);
const char *wire_bytes(const struct wire *wire);
void wire_take(struct wire *wire, size_t length);
/* Adds to it, as if it had been read. */
void wire_put(struct wire *wire, const void *bytes, size_t length);

/* Writes all of it; false when the peer refused it. */
bool wire_write(struct wire *wire, const void *bytes, size_t length);
bool wire_print(struct wire *wire, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the writing side: close_notify under TLS, FIN for plain. */
void wire_half_close(struct wire *wire);
/* Ends the connection with a reset. */
void wire_reset(struct wire *wire);

/* A stream socket connected to host:port or unix:/path; -1 when refused (errno). small_window: a
 * tiny receive buffer. */
int wire_dial(const char *address, bool small_window);
/* The same from an address of its own, "127.0.0.2:0". */
int wire_dial_from(const char *address, const char *source, bool small_window);
/* A listening socket on the address; fills the address in (at least 64 bytes) when the port was 0.
 * Fails the test. */
int wire_listen(const char *address, char *bound, size_t room);

#endif
