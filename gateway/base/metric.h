/* Counters and gauges of one worker: written by its thread alone, added up by whoever reads. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

enum metric {
    METRIC_CONNECTIONS_ACCEPTED,
    METRIC_CONNECTIONS_OPEN,        /* gauge: accepted sockets not yet closed */
    METRIC_CONNECTIONS_HANDSHAKING, /* gauge */
    METRIC_CONNECTIONS_IDLE,        /* gauge: between requests */
    METRIC_HANDSHAKES_DONE,
    METRIC_HANDSHAKES_RESUMED,
    METRIC_HANDSHAKES_FAILED,
    METRIC_PLAINTEXT_ON_TLS, /* plain HTTP that came to a TLS port */
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
    METRIC_LOG_DROPPED,
    METRIC_COUNT
};

struct metrics {
    _Alignas(64) _Atomic uint64_t values[METRIC_COUNT];
};

/* By the owning thread only: a plain add, no locked instruction. */
static inline void metric_add(struct metrics *metrics, enum metric which, int64_t n)
{
    uint64_t now = atomic_load_explicit(&metrics->values[which], memory_order_relaxed);
    atomic_store_explicit(&metrics->values[which], now + (uint64_t)n, memory_order_relaxed);
}

static inline uint64_t metric_read(const struct metrics *metrics, enum metric which)
{
    return atomic_load_explicit(&metrics->values[which], memory_order_relaxed);
}

/* The stable snake_case name, for /status. */
const char *metric_name(enum metric which);

#endif
