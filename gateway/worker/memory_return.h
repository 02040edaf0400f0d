/* Gives memory back to the kernel once many connections have gone: one for the process.
 *
 * What is freed stays with the allocator, which hands back by itself only what lies at the end of a
 * heap: one small thing that came late and stays keeps the megabytes in front of it. */
#ifndef WORKER_MEMORY_RETURN_H
#define WORKER_MEMORY_RETURN_H

#include "net/jobs.h"
#include "net/loop.h"

struct memory_return;

/* The control loop's; `jobs` have a helper thread that does it: borrowed. */
struct memory_return *memory_return_new(struct loop *control, struct jobs *jobs);
/* Before the loop and the jobs, once nobody asks any more. */
void memory_return_free(struct memory_return *memory);

/* In some seconds, so that those who are about to leave as well count with the first: once, however
 * often it is asked for until then. Any thread. */
void memory_return_ask(struct memory_return *memory);

#endif
