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
    struct jobs *jobs;
    struct list_node node; /* QUEUED, POSTED */
    enum job_state state;
    bool is_detached; /* nobody asks any more: whoever has the job frees it */
    struct loop *loop;
    struct task *task;
    struct post post;
};

struct jobs *jobs_new(unsigned threads);
/* After every loop that asked has stopped; jobs that still run are freed when they return. */
void jobs_free(struct jobs *jobs);

/* Starts it, `work` and `free_job` set and the rest zeroed; `task` is woken on `loop` when it is
 * done. False when too many wait already, or no helper could be started: it is done at once without
 * any work, and the task is woken all the same. */
bool job_start(struct jobs *jobs, struct job *job, struct loop *loop, struct task *task);
/* The asking thread's. */
bool job_is_done(struct job *job);
/* Takes it, done or not; one that is running is freed after it. */
void job_end(struct job *job);

#endif
