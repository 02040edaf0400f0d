/* A connection of HTTP/2 with a client at one end and a test at the other, on a real loop: what the
 * unit tests of http/h2_connection.h share. */
#ifndef SUPPORT_H2_FIXTURE_H
#define SUPPORT_H2_FIXTURE_H

#include "http/h2_internal.h"
#include "support/h2_peer.h"

enum { H2_FIXTURE_EXCHANGES = 256 };

/* A request that has come, and what the test makes of it. */
struct h2_request {
    struct http_stream *http; /* NULL: ended */
    struct task task;
    unsigned wakes;
    struct arena arena;
    struct http_head head;
    struct buffer body; /* as far as it was read */
};

struct h2_fixture {
    struct loop *loop;
    struct fake_stream *fake;
    struct h1_limits limits; /* may be changed before anything is sent */
    struct h2_connection *connection;
    struct h2_peer *peer;
    struct task task; /* the owner's */
    unsigned runs;
    enum h2_state state;
    bool is_reading_off; /* the peer does not read what has come */
    struct h2_request requests[H2_FIXTURE_EXCHANGES];
    unsigned request_count, taken;
};

extern struct h2_fixture h2;

/* With `count` settings of the client; nothing has been said yet. */
void h2_fixture_start(const nghttp2_settings_entry *settings, size_t count);
/* Ends what has not ended. */
void h2_fixture_clear(void);

/* Both sides go on until nothing moves any more. */
void h2_settle(void);
/* The loop goes round without the peer having its turn. */
void h2_turn(void);

/* The next request that has come, its head read as it must be. */
struct h2_request *h2_take(void);
/* Reads what there is of its body: IO_WAIT, IO_EOF, or IO_ERROR. */
enum io h2_read(struct h2_request *request);
/* Writes a head. */
enum io h2_write_head(struct h2_request *request, int status, enum body_framing framing,
                      uint64_t length);
/* Writes all of it, with the loop going round while it must wait. */
void h2_write(struct h2_request *request, struct slice bytes, bool last);
/* The same in one go: how much was taken. */
size_t h2_write_some(struct h2_request *request, struct slice bytes);
void h2_end(struct h2_request *request, enum http_end how);
/* A whole response. */
void h2_respond(struct h2_request *request, const char *body);

bool h2_holds_no_buffer(void);

/* Text is exactly this; shown if not. */
void expect_text(const struct buffer *buffer, const char *text);

#endif
