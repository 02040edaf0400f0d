/* An HTTP/1 connection in either role, over a stream: one http_stream at a time. */
#ifndef HTTP_H1_CONNECTION_H
#define HTTP_H1_CONNECTION_H

#include "http/h1_parser.h"
#include "http/http_stream.h"
#include "net/stream.h"

enum h1_role { H1_TO_CLIENT, H1_TO_BACKEND };

struct h1_connection;

/* Borrows `stream`, whose task it points at the asker's. `limits` are borrowed while it lives.
 * An idle connection (no http_stream begun) keeps no buffer. NULL when there is no memory; later
 * want of it breaks the connection, with REASON_OVER_LIMIT. */
struct h1_connection *h1_connection_new(struct stream *stream, enum h1_role role,
                                        const struct h1_limits *limits);
/* Does not close the stream. */
void h1_connection_free(struct h1_connection *connection);

/* The stream for the next request; one at a time. `task` is woken for it unless the stream names
 * another, and in any case once it has ended. */
struct http_stream *h1_connection_begin(struct h1_connection *connection, struct task *task);

/* Puts bytes in front of the head that is written next; they leave with it. Behind
 * h1_connection_begin. Without memory that head cannot be written. */
void h1_connection_lead(struct h1_connection *connection, struct slice bytes);

/* What became of the connection when its stream ended. */
enum h1_state {
    H1_IDLE,    /* may carry the next request */
    H1_BUSY,    /* a stream is on it */
    H1_CLOSING, /* to be shut and lingered on */
    H1_BROKEN,  /* to be closed at once */
};
enum h1_state h1_connection_state(const struct h1_connection *connection);

/* Of a broken one towards a client: it ends what nothing but its end delimits (a body for HTTP/1.0,
 * a tunnel), and not where that should end. An orderly end would make half of it look whole. */
bool h1_connection_must_reset(const struct h1_connection *connection);

/* Between requests: IO_OK when bytes of the next one are there, IO_WAIT, IO_EOF, IO_ERROR.
 * Gives every buffer back on IO_WAIT. */
enum io h1_connection_poll(struct h1_connection *connection, struct task *task);

/* Lingering: shuts our direction, reads and drops at most 64 KiB, then just waits. IO_EOF or
 * IO_ERROR: now close it; IO_WAIT: the owner's deadline of 2 s goes on. */
enum io h1_connection_linger(struct h1_connection *connection, struct task *task);

/* The next response says Connection: close and the connection ends after it (draining). */
void h1_connection_close_after(struct h1_connection *connection);

/* To a backend: seconds of its Keep-Alive: timeout=N, 0 if it named none. */
unsigned h1_connection_idle_hint(const struct h1_connection *connection);

#endif
