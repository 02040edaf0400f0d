/* Whose turn it is, among the workers that hold requests for one backend.
 *
 * When something becomes free, one worker is called: it serves one of the requests that it holds,
 * goes to the end of the queue of workers, and if there is more has the next one called. One that
 * could do nothing with it keeps its place, has the next one called as well, and is not called
 * again before something else becomes free.
 *
 * Nobody sleeps beside what is free: who frees something does so first and then looks whether
 * anybody waits; who waits says so first and then looks whether something is free. One of both sees
 * the other.
 *
 * Inside upstream/ only. The lock is taken only while requests are held. */
#ifndef UPSTREAM_TURNS_H
#define UPSTREAM_TURNS_H

#include "net/loop.h"
#include "upstream/bell.h"

/* One a backend, of the process. */
struct turns {
    _Atomic unsigned places;  /* in the queue that are taken: by who waits, or is being tried */
    _Atomic unsigned waiting; /* requests that wait */
    pthread_mutex_t lock;
    struct list members; /* struct worker_turn: of all pools */
    struct list queue;   /* of those with requests that wait; the first one is next */
    uint64_t event;      /* the number of the last time that something became free */
};

/* A pool's part in it. */
struct worker_turn {
    struct turns *turns;
    struct loop *loop;
    struct task *task;     /* the pool's: woken when it is called */
    unsigned places;       /* of its requests, as is the next; its own thread's */
    unsigned waiting;      /* above 0: it is in the queue */
    struct bell_pull pull; /* the rest is the lock's */
    struct list_node member_place, place;
    uint64_t failed_event; /* could do nothing with this one */
};

void turns_init(struct turns *turns);
/* No turn of it may be left. */
void turns_clear(struct turns *turns);

void turn_init(struct worker_turn *turn, struct turns *turns, struct bell *bell, struct loop *loop,
               struct task *task);
/* It waits no more, and is not called any more. */
void turn_clear(struct worker_turn *turn);

/* The rest is for the pool's own thread. */

/* A place in the queue of all workers, of which there are so many; false: none is left. */
bool turn_take_place(struct worker_turn *turn, unsigned most);
void turn_give_place(struct worker_turn *turn);

/* One more request waits, or one less. */
void turn_begin_wait(struct worker_turn *turn);
void turn_end_wait(struct worker_turn *turn);
/* Whether any waits; whether any of the other workers' does. */
bool turn_somebody_waits(const struct worker_turn *turn);
bool turn_others_wait(const struct worker_turn *turn);

/* Something is free: calls who is next. */
void turn_note_free(struct worker_turn *turn);
/* To be read before the pool looks for what is free, and told with what came of it. */
uint64_t turn_event(struct worker_turn *turn);
/* The pool was called, or looked by itself, and has served one: the next one is called if there is
 * more. */
void turn_pass(struct worker_turn *turn, bool is_more_free);
/* It could serve none with what had become free by then: who can? True if that was so by now, and
 * it is not merely asked again. */
bool turn_fail(struct worker_turn *turn, uint64_t event);
/* Has all the other pools run, waiting or not: to give up what they only keep for later. */
void turn_call_others(struct worker_turn *turn);

#endif
