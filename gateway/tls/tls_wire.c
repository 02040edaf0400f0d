#include "tls/tls_wire.h"

#include "base/check.h"
#include "net/tcp_stream.h"
#include "tls/tls_stream.h"

#include <stdlib.h>

enum {
    RECORD_BYTES = 16 * 1024,
    RAW_SLACK = 2 * 1024, /* received beyond the reader's room: the records' own bytes */
};

void tls_wire_init(struct tls_wire *wire, struct stream *below)
{
    *wire = (struct tls_wire){.below = below};
}

void tls_wire_clear(struct tls_wire *wire)
{
    buffer_clear(&wire->raw);
    buffer_clear(&wire->rest);
    stream_close(wire->below);
}

/* --- sending ---------------------------------------------------------------------------------- */

enum io tls_wire_send_rest(struct tls_wire *wire)
{
    while (buffer_length(&wire->rest) > 0) {
        size_t sent;
        enum io io = tcp_stream_send(wire->below, buffer_content(&wire->rest), &sent);

        if (io != IO_OK)
            return io;
        buffer_consume(&wire->rest, sent);
    }
    buffer_rest(&wire->rest);
    return IO_OK;
}

/* Sends what was gathered in this turn; what the kernel does not take becomes the rest. */
void tls_turn_dispatch(struct tls_turn *turn)
{
    struct tls_wire *wire = turn->wire;
    struct slice out = slice_make(turn->out, turn->out_bytes);
    size_t sent = 0;

    turn->out_bytes = 0;
    if (slice_is_empty(out) || turn->is_broken)
        return;
    if (buffer_length(&wire->rest) == 0) {
        enum io io = tcp_stream_send(wire->below, out, &sent);

        if (io == IO_WAIT)
            sent = 0;
        else if (io != IO_OK) {
            turn->is_broken = true;
            return;
        }
    }
    if (sent < out.len && !buffer_append(&wire->rest, slice_skip(out, sent)))
        turn->is_broken = true;
}

/* --- BoringSSL's side: a BIO that never blocks on the write side ------------------------------ */

static int bio_read(BIO *bio, char *into, int room)
{
    struct tls_turn *turn = BIO_get_data(bio);
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
    struct tls_turn *turn = BIO_get_data(bio);
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
            tls_turn_dispatch(turn);
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

/* Its data is the turn that has begun; NULL between turns. */
static _Thread_local BIO *thread_bio;

BIO *tls_wire_bio(void)
{
    if (!thread_bio)
        thread_bio = BIO_new(bio_method);
    if (thread_bio)
        BIO_up_ref(thread_bio);
    return thread_bio;
}

void tls_thread_clear(void)
{
    BIO_free(thread_bio);
    thread_bio = NULL;
}

struct tls_wire *tls_wire_of_bio(BIO *bio)
{
    struct tls_turn *turn = BIO_get_data(bio);

    assert(turn);
    return turn->wire;
}

/* --- turns ------------------------------------------------------------------------------------ */

void tls_turn_begin(struct tls_wire *wire, struct tls_turn *turn)
{
    assert(thread_bio && !BIO_get_data(thread_bio));
    *turn = (struct tls_turn){
        .wire = wire,
        .raw = buffer_content(&wire->raw),
        .out = loop_write_scratch(tcp_stream_loop(wire->below)),
    };
    BIO_set_data(thread_bio, turn);
}

/* Sends what was gathered and keeps what was received but not taken. */
void tls_turn_end(struct tls_turn *turn)
{
    struct tls_wire *wire = turn->wire;

    tls_turn_dispatch(turn);
    if (turn->raw_is_scratch) {
        if (!slice_is_empty(turn->raw) && !buffer_append(&wire->raw, turn->raw))
            turn->is_broken = true;
    } else {
        buffer_consume(&wire->raw, buffer_length(&wire->raw) - turn->raw.len);
        buffer_rest(&wire->raw);
    }
    BIO_set_data(thread_bio, NULL);
}

/* Receives once, when BoringSSL has taken all there was. */
enum io tls_turn_receive(struct tls_turn *turn, size_t room)
{
    struct tls_wire *wire = turn->wire;
    char *scratch = loop_read_scratch(tcp_stream_loop(wire->below));
    size_t got;

    assert(slice_is_empty(turn->raw));
    if (!turn->raw_is_scratch) {
        buffer_clear(&wire->raw);
        turn->raw_is_scratch = true;
    }
    if (room < RECORD_BYTES)
        room = RECORD_BYTES;
    room += RAW_SLACK;
    if (room > LOOP_SCRATCH_BYTES)
        room = LOOP_SCRATCH_BYTES;
    enum io io = tcp_stream_recv(wire->below, scratch, room, &got);
    if (io == IO_OK)
        turn->raw = slice_make(scratch, got);
    return io;
}
