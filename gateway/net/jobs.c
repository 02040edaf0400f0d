#include "net/jobs.h"

#include "base/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Waiting for a helper, in the whole process; one more is turned away at once. */
enum { QUEUE_MAX = 4096 };

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t wake_helper;
    struct list queue, posted;
    unsigned queue_length;
    bool is_stopping;
    unsigned users; /* helpers and the owner: the last one out frees it */
};

/* --- the helpers -------------------------------------------------------------------------- */

static void arrive(void *owner);

/* With the lock held: what is posted under it is in the loop before job_end can return there. */
static void hand_over(struct job *job)
{
    if (job->is_detached) {
        job->free_job(job);
        return;
    }
    job->state = JOB_POSTED;
    list_push_back(&job->jobs->posted, &job->node);
    job->post.run = arrive;
    job->post.owner = job;
    loop_post(job->loop, &job->post);
}

/* Leaves with the lock, which it lets go. */
static void leave(struct jobs *jobs)
{
    bool is_last = --jobs->users == 0;
    pthread_mutex_unlock(&jobs->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&jobs->wake_helper);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

static void *help(void *argument)
{
    struct jobs *jobs = argument;
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->is_stopping) {
        struct list_node *first = list_first(&jobs->queue);
        if (first == NULL) {
            pthread_cond_wait(&jobs->wake_helper, &jobs->lock);
            continue;
        }
        struct job *job = container_of(first, struct job, node);
        list_remove(first);
        jobs->queue_length--;
        job->state = JOB_RUNNING;
        pthread_mutex_unlock(&jobs->lock);
        job->work(job);
        pthread_mutex_lock(&jobs->lock);
        hand_over(job);
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
        pthread_mutex_lock(&jobs->lock);
        jobs->users++;
        if (pthread_create(&thread, &detached, help, jobs) != 0)
            jobs->users--;
        pthread_mutex_unlock(&jobs->lock);
    }
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct jobs *jobs_new(unsigned threads)
{
    struct jobs *jobs = memory_new(sizeof(*jobs));
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->wake_helper, NULL);
    list_init(&jobs->queue);
    list_init(&jobs->posted);
    jobs->users = 1;
    start_helpers(jobs, threads);
    return jobs;
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    pthread_mutex_lock(&jobs->lock);
    assert(list_is_empty(&jobs->queue)); /* every job was ended */
    /* What a loop that has stopped never came to take. */
    list_each (&jobs->posted, node) {
        struct job *job = container_of(node, struct job, node);
        job->free_job(job);
    }
    list_init(&jobs->posted);
    jobs->is_stopping = true;
    pthread_cond_broadcast(&jobs->wake_helper);
    leave(jobs);
}

/* --- one job, on the asking thread -------------------------------------------------------- */

static void arrive(void *owner)
{
    struct job *job = owner;
    pthread_mutex_lock(&job->jobs->lock);
    bool is_detached = job->is_detached;
    list_remove(&job->node);
    job->state = JOB_DONE;
    pthread_mutex_unlock(&job->jobs->lock);
    if (is_detached)
        job->free_job(job);
    else
        loop_wake(job->loop, job->task);
}

bool job_start(struct jobs *jobs, struct job *job, struct loop *loop, struct task *task)
{
    job->jobs = jobs;
    job->loop = loop;
    job->task = task;
    pthread_mutex_lock(&jobs->lock);
    /* Without the owner: how many helpers could be started. */
    bool has_room = jobs->queue_length < QUEUE_MAX && jobs->users > 1;
    job->state = has_room ? JOB_QUEUED : JOB_DONE;
    if (has_room) {
        list_push_back(&jobs->queue, &job->node);
        jobs->queue_length++;
        pthread_cond_signal(&jobs->wake_helper);
    }
    pthread_mutex_unlock(&jobs->lock);
    if (!has_room)
        loop_wake(loop, task);
    return has_room;
}

/* `state` changes to DONE on this thread alone, to everything else on others. */
bool job_is_done(struct job *job)
{
    pthread_mutex_lock(&job->jobs->lock);
    enum job_state state = job->state;
    pthread_mutex_unlock(&job->jobs->lock);
    return state == JOB_DONE;
}

void job_end(struct job *job)
{
    struct jobs *jobs = job->jobs;
    pthread_mutex_lock(&jobs->lock);
    bool is_ours = job->state == JOB_QUEUED || job->state == JOB_DONE;
    if (job->state == JOB_QUEUED) {
        list_remove(&job->node);
        jobs->queue_length--;
    }
    job->is_detached = true;
    pthread_mutex_unlock(&jobs->lock);
    if (is_ours)
        job->free_job(job);
}
