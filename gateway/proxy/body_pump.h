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
};

void body_pump_start(struct body_pump *pump, uint64_t limit);

/* Moves what can be moved now. True if anything was. */
bool body_pump_run(struct body_pump *pump, struct http_stream *from, struct http_stream *to);

#endif
