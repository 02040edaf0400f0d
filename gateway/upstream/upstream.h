/* What a pool of servers should be: one entry of `backends`, or an inline target. Immutable. */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "base/arena.h"
#include "base/refcount.h"
#include "net/address.h"

struct server_spec {
    struct slice name; /* the address as written: how logs and metrics call it */
    struct endpoint endpoint;
    uint16_t weight; /* 0: gets nothing new */
    bool is_backup;
};

/* Who gets the next request: upstream/balancer.h. */
enum balance {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST_REQUESTS,
    BALANCE_RANDOM,
    BALANCE_LATENCY,
    BALANCE_HASH,
};

/* What of a request tells clients apart: `hash_on`, `split_on`. Where a request has no such field
 * or cookie, its client's address does. */
enum affinity_kind { AFFINITY_NONE, AFFINITY_IP, AFFINITY_HEADER, AFFINITY_COOKIE, AFFINITY_URI };
struct affinity {
    enum affinity_kind kind;
    struct slice name; /* of the header, lower-case, or of the cookie */
};

/* A cookie of the gateway's that leads a client back to its server. */
struct sticky_spec {
    struct slice cookie; /* its name; empty: off */
    uint64_t ttl_ms;     /* 0: as long as the client keeps it */
    struct slice key;    /* signs it; empty: one of this process */
};

struct status_range {
    uint16_t least, most;
};

/* Active checks, once a process. */
struct health_spec {
    bool is_on;
    struct slice path;   /* empty: being connected to is enough, and the four below mean nothing */
    struct slice method; /* a token: GET unless it is written */
    struct slice host;   /* Host's value; empty: what `"host": "backend"` would say */
    struct slice body;   /* to be found in the answer; empty: any will do */
    struct status_range *statuses; /* one of them holds a good answer's */
    unsigned status_count;
    uint64_t every_ms, timeout_ms;
    unsigned rise, fall; /* so many in a row change what is thought of it */
};

/* Ejection of servers by what becomes of requests. */
struct eject_spec {
    unsigned after; /* failures in a row; 0: off */
    uint64_t for_ms;
    unsigned most_percent; /* of the servers, at once */
};

/* Requests that nobody can take now wait for a moment. */
struct hold_spec {
    uint64_t for_ms; /* 0: off */
    unsigned queue;  /* so many at once in the process */
};

/* What an entry can say beside its servers, as bits of what was said. */
enum upstream_key {
    UPSTREAM_KEEPALIVE,
    UPSTREAM_PROXY_PROTOCOL,
    UPSTREAM_BALANCE,
    UPSTREAM_HASH_ON,
    UPSTREAM_STICKY,
    UPSTREAM_STICKY_TTL,
    UPSTREAM_STICKY_KEY,
    UPSTREAM_SLOW_START,
    UPSTREAM_HEALTH,
    UPSTREAM_HEALTH_HOST,
    UPSTREAM_HEALTH_STATUS,
    UPSTREAM_HEALTH_BODY,
    UPSTREAM_HEALTH_EVERY,
    UPSTREAM_HEALTH_TIMEOUT,
    UPSTREAM_HEALTH_RISE,
    UPSTREAM_HEALTH_FALL,
    UPSTREAM_EJECT,
    UPSTREAM_EJECT_AFTER,
    UPSTREAM_EJECT_FOR,
    UPSTREAM_EJECT_MAX,
    UPSTREAM_HOLD,
    UPSTREAM_HOLD_FOR,
    UPSTREAM_HOLD_QUEUE,
    UPSTREAM_MAX_CONNECTIONS,
    UPSTREAM_MAX_REQUESTS,
    UPSTREAM_MIN_IDLE,
    UPSTREAM_HEDGE,
    UPSTREAM_KEY_COUNT
};

/* One of a backend is counted and shared by the generations that say the same of it, one of a
 * policy's service belongs to the policy; one of an inline target lives in its host's arena, lives
 * and dies with its host, and is never counted. */
struct upstream_spec {
    struct refcount references;
    struct arena arena;
    struct slice name;    /* unique within a generation; pools live on across generations by it */
    uint64_t serial;      /* no two in a process's life have the same; later ones are higher */
    uint64_t fingerprint; /* of what was written; 0: inline */
    struct server_spec *servers;
    unsigned server_count;
    bool is_inline;     /* written where it is used: in a route, whose name it has, or as the
                           service that a policy asks; else of `backends` */
    uint32_t written;   /* enum upstream_key: its entry says so; else what is built in */
    unsigned keepalive; /* idle connections kept per server and worker */
    bool names_clients; /* each connection begins with a PROXY protocol header, and is used for
                               one request */
    enum balance balance;
    struct affinity hash_on; /* BALANCE_HASH */
    struct sticky_spec sticky;
    uint64_t slow_start_ms; /* in which a server that came back gets to its weight; 0: at once */
    struct health_spec health;
    struct eject_spec eject;
    struct hold_spec hold;
    unsigned max_connections; /* to each server, of all workers; 0: any number */
    unsigned max_requests;    /* in flight, of all workers; 0: any number */
    unsigned min_idle;        /* idle connections made ahead, per server and worker */
    unsigned hedge_permille;  /* 950: a request slower than 95% of them is asked a second server;
                                 0: off */
};

/* A backend's, with one reference. The name is copied. */
struct upstream_spec *upstream_new(struct slice name);
/* A policy's service, likewise. All that have the same name say the same. */
struct upstream_spec *upstream_new_service(struct slice name);
/* An inline target's, in `arena`, as the name is. */
struct upstream_spec *upstream_new_in(struct arena *arena, struct slice name);
struct upstream_spec *upstream_ref(struct upstream_spec *upstream);
void upstream_unref(struct upstream_spec *upstream);

#endif
