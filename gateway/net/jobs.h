/* Work that may block (name look-ups, files) done off the loop, on helper threads of the process.
 */
#ifndef NET_JOBS_H
#define NET_JOBS_H

#include "base/list.h"
#include "net/loop.h"

struct jobs; /* a queue and its helpers; shared by all loops */

enum job_state {
    JOB_QUEUED,  /* in the queue */
    JOB_RUNNING, /* a helper has it */
    JOB_POSTED,  /* on its way to the loop, and in the list of those */
    JOB_DONE,
};

/* Embedded in what the work is about, which owns its question and its answer: it outlives whoever
 * asked. `state` and `is_detached` are the queue's lock's until the job is done; from then on, as
 * `task` always, they are the asking thread's alone. */
struct job {
    void (*work)(struct job *job);     /* on a helper; touches the job's owner and nothing else */
    void (*free_job)(struct job *job); /* any thread */
    unsigned weight;                   /* how much of the queue's room it takes; 0: one, as most */
    struct jobs *jobs;
    struct list_node node; /* QUEUED, POSTED */
    enum job_state state;
    bool is_detached; /* nobody asks any more: whoever has the job frees it */
    struct loop *loop;
    struct task *task;
    struct post post;
};

struct jobs *jobs_new(unsigned threads);
/* For what keeps a processor busy: loops on the same processor go first, and no more waits
 * for a helper than weighs `queue_max`, and the last one of it. */
struct jobs *jobs_new_yielding(unsigned threads, unsigned queue_max);
/* After every loop that asked has stopped; jobs that still run are freed when they return, those
 * that were given and wait are freed without any work. */
void jobs_free(struct jobs *jobs);

/* Starts it, `work` and `free_job` set and the rest zeroed; `task` is woken on `loop` when it is
 * done. False when too many wait already, or no helper could be started: it is done at once without
 * any work, and the task is woken all the same. */
bool job_start(struct jobs *jobs, struct job *job, struct loop *loop, struct task *task);
/* Nobody asks what comes of it: it is worked off and freed, and `loop` and `task` are not used.
 * False, and it is still the caller's: too many wait already, or no helper could be started. Any
 * thread. */
bool job_give(struct jobs *jobs, struct job *job);
/* The asking thread's. */
bool job_is_done(struct job *job);
/* Takes it, done or not; one that is running is freed after it. */
void job_end(struct job *job);

#endif
