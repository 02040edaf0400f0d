/* One server of a pool as its worker sees it: its addresses, what connecting to it taught, its
 * connections. What all workers know of it is in its `state`.
 *
 * Inside upstream/ only. What it keeps is its own copy: sets of servers are replaced. */
#ifndef UPSTREAM_SERVER_H
#define UPSTREAM_SERVER_H

#include "base/list.h"
#include "upstream/balance.h"
#include "upstream/idle_habit.h"
#include "upstream/pool.h"
#include "upstream/server_set.h"
#include "upstream/turns.h"

enum {
    SERVER_SKIP_MIN_MS = 1000, /* after a connect failure; doubles with each further one */
    SERVER_SKIP_MAX_MS = 10 * 1000,
    /* While other workers hold requests, so many in a row of its own go over the connections that a
     * worker has before it gives up one: making another costs more than a request does. */
    SERVER_REUSES_MAX = 8,
};

/* What all servers of a pool share. */
struct pool_shared {
    struct pool_env env;
    const char *name; /* the pool's */
    struct backend_state *backend;
    struct eject_spec eject;
    uint64_t slow_start_ms;
    struct warm_up *warm_up;  /* the pool's */
    unsigned keepalive;       /* idle connections per server; 0 while draining */
    unsigned out_count;       /* connections that were handed out */
    bool names_clients;       /* each connection is one client's */
    bool counts_requests;     /* those in flight, in server_state: somebody goes by them */
    unsigned max_connections; /* to each server, of all workers; 0: any number */
    struct worker_turn turn;  /* among the workers that hold requests */
    unsigned reuses;          /* SERVER_REUSES_MAX */
};

/* What a connection does for its server. */
enum connection_use {
    USE_IDLE,
    USE_BUSY,      /* handed out, or being made for somebody */
    USE_UNCLAIMED, /* being made for nobody any more: will be idle */
    USE_WATCHED,   /* never used again: shows when the server closes it */
    USE_COUNT
};

struct server {
    struct pool_shared *shared;
    struct server_state *state; /* a reference */
    char *host;
    bool is_retired;
    bool is_on_trial;    /* a held request tries it although it is not usable */
    unsigned references; /* the pool's list, each connection, each wait that tries it */

    struct share share; /* the balancer's */

    /* what connecting taught */
    uint64_t skip_ms;   /* how long it is skipped after its last failure; 0: none */
    uint64_t failed_ms; /* when that failure was counted */
    uint64_t skip_until_ms;
    uint64_t requests, connect_failures, response_failures;
    _Atomic uint64_t *counters; /* by outcome; NULL: nothing was counted yet */

    enum addresses_known known;
    struct address *addresses; /* the one that worked last comes first */
    int address_count;
    unsigned moves; /* how often it has lost one */

    struct deadline back; /* the end of an ejection that this worker has seen coming */
    struct task task;     /* for that; buries it */
    struct idle_habit idle_habit;
    struct list connections[USE_COUNT]; /* newest first */
    unsigned connection_count[USE_COUNT];
};

/* One reference is the caller's. */
struct server *server_new(struct pool_shared *shared, const struct set_server *from);
/* What it keeps is what a newer set says of it; who waits for an address is woken. */
void server_follow(struct server *server, const struct set_server *from);
void server_ref(struct server *server);
/* The last one ends it; it has no connection any more. */
void server_unref(struct server *server);

static inline const char *server_name(const struct server *server)
{
    return server->state->name;
}

/* Whether it may get a request now, as far as anybody knows. */
bool server_is_usable(const struct server *server);
/* Its weight times 256; less while it starts slowly, but never 0 unless its weight is. */
uint32_t server_weight_now(const struct server *server);

/* Whether a request could be sent to it within max_connections: over one more connection, or over
 * one that is idle here. */
bool server_has_room(const struct server *server);
/* Takes the room for one more connection. Exact, whatever other workers do. False: there is none.
 */
bool server_take_room(struct server *server);
/* If need be that of an idle one, which is closed. */
bool server_make_room(struct server *server);
void server_give_room(struct server *server);
/* Whether a connection that is to become idle is to go instead: there are more than may be, or
 * another worker waits for its room. */
bool server_lacks_room_for_idle(struct server *server);
/* Closes the idle ones for which that is so already. */
void server_close_surplus(struct server *server);

/* What became of one request's try with it. */
void server_count(struct server *server, enum upstream_outcome outcome);

bool server_is_skipped(const struct server *server);
/* It was chosen. Once its time of being skipped is over, the one that chose it tries it and others
 * go on skipping it for another such time, or until that has succeeded. */
void server_note_chosen(struct server *server);
void server_note_connected(struct server *server, int address_index);
void server_note_unreachable(struct server *server);

#endif
