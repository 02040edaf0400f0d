/* How much work for nothing an HTTP/2 client may make: a budget per connection. What costs more
 * than it is worth is paid from it (frames that only keep us busy, requests that are called off);
 * what a client that behaves does gives it back. Spent, the connection ends with ENHANCE_YOUR_CALM
 * (RFC 9113 section 10.5). No I/O.
 *
 * 1000 units, of which 100 a second come back. So much of one kind may come at once, and then so
 * much in each second:
 *
 *                units  at once  a second  who behaves
 *   reset            3      333        33  a browser that leaves a page: up to 100, now and then
 *   SETTINGS        20       50         5  one or two more in a connection's life
 *   PING             5      200        20  one in 10 s to keep it alive; to measure its bandwidth,
 *                                          one a round trip while data comes: those are free
 *   empty            5      200        20  hardly any
 *   window         1/2     2000       200  one or two for each stream, before data comes; then at
 *                                          most two for each 4 KiB: those are free
 *   priority       1/2     2000       200  some for each request of a page
 *   CONTINUATION     1     1000       100  one or two for a head with large cookies
 *
 * An answer gives back 3 units. So who calls off every second request, as those do that ask two
 * servers and take the first answer, can go on forever, and pays a request that is worked through
 * for each one that is not. */
#ifndef HTTP_H2_BUDGET_H
#define HTTP_H2_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum h2_expense {
    H2_SPENT_ON_RESET,    /* a request that the client called off, or that was malformed */
    H2_SPENT_ON_SETTINGS, /* each SETTINGS frame behind the first */
    H2_SPENT_ON_PING,
    H2_SPENT_ON_EMPTY,    /* DATA, HEADERS or CONTINUATION without content that end nothing */
    H2_SPENT_ON_WINDOW,   /* WINDOW_UPDATE */
    H2_SPENT_ON_PRIORITY, /* PRIORITY, PRIORITY_UPDATE, and frames of unknown types */
    H2_SPENT_ON_FRAGMENT, /* each CONTINUATION */
};

/* Embedded; plain values. */
struct h2_budget {
    uint64_t since_ms; /* when `left` was brought up to date */
    uint32_t left;     /* in thousandths of a unit */
    uint32_t free;     /* PINGs and WINDOW_UPDATEs that data called for */
};

void h2_budget_init(struct h2_budget *budget, uint64_t now_ms);
/* False: it is spent, and stays so for this call's sake: end the connection. */
bool h2_budget_spend(struct h2_budget *budget, enum h2_expense expense, uint64_t now_ms);
/* A request was answered whole. */
void h2_budget_earn_answer(struct h2_budget *budget);
/* So many DATA frames with content were sent, or received. */
void h2_budget_earn_data(struct h2_budget *budget, unsigned sent, unsigned received);

#endif
