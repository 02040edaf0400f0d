#include "http/h2_history.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

enum { OPENED_BITS = 64 };

void h2_history_open(struct h2_history *history, uint32_t id)
{
    uint32_t ahead = (id - history->highest) / 2;

    if (history->highest == 0 || ahead >= OPENED_BITS)
        history->opened = 0;
    else
        history->opened <<= ahead;
    history->opened |= 1;
    history->highest = id;
}

void h2_history_reset(struct h2_history *history, uint32_t id)
{
    uint32_t *place = &history->resets[history->reset_count++ % H2_RESETS_KEPT];

    if (*place > history->forgotten)
        history->forgotten = *place;
    *place = id;
}

static bool was_reset(const struct h2_history *history, uint32_t id)
{
    if (id <= history->forgotten)
        return true; /* or it was not: nobody knows any more */
    for (int i = 0; i < H2_RESETS_KEPT; i++)
        if (history->resets[i] == id)
            return true;
    return false;
}

static bool was_opened(const struct h2_history *history, uint32_t id)
{
    uint32_t behind = (history->highest - id) / 2;

    return behind < OPENED_BITS && (history->opened >> behind & 1) != 0;
}

uint32_t h2_history_judge(const struct h2_history *history, uint32_t id)
{
    if (id > history->highest || was_reset(history, id))
        return NGHTTP2_NO_ERROR;
    return was_opened(history, id) ? NGHTTP2_STREAM_CLOSED : NGHTTP2_PROTOCOL_ERROR;
}
