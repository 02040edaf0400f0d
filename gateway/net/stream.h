/* Bytes both ways: TCP, TLS and a test's script look alike from above. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/buffer.h"
#include "net/loop.h"

struct stream;

/* Bytes that crossed the wire, whatever they were wrapped in; UINT64_MAX where nobody knows. */
struct stream_traffic {
    uint64_t came;    /* from the peer to our kernel, read or not */
    uint64_t arrived; /* with the peer's kernel, which acknowledged them */
};

struct stream_ops {
    /* Appends what there is to `into`, at most its room (>= 1). IO_OK: something was appended, and
     * maybe more is there. */
    enum io (*read)(struct stream *, struct buffer *into);
    /* Takes bytes off the front of `bytes`; *taken says how many. IO_OK: some were taken (an empty
     * slice: the stream can take some). IO_WAIT: none; the task is woken when some can be. Taken
     * bytes may still be held here until `flush`. */
    enum io (*write)(struct stream *, struct slice bytes, size_t *taken);
    /* IO_OK when everything taken has left for the kernel, IO_WAIT while it has not. */
    enum io (*flush)(struct stream *);
    /* Ends our direction (FIN; close_notify first on TLS) after a flush. IO_OK when done. */
    enum io (*shut)(struct stream *);
    /* So far: for comparing with what it was. A system call. */
    struct stream_traffic (*traffic)(const struct stream *);
    /* Frees the stream and its socket at once; unread input may make the kernel send a reset. */
    void (*close)(struct stream *);
};

struct stream {
    const struct stream_ops *ops;
    /* Woken when an answer of IO_WAIT may have changed; set by whoever asks now, NULL: nobody. */
    struct task *task;
};

static inline enum io stream_read(struct stream *s, struct buffer *into)
{
    return s->ops->read(s, into);
}

static inline enum io stream_write(struct stream *s, struct slice bytes, size_t *taken)
{
    return s->ops->write(s, bytes, taken);
}

static inline enum io stream_flush(struct stream *s)
{
    return s->ops->flush(s);
}

static inline enum io stream_shut(struct stream *s)
{
    return s->ops->shut(s);
}

static inline struct stream_traffic stream_traffic(const struct stream *s)
{
    return s->ops->traffic(s);
}

static inline void stream_close(struct stream *s)
{
    s->ops->close(s);
}

#endif
