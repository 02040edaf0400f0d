#include "history.h"

#include "monitor.h"
#include "workplace.h"

#include <stdlib.h>

struct history {
    int *values; /* oldest first */
    int count, room;
    int settled; /* the place of the newest value in force */
};

static void history_free(void *object)
{
    struct history *history = object;

    free(history->values);
    free(history);
}

struct history *history_new(int value)
{
    struct history *history = workplace_own(calloc(1, sizeof *history), history_free);

    history_begin(history, value);
    return history;
}

void history_begin(struct history *history, int value)
{
    monitor_lock();
    if (history->count == history->room) {
        history->room = history->room * 2 + 16;
        history->values = realloc(history->values, (size_t)history->room * sizeof *history->values);
        if (history->values == NULL)
            abort();
    }
    history->values[history->count++] = value;
    monitor_unlock();
}

void history_settle(struct history *history)
{
    monitor_lock();
    history->settled = history->count - 1;
    monitor_unlock();
}

int history_moment(struct history *history)
{
    monitor_lock();
    int moment = history->settled;
    monitor_unlock();
    return moment;
}

bool history_allows(struct history *history, int moment, int value)
{
    bool is_allowed = false;

    monitor_lock();
    for (int i = moment; i < history->count && !is_allowed; i++)
        is_allowed = history->values[i] == value;
    monitor_unlock();
    return is_allowed;
}

int history_newest(struct history *history)
{
    monitor_lock();
    int value = history->values[history->count - 1];
    monitor_unlock();
    return value;
}
