/* Work that may block (name look-ups, files) done off the loop, on helper threads of the process.
 * The queue has no lock that a loop takes, so that it never waits for a helper that the kernel
 * keeps waiting. */
#ifndef NET_JOBS_H
#define NET_JOBS_H

#include "net/loop.h"

#include <stdatomic.h>

struct jobs; /* a queue and its helpers; shared by all loops */

enum job_state {
    JOB_QUEUED,  /* in the queue, and its loop waits for it */
    JOB_GIVEN,   /* in the queue, and nobody waits for it */
    JOB_DROPPED, /* in the queue still, but its loop waits no more: freed without any work */
    JOB_RUNNING, /* a helper has it */
    JOB_LEFT,    /* a helper has it, and its loop waits no more */
    JOB_POSTED,  /* on its way to the loop */
    JOB_DONE,
};

/* Embedded in what the work is about, which owns its question and its answer: it outlives whoever
 * asked. `state` is how a loop and a helper agree on who has it, without waiting for each other; it
 * is the asking thread's alone once it has arrived there, and `task` and `is_ended` are always. */
struct job {
    void (*work)(struct job *job);     /* on a helper; touches the job's owner and nothing else */
    void (*free_job)(struct job *job); /* any thread */
    unsigned weight;                   /* how much of the queue's room it takes; 0: one, as most */
    struct jobs *jobs;
    struct job *next; /* in the queue */
    _Atomic(enum job_state) state;
    bool is_ended; /* POSTED, and freed when it arrives */
    struct loop *loop;
    struct task *task;
    struct post post;
};

struct jobs *jobs_new(unsigned threads);
/* For what keeps a processor busy: helpers have what no other thread (of the same cgroup) wants of
 * it, and may be stopped anywhere for as long as others want it all. Who asks has to have a way of
 * its own for when it takes too long, and `work` must hold no lock that a loop takes. No more waits
 * for a helper than weighs `queue_max`, and the last one of it. */
struct jobs *jobs_new_yielding(unsigned threads, unsigned queue_max);
/* No job that was started may wait or arrive any more: all were ended, or their loops freed. Those
 * that still run are freed when they return, those that were given and wait without any work. */
void jobs_free(struct jobs *jobs);

/* Starts it, `work` and `free_job` set and the rest zeroed; `task` is woken on `loop` when it is
 * done. False when too many wait already, or no helper could be started: it is done at once without
 * any work, and the task is woken all the same. */
bool job_start(struct jobs *jobs, struct job *job, struct loop *loop, struct task *task);
/* Nobody asks what comes of it: it is worked off and freed, and `loop` and `task` are not used.
 * False, and it is still the caller's: too many wait already, or no helper could be started. Any
 * thread. */
bool job_give(struct jobs *jobs, struct job *job);
/* What waits for each helper, by weight. Any thread. */
unsigned jobs_waiting(struct jobs *jobs);
/* The asking thread's. */
bool job_is_done(struct job *job);
/* Takes it, done or not, on the asking thread. One that is running is freed after it, one that
 * waits when its turn comes, and takes its room until then. */
void job_end(struct job *job);

#endif
