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

/* One of a backend is counted and shared by the generations that say the same of it; one of an
 * inline target lives in its host's arena, lives and dies with its host, and is never counted. */
struct upstream_spec {
    struct refcount references;
    struct arena arena;
    struct slice name;    /* unique within a generation; pools live on across generations by it */
    uint64_t serial;      /* no two in a process's life have the same */
    uint64_t fingerprint; /* of what was written; 0: inline */
    struct server_spec *servers;
    unsigned server_count;
    bool is_inline;         /* written in a route, whose name it has; else of `backends` */
    unsigned keepalive;     /* idle connections kept per server and worker */
    bool has_own_keepalive; /* its entry says so; else what is built in */
    bool names_clients;     /* each connection begins with a PROXY protocol header, and is used for
                               one request */
};

/* A backend's, with one reference. The name is copied. */
struct upstream_spec *upstream_new(struct slice name);
/* An inline target's, in `arena`, as the name is. */
struct upstream_spec *upstream_new_in(struct arena *arena, struct slice name);
struct upstream_spec *upstream_ref(struct upstream_spec *upstream);
void upstream_unref(struct upstream_spec *upstream);

#endif
