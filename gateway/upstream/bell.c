#include "upstream/bell.h"

static struct bell_pull *take_next(struct bell *bell)
{
    struct list_node *first;

    pthread_mutex_lock(&bell->lock);
    first = list_first(&bell->pulled);
    if (first != NULL)
        list_remove(first);
    pthread_mutex_unlock(&bell->lock);
    return first != NULL ? container_of(first, struct bell_pull, place) : NULL;
}

/* One may end another while it runs, so each is taken alone. */
static void answer(void *owner)
{
    struct bell *bell = owner;
    struct bell_pull *pull;

    pthread_mutex_lock(&bell->lock);
    bell->is_posted = false;
    pthread_mutex_unlock(&bell->lock);
    while ((pull = take_next(bell)) != NULL)
        pull->run(pull->owner);
}

void bell_init(struct bell *bell, struct loop *loop)
{
    *bell = (struct bell){.loop = loop, .post = {.run = answer, .owner = bell}};
    pthread_mutex_init(&bell->lock, NULL);
    list_init(&bell->pulled);
}

void bell_clear(struct bell *bell)
{
    assert(list_is_empty(&bell->pulled));
    pthread_mutex_destroy(&bell->lock);
}

void bell_pull_init(struct bell_pull *pull, struct bell *bell, void (*run)(void *owner),
                    void *owner)
{
    *pull = (struct bell_pull){.bell = bell, .run = run, .owner = owner};
}

void bell_ring(struct bell_pull *pull)
{
    struct bell *bell = pull->bell;

    pthread_mutex_lock(&bell->lock);
    if (!list_has(&pull->place))
        list_push_back(&bell->pulled, &pull->place);
    if (!bell->is_posted) {
        bell->is_posted = true;
        loop_post(bell->loop, &bell->post);
    }
    pthread_mutex_unlock(&bell->lock);
}

void bell_pull_clear(struct bell_pull *pull)
{
    pthread_mutex_lock(&pull->bell->lock);
    list_remove(&pull->place);
    pthread_mutex_unlock(&pull->bell->lock);
}
