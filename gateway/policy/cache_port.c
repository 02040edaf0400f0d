#include "policy/cache_internal.h"

/* --- ports ---------------------------------------------------------------------------------------
 */

static struct cache_waiter *take_next(struct cache_port *port)
{
    struct cache_waiter *waiter = NULL;
    struct list_node *first;

    pthread_mutex_lock(&port->lock);
    first = list_first(&port->woken);
    if (first != NULL) {
        waiter = container_of(first, struct cache_waiter, place);
        list_remove(first);
        waiter->state = WAITER_IDLE;
    }
    pthread_mutex_unlock(&port->lock);
    return waiter;
}

/* Idle again: what it holds of the zone for the sake of its lock goes back. */
static void rest(struct cache_waiter *waiter)
{
    struct cache_zone *zone = waiter->shard->zone;

    waiter->shard = NULL;
    cache_zone_unref(zone);
}

static void answer(void *owner)
{
    struct cache_port *port = owner;
    struct cache_waiter *waiter;

    pthread_mutex_lock(&port->lock);
    port->is_posted = false;
    pthread_mutex_unlock(&port->lock);
    while ((waiter = take_next(port)) != NULL) {
        rest(waiter);
        loop_wake(port->loop, waiter->task);
    }
}

void cache_port_init(struct cache_port *port, struct loop *loop)
{
    *port = (struct cache_port){.loop = loop, .post = {.run = answer, .owner = port}};
    pthread_mutex_init(&port->lock, NULL);
    list_init(&port->woken);
}

void cache_port_clear(struct cache_port *port)
{
    assert(list_is_empty(&port->woken));
    pthread_mutex_destroy(&port->lock);
}

/* --- waiters -------------------------------------------------------------------------------------
 */

void cache_waiter_init(struct cache_waiter *waiter, struct cache_port *port, struct task *task)
{
    *waiter = (struct cache_waiter){.port = port, .task = task};
}

static void leave_list(struct cache_waiter *waiter)
{
    list_remove(&waiter->place);
    waiter->state = WAITER_IDLE;
    if (waiter->fetch == NULL)
        return;
    waiter->fetch->waiter_count--;
    atomic_fetch_sub(&waiter->shard->zone->waiting, 1);
    waiter->fetch = NULL;
}

/* Between the two locks it may be woken, but by nobody else be made to wait. */
void cache_waiter_cancel(struct cache_waiter *waiter)
{
    if (waiter->shard == NULL)
        return;
    pthread_mutex_lock(&waiter->shard->lock);
    if (waiter->state == WAITER_WAITS)
        leave_list(waiter);
    pthread_mutex_unlock(&waiter->shard->lock);
    pthread_mutex_lock(&waiter->port->lock);
    if (waiter->state == WAITER_WOKEN) {
        list_remove(&waiter->place);
        waiter->state = WAITER_IDLE;
    }
    pthread_mutex_unlock(&waiter->port->lock);
    rest(waiter);
}

/* --- with the shard's lock -----------------------------------------------------------------------
 */

static void begin_waiting(struct cache_waiter *waiter, struct cache_shard *shard,
                          struct list *waiters)
{
    assert(waiter->shard == NULL);
    cache_zone_ref(shard->zone);
    waiter->shard = shard;
    waiter->state = WAITER_WAITS;
    list_push_back(waiters, &waiter->place);
}

void cache_wait_for_fetch(struct cache_waiter *waiter, struct cache_fetch *fetch)
{
    begin_waiting(waiter, fetch->shard, &fetch->waiters);
    waiter->fetch = fetch;
    fetch->waiter_count++;
    atomic_fetch_add(&fetch->zone->waiting, 1);
}

void cache_wait_for_bytes(struct cache_waiter *waiter, struct cache_object *object)
{
    begin_waiting(waiter, object->shard, &object->waiters);
}

static void wake(struct cache_waiter *waiter)
{
    struct cache_port *port = waiter->port;

    pthread_mutex_lock(&port->lock);
    waiter->state = WAITER_WOKEN;
    list_push_back(&port->woken, &waiter->place);
    if (!port->is_posted) {
        port->is_posted = true;
        loop_post(port->loop, &port->post);
    }
    pthread_mutex_unlock(&port->lock);
}

void cache_wake_all(struct list *waiters, bool is_disappointed)
{
    struct list_node *first;

    while ((first = list_first(waiters)) != NULL) {
        struct cache_waiter *waiter = container_of(first, struct cache_waiter, place);
        leave_list(waiter);
        waiter->disappointments += is_disappointed;
        wake(waiter);
    }
}
