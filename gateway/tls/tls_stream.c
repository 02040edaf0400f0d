#include "tls/tls_stream.h"

#include "base/check.h"
#include "tls/tls_stream_internal.h"

#include <openssl/err.h>
#include <stdlib.h>

enum {
    SMALL_RECORD_BYTES = 4 * 1024, /* while a response is young */
    YOUNG_BYTES = 64 * 1024,       /* how much of it leaves in small ones */
    YOUNG_AFTER_MS = 1000,         /* of not writing: the peer's window may have shrunk */
    WRITE_BYTES = BUFFER_BULK,     /* of plaintext in one write: sealed, it fits the scratch */
};

static_assert(WRITE_BYTES + WRITE_BYTES / SMALL_RECORD_BYTES * 64 < LOOP_SCRATCH_BYTES,
              "what one write seals must fit into the loop's scratch");

/* Many wait idle: with malloc's own word this fills a chunk of 160 bytes. */
static_assert(sizeof(void *) > 8 || sizeof(struct tls_stream) <= 152,
              "what only a handshake needs belongs into struct tls_handshake");

struct tls_choice *tls_choice_of(const SSL *ssl)
{
    struct tls_wire *wire = tls_wire_of_bio(SSL_get_rbio(ssl));

    return &container_of(wire, struct tls_stream, wire)->choice;
}

/* --- memory for records ----------------------------------------------------------------------- */

/* BoringSSL had no memory for a record and has done nothing yet. Those who are served go before
 * those who come: what the thread keeps for this is given up, and the call can be made once more.
 */
static bool may_try_again(void)
{
    if (ERR_GET_REASON(ERR_peek_error()) != ERR_R_MALLOC_FAILURE || !buffer_cache_give_up())
        return false;
    ERR_clear_error();
    return true;
}

static int open_record(SSL *ssl, char *into, size_t room)
{
    int got = SSL_read(ssl, into, (int)room);

    if (got <= 0 && SSL_get_error(ssl, got) == SSL_ERROR_SSL && may_try_again())
        got = SSL_read(ssl, into, (int)room);
    return got;
}

static bool seal_record(SSL *ssl, const char *from, size_t bytes)
{
    return SSL_write(ssl, from, (int)bytes) == (int)bytes ||
           (may_try_again() && SSL_write(ssl, from, (int)bytes) == (int)bytes);
}

/* --- the stream once it is open --------------------------------------------------------------- */

/* Opens records into the buffer as long as there are raw bytes and room. The end and errors are
 * said again however often this is asked. */
static enum io open_records(struct tls_stream *t, const struct tls_turn *turn, struct buffer *into)
{
    while (buffer_room(into) > 0) {
        if (t->is_drained && slice_is_empty(turn->raw))
            return IO_WAIT;
        t->is_drained = false;
        int got = open_record(t->ssl, buffer_tail(into), buffer_room(into));

        if (got > 0) {
            buffer_added(into, (size_t)got);
            t->is_drained = !SSL_has_pending(t->ssl);
            continue;
        }
        switch (SSL_get_error(t->ssl, got)) {
        case SSL_ERROR_WANT_READ: t->is_drained = true; return IO_WAIT;
        case SSL_ERROR_ZERO_RETURN: return IO_EOF; /* close_notify */
        default: return tls_stream_fail(t, TLS_FAILURE_PEER, tls_library_error());
        }
    }
    return IO_OK;
}

static enum io read_records(struct tls_stream *t, struct tls_turn *turn, struct buffer *into)
{
    size_t before = buffer_length(into);

    for (;;) {
        enum io io = open_records(t, turn, into);

        /* The end and errors are said again at the next ask. */
        if (buffer_length(into) > before)
            return IO_OK;
        if (io != IO_WAIT)
            return io;
        io = tls_turn_receive(turn, buffer_room(into));
        if (io == IO_EOF)
            return tls_stream_fail(t, TLS_FAILURE_PEER, "the client closed without close_notify");
        if (io != IO_OK)
            return io;
    }
}

static enum io tls_read(struct stream *stream, struct buffer *into)
{
    struct tls_stream *t = tls_of_stream(stream);
    struct tls_turn turn;

    assert(buffer_room(into) > 0);
    if (t->state != TLS_OPEN)
        return IO_ERROR;
    t->wire.below->task = stream->task;
    if (buffer_length(&t->wire.rest) > 0)
        tls_wire_send_rest(&t->wire); /* what came of it is said to the next write or flush */
    tls_turn_begin(&t->wire, &turn);
    enum io io = read_records(t, &turn, into);
    tls_turn_end(&turn);
    return turn.is_broken ? IO_ERROR : io;
}

/* A write of up to one record leaves as one. A longer one that follows a pause begins with small
 * records: the peer can open each as soon as it is there, however small its window is. */
static size_t choose_record(struct tls_stream *t, size_t left, bool is_long)
{
    size_t bytes = is_long && t->young_left > 0 ? SMALL_RECORD_BYTES : TLS_RECORD_BYTES;

    if (bytes > left)
        bytes = left;
    t->young_left -= t->young_left < bytes ? t->young_left : (uint32_t)bytes;
    return bytes;
}

static void note_pause(struct tls_stream *t)
{
    uint64_t now_ms = loop_now_ms(tls_loop_of(t));

    if (t->last_write_ms == 0 || now_ms - t->last_write_ms >= YOUNG_AFTER_MS)
        t->young_left = YOUNG_BYTES;
    t->last_write_ms = now_ms;
}

static enum io tls_write(struct stream *stream, struct slice bytes, size_t *taken)
{
    struct tls_stream *t = tls_of_stream(stream);
    bool is_long = bytes.len > TLS_RECORD_BYTES;
    struct tls_turn turn;

    *taken = 0;
    if (t->state != TLS_OPEN || t->is_shut)
        return IO_ERROR;
    t->wire.below->task = stream->task;
    enum io io = tls_wire_send_rest(&t->wire);
    if (io != IO_OK || slice_is_empty(bytes))
        return io;
    note_pause(t);
    tls_turn_begin(&t->wire, &turn);
    while (*taken < bytes.len && *taken < WRITE_BYTES) {
        size_t record = choose_record(t, bytes.len - *taken, is_long);

        if (!seal_record(t->ssl, bytes.at + *taken, record)) {
            io = tls_stream_fail(t, TLS_FAILURE_PEER, tls_library_error());
            break;
        }
        *taken += record;
    }
    tls_turn_end(&turn);
    return turn.is_broken ? IO_ERROR : io;
}

static enum io tls_flush(struct stream *stream)
{
    struct tls_stream *t = tls_of_stream(stream);

    t->wire.below->task = stream->task;
    return tls_wire_send_rest(&t->wire);
}

static enum io tls_shut(struct stream *stream)
{
    struct tls_stream *t = tls_of_stream(stream);

    t->wire.below->task = stream->task;
    if (!t->is_shut) {
        struct tls_turn turn;

        t->is_shut = true;
        tls_turn_begin(&t->wire, &turn);
        SSL_shutdown(t->ssl); /* writes nothing unless the handshake was done */
        ERR_clear_error();
        tls_turn_end(&turn);
        if (turn.is_broken)
            return IO_ERROR;
    }
    enum io io = tls_wire_send_rest(&t->wire);
    return io == IO_OK ? stream_shut(t->wire.below) : io;
}

static struct stream_traffic tls_traffic(const struct stream *stream)
{
    return stream_traffic(tls_of_stream(stream)->wire.below);
}

static void tls_close(struct stream *stream)
{
    struct tls_stream *t = tls_of_stream(stream);

    tls_stream_end_handshake(t);
    SSL_free(t->ssl);
    tls_wire_clear(&t->wire);
    certificate_unref(t->choice.certificate);
    client_ca_unref(t->choice.ca);
    free(t->choice.identity);
    free(t->choice.sni);
    free(t);
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .flush = tls_flush,
    .shut = tls_shut,
    .traffic = tls_traffic,
    .close = tls_close,
};

static bool set_server(struct tls_stream *t, struct tls_server *server)
{
    SSL *ssl = SSL_new(tls_server_context(server));
    BIO *bio = tls_wire_bio();

    if (!ssl || !bio) {
        BIO_free(bio);
        SSL_free(ssl);
        return false;
    }
    SSL_free(t->ssl);
    t->ssl = ssl;
    t->choice.handshake->server = server;
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    SSL_set_shed_handshake_config(ssl, 1); /* an idle connection does without */
    return true;
}

struct stream *tls_stream_new(struct tls_server *server, struct stream *tcp,
                              const struct tls_jobs *jobs)
{
    struct tls_stream *t = memory_try(sizeof(*t));
    struct tls_handshake *handshake = memory_try(sizeof(*handshake));

    if (t)
        t->choice.handshake = handshake;
    if (!t || !handshake || !set_server(t, server)) {
        free(handshake);
        free(t);
        stream_close(tcp);
        return NULL;
    }
    t->stream = (struct stream){.ops = &tls_ops, .task = tcp->task};
    tls_wire_init(&t->wire, tcp);
    handshake->waiter =
        (struct tls_waiter){.jobs = jobs, .loop = tcp_stream_loop(tcp), .stream = &t->stream};
    return &t->stream;
}

bool tls_stream_follow(struct stream *stream, struct tls_server *server)
{
    struct tls_stream *t = tls_of_stream(stream);

    const struct tls_handshake *handshake = t->choice.handshake;

    return handshake && !handshake->was_heard && set_server(t, server);
}

enum tls_failure tls_stream_failure(const struct stream *stream)
{
    return tls_of_stream(stream)->failure;
}

const char *tls_stream_failure_text(const struct stream *stream)
{
    const char *text = tls_of_stream(stream)->failure_text;

    return text ? text : "";
}

struct stream *tls_stream_below(struct stream *stream)
{
    return tls_of_stream(stream)->wire.below;
}

void tls_stream_info(const struct stream *stream, struct tls_info *info)
{
    const struct tls_stream *t = tls_of_stream(stream);
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    const uint8_t *alpn;
    unsigned alpn_bytes;

    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_bytes);
    *info = (struct tls_info){
        .version = SSL_get_version(t->ssl),
        .cipher = cipher ? SSL_CIPHER_standard_name(cipher) : NULL,
        .sni = slice_of(t->choice.sni ? t->choice.sni : ""),
        .alpn = slice_make((const char *)alpn, alpn_bytes),
        .is_resumed = SSL_session_reused(t->ssl),
        .got_default = t->choice.got_default,
        .certificate = t->choice.certificate,
        .client_ca = t->choice.ca,
    };
    if (t->choice.identity) {
        info->client_fingerprint = t->choice.identity->fingerprint;
        info->client_subject = t->choice.identity->subject;
    }
    /* TLS 1.2 resumes without a key exchange. */
    if (!info->is_resumed || SSL_version(t->ssl) >= TLS1_3_VERSION)
        info->group = SSL_get_curve_name(SSL_get_curve_id(t->ssl));
}
