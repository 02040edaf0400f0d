#include "proxy/pace.h"

static uint64_t waited_ms(const struct pace *pace, uint64_t now_ms)
{
    return pace->waited_ms + (pace->since_ms != 0 ? now_ms - pace->since_ms : 0);
}

bool pace_is_new(const struct pace *pace)
{
    return pace->since_ms == 0 && pace->waited_ms == 0;
}

void pace_begin(struct pace *pace, uint64_t now_ms, uint64_t bytes)
{
    *pace = (struct pace){.since_ms = now_ms, .bytes = bytes};
}

void pace_resume(struct pace *pace, uint64_t now_ms)
{
    if (pace->since_ms == 0)
        pace->since_ms = now_ms;
}

void pace_pause(struct pace *pace, uint64_t now_ms)
{
    pace->waited_ms = waited_ms(pace, now_ms);
    pace->since_ms = 0;
}

uint64_t pace_left_ms(const struct pace *pace, uint64_t now_ms)
{
    uint64_t waited = waited_ms(pace, now_ms);

    return waited < PACE_WINDOW_MS ? PACE_WINDOW_MS - waited : 0;
}

bool pace_is_kept(const struct pace *pace, uint64_t rate, uint64_t now_ms, uint64_t bytes)
{
    if (bytes == UINT64_MAX)
        return true; /* nobody knows */
    /* The rate is bounded (1 GiB a second), and so is a window: no product overflows. */
    return (bytes - pace->bytes) * 1000 >= rate * waited_ms(pace, now_ms);
}
