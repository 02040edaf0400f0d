/* An exchange on a stream of HTTP/2 that is made of records: it reads a request and writes a
 * response in any order that http/http_stream.h allows, and holds the connection to that. */
#ifndef FUZZ_H2_EXCHANGE_H
#define FUZZ_H2_EXCHANGE_H

#include "fuzz/h2_client.h"
#include "http/h2_internal.h"

/* What an exchange does; behind a client's acts. */
enum h2_exchange_act {
    EXCHANGE_HEAD = CLIENT_ACTS,
    EXCHANGE_BODY,    /* b, c: consumes at most so much */
    EXCHANGE_INTERIM, /* b: which */
    EXCHANGE_ANSWER,  /* b: how; c: how long the body */
    EXCHANGE_WRITE,   /* c: how much; b & 1: the last of it, b & 2: with trailers */
    EXCHANGE_FLUSH,
    EXCHANGE_WATCH,
    EXCHANGE_END,  /* b: how, as far as that is allowed now */
    EXCHANGE_AUTO, /* from now on by itself, with a body as in EXCHANGE_ANSWER */
    EXCHANGE_ACTS_END
};

/* Asks that were answered IO_WAIT: until its task has run they may not be answered otherwise. */
enum { WAITS_HEAD = 1, WAITS_BODY = 2, WAITS_ROOM = 4, WAITS_FLUSH = 8, WAITS_END = 16 };

struct h2_exchange {
    struct http_stream *http; /* NULL: over */
    struct loop *loop;
    struct task task;
    const struct h2_reader *reader;
    struct arena arena;
    struct http_head head;
    uint32_t stream;
    unsigned waits;
    bool has_head, request_is_whole, is_refused, reading_failed;
    bool has_answer, answer_is_whole, is_flushed, writing_failed, is_auto, is_tunnel, has_no_body;
    uint64_t consumed, written; /* of bodies */
    enum body_framing framing;
    uint64_t left; /* of a body with a length; of one that is made by itself */
};

struct h2_exchange *h2_exchange_new(struct loop *loop, struct http_stream *http,
                                    const struct h2_reader *reader);
/* Ends it if it is not over: so the connection wants it. */
void h2_exchange_cut(struct h2_exchange *exchange);
void h2_exchange_free(struct h2_exchange *exchange);
void h2_exchange_act(struct h2_exchange *exchange, const struct h2_record *record);
/* From now on it does what is left by itself. */
void h2_exchange_go_on(struct h2_exchange *exchange);
/* Of what it has written, is that what the client got? */
void h2_exchange_check(const struct h2_exchange *exchange, const struct h2_seen_stream *seen);

#endif
