/* Moves one body from the side that reads it to the side that writes it, with backpressure. */
#ifndef PROXY_BODY_PUMP_H
#define PROXY_BODY_PUMP_H

#include "http/http_stream.h"

enum pump_state {
    PUMP_OFF,         /* nothing to move (any more) */
    PUMP_WAITS_READ,  /* for the reading side's peer */
    PUMP_WAITS_WRITE, /* for the writing side's peer */
    PUMP_BUSY,        /* its budget is spent: go on in the next round */
    PUMP_DONE,        /* moved whole, end included */
    PUMP_READ_FAILED,
    PUMP_WRITE_FAILED,
    PUMP_OVER_LIMIT,
};

struct body_pump {
    enum pump_state state;
    uint64_t moved, limit; /* bytes; limit 0: none */
    uint64_t unhindered;   /* of those moved, since the writer last had to be waited for */
    /* What becomes of the trailers, before they are sent on; NULL: nothing. */
    void (*edit_trailers)(void *owner, struct http_fields *trailers);
    void *owner;
};

/* Trailers pass as they are. */
void body_pump_start(struct body_pump *pump, uint64_t limit);
/* Behind body_pump_start. `edit` may be called more than once, on what it left. */
void body_pump_edit_trailers(struct body_pump *pump,
                             void (*edit)(void *owner, struct http_fields *trailers), void *owner);

/* Moves what can be moved now. True if anything was. */
bool body_pump_run(struct body_pump *pump, struct http_stream *from, struct http_stream *to);

#endif
