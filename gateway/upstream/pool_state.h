/* The pool's inside, shared by its files alone: pool.c (the servers, what is known of all of them),
 * pool_wait.c (one request's asking), pool_hold.c (limits, and who waits for what they leave free).
 */
#ifndef UPSTREAM_POOL_STATE_H
#define UPSTREAM_POOL_STATE_H

#include "upstream/balancer.h"
#include "upstream/hold.h"
#include "upstream/pool.h"
#include "upstream/response_times.h"
#include "upstream/retry_budget.h"
#include "upstream/warm_up.h"

struct pool {
    struct pool_shared shared;
    struct balancer balancer;
    char *name;
    struct backend_state *state; /* taken */
    uint64_t serial;             /* of the spec that it follows */
    struct backend_pull pull;
    struct warm_up warm_up;
    struct list awaiting; /* waits of which no server was there to be asked yet */
    bool is_awaited;      /* there may be more servers: a name is looked up for the first time */
    struct server **servers;
    unsigned server_count;
    uint64_t picks;
    struct retry_budget budget;
    unsigned hedge_permille;
    struct response_times *times; /* NULL: nobody asks for them */
    unsigned wait_count;
    struct pool_wait *spare_waits;
    unsigned spare_count;

    unsigned max_requests;
    struct hold_spec limits; /* of what is held */
    bool knows_down;         /* something says which servers are down: that is no bad gateway */
    struct hold hold;        /* waits in WAIT_HELD */
    struct task task;        /* tends them */
    struct deadline trial;   /* when servers that are down are tried next, while there are some */
    bool has_put_back;       /* a request that was held was given to a server, and came back */
};

enum pool_wait_state {
    WAIT_TRYING,   /* `connection` is being made, or made */
    WAIT_AWAITING, /* no server is known yet, but names are being looked up */
    WAIT_HELD,     /* for something to become free */
    WAIT_OVER,     /* a connection was handed out, or `failure` says why not */
};

/* One request's asking. It has no task of its own: the asker's is woken by the connection that is
 * being made, and goes on with the next server when it asks again. */
struct pool_wait {
    struct pool *pool;
    struct task *task;
    enum pool_wait_state state; /* written by pool_wait_enter alone */
    struct pool_claim *claim;   /* NULL: neither counted nor held */
    uint64_t connect_timeout_ms;
    unsigned max_tries, tries; /* since it was held, if it was */
    bool is_fresh;
    uint64_t key, sticky_server; /* of the ask */
    uint16_t retry_percent;
    bool is_trial;       /* `server` is not usable: it is tried for those that are held */
    bool has_place;      /* in the queue of those that are held; until it is over */
    bool found_all_down; /* no server was usable when it was tried with the first one */
    struct balancer_history history;
    struct server *server;                  /* tried last; NULL: none yet */
    struct upstream_connection *connection; /* being made, or made; NULL: none */
    enum pool_failure failure;
    struct held held;
    struct list_node place;   /* in the pool's `awaiting`; not there: to look again */
    struct deadline deadline; /* of awaiting, or of being held */
    struct pool_wait *next_spare;
};

static inline unsigned pool_ask_tries(const struct pool_ask *ask,
                                      const struct balancer_history *history)
{
    unsigned room = BALANCER_TRIES_MAX - history->tried_count;

    assert(ask->max_tries >= 1);
    return ask->max_tries < room ? ask->max_tries : room;
}

/* Keeps the lists that it is in in step. Who is to be held is in a lane already. */
void pool_wait_enter(struct pool_wait *wait, enum pool_wait_state state);
void pool_wait_fail(struct pool_wait *wait, enum pool_failure failure);

/* What came of looking for a server. */
enum pool_try {
    TRY_BEGUN,   /* WAIT_TRYING */
    TRY_NO_ROOM, /* a limit is reached */
    TRY_NOBODY,  /* none is left that may be tried */
    TRY_OVER,    /* WAIT_OVER: no memory */
};
/* Admits it, if it is not yet, and starts a try with the server that the balancer picks. */
enum pool_try pool_try_next(struct pool_wait *wait);
/* Starts one with this server; the request is admitted. Never TRY_NOBODY. */
enum pool_try pool_try_with(struct pool_wait *wait, struct server *server);
/* Its try has ended. */
void pool_end_trial(struct pool_wait *wait);
void pool_clear_spare_waits(struct pool *pool);

void pool_hold_init(struct pool *pool);
void pool_hold_clear(struct pool *pool);
/* The spec is another one. */
void pool_hold_follow(struct pool *pool, const struct upstream_spec *spec);
/* The servers are others, or in another state. */
void pool_hold_look_again(struct pool *pool);

/* Whether there is room for it among max_requests. */
bool pool_may_admit(const struct pool_wait *wait);
/* Takes it, exactly: it is one of those in flight from now on. */
bool pool_admit(struct pool_wait *wait);
/* Whether it would be held if nobody could take it. */
bool pool_may_hold(const struct pool_wait *wait);
/* Others were there before: it is not its turn. */
bool pool_must_queue(const struct pool_wait *wait);
/* Nobody can take it now, for that reason: it is held, at the place that it had if it was held
 * before, or it is over. */
void pool_hold_or_fail(struct pool_wait *wait, enum pool_try why);
/* It was held for as long as it may be. */
void pool_end_hold(struct pool_wait *wait);

#endif
