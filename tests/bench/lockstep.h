/* A gateway's one worker and those around it, one at a time, in an order that nothing else decides.
 *
 * The worker runs until it has nothing to do; then its turn is over, and those around it (clients
 * and a backend, on one thread of the same process) do what they can. So the same work is the same
 * rounds of the same loop whatever else the machine does, and its instructions can be compared. Its
 * clock is a microsecond later each time that it looks: no deadline passes because the machine is
 * busy.
 *
 * Linked into a program, this takes the place of epoll_wait for all threads but the main one, which
 * must be the control thread: the worker's is then the only other thread that has a loop. Its
 * clock_gettime is this one, too. */
#ifndef BENCH_LOCKSTEP_H
#define BENCH_LOCKSTEP_H

#include <stdbool.h>

/* Those around: waits until the worker has nothing to do for the first time. */
void lockstep_begin(void);
/* The worker's turn. False: there was nothing to do for it. */
bool lockstep_turn(void);
/* Readable when the worker has something to do. */
int lockstep_fd(void);
/* The worker goes its own way from here on. */
void lockstep_end(void);

#endif
