/* How long a server leaves a connection open that nobody uses, as far as that is known, and what
 * follows for us: connections are retired before the server would close them, so that no request
 * meets its FIN.
 *
 * Three things teach it. The server says so (Keep-Alive: timeout=N). It is seen to close idle
 * connections that were still to be used: their time was too long. And of those that were retired
 * one is watched, unused, until the server closes it: that is its time, be it longer or shorter
 * than what was thought before. So what is learned is also forgotten, and nobody's request pays for
 * it.
 *
 * Inside upstream/ only. */
#ifndef UPSTREAM_IDLE_HABIT_H
#define UPSTREAM_IDLE_HABIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    IDLE_UNKNOWN_MS = 4 * 1000, /* until something is learned: many close after five seconds */
    IDLE_MAX_MS = 60 * 1000,
    IDLE_WATCH_MS = IDLE_MAX_MS + 2 * 1000, /* what is open for so long teaches no more */
    IDLE_LEAST_MS = 1000, /* closed younger than this: a restart, not a habit; nothing would help */
};

/* All zero at first. */
struct idle_habit {
    unsigned told_s;  /* in its newest response; 0: nothing */
    uint64_t seen_ms; /* how long one was idle when the server closed it; 0: not seen */
};

/* What its newest response said; 0: nothing. */
void idle_habit_note_told(struct idle_habit *habit, unsigned seconds);
/* It closed one that was to be used. */
void idle_habit_note_closed(struct idle_habit *habit, uint64_t idle_ms);
/* The one that was watched lasted so long. */
void idle_habit_note_watched(struct idle_habit *habit, uint64_t idle_ms);

/* For how long one may be idle and then be used; 0: not at all. */
uint64_t idle_habit_limit_ms(const struct idle_habit *habit);
/* Whether watching one could teach anything: not of a server that tells and does as it says. */
bool idle_habit_is_worth_watching(const struct idle_habit *habit);

#endif
