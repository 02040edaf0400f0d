/* Sealed bytes on their way between BoringSSL and a tcp stream. Inside tls/ alone; embedded.
 *
 * BoringSSL reads from and writes to the loop's scratch buffers through a BIO that never refuses to
 * write. A turn spans one call from above: what was received for it and not taken, and what was
 * written and not sent, is kept until the next one; between turns there is mostly neither. A thread
 * has one turn at a time, so all of its connections share one BIO, which leads to the turn. */
#ifndef TLS_TLS_WIRE_H
#define TLS_TLS_WIRE_H

#include "base/buffer.h"
#include "net/stream.h"

#include <openssl/bio.h>

struct tls_wire {
    struct stream *below;
    struct buffer raw;  /* received, but not taken yet */
    struct buffer rest; /* written, but not sent yet */
};

struct tls_turn {
    struct tls_wire *wire;
    struct slice raw;    /* what BoringSSL may read now */
    bool raw_is_scratch; /* else it is the content of the wire's `raw` */
    bool is_broken;      /* sending failed, or no memory for what could not be sent */
    char *out;           /* the loop's write scratch */
    size_t out_bytes;
};

/* Takes `below`. */
void tls_wire_init(struct tls_wire *wire, struct stream *below);
void tls_wire_clear(struct tls_wire *wire); /* closes `below` */

/* A reference to the thread's BIO; NULL when there is no memory. tls_thread_clear ends it. */
BIO *tls_wire_bio(void);
/* The wire whose turn it is; there is one. */
struct tls_wire *tls_wire_of_bio(BIO *bio);

/* IO_OK: nothing is left to be sent. IO_WAIT, IO_ERROR. */
enum io tls_wire_send_rest(struct tls_wire *wire);

/* `turn` is on the caller's stack. Only between these two may BoringSSL be called for what reads,
 * writes or asks a callback. */
void tls_turn_begin(struct tls_wire *wire, struct tls_turn *turn);
/* Sends what was written and keeps what was received but not taken. */
void tls_turn_end(struct tls_turn *turn);
/* Sends what was written so far. */
void tls_turn_dispatch(struct tls_turn *turn);
/* Receives once, about `room` bytes of plaintext's worth; all that was there has been taken. */
enum io tls_turn_receive(struct tls_turn *turn, size_t room);

#endif
