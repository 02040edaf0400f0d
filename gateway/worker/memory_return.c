#include "worker/memory_return.h"

#include "base/check.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SOON_MS = 5000 };

struct memory_return {
    struct jobs *jobs;
    struct loop *control;
    struct task task;
    struct deadline deadline;
    struct post post;
    atomic_bool is_asked; /* until it is begun */
};

/* On a helper. A thread that allocates meanwhile waits no longer than its own heap takes; on its
 * way through all heaps a worker would hold up its own requests for the time that all take. */
static void give_back(struct job *job)
{
    (void)job;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void free_job(struct job *job)
{
    free(job);
}

/* When there is no room for it: after the next crowd. */
static void begin(void *owner)
{
    struct memory_return *memory = owner;

    if (!deadline_passed(memory->control, &memory->deadline))
        return;
    deadline_clear(&memory->deadline);
    atomic_store(&memory->is_asked, false);
    struct job *job = memory_try(sizeof(*job));
    if (job == NULL)
        return;
    job->work = give_back;
    job->free_job = free_job;
    if (!job_give(memory->jobs, job))
        free(job);
}

static void wait_for_others(void *owner)
{
    struct memory_return *memory = owner;

    deadline_set(memory->control, &memory->deadline, SOON_MS);
}

struct memory_return *memory_return_new(struct loop *control, struct jobs *jobs)
{
    struct memory_return *memory = memory_new(sizeof(*memory));

    memory->control = control;
    memory->jobs = jobs;
    memory->post = (struct post){.run = wait_for_others, .owner = memory};
    task_init(&memory->task, begin, memory);
    deadline_init(&memory->deadline, &memory->task);
    return memory;
}

void memory_return_free(struct memory_return *memory)
{
    if (memory == NULL)
        return;
    deadline_clear(&memory->deadline);
    loop_bury(memory->control, &memory->task, free);
}

void memory_return_ask(struct memory_return *memory)
{
    if (!atomic_exchange(&memory->is_asked, true))
        loop_post(memory->control, &memory->post);
}
