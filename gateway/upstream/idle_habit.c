#include "upstream/idle_habit.h"

enum {
    MARGIN_MS = 1000, /* between our end and the server's */
    MARGIN_SHARE = 4, /* of short times at most this part */
};

void idle_habit_note_told(struct idle_habit *habit, unsigned seconds)
{
    habit->told_s = seconds;
}

void idle_habit_note_closed(struct idle_habit *habit, uint64_t idle_ms)
{
    bool is_news = habit->seen_ms == 0 || idle_ms < habit->seen_ms;

    if (idle_ms >= IDLE_LEAST_MS && is_news)
        habit->seen_ms = idle_ms;
}

void idle_habit_note_watched(struct idle_habit *habit, uint64_t idle_ms)
{
    if (idle_ms < IDLE_LEAST_MS)
        return;
    /* As long as it says: no more is known than that. */
    habit->seen_ms = habit->told_s > 0 && idle_ms >= habit->told_s * UINT64_C(1000) ? 0 : idle_ms;
}

static uint64_t limit_of_told(unsigned seconds)
{
    uint64_t told_ms = seconds * UINT64_C(1000);

    return told_ms > MARGIN_MS ? told_ms - MARGIN_MS : 0;
}

static uint64_t limit_of_seen(uint64_t seen_ms)
{
    uint64_t share_ms = seen_ms / MARGIN_SHARE;

    return seen_ms - (share_ms < MARGIN_MS ? share_ms : MARGIN_MS);
}

uint64_t idle_habit_limit_ms(const struct idle_habit *habit)
{
    uint64_t limit_ms = IDLE_MAX_MS;

    if (habit->told_s == 0 && habit->seen_ms == 0)
        return IDLE_UNKNOWN_MS;
    if (habit->told_s > 0 && limit_of_told(habit->told_s) < limit_ms)
        limit_ms = limit_of_told(habit->told_s);
    if (habit->seen_ms > 0 && limit_of_seen(habit->seen_ms) < limit_ms)
        limit_ms = limit_of_seen(habit->seen_ms);
    return limit_ms;
}

bool idle_habit_is_worth_watching(const struct idle_habit *habit)
{
    return habit->told_s == 0 || habit->seen_ms > 0;
}
