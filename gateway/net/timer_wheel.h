/* The deadlines of one loop by when they are due: filing, pushing and finding the next cost the
 * same with one or 100,000 of them.
 *
 * Two rings of slots. A near slot holds the deadlines of one tick; a far slot those of as many
 * ticks as the near ring has slots, filed anew when its time comes. A deadline that was pushed
 * later stays where it is and is filed anew when its slot comes up. */
#ifndef NET_TIMER_WHEEL_H
#define NET_TIMER_WHEEL_H

#include "net/loop.h"

enum { WHEEL_TICK_MS = 4, WHEEL_SLOTS = 256, WHEEL_WORDS = WHEEL_SLOTS / 64 };

struct wheel_ring {
    struct list slots[WHEEL_SLOTS];
    uint64_t used[WHEEL_WORDS]; /* a bit per slot; set although the slot was emptied by clearing */
};

struct timer_wheel {
    struct wheel_ring near, far;
    uint64_t tick;        /* the last one that was looked at */
    uint64_t earliest_ms; /* nothing is to be looked at before; WHEEL_NEVER without deadlines */
};

#define WHEEL_NEVER UINT64_MAX

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Files it by its due_ms, taking it out of where it is. */
void timer_wheel_file(struct timer_wheel *wheel, struct deadline *deadline);

/* Takes out those whose time has come and wakes their tasks. */
void timer_wheel_advance(struct timer_wheel *wheel, struct loop *loop, uint64_t now_ms);

#endif
