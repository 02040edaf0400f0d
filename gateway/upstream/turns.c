#include "upstream/turns.h"

#include <stdatomic.h>

void turns_init(struct turns *turns)
{
    pthread_mutex_init(&turns->lock, NULL);
    list_init(&turns->members);
    list_init(&turns->queue);
    turns->event = 1;
}

void turns_clear(struct turns *turns)
{
    assert(list_is_empty(&turns->members) && atomic_load(&turns->places) == 0);
    pthread_mutex_destroy(&turns->lock);
}

static void on_bell(void *owner)
{
    struct worker_turn *turn = owner;

    loop_wake(turn->loop, turn->task);
}

void turn_init(struct worker_turn *turn, struct turns *turns, struct bell *bell, struct loop *loop,
               struct task *task)
{
    *turn = (struct worker_turn){.turns = turns, .loop = loop, .task = task};
    bell_pull_init(&turn->pull, bell, on_bell, turn);
    pthread_mutex_lock(&turns->lock);
    list_push_back(&turns->members, &turn->member_place);
    pthread_mutex_unlock(&turns->lock);
}

/* With the lock. `caller` is on its own thread and needs no bell. */
static void call_next(struct turns *turns, struct worker_turn *caller)
{
    list_each (&turns->queue, node) {
        struct worker_turn *turn = container_of(node, struct worker_turn, place);
        if (turn->failed_event == turns->event)
            continue;
        if (turn == caller)
            loop_wake(turn->loop, turn->task);
        else
            bell_ring(&turn->pull);
        return;
    }
}

void turn_clear(struct worker_turn *turn)
{
    struct turns *turns = turn->turns;

    assert(turn->places == 0 && turn->waiting == 0);
    pthread_mutex_lock(&turns->lock);
    list_remove(&turn->member_place);
    call_next(turns, turn); /* it may have been called, and did not get to answer */
    pthread_mutex_unlock(&turns->lock);
    bell_pull_clear(&turn->pull);
}

/* --- the queue ---------------------------------------------------------------------------- */

bool turn_take_place(struct worker_turn *turn, unsigned most)
{
    _Atomic unsigned *places = &turn->turns->places;
    unsigned before = atomic_load(places);

    do {
        if (before >= most)
            return false;
    } while (!atomic_compare_exchange_weak(places, &before, before + 1));
    turn->places++;
    return true;
}

void turn_give_place(struct worker_turn *turn)
{
    assert(turn->places > 0);
    turn->places--;
    atomic_fetch_sub(&turn->turns->places, 1);
}

void turn_begin_wait(struct worker_turn *turn)
{
    struct turns *turns = turn->turns;

    atomic_fetch_add(&turns->waiting, 1);
    if (turn->waiting++ > 0)
        return;
    pthread_mutex_lock(&turns->lock);
    turn->failed_event = 0;
    list_push_back(&turns->queue, &turn->place);
    pthread_mutex_unlock(&turns->lock);
}

void turn_end_wait(struct worker_turn *turn)
{
    struct turns *turns = turn->turns;

    assert(turn->waiting > 0);
    atomic_fetch_sub(&turns->waiting, 1);
    if (--turn->waiting > 0)
        return;
    pthread_mutex_lock(&turns->lock);
    list_remove(&turn->place);
    pthread_mutex_unlock(&turns->lock);
}

bool turn_somebody_waits(const struct worker_turn *turn)
{
    return atomic_load(&turn->turns->waiting) > 0;
}

bool turn_others_wait(const struct worker_turn *turn)
{
    return atomic_load(&turn->turns->waiting) > turn->waiting;
}

/* --- what is free ------------------------------------------------------------------------- */

void turn_note_free(struct worker_turn *turn)
{
    struct turns *turns = turn->turns;

    if (!turn_somebody_waits(turn))
        return;
    pthread_mutex_lock(&turns->lock);
    turns->event++;
    call_next(turns, turn);
    pthread_mutex_unlock(&turns->lock);
}

uint64_t turn_event(struct worker_turn *turn)
{
    struct turns *turns = turn->turns;
    uint64_t event;

    pthread_mutex_lock(&turns->lock);
    event = turns->event;
    pthread_mutex_unlock(&turns->lock);
    return event;
}

void turn_pass(struct worker_turn *turn, bool is_more_free)
{
    struct turns *turns = turn->turns;

    pthread_mutex_lock(&turns->lock);
    if (list_has(&turn->place)) {
        list_remove(&turn->place);
        list_push_back(&turns->queue, &turn->place);
    }
    if (is_more_free)
        call_next(turns, turn);
    pthread_mutex_unlock(&turns->lock);
}

bool turn_fail(struct worker_turn *turn, uint64_t event)
{
    struct turns *turns = turn->turns;
    bool is_news;

    pthread_mutex_lock(&turns->lock);
    is_news = turn->failed_event != event;
    turn->failed_event = event;
    call_next(turns, turn);
    pthread_mutex_unlock(&turns->lock);
    return is_news;
}

void turn_call_others(struct worker_turn *turn)
{
    struct turns *turns = turn->turns;

    pthread_mutex_lock(&turns->lock);
    list_each (&turns->members, node) {
        struct worker_turn *other = container_of(node, struct worker_turn, member_place);
        if (other != turn)
            bell_ring(&other->pull);
    }
    pthread_mutex_unlock(&turns->lock);
}
