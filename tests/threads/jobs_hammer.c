/* Threads with loops that come and go, each of which has jobs done by the same helpers and ends
 * them at any moment: while they wait, are worked on, are on their way, or have arrived; some loops
 * end with jobs on their way. Every job is freed exactly once, and none arrives that was ended.
 *
 * A plain program, so that it runs under TSan, too.  usage: jobs_hammer [ROUNDS A THREAD] */
#include "base/check.h"
#include "base/random.h"
#include "net/jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    THREADS = 4,
    HELPERS = 2,
    QUEUE_MAX = 48, /* less than all ask for: some are turned away */
    AT_ONCE = 16,   /* jobs of a loop */
    ROUNDS = 30,
    STEPS = 40, /* of a loop's life */
    LONGEST = 3000,
};

enum place { EMPTY, ASKED, REFUSED };

struct thread;

struct asker {
    struct thread *thread;
    struct task task;
    struct errand *errand;
    enum place place;
};

/* Its owner is the job's. */
struct errand {
    struct job job;
    unsigned turns;
    uint64_t sum; /* what comes of it */
};

struct thread {
    pthread_t id;
    struct jobs *jobs;
    struct loop *loop;
    struct random_source random;
    struct task step;
    struct deadline rest;
    unsigned steps;
    struct asker askers[AT_ONCE];
    uint64_t done, ended, refused;
};

static atomic_uint made, freed;
static unsigned rounds = ROUNDS;

static uint64_t sum_of(unsigned turns)
{
    uint64_t sum = turns;

    for (unsigned i = 0; i < turns; i++)
        sum = sum * 6364136223846793005u + i;
    return sum;
}

static void work(struct job *job)
{
    struct errand *errand = container_of(job, struct errand, job);

    errand->sum = sum_of(errand->turns);
}

static void free_errand(struct job *job)
{
    struct errand *errand = container_of(job, struct errand, job);

    atomic_fetch_add(&freed, 1);
    free(errand);
}

static unsigned below(struct thread *thread, unsigned most)
{
    return (unsigned)random_below(&thread->random, most);
}

static struct errand *make_errand(struct thread *thread)
{
    struct errand *errand = memory_new(sizeof(*errand));

    errand->turns = below(thread, LONGEST);
    errand->job.work = work;
    errand->job.free_job = free_errand;
    errand->job.weight = below(thread, 3);
    atomic_fetch_add(&made, 1);
    return errand;
}

static void ask(struct asker *asker)
{
    struct thread *thread = asker->thread;

    asker->errand = make_errand(thread);
    bool is_taken = job_start(thread->jobs, &asker->errand->job, thread->loop, &asker->task);
    asker->place = is_taken ? ASKED : REFUSED;
}

static void end(struct asker *asker)
{
    asker->thread->ended++;
    job_end(&asker->errand->job);
    asker->errand = NULL;
    asker->place = EMPTY;
}

/* Woken by its job, or by one that it has ended before it was run: then this one is not done. */
static void hear(void *owner)
{
    struct asker *asker = owner;
    struct thread *thread = asker->thread;

    if (asker->place == EMPTY || !job_is_done(&asker->errand->job))
        return;
    if (asker->place == REFUSED)
        thread->refused++;
    else if (asker->errand->sum == sum_of(asker->errand->turns))
        thread->done++;
    else
        abort();
    end(asker);
    thread->ended--;
    if (below(thread, 4) > 0)
        ask(asker);
}

/* Asks, ends and gives, and goes on in the next round; in the end all are ended. */
static void step(void *owner)
{
    struct thread *thread = owner;

    for (int i = 0; i < 4; i++) {
        struct asker *asker = &thread->askers[below(thread, AT_ONCE)];
        if (asker->place == EMPTY)
            ask(asker);
        else if (below(thread, 2) == 0)
            end(asker);
    }
    struct errand *given = make_errand(thread);
    if (!job_give(thread->jobs, &given->job))
        free_errand(&given->job);
    if (++thread->steps < STEPS) {
        if (below(thread, 4) == 0)
            deadline_set(thread->loop, &thread->rest, 1); /* helpers have a moment */
        else
            loop_wake(thread->loop, &thread->step);
        return;
    }
    for (int i = 0; i < AT_ONCE; i++)
        if (thread->askers[i].place != EMPTY)
            end(&thread->askers[i]);
    deadline_clear(&thread->rest);
    loop_stop(thread->loop);
}

static void *live(void *argument)
{
    struct thread *thread = argument;

    for (unsigned round = 0; round < rounds; round++) {
        thread->loop = loop_new();
        thread->steps = 0;
        for (int i = 0; i < AT_ONCE; i++) {
            thread->askers[i] = (struct asker){.thread = thread};
            task_init(&thread->askers[i].task, hear, &thread->askers[i]);
        }
        task_init(&thread->step, step, thread);
        deadline_init(&thread->rest, &thread->step);
        loop_wake(thread->loop, &thread->step);
        loop_run(thread->loop);
        loop_free(thread->loop);
    }
    return NULL;
}

static bool hammer(struct jobs *jobs)
{
    struct thread threads[THREADS] = {0};
    uint64_t done = 0, ended = 0, refused = 0;

    atomic_store(&made, 0);
    atomic_store(&freed, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].jobs = jobs;
        threads[i].random.state = i + 1;
        pthread_create(&threads[i].id, NULL, live, &threads[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i].id, NULL);
        done += threads[i].done;
        ended += threads[i].ended;
        refused += threads[i].refused;
    }
    struct errand *left = make_errand(&threads[0]);
    if (!job_give(jobs, &left->job))
        free_errand(&left->job);
    jobs_free(jobs); /* what helpers are at they free themselves */
    for (unsigned waits = 0; atomic_load(&freed) < atomic_load(&made) && waits < 20000; waits++)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    printf("%u made, %u freed; %llu done, %llu ended, %llu refused\n", atomic_load(&made),
           atomic_load(&freed), (unsigned long long)done, (unsigned long long)ended,
           (unsigned long long)refused);
    return atomic_load(&made) == atomic_load(&freed) && done > 0 && ended > 0 && refused > 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (unsigned)atoi(argv[1]);
    return hammer(jobs_new_yielding(HELPERS, QUEUE_MAX)) ? 0 : 1;
}
