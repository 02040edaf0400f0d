/* The two halves of a tls_stream: its handshake (tls_handshake.c) and what comes after it
 * (tls_stream.c). */
#ifndef TLS_STREAM_INTERNAL_H
#define TLS_STREAM_INTERNAL_H

#include "net/tcp_stream.h"
#include "tls/internal.h"
#include "tls/tls_wire.h"

enum { TLS_RECORD_BYTES = 16 * 1024 }; /* plaintext in a full record */

enum tls_state {
    TLS_LISTENING, /* not a byte has been given to BoringSSL */
    TLS_SHAKING,
    TLS_OPEN,
    TLS_FAILED, /* the handshake did not work out */
};

struct tls_stream {
    struct stream stream;
    struct tls_wire wire;
    SSL *ssl;
    struct tls_choice choice;
    const char *failure_text;
    enum tls_failure failure : 8;
    enum tls_state state : 8;
    bool is_shut;    /* close_notify was written */
    bool is_drained; /* BoringSSL has nothing more to say until more bytes come */
    uint32_t young_left;
    uint64_t last_write_ms;
};

static inline struct tls_stream *tls_of_stream(const struct stream *stream)
{
    return container_of(stream, struct tls_stream, stream);
}

static inline struct loop *tls_loop_of(const struct tls_stream *t)
{
    return tcp_stream_loop(t->wire.below);
}

/* Remembers why, and answers IO_ERROR. */
enum io tls_stream_fail(struct tls_stream *t, enum tls_failure failure, const char *text);
/* Frees what only the handshake needed. What is still done for it off the loop is done for nobody.
 */
void tls_stream_end_handshake(struct tls_stream *t);

#endif
