/* One server of a pool as it is: its addresses, what connecting to it taught, its connections.
 *
 * Inside upstream/ only. What it keeps is its own copy: specs go away with their generation. */
#ifndef UPSTREAM_SERVER_H
#define UPSTREAM_SERVER_H

#include "base/list.h"
#include "upstream/idle_habit.h"
#include "upstream/pool.h"

enum {
    SERVER_SKIP_MIN_MS = 1000, /* after a connect failure; doubles with each further one */
    SERVER_SKIP_MAX_MS = 10 * 1000,
    SERVER_ADDRESS_AGE_MS = 10 * 1000, /* then a name that is used is looked up again */
    SERVER_UNKNOWN_AGE_MS = 1000,      /* the same for a name that has no address yet */
};

/* What all servers of a pool share. */
struct pool_shared {
    struct pool_env env;
    const char *name;   /* the pool's */
    unsigned keepalive; /* idle connections per server; 0 while draining */
    unsigned out_count; /* connections that were handed out */
    bool names_clients; /* each connection is one client's */
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
    char *name;
    char *host;
    bool is_retired;
    unsigned references; /* the pool's list, each connection, each wait that tries it */

    /* the balancer's */
    uint16_t weight;
    bool is_backup;
    int64_t turn;

    /* what connecting taught */
    uint64_t skip_ms;   /* how long it is skipped after its last failure; 0: none */
    uint64_t failed_ms; /* when that failure was counted */
    uint64_t skip_until_ms;
    uint64_t requests, connect_failures, response_failures;
    _Atomic uint64_t *counters; /* by outcome; NULL: nothing was counted yet */

    /* where it is; a name is looked up by `lookup`, whose answer wakes `task` */
    char *lookup_name; /* NULL: the address never changes */
    uint16_t port;
    struct address *addresses; /* the one that worked last comes first */
    int address_count;
    uint64_t answered_ms;  /* when the last look-up ended */
    unsigned answer_count; /* look-ups that have ended */
    struct lookup *lookup;
    struct task task;

    struct idle_habit idle_habit;
    struct list connections[USE_COUNT]; /* newest first */
    unsigned connection_count[USE_COUNT];
};

/* One reference is the caller's. */
struct server *server_new(struct pool_shared *shared, const struct server_spec *spec);
void server_ref(struct server *server);
/* The last one ends it; it has no connection any more. */
void server_unref(struct server *server);

/* Starts a look-up where one is due. IO_OK: an address is known, maybe an old one. IO_WAIT: the
 * answer will wake those that resolve. IO_ERROR: there was none a moment ago. */
enum io server_find_addresses(struct server *server);

/* What became of one request's try with it. */
void server_count(struct server *server, enum upstream_outcome outcome);

bool server_is_skipped(const struct server *server);
/* It was chosen. Once its time of being skipped is over, the one that chose it tries it and others
 * go on skipping it for another such time, or until that has succeeded. */
void server_note_chosen(struct server *server);
void server_note_connected(struct server *server, int address_index);
void server_note_unreachable(struct server *server);

#endif
