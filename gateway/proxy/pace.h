/* Whether a client keeps up the least rate it is held to: judged each time some seconds have been
 * spent waiting for it, whatever happened in between. */
#ifndef PROXY_PACE_H
#define PROXY_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Of waiting; the time that others take does not count. A pause of less is never judged. */
enum { PACE_WINDOW_MS = 5000 };

/* Plain values; all zeroes: not waited for yet. */
struct pace {
    uint64_t since_ms;  /* it is waited for since then; 0: it is not */
    uint64_t waited_ms; /* in this window, before that */
    uint64_t bytes;     /* what it had sent, or taken, when the window began */
};

/* No window has begun: the first wait begins one. */
bool pace_is_new(const struct pace *pace);
/* A window begins now; the client is waited for. `bytes`: what it has sent, or taken, so far. */
void pace_begin(struct pace *pace, uint64_t now_ms, uint64_t bytes);
/* It is waited for (again), or somebody else is. */
void pace_resume(struct pace *pace, uint64_t now_ms);
void pace_pause(struct pace *pace, uint64_t now_ms);
/* How much more waiting there is until it is judged; 0: now. */
uint64_t pace_left_ms(const struct pace *pace, uint64_t now_ms);
/* Whether it sent, or took, at least `rate` bytes for each second of the window, or nobody knows
 * (UINT64_MAX). The next one is to be begun. */
bool pace_is_kept(const struct pace *pace, uint64_t rate, uint64_t now_ms, uint64_t bytes);

#endif
