/* Keeps `min_idle` connections ready to each server of a pool, before anybody asks for them.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_WARM_UP_H
#define UPSTREAM_WARM_UP_H

#include "upstream/server.h"

enum {
    WARM_UP_CONNECT_MS = 3 * 1000,
    WARM_UP_PAUSE_MS = 100,  /* between two looks: a server that closes what is idle at once is not
                                dialed without end */
    WARM_UP_RETRY_MS = 1000, /* for servers that are down */
};

struct warm_up {
    struct loop *loop;
    unsigned min_idle;       /* 0: off */
    struct server **servers; /* the pool's */
    unsigned count;
    struct task task;
    struct deadline due;
};

void warm_up_init(struct warm_up *warm_up, struct loop *loop);
/* From now on so many, to these; borrowed until it is told of others. */
void warm_up_follow(struct warm_up *warm_up, unsigned min_idle, struct server **servers,
                    unsigned count);
/* There may be one idle connection less. */
void warm_up_note_gone(struct warm_up *warm_up);
/* Ends it. */
void warm_up_clear(struct warm_up *warm_up);

#endif
