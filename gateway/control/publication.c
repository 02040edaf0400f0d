#include "control/publication.h"

#include <stdlib.h>

struct publication {
    struct control *control;
    struct snapshot *snapshot;
    struct listen_plan *plan;
    struct worker_change *changes; /* one per worker */
    struct worker_listen *listens; /* theirs, one after the other */
    unsigned unacknowledged;
    void (*acknowledged)(void *owner);
    void *owner;
};

static void count_acknowledgement(void *owner)
{
    struct publication *publication = owner;
    assert(publication->unacknowledged > 0);
    if (--publication->unacknowledged == 0)
        publication->acknowledged(publication->owner);
}

struct publication *publication_start(struct control *control, struct snapshot *snapshot,
                                      struct listen_plan *plan, void (*acknowledged)(void *owner),
                                      void *owner)
{
    unsigned workers = control->worker_count, count = listen_plan_count(plan);
    struct publication *publication = memory_new(sizeof(*publication));
    *publication = (struct publication){.control = control,
                                        .snapshot = snapshot,
                                        .plan = plan,
                                        .unacknowledged = workers,
                                        .acknowledged = acknowledged,
                                        .owner = owner};
    publication->changes = memory_array(workers, sizeof(*publication->changes));
    publication->listens = memory_array((size_t)workers * count + 1, sizeof(struct worker_listen));
    for (unsigned i = 0; i < workers; i++) {
        struct worker_change *change = &publication->changes[i];
        change->snapshot = snapshot;
        change->listens = publication->listens + (size_t)i * count;
        change->listen_count = count;
        change->acknowledged = (struct post){.run = count_acknowledgement, .owner = publication};
        listen_plan_hand_over(plan, i, change->listens);
    }
    /* Only now: acknowledgements may be on their way before the last one is sent. */
    for (unsigned i = 0; i < workers; i++)
        worker_publish(control->workers[i], &publication->changes[i]);
    return publication;
}

struct snapshot *publication_end(struct publication *publication)
{
    struct snapshot *snapshot = publication->snapshot;
    listeners_commit(publication->control->listeners, publication->plan);
    free(publication->listens);
    free(publication->changes);
    free(publication);
    return snapshot;
}
