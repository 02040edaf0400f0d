/* A stream that speaks TLS as a server over a tcp_stream. */
#ifndef TLS_TLS_STREAM_H
#define TLS_TLS_STREAM_H

#include "net/jobs.h"
#include "net/stream.h"
#include "tls/tls_server.h"

/* Threads that do for handshakes what takes long; borrowed. */
struct tls_jobs {
    struct jobs *verifiers; /* of clients' certificates; NULL: what a client shows is refused */
    struct jobs *signers;   /* with slow keys; NULL: that is done on the loop */
    /* After so long without a signer's answer the loop signs itself: others on the machine may keep
     * signers from it. Longer where more wait, and while the loop is busy itself. */
    uint32_t signing_patience_ms;
};

/* Takes `tcp` (closed with it). `server` is borrowed until the handshake has ended, as are `jobs`.
 * NULL: no memory, `tcp` is closed. */
struct stream *tls_stream_new(struct tls_server *server, struct stream *tcp,
                              const struct tls_jobs *jobs);

/* Has the handshake done with another server's settings and certificates, if the peer has not said
 * anything yet; else false, and it goes on as it is. */
bool tls_stream_follow(struct stream *stream, struct tls_server *server);

/* IO_WAIT until it is done. IO_OK: the stream may be read and written. IO_EOF: the peer left before
 * it sent a byte. IO_ERROR: see tls_stream_failure; an alert, if one is due, has been sent. */
enum io tls_stream_handshake(struct stream *stream);

enum tls_failure {
    TLS_FAILURE_NONE,
    TLS_FAILURE_PLAINTEXT_HTTP, /* the first bytes are an HTTP request: nothing was answered; the
                                   tcp stream below is in tls_stream_below and may get a plaintext
                                   400 */
    TLS_FAILURE_GARBAGE,        /* not TLS */
    TLS_FAILURE_UNKNOWN_NAME,
    TLS_FAILURE_NO_COMMON, /* version, cipher, curve, ALPN */
    TLS_FAILURE_PEER,      /* its alert, or it left in the middle */
    /* of the client's certificate; the alert was sent, and may still be under way */
    TLS_FAILURE_CLIENT_MISSING,   /* it has to show one */
    TLS_FAILURE_CLIENT_EXPIRED,   /* or is not valid yet; its chain's, too */
    TLS_FAILURE_CLIENT_UNTRUSTED, /* no chain leads to an authority that is trusted */
    TLS_FAILURE_CLIENT_REFUSED,   /* not to be used by clients, beyond constraints, broken */
};
enum tls_failure tls_stream_failure(const struct stream *stream);
/* A short text for the debug log. */
const char *tls_stream_failure_text(const struct stream *stream);
struct stream *tls_stream_below(struct stream *stream);

/* What the handshake agreed on; static or owned by the stream. */
struct tls_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* IANA name */
    const char *group;   /* "X25519", NULL when resumed without one */
    struct slice sni;    /* normalised, empty without */
    struct slice alpn;   /* empty without */
    bool is_resumed;
    bool got_default; /* the certificate is default_cert, chosen for want of a match */
    struct certificate *certificate; /* held by the stream as long as it lives */
    /* The client's certificate was held against these; NULL: none was asked for. The stream's. */
    const struct client_ca *client_ca;
    const char *client_fingerprint; /* SHA-256, lower-case hex; NULL: it showed none */
    struct slice client_subject;    /* as in RFC 4514, in ASCII; empty: none that can be told */
};
void tls_stream_info(const struct stream *stream, struct tls_info *info);

/* Frees what the streams of the calling thread share: for threads that had some, before they end.
 */
void tls_thread_clear(void);

#endif
