/* The inside of an HTTP/2 connection, shared by the files that make it up: h2_connection.c (its
 * life: receive, send, end), h2_callbacks.c (what nghttp2 tells of frames), h2_checks.c (what it
 * should refuse and does not), h2_stream.c (one request: its life), h2_inbound.c (what is read of
 * it), h2_outbound.c (what is written), h2_turns.c (which of them may take more from their
 * backends). */
#ifndef HTTP_H2_INTERNAL_H
#define HTTP_H2_INTERNAL_H

#include "base/check.h"
#include "http/h2_connection.h"
#include "http/h2_history.h"
#include "http/h2_meter.h"
#include "http/h2_priority.h"

#include <nghttp2/nghttp2.h>

/* Bytes of frames that wait for the stream below before nghttp2 is asked for more. */
enum { H2_OUT_FULL = 48 * 1024 };

enum h2_reading { H2_READ_HEAD, H2_READ_BODY, H2_READ_DONE, H2_READ_FAILED };
enum h2_writing { H2_WRITE_HEAD, H2_WRITE_BODY, H2_WRITE_DONE, H2_WRITE_FAILED };

enum h2_drain {
    H2_DRAIN_NOT,
    H2_DRAIN_NOTICED, /* GOAWAY for no stream is out; the PING behind it is not answered */
    H2_DRAIN_DONE,    /* GOAWAY with the last stream */
};

/* Where a field section lies in its connection's `sections`. */
struct h2_section {
    uint32_t at, bytes;
    uint32_t count; /* of fields */
};

struct h2_stream {
    struct http_stream http;
    struct h2_connection *connection;
    int32_t id;
    struct list_node place;   /* among its connection's `opening`, `arrivals` or `streams` */
    struct list_node starved; /* among those that wait for room to write */
    struct list_node leaving; /* among those whose end is on its way out */

    enum h2_reading reading;
    enum h2_writing writing;
    enum http_method method;
    struct h2_priority priority; /* as was said last */
    enum http_reason verdict;    /* on its head, before anybody has read it */
    bool has_arrived, is_taken;
    bool is_known;              /* nghttp2 has it open */
    bool is_malformed;          /* RFC 9113 section 8.1.1: a reset is its answer */
    bool is_cut;                /* reset, by either side, before both messages were whole */
    bool is_tunnel;             /* or asks to be one */
    bool backend_said_priority; /* which counts more than what its client says */
    bool head_ends;             /* no body follows its head */
    bool has_ended;             /* the client: END_STREAM was received */
    bool expects_continue;      /* and has not been answered */
    bool is_read;               /* whoever reads its body waits for more */
    bool ends;                  /* what is in `out` is the last of the body */
    bool end_was_sent;
    bool is_deferred;                 /* nghttp2 had asked for more of the body than there was */
    struct h2_section head, trailers; /* until taken */
    struct http_fields trailers_out;
    struct buffer in, out; /* of bodies: not read, and not framed yet */
    uint32_t window;       /* for the client's body */
    uint64_t end_at;       /* END_STREAM is in front of this byte of the connection's */
    uint64_t came, went;   /* bytes of bodies, read or not, and framed */
    uint64_t turn;         /* among those that are as urgent; 0: it has had none */
    uint64_t turn_ends;    /* with so many bytes of its body */
    uint64_t others_went;  /* bytes of all bodies, as they were seen last */
};

struct h2_connection {
    struct loop *loop;
    struct stream *stream; /* borrowed */
    struct task *task;     /* the owner's */
    const struct h1_limits *limits;
    nghttp2_session *session;
    struct h2_meter meter;
    struct h2_budget budget;
    struct h2_history history;
    struct list opening;  /* the head is not complete */
    struct list arrivals; /* requests that nobody has taken yet */
    struct list streams;
    struct list starved; /* the most urgent first, and of those whose turn it is */
    struct list leaving;
    unsigned stream_count; /* in all three */
    unsigned taken_count;  /* in `streams` */

    struct buffer in;       /* only while it is given to nghttp2 */
    struct buffer out;      /* frames that the stream has not taken */
    struct buffer sections; /* decoded, not taken */
    uint64_t framed, taken; /* bytes of frames in all, and of those the ones that have left `out` */
    size_t held;            /* in all streams' `out` */
    uint64_t went;          /* bytes of bodies that were framed */
    uint64_t turns;         /* that were given */
    uint32_t widened;       /* of all streams' windows, what is beyond H2_STREAM_WINDOW */
    unsigned sections_waiting;

    struct h2_stream *block; /* whose field section is being received; NULL: none, or ignored */
    struct h2_section section;
    uint32_t section_line;  /* bytes of :method and :path */
    uint32_t section_whole; /* bytes of the section in HTTP/1.1, with what is not kept */
    uint32_t section_fields, section_crumbs; /* and fields; of Cookie, which is one there */
    uint32_t lingered_bytes;
    const char *problem;
    size_t queued;      /* frames that waited to be sent when the one at hand began */
    uint32_t violation; /* an error of the client's that is noticed inside nghttp2; 0: none */
    enum h2_drain drain;
    bool is_in_block; /* the rest of a field section is still to come */
    bool has_begun;   /* the client's preface is there */
    bool is_spent;    /* the budget: noticed inside nghttp2 */
    bool is_failing;  /* GOAWAY with an error: what is under way is cut */
    bool is_broken;
    bool is_short;          /* of memory: what it made of the reserve goes with it */
    bool ping_was_answered; /* the one that went with the first GOAWAY */
    bool owes_goaway;       /* the second one is not a frame yet: nothing is begun meanwhile */
    bool left_unread;       /* the stream may have more to read */
};

static inline struct h2_stream *h2_stream_of(struct http_stream *http)
{
    return container_of(http, struct h2_stream, http);
}

static inline void h2_wake(struct h2_connection *connection)
{
    loop_wake(connection->loop, connection->task);
}

static inline void h2_stream_wake(struct h2_stream *stream)
{
    if (stream->http.task)
        loop_wake(stream->connection->loop, stream->http.task);
}

/* nghttp2 with what it calls; NULL when there is no memory. */
nghttp2_session *h2_session_new(struct h2_connection *connection);

/* Of the field section that was being received nothing more comes, and what came is nobody's. */
void h2_block_is_over(struct h2_connection *connection);
/* nghttp2_on_begin_frame_callback. */
/* Frames that wait to be sent now: of the frame at hand, none. */
void h2_count_queued(struct h2_connection *connection);
/* Behind a SETTINGS frame: 0, or that nghttp2 is to be left. */
int h2_check_settings(struct h2_connection *connection, const nghttp2_frame_hd *header);
int h2_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *header, void *user);
/* What a callback returns when the client makes work for nothing, or does what ends a connection
 * with that error. */
int h2_stop_for_calm(struct h2_connection *connection);
int h2_stop_for(struct h2_connection *connection, uint32_t error);

/* A request begins; NULL when there is no memory. */
struct h2_stream *h2_stream_new(struct h2_connection *connection, int32_t id);
/* Nobody has it: frees it. */
void h2_stream_free(struct h2_stream *stream);
/* nghttp2 has closed it. */
void h2_stream_closed(struct h2_stream *stream, bool in_order);
/* Bytes of the body have come. False when there is no memory. */
bool h2_stream_receive(struct h2_stream *stream, struct slice bytes);
/* Trailers have come, and lie in `section`. */
void h2_stream_take_trailers(struct h2_stream *stream, const struct h2_section *section);
/* So many bytes of `out` are in a frame now. */
void h2_stream_framed(struct h2_stream *stream, size_t bytes);
/* What it has to say has gone, its end included. */
bool h2_stream_has_left(const struct h2_stream *stream);
/* How much more of a body it may take now. */
size_t h2_stream_room(const struct h2_stream *stream);
/* It waits for room; woken when it has some. */
void h2_stream_starve(struct h2_stream *stream);
/* Wakes those that have room now. */
void h2_wake_starved(struct h2_connection *connection);
/* PRIORITY_UPDATE: it replaces what the client has said before. */
void h2_stream_take_priority(struct h2_stream *stream, struct slice value);
bool h2_stream_waits_for_others(struct http_stream *stream);
/* The parts of its http_stream: h2_inbound.c, h2_outbound.c. */
enum io h2_stream_read_head(struct http_stream *http, struct arena *arena, struct http_head *head);
enum io h2_stream_read_body(struct http_stream *http, struct slice *piece);
void h2_stream_consume_body(struct http_stream *http, size_t bytes);
enum io h2_stream_write_head(struct http_stream *http, const struct http_head *head);
enum io h2_stream_write_body(struct http_stream *http, struct slice piece, bool last,
                             size_t *taken);
enum io h2_stream_flush(struct http_stream *http);
/* Reading is over, and why: it was reset. Always IO_ERROR. */
enum io h2_stream_fail_cut(struct h2_stream *stream);
bool h2_stream_submit_interim_head(struct h2_stream *stream, const struct http_head *head);
/* What a DATA frame is made of: see nghttp2_data_source_read_callback. */
extern const nghttp2_data_provider h2_body_provider;
/* So many bytes of bodies have come: room for others. */
void h2_give_back(struct h2_connection *connection);
/* Sends what there is, as far as it goes. */
void h2_send_frames(struct h2_connection *connection);
/* Sends GOAWAY with that error, and `problem` for the log; what is under way is cut. */
void h2_fail(struct h2_connection *connection, uint32_t error, const char *problem);

/* Copies the fields of a section into the arena; false when there is no memory. Its bytes are no
 * longer needed then. */
bool h2_section_take(struct h2_connection *connection, const struct h2_section *section,
                     struct arena *arena, struct http_fields *fields);
/* They are no longer needed. */
void h2_section_drop(struct h2_connection *connection, const struct h2_section *section);

#endif
