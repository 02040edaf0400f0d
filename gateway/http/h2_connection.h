/* An HTTP/2 connection to a client (RFC 9113) over a stream: any number of http_streams at once,
 * each a request and its response. nghttp2 keeps the protocol's state: frames, HPACK, flow control;
 * whose frames go first is RFC 9218's.
 *
 * One task drives it, the owner's: `h2_connection_run` receives what has come, which wakes the
 * tasks of streams, and sends what they have written since. Streams do no I/O of their own: they
 * fill and empty, and wake the owner's task, which runs behind theirs; so what many of them write
 * in a round leaves together, in as few TLS records as it takes. */
#ifndef HTTP_H2_CONNECTION_H
#define HTTP_H2_CONNECTION_H

#include "http/h1_parser.h"
#include "http/http_stream.h"

struct h2_connection;

/* What is allowed is not negotiable; figures are in README.md. */
enum {
    H2_STREAMS_MAX = 100,               /* requests at once */
    H2_STREAM_WINDOW = 64 * 1024 - 1,   /* of a body that comes, at first */
    H2_STREAM_WINDOW_MAX = 1024 * 1024, /* once it is read as fast as it comes */
    H2_CONNECTION_WINDOW = 1024 * 1024, /* of all that is on its way to us */
    H2_CONNECTION_WIDENED = H2_STREAM_WINDOW_MAX - H2_STREAM_WINDOW, /* of all streams' together */
    H2_STREAM_HOLD = 16 * 1024,     /* of a body that goes, waiting for its turn */
    H2_STREAM_HOLD_MAX = 64 * 1024, /* the same while all together are below: */
    H2_CONNECTION_HOLD = 256 * 1024,
};

/* Borrows `stream` and `task`, which is the owner's and the stream's. `limits` are borrowed while
 * it lives; they count as in HTTP/1 (a request line being ":method :path"), but that on requests.
 * NULL without memory. */
struct h2_connection *h2_connection_new(struct loop *loop, struct stream *stream, struct task *task,
                                        const struct h1_limits *limits);
/* Every stream of it has ended. Does not close the stream below. */
void h2_connection_free(struct h2_connection *connection);

enum h2_state {
    H2_IDLE,    /* no request is under way */
    H2_BUSY,    /* some are */
    H2_CLOSING, /* the last has ended and all is said, or what is left is to be cut: to be shut and
                   lingered on */
    H2_BROKEN,  /* to be cut, with what is on it, and closed */
};

/* Receives what has come, and sends what there is; each time the owner's task runs, and only there.
 */
enum h2_state h2_connection_run(struct h2_connection *connection);

/* The next request that has come, whose stream is the caller's until its `end`; NULL: none. Its
 * head is there at the first ask. */
struct http_stream *h2_connection_next(struct h2_connection *connection);

/* How many of those have not ended. */
unsigned h2_connection_taken(const struct h2_connection *connection);
/* Before anything was asked of it: there is no room for it, which is what its head will say
 * (REASON_OVER_LIMIT). */
void h2_connection_turn_away(struct http_stream *stream);

/* What of the client's is waited for that is nobody's stream; its owner has a deadline for each. */
enum h2_wait {
    H2_WAITS_NOTHING,
    H2_WAITS_HEAD,   /* the preface, or the rest of a header block */
    H2_WAITS_GOAWAY, /* the answer to the PING that the first GOAWAY went with */
};
enum h2_wait h2_connection_wait(const struct h2_connection *connection);
/* Bytes of a header block that is not complete. */
size_t h2_connection_held(const struct h2_connection *connection);

/* Ends it in order (RFC 9113 section 6.8): GOAWAY for no stream, and a PING; when that is answered,
 * or is asked for again, GOAWAY with the last stream that will be served; H2_CLOSING once those
 * have ended. */
void h2_connection_drain(struct h2_connection *connection);
/* It was asked for. */
bool h2_connection_is_draining(const struct h2_connection *connection);
/* GOAWAY with ENHANCE_YOUR_CALM, and no more: what is under way is cut. `problem`: static. */
void h2_connection_fail(struct h2_connection *connection, const char *problem);

/* Lingering: shuts our direction, reads and drops at most 64 KiB, then just waits. IO_EOF or
 * IO_ERROR: now close it; IO_WAIT: the owner's deadline of 2 s goes on. */
enum io h2_connection_linger(struct h2_connection *connection);

/* Why it is ended with an error: "ENHANCE_YOUR_CALM", "header_timeout" or another word; NULL: it is
 * not. */
const char *h2_connection_problem(const struct h2_connection *connection);

#endif
