/* A worker's bell: rung from any thread for those of its pools that something has happened to.
 *
 * Rings before the loop gets to answer become one post; each pull that was pulled is run once. */
#ifndef UPSTREAM_BELL_H
#define UPSTREAM_BELL_H

#include "base/list.h"
#include "net/loop.h"

#include <pthread.h>

struct bell {
    struct loop *loop;
    pthread_mutex_t lock;
    struct list pulled; /* the lock's, as all below */
    bool is_posted;
    struct post post;
};

/* Embedded in whom it rings for. */
struct bell_pull {
    struct bell *bell;
    struct list_node place; /* the bell's lock's */
    void (*run)(void *owner);
    void *owner;
};

void bell_init(struct bell *bell, struct loop *loop);
/* No pull of it may be left, and the loop has run for the last time. */
void bell_clear(struct bell *bell);

void bell_pull_init(struct bell_pull *pull, struct bell *bell, void (*run)(void *owner),
                    void *owner);
/* Has `run` called on the bell's loop. Any thread. */
void bell_ring(struct bell_pull *pull);
/* It is not run any more; nobody may ring it from now on. The loop's own thread. */
void bell_pull_clear(struct bell_pull *pull);

#endif
