/* One worker's connections to the servers of one upstream: choice, reuse, dialing.
 *
 * Lives in its worker, keyed by the upstream's name, and survives generations. Which servers there
 * are is in its backend_state: when that changes, servers are matched by name, new ones added,
 * absent ones retired (their idle connections closed, busy ones not returned). */
#ifndef UPSTREAM_POOL_H
#define UPSTREAM_POOL_H

#include "base/metric.h"
#include "http/h1_connection.h"
#include "net/dialer.h"
#include "net/proxy_protocol.h"
#include "upstream/backend_state.h"
#include "upstream/server_series.h"
#include "upstream/upstream.h"

struct pool;
struct pool_wait;
struct upstream_connection;

/* What every pool of a worker uses; borrowed. */
struct pool_env {
    struct loop *loop;
    struct backend_states *states; /* the process's */
    struct bell *bell;             /* the worker's */
    struct metrics *metrics;
    struct server_view *counters; /* what became of requests, by server */
    const struct h1_limits *response_limits;
    unsigned worker;       /* its number: where the round robin starts */
    unsigned worker_count; /* of the process */
    /* When a connection is not used again: so that servers behind a balancer in between get their
     * share, and nothing that piles up in one lasts for ever. 0: never. */
    uint64_t connection_age_ms;
    unsigned connection_uses;
};

struct pool *pool_new(const struct pool_env *env, const struct upstream_spec *spec);
/* Follows a new generation's spec, which the pool copies what it needs from. */
void pool_follow(struct pool *pool, const struct upstream_spec *spec);
/* Closes what is idle; connections and waits still out must have ended. */
void pool_free(struct pool *pool);

/* Connections out and waits; 0: pool_free is allowed. */
unsigned pool_in_use(const struct pool *pool);
/* Closes the idle ones and keeps none from now on: draining. pool_follow ends that. */
void pool_close_idle(struct pool *pool);

enum pool_failure {
    POOL_NO_SERVER,       /* none that may get anything, or all are down: 503 */
    POOL_OVER_LIMIT,      /* max_requests or max_connections: 503 */
    POOL_CONNECT_FAILED,  /* 502 */
    POOL_CONNECT_TIMEOUT, /* 504 */
    POOL_NO_MEMORY        /* 503, not the server's fault */
};

/* What a request has of its backend, over all of its asking: embedded in it, all zeroes at first.
 */
struct pool_claim {
    bool is_admitted;       /* it is one of those in flight that max_requests limits */
    uint64_t held_since_ms; /* when it was held for the first time; 0: never */
};

struct pool_ask {
    struct pool_claim *claim; /* NULL: it is not counted, and never held: a request's second leg */
    struct slice route;       /* the route's name: whom it takes turns with while it is held;
                                 borrowed as long as the wait lives */
    uint64_t connect_timeout_ms;
    unsigned max_tries; /* connections tried at most, over all servers; at least 1 */
    bool fresh;         /* no idle connection: a retry after a stale one. So is the last of several
                           tries, for nobody could make up for it */
    struct slice avoid; /* a server (its name) that just failed this request; empty: none */
    bool only_others;   /* not even when it is the only one left */
    bool again;         /* the request was counted already */
    uint16_t retry_percent; /* as pool_spend_retry takes it, for going on to the next server */
    uint64_t key;           /* of the client, where balance is by it (upstream/affinity.h) */
    uint64_t sticky_server; /* hash_fixed of the name of the one that the client belongs to: it
                               comes first if it is usable, whatever its weight; 0: none */
};

/* Asks for a connection: chooses a server (weighted round robin, exact per cycle; backups when no
 * primary is usable; one that lately failed to connect is skipped for a moment unless all have),
 * takes its newest idle connection or dials, going on to the next server when one cannot be
 * connected to. `task` is woken; ask pool_answer at once, for an idle connection is there at once.
 * Each going on is counted as a retry, and ends when the budget does; asking once more for the same
 * request is the caller's to pay and to count. Who cannot be given to any server now is held, if
 * the spec says so: until something is free, and no longer than it says. NULL when there is no
 * memory. */
struct pool_wait *pool_ask(struct pool *pool, const struct pool_ask *ask, struct task *task);
/* IO_WAIT; IO_OK: *connection is the caller's; IO_ERROR: *failure. *server is the name of the last
 * one tried (empty if none; it lives as long as the wait or the connection), *attempts how many
 * connections were tried since it was held. */
enum io pool_answer(struct pool_wait *wait, struct upstream_connection **connection,
                    enum pool_failure *failure, struct slice *server, unsigned *attempts);
/* Takes the wait, answered or not; a connection in the making goes on and becomes idle, if there
 * will be room. */
void pool_wait_end(struct pool_wait *wait);

/* Whether it has a place among the held: it waits, or is just being tried. */
bool pool_wait_is_held(const struct pool_wait *wait);
/* Whether it waits there. Only then may it be held for another route or with other times from now
 * on. False: it has to end, for the pool holds none any more. */
bool pool_wait_is_waiting(const struct pool_wait *wait);
bool pool_wait_follow(struct pool_wait *wait, const struct pool_ask *ask);

/* The request is over, or was given up: it is not in flight any more. Nothing if it was not. */
void pool_leave(struct pool *pool, struct pool_claim *claim);
/* Whether the backend may get one more try on top of its requests: at most so many percent of those
 * of the last ten seconds, or a small number whatever they are (upstream/retry_budget.h). Takes it,
 * or counts it as refused. 0xffff limits nobody, for no request gets so many tries. */
bool pool_spend_retry(struct pool *pool, unsigned percent);

/* A server got a request at that time (loop_now_us), and now has answered it, or is not waited for
 * any more because another one has. */
void pool_note_response(struct pool *pool, uint64_t sent_us);
/* When a request that is not answered should be given to a second server as well, from when the
 * first one got it; 0: not at all, be it that the spec does not say so, or that too little is known
 * yet. */
uint64_t pool_hedge_after_us(struct pool *pool);

/* The connection's http_stream for one request; `task` is woken for it. */
struct http_stream *upstream_connection_begin(struct upstream_connection *connection,
                                              struct task *task);
/* Whether its server is to be told, by a PROXY protocol header, whose connection it is: the newest
 * spec of the pool says so. Not one that has carried requests: who was held may have been given it
 * just before a reload began to say so. */
bool upstream_connection_names_client(const struct upstream_connection *connection);
/* Has it begin with that header, which leaves in one piece with the request's head; from then on it
 * is this client's, and it is closed when it is given back. Behind upstream_connection_begin. */
void upstream_connection_name_client(struct upstream_connection *connection,
                                     const struct proxy_header *client);
bool upstream_connection_is_reused(const struct upstream_connection *connection);
/* The request is out, whole: how long its server takes is counted from now on, */
void upstream_connection_note_sent(struct upstream_connection *connection);
/* until the head of an answer is there. An answer to half a request tells nothing. */
void upstream_connection_note_answered(struct upstream_connection *connection);
/* It had ended before a byte of an answer came: teaches the server's idle time, if it was reused.
 */
void upstream_connection_note_stale(struct upstream_connection *connection);
/* What `"host": "backend"` puts into Host. */
struct slice upstream_connection_host(const struct upstream_connection *connection);
/* Takes it, after its http_stream was ended: keeps it idle if its h1 state allows and the pool has
 * room, else closes it. An idle connection that says anything or closes is discarded. It is also
 * retired before the backend would close it, as far as that is known (upstream/idle_habit.h).
 * Beyond what the spec keeps, as many again stay for half a second: the end of a burst is not the
 * last one.
 */
void upstream_connection_give_back(struct upstream_connection *connection);
/* What became of the request that it was handed out for: once, before it is given back. */
void upstream_connection_count(struct upstream_connection *connection,
                               enum upstream_outcome outcome);

/* For /status. */
struct pool_status {
    unsigned requests, held; /* of all workers; the first where max_requests limits them */
};
void pool_status(const struct pool *pool, struct pool_status *status);
struct pool_server_status {
    struct slice name;
    unsigned weight, idle, busy;
    unsigned connections;   /* of all workers */
    uint64_t idle_limit_ms; /* how long one may be idle and then be used */
    bool is_backup, is_skipped;
    uint64_t requests, connect_failures, response_failures;
};
unsigned pool_server_count(const struct pool *pool);
void pool_server_status(const struct pool *pool, unsigned index, struct pool_server_status *status);
struct slice pool_name(const struct pool *pool);

#endif
