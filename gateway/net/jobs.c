#include "net/jobs.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Waiting for a helper, in the whole process; one more is turned away at once. */
enum { QUEUE_MAX = 4096 };

enum { NICE_YIELDING = 10, SLICE_YIELDING_NS = 100 * 1000 * 1000 };

/* What the kernel calls sched_attr; its header and the C library's exclude each other. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t wake_helper;
    struct list queue, posted;
    unsigned queue_weight, queue_max;
    bool is_yielding, is_stopping;
    unsigned users; /* helpers and the owner: the last one out frees it */
};

/* --- the queue, with the lock held ------------------------------------------------------------ */

static unsigned weight_of(const struct job *job)
{
    return job->weight > 0 ? job->weight : 1;
}

static void leave_queue(struct job *job)
{
    list_remove(&job->node);
    job->jobs->queue_weight -= weight_of(job);
}

/* --- the helpers -------------------------------------------------------------------------- */

static void arrive(void *owner);

/* With the lock held: what is posted under it is in the loop before job_end can return there. It is
 * let go for a moment where nobody asks: what the job's owner does then is its own matter. */
static void hand_over(struct job *job)
{
    struct jobs *jobs = job->jobs;

    if (job->is_detached) {
        pthread_mutex_unlock(&jobs->lock);
        job->free_job(job);
        pthread_mutex_lock(&jobs->lock);
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

/* Loops on the same processor go first, and at once: half a millisecond of work is less than the
 * kernel's slice, within which it would not be interrupted for them. A tenth of a processor that
 * they leave nothing of remains. What the kernel does not know of this it ignores or refuses; then
 * helpers are threads like others. */
static void give_way(void)
{
    struct scheduling wish = {
        .size = sizeof(wish),
        .policy = SCHED_BATCH, /* never in the way of who is woken */
        .nice = NICE_YIELDING,
        .runtime = SLICE_YIELDING_NS, /* Linux 6.12: shorter slices come first */
    };

    if (syscall(SYS_sched_setattr, 0, &wish, 0) != 0)
        log_event(LOG_DEBUG, "jobs", "helpers cannot be told to give way: %s", strerror(errno));
}

static void *help(void *argument)
{
    struct jobs *jobs = argument;
    if (jobs->is_yielding)
        give_way();
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->is_stopping) {
        struct list_node *first = list_first(&jobs->queue);
        if (first == NULL) {
            pthread_cond_wait(&jobs->wake_helper, &jobs->lock);
            continue;
        }
        struct job *job = container_of(first, struct job, node);
        leave_queue(job);
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

static struct jobs *make(unsigned threads, unsigned queue_max, bool is_yielding)
{
    struct jobs *jobs = memory_new(sizeof(*jobs));
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->wake_helper, NULL);
    list_init(&jobs->queue);
    list_init(&jobs->posted);
    jobs->users = 1;
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

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    struct list left;
    list_init(&left);
    pthread_mutex_lock(&jobs->lock);
    list_each (&jobs->queue, queued) {
        assert(container_of(queued, struct job, node)->is_detached); /* all others were ended */
        list_remove(queued);
        list_push_back(&left, queued);
    }
    /* What a loop that has stopped never came to take. */
    list_each (&jobs->posted, node) {
        struct job *job = container_of(node, struct job, node);
        job->free_job(job);
    }
    list_init(&jobs->posted);
    jobs->is_stopping = true;
    pthread_cond_broadcast(&jobs->wake_helper);
    leave(jobs);
    list_each (&left, dropped) {
        struct job *job = container_of(dropped, struct job, node);
        list_remove(dropped);
        job->free_job(job);
    }
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

static bool queue(struct jobs *jobs, struct job *job, bool is_detached)
{
    job->jobs = jobs;
    job->is_detached = is_detached;
    pthread_mutex_lock(&jobs->lock);
    /* Without the owner: how many helpers could be started. */
    bool has_room = jobs->queue_weight < jobs->queue_max && jobs->users > 1;
    job->state = has_room ? JOB_QUEUED : JOB_DONE;
    if (has_room) {
        list_push_back(&jobs->queue, &job->node);
        jobs->queue_weight += weight_of(job);
        pthread_cond_signal(&jobs->wake_helper);
    }
    pthread_mutex_unlock(&jobs->lock);
    return has_room;
}

bool job_start(struct jobs *jobs, struct job *job, struct loop *loop, struct task *task)
{
    job->loop = loop;
    job->task = task;
    if (queue(jobs, job, false))
        return true;
    loop_wake(loop, task);
    return false;
}

bool job_give(struct jobs *jobs, struct job *job)
{
    return queue(jobs, job, true);
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
    if (job->state == JOB_QUEUED)
        leave_queue(job);
    job->is_detached = true;
    pthread_mutex_unlock(&jobs->lock);
    if (is_ours)
        job->free_job(job);
}
