#include "tls/tls_stream.h"

#include "base/check.h"
#include "net/tcp_stream.h"
#include "tls/internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>

enum {
    RECORD_BYTES = 16 * 1024,       /* plaintext in a full record */
    SMALL_RECORD_BYTES = 4 * 1024,  /* while a response is young */
    YOUNG_BYTES = 64 * 1024,        /* how much of it leaves in small ones */
    YOUNG_AFTER_MS = 1000,          /* of not writing: the peer's window may have shrunk */
    WRITE_BYTES = 6 * RECORD_BYTES, /* of plaintext in one write: sealed, it fits the scratch */
    RAW_SLACK = 2 * 1024,           /* received beyond the reader's room: records' own bytes */
    METHOD_BYTES = 16,              /* no HTTP method is longer */
};

static_assert(WRITE_BYTES + WRITE_BYTES / SMALL_RECORD_BYTES * 64 + RAW_SLACK < LOOP_SCRATCH_BYTES,
              "what one write seals must fit into the loop's scratch");

enum tls_state {
    TLS_LISTENING, /* not a byte has been given to BoringSSL */
    TLS_SHAKING,
    TLS_OPEN,
    TLS_FAILED, /* the handshake did not work out */
};

struct tls_stream {
    struct stream stream;
    struct stream *below;
    struct loop *loop;
    SSL *ssl;
    struct turn *turn;  /* the call in progress; NULL between calls */
    struct buffer raw;  /* received, for which the reader had no room yet */
    struct buffer rest; /* sealed, which the kernel did not take yet */
    struct tls_choice choice;
    const char *failure_text;
    enum tls_failure failure;
    enum tls_state state;
    bool was_heard; /* a byte came from the peer */
    bool is_shut;   /* close_notify was written */
    uint32_t young_left;
    uint64_t last_write_ms;
};

/* One call from above: what BoringSSL may read meanwhile, and what it wrote. */
struct turn {
    struct slice raw;
    bool raw_is_scratch; /* else it is the content of the stream's `raw` */
    char *out;           /* the loop's write scratch */
    size_t out_bytes;
    bool is_broken; /* sending failed, or no memory for what could not be sent */
};

static struct tls_stream *of_stream(const struct stream *stream)
{
    return container_of(stream, struct tls_stream, stream);
}

/* --- sending -------------------------------------------------------------------------------------
 */

static enum io send_rest(struct tls_stream *t)
{
    while (buffer_length(&t->rest) > 0) {
        size_t sent;
        enum io io = tcp_stream_send(t->below, buffer_content(&t->rest), &sent);

        if (io != IO_OK)
            return io;
        buffer_consume(&t->rest, sent);
    }
    buffer_rest(&t->rest);
    return IO_OK;
}

/* Sends what was gathered in this turn; what the kernel does not take becomes the rest. */
static void dispatch(struct tls_stream *t, struct turn *turn)
{
    struct slice out = slice_make(turn->out, turn->out_bytes);
    size_t sent = 0;

    turn->out_bytes = 0;
    if (slice_is_empty(out) || turn->is_broken)
        return;
    if (buffer_length(&t->rest) == 0) {
        enum io io = tcp_stream_send(t->below, out, &sent);

        if (io == IO_WAIT)
            sent = 0;
        else if (io != IO_OK) {
            turn->is_broken = true;
            return;
        }
    }
    if (sent < out.len && !buffer_append(&t->rest, slice_skip(out, sent)))
        turn->is_broken = true;
}

/* --- BoringSSL's side: a BIO that never blocks on the write side --------------------------------
 */

static int bio_read(BIO *bio, char *into, int room)
{
    struct tls_stream *t = BIO_get_data(bio);
    struct turn *turn = t->turn;
    size_t bytes = (size_t)room;

    assert(turn);
    BIO_clear_retry_flags(bio);
    if (slice_is_empty(turn->raw)) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (bytes > turn->raw.len)
        bytes = turn->raw.len;
    memcpy(into, turn->raw.at, bytes);
    turn->raw = slice_skip(turn->raw, bytes);
    return (int)bytes;
}

static int bio_write(BIO *bio, const char *from, int length)
{
    struct tls_stream *t = BIO_get_data(bio);
    struct turn *turn = t->turn;
    size_t bytes = (size_t)length;

    assert(turn);
    BIO_clear_retry_flags(bio);
    while (bytes > 0) {
        size_t room = LOOP_SCRATCH_BYTES - turn->out_bytes;
        size_t piece = bytes < room ? bytes : room;

        memcpy(turn->out + turn->out_bytes, from, piece);
        turn->out_bytes += piece;
        from += piece;
        bytes -= piece;
        if (turn->out_bytes == LOOP_SCRATCH_BYTES)
            dispatch(t, turn);
    }
    return length;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *bio_method;

/* Runs before main: no thread has to ask whether it is there. Lives as long as the process. */
__attribute__((constructor)) static void make_bio_method(void)
{
    bio_method = BIO_meth_new(0, "sallyport");
    if (!bio_method || !BIO_meth_set_read(bio_method, bio_read) ||
        !BIO_meth_set_write(bio_method, bio_write) || !BIO_meth_set_ctrl(bio_method, bio_ctrl) ||
        !BIO_meth_set_create(bio_method, bio_create))
        abort();
}

struct tls_choice *tls_choice_of(const SSL *ssl)
{
    struct tls_stream *t = BIO_get_data(SSL_get_rbio(ssl));

    return &t->choice;
}

/* --- turns ---------------------------------------------------------------------------------------
 */

static void turn_begin(struct tls_stream *t, struct turn *turn)
{
    *turn = (struct turn){.raw = buffer_content(&t->raw), .out = loop_write_scratch(t->loop)};
    t->turn = turn;
    ERR_clear_error();
}

/* Sends what was gathered and keeps what was received but not taken. */
static void turn_end(struct tls_stream *t, struct turn *turn)
{
    dispatch(t, turn);
    if (turn->raw_is_scratch) {
        if (!slice_is_empty(turn->raw) && !buffer_append(&t->raw, turn->raw))
            turn->is_broken = true;
    } else {
        buffer_consume(&t->raw, buffer_length(&t->raw) - turn->raw.len);
        buffer_rest(&t->raw);
    }
    t->turn = NULL;
}

/* Receives once, when BoringSSL has taken all there was. */
static enum io receive(struct tls_stream *t, struct turn *turn, size_t room)
{
    char *scratch = loop_read_scratch(t->loop);
    size_t got;

    assert(slice_is_empty(turn->raw));
    if (!turn->raw_is_scratch) {
        buffer_clear(&t->raw);
        turn->raw_is_scratch = true;
    }
    if (room < RECORD_BYTES)
        room = RECORD_BYTES;
    room += RAW_SLACK;
    if (room > LOOP_SCRATCH_BYTES)
        room = LOOP_SCRATCH_BYTES;
    enum io io = tcp_stream_recv(t->below, scratch, room, &got);
    if (io == IO_OK) {
        turn->raw = slice_make(scratch, got);
        t->was_heard = true;
    }
    return io;
}

/* --- handshake -----------------------------------------------------------------------------------
 */

static enum io fail(struct tls_stream *t, enum tls_failure failure, const char *text)
{
    t->failure = failure;
    t->failure_text = text;
    return IO_ERROR;
}

static enum io fail_handshake(struct tls_stream *t, enum tls_failure failure, const char *text)
{
    t->state = TLS_FAILED;
    t->choice.server = NULL;
    return fail(t, failure, text);
}

static enum io peer_left(struct tls_stream *t)
{
    if (!t->was_heard)
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
        enum guess guess = guess_protocol(buffer_content(&t->raw));

        if (guess == GUESS_HTTP)
            return fail_handshake(t, TLS_FAILURE_PLAINTEXT_HTTP, "plain HTTP on a TLS port");
        if (guess == GUESS_TLS) {
            t->state = TLS_SHAKING;
            return IO_OK;
        }
        if (!buffer_reserve(&t->raw, METHOD_BYTES))
            return fail_handshake(t, TLS_FAILURE_PEER, "out of memory");
        enum io io = tcp_stream_recv(t->below, buffer_tail(&t->raw), buffer_room(&t->raw), &got);
        if (io == IO_OK) {
            buffer_added(&t->raw, got);
            t->was_heard = true;
            continue;
        }
        buffer_rest(&t->raw); /* who has said nothing yet holds no buffer */
        return io == IO_WAIT ? IO_WAIT : peer_left(t);
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
    uint32_t error = ERR_peek_error();
    const char *text = tls_library_error();

    /* Only the servername callback's refusal is called like this. */
    if (t->choice.verdict == TLS_VERDICT_UNKNOWN_NAME &&
        ERR_GET_REASON(error) == SSL_R_CLIENTHELLO_TLSEXT)
        return fail_handshake(t, TLS_FAILURE_UNKNOWN_NAME, "no certificate for that name");
    if (t->choice.verdict == TLS_VERDICT_NOT_USABLE)
        text = "the client can use none of the name's certificates";
    return fail_handshake(t, classify(error), text);
}

static enum io shake(struct tls_stream *t, struct turn *turn)
{
    for (;;) {
        int done = SSL_do_handshake(t->ssl);

        if (done == 1) {
            t->state = TLS_OPEN;
            t->choice.server = NULL;
            return IO_OK;
        }
        switch (SSL_get_error(t->ssl, done)) {
        case SSL_ERROR_WANT_READ: break;
        case SSL_ERROR_PENDING_CERTIFICATE:
        case SSL_ERROR_PENDING_SESSION:
        case SSL_ERROR_PENDING_TICKET:
        case SSL_ERROR_WANT_CERTIFICATE_VERIFY:
        case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION:
            return IO_WAIT; /* whoever works on it wakes the task */
        default: return refuse(t);
        }
        dispatch(t, turn); /* our flight leaves before we wait for the answer */
        enum io io = turn->is_broken ? IO_ERROR : send_rest(t);
        if (io == IO_OK)
            io = receive(t, turn, RECORD_BYTES);
        if (io == IO_WAIT)
            return IO_WAIT;
        if (io != IO_OK)
            return peer_left(t);
    }
}

enum io tls_stream_handshake(struct stream *stream)
{
    struct tls_stream *t = of_stream(stream);
    struct turn turn;
    enum io io;

    if (t->state == TLS_OPEN)
        return IO_OK;
    if (t->state == TLS_FAILED)
        return IO_ERROR;
    t->below->task = stream->task;
    if (t->state == TLS_LISTENING) {
        io = listen_first(t);
        if (io != IO_OK)
            return io;
    }
    io = send_rest(t);
    if (io != IO_OK)
        return io == IO_WAIT ? IO_WAIT : peer_left(t);
    turn_begin(t, &turn);
    io = shake(t, &turn);
    turn_end(t, &turn);
    if (turn.is_broken && io != IO_ERROR)
        io = fail_handshake(t, TLS_FAILURE_PEER, "nothing could be sent to the client");
    return io;
}

/* --- the stream once it is open ------------------------------------------------------------------
 */

/* Opens records into the buffer as long as there are raw bytes and room. */
static enum io open_records(struct tls_stream *t, struct buffer *into)
{
    while (buffer_room(into) > 0) {
        int got = SSL_read(t->ssl, buffer_tail(into), (int)buffer_room(into));

        if (got > 0) {
            buffer_added(into, (size_t)got);
            continue;
        }
        switch (SSL_get_error(t->ssl, got)) {
        case SSL_ERROR_WANT_READ: return IO_WAIT;
        case SSL_ERROR_ZERO_RETURN: return IO_EOF; /* close_notify */
        default: return fail(t, TLS_FAILURE_PEER, tls_library_error());
        }
    }
    return IO_OK;
}

static enum io read_records(struct tls_stream *t, struct turn *turn, struct buffer *into)
{
    size_t before = buffer_length(into);

    for (;;) {
        enum io io = open_records(t, into);

        /* The end and errors are said again at the next ask. */
        if (buffer_length(into) > before)
            return IO_OK;
        if (io != IO_WAIT)
            return io;
        io = receive(t, turn, buffer_room(into));
        if (io == IO_EOF)
            return fail(t, TLS_FAILURE_PEER, "the client closed without close_notify");
        if (io != IO_OK)
            return io;
    }
}

static enum io tls_read(struct stream *stream, struct buffer *into)
{
    struct tls_stream *t = of_stream(stream);
    struct turn turn;

    assert(buffer_room(into) > 0);
    if (t->state != TLS_OPEN)
        return IO_ERROR;
    t->below->task = stream->task;
    if (buffer_length(&t->rest) > 0)
        send_rest(t); /* what came of it is said to the next write or flush */
    turn_begin(t, &turn);
    enum io io = read_records(t, &turn, into);
    turn_end(t, &turn);
    return turn.is_broken ? IO_ERROR : io;
}

/* A write of up to one record leaves as one. A longer one that follows a pause begins with small
 * records: the peer can open each as soon as it is there, however small its window is. */
static size_t choose_record(struct tls_stream *t, size_t left, bool is_long)
{
    size_t bytes = is_long && t->young_left > 0 ? SMALL_RECORD_BYTES : RECORD_BYTES;

    if (bytes > left)
        bytes = left;
    t->young_left -= t->young_left < bytes ? t->young_left : (uint32_t)bytes;
    return bytes;
}

static void note_pause(struct tls_stream *t)
{
    uint64_t now_ms = loop_now_ms(t->loop);

    if (t->last_write_ms == 0 || now_ms - t->last_write_ms >= YOUNG_AFTER_MS)
        t->young_left = YOUNG_BYTES;
    t->last_write_ms = now_ms;
}

static enum io tls_write(struct stream *stream, struct slice bytes, size_t *taken)
{
    struct tls_stream *t = of_stream(stream);
    bool is_long = bytes.len > RECORD_BYTES;
    struct turn turn;

    *taken = 0;
    if (t->state != TLS_OPEN || t->is_shut)
        return IO_ERROR;
    t->below->task = stream->task;
    enum io io = send_rest(t);
    if (io != IO_OK || slice_is_empty(bytes))
        return io;
    note_pause(t);
    turn_begin(t, &turn);
    while (*taken < bytes.len && *taken < WRITE_BYTES) {
        size_t record = choose_record(t, bytes.len - *taken, is_long);

        if (SSL_write(t->ssl, bytes.at + *taken, (int)record) != (int)record) {
            io = fail(t, TLS_FAILURE_PEER, tls_library_error());
            break;
        }
        *taken += record;
    }
    turn_end(t, &turn);
    return turn.is_broken ? IO_ERROR : io;
}

static enum io tls_flush(struct stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    t->below->task = stream->task;
    return send_rest(t);
}

static enum io tls_shut(struct stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    t->below->task = stream->task;
    if (!t->is_shut) {
        struct turn turn;

        t->is_shut = true;
        turn_begin(t, &turn);
        SSL_shutdown(t->ssl); /* writes nothing unless the handshake was done */
        ERR_clear_error();
        turn_end(t, &turn);
        if (turn.is_broken)
            return IO_ERROR;
    }
    enum io io = send_rest(t);
    return io == IO_OK ? stream_shut(t->below) : io;
}

static void tls_close(struct stream *stream)
{
    struct tls_stream *t = of_stream(stream);

    assert(!t->turn);
    SSL_free(t->ssl);
    buffer_clear(&t->raw);
    buffer_clear(&t->rest);
    certificate_unref(t->choice.certificate);
    free(t->choice.sni);
    stream_close(t->below);
    free(t);
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .flush = tls_flush,
    .shut = tls_shut,
    .close = tls_close,
};

struct stream *tls_stream_new(struct tls_server *server, struct stream *tcp)
{
    struct tls_stream *t = calloc(1, sizeof(*t));
    SSL *ssl = SSL_new(tls_server_context(server));
    BIO *bio = BIO_new(bio_method);

    if (!t || !ssl || !bio) {
        free(t);
        SSL_free(ssl);
        BIO_free(bio);
        stream_close(tcp);
        return NULL;
    }
    t->stream = (struct stream){.ops = &tls_ops, .task = tcp->task};
    t->below = tcp;
    t->loop = tcp_stream_loop(tcp);
    t->ssl = ssl;
    t->choice.server = server;
    BIO_set_data(bio, t);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    SSL_set_shed_handshake_config(ssl, 1);
    return &t->stream;
}

enum tls_failure tls_stream_failure(const struct stream *stream)
{
    return of_stream(stream)->failure;
}

const char *tls_stream_failure_text(const struct stream *stream)
{
    const char *text = of_stream(stream)->failure_text;

    return text ? text : "";
}

struct stream *tls_stream_below(struct stream *stream)
{
    return of_stream(stream)->below;
}

void tls_stream_info(const struct stream *stream, struct tls_info *info)
{
    const struct tls_stream *t = of_stream(stream);
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
    };
    /* TLS 1.2 resumes without a key exchange. */
    if (!info->is_resumed || SSL_version(t->ssl) >= TLS1_3_VERSION)
        info->group = SSL_get_curve_name(SSL_get_curve_id(t->ssl));
}
