/* What a worker lends to the requests in motion on its loop. Declared here, filled by worker/. */
#ifndef PROXY_PROXY_ENV_H
#define PROXY_PROXY_ENV_H

#include "base/budget.h"
#include "base/line_ring.h"
#include "base/metric.h"
#include "base/series.h"
#include "config/snapshot.h"
#include "net/jobs.h"
#include "net/loop.h"
#include "policy/policy.h"
#include "proxy/admission.h"
#include "proxy/recent.h"
#include "tls/tls_stream.h"
#include "upstream/pool.h"

/* A worker's hold on one generation: what uses it is in its lists, without atomics. Requests leave
 * it once they are routed and a newer one comes (exchange_leave_pin), so that a long body or tunnel
 * holds no generation. */
struct pin {
    struct snapshot *snapshot;
    struct list exchanges;  /* struct exchange */
    struct list handshakes; /* struct session */
};

struct exchange;
struct cache_port;

/* Buffers that a worker has for whom it serves, however little memory there is. */
enum { SMALL_BUFFERS_ASIDE = 16, LARGE_BUFFERS_ASIDE = 2 };

struct proxy_env {
    struct loop *loop;
    struct metrics *metrics;
    struct admission *admission;         /* the process's */
    struct series_view *routes;          /* of struct route_counters, by name */
    struct series_view *policy_counters; /* of struct policy_counters, by route's name */
    struct policy_env policies;          /* lent on */
    struct line_ring *access_log;
    struct budget *head_memory; /* the process's, for heads that are not complete */
    struct jobs *files;         /* reads them off the loop */
    struct tls_jobs tls_jobs;   /* what takes long in handshakes, off the loop */
    struct recent *recent;      /* NULL: requests are not remembered */
    struct slice sticky_key;    /* the process's: signs cookies of backends without one */
    struct buffer log_line;     /* scratch of the access log */
    struct pin *pin;            /* the newest generation; NULL before the first */
    struct h1_limits limits;    /* of the newest generation; connections borrow them */
    bool is_draining;
    struct list sessions; /* all of them, by session's own node */
    unsigned session_count;
    unsigned session_most;            /* at once, since many were last seen to go */
    struct list background;           /* exchanges that nobody waits for (proxy/background.h) */
    struct task nobody;               /* whom their end would wake */
    struct list cache_fills;          /* struct cache_fill */
    struct cache_port *cache_port;    /* the worker's */
    struct exchange *spare_exchanges; /* recycled */
    unsigned spare_count;
    uint64_t random_state[2]; /* request ids */
    char date[32];            /* Date of own answers, for date_second */
    int64_t date_second;

    void *worker;
    /* The pin's last user has gone and it is not the newest any more. */
    void (*retire_pin)(void *worker, struct pin *pin);
    /* Takes references that only the control thread may drop. */
    void (*retire_route)(void *worker, struct host *host, struct globals *globals);
    /* The pool for an upstream; it stays until it is dropped. */
    struct pool *(*take_pool)(void *worker, const struct upstream_spec *spec);
    void (*drop_pool)(void *worker, const struct upstream_spec *spec);
    /* How often this split was taken before, by route's name. */
    uint64_t (*next_turn)(void *worker, const struct route *route);
    /* What the newest generation says of a listener; NULL: it is gone. Borrowed until the loop's
     * next task. */
    const struct listen_spec *(*listen_spec)(void *worker, unsigned listener);
    /* The last session has gone. */
    void (*sessions_gone)(void *worker);
    /* Of many sessions most have gone. */
    void (*crowd_gone)(void *worker);
};

static inline bool pin_is_used(const struct pin *pin)
{
    return !list_is_empty(&pin->exchanges) || !list_is_empty(&pin->handshakes);
}

/* Retires it if it is over. */
static inline void pin_check(struct proxy_env *env, struct pin *pin)
{
    if (pin != env->pin && !pin_is_used(pin))
        env->retire_pin(env->worker, pin);
}

/* Takes a user out of its list. */
static inline void pin_drop(struct proxy_env *env, struct pin *pin, struct list_node *user)
{
    list_remove(user);
    pin_check(env, pin);
}

#endif
