/* Which streams a client has opened, as far as it matters for what comes on those that are open no
 * more: whether it is a mistake of the client's, or was on its way already (RFC 9113 section 5.1).
 * No I/O. */
#ifndef HTTP_H2_HISTORY_H
#define HTTP_H2_HISTORY_H

#include <stdint.h>

enum { H2_RESETS_KEPT = 16 };

/* Embedded; all zeroes at the beginning of a connection. */
struct h2_history {
    uint32_t highest; /* stream that was opened */
    uint64_t opened;  /* it (bit 0), and which of the 63 before it */
    uint32_t resets[H2_RESETS_KEPT];
    uint32_t reset_count;
    uint32_t forgotten; /* the highest stream that was pushed out of `resets` */
};

/* A stream that is higher than all before is opened. */
void h2_history_open(struct h2_history *history, uint32_t id);
/* We reset it: the client may send more of it until it hears of that. */
void h2_history_reset(struct h2_history *history, uint32_t id);
/* What HEADERS are, on a stream that is not open: 0, if they may have been on their way; else the
 * error that ends the connection. */
uint32_t h2_history_judge(const struct h2_history *history, uint32_t id);

#endif
