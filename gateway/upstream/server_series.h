/* What became of the requests that servers were tried for, counted by backend and server.
 *
 * Backends and servers each have their own limit of names (base/series.h). */
#ifndef UPSTREAM_SERVER_SERIES_H
#define UPSTREAM_SERVER_SERIES_H

#include "base/series.h"

/* How a try with a server ends; each ends in one of these. */
enum upstream_outcome {
    UPSTREAM_1XX, /* a tunnel */
    UPSTREAM_2XX,
    UPSTREAM_3XX,
    UPSTREAM_4XX,
    UPSTREAM_5XX,
    UPSTREAM_CONNECT_FAILED,
    UPSTREAM_CONNECT_TIMEOUT,
    UPSTREAM_STALE,        /* a reused connection had been closed: tried again */
    UPSTREAM_RESET,        /* it broke off before its answer was whole */
    UPSTREAM_BAD_RESPONSE, /* what it answered is no HTTP */
    UPSTREAM_TIMEOUT,      /* no answer in time */
    UPSTREAM_IDLE,         /* it fell silent in the middle, or took nothing */
    UPSTREAM_CANCELED,     /* the client left, or its request was refused, before an answer came */
    UPSTREAM_OUTCOMES
};

const char *upstream_outcome_name(enum upstream_outcome outcome); /* "2xx", "connect_failed" … */
/* It accepted a request and gave no proper answer. */
bool upstream_outcome_blames_server(enum upstream_outcome outcome);

/* The process's. */
struct server_series {
    struct series *backends, *servers; /* names alone */
    struct series *pairs; /* BACKEND NUL SERVER, each a name of the above or "other"; by outcome */
};
void server_series_init(struct server_series *series, unsigned views);
void server_series_clear(struct server_series *series);

/* One thread's. */
struct server_view {
    struct series_view backends, servers, pairs;
};
void server_view_init(struct server_view *view, const struct server_series *series,
                      unsigned number);
void server_view_clear(struct server_view *view);

/* The thread's counters by outcome, for the life of the process. Not for every request. */
_Atomic uint64_t *server_view_counters(struct server_view *view, struct slice backend,
                                       struct slice server);

#endif
