/* What a worker lends to the requests in motion on its loop. Declared here, filled by worker/. */
#ifndef PROXY_PROXY_ENV_H
#define PROXY_PROXY_ENV_H

#include "base/line_ring.h"
#include "base/metric.h"
#include "config/snapshot.h"
#include "net/loop.h"
#include "upstream/pool.h"

/* A worker's hold on one generation: requests count on it without atomics. */
struct pin {
    struct snapshot *snapshot;
    unsigned users;
    struct pool **pools;   /* by upstream index; NULL until first used */
    uint64_t *route_turns; /* by route index: how often it was taken, for splits */
};

struct exchange;

struct proxy_env {
    struct loop *loop;
    struct metrics *metrics;
    struct line_ring *access_log;
    struct buffer log_line;  /* scratch of the access log */
    struct pin *pin;         /* the newest generation; NULL before the first */
    struct h1_limits limits; /* of the newest generation; connections borrow them */
    bool is_draining;
    struct list sessions; /* all of them, by session's own node */
    unsigned session_count;
    struct exchange *spare_exchanges; /* recycled */
    unsigned spare_count;
    uint64_t random_state[2]; /* request ids */
    char date[32];            /* Date of own answers, for date_second */
    int64_t date_second;

    void *worker;
    /* The pin's last user has gone and it is not the newest any more. */
    void (*retire_pin)(void *worker, struct pin *pin);
    struct pool *(*find_pool)(void *worker, struct pin *pin, const struct upstream_spec *spec);
    /* The last session has gone. */
    void (*sessions_gone)(void *worker);
};

static inline struct pin *pin_take(struct proxy_env *env)
{
    env->pin->users++;
    return env->pin;
}

static inline void pin_drop(struct proxy_env *env, struct pin *pin)
{
    if (--pin->users == 0 && pin != env->pin)
        env->retire_pin(env->worker, pin);
}

static inline struct pool *pin_pool(struct proxy_env *env, struct pin *pin,
                                    const struct upstream_spec *spec)
{
    struct pool *pool = pin->pools[spec->index];
    return pool != NULL ? pool : env->find_pool(env->worker, pin, spec);
}

#endif
