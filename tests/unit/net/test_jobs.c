/* Work off the loop: how many may wait for a helper, and what helpers that give way give up. */
#include "net/jobs.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { QUEUE_MAX = 3 };

/* Says how its helper is scheduled, and waits at its gate if it has one. */
struct held_job {
    struct job job;
    sem_t *begun, *gate; /* NULL: goes on */
    int policy, nice;
};

static struct loop *loop;
static struct jobs *jobs;
static unsigned woken, freed, awaited;

static void wake(void *owner)
{
    (void)owner;
    if (++woken == awaited)
        loop_stop(loop);
}

static void work(struct job *job)
{
    struct held_job *held = container_of(job, struct held_job, job);

    held->policy = sched_getscheduler(0);
    held->nice = getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
    if (held->gate == NULL)
        return;
    sem_post(held->begun);
    while (sem_wait(held->gate) != 0) {
    }
}

static void count_freed(struct job *job)
{
    (void)job;
    freed++;
}

static void set_up(void)
{
    loop = loop_new();
    woken = freed = awaited = 0;
}

static void tear_down(void)
{
    jobs_free(jobs);
    loop_free(loop);
}

TestSuite(jobs, .init = set_up, .fini = tear_down);

static struct held_job make(void)
{
    return (struct held_job){.job = {.work = work, .free_job = count_freed}, .policy = -1};
}

static void await(unsigned count)
{
    awaited = count;
    loop_run(loop);
    cr_assert_eq(woken, count);
}

static struct held_job run_one(void)
{
    struct task task;
    struct held_job held = make();

    task_init(&task, wake, NULL);
    cr_assert(job_start(jobs, &held.job, loop, &task));
    await(1);
    cr_assert(job_is_done(&held.job));
    job_end(&held.job);
    cr_assert_eq(freed, 1);
    return held;
}

/* Whoever is woken goes in front of it, at once. */
Test(jobs, helpers_that_yield_leave_the_loops_their_processor)
{
    jobs = jobs_new_yielding(1, QUEUE_MAX);
    struct held_job held = run_one();
    cr_assert_eq(held.policy, SCHED_IDLE);
}

Test(jobs, other_helpers_are_threads_like_all)
{
    jobs = jobs_new(1);
    struct held_job held = run_one();
    cr_assert_eq(held.policy, sched_getscheduler(0));
    cr_assert_eq(held.nice, getpriority(PRIO_PROCESS, 0));
}

/* What one runs does not count; one too many is done at once, without any work. */
Test(jobs, no_more_wait_than_may)
{
    struct task task[QUEUE_MAX + 2];
    struct held_job held[QUEUE_MAX + 2];
    sem_t begun, gate;

    jobs = jobs_new_yielding(1, QUEUE_MAX);
    for (int i = 0; i < QUEUE_MAX + 2; i++) {
        task_init(&task[i], wake, NULL);
        held[i] = make();
    }
    /* The helper is held by the first. */
    sem_init(&begun, 0, 0);
    sem_init(&gate, 0, 0);
    held[0].begun = &begun;
    held[0].gate = &gate;
    cr_assert(job_start(jobs, &held[0].job, loop, &task[0]));
    while (sem_wait(&begun) != 0) {
    }
    for (int i = 1; i <= QUEUE_MAX; i++)
        cr_assert(job_start(jobs, &held[i].job, loop, &task[i]));
    struct held_job *late = &held[QUEUE_MAX + 1];
    cr_assert_not(job_start(jobs, &late->job, loop, &task[QUEUE_MAX + 1]));
    cr_assert(job_is_done(&late->job));
    cr_assert_not(job_give(jobs, &late->job));
    await(1);
    cr_assert_eq(late->policy, -1);
    /* Who leaves is in the queue until its turn comes, in which nothing is done. */
    job_end(&held[1].job);
    cr_assert_eq(freed, 0);
    cr_assert_eq(jobs_waiting(jobs), QUEUE_MAX - 1);
    cr_assert_not(job_start(jobs, &late->job, loop, &task[QUEUE_MAX + 1]));
    sem_post(&gate);
    await(1 + 1 + QUEUE_MAX);
    cr_assert_eq(held[1].policy, -1);
    cr_assert_eq(jobs_waiting(jobs), 0);
    cr_assert_eq(freed, 0); /* by a loop: a helper that yields may be stopped in the allocator */
    task_init(&task[1], wake, NULL);
    cr_assert(job_start(jobs, &late->job, loop, &task[1]));
    cr_assert_eq(freed, 1);
    await(2 + 1 + QUEUE_MAX);
    for (int i = 0; i < QUEUE_MAX + 2; i++)
        if (i != 1)
            job_end(&held[i].job);
    cr_assert_eq(late->policy, SCHED_IDLE);
    cr_assert_eq(freed, QUEUE_MAX + 2);
}

static void begin_held(struct held_job *held, struct task *task, sem_t *begun, sem_t *gate)
{
    sem_init(begun, 0, 0);
    sem_init(gate, 0, 0);
    *held = make();
    held->begun = begun;
    held->gate = gate;
    task_init(task, wake, NULL);
    cr_assert(job_start(jobs, &held->job, loop, task));
    while (sem_wait(begun) != 0) {
    }
}

static void renew_loop(void)
{
    loop_free(loop);
    loop = loop_new();
}

/* Its loop ends before it has looked at who has arrived. */
Test(jobs, what_is_on_its_way_is_freed_with_its_loop)
{
    struct held_job held;
    struct task task;
    sem_t begun, gate;

    jobs = jobs_new(1);
    begin_held(&held, &task, &begun, &gate);
    sem_post(&gate);
    while (atomic_load(&held.job.state) != JOB_POSTED)
        sched_yield();
    job_end(&held.job);
    cr_assert_eq(freed, 0);
    renew_loop();
    cr_assert_eq(freed, 1);
    cr_assert_eq(woken, 0);
}

/* The helper is not through with it when the loop has long ended. */
Test(jobs, what_is_being_done_is_freed_by_its_helper)
{
    struct held_job held;
    struct task task;
    sem_t begun, gate;

    jobs = jobs_new(1);
    begin_held(&held, &task, &begun, &gate);
    job_end(&held.job);
    renew_loop();
    cr_assert_eq(freed, 0);
    sem_post(&gate);
    struct held_job next = make(); /* by the same helper, behind it */
    cr_assert(job_start(jobs, &next.job, loop, &task));
    await(1);
    cr_assert_eq(freed, 1);
    job_end(&next.job);
    cr_assert_eq(freed, 2);
}

/* What was given and waits when all ends is freed without any work, as is what was ended. */
Test(jobs, what_waits_in_the_end_is_freed)
{
    struct held_job held, given = make(), ended = make();
    struct task task, other;
    sem_t begun, gate;

    jobs = jobs_new(1);
    begin_held(&held, &task, &begun, &gate);
    cr_assert(job_give(jobs, &given.job));
    task_init(&other, wake, NULL);
    cr_assert(job_start(jobs, &ended.job, loop, &other));
    job_end(&ended.job);
    jobs_free(jobs);
    jobs = NULL;
    cr_assert_eq(freed, 2);
    cr_assert_eq(given.policy, -1);
    cr_assert_eq(ended.policy, -1);
    sem_post(&gate);
    await(1);
    job_end(&held.job);
}
