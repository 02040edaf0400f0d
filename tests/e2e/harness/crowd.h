/* Many who do the same at once, over and over: a storm of so many visits, or one that lasts until
 * it is ended. */
#ifndef E2E_CROWD_H
#define E2E_CROWD_H

struct crowd;

/* One visit, the n-th of the crowd's from 0, in one of its threads. */
typedef void (*crowd_visit)(void *arg, unsigned n);

/* most: so many visits in all; 0: until crowd_end. Ends with the test. */
struct crowd *crowd_start(int threads, unsigned most, crowd_visit visit, void *arg);
/* Waits until all visits were made, each in its own time; fails the test when a thread noted a
 * failure. */
void crowd_finish(struct crowd *crowd);
/* Lets the visits that are under way come to their end, and begins no more; how many there were. */
unsigned crowd_end(struct crowd *crowd);

#endif
