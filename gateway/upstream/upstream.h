/* What a pool of servers should be: one entry of `backends`, or an inline target. Immutable. */
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "net/address.h"

struct server_spec {
    struct slice name; /* the address as written: how logs and metrics call it */
    struct endpoint endpoint;
    uint16_t weight; /* 0: gets nothing new */
    bool is_backup;
};

struct upstream_spec {
    struct slice name; /* unique within a generation; pools live on across generations by it */
    unsigned index;    /* 0 .. snapshot->config->upstream_count-1 */
    struct server_spec *servers;
    unsigned server_count;
    unsigned keepalive; /* idle connections kept per server and worker */
};

#endif
