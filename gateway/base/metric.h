/* Counters and gauges of one worker: written by its thread alone, added up by whoever reads. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include "base/histogram.h"

#include <stdatomic.h>
#include <stdint.h>

enum metric {
    METRIC_CONNECTIONS_ACCEPTED,
    METRIC_CONNECTIONS_OPEN,        /* gauge: accepted sockets not yet closed */
    METRIC_CONNECTIONS_HANDSHAKING, /* gauge */
    METRIC_CONNECTIONS_IDLE,        /* gauge: between requests */
    /* refused at the door, by reason: see proxy/admission.h */
    METRIC_REFUSED_CONNECTIONS,
    METRIC_REFUSED_CONNECTIONS_PER_IP,
    METRIC_REFUSED_HANDSHAKES,
    METRIC_REFUSED_DESCRIPTORS,
    METRIC_REFUSED_MEMORY,
    METRIC_HANDSHAKES_DONE,
    METRIC_HANDSHAKES_RESUMED,
    METRIC_HANDSHAKES_FAILED,
    /* those done, by version: the ones that resumed a session stand behind the others */
    METRIC_HANDSHAKES_TLS_1_2,
    METRIC_HANDSHAKES_TLS_1_2_RESUMED,
    METRIC_HANDSHAKES_TLS_1_3,
    METRIC_HANDSHAKES_TLS_1_3_RESUMED,
    /* those failed, by reason */
    METRIC_PLAINTEXT_ON_TLS, /* plain HTTP that came to a TLS port */
    METRIC_HANDSHAKES_NOT_TLS,
    METRIC_HANDSHAKES_UNRECOGNIZED_NAME,
    METRIC_HANDSHAKES_NOTHING_SHARED, /* no version, cipher, curve or protocol */
    METRIC_HANDSHAKES_PEER_FAILED,    /* its alert, or it left in the middle */
    METRIC_HANDSHAKES_TIMEOUT,
    METRIC_HANDSHAKES_CLIENT_MISSING, /* of the client's certificate: it has to show one */
    METRIC_HANDSHAKES_CLIENT_EXPIRED,
    METRIC_HANDSHAKES_CLIENT_UNTRUSTED,
    METRIC_HANDSHAKES_CLIENT_REFUSED,
    METRIC_HANDSHAKES_SILENT, /* it left before it said anything; not among the failed */
    /* connections that were closed for want of a good PROXY protocol header, by reason */
    METRIC_PROXY_NO_HEADER, /* these four as net/proxy_protocol.h has them */
    METRIC_PROXY_MALFORMED,
    METRIC_PROXY_TOO_LONG,
    METRIC_PROXY_CHECKSUM,
    METRIC_PROXY_CUT, /* the peer left in the middle of it */
    METRIC_PROXY_TIMEOUT,
    /* HTTP/2 connections that were ended for what their client did, by reason: proxy/http2_ends.h
     */
    METRIC_HTTP2_ENDED_CALM,
    METRIC_HTTP2_ENDED_PROTOCOL,
    METRIC_HTTP2_ENDED_FLOW_CONTROL,
    METRIC_HTTP2_ENDED_FRAME_SIZE,
    METRIC_HTTP2_ENDED_COMPRESSION,
    METRIC_HTTP2_ENDED_STREAM_CLOSED,
    METRIC_HTTP2_ENDED_HEADER_TIMEOUT,
    METRIC_HTTP2_ENDED_OVER_LIMIT,
    METRIC_HTTP2_ENDED_OTHER,
    METRIC_REQUESTS,
    METRIC_REQUESTS_IN_FLIGHT, /* gauge */
    METRIC_RESPONSES_1XX,
    METRIC_RESPONSES_2XX,
    METRIC_RESPONSES_3XX,
    METRIC_RESPONSES_4XX,
    METRIC_RESPONSES_5XX,
    METRIC_BAD_REQUESTS, /* refused by the codec */
    METRIC_CLIENT_GONE,  /* 499 in the log */
    METRIC_TUNNELS,      /* gauge */
    METRIC_BYTES_IN,     /* body bytes from clients */
    METRIC_BYTES_OUT,
    METRIC_UPSTREAM_CONNECTS,
    METRIC_UPSTREAM_CONNECT_FAILURES,
    METRIC_UPSTREAM_REUSED,
    METRIC_UPSTREAM_RETRIES,
    METRIC_UPSTREAM_RETRIES_REFUSED, /* by the budget */
    METRIC_UPSTREAM_HEDGES,
    METRIC_UPSTREAM_HELD,       /* requests, at least for a moment */
    METRIC_UPSTREAM_OVER_LIMIT, /* requests that were refused: by a limit, or */
    METRIC_UPSTREAM_NO_SERVER,  /* because no server could get them */
    METRIC_LOG_DROPPED,
    METRIC_COUNT
};

struct metrics {
    _Alignas(64) _Atomic uint64_t values[METRIC_COUNT];
    struct histogram upstream_connect; /* connections to servers that were made */
};

/* By the owning thread only: a plain add, no locked instruction. */
static inline void metric_add(struct metrics *metrics, enum metric which, int64_t n)
{
    counter_add(&metrics->values[which], (uint64_t)n);
}

static inline uint64_t metric_read(const struct metrics *metrics, enum metric which)
{
    return counter_read(&metrics->values[which]);
}

/* The stable snake_case name, for /status. */
const char *metric_name(enum metric which);

#endif
