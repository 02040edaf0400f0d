/* A stream without a socket: a test says what arrives, in which pieces, and how much is taken.
 *
 * Fields under "script" may be set at any time. With a loop, the stream's task is woken as a real
 * stream would wake it; without one the test simply asks again. */
#ifndef SUPPORT_FAKE_STREAM_H
#define SUPPORT_FAKE_STREAM_H

#include "net/stream.h"

struct fake_stream {
    struct stream stream; /* what the code under test gets: &fake->stream */
    struct loop *loop;    /* NULL: nobody is woken */

    /* script */
    size_t read_step;  /* most bytes of one read; 0: as many as there are */
    size_t write_step; /* most bytes taken by one write; 0: all */
    bool read_waits;   /* IO_WAIT, and awake again, before each read that brings something */
    bool write_waits;  /* the same for writes */
    bool holds_back;   /* what is taken is not there for the peer before a flush, as with TLS */
    bool write_fails;  /* IO_ERROR, as after a reset */
    size_t room;       /* bytes that are still taken before IO_WAIT; SIZE_MAX from the start */

    /* what has happened */
    unsigned reads, writes; /* that brought or took something */
    unsigned flushes;
    bool is_shut, is_closed;

    /* inside */
    struct buffer arriving, held, written;
    enum io ending; /* IO_WAIT: not yet */
    bool read_was_refused, write_was_refused;
};

struct fake_stream *fake_stream_new(struct loop *loop, struct task *task);
/* Also after it was closed, which only sets is_closed: the test wants to look at it. */
void fake_stream_free(struct fake_stream *fake);

/* The peer sends. */
void fake_stream_send(struct fake_stream *fake, struct slice bytes);
void fake_stream_send_text(struct fake_stream *fake, const char *text);
/* Behind what it sent the peer ends: IO_EOF, or IO_ERROR for a reset. */
void fake_stream_end(struct fake_stream *fake, enum io how);
/* True when asking once more brings nothing new: all was read, and the end, if any, is known. */
bool fake_stream_is_quiet(const struct fake_stream *fake);

/* The peer takes `bytes` more, where `room` was limited. */
void fake_stream_take(struct fake_stream *fake, size_t bytes);
/* What the peer has got since the last fake_stream_forget. */
struct slice fake_stream_written(const struct fake_stream *fake);
void fake_stream_forget(struct fake_stream *fake);

#endif
