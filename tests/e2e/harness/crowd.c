#include "crowd.h"

#include "workplace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { THREADS_MAX = 16 };

struct crowd {
    crowd_visit visit;
    void *arg;
    unsigned most;
    atomic_uint begun;
    atomic_bool is_over;
    pthread_t threads[THREADS_MAX];
    int count; /* of threads that are to be joined */
};

static void *visit_on(void *arg)
{
    struct crowd *crowd = arg;

    while (!crowd->is_over) {
        unsigned n = crowd->begun++;
        if (crowd->most != 0 && n >= crowd->most)
            break;
        crowd->visit(crowd->arg, n);
    }
    return NULL;
}

static void join(struct crowd *crowd)
{
    while (crowd->count > 0)
        pthread_join(crowd->threads[--crowd->count], NULL);
}

static void crowd_free(void *object)
{
    struct crowd *crowd = object;

    crowd->is_over = true; /* of a test that failed */
    join(crowd);
    free(crowd);
}

struct crowd *crowd_start(int threads, unsigned most, crowd_visit visit, void *arg)
{
    struct crowd *crowd = workplace_own(calloc(1, sizeof *crowd), crowd_free);

    crowd->visit = visit;
    crowd->arg = arg;
    crowd->most = most;
    workplace_require(threads <= THREADS_MAX, "a crowd has %d threads at most", THREADS_MAX);
    for (; crowd->count < threads; crowd->count++)
        if (pthread_create(&crowd->threads[crowd->count], NULL, visit_on, crowd) != 0)
            abort();
    return crowd;
}

void crowd_finish(struct crowd *crowd)
{
    join(crowd);
    workplace_settle();
}

unsigned crowd_end(struct crowd *crowd)
{
    unsigned begun;

    crowd->is_over = true;
    join(crowd);
    begun = crowd->begun;
    return crowd->most != 0 && begun > crowd->most ? crowd->most : begun;
}
