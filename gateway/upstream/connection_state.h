/* A connection's inside, shared by its files alone: connection.c (its states, making, and use),
 * connection_idle.c (its rest between requests). */
#ifndef UPSTREAM_CONNECTION_STATE_H
#define UPSTREAM_CONNECTION_STATE_H

#include "upstream/connection.h"

enum connection_state {
    CONNECTION_NEW,
    CONNECTION_RESOLVING,  /* its server's name */
    CONNECTION_CONNECTING, /* `dial` */
    CONNECTION_MADE,       /* not yet handed out */
    CONNECTION_OUT,        /* a request's */
    CONNECTION_IDLE,
    CONNECTION_WATCHED, /* for when the server closes it; carries nothing any more */
    CONNECTION_FAILED,  /* could not be made; its claimant will see that */
    CONNECTION_CLOSED,
};

struct upstream_connection {
    enum connection_state state; /* written by connection_enter alone */
    struct server *server;
    struct task *claimant; /* who waits for it to be made; NULL: nobody */
    struct list_node node; /* in server->connections */
    struct task task;
    struct deadline deadline; /* RESOLVING, IDLE, WATCHED */
    uint64_t due_ms;          /* to be made by then; 0: no limit */
    uint64_t dialed_us;       /* when dialing began */
    uint64_t idle_since_ms;   /* IDLE, WATCHED */
    uint64_t retire_ms;       /* when it is too old; 0: never */
    unsigned moves;           /* its server's, when it was known to lead there */
    unsigned uses;            /* requests it was handed out for */
    uint64_t idle_ms;         /* how long it was idle before it was taken last */
    uint64_t sent_us;         /* since when its server owes an answer; 0: it does not */
    enum pool_failure failure;
    bool is_reused;
    bool is_known_idle; /* counted in its server's state */
    bool is_counted;    /* among its server's requests in flight */
    bool is_named;      /* a PROXY protocol header told whose it is: no other request goes there */
    struct dial *dial;
    struct stream *stream;
    struct h1_connection *http;
};

static inline struct loop *connection_loop(const struct upstream_connection *c)
{
    return c->server->shared->env.loop;
}

static inline void connection_count_event(const struct upstream_connection *c, enum metric which)
{
    metric_add(c->server->shared->env.metrics, which, 1);
}

/* Keeps its server's lists and counts in step. */
void connection_enter(struct upstream_connection *connection, enum connection_state state,
                      struct task *claimant);

/* Keeps it if there is room and it is quiet, else closes it. */
void connection_rest_or_close(struct upstream_connection *connection);
/* Something happened to one that is IDLE: it is to be retired, or the server has ended it. */
void connection_check_idle(struct upstream_connection *connection);
/* The same of one that is WATCHED. */
void connection_check_watched(struct upstream_connection *connection);

#endif
