/* A client of HTTP/2 for unit tests: nghttp2 in the client's role at the other end of a fake
 * stream. What it gets must be right: anything that nghttp2 does not like fails the test. */
#ifndef SUPPORT_H2_PEER_H
#define SUPPORT_H2_PEER_H

#include "support/fake_stream.h"

#include <nghttp2/nghttp2.h>

enum { H2_PEER_STREAMS = 256, H2_PEER_GOAWAYS = 4 };

/* One request of its own, and what came of it. Lines are "name: value\n". */
struct h2_peer_stream {
    int32_t id;
    struct buffer head, interims, trailers; /* of the response; interims: of all 1xx */
    struct buffer body;
    unsigned data_frames;
    bool has_head, has_ended; /* END_STREAM came */
    bool was_reset, is_closed;
    uint32_t reset_code;

    /* inside: its own body */
    struct buffer sends;
    bool ends, is_deferred;
    char *own_trailers;
};

struct h2_peer {
    struct fake_stream *fake;
    nghttp2_session *session;
    struct h2_peer_stream streams[H2_PEER_STREAMS];
    unsigned stream_count;
    bool keeps_windows; /* nothing that comes is given back before h2_peer_read */

    struct {
        int32_t last;
        uint32_t code;
    } goaways[H2_PEER_GOAWAYS];
    unsigned goaway_count;
    unsigned pings, ping_answers;
    bool keeps_pings; /* to be answered by h2_peer_answer_ping */
    uint8_t last_ping[8];
    bool has_settings;
    uint32_t settings[16]; /* by their ids */
    size_t read;           /* of what the fake stream has written */
};

/* `settings` may be NULL; `windows`: the peer says by itself what it has read. */
struct h2_peer *h2_peer_new(struct fake_stream *fake, const nghttp2_settings_entry *settings,
                            size_t count);
void h2_peer_free(struct h2_peer *peer);

/* Sends what is to be sent and reads what has come. */
void h2_peer_pump(struct h2_peer *peer);

/* A request of these lines, one field each ("name: value\n"); `ends`: without a body. */
struct h2_peer_stream *h2_peer_ask(struct h2_peer *peer, const char *lines, bool ends);
/* GET https://a.test/. */
struct h2_peer_stream *h2_peer_get(struct h2_peer *peer);
/* More of the body of a request that has one. */
void h2_peer_send(struct h2_peer *peer, struct h2_peer_stream *stream, struct slice bytes,
                  bool last);
/* Ends it with these trailers. */
void h2_peer_send_trailers(struct h2_peer *peer, struct h2_peer_stream *stream, const char *lines);
void h2_peer_reset(struct h2_peer *peer, struct h2_peer_stream *stream, uint32_t code);
void h2_peer_ping(struct h2_peer *peer);
void h2_peer_answer_ping(struct h2_peer *peer);
/* With keeps_windows: it has read so much. */
void h2_peer_read(struct h2_peer *peer, struct h2_peer_stream *stream, size_t bytes);
/* Bytes that nghttp2 knows nothing of. */
void h2_peer_send_raw(struct h2_peer *peer, const char *at, size_t length);

#endif
