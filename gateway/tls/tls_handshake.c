#include "tls/tls_stream_internal.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum { METHOD_BYTES = 16 }; /* no HTTP method is longer */

enum io tls_stream_fail(struct tls_stream *t, enum tls_failure failure, const char *text)
{
    t->failure = failure;
    t->failure_text = text;
    return IO_ERROR;
}

void tls_stream_end_handshake(struct tls_stream *t)
{
    struct tls_handshake *handshake = t->choice.handshake;

    if (!handshake)
        return;
    if (handshake->signature)
        signature_end(handshake->signature);
    if (handshake->check)
        client_check_end(handshake->check);
    free(handshake);
    t->choice.handshake = NULL;
}

static enum io fail_handshake(struct tls_stream *t, enum tls_failure failure, const char *text)
{
    t->state = TLS_FAILED;
    tls_stream_end_handshake(t);
    return tls_stream_fail(t, failure, text);
}

static enum io peer_left(struct tls_stream *t)
{
    if (!t->choice.handshake->was_heard)
        return IO_EOF;
    return fail_handshake(t, TLS_FAILURE_PEER, "the client left during the handshake");
}

enum guess { GUESS_MORE, GUESS_HTTP, GUESS_TLS };

/* A TLS record starts with a byte below 'A', an HTTP request with its method and a space. */
static enum guess guess_protocol(struct slice raw)
{
    for (size_t i = 0; i < raw.len && i < METHOD_BYTES; i++) {
        if (raw.at[i] == ' ' && i > 0)
            return GUESS_HTTP;
        if (raw.at[i] < 'A' || raw.at[i] > 'Z')
            return GUESS_TLS;
    }
    return raw.len < METHOD_BYTES ? GUESS_MORE : GUESS_TLS;
}

/* Waits for enough bytes to tell TLS from plain HTTP, which gets no TLS answer. */
static enum io listen_first(struct tls_stream *t)
{
    for (;;) {
        size_t got;
        enum guess guess = guess_protocol(buffer_content(&t->wire.raw));

        if (guess == GUESS_HTTP)
            return fail_handshake(t, TLS_FAILURE_PLAINTEXT_HTTP, "plain HTTP on a TLS port");
        if (guess == GUESS_TLS) {
            t->state = TLS_SHAKING;
            return IO_OK;
        }
        if (!buffer_reserve(&t->wire.raw, METHOD_BYTES))
            return fail_handshake(t, TLS_FAILURE_PEER, "out of memory");
        enum io io = tcp_stream_recv(t->wire.below, buffer_tail(&t->wire.raw),
                                     buffer_room(&t->wire.raw), &got);
        if (io == IO_OK) {
            buffer_added(&t->wire.raw, got);
            t->choice.handshake->was_heard = true;
            continue;
        }
        buffer_rest(&t->wire.raw); /* who has said nothing yet holds no buffer */
        return io == IO_WAIT ? IO_WAIT : peer_left(t);
    }
}

static enum tls_failure classify_client(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return TLS_FAILURE_CLIENT_EXPIRED;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED: return TLS_FAILURE_CLIENT_UNTRUSTED;
    default: return TLS_FAILURE_CLIENT_REFUSED;
    }
}

static enum tls_failure classify(uint32_t error)
{
    int reason = ERR_GET_REASON(error);

    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return TLS_FAILURE_GARBAGE;
    if (reason >= SSL_AD_REASON_OFFSET)
        return TLS_FAILURE_PEER; /* an alert it sent */
    switch (reason) {
    case SSL_R_CONNECTION_REJECTED: /* by our choice of a certificate */
    case SSL_R_INAPPROPRIATE_FALLBACK:
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_PROTOCOL_FOR_CUSTOM_KEY: return TLS_FAILURE_NO_COMMON;
    default: return TLS_FAILURE_GARBAGE;
    }
}

static enum io refuse(struct tls_stream *t)
{
    const struct tls_handshake *handshake = t->choice.handshake;
    uint32_t error = ERR_peek_error();
    const char *text = tls_library_error();

    /* Only the servername callback's refusal is called like this. */
    if (handshake->verdict == TLS_VERDICT_UNKNOWN_NAME &&
        ERR_GET_REASON(error) == SSL_R_CLIENTHELLO_TLSEXT)
        return fail_handshake(t, TLS_FAILURE_UNKNOWN_NAME, "no certificate for that name");
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && handshake->auth != CLIENT_AUTH_OFF) {
        if (ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
            return fail_handshake(t, TLS_FAILURE_CLIENT_MISSING,
                                  "the client shows no certificate, and has to");
        if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED)
            return fail_handshake(t, classify_client(handshake->check_result),
                                  X509_verify_cert_error_string(handshake->check_result));
    }
    if (handshake->verdict == TLS_VERDICT_NOT_USABLE)
        text = "the client can use none of the name's certificates";
    return fail_handshake(t, classify(error), text);
}

/* The task may have been woken because the client is leaving: nobody needs its signature then. */
static enum io await_signature(struct tls_stream *t, bool was_waiting)
{
    return was_waiting && tcp_stream_peer_has_left(t->wire.below) ? peer_left(t) : IO_WAIT;
}

static enum io shake(struct tls_stream *t, struct tls_turn *turn)
{
    for (;;) {
        bool was_signing = t->choice.handshake->signature != NULL;
        int done = SSL_do_handshake(t->ssl);

        if (done == 1) {
            if (!client_handshake_finish(t->ssl))
                return fail_handshake(t, TLS_FAILURE_CLIENT_REFUSED,
                                      "the resumed session has no certificate of the client");
            t->state = TLS_OPEN;
            tls_stream_end_handshake(t);
            return IO_OK;
        }
        switch (SSL_get_error(t->ssl, done)) {
        case SSL_ERROR_WANT_READ: break;
        case SSL_ERROR_PENDING_CERTIFICATE:
        case SSL_ERROR_PENDING_SESSION:
        case SSL_ERROR_PENDING_TICKET:
        case SSL_ERROR_WANT_CERTIFICATE_VERIFY:
            return IO_WAIT; /* whoever works on it wakes the task */
        case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION: return await_signature(t, was_signing);
        default: return refuse(t);
        }
        tls_turn_dispatch(turn); /* our flight leaves before we wait for the answer */
        enum io io = turn->is_broken ? IO_ERROR : tls_wire_send_rest(&t->wire);
        if (io == IO_OK)
            io = tls_turn_receive(turn, TLS_RECORD_BYTES);
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io != IO_OK)
            return peer_left(t);
    }
}

enum io tls_stream_handshake(struct stream *stream)
{
    struct tls_stream *t = tls_of_stream(stream);
    struct tls_turn turn;
    enum io io;

    if (t->state == TLS_OPEN)
        return IO_OK;
    if (t->state == TLS_FAILED)
        return IO_ERROR;
    t->wire.below->task = stream->task;
    if (t->state == TLS_LISTENING) {
        /* A queue of newcomers may be longer than their patience: no signature for who has gone. */
        if (loop_is_crowded(tls_loop_of(t)) && tcp_stream_peer_has_left(t->wire.below))
            return peer_left(t);
        io = listen_first(t);
        if (io != IO_OK)
            return io;
    }
    io = tls_wire_send_rest(&t->wire);
    if (io != IO_OK)
        return io == IO_WAIT ? IO_WAIT : peer_left(t);
    tls_turn_begin(&t->wire, &turn);
    io = shake(t, &turn);
    tls_turn_end(&turn);
    /* Nothing answers the client's Finished: tickets leave with the first response. */
    if (io == IO_OK && buffer_length(&t->wire.raw) == 0)
        tcp_stream_acknowledge(t->wire.below);
    if (turn.is_broken && io != IO_ERROR)
        io = fail_handshake(t, TLS_FAILURE_PEER, "nothing could be sent to the client");
    return io;
}
