#include "policy/key_desk.h"

#include <stdlib.h>

enum { PLACES_MOST = 1024 };

struct key_desk {
    pthread_mutex_t lock;
    struct bell_pull *asked;
    /* Few: looked through from the beginning. Written by the fetcher's thread alone, with the lock.
     */
    struct key_place *places[PLACES_MOST];
    unsigned count;
};

struct key_desk *key_desk_new(void)
{
    struct key_desk *desk = memory_new(sizeof(*desk));

    pthread_mutex_init(&desk->lock, NULL);
    return desk;
}

void key_desk_free(struct key_desk *desk)
{
    if (desk == NULL)
        return;
    assert(desk->count == 0);
    pthread_mutex_destroy(&desk->lock);
    free(desk);
}

static struct key_place *find(const struct key_desk *desk, const struct source *source)
{
    for (unsigned i = 0; i < desk->count; i++)
        if (desk->places[i]->source == source)
            return desk->places[i];
    return NULL;
}

/* With the lock. */
static void tell_all(struct key_place *place)
{
    list_each (&place->waits, node) {
        struct key_wait *wait = container_of(node, struct key_wait, node);
        list_remove(&wait->node);
        wait->is_over = true;
        bell_ring(&wait->pull);
    }
}

/* --- workers ------------------------------------------------------------------------------------
 */

static void wake(void *owner)
{
    struct key_wait *wait = owner;

    loop_wake(wait->pull.bell->loop, wait->task);
}

/* Whether a fetch is there to wait for; with the lock. */
static bool may_wait(struct key_desk *desk, struct key_place *place, uint64_t now_ms)
{
    if (place->is_wanted || place->is_under_way)
        return true;
    if (place->asked_ms != 0 && now_ms < place->asked_ms + KEYS_ASKED_FOR_EVERY_MS)
        return false;
    place->asked_ms = now_ms != 0 ? now_ms : 1;
    place->is_wanted = true;
    bell_ring(desk->asked);
    return true;
}

bool key_desk_wait(struct key_desk *desk, const struct source *source, uint64_t now_ms,
                   struct bell *bell, struct task *task, struct key_wait *wait)
{
    struct key_place *place;
    bool waits;

    *wait = (struct key_wait){.desk = desk, .task = task};
    bell_pull_init(&wait->pull, bell, wake, wait);
    pthread_mutex_lock(&desk->lock);
    place = find(desk, source);
    waits = place != NULL && desk->asked != NULL && may_wait(desk, place, now_ms);
    if (waits)
        list_push_back(&place->waits, &wait->node);
    pthread_mutex_unlock(&desk->lock);
    return waits;
}

bool key_wait_is_over(struct key_wait *wait)
{
    bool is_over;

    pthread_mutex_lock(&wait->desk->lock);
    is_over = wait->is_over;
    pthread_mutex_unlock(&wait->desk->lock);
    return is_over;
}

void key_wait_end(struct key_wait *wait)
{
    pthread_mutex_lock(&wait->desk->lock);
    list_remove(&wait->node);
    pthread_mutex_unlock(&wait->desk->lock);
    bell_pull_clear(&wait->pull);
}

/* --- the fetcher --------------------------------------------------------------------------------
 */

void key_desk_attend(struct key_desk *desk, struct bell_pull *asked)
{
    pthread_mutex_lock(&desk->lock);
    desk->asked = asked;
    for (unsigned i = 0; asked == NULL && i < desk->count; i++)
        tell_all(desk->places[i]);
    pthread_mutex_unlock(&desk->lock);
}

struct key_place *key_desk_add(struct key_desk *desk, struct source *source)
{
    struct key_place *place;

    if (desk->count == PLACES_MOST) {
        source_unref(source);
        return NULL;
    }
    place = memory_new(sizeof(*place));
    place->source = source;
    list_init(&place->waits);
    pthread_mutex_lock(&desk->lock);
    desk->places[desk->count++] = place;
    pthread_mutex_unlock(&desk->lock);
    return place;
}

struct key_place *key_desk_find(struct key_desk *desk, const struct source *source)
{
    return find(desk, source);
}

void key_desk_remove(struct key_desk *desk, struct key_place *place)
{
    unsigned i = 0;

    pthread_mutex_lock(&desk->lock);
    while (desk->places[i] != place)
        i++;
    desk->places[i] = desk->places[--desk->count];
    tell_all(place);
    pthread_mutex_unlock(&desk->lock);
    source_unref(place->source);
    free(place);
}

struct key_place *key_desk_at(struct key_desk *desk, unsigned index)
{
    return index < desk->count ? desk->places[index] : NULL;
}

bool key_place_is_wanted(struct key_desk *desk, const struct key_place *place)
{
    bool is_wanted;

    pthread_mutex_lock(&desk->lock);
    is_wanted = place->is_wanted;
    pthread_mutex_unlock(&desk->lock);
    return is_wanted;
}

void key_place_begin(struct key_desk *desk, struct key_place *place)
{
    pthread_mutex_lock(&desk->lock);
    place->is_wanted = false;
    place->is_under_way = true;
    pthread_mutex_unlock(&desk->lock);
}

void key_place_end(struct key_desk *desk, struct key_place *place)
{
    pthread_mutex_lock(&desk->lock);
    place->is_under_way = false;
    tell_all(place);
    pthread_mutex_unlock(&desk->lock);
}
