#include "net/jobs.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Waiting for a helper, in the whole process; one more is turned away at once. */
enum { QUEUE_MAX = 4096 };

struct jobs {
    _Atomic(struct job *) newest; /* pushed by loops, not yet taken over by a helper */
    sem_t pushed;                 /* one for each that was, and one a helper to stop it */
    atomic_uint weight;           /* of all that are queued */
    atomic_uint dropped;          /* of those whose loops wait no more */
    atomic_uint users;            /* helpers and the owner: the last one out frees it */
    atomic_bool is_stopping;
    unsigned queue_max, threads;
    bool is_yielding;
    pthread_mutex_t lock;       /* of `oldest`: among helpers, and the owner at the end */
    struct job *oldest;         /* taken over, in order */
    _Atomic(struct job *) dead; /* that helpers who yield had better not free: see bury */
};

/* --- the queue ------------------------------------------------------------------------------- */

static unsigned weight_of(const struct job *job)
{
    return job->weight > 0 ? job->weight : 1;
}

static void push_onto(_Atomic(struct job *) *stack, struct job *job)
{
    struct job *newest = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        job->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(stack, &newest, job, memory_order_release,
                                                    memory_order_relaxed));
}

static bool push(struct jobs *jobs, struct job *job, enum job_state state)
{
    /* Another loop's may come at the same time: then each has room, and a little more waits. */
    if (jobs->threads == 0 || atomic_load(&jobs->weight) >= jobs->queue_max) {
        atomic_init(&job->state, JOB_DONE);
        return false;
    }
    job->jobs = jobs;
    atomic_init(&job->state, state);
    atomic_fetch_add(&jobs->weight, weight_of(job));
    push_onto(&jobs->newest, job);
    sem_post(&jobs->pushed);
    return true;
}

/* The one that has waited longest; NULL: none. */
static struct job *pull(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    if (jobs->oldest == NULL) {
        struct job *newest = atomic_exchange_explicit(&jobs->newest, NULL, memory_order_acquire);
        while (newest != NULL) {
            struct job *next = newest->next;
            newest->next = jobs->oldest;
            jobs->oldest = newest;
            newest = next;
        }
    }
    struct job *job = jobs->oldest;
    if (job != NULL)
        jobs->oldest = job->next;
    pthread_mutex_unlock(&jobs->lock);
    if (job != NULL)
        atomic_fetch_sub(&jobs->weight, weight_of(job));
    return job;
}

/* Between a loop, which ends it, and a helper, which takes it and is done with it: who is first has
 * his way. */
static bool change(struct job *job, enum job_state from, enum job_state to)
{
    return atomic_compare_exchange_strong(&job->state, &from, to);
}

/* --- the dead -------------------------------------------------------------------------------- */

/* By a helper. Its memory is a loop's thread's, whose allocator has a lock: a helper that yields
 * and is stopped while it holds that stops the loop. The loop that has the next job frees it. */
static void bury(struct jobs *jobs, struct job *job)
{
    if (jobs->is_yielding)
        push_onto(&jobs->dead, job);
    else
        job->free_job(job);
}

static void free_dead(struct jobs *jobs)
{
    if (atomic_load_explicit(&jobs->dead, memory_order_relaxed) == NULL)
        return;
    struct job *dead = atomic_exchange_explicit(&jobs->dead, NULL, memory_order_acquire);
    while (dead != NULL) {
        struct job *next = dead->next;
        dead->free_job(dead);
        dead = next;
    }
}

/* --- the helpers -------------------------------------------------------------------------- */

static void leave(struct jobs *jobs)
{
    if (atomic_fetch_sub(&jobs->users, 1) > 1)
        return;
    free_dead(jobs);
    pthread_mutex_destroy(&jobs->lock);
    sem_destroy(&jobs->pushed);
    free(jobs);
}

/* Any loop that is woken on the same processor goes first, and at once: half a millisecond of work
 * is less than the kernel's slice, within which it would not interrupt a thread like others,
 * however low its priority, before the next tick. What the kernel does not know of this it refuses;
 * then helpers are threads like others. */
static void give_way(void)
{
    const struct sched_param none = {0};

    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
        log_event(LOG_DEBUG, "jobs", "helpers cannot be told to give way: %s", strerror(errno));
}

/* Whose loop ended it meanwhile has nobody to go to. */
static void run(struct jobs *jobs, struct job *job)
{
    bool is_asked_for = change(job, JOB_QUEUED, JOB_RUNNING);

    if (is_asked_for || change(job, JOB_GIVEN, JOB_LEFT))
        job->work(job);
    else
        atomic_fetch_sub(&jobs->dropped, weight_of(job));
    if (is_asked_for && change(job, JOB_RUNNING, JOB_POSTED))
        loop_post_expected(job->loop, &job->post, jobs->is_yielding);
    else
        bury(jobs, job);
}

static void *help(void *argument)
{
    struct jobs *jobs = argument;

    if (jobs->is_yielding)
        give_way();
    for (;;) {
        while (sem_wait(&jobs->pushed) != 0)
            continue;
        if (atomic_load(&jobs->is_stopping))
            break;
        struct job *job = pull(jobs);
        if (job != NULL)
            run(jobs, job);
    }
    leave(jobs);
    return NULL;
}

/* Signals are for the thread that waits for them. */
static void start_helpers(struct jobs *jobs, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        atomic_fetch_add(&jobs->users, 1);
        if (pthread_create(&thread, &detached, help, jobs) == 0)
            jobs->threads++;
        else
            atomic_fetch_sub(&jobs->users, 1);
    }
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static struct jobs *make(unsigned threads, unsigned queue_max, bool is_yielding)
{
    struct jobs *jobs = memory_new(sizeof(*jobs));
    pthread_mutex_init(&jobs->lock, NULL);
    sem_init(&jobs->pushed, 0, 0);
    atomic_init(&jobs->users, 1);
    jobs->queue_max = queue_max;
    jobs->is_yielding = is_yielding;
    start_helpers(jobs, threads);
    return jobs;
}

struct jobs *jobs_new(unsigned threads)
{
    return make(threads, QUEUE_MAX, false);
}

struct jobs *jobs_new_yielding(unsigned threads, unsigned queue_max)
{
    return make(threads, queue_max, true);
}

unsigned jobs_waiting(struct jobs *jobs)
{
    /* The one before the other, so that there is no less than nothing. */
    unsigned dropped = atomic_load(&jobs->dropped), weight = atomic_load(&jobs->weight);

    return jobs->threads > 0 && weight > dropped ? (weight - dropped) / jobs->threads : 0;
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    atomic_store(&jobs->is_stopping, true);
    for (unsigned i = 0; i < jobs->threads; i++)
        sem_post(&jobs->pushed);
    for (struct job *job = pull(jobs); job != NULL; job = pull(jobs)) {
        assert(atomic_load(&job->state) != JOB_QUEUED); /* each was given, or has been ended */
        job->free_job(job);
    }
    leave(jobs);
}

/* --- one job, on the asking thread -------------------------------------------------------- */

static void arrive(void *owner)
{
    struct job *job = owner;

    atomic_store(&job->state, JOB_DONE);
    if (job->is_ended)
        job->free_job(job);
    else
        loop_wake(job->loop, job->task);
}

/* Its loop has stopped before it arrived. */
static void drop(void *owner)
{
    struct job *job = owner;

    job->free_job(job);
}

bool job_start(struct jobs *jobs, struct job *job, struct loop *loop, struct task *task)
{
    free_dead(jobs);
    job->loop = loop;
    job->task = task;
    job->post = (struct post){.run = arrive, .drop = drop, .owner = job};
    loop_expect(loop, &job->post);
    if (push(jobs, job, JOB_QUEUED))
        return true;
    loop_forget(loop, &job->post);
    loop_wake(loop, task);
    return false;
}

bool job_give(struct jobs *jobs, struct job *job)
{
    return push(jobs, job, JOB_GIVEN);
}

bool job_is_done(struct job *job)
{
    return atomic_load(&job->state) == JOB_DONE;
}

void job_end(struct job *job)
{
    if (job_is_done(job)) {
        job->free_job(job);
        return;
    }
    struct jobs *jobs = job->jobs;
    unsigned weight = weight_of(job);
    /* A helper that has it next may free it at once. */
    loop_forget(job->loop, &job->post);
    if (change(job, JOB_QUEUED, JOB_DROPPED)) {
        atomic_fetch_add(&jobs->dropped, weight);
        return;
    }
    if (change(job, JOB_RUNNING, JOB_LEFT))
        return;
    loop_expect(job->loop, &job->post); /* it is on its way */
    job->is_ended = true;
}
