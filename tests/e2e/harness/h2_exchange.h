/* One request and its answer on an HTTP/2 connection of a test: what is still to be sent of the
 * one, and the other as HTTP/1.1 text. No I/O; nghttp2 has the frames. */
#ifndef E2E_H2_EXCHANGE_H
#define E2E_H2_EXCHANGE_H

#include "request_text.h"

#include <nghttp2/nghttp2.h>

struct h2_exchange {
    int32_t stream;
    bool is_head;   /* the method is HEAD */
    bool is_tunnel; /* asks to become one, or is one */

    struct wire out; /* a buffer alone: of the request's body */
    bool is_over;    /* nothing will be added to it */
    struct fields trailers;

    struct wire in;      /* a buffer alone: the answer */
    size_t owed;         /* of its bytes, to the gateway's window once they are read */
    struct wire section; /* of fields, as they come */
    int status;
    bool has_length; /* the section says */
    bool has_head;   /* that counts */
    bool is_chunked;
    bool is_answered; /* ended in order */

    bool is_closed; /* the stream; without an answer if not is_answered */
    uint32_t error; /* then */
    bool is_read;   /* nobody reads its answer any more */
    struct h2_exchange *next;
};

struct h2_exchange *h2_exchange_new(struct request_text *text);
void h2_exchange_free(struct h2_exchange *exchange);
/* Sends the head that `text` has; `ends`: no body follows. False: HTTP/2 cannot say that. */
bool h2_exchange_submit(struct h2_exchange *exchange, nghttp2_session *session,
                        const struct request_text *text, bool ends);

/* What nghttp2 tells of the answer. */
void h2_exchange_begin_section(struct h2_exchange *exchange);
void h2_exchange_add_field(struct h2_exchange *exchange, const char *name, size_t name_length,
                           const char *value, size_t value_length);
/* `closes`: the connection takes no request after this one. True: a tunnel was refused. */
bool h2_exchange_end_section(struct h2_exchange *exchange, bool closes);
void h2_exchange_add_body(struct h2_exchange *exchange, const void *bytes, size_t length);
void h2_exchange_end(struct h2_exchange *exchange);

#endif
