/* Who waits for something of the cache, and how they are woken across threads.
 *
 * A worker has one port; each who may wait has a waiter in it, for one thing at a time. Whoever
 * brings what is waited for moves the waiter to its port, under the port's lock; what gathers there
 * before the loop gets to it is one post. */
#ifndef POLICY_CACHE_PORT_H
#define POLICY_CACHE_PORT_H

#include "base/list.h"
#include "net/loop.h"

#include <pthread.h>

struct cache_shard;
struct cache_fetch;

struct cache_port {
    struct loop *loop;
    pthread_mutex_t lock;
    struct list woken; /* the lock's, as is_posted */
    bool is_posted;
    struct post post;
};

void cache_port_init(struct cache_port *port, struct loop *loop);
/* No waiter of it waits, and the loop has run for the last time. */
void cache_port_clear(struct cache_port *port);

enum cache_waiting {
    WAITER_IDLE,
    WAITER_WAITS, /* in a list of its shard's */
    WAITER_WOKEN, /* in its port's list: the task is woken once the loop gets to it */
};

/* Embedded; its functions are its loop's own thread's. */
struct cache_waiter {
    struct cache_port *port;
    struct task *task;
    struct cache_shard *shard; /* whose lock `place` is under while it waits; NULL: idle */
    struct cache_fetch *fetch; /* WAITS: that counts it; NULL: it waits for bytes */
    struct list_node place;
    enum cache_waiting state; /* WAITS: the shard's lock's; WOKEN: the port's */
    unsigned disappointments; /* so many fetches failed that it waited for */
};

/* The task is woken on the port's loop, once for each wait. */
void cache_waiter_init(struct cache_waiter *waiter, struct cache_port *port, struct task *task);
/* It waits for nothing any more: its task is not woken by it, and its memory may go. Also when it
 * does not wait; it may wait again. */
void cache_waiter_cancel(struct cache_waiter *waiter);

#endif
