#include "net/timer_wheel.h"

static void ring_init(struct wheel_ring *ring)
{
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        list_init(&ring->slots[i]);
    for (unsigned i = 0; i < WHEEL_WORDS; i++)
        ring->used[i] = 0;
}

static void ring_put(struct wheel_ring *ring, uint64_t position, struct deadline *deadline)
{
    unsigned slot = position % WHEEL_SLOTS;
    list_push_back(&ring->slots[slot], &deadline->node);
    ring->used[slot / 64] |= UINT64_C(1) << slot % 64;
}

/* The next position after `position` whose slot is not empty, one round at most; WHEEL_NEVER: none.
 */
static uint64_t ring_next(struct wheel_ring *ring, uint64_t position)
{
    for (uint64_t next = position + 1; next <= position + WHEEL_SLOTS;) {
        unsigned slot = next % WHEEL_SLOTS, word = slot / 64;
        uint64_t bits = ring->used[word] >> slot % 64;
        if (bits == 0) {
            next += 64 - slot % 64;
            continue;
        }
        unsigned skipped = (unsigned)__builtin_ctzll(bits);
        next += skipped;
        slot += skipped;
        if (next > position + WHEEL_SLOTS)
            break;
        if (!list_is_empty(&ring->slots[slot]))
            return next;
        ring->used[word] &= ~(UINT64_C(1) << slot % 64);
    }
    return WHEEL_NEVER;
}

/* Moves a slot's deadlines out, since filing one anew may put it back into the same slot. */
static void ring_take(struct wheel_ring *ring, uint64_t position, struct list *taken)
{
    struct list *slot = &ring->slots[position % WHEEL_SLOTS];
    list_init(taken);
    if (list_is_empty(slot))
        return;
    *taken = *slot;
    taken->head.next->previous = taken->head.previous->next = &taken->head;
    list_init(slot);
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    ring_init(&wheel->near);
    ring_init(&wheel->far);
    wheel->tick = now_ms / WHEEL_TICK_MS;
    wheel->earliest_ms = WHEEL_NEVER;
}

/* The first tick at which `due_ms` has passed. */
static uint64_t tick_of(uint64_t due_ms)
{
    return (due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

void timer_wheel_file(struct timer_wheel *wheel, struct deadline *deadline)
{
    uint64_t tick = tick_of(deadline->due_ms);
    list_remove(&deadline->node);
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    if (tick - wheel->tick <= WHEEL_SLOTS) {
        ring_put(&wheel->near, tick, deadline);
    } else {
        uint64_t far = tick / WHEEL_SLOTS, last = wheel->tick / WHEEL_SLOTS + WHEEL_SLOTS;
        if (far > last)
            far = last;
        ring_put(&wheel->far, far, deadline);
        tick = far * WHEEL_SLOTS;
    }
    deadline->filed_ms = tick * WHEEL_TICK_MS;
    if (deadline->filed_ms < wheel->earliest_ms)
        wheel->earliest_ms = deadline->filed_ms;
}

/* The next tick at which there is something to do: a near slot, or the first of a far one. */
static uint64_t next_tick(struct timer_wheel *wheel)
{
    uint64_t near = ring_next(&wheel->near, wheel->tick);
    uint64_t far = ring_next(&wheel->far, wheel->tick / WHEEL_SLOTS);
    if (far != WHEEL_NEVER)
        far *= WHEEL_SLOTS;
    return near < far ? near : far;
}

/* Spreads a far slot over the near ring, just before its first tick. */
static void spread(struct timer_wheel *wheel, uint64_t tick)
{
    struct list taken;
    ring_take(&wheel->far, tick / WHEEL_SLOTS, &taken);
    list_each (&taken, node)
        timer_wheel_file(wheel, container_of(node, struct deadline, node));
}

static void expire(struct timer_wheel *wheel, struct loop *loop, uint64_t tick)
{
    struct list taken;
    ring_take(&wheel->near, tick, &taken);
    list_each (&taken, node) {
        struct deadline *deadline = container_of(node, struct deadline, node);
        if (tick_of(deadline->due_ms) > tick) {
            timer_wheel_file(wheel, deadline);
            continue;
        }
        list_remove(&deadline->node);
        loop_wake(loop, deadline->task);
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, struct loop *loop, uint64_t now_ms)
{
    if (now_ms < wheel->earliest_ms)
        return;
    uint64_t now = now_ms / WHEEL_TICK_MS, next = next_tick(wheel);
    while (next <= now) {
        wheel->tick = next - 1;
        if (next % WHEEL_SLOTS == 0)
            spread(wheel, next);
        wheel->tick = next;
        expire(wheel, loop, next);
        next = next_tick(wheel);
    }
    if (wheel->tick < now)
        wheel->tick = now;
    wheel->earliest_ms = next == WHEEL_NEVER ? WHEEL_NEVER : next * WHEEL_TICK_MS;
}
